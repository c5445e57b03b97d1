//! Rounds of chaos against a real sshd: twenty commands, a long stream of input and three forwards go over one
//! supervised connection when something breaks, at a moment and in a way that a seed decides.
//!
//! After each round every command has its right result or an error that is true about whether it ran, the forwards
//! carry again on their ports, and nothing is left: no task, file, socket, channel or process.
//!
//! What a round does is drawn from its seed and number alone. Each prints the command that runs it again. Settings:
//! `STERNLINE_CHAOS_SEED`, `STERNLINE_CHAOS_ROUNDS` (how many), `STERNLINE_CHAOS_ROUND` (only this one), and
//! `STERNLINE_CHAOS_FULL=1` for a stream of 256 MiB instead of 16.

mod chaos_support;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chaos_support::{Blow, Board, Forwards, Leftovers, Moment, Round, Stream, Tally, Work, echo, none_left};
use sternline::exec::ExecResult;
use sternline::{
    AuthConfig, Connection, EventCollector, EventType, KeepaliveConfig, RetryPolicy, Supervisor,
};
use sternline_server::fault::{Fault, FaultProxy};
use sternline_tests::processes;
use sternline_tests::sshd::Sshd;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

/// The seed and the number of rounds of a run that does not say.
const SEED: u64 = 18;
const ROUNDS: u64 = 8;

/// No round takes as long, on however busy a machine: whatever does hangs.
const LIMIT: Duration = Duration::from_secs(180);

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(format!("STERNLINE_CHAOS_{name}")).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("STERNLINE_CHAOS_{name}={text} is not a number")),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_breaks_the_work_goes_on_and_nothing_is_left_behind() {
    let seed = setting("SEED").unwrap_or(SEED);
    let full = setting("FULL") == Some(1);
    let stream = Arc::new(Stream::new(if full { 256 } else { 16 }));
    let rounds = match setting("ROUND") {
        Some(only) => only..only + 1,
        None => 0..setting("ROUNDS").unwrap_or(ROUNDS),
    };
    for number in rounds {
        let plan = Arc::new(Round::draw(seed, number));
        let full = if full { " STERNLINE_CHAOS_FULL=1" } else { "" };
        let replay = format!(
            "replay: STERNLINE_CHAOS_SEED={seed} STERNLINE_CHAOS_ROUND={number}{full} cargo test -p sternline-tests \
             --test chaos -- --nocapture"
        );
        println!("{plan}\n  {replay}");
        let (board, started) = (Arc::new(Board::default()), Instant::now());
        let round = tokio::spawn(round(plan.clone(), stream.clone(), board.clone()));
        match timeout(LIMIT, round).await {
            Ok(Ok(report)) => println!("  {report} in {:.1} s", started.elapsed().as_secs_f64()),
            Ok(Err(error)) => panic!("{plan}\n{error}\n{}{replay}", board.show()),
            Err(_) => panic!("{plan}\nthe round hangs\n{}{replay}", board.show()),
        }
    }
}

/// The server, the link to it, and the supervised connection over that link.
struct Bed {
    server: Sshd,
    link: FaultProxy,
    supervisor: Supervisor,
    events: EventCollector,
}

impl Bed {
    async fn new() -> Self {
        let server = Sshd::start();
        let link = FaultProxy::start(SocketAddr::from((Ipv4Addr::LOCALHOST, server.port())))
            .await
            .unwrap();
        let events = EventCollector::new();
        let settings = Connection::builder(format!("{}@{}", server.user().name, link.addr()))
            .known_hosts([known_hosts(&server, link.addr().port())])
            .auth([AuthConfig::key(server.key())])
            .keepalive(KeepaliveConfig {
                interval: Duration::from_millis(300),
                ..KeepaliveConfig::default()
            })
            .connect_timeout(Duration::from_secs(3))
            .events(&events);
        let policy = RetryPolicy {
            max_retries: 200,
            base_delay: Duration::from_millis(20),
            max_delay: Duration::from_millis(200),
            ..RetryPolicy::default()
        };
        let supervisor = Supervisor::builder(settings).retry(policy).start().await.unwrap();
        Self {
            server,
            link,
            supervisor,
            events,
        }
    }
}

/// The server's key, at the link's port.
fn known_hosts(server: &Sshd, port: u16) -> PathBuf {
    let line = server.known_hosts_line("ed25519");
    let path = server.path("known_hosts_of_the_link");
    fs::write(
        &path,
        line.replace(&format!("]:{} ", server.port()), &format!("]:{port} ")),
    )
    .unwrap();
    path
}

