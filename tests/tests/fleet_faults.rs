//! Fleets in which much goes wrong: each host has its own outcome, and the run ends when its limits say.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sternline::connection::JumpHost;
use sternline::fleet::{FleetEvent, Outcome};
use sternline::host_key::KnownHosts;
use sternline::{AuthConfig, ConnectionBuilder, ErrorKind, ExecRequest, Fleet, Phase, SendState};
use sternline_server::fault::{Fault, FaultProxy};
use sternline_server::{Credential, ExitOutcome, Server, ServerBuilder};
use sternline_tests::spread::{loopback, spread};
use sternline_tests::sshd::{Settings, Sshd, free_port};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;

fn server() -> ServerBuilder {
    Server::builder().user("ann", Credential::password("secret"))
}

/// The keys of a server, whatever it is called.
fn known_everywhere(line: &str) -> KnownHosts {
    let (_, key) = line.split_once(' ').unwrap();
    KnownHosts::from_bytes("known_hosts", format!("* {key}").as_bytes())
}

fn login(builder: ConnectionBuilder, known_hosts: &KnownHosts) -> ConnectionBuilder {
    builder
        .username("ann")
        .password("secret")
        .known_hosts_parsed(known_hosts.clone(), None)
}

/// A listener on this address that lets nobody finish the TCP handshake, and what fills its queue.
async fn full(address: String) -> (TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{address}:0").parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let local = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(Ok(stream)) =
        tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(local)).await
    {
        waiting.push(stream);
    }
    (listener, waiting)
}

/// What a host of the big run is up to.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Succeeds,
    Refuses,
    Swallows,
    Ignores,
    Resets(usize),
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_thousand_hosts_each_has_its_exact_outcome_and_the_run_ends_in_time() {
    const HOSTS: usize = 1000;
    /// How long those may take who never answer. The others have the time that a busy machine needs.
    const LIMIT: Duration = Duration::from_secs(2);
    let server = server()
        .on_exec(|mut request| async move {
            let _ = request.stdout.write_all(b"begun\n").await;
            match request.command_text().into_owned().as_str() {
                "wait" => std::future::pending().await,
                _ => ExitOutcome::SUCCESS,
            }
        })
        .bind()
        .await
        .unwrap();
    let real = SocketAddr::from(([127, 0, 0, 1], server.port()));
    let nobody = free_port();
    spread(server.port(), 1, HOSTS).await;
    let mut swallowing = JoinSet::new();
    for n in 0..HOSTS / 40 {
        swallowing.spawn(full(loopback(9, n)));
    }
    let swallowing = swallowing.join_all().await;
    let mut full = swallowing
        .iter()
        .map(|(listener, _)| listener.local_addr().unwrap());
    let (mut silent, mut failing) = (Vec::new(), Vec::new());
    let (mut targets, mut fates) = (Vec::new(), Vec::new());
    for n in 0..HOSTS {
        // Of twenty in a row one refuses, one swallows what it gets, and one is reset, in changing places.
        let (target, fate) = match (n * 7) % 20 {
            3 => (format!("{}:{nobody}", loopback(8, n)), Fate::Refuses),
            9 if n % 40 < 20 => {
                let proxy = FaultProxy::start(real).await.unwrap();
                proxy.faults().set("black-hole".parse::<Fault>().unwrap());
                silent.push(proxy);
                (silent.last().unwrap().addr().to_string(), Fate::Ignores)
            }
            9 => (full.next().unwrap().to_string(), Fate::Swallows),
            15 => {
                failing.push(FaultProxy::start(real).await.unwrap());
                let proxy = failing.last().unwrap();
                (proxy.addr().to_string(), Fate::Resets(failing.len() - 1))
            }
            _ => (format!("{}:{}", loopback(1, n), server.port()), Fate::Succeeds),
        };
        targets.push(target);
        fates.push(fate);
    }
    let waits: Vec<String> = failing.iter().map(|proxy| proxy.addr().to_string()).collect();
    let dead: Vec<String> = targets
        .iter()
        .zip(&fates)
        .filter(|(_, fate)| matches!(fate, Fate::Swallows | Fate::Ignores))
        .map(|(target, _)| target.clone())
        .collect();
    let known_hosts = known_everywhere(&server.known_hosts_line());
    let fleet = Fleet::new(targets).configure(move |host, builder| {
        let limit = if dead.iter().any(|dead| dead == host) {
            LIMIT
        } else {
            Duration::from_secs(60)
        };
        login(builder, &known_hosts).connect_timeout(limit)
    });
    let mut run = fleet
        .start(move |host| {
            ExecRequest::from(if waits.iter().any(|waiting| waiting == host) {
                "wait"
            } else {
                "true"
            })
        })
        .unwrap();

    let mut began: HashMap<usize, Instant> = HashMap::new();
    let mut outcomes: Vec<Option<Outcome>> = (0..HOSTS).map(|_| None).collect();
    while let Some(event) = run.next().await {
        match event {
            FleetEvent::Started { index } => drop(began.insert(index, Instant::now())),
            FleetEvent::Lines { index, .. } => {
                if let Fate::Resets(proxy) = fates[index] {
                    failing[proxy].faults().set("reset".parse::<Fault>().unwrap());
                }
            }
            FleetEvent::Done { index, outcome } => {
                let took = began[&index].elapsed();
                assert!(
                    took < LIMIT + Duration::from_secs(20),
                    "{outcome:?} took {took:?}"
                );
                assert!(outcomes[index].replace(outcome).is_none(), "one outcome each");
            }
            _ => {}
        }
    }
    let mut counted: HashMap<&str, usize> = HashMap::new();
    for (fate, outcome) in fates.iter().zip(outcomes) {
        let outcome = outcome.unwrap();
        assert_eq!(outcome.attempts, 1, "{outcome:?}");
        let what = match &outcome.result {
            Ok(result) => {
                assert!(result.ok());
                (None, None, SendState::Ran)
            }
            Err(error) => (Some(error.kind().clone()), error.phase(), error.sent()),
        };
        let not_sent = SendState::NotSent;
        let (name, expected) = match fate {
            Fate::Succeeds => ("ok", (None, None, SendState::Ran)),
            Fate::Refuses => (
                "refused",
                (Some(ErrorKind::ConnectionRefused), Some(Phase::Tcp), not_sent),
            ),
            Fate::Swallows => (
                "swallowed",
                (Some(ErrorKind::ConnectionTimeout), Some(Phase::Tcp), not_sent),
            ),
            Fate::Ignores => (
                "ignored",
                (Some(ErrorKind::ConnectionTimeout), Some(Phase::Banner), not_sent),
            ),
            Fate::Resets(_) => (
                "reset",
                (Some(ErrorKind::Connection), Some(Phase::Exec), SendState::Ran),
            ),
        };
        assert_eq!(what, expected, "{outcome:?}");
        *counted.entry(name).or_default() += 1;
    }
    let counts = ["ok", "refused", "swallowed", "ignored", "reset"].map(|name| counted[name]);
    assert_eq!(counts, [850, 50, 25, 25, 50]);
}

