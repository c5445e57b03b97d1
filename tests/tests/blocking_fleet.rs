//! Several hosts, supervised connections and forwards for callers that wait.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use sternline::blocking::{Connection, Fleet, ForwardManager, Supervisor};
use sternline::fleet::{FleetEvent, Keep};
use sternline::host_key::KnownHosts;
use sternline::transfer::Source;
use sternline::{AuthConfig, ConnectionState, ErrorKind, ExecRequest, RetryPolicy, SendState, Transfer};
use sternline_tests::processes::{self, eventually_here};
use sternline_tests::sshd::Sshd;

const HOSTS: usize = 20;

/// Twenty names for one server.
fn hosts(server: &Sshd) -> sternline::Fleet {
    let known_hosts = KnownHosts::from_bytes("known_hosts", server.known_hosts_line("ed25519").as_bytes());
    let (port, key, user) = (server.port(), server.key(), server.user().name.clone());
    sternline::Fleet::new((0..HOSTS).map(|n| format!("host-{n:02}"))).configure(move |_, builder| {
        builder
            .address("127.0.0.1")
            .port(port)
            .username(&user)
            .auth([AuthConfig::key(key.clone())])
            .known_hosts_parsed(known_hosts.clone(), None)
    })
}

fn connections(server: &Sshd) -> usize {
    let ours = processes::tree(server.pid());
    processes::all()
        .iter()
        .filter(|process| ours.contains(&process.pid) && process.parent == server.pid())
        .filter(|process| !process.zombie)
        .count()
}

// --- fleets --------------------------------------------------------------------------------------------------------

#[test]
fn twenty_hosts_answer_in_their_order() {
    let server = Sshd::start();
    let fleet = Fleet::new(hosts(&server)).unwrap();
    assert_eq!(fleet.hosts().len(), HOSTS);
    let outcomes = fleet.exec("echo out; echo err >&2; exit 3").unwrap();
    assert_eq!(outcomes.len(), HOSTS);
    for (n, outcome) in outcomes.iter().enumerate() {
        assert_eq!(outcome.host, format!("host-{n:02}"));
        assert_eq!(outcome.result.as_ref().unwrap().exit_code(), Some(3));
        assert_eq!(outcome.stdout.text().unwrap(), "out\n");
        assert_eq!(&outcome.stderr.read_all().unwrap()[..], b"err\n");
        assert!(!outcome.ok() && outcome.skipped().is_none());
    }
}

#[test]
fn outcomes_come_as_the_hosts_are_done() {
    let server = Sshd::start();
    let gate = server.path("gate");
    let wait = format!(
        "while [ ! -e {} ]; do sleep 0.02; done; echo late",
        gate.display()
    );
    let fleet = Fleet::new(hosts(&server)).unwrap();
    let run = fleet.start(move |host| {
        ExecRequest::from(if host == "host-00" {
            wait.clone()
        } else {
            format!("echo {host}")
        })
    });
    let mut order = Vec::new();
    for (index, outcome) in run.unwrap().completed() {
        let text = outcome.stdout.text().unwrap();
        match index {
            0 => assert_eq!(text, "late\n"),
            n => assert_eq!(text, format!("host-{n:02}\n")),
        }
        order.push(index);
        if order.len() == HOSTS - 1 {
            std::fs::write(&gate, "").unwrap();
        }
    }
    assert_eq!(order.pop(), Some(0), "the first host is the last one done");
    assert_eq!(order.into_iter().collect::<BTreeSet<_>>(), (1..HOSTS).collect());
}

