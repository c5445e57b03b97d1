//! Fleets whose commands go through one shell on each kept connection, over a real sshd.

use std::time::Duration;

use bytes::Bytes;
use sternline::evidence::{EvidenceRecorder, RecordOutput};
use sternline::exec::{OutputStream, Stdin};
use sternline::fleet::{Fleet, FleetEvent, Keep, OpenFleet, Outcome};
use sternline::host_key::KnownHosts;
use sternline::{
    AuthConfig, Command, ConnectionBuilder, ErrorKind, EventCollector, EventType, ExecRequest, SendState,
};
use sternline_tests::processes::{self, eventually};
use sternline_tests::sshd::{Settings, Sshd};

/// A fleet of so many names for one server, whose commands go through shells.
fn fleet(server: &Sshd, hosts: usize) -> Fleet {
    without(server, hosts).shell_session()
}

fn without(server: &Sshd, hosts: usize) -> Fleet {
    adjusted(server, hosts, |builder| builder)
}

fn adjusted(
    server: &Sshd,
    hosts: usize,
    adjust: impl Fn(ConnectionBuilder) -> ConnectionBuilder + Send + Sync + 'static,
) -> Fleet {
    let known_hosts = std::fs::read(server.known_hosts()).unwrap();
    let known_hosts = KnownHosts::from_bytes("known_hosts", &known_hosts);
    let (key, target) = (server.key(), server.target());
    let known = move |builder: ConnectionBuilder| {
        builder
            .known_hosts_parsed(known_hosts.clone(), None)
            .auth([AuthConfig::key(key.clone())])
    };
    Fleet::new((0..hosts).map(|_| target.clone())).configure(move |_, builder| known(adjust(builder)))
}

/// What each host said, on both outputs, and its status.
async fn said(outcomes: Vec<Outcome>) -> Vec<(String, String, Option<u32>)> {
    let mut said = Vec::new();
    for outcome in outcomes {
        let status = outcome.result.as_ref().unwrap().exit_code();
        said.push((
            outcome.stdout.text().await.unwrap(),
            outcome.stderr.text().await.unwrap(),
            status,
        ));
    }
    said
}

/// The process ids of the shells that run a host's commands.
async fn shells(open: &OpenFleet) -> Vec<String> {
    let outcomes = said(open.exec("echo $$").await.unwrap()).await;
    outcomes.into_iter().map(|(pid, ..)| pid).collect()
}

async fn shells_of(fleet: &Fleet) -> Vec<String> {
    let outcomes = said(fleet.exec("echo $$").await.unwrap()).await;
    outcomes.into_iter().map(|(pid, ..)| pid).collect()
}

#[tokio::test]
async fn all_runs_over_an_open_fleet_go_through_one_shell_for_each_host_and_say_what_channels_say() {
    let server = Sshd::start();
    let open = fleet(&server, 20).connect().await.unwrap();
    let channels = without(&server, 20).connect().await.unwrap();
    let first = shells(&open).await;
    for _ in 0..2 {
        assert_eq!(shells(&open).await, first);
        assert_ne!(shells(&channels).await, shells(&channels).await);
    }
    let mut different = first.clone();
    different.sort_unstable();
    different.dedup();
    assert_eq!(different.len(), 20);
    let commands = [
        "echo out; echo err >&2; exit 7",
        "cd /; X=1; pwd",
        "pwd; echo ${X-none}",
        "printf 'no line end'",
        "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done",
        "echo 'never closed",
        "cat",
    ];
    for command in commands {
        let through_shells = open.exec(Command::shell(command)).await.unwrap();
        assert!(through_shells.iter().all(|outcome| outcome.attempts == 1));
        let (shells, channels) = (
            said(through_shells).await,
            said(channels.exec(Command::shell(command)).await.unwrap()).await,
        );
        for (shell, channel) in shells.iter().zip(&channels) {
            assert_eq!((&shell.0, shell.2), (&channel.0, channel.2), "{command}");
            // A shell words its own complaints as it likes, and names itself in them.
            assert_eq!(shell.1.is_empty(), channel.1.is_empty(), "{command}");
        }
    }
    open.close().await;
    channels.close().await;
}

