//! Rounds of chaos for transfers against a real sshd: a file or a tree is on its way when something breaks, at a byte that a
//! seed decides, again and again, and is then gone on with.
//!
//! After every blow what was there before is whole, or already what is to be there. In the end everything is equal by SHA-256,
//! and nothing incomplete is left behind.
//!
//! What a round does is drawn from its seed and number alone. Each prints the command that runs it again. Settings:
//! `STERNLINE_CHAOS_SEED`, `STERNLINE_CHAOS_ROUNDS` (how many), `STERNLINE_CHAOS_ROUND` (only this one), and
//! `STERNLINE_CHAOS_FULL=1` for 200 rounds instead of 20.

mod chaos_files_support;
mod supervisor_support;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chaos_files_support::{Blow, Content, Driver, Round, contents, expect_whole};
use sternline::{AuthConfig, Connection, ConnectionBuilder, Supervisor, Transfer};
use sternline_server::fault::{Fault, FaultProxy};
use sternline_tests::cli::Home;
use sternline_tests::sshd::{Settings, Sshd};
use supervisor_support::{quick, start};
use tokio::process::Command;
use tokio::time::{Instant, timeout};

/// The seed and the number of rounds of a run that does not say.
const SEED: u64 = 4;
const ROUNDS: u64 = 20;
const FULL_ROUNDS: u64 = 200;

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
async fn whatever_breaks_a_transfer_is_gone_on_with_and_nothing_is_half_written() {
    let seed = setting("SEED").unwrap_or(SEED);
    let usual = if setting("FULL") == Some(1) {
        FULL_ROUNDS
    } else {
        ROUNDS
    };
    let rounds = match setting("ROUND") {
        Some(only) => only..only + 1,
        None => 0..setting("ROUNDS").unwrap_or(usual),
    };
    let count = rounds.end - rounds.start;
    let mut struck = 0;
    for number in rounds {
        let plan = Round::draw(seed, number);
        let replay = format!(
            "replay: STERNLINE_CHAOS_SEED={seed} STERNLINE_CHAOS_ROUND={number} cargo test -p sternline-tests \
             --test chaos_files -- --nocapture"
        );
        println!("{plan}\n  {replay}");
        let (shown, started) = (plan.to_string(), Instant::now());
        match timeout(LIMIT, tokio::spawn(round(plan))).await {
            Ok(Ok(blows)) => {
                println!("  struck {blows} times, {:.1} s", started.elapsed().as_secs_f64());
                struck += blows;
            }
            Ok(Err(error)) => panic!("{shown}\n{error}\n{replay}"),
            Err(_) => panic!("{shown}\nthe round hangs\n{replay}"),
        }
    }
    println!("{count} transfers, struck {struck} times in all");
    assert!(count == 1 || struck >= count, "the blows miss");
}

/// The server, the link to it, and the directories of both sides.
struct Bed {
    server: Sshd,
    link: FaultProxy,
    home: Home,
    from: PathBuf,
    to: PathBuf,
}

impl Bed {
    async fn new(plan: &Round) -> Self {
        let server = Settings::default().option("MaxStartups 1000").start();
        let upstream = SocketAddr::from((Ipv4Addr::LOCALHOST, server.port()));
        let link = FaultProxy::start(upstream).await.unwrap();
        let home = Home::new();
        let line = server.known_hosts_line("ed25519");
        let known = line.replace(
            &format!("]:{} ", server.port()),
            &format!("]:{} ", link.addr().port()),
        );
        home.write(".ssh/known_hosts", known);
        home.write(".ssh/id_ed25519", std::fs::read(server.key()).unwrap());
        let (from, to) = (server.path("from"), server.path("to"));
        std::fs::create_dir(&from).unwrap();
        std::fs::create_dir(&to).unwrap();
        plan.new.write(&from.join("item"));
        if let Some(old) = &plan.old {
            old.write(&to.join("item"));
        }
        Self {
            server,
            link,
            home,
            from,
            to,
        }
    }

    fn builder(&self) -> ConnectionBuilder {
        ConnectionBuilder::from(format!("{}@{}", self.server.user().name, self.link.addr()))
            .known_hosts([self.home.path().join(".ssh/known_hosts")])
            .auth([AuthConfig::key(self.server.key())])
    }

    /// A tree is copied into a directory, where it finds the old one; a file is named.
    fn target(&self, plan: &Round) -> PathBuf {
        if plan.new.is_tree() {
            self.to.clone()
        } else {
            self.to.join("item")
        }
    }

    fn request(&self, plan: &Round) -> Transfer {
        let (source, target) = (self.from.join("item"), self.target(plan));
        let transfer = if plan.up {
            Transfer::upload(source, target)
        } else {
            Transfer::download(source, target)
        };
        transfer.recursive(true).resume(true).checksum(plan.checksum)
    }

    fn program(&self, plan: &Round) -> Command {
        let there = |path: PathBuf| format!("{}@127.0.0.1:{}", self.server.user().name, path.display());
        let (source, target) = (self.from.join("item"), self.target(plan));
        let ends = if plan.up {
            [source.display().to_string(), there(target)]
        } else {
            [there(source), target.display().to_string()]
        };
        let port = self.link.addr().port().to_string();
        let mut program = self.home.sternline(["cp", "-r", "--resume", "-P", &port]);
        program.args(plan.checksum.then_some("--checksum")).args(ends);
        let mut program = Command::from(program);
        program
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        program
    }