#[test]
fn events_come_as_they_happen_and_a_run_is_cancelled_from_another_thread() {
    let server = Sshd::start();
    let fleet = Fleet::new(hosts(&server)).unwrap();
    let run = fleet
        .start(|_| ExecRequest::from("echo up; sleep 93001"))
        .unwrap();
    let canceller = run.canceller();
    let (mut up, mut done) = (0, 0);
    for event in run {
        match event {
            FleetEvent::Lines { bytes, .. } => {
                assert_eq!(bytes, "up\n");
                up += 1;
                if up == HOSTS {
                    let canceller = canceller.clone();
                    thread::spawn(move || canceller.cancel());
                }
            }
            FleetEvent::Done { outcome, .. } => {
                assert_eq!(*outcome.result.unwrap_err().kind(), ErrorKind::Cancelled);
                done += 1;
            }
            _ => {}
        }
    }
    assert_eq!((up, done), (HOSTS, HOSTS));
    assert!(processes::containing("sleep 93001").is_empty());
}

#[test]
fn a_run_that_is_dropped_has_ended_its_commands() {
    let server = Sshd::start();
    let fleet = Fleet::new(hosts(&server)).unwrap();
    let mut run = fleet
        .start(|_| ExecRequest::from("echo up; sleep 93002"))
        .unwrap();
    assert!(run.any(|event| matches!(event, FleetEvent::Lines { .. })));
    drop(run);
    assert!(processes::containing("sleep 93002").is_empty());
    eventually_here("nobody is connected", || connections(&server) == 0);
}

#[test]
fn open_connections_are_used_again_and_closed_with_the_last_handle() {
    let server = Sshd::start();
    let open = Fleet::new(hosts(&server)).unwrap().connect().unwrap();
    for n in 0..3 {
        let outcomes = open.exec(format!("echo {n}")).unwrap();
        assert!(outcomes.iter().all(|outcome| outcome.ok()));
    }
    let one = open.connections().swap_remove(7).1.unwrap();
    drop(one);
    assert!(
        open.connections()
            .iter()
            .all(|(_, open)| open.as_ref().unwrap().is_connected())
    );
    assert_eq!(server.log().matches("Accepted publickey").count(), HOSTS);
    drop(open);
    eventually_here("nobody is connected", || connections(&server) == 0);
}

#[test]
fn connections_that_are_kept_outlive_the_runs_and_are_closed_when_asked() {
    let server = Sshd::start();
    let keep = Keep::new();
    let fleet = Fleet::new(hosts(&server).keep(&keep)).unwrap();
    fleet.exec("true").unwrap();
    fleet.exec("true").unwrap();
    assert_eq!(keep.open_connections(), HOSTS);
    assert_eq!(server.log().matches("Accepted publickey").count(), HOSTS);
    let one = fleet.connection(3).unwrap();
    drop(one);
    assert_eq!(keep.open_connections(), HOSTS, "it is not the caller's to close");
    fleet.close_kept(&keep).unwrap();
    assert_eq!(keep.open_connections(), 0);
}

#[test]
fn files_go_to_and_from_twenty_hosts() {
    let server = Sshd::start();
    let fleet = Fleet::new(hosts(&server)).unwrap();
    let content: Vec<u8> = (0..1_u32 << 16).flat_map(u32::to_le_bytes).collect();
    let folder = server.path("up");
    std::fs::create_dir(&folder).unwrap();
    // One server stands for all hosts, so each gets a name of its own.
    let target = folder.to_str().unwrap().to_owned();
    let (sent, there) = (content.clone(), target.clone());
    let run = fleet.start_transfer(move |index| {
        Transfer::upload(Source::bytes("file", sent.clone()), format!("{there}/{index}"))
    });
    let mut done = BTreeSet::new();
    for (index, result) in run.unwrap() {
        assert!(result.ok(), "{result:?}");
        done.insert(index);
    }
    assert_eq!(done, (0..HOSTS).collect());
    for index in 0..HOSTS {
        assert!(std::fs::read(folder.join(index.to_string())).unwrap() == content);
    }
    let here = tempfile::tempdir().unwrap();
    let into = format!("{}/", here.path().display());
    let results = fleet.download(format!("{target}/0"), into).unwrap();
    assert!(results.iter().all(sternline::TransferResult::ok));
    assert_eq!(std::fs::read_dir(here.path()).unwrap().count(), HOSTS);
}