#[tokio::test]
async fn what_was_not_sent_gets_another_attempt_and_what_may_have_run_gets_none() {
    let ran = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&ran);
    let server = server()
        .on_exec(move |mut request| {
            let count = Arc::clone(&count);
            async move {
                count.fetch_add(1, Ordering::SeqCst);
                let _ = request.stdout.write_all(b"begun\n").await;
                match request.command_text().into_owned().as_str() {
                    "wait" => std::future::pending().await,
                    _ => ExitOutcome::SUCCESS,
                }
            }
        })
        .bind()
        .await
        .unwrap();
    let real = SocketAddr::from(([127, 0, 0, 1], server.port()));
    let proxy = FaultProxy::start(real).await.unwrap();
    let faults = proxy.faults();

    // Cut off in the middle of the handshake, until somebody mends it.
    faults.set("drop-after:30".parse::<Fault>().unwrap());
    let known_hosts = known_everywhere(&server.known_hosts_line());
    let fleet = Fleet::new([proxy.addr().to_string()])
        .configure(move |_, builder| login(builder, &known_hosts))
        .retries(8);
    let mending = async {
        faults.until(|counters| counters.fired > 0).await;
        faults.heal();
    };
    let (outcomes, ()) = tokio::join!(fleet.exec("true"), mending);
    let outcome = outcomes.unwrap().remove(0);
    assert!(outcome.ok() && outcome.attempts > 1, "{outcome:?}");
    assert_eq!(ran.load(Ordering::SeqCst), 1);

    // Cut off once the command was running.
    let mut run = fleet.start(|_| ExecRequest::from("wait")).unwrap();
    while let Some(event) = run.next().await {
        match event {
            FleetEvent::Lines { .. } => faults.set(Fault::Reset),
            FleetEvent::Done { outcome, .. } => {
                assert_eq!(outcome.result.unwrap_err().sent(), SendState::Ran);
                assert_eq!(outcome.attempts, 1);
            }
            _ => {}
        }
    }
    assert_eq!(ran.load(Ordering::SeqCst), 2);

    // A password that is wrong stays wrong.
    faults.heal();
    let stranger = fleet.configure({
        let known_hosts = known_everywhere(&server.known_hosts_line());
        move |_, builder| {
            builder
                .username("ann")
                .password("wrong")
                .known_hosts_parsed(known_hosts.clone(), None)
        }
    });
    let outcome = stranger.exec("true").await.unwrap().remove(0);
    assert_eq!(outcome.attempts, 1);
    assert_eq!(outcome.result.unwrap_err().kind(), &ErrorKind::AuthFailed);
}