    /// Comes back when so many more bytes have passed the link, both ways together.
    async fn passed(&self, bytes: u64) {
        let faults = self.link.faults();
        let all = |counters: &sternline_server::fault::Counters| counters.to_client + counters.to_server;
        let goal = all(&faults.counters()) + bytes;
        faults.until(|counters| all(counters) >= goal).await;
    }
}

/// Runs a round, and says how many blows have hit.
async fn round(plan: Round) -> u64 {
    let bed = Bed::new(&plan).await;
    let struck = match plan.driver {
        Driver::Library | Driver::Program => {
            let mut struck = 0;
            for blow in &plan.blows {
                struck += u64::from(attempt(&bed, &plan, Some(*blow)).await);
                let old = plan.old.as_ref();
                expect_whole(&bed.to.join("item"), old, &plan.new, &blow.to_string());
            }
            attempt(&bed, &plan, None).await;
            struck
        }
        Driver::Supervisor => supervised(&bed, &plan).await,
    };
    let expected = plan.old.iter().fold(plan.new.clone(), Content::over);
    assert_eq!(contents(&bed.to.join("item")), expected.digests());
    let beside: Vec<_> = std::fs::read_dir(&bed.to).unwrap().flatten().collect();
    assert_eq!(beside.len(), 1, "left behind: {beside:?}");
    assert_eq!(contents(&bed.from.join("item")), plan.new.digests());
    struck
}

/// Moves everything once, unless it is struck. Whether it was.
async fn attempt(bed: &Bed, plan: &Round, blow: Option<Blow>) -> bool {
    let faults = bed.link.faults();
    if let Some(Blow::Cut(bytes)) = blow {
        faults.set_next(Fault::DropAfter(bytes));
    }
    let failed = match plan.driver {
        Driver::Program => run_program(bed, plan, blow).await,
        _ => run_library(bed, plan, blow).await,
    };
    faults.heal();
    match (failed, blow) {
        (None, _) => false,
        (Some(_), Some(_)) => true,
        (Some(why), None) => panic!("nothing was broken: {why}"),
    }
}

/// Why it failed, if it did.
async fn run_library(bed: &Bed, plan: &Round, blow: Option<Blow>) -> Option<String> {
    let moving = async {
        let connection = match bed.builder().connect().await {
            Ok(connection) => connection,
            Err(error) => return Some(error),
        };
        let result = connection.transfer(bed.request(plan)).await;
        Connection::close(&connection).await;
        result.success().err()
    };
    let mut moving = std::pin::pin!(moving);
    let error = tokio::select! {
        error = &mut moving => error,
        () = strike(bed, blow) => moving.await,
    }?;
    if blow.is_some() {
        assert!(error.kind().is_connection(), "{error:?}");
    }
    Some(format!("{error:?}"))
}

async fn run_program(bed: &Bed, plan: &Round, blow: Option<Blow>) -> Option<String> {
    let mut program = bed.program(plan).spawn().unwrap();
    let strike = async {
        match blow {
            Some(Blow::Client(bytes)) => bed.passed(bytes).await,
            blow => {
                strike(bed, blow).await;
                std::future::pending().await
            }
        }
    };
    tokio::select! {
        _ = program.wait() => {}
        () = strike => program.start_kill().unwrap(),
    }
    let output = program.wait_with_output().await.unwrap();
    if output.status.success() {
        return None;
    }
    Some(format!(
        "{}: {}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    ))
}

/// Waits for the moment, and strikes.
async fn strike(bed: &Bed, blow: Option<Blow>) {
    match blow {
        Some(Blow::Reset(bytes)) => {
            bed.passed(bytes).await;
            bed.link.faults().set_open(Fault::Reset);
        }
        Some(Blow::Server(bytes)) => {
            bed.passed(bytes).await;
            bed.server.break_connections();
        }
        // The link does it by itself, or nobody does.
        Some(Blow::Cut(_) | Blow::Client(_)) | None => {}
    }
    std::future::pending().await
}

/// Strikes again and again; the transfer ends well by itself.
async fn supervised(bed: &Bed, plan: &Round) -> u64 {
    let supervisor: Supervisor = start(bed.builder(), quick(1000)).await;
    let struck = AtomicU64::new(0);
    let striking = async {
        let mut status = supervisor.watch();
        for blow in &plan.blows {
            status
                .wait_for(|status| status.open_connection().is_some())
                .await
                .unwrap();
            let lost = supervisor.reconnection_count();
            tokio::select! {
                () = strike(bed, Some(*blow)) => {}
                _ = async {
                    if let Blow::Cut(bytes) = blow {
                        bed.link.faults().set_open(Fault::DropAfter(*bytes));
                    }
                    status.wait_for(|status| status.reconnection_count > lost).await
                } => {}
            }
            struck.fetch_add(1, Ordering::Relaxed);
        }
        std::future::pending::<()>().await;
    };
    let result = tokio::select! {
        result = supervisor.transfer(bed.request(plan)) => result,
        () = striking => unreachable!(),
    };
    result.success().unwrap();
    supervisor.close().await;
    struck.load(Ordering::Relaxed)
}