#[test]
fn a_request_that_panics_is_an_outcome_and_no_end_of_the_fleet() {
    let server = Sshd::start();
    let fleet = Fleet::new(hosts(&server)).unwrap();
    let run = fleet.start(|host| match host {
        "host-07" => panic!("as a user's code may"),
        _ => ExecRequest::from("true"),
    });
    let outcomes = run.unwrap().outcomes().unwrap();
    assert_eq!(outcomes.len(), HOSTS);
    let failed = outcomes[7].result.as_ref().unwrap_err();
    assert_eq!(failed.kind(), &ErrorKind::Local, "{failed}");
    assert!(fleet.exec("true").unwrap().iter().all(|outcome| outcome.ok()));
}

#[tokio::test]
async fn a_fleet_in_a_runtime_is_refused() {
    let server = Sshd::start();
    let settings = hosts(&server);
    assert_eq!(
        Fleet::new(settings.clone()).unwrap_err().kind(),
        &ErrorKind::Invalid
    );
    let fleet = tokio::task::spawn_blocking(|| Fleet::new(settings));
    let fleet = fleet.await.unwrap().unwrap();
    assert_eq!(fleet.exec("true").unwrap_err().kind(), &ErrorKind::Invalid);
    assert_eq!(
        fleet.start(|_| "true".into()).unwrap_err().kind(),
        &ErrorKind::Invalid
    );
    assert_eq!(connections(&server), 0);
}

// --- supervised connections ----------------------------------------------------------------------------------------

fn quick() -> RetryPolicy {
    RetryPolicy {
        max_retries: 1000,
        base_delay: Duration::from_millis(10),
        max_delay: Duration::from_millis(40),
        ..RetryPolicy::default()
    }
}

const SOON: Duration = Duration::from_secs(20);

#[test]
fn a_supervised_connection_and_its_forwards_come_back_after_a_restart() {
    let mut server = Sshd::start();
    let supervisor = Supervisor::start(Supervisor::builder(server.builder()).retry(quick())).unwrap();
    assert_eq!(supervisor.exec("echo 1").unwrap().stdout_text(), "1\n");
    let echo = echo();
    let forward = supervisor.forward_local(0, "127.0.0.1", echo).unwrap();
    assert_eq!(ask(forward.local_port(), b"before"), b"before");
    let lost = supervisor.connection().unwrap();

    server.stop();
    assert!(lost.ended(SOON).unwrap().is_some());
    let waiting = {
        let supervisor = supervisor.clone();
        thread::spawn(move || supervisor.exec(ExecRequest::from("echo 2").timeout(SOON)))
    };
    server.start_again();
    let result = waiting.join().unwrap().unwrap();
    assert_eq!(result.stdout_text(), "2\n");
    let status = supervisor.wait_until(SOON, |status| status.reconnection_count == 1);
    assert_eq!(status.unwrap().unwrap().state, ConnectionState::Connected);
    assert_eq!(ask(forward.local_port(), b"after"), b"after");
    assert_eq!(supervisor.history().len(), 2);
    supervisor.close().unwrap();
    assert_eq!(supervisor.state(), ConnectionState::Disconnected);
    assert!(!forward.is_active());
}

#[test]
fn a_supervisor_is_watched_from_its_first_attempt() {
    let mut server = Sshd::start();
    server.stop();
    let supervisor = Supervisor::launch(Supervisor::builder(server.builder()).retry(quick())).unwrap();
    let failed = supervisor.wait_until(SOON, |status| status.failed_attempts >= 2);
    let error = failed.unwrap().unwrap().last_error.unwrap();
    assert_eq!(error.kind(), &ErrorKind::ConnectionRefused);
    assert!(
        !supervisor
            .wait_connected(Some(Duration::from_millis(20)))
            .unwrap()
    );
    let never = supervisor.wait_until(Duration::from_millis(20), |status| status.reconnection_count == 9);
    assert!(never.unwrap().is_none());
    server.start_again();
    assert!(supervisor.wait_connected(Some(SOON)).unwrap());
}

