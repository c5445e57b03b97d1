//! The rules of a run: who begins when, who is left out, how it ends, and what it keeps.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sternline::fleet::{Batch, Collector, FleetEvent, Outcome, OutputLimits, Skipped, StopAfter, group};
use sternline::host_key::KnownHosts;
use sternline::transfer::{Source, Target};
use sternline::{AuthConfig, ErrorKind, ExecRequest, Fleet, SendState, Transfer};
use sternline_server::fault::Fault;
use sternline_server::{Credential, ExitOutcome, Reply, Server, ServerBuilder, VirtualFiles};
use sternline_tests::processes;
use sternline_tests::sshd::Sshd;
use tokio::io::AsyncWriteExt;

fn server() -> ServerBuilder {
    Server::builder().user("ann", Credential::password("secret"))
}

/// A fleet of so many names for one server.
fn fleet(server: &Server, hosts: usize) -> Fleet {
    let known_hosts = KnownHosts::from_bytes("known_hosts", server.known_hosts_line().as_bytes());
    let port = server.port();
    Fleet::new((0..hosts).map(|n| format!("host-{n}"))).configure(move |_, builder| {
        builder
            .address("127.0.0.1")
            .port(port)
            .username("ann")
            .password("secret")
            .known_hosts_parsed(known_hosts.clone(), None)
    })
}

/// A server on which `wait` says `begun` and never ends, `fail` returns 1 and everything else 0.
async fn waiting() -> Server {
    server()
        .on_exec(|mut request| async move {
            match request.command_text().into_owned().as_str() {
                "wait" => {
                    let _ = request.stdout.write_all(b"begun\n").await;
                    std::future::pending().await
                }
                "fail" => ExitOutcome::Code(1),
                // What is to end a command is a command too.
                text if text.contains("sh") => ExitOutcome::Code(127),
                _ => ExitOutcome::SUCCESS,
            }
        })
        .bind()
        .await
        .unwrap()
}

/// `ok`, `failed`, or why it was left out; one word per host.
fn words(outcomes: &[Outcome]) -> Vec<&'static str> {
    let word = |outcome: &Outcome| match outcome.skipped() {
        Some(why) => why.as_str(),
        None if outcome.ok() => "ok",
        None => "failed",
    };
    outcomes.iter().map(word).collect()
}

/// Runs `fail` on the hosts with these numbers, and `true` on the others.
async fn failing(fleet: Fleet, failing: &'static [usize]) -> Vec<Outcome> {
    let command = move |host: &str| {
        let fails = failing.iter().any(|n| host == format!("host-{n}"));
        ExecRequest::from(if fails { "fail" } else { "true" })
    };
    fleet.start(command).unwrap().outcomes().await
}

#[tokio::test]
async fn a_fleet_without_hosts_is_refused_whatever_it_is_to_do() {
    let fleet = Fleet::new(Vec::<String>::new());
    let refused = [
        fleet.exec("true").await.err(),
        fleet.start(|_| ExecRequest::from("true")).err(),
        fleet.upload("a", "b").await.err(),
        fleet.start_transfer(|_| Transfer::upload("a", "b")).err(),
        fleet.connect().await.err(),
        Fleet::new(["h"])
            .batch(Batch::Share(2.0))
            .exec("true")
            .await
            .err(),
    ];
    for error in refused {
        assert_eq!(error.unwrap().kind(), &ErrorKind::Invalid);
    }
}

#[tokio::test]
async fn a_canary_that_fails_keeps_the_others_from_being_touched() {
    let server = waiting().await;
    let outcomes = failing(fleet(&server, 5).canary(2), &[1]).await;
    assert_eq!(words(&outcomes), ["ok", "failed", "canary", "canary", "canary"]);
    let skipped = &outcomes[2];
    assert_eq!((skipped.attempts, skipped.duration), (0, Duration::ZERO));
    let error = skipped.result.as_ref().unwrap_err();
    assert_eq!(
        (error.kind(), error.sent()),
        (&ErrorKind::Cancelled, SendState::NotSent)
    );
    assert_eq!(server.log().len(), 2);

    let outcomes = failing(fleet(&server, 4).canary(1), &[2]).await;
    assert_eq!(words(&outcomes), ["ok", "ok", "failed", "ok"]);
}