async fn round(plan: Arc<Round>, stream: Arc<Stream>, board: Arc<Board>) -> String {
    let before = Leftovers::now();
    board.stage("beginning");
    let mut bed = Bed::new().await;
    board.watch(&bed.supervisor, &bed.events);
    let (target, serving) = echo().await;
    let forwards = Forwards::open(&bed.supervisor, target).await;
    forwards.carry(&bed.supervisor).await;
    let begun = forwards.begin().await;
    let folder = bed.server.path("");
    let mark = format!("chaos-{}-{}-{}", std::process::id(), plan.seed, plan.number);
    let work = Work::start(&bed.supervisor, &plan.commands, &stream, &folder, &mark, &board);

    board.stage("waiting for the moment");
    come(&plan, &stream, &bed, &work).await;
    board.stage("striking");
    let connections = bed.link.faults().counters().connections;
    strike(&plan, &mut bed);
    fs::write(folder.join("go"), "").unwrap();
    let outcomes = if plan.closes {
        board.stage("closing in the middle");
        bed.supervisor.close().await;
        board.stage("waiting for the commands of a closed connection");
        let outcomes = work.join().await;
        mend(&plan, &mut bed);
        outcomes
    } else {
        board.stage("waiting for the effect");
        take_effect(&plan, &bed, &work, connections).await;
        mend(&plan, &mut bed);
        board.stage("waiting for the commands");
        work.join().await
    };
    board.stage("finishing the conversations");
    for begun in begun {
        begun.finish().await;
    }
    if !plan.closes {
        board.stage("looking for the connection");
        let connected = bed.supervisor.wait_connected(None).await;
        assert!(connected, "{:?}", bed.supervisor.last_error());
        board.stage("using the forwards again");
        forwards.carry(&bed.supervisor).await;
        board.stage("using all sessions at once");
        use_all_sessions(&bed, &mark).await;
        board.stage("closing");
        bed.supervisor.close().await;
    }
    let reconnections = bed.supervisor.reconnection_count();
    board.stage("looking for what is left on the server");
    let Bed {
        server,
        link,
        supervisor,
        ..
    } = bed;
    none_left("commands still run", || {
        processes::containing(&mark)
            .into_iter()
            .map(|process| process.command)
            .collect()
    })
    .await;
    none_left("the server still serves", || {
        let serving = processes::tree(server.pid());
        serving
            .iter()
            .filter(|pid| **pid != server.pid())
            .map(u32::to_string)
            .collect()
    })
    .await;
    let Tally {
        right,
        again,
        may_have_run,
        ran,
        not_sent,
    } = outcomes.check(&folder, plan.closes);

    board.stage("looking for what is left here");
    drop((supervisor, forwards, outcomes, serving, link, server));
    before.expect_no_more().await;
    format!(
        "{right} right ({again} of them on a later connection), {may_have_run} may have run, {ran} ran without a \
         result, {not_sent} were not sent; {reconnections} reconnections"
    )
}

/// Waits for the moment of the blow, or until there is nothing left to wait for.
async fn come(plan: &Round, stream: &Stream, bed: &Bed, work: &Work) {
    let (mut ended, mut streamed) = (work.ended.clone(), work.streamed.clone());
    let so_far = bed.link.faults().counters().to_client;
    let moment = async {
        match plan.moment {
            Moment::Answers(count) => drop(ended.wait_for(|ended| *ended >= count).await),
            Moment::Stream(part) => {
                let bytes = stream.size / 1000 * part;
                drop(streamed.wait_for(|streamed| *streamed >= bytes).await);
            }
            Moment::FromServer(bytes) => {
                bed.link
                    .faults()
                    .until(|counters| counters.to_client >= so_far + bytes)
                    .await;
            }
        }
    };
    let mut free_ended = work.ended.clone();
    tokio::select! {
        () = moment => {}
        // The stream is one more.
        _ = free_ended.wait_for(|ended| *ended > plan.free()) => {}
    }
}

fn strike(plan: &Round, bed: &mut Bed) {
    if let Some(fault) = plan.meanwhile {
        bed.link.faults().set_next(fault);
    }
    match plan.blow {
        Blow::Kill => bed.server.break_connections(),
        Blow::Restart => bed.server.stop(),
        Blow::Link(fault) => bed.link.faults().set_open(fault),
    }
}

/// Makes all well again.
fn mend(plan: &Round, bed: &mut Bed) {
    if let Blow::Restart = plan.blow {
        bed.server.start_again();
    }
    bed.link.faults().heal();
}

/// Waits until the blow was felt: until somebody has come back as often as it takes, or, where the link only suffers,
/// until it has suffered enough, or until the work is done in spite of it.
async fn take_effect(plan: &Round, bed: &Bed, work: &Work, connections: u64) {
    let faults = bed.link.faults();
    let (mut status, mut ended) = (bed.supervisor.watch(), work.ended.clone());
    let passed = faults.counters();
    let slows = plan.slows();
    let short_stall = matches!(plan.blow, Blow::Link(Fault::Stall)) && plan.short_stall;
    let probes = bed.events.by_type(EventType::KeepaliveSent).len();
    let probed = async {
        while !short_stall || bed.events.by_type(EventType::KeepaliveSent).len() == probes {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        _ = faults.until(|counters| {
            let bytes = counters.to_client - passed.to_client + counters.to_server - passed.to_server;
            counters.connections >= connections + plan.attempts || (slows && bytes >= plan.slow_bytes)
        }) => {}
        _ = status.wait_for(|status| u64::from(status.failed_attempts) >= plan.attempts) => {}
        _ = ended.wait_for(|ended| *ended > plan.commands.len()) => {}
        () = probed => {}
    }
}

/// Runs as many commands at once as the server allows: each waits for all others, so no session can be missing.
async fn use_all_sessions(bed: &Bed, mark: &str) {
    loop {
        let before = bed.supervisor.reconnection_count();
        let Some(connection) = bed.supervisor.connection() else {
            assert!(bed.supervisor.wait_connected(None).await);
            continue;
        };
        let folder = tempfile::tempdir_in(bed.server.path("")).unwrap();
        let (at, all) = (folder.path().display(), connection.command_limit());
        assert_eq!(all, 9);
        let mut running = JoinSet::new();
        for index in 0..all {
            let connection = connection.clone();
            let line = format!(
                "touch {at}/{index}; while [ -d {at} ] && [ $(ls {at} | wc -l) -lt {all} ]; do sleep 0.02; done; : {mark}"
            );
            running.spawn(async move { connection.exec(line).await });
        }
        let ended = running.join_all().await;
        if ended
            .iter()
            .all(|outcome| outcome.as_ref().is_ok_and(ExecResult::ok))
        {
            return;
        }
        let lost = !connection.is_connected() || bed.supervisor.reconnection_count() != before;
        assert!(lost, "{ended:?}");
    }
}