#[test]
fn the_last_handle_of_a_supervisor_closes_it_and_a_connection_of_it_does_not() {
    let server = Sshd::start();
    let supervisor = Supervisor::start(Supervisor::builder(server.builder()).retry(quick())).unwrap();
    drop(supervisor.connection().unwrap());
    assert!(supervisor.is_connected());
    let mut stream = supervisor.stream_exec("echo up; sleep 93003; true").unwrap();
    assert_eq!(stream.next().unwrap().stream(), "stdout");
    drop(supervisor);
    eventually_here("the command goes on", || {
        !processes::containing("sleep 93003").is_empty()
    });
    drop(stream);
    assert!(processes::containing("sleep 93003").is_empty());
    eventually_here("nobody is connected", || connections(&server) == 0);
}

#[test]
fn a_supervisor_that_is_closed_refuses_commands_in_all_threads() {
    let mut server = Sshd::start();
    let supervisor = Supervisor::start(Supervisor::builder(server.builder()).retry(quick())).unwrap();
    server.stop();
    supervisor
        .wait_until(SOON, |status| status.failed_attempts > 0)
        .unwrap()
        .unwrap();
    let waiting: Vec<_> = (0..4)
        .map(|_| {
            let supervisor = supervisor.clone();
            thread::spawn(move || supervisor.exec("true"))
        })
        .collect();
    supervisor.close().unwrap();
    for thread in waiting {
        let error = thread.join().unwrap().unwrap_err();
        assert_eq!(error.sent(), SendState::NotSent, "{error}");
    }
}

// --- forwards ------------------------------------------------------------------------------------------------------

/// Answers every connection with what it was sent, for as long as the test runs. Returns the port.
fn echo() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut said = Vec::new();
            if stream.read_to_end(&mut said).is_ok() {
                let _ = stream.write_all(&said);
            }
        }
    });
    port
}

fn ask(port: u16, text: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(text).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    answer
}

#[test]
fn forwards_carry_connections_while_nobody_waits() {
    let server = Sshd::start();
    let connection = Connection::connect(server.builder()).unwrap();
    let forwards = ForwardManager::new(&connection).unwrap();
    let echo = echo();
    let local = forwards.forward_local(0, "127.0.0.1", echo).unwrap();
    let remote = forwards.forward_remote(0, "127.0.0.1", echo).unwrap();
    assert_eq!(ask(local.local_port(), b"from here"), b"from here");
    assert_eq!(ask(remote.local_port(), b"from there"), b"from there");
    assert_eq!(forwards.active_forwards().len(), 2);
    assert_eq!(local.total_connections(), 1);

    let port = local.local_port();
    local.close().unwrap();
    TcpListener::bind(("127.0.0.1", port)).expect("the port is free when close returns");
    forwards.close_all().unwrap();
    assert!(forwards.intents().is_empty());
    assert!(!remote.is_active());
}

#[test]
fn forwards_end_with_their_connection_and_do_not_keep_it_open() {
    let server = Sshd::start();
    let connection = Connection::connect(server.builder()).unwrap();
    let forwards = ForwardManager::new(&connection).unwrap();
    let local = forwards.forward_local(0, "127.0.0.1", echo()).unwrap();
    let begun = Instant::now();
    drop(connection);
    eventually_here("nobody is connected", || connections(&server) == 0);
    eventually_here("nothing listens", || !local.is_active());
    assert!(begun.elapsed() < SOON);
    let error = forwards.forward_local(0, "127.0.0.1", 1).unwrap_err();
    assert!(error.kind().is_connection(), "{error}");
}