#[tokio::test]
async fn too_many_failures_end_the_run_and_batches_follow_one_another() {
    let server = waiting().await;
    let fleet = fleet(&server, 6).batch(Batch::Hosts(2));
    let outcomes = failing(fleet.clone().stop_after(StopAfter::Failures(2)), &[0, 3]).await;
    assert_eq!(
        words(&outcomes),
        ["failed", "ok", "ok", "failed", "failures", "failures"]
    );
    let outcomes = failing(fleet.stop_after(StopAfter::Share(0.5)), &[0, 3]).await;
    assert_eq!(words(&outcomes), ["failed", "ok", "ok", "failed", "ok", "ok"]);
}

#[tokio::test]
async fn a_stopped_run_finishes_what_it_has_begun_and_a_cancelled_one_does_not() {
    let server = waiting().await;
    for cancel in [false, true] {
        let mut run = fleet(&server, 6)
            .parallel(2)
            .host_deadline(Duration::from_secs(2))
            .start(|_| ExecRequest::from("wait"))
            .unwrap();
        let mut ends = vec![String::new(); 6];
        let mut begun = 0;
        while let Some(event) = run.next().await {
            match event {
                FleetEvent::Lines { .. } => {
                    begun += 1;
                    if begun == 2 {
                        if cancel { run.cancel() } else { run.stop() }
                    }
                }
                FleetEvent::Done { index, outcome } => {
                    let skipped = outcome.skipped().map(Skipped::as_str);
                    let error = outcome.result.unwrap_err();
                    ends[index] = skipped.unwrap_or(error.error_type()).to_owned();
                }
                _ => {}
            }
        }
        let first = if cancel { "Cancelled" } else { "CommandTimeout" };
        assert_eq!(ends, [first, first, "stopped", "stopped", "stopped", "stopped"]);
    }
}

#[tokio::test]
async fn the_deadlines_of_a_host_and_of_the_run_are_kept_and_named() {
    let server = waiting().await;
    let began = Instant::now();
    let fleet = fleet(&server, 3).parallel(2);
    let run = fleet
        .clone()
        .deadline(Duration::from_secs(1))
        .start(|_| ExecRequest::from("wait"));
    let outcomes = run.unwrap().outcomes().await;
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert_eq!(words(&outcomes), ["failed", "failed", "deadline"]);
    let error = outcomes[0].result.as_ref().unwrap_err();
    assert_eq!(
        (error.kind(), error.sent()),
        (&ErrorKind::Cancelled, SendState::MayHaveRun)
    );
    assert!(
        error
            .to_string()
            .starts_with("the run's 1 s were over while the command was running"),
        "{error}"
    );
    assert_eq!(outcomes[0].stdout.text().await.unwrap(), "begun\n");

    let outcomes = fleet
        .host_deadline(Duration::from_secs(1))
        .exec("wait")
        .await
        .unwrap();
    assert_eq!(words(&outcomes), ["failed", "failed", "failed"]);
    for outcome in outcomes {
        let error = outcome.result.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::CommandTimeout);
        assert!(
            error.to_string().starts_with("the host had 1 s in all: "),
            "{error}"
        );
    }
}