#[tokio::test]
async fn input_reaches_the_command_and_what_a_shell_cannot_take_gets_a_channel() {
    let server = Sshd::start();
    let open = fleet(&server, 2).connect().await.unwrap();
    let shells = shells(&open).await;
    for (length, in_shell) in [(9, true), (300_000, false)] {
        let run = open.start(move |_| {
            ExecRequest::from("echo $$; wc -c").stdin(Stdin::Bytes(Bytes::from(vec![b'x'; length])))
        });
        for (host, (output, ..)) in said(run.unwrap().outcomes().await).await.into_iter().enumerate() {
            let mut lines = output.lines();
            let pid = format!("{}\n", lines.next().unwrap());
            assert_eq!(pid == shells[host], in_shell);
            assert_eq!(lines.next().unwrap().trim(), length.to_string());
        }
    }
}

#[tokio::test]
async fn lines_come_while_the_command_runs_and_a_cancel_leaves_nothing_and_keeps_the_shell() {
    let server = Sshd::start();
    let open = fleet(&server, 3).connect().await.unwrap();
    let before = shells(&open).await;
    let mut run = open
        .start(|_| ExecRequest::from("echo begun; sleep 88101; true"))
        .unwrap();
    let (mut begun, mut done) = (0, 0);
    while let Some(event) = run.next().await {
        match event {
            // On standard error the shell says that the command was ended.
            FleetEvent::Lines {
                stream: OutputStream::Stdout,
                bytes,
                ..
            } => {
                assert_eq!(&bytes[..], b"begun\n");
                begun += 1;
                if begun == 3 {
                    run.cancel();
                }
            }
            FleetEvent::Done { outcome, .. } => {
                let error = outcome.result.unwrap_err();
                assert_eq!(*error.kind(), ErrorKind::Cancelled);
                let text = error.to_string();
                assert!(
                    text.contains("the run was cancelled while the command was running; "),
                    "{text}"
                );
                assert!(text.contains("was ended"), "{text}");
                assert!(error.partial_output().is_none());
                done += 1;
            }
            _ => {}
        }
    }
    assert_eq!((begun, done), (3, 3));
    assert!(processes::containing("sleep 88101").is_empty());
    assert_eq!(shells(&open).await, before);
}

#[tokio::test]
async fn a_time_limit_and_a_dropped_run_leave_nothing_and_the_shell_goes_on() {
    let server = Sshd::start();
    let open = fleet(&server, 3).connect().await.unwrap();
    let before = shells(&open).await;
    let run = open
        .start(|_| ExecRequest::from("echo begun; sleep 88201; true").timeout(Duration::from_millis(500)));
    for outcome in run.unwrap().outcomes().await {
        assert_eq!(outcome.stdout.text().await.unwrap(), "begun\n");
        let error = outcome.result.unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::CommandTimeout, "{error}");
        assert!(error.to_string().contains("was ended"), "{error}");
    }
    assert!(processes::containing("sleep 88201").is_empty());
    assert_eq!(shells(&open).await, before);

    let run = open.start(|_| ExecRequest::from("sleep 88202; true")).unwrap();
    eventually("all run", || {
        processes::containing("sleep 88202")
            .iter()
            .filter(|it| it.command.starts_with("sleep"))
            .count()
            == 3
    })
    .await;
    drop(run);
    eventually("they were ended", || {
        processes::containing("sleep 88202").is_empty()
    })
    .await;
    eventually_same(&open, &before).await;
}

/// What is still being ended has the shell; a run meanwhile gets channels.
async fn eventually_same(open: &OpenFleet, before: &[String]) {
    for _ in 0..1000 {
        if shells(open).await == before {
            return;
        }
    }
    panic!("other shells than {before:?}");
}

#[tokio::test]
async fn a_run_beside_another_does_not_wait_for_it() {
    let server = Sshd::start();
    let open = fleet(&server, 2).connect().await.unwrap();
    let before = shells(&open).await;
    let long = open.start(|_| ExecRequest::from("sleep 88301; true")).unwrap();
    eventually("it runs", || !processes::containing("sleep 88301").is_empty()).await;
    let beside = said(open.exec("echo beside").await.unwrap()).await;
    assert!(beside.iter().all(|(output, ..)| output == "beside\n"));
    long.cancel();
    long.outcomes().await;
    assert_eq!(shells(&open).await, before);
}