/// A real server with a limit of its own on clients that have not logged in.
fn sshd(max_startups: &str) -> Sshd {
    Settings::default()
        .option(&format!("MaxStartups {max_startups}"))
        .start()
}

/// Targets of which each has an address of its own, and all lead to one server.
async fn targets(server: &Sshd, network: u8, count: usize) -> Vec<String> {
    let (user, port) = (&server.user().name, server.port());
    let addresses = spread(port, network, count).await;
    addresses
        .into_iter()
        .map(|address| format!("{user}@{address}:{port}"))
        .collect()
}

fn logging_in(server: &Sshd) -> impl Fn(ConnectionBuilder) -> ConnectionBuilder + Send + Sync + 'static {
    let known_hosts = known_everywhere(&server.known_hosts_line("ed25519"));
    let key = server.key();
    move |builder| {
        builder
            .auth([AuthConfig::key(&key)])
            .known_hosts_parsed(known_hosts.clone(), None)
    }
}

#[tokio::test]
async fn a_server_that_turns_clients_away_is_asked_again_until_all_have_had_their_turn() {
    let server = sshd("3:100:3");
    let login = logging_in(&server);
    let fleet = Fleet::new(targets(&server, 3, 50).await).configure(move |_, builder| login(builder));
    let outcomes = fleet.exec("true").await.unwrap();
    for outcome in &outcomes {
        assert!(outcome.ok(), "{outcome:?}");
    }
    // Their addresses differ, so nobody could know that it is one server.
    assert!(outcomes.iter().any(|outcome| outcome.attempts > 1));
    assert!(server.log().contains("past MaxStartups"));
}

#[tokio::test]
async fn one_address_never_has_more_clients_than_it_takes() {
    let server = sshd("9:100:9");
    let login = logging_in(&server);
    let same = vec![server.target(); 40];
    let fleet = Fleet::new(same).configure(move |_, builder| login(builder));
    for outcome in fleet.exec("true").await.unwrap() {
        assert!(outcome.ok() && outcome.attempts == 1, "{outcome:?}");
    }
    assert!(!server.log().contains("MaxStartups"), "{}", server.log());

    // Unchecked it would have more; those are turned away, and come again.
    for outcome in fleet.startups(40).exec("true").await.unwrap() {
        assert!(outcome.ok(), "{outcome:?}");
    }
    assert!(server.log().contains("past MaxStartups"));
}

#[tokio::test]
async fn two_hundred_hosts_behind_one_bastion_do_not_trip_it() {
    let bastion_server = sshd("10:30:100");
    let server = sshd("500");
    let bastion = JumpHost::new(bastion_server.builder());
    let login = logging_in(&server);
    let fleet = Fleet::new(targets(&server, 4, 200).await)
        .configure(move |_, builder| login(builder).jump_through(&bastion));
    for outcome in fleet.exec("true").await.unwrap() {
        assert!(outcome.ok(), "{outcome:?}");
    }
    assert_eq!(bastion_server.log().matches("Accepted publickey").count(), 1);
}

#[tokio::test]
async fn hosts_with_jump_hosts_of_their_own_do_not_trip_the_server_that_these_lead_to() {
    let bastion_server = sshd("9:100:9");
    let server = sshd("500");
    let (login, bastion) = (logging_in(&server), bastion_server.builder());
    let fleet = Fleet::new(targets(&server, 5, 40).await)
        .configure(move |_, builder| login(builder).jump([bastion.clone()]));
    for outcome in fleet.exec("true").await.unwrap() {
        assert!(outcome.ok() && outcome.attempts == 1, "{outcome:?}");
    }
    let log = bastion_server.log();
    assert_eq!(log.matches("Accepted publickey").count(), 40);
    assert!(!log.contains("MaxStartups"), "{log}");
}