#[tokio::test]
async fn much_output_of_many_hosts_is_kept_in_one_file_and_comes_back_whole() {
    const SIZE: usize = 1_500_000;
    let line = |n: usize| format!("{n}: {}\n", "x".repeat(90));
    let text = move |host: usize| (0..SIZE / 95).map(|n| line(n + host % 3)).collect::<String>();
    let server = server()
        .answer_with(move |request| {
            let host: usize = request.command_text().parse().unwrap();
            Reply::new(text(host), "", 0)
        })
        .bind()
        .await
        .unwrap();
    let mut limits = OutputLimits::default();
    (limits.stream, limits.memory) = (200_000, 1_000_000);
    let directory = tempfile::tempdir().unwrap();
    limits.directory = directory.path().to_owned();
    let fleet = fleet(&server, 12).output_limits(limits);
    let run = fleet
        .start(|host| ExecRequest::from(host.trim_start_matches("host-")))
        .unwrap();
    let outcomes = run.outcomes().await;
    for (host, outcome) in outcomes.iter().enumerate() {
        assert!(outcome.ok() && outcome.stdout.is_spilled(), "{outcome:?}");
        assert_eq!(outcome.stdout.text().await.unwrap(), text(host));
    }
    // Which of them are the same.
    let groups = group(&outcomes).await.unwrap();
    assert_eq!(groups, [[0, 3, 6, 9], [1, 4, 7, 10], [2, 5, 8, 11]]);
    assert_eq!(open_below(directory.path()), 1, "one file for all");
    drop(outcomes);
    assert_eq!(open_below(directory.path()), 0);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

/// Open files of this process that are, or were, in a directory.
fn open_below(directory: &std::path::Path) -> usize {
    let files = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let links = files.filter_map(|file| std::fs::read_link(file.path()).ok());
    links.filter(|link| link.starts_with(directory)).count()
}

#[tokio::test]
async fn output_that_cannot_be_kept_is_an_error_and_not_a_shorter_output() {
    let server = server()
        .command("much", Reply::stdout("y\n".repeat(500_000)))
        .bind()
        .await
        .unwrap();
    let mut limits = OutputLimits::default();
    (limits.stream, limits.disk) = (100_000, 300_000);
    let mut run = fleet(&server, 1).start(|_| ExecRequest::from("much")).unwrap();
    let mut collector = Collector::new(limits);
    let mut outcomes = Vec::new();
    while let Some(event) = run.next().await {
        outcomes.extend(collector.add(event).await);
    }
    let (index, outcome) = outcomes.remove(0);
    assert_eq!((index, outcomes.len()), (0, 0));
    let error = outcome.result.unwrap_err();
    assert_eq!(
        (error.kind(), error.sent()),
        (&ErrorKind::OutputOverflow, SendState::Ran)
    );
    assert!(
        error
            .to_string()
            .contains("exit status 0, but not all of its output is kept"),
        "{error}"
    );
    assert!(outcome.stdout.len() >= 200_000);
}

#[tokio::test]
async fn transfers_keep_the_same_rules() {
    let files = VirtualFiles::new();
    let server = server().files(files).bind().await.unwrap();
    let fleet = fleet(&server, 4).canary(1);
    let results = fleet.download("missing", Target::Memory).await.unwrap();
    let skipped: Vec<_> = results
        .iter()
        .map(|result| Skipped::of(result.error.as_ref()?).map(Skipped::as_str))
        .collect();
    assert_eq!(skipped, [None, Some("canary"), Some("canary"), Some("canary")]);
    assert!(!results[0].ok());
    let attempts: Vec<u32> = results.iter().map(|result| result.attempts).collect();
    assert_eq!(attempts, [1, 0, 0, 0]);

    let fleet = fleet.parallel(2);
    let mut run = fleet
        .start_transfer(|_| Transfer::download("missing", Target::Memory))
        .unwrap();
    run.stop();
    let mut ends = Vec::new();
    while let Some((index, result)) = run.next().await {
        ends.push((index, result.error.as_ref().and_then(Skipped::of)));
    }
    let stopped = Some(Skipped::Stopped);
    assert_eq!(ends, [(0, stopped), (1, stopped), (2, stopped), (3, stopped)]);
}

#[tokio::test]
async fn an_open_fleet_logs_in_once_for_all_its_runs_and_leaves_nothing_open() {
    let ran = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&ran);
    let server = server()
        .on_exec(move |_| {
            count.fetch_add(1, Ordering::SeqCst);
            async { ExitOutcome::SUCCESS }
        })
        .bind()
        .await
        .unwrap();
    let known_hosts = KnownHosts::from_bytes("known_hosts", server.known_hosts_line().as_bytes());
    let port = server.port();
    let hosts: Vec<String> = (0..5).map(|n| format!("host-{n}")).collect();
    let fleet = Fleet::new(hosts).configure(move |host, builder| {
        let password = if host == "host-3" { "wrong" } else { "secret" };
        builder
            .address("127.0.0.1")
            .port(port)
            .username("ann")
            .password(password)
            .known_hosts_parsed(known_hosts.clone(), None)
    });
    let open = fleet.connect().await.unwrap();
    let connected: Vec<bool> = open
        .connections()
        .map(|(_, connection)| connection.is_ok())
        .collect();
    assert_eq!(connected, [true, true, true, false, true]);
    for _ in 0..3 {
        let outcomes = open.exec("true").await.unwrap();
        assert_eq!(words(&outcomes), ["ok", "ok", "ok", "failed", "ok"]);
        assert_eq!(
            outcomes[3].result.as_ref().unwrap_err().kind(),
            &ErrorKind::AuthFailed
        );
    }
    assert_eq!(ran.load(Ordering::SeqCst), 12);
    let counters = server.faults().counters();
    assert_eq!((counters.connections, counters.open), (5, 4));
    open.close().await;
    server.faults().until(|counters| counters.open == 0).await;
    // What is used after that is an error, and runs nothing.
    let outcomes = open.exec("true").await.unwrap();
    assert_eq!(words(&outcomes), ["failed"; 5]);
    assert_eq!(ran.load(Ordering::SeqCst), 12);
}