#[tokio::test]
async fn a_connection_that_is_made_again_gets_another_shell_and_what_may_have_run_is_not_run_again() {
    let server = Sshd::start();
    let keep = Keep::new();
    let fleet = fleet(&server, 3).keep(&keep);
    let first = shells_of(&fleet).await;
    assert_eq!(shells_of(&fleet).await, first);
    let run = fleet
        .start(|_| ExecRequest::from("echo begun; exec sleep 88401"))
        .unwrap();
    eventually("all run", || {
        processes::containing("sleep 88401")
            .iter()
            .filter(|it| it.command.starts_with("sleep"))
            .count()
            == 3
    })
    .await;
    server.break_connections();
    for outcome in run.outcomes().await {
        let error = outcome.result.unwrap_err();
        assert!(error.kind().is_connection(), "{error}");
        assert_eq!((error.sent(), outcome.attempts), (SendState::Ran, 1), "{error}");
    }
    for process in processes::containing("sleep 88401") {
        std::process::Command::new("kill")
            .arg(process.pid.to_string())
            .status()
            .unwrap();
    }
    let second = shells_of(&fleet).await;
    assert!(
        second.iter().all(|shell| !first.contains(shell)),
        "{first:?} {second:?}"
    );
    assert_eq!(shells_of(&fleet).await, second);
    keep.close().await;
}

#[tokio::test]
async fn a_loss_between_two_runs_that_nobody_has_noticed_costs_no_attempt() {
    let server = Sshd::start();
    let keep = Keep::new();
    let fleet = fleet(&server, 3).keep(&keep);
    let first = shells_of(&fleet).await;
    server.break_connections();
    let outcomes = fleet.exec("echo $$").await.unwrap();
    assert!(
        outcomes
            .iter()
            .all(|outcome| outcome.ok() && outcome.attempts <= 2),
        "{outcomes:?}"
    );
    let second = said(outcomes).await;
    assert!(second.iter().all(|(pid, ..)| !first.contains(pid)));
    keep.close().await;
}

#[tokio::test]
async fn a_shell_that_was_killed_between_two_runs_is_replaced() {
    let server = Sshd::start();
    let open = fleet(&server, 2).connect().await.unwrap();
    let before = shells(&open).await;
    for shell in &before {
        std::process::Command::new("kill")
            .args(["-9", shell.trim()])
            .status()
            .unwrap();
    }
    let gone = || {
        before
            .iter()
            .all(|shell| !std::path::Path::new(&format!("/proc/{}", shell.trim())).exists())
    };
    eventually("the shells are gone", gone).await;
    // The servers tell of it: a command on another channel comes back behind that.
    without_shell(&open).await;
    let after = shells(&open).await;
    assert!(after.iter().all(|shell| !before.contains(shell)));
    assert_eq!(shells(&open).await, after);
}

/// Runs something on a channel of its own on each connection.
async fn without_shell(open: &OpenFleet) {
    for (_, connection) in open.connections() {
        connection.unwrap().exec("true").await.unwrap().success().unwrap();
    }
}

#[tokio::test]
async fn a_host_without_shell_says_what_it_says_without_the_option() {
    let server = Settings::default().option("ForceCommand echo forced").start();
    let open = fleet(&server, 2).connect().await.unwrap();
    let channels = without(&server, 2).connect().await.unwrap();
    for _ in 0..2 {
        let through_shells = said(open.exec("id").await.unwrap()).await;
        assert_eq!(through_shells, said(channels.exec("id").await.unwrap()).await);
        assert_eq!(through_shells[0].0, "forced\n");
    }
}

#[tokio::test]
async fn commands_are_told_and_recorded_whole_although_their_output_was_passed_on_before() {
    let server = Sshd::start();
    let (recorder, events) = (EvidenceRecorder::new(), EventCollector::new());
    let (recording, telling) = (recorder.clone(), events.clone());
    let fleet = adjusted(&server, 1, move |builder| {
        let builder = builder.events(&telling).evidence(&recording);
        builder.record_output(RecordOutput::default())
    });
    let open = fleet.shell_session().connect().await.unwrap();
    open.exec("echo early; sleep 0.2; echo late; echo err >&2")
        .await
        .unwrap();
    open.close().await;
    let told = events.events().into_iter();
    let told: Vec<_> = told
        .filter(|event| event.event_type == EventType::Exec)
        .map(|event| (event.data["stdout_len"].clone(), event.data["stderr_len"].clone()))
        .collect();
    assert_eq!(told, [(11.into(), 4.into())]);
    let recorded = &recorder.bundle(None).commands[0];
    assert_eq!(recorded.stdout.data, b"early\nlate\n");
    assert_eq!(recorded.stderr.data, b"err\n");
}