#[tokio::test]
async fn a_run_that_is_dropped_leaves_no_process_and_no_connection() {
    let server = Sshd::start();
    let (key, known) = (server.key(), server.known_hosts());
    let fleet = Fleet::new(vec![server.target(); 6])
        .configure(move |_, builder| builder.auth([AuthConfig::key(&key)]).known_hosts([known.clone()]));
    // The number is nobody else's.
    let seconds = format!("{}.0417", 100_000 + std::process::id());
    let command = format!("echo begun; sleep {seconds}");
    let mut run = fleet.start(move |_| ExecRequest::from(command.as_str())).unwrap();
    let mut begun = 0;
    while begun < 6 {
        begun += usize::from(matches!(run.next().await, Some(FleetEvent::Lines { .. })));
    }
    assert_eq!(processes::containing(&format!("sleep {seconds}")).len(), 6);
    drop(run);
    processes::eventually("no command is left", || {
        processes::containing(&seconds).is_empty()
    })
    .await;
    processes::eventually("no connection is left", || {
        processes::tree(server.pid()).len() == 1
    })
    .await;
}

#[tokio::test]
async fn a_transfer_that_takes_too_long_or_is_cancelled_says_so() {
    let server = server()
        .files(VirtualFiles::new())
        .fault("slow:2000000".parse::<Fault>().unwrap());
    let server = server.bind().await.unwrap();
    let fleet = fleet(&server, 3).parallel(2);
    let upload = || Transfer::upload(Source::bytes("big", vec![7; 20_000_000]), "/big");
    let results = fleet
        .clone()
        .host_deadline(Duration::from_secs(2))
        .transfer(upload())
        .await
        .unwrap();
    for result in results {
        let error = result.error.unwrap();
        assert!(
            matches!(
                error.kind(),
                ErrorKind::CommandTimeout | ErrorKind::ConnectionTimeout
            ),
            "{error:?}"
        );
        assert!(error.to_string().contains("the host had 2 s in all"), "{error}");
    }

    let began = Instant::now();
    let mut run = fleet
        .deadline(Duration::from_secs(2))
        .start_transfer(move |_| upload())
        .unwrap();
    let mut ends = vec![String::new(); 3];
    while let Some((index, result)) = run.next().await {
        let error = result.error.unwrap();
        assert_eq!(error.kind(), &ErrorKind::Cancelled, "{error}");
        ends[index] = error.to_string();
    }
    assert!(began.elapsed() < Duration::from_secs(60));
    assert!(
        ends[..2]
            .iter()
            .all(|end| end.starts_with("the run's 2 s were over while")),
        "{ends:?}"
    );
    assert!(
        ends[2].contains("the run's time was over before its turn came"),
        "{ends:?}"
    );
}

#[tokio::test]
async fn connecting_that_is_given_up_leaves_nothing_open() {
    let server = server().bind().await.unwrap();
    let (fleet, faults) = (fleet(&server, 20).parallel(4), server.faults());
    let half = async {
        faults.until(|counters| counters.connections >= 10).await;
    };
    tokio::select! {
        open = fleet.connect() => panic!("it had not ended: {open:?}"),
        () = half => {}
    }
    faults.until(|counters| counters.open == 0).await;
    assert!(faults.counters().connections < 20);
}

#[tokio::test]
async fn ten_thousand_hosts_that_are_left_out_take_no_time() {
    const HOSTS: usize = 10_000;
    let server = waiting().await;
    let outcomes = failing(fleet(&server, HOSTS).canary(1), &[0]).await;
    assert_eq!(outcomes.len(), HOSTS);
    assert!(
        outcomes
            .iter()
            .skip(1)
            .all(|outcome| outcome.skipped() == Some(Skipped::Canary))
    );
    assert_eq!(group(&outcomes).await.unwrap().len(), 2);
}
