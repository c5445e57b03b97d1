//! Through jump hosts and over proxy commands, with real servers on every hop.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::Stdio;
use std::time::Duration;

use sternline::connection::{JumpHost, ProxyCommand};
use sternline::exec::Stdin;
use sternline::host_key::KnownHosts;
use sternline::{
    AuthConfig, Connection, ConnectionBuilder, ErrorKind, EventCollector, EventType, ExecRequest, Fleet,
    KeepaliveConfig, Phase, RetryPolicy, SendState, Supervisor,
};
use sternline_server::fault::{Fault, FaultProxy};
use sternline_tests::cli::Home;
use sternline_tests::processes;
use sternline_tests::sshd::{Settings, Sshd, free_port};

fn signal(pid: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

fn logins(server: &Sshd) -> usize {
    server.log().matches("Accepted publickey").count()
}

fn hop(server: &Sshd, number: usize, count: usize) -> String {
    format!("jump host {number} of {count} ({})", server.target())
}

#[tokio::test]
async fn two_jump_hosts_in_a_row_are_each_logged_in_to_with_their_own_key_and_checked_by_their_own() {
    // No server knows the key of another one, and none is known in the files of another one.
    let (first, second, target) = (Sshd::start(), Sshd::start(), Sshd::start());
    let events = EventCollector::new();
    let connection = target
        .builder()
        .jump([first.builder(), second.builder()])
        .events(&events)
        .connect()
        .await
        .unwrap();
    let result = connection.exec("echo $SSH_CONNECTION").await.unwrap();
    let text = result.stdout_text();
    assert!(
        text.trim_end().ends_with(&format!(" {}", target.port())),
        "{text}"
    );
    assert_eq!(connection.peer_address(), None);
    assert_eq!((logins(&first), logins(&second), logins(&target)), (1, 1, 1));

    let last = connection.jump_host().unwrap();
    let nearest = last.jump_host().unwrap();
    assert_eq!((nearest.port(), last.port()), (first.port(), second.port()));
    assert!(nearest.jump_host().is_none() && nearest.peer_address().is_some());
    for (hop, server) in [(&nearest, &first), (&last, &second), (&connection, &target)] {
        assert!(
            hop.host_key()
                .trust()
                .to_string()
                .contains(&server.path("known_hosts").display().to_string())
        );
    }
    assert_eq!(connection.timings()[0].0, Phase::Proxy);

    let way = format!("{},{}", first.target(), second.target());
    for event in events.by_type(EventType::Connect) {
        assert_eq!(event.data["proxy_jump"], way, "{event:?}");
        assert_eq!(event.data["port"], target.port());
    }
    drop((last, nearest));
    connection.close().await;
    for server in [&first, &second, &target] {
        processes::eventually("all three are left", || processes::tree(server.pid()).len() == 1).await;
    }
}

#[tokio::test]
async fn a_wrong_host_key_on_the_way_names_its_hop_and_nothing_behind_it_is_asked() {
    let (first, second, target) = (Sshd::start(), Sshd::start(), Sshd::start());
    let line = first
        .known_hosts_line("ed25519")
        .replace(&first.port().to_string(), &second.port().to_string());
    let wrong = KnownHosts::from_bytes("wrong", line.as_bytes());
    let error = target
        .builder()
        .jump([first.builder(), second.builder().known_hosts_parsed(wrong, None)])
        .connect()
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.phase()),
        (&ErrorKind::HostKeyMismatch, Some(Phase::HostKey))
    );
    assert!(error.to_string().starts_with(&hop(&second, 2, 2)), "{error}");
    let context = error.context();
    assert_eq!(
        context.port,
        Some(target.port()),
        "the host is still the one that was asked for"
    );
    let at = context.hop.as_ref().unwrap();
    assert_eq!((at.number, at.count, &at.target), (2, 2, &second.target()));
    let told = error.to_dict();
    assert_eq!(told["hop"], second.target());
    assert_eq!((&told["hop_number"], &told["hop_count"]), (&2.into(), &2.into()));
    assert!(told["message"].as_str().unwrap().starts_with("jump host 2 of 2"));
    assert!(!target.log().contains("Connection from"), "{}", target.log());
}

#[tokio::test]
async fn a_refused_login_on_the_way_names_its_hop() {
    let (first, target) = (Sshd::start(), Sshd::start());
    let stranger = Connection::builder(first.target())
        .known_hosts([first.known_hosts()])
        .auth([AuthConfig::key(target.key())]);
    let error = target.builder().jump([stranger]).connect().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.phase()),
        (&ErrorKind::AuthFailed, Some(Phase::Auth))
    );
    assert!(error.to_string().starts_with(&hop(&first, 1, 1)), "{error}");
}

#[tokio::test]
async fn a_hop_that_cannot_be_reached_is_told_apart_from_a_host_that_cannot() {
    let (first, target) = (Sshd::start(), Sshd::start());
    let port = free_port();
    let nobody = || Connection::builder(format!("alice@127.0.0.1:{port}"));

    let error = target.builder().jump([nobody()]).connect().await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::ConnectionRefused);
    let expected = format!("jump host 1 of 1 (alice@127.0.0.1:{port}): ");
    assert!(error.to_string().starts_with(&expected), "{error}");

    for builder in [
        nobody().jump([first.builder()]),
        target.builder().jump([first.builder(), nobody()]),
    ] {
        let error = builder.connect().await.unwrap_err();
        assert_eq!(
            (error.kind(), error.phase()),
            (&ErrorKind::HostUnreachable, Some(Phase::Tcp))
        );
        let expected = format!("({}): it cannot connect to 127.0.0.1 port {port}", first.target());
        assert!(error.to_string().contains(&expected), "{error}");
    }
}

#[tokio::test]
async fn a_hop_that_forbids_forwarding_says_so_with_the_option_to_change() {
    let first = Settings::default().option("AllowTcpForwarding no").start();
    let target = Sshd::start();
    let error = target
        .builder()
        .jump([first.builder()])
        .connect()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Channel);
    assert!(error.to_string().starts_with(&hop(&first, 1, 1)), "{error}");
    assert!(
        error
            .to_string()
            .contains("does not allow connections through it"),
        "{error}"
    );
    assert!(error.hint().contains("AllowTcpForwarding"), "{}", error.hint());
}

#[tokio::test]
async fn a_jump_host_needs_to_allow_no_session_at_all() {
    let first = Settings::default().option("MaxSessions 0").start();
    let target = Sshd::start();
    let connection = target.builder().jump([first.builder()]).connect().await.unwrap();
    assert!(connection.exec("true").await.unwrap().ok());
    assert!(!first.log().contains("session"), "{}", first.log());
}

#[tokio::test]
async fn the_overall_limit_covers_all_hops_and_its_expiry_names_the_hop_that_was_waited_for() {
    let (first, target) = (Sshd::start(), Sshd::start());
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let error = target
        .builder()
        .jump([first.builder(), format!("alice@127.0.0.1:{port}").as_str().into()])
        .connect_timeout(Duration::from_secs(2))
        .connect()
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.phase()),
        (&ErrorKind::ConnectionTimeout, Some(Phase::Banner))
    );
    let expected = format!("jump host 2 of 2 (alice@127.0.0.1:{port}): timed out");
    assert!(error.to_string().starts_with(&expected), "{error}");
    assert!(error.to_string().contains("the overall limit of 2 s"), "{error}");
}

#[tokio::test]
async fn when_a_hop_is_lost_the_connection_through_it_ends_with_an_error_that_names_it() {
    let (first, second, target) = (Sshd::start(), Sshd::start(), Sshd::start());
    let events = EventCollector::new();
    let connection = target
        .builder()
        .jump([first.builder(), second.builder()])
        .events(&events)
        .connect()
        .await
        .unwrap();
    let running = {
        let connection = connection.clone();
        tokio::spawn(async move { connection.exec("echo before; sleep 26.101").await })
    };
    processes::eventually("the command runs", || {
        !processes::containing("sleep 26.101").is_empty()
    })
    .await;
    first.break_connections();
    let error = running.await.unwrap().unwrap_err();
    assert_eq!(
        (error.kind(), error.phase(), error.sent()),
        (&ErrorKind::Connection, Some(Phase::Exec), SendState::Ran)
    );
    assert!(error.to_string().starts_with(&hop(&first, 1, 2)), "{error}");
    let ended = connection.ended().await;
    assert!(ended.to_string().starts_with(&hop(&first, 1, 2)), "{ended}");
    assert_eq!(ended.context().port, Some(target.port()));
    processes::eventually("the end is told", || {
        events
            .by_type(EventType::Disconnect)
            .first()
            .is_some_and(|event| event.data["reason"] == "network_error")
    })
    .await;
}

#[tokio::test]
async fn a_hop_that_goes_silent_is_noticed_by_its_own_keepalive() {
    let (first, target) = (Sshd::start(), Sshd::start());
    let events = EventCollector::new();
    let hop_settings = first.builder().keepalive(KeepaliveConfig {
        interval: Duration::from_millis(200),
        max_count: 2,
        ..KeepaliveConfig::default()
    });
    let connection = target
        .builder()
        .jump([hop_settings])
        .events(&events)
        .connect()
        .await
        .unwrap();
    let own: Vec<u32> = processes::tree(first.pid());
    for pid in own.iter().filter(|pid| **pid != first.pid()) {
        signal(*pid, rustix::process::Signal::STOP);
    }
    let ended = connection.ended().await;
    assert!(ended.to_string().starts_with(&hop(&first, 1, 1)), "{ended}");
    assert!(ended.to_string().contains("keepalive"), "{ended}");
    processes::eventually("the end is told with its reason", || {
        events
            .by_type(EventType::Disconnect)
            .first()
            .is_some_and(|event| event.data["reason"] == "keepalive_timeout")
    })
    .await;
}

#[tokio::test]
async fn what_goes_through_two_hops_arrives_as_it_was_both_ways() {
    let (first, second, target) = (Sshd::start(), Sshd::start(), Sshd::start());
    let connection = target
        .builder()
        .jump([first.builder(), second.builder()])
        .connect()
        .await
        .unwrap();
    let mut state = 1_u64;
    let bytes: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_be_bytes()
    })
    .take(8 * 1024 * 1024)
    .flatten()
    .collect();
    let request = ExecRequest::from("cat").stdin(Stdin::from(bytes.clone()));
    let result = connection.exec(request).await.unwrap();
    assert!(
        result.ok() && result.stdout == bytes,
        "{} bytes",
        result.stdout.len()
    );
}

/// Twenty hosts: two servers, each at ten addresses of this machine, because sshd listens at sixteen at most.
struct Twenty {
    servers: [Sshd; 2],
    targets: Vec<String>,
    known: KnownHosts,
}

impl Twenty {
    async fn start() -> Self {
        let addresses: Vec<String> = (1..=10).map(|last| format!("127.0.0.{last}")).collect();
        let (mut targets, mut lines) = (Vec::new(), String::new());
        let servers = [(); 2].map(|()| {
            let others = addresses.iter().skip(1);
            let settings = others.fold(Settings::default(), |settings, address| {
                settings.option(&format!("ListenAddress {address}"))
            });
            let server = settings.start();
            for address in &addresses {
                let line = server.known_hosts_line("ed25519");
                lines.push_str(&line.replace("127.0.0.1", address));
                targets.push(server.target().replace("127.0.0.1", address));
            }
            server
        });
        for server in &servers {
            processes::eventually("the server listens everywhere", || {
                server.log().matches("Server listening on").count() == 10
            })
            .await;
        }
        Self {
            servers,
            targets,
            known: KnownHosts::from_bytes("known_hosts", lines.as_bytes()),
        }
    }

    fn fleet(&self, bastion: &JumpHost) -> Fleet {
        let (keys, known, bastion) = (
            [self.servers[0].key(), self.servers[1].key()],
            self.known.clone(),
            bastion.clone(),
        );
        Fleet::new(self.targets.clone()).configure(move |_, builder: ConnectionBuilder| {
            builder
                .auth(keys.clone().map(AuthConfig::key))
                .known_hosts_parsed(known.clone(), None)
                .jump_through(&bastion)
        })
    }

    fn logins(&self) -> usize {
        self.servers.iter().map(logins).sum()
    }
}

#[tokio::test]
async fn twenty_hosts_behind_one_bastion_share_one_login_there() {
    let bastion_server = Sshd::start();
    let hosts = Twenty::start().await;
    let bastion = JumpHost::new(bastion_server.builder());
    let fleet = hosts.fleet(&bastion);
    for outcome in fleet.exec("true").await.unwrap() {
        assert!(outcome.ok(), "{outcome:?}");
    }
    assert_eq!((logins(&bastion_server), hosts.logins()), (1, 20));

    // One after the other: in between only the settings hold the connection.
    for outcome in fleet.clone().parallel(1).exec("true").await.unwrap() {
        assert!(outcome.ok(), "{outcome:?}");
    }
    assert_eq!(logins(&bastion_server), 1);
    let connections = || processes::tree(bastion_server.pid()).len() - 1;
    assert!(connections() > 0);
    drop((bastion, fleet));
    processes::eventually("it is left when nobody needs it", || connections() == 0).await;
}

#[tokio::test]
async fn a_bastion_that_refuses_is_asked_once_for_all_that_wait() {
    let (bastion_server, target) = (Sshd::start(), Sshd::start());
    let stranger = Connection::builder(bastion_server.target())
        .known_hosts([bastion_server.known_hosts()])
        .auth([AuthConfig::key(target.key())]);
    let bastion = JumpHost::new(stranger);
    let waiting: Vec<_> = (0..20)
        .map(|_| tokio::spawn(target.builder().jump_through(&bastion).connect()))
        .collect();
    for waiter in waiting {
        let error = waiter.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::AuthFailed);
        assert!(
            error.to_string().starts_with(&hop(&bastion_server, 1, 1)),
            "{error}"
        );
    }
    assert_eq!(bastion_server.log().matches("Connection from").count(), 1);
}

#[tokio::test]
async fn a_bastion_that_died_is_opened_again_for_the_next_who_needs_it() {
    let (bastion_server, target) = (Sshd::start(), Sshd::start());
    let bastion = JumpHost::new(bastion_server.builder());
    let first = target.builder().jump_through(&bastion).connect().await.unwrap();
    bastion_server.break_connections();
    first.ended().await;
    let second = target.builder().jump_through(&bastion).connect().await.unwrap();
    assert!(second.exec("true").await.unwrap().ok());
    assert_eq!(logins(&bastion_server), 2);
}

#[tokio::test]
async fn a_waiter_that_goes_away_takes_no_attempt_from_the_others() {
    let (bastion_server, target) = (Sshd::start(), Sshd::start());
    let bastion = JumpHost::new(bastion_server.builder());
    let connect = || tokio::spawn(target.builder().jump_through(&bastion).connect());
    let (impatient, patient) = (connect(), connect());
    tokio::task::yield_now().await;
    impatient.abort();
    assert!(patient.await.unwrap().unwrap().exec("true").await.unwrap().ok());
    assert_eq!(logins(&bastion_server), 1);
}

#[tokio::test]
async fn an_attempt_that_nobody_waits_for_any_more_is_given_up() {
    let target = Sshd::start();
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let bastion = JumpHost::new(format!("alice@{}", silent.local_addr().unwrap()));
    let waiting = [(); 2].map(|()| tokio::spawn(target.builder().jump_through(&bastion).connect()));
    let (stream, _) = silent.accept().await.unwrap();
    let mut stream = tokio::io::BufReader::new(stream);
    let mut said = String::new();
    tokio::io::AsyncBufReadExt::read_line(&mut stream, &mut said)
        .await
        .unwrap();
    assert!(said.starts_with("SSH-2.0-"), "{said}");
    for waiter in waiting {
        waiter.abort();
    }
    let mut rest = Vec::new();
    let read = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut rest);
    let ended = tokio::time::timeout(Duration::from_secs(20), read).await;
    assert!(ended.is_ok(), "the connection to the jump host is still open");
}

/// A supervisor that tries again quickly.
async fn supervise(settings: ConnectionBuilder) -> Supervisor {
    let policy = RetryPolicy {
        base_delay: Duration::from_millis(10),
        max_delay: Duration::from_millis(100),
        ..RetryPolicy::default()
    };
    Supervisor::builder(settings).retry(policy).start().await.unwrap()
}

async fn reconnected(supervisor: &Supervisor, count: u32) {
    let mut status = supervisor.watch();
    let again = status.wait_for(|status| status.reconnection_count == count && status.connection.is_some());
    tokio::time::timeout(Duration::from_secs(30), again)
        .await
        .unwrap_or_else(|_| panic!("{supervisor:?}"))
        .unwrap();
}

#[tokio::test]
async fn a_supervised_connection_and_its_jump_hosts_are_one_link() {
    let (first, second, target) = (Sshd::start(), Sshd::start(), Sshd::start());
    let events = EventCollector::new();
    let settings = target
        .builder()
        .jump([first.builder(), second.builder()])
        .events(&events);
    let supervisor = supervise(settings).await;
    for (count, broken) in [&first, &second, &target].into_iter().enumerate() {
        broken.break_connections();
        reconnected(&supervisor, u32::try_from(count).unwrap() + 1).await;
        let result = supervisor.exec("echo again").await.unwrap();
        assert_eq!(result.stdout_text(), "again\n");
    }
    // Only what was broken, and what lay behind it, was made again.
    assert_eq!((logins(&first), logins(&second), logins(&target)), (2, 3, 4));
    let reasons = events
        .by_type(EventType::StateChange)
        .into_iter()
        .filter(|event| event.data["to_state"] == "reconnecting")
        .map(|event| event.data["reason"].clone());
    assert_eq!(reasons.collect::<Vec<_>>(), ["network_error"; 3]);
    supervisor.close().await;
    drop(supervisor);
    for server in [&first, &second, &target] {
        processes::eventually("all three are left", || processes::tree(server.pid()).len() == 1).await;
    }
}

#[tokio::test]
async fn a_jump_host_that_died_unnoticed_does_not_keep_a_supervisor_from_connecting_again() {
    let (first, target) = (Sshd::start(), Sshd::start());
    let link = FaultProxy::start((Ipv4Addr::LOCALHOST, first.port()).into())
        .await
        .unwrap();
    let known = first
        .known_hosts_line("ed25519")
        .replace(&first.port().to_string(), &link.addr().port().to_string());
    // It sends no probes itself: only what runs through it notices.
    let hop_settings = Connection::builder(format!("{}@{}", first.user().name, link.addr()))
        .known_hosts_parsed(KnownHosts::from_bytes("known", known.as_bytes()), None)
        .auth([AuthConfig::key(first.key())]);
    let keepalive = KeepaliveConfig {
        interval: Duration::from_millis(200),
        max_count: 2,
        ..KeepaliveConfig::default()
    };
    let supervisor = supervise(target.builder().jump([hop_settings]).keepalive(keepalive)).await;
    link.faults().set_open(Fault::BlackHole);
    reconnected(&supervisor, 1).await;
    assert!(supervisor.exec("true").await.unwrap().ok());
    assert_eq!((logins(&first), logins(&target)), (2, 2));
    supervisor.close().await;
}

/// `ssh -W`, with the server's key and known hosts. The marker stands in its arguments and does nothing.
fn ssh_w(server: &Sshd, marker: &str) -> String {
    format!(
        "ssh -F none -i {} -o UserKnownHostsFile={} -o IdentitiesOnly=yes -o BatchMode=yes -o IgnoreUnknown={marker} \
         -p {} -W %h:%p {}@127.0.0.1",
        server.key().display(),
        server.known_hosts().display(),
        server.port(),
        server.user().name
    )
}

#[tokio::test]
async fn over_a_proxy_command_everything_works_and_the_command_ends_with_the_connection() {
    let (bastion, target) = (Sshd::start(), Sshd::start());
    let events = EventCollector::new();
    for dropped in [false, true] {
        let marker = format!("proxy-{dropped}-{}", std::process::id());
        let connection = target
            .builder()
            .proxy_command(ssh_w(&bastion, &marker))
            .events(&events)
            .connect()
            .await
            .unwrap();
        assert_eq!(
            connection.exec("echo hello").await.unwrap().stdout_text(),
            "hello\n"
        );
        assert_eq!(connection.peer_address(), None);
        let running = processes::containing(&marker);
        assert_eq!(running.len(), 1, "{running:?}");
        // Ctrl-C at a terminal is for us: it has to leave the command alone.
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", running[0].pid)).unwrap();
        let group = stat.rsplit_once(") ").unwrap().1.split(' ').nth(2).unwrap();
        assert_eq!(group, running[0].pid.to_string());
        if dropped {
            drop(connection);
        } else {
            connection.close().await;
        }
        let pid = running[0].pid;
        processes::eventually("the command is gone and reaped", || {
            processes::all().iter().all(|process| process.pid != pid)
        })
        .await;
    }
    let told = &events.by_type(EventType::Connect)[0].data["proxy_command"];
    assert!(told.as_str().unwrap().contains("-W %h:%p"), "{told}");
}

#[tokio::test]
async fn a_proxy_command_that_fails_tells_its_status_and_what_it_said() {
    let target = Sshd::start();
    let events = EventCollector::new();
    let error = target
        .builder()
        .proxy_command("sh -c 'echo no way to %h >&2; printf \"\\033[31mred\\n\" >&2; exit 7'")
        .events(&events)
        .connect()
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.phase()),
        (&ErrorKind::Connection, Some(Phase::Banner))
    );
    assert_eq!(
        error.to_string(),
        "the proxy command ended with exit status 7 and said: no way to 127.0.0.1; \\x1b[31mred"
    );
    let told = &events.by_type(EventType::Error)[0].data;
    assert_eq!(told["exit_code"], 7);
    assert_eq!(told["stderr"], "no way to 127.0.0.1; \\x1b[31mred");
    assert!(told["proxy_command"].as_str().unwrap().contains("%h"));
    assert!(
        error.hint().contains("no way to 127.0.0.1 >&2"),
        "{}",
        error.hint()
    );

    let missing = ProxyCommand::program(["/does/not/exist"]);
    let error = target
        .builder()
        .proxy_command(missing)
        .connect()
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.phase()),
        (&ErrorKind::Local, Some(Phase::Proxy))
    );
}

#[tokio::test]
async fn a_proxy_command_that_dies_later_is_the_reason_of_the_end() {
    let (bastion, target) = (Sshd::start(), Sshd::start());
    let marker = format!("proxy-dies-{}", std::process::id());
    let connection = target
        .builder()
        .proxy_command(ssh_w(&bastion, &marker))
        .connect()
        .await
        .unwrap();
    signal(
        processes::containing(&marker)[0].pid,
        rustix::process::Signal::KILL,
    );
    let ended = connection.ended().await.to_string();
    assert!(
        ended.starts_with("the proxy command was ended: signal: 9"),
        "{ended}"
    );
}

#[tokio::test]
async fn a_name_that_a_shell_would_obey_never_reaches_a_proxy_command() {
    let folder = tempfile::tempdir().unwrap();
    let trap = folder.path().join("trap");
    let command = format!("touch {}; echo %h %r", trap.display());
    for target in ["$(id)@web", "web;id", "a`id`@web", "CORP\\alice@web"] {
        let error = Connection::builder(target)
            .proxy_command(command.as_str())
            .connect()
            .await
            .unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Invalid, "{target}: {error}");
    }
    assert!(!trap.exists());
}

#[tokio::test]
async fn the_first_of_several_hops_may_be_reached_over_a_proxy_command() {
    let (bastion, first, target) = (Sshd::start(), Sshd::start(), Sshd::start());
    let marker = format!("proxy-first-{}", std::process::id());
    let hop_settings = first.builder().proxy_command(ssh_w(&bastion, &marker));
    let connection = target.builder().jump([hop_settings]).connect().await.unwrap();
    assert!(connection.exec("true").await.unwrap().ok());
    signal(
        processes::containing(&marker)[0].pid,
        rustix::process::Signal::KILL,
    );
    let ended = connection.ended().await.to_string();
    let expected = format!("{}: the proxy command was ended", hop(&first, 1, 1));
    assert!(ended.starts_with(&expected), "{ended}");
}

/// A home with a configuration for a target behind two jump hosts, each with its own key, user and host key.
struct Behind {
    home: Home,
    first: Sshd,
    second: Sshd,
    target: Sshd,
}

impl Behind {
    fn new() -> Self {
        let (first, second, target) = (Sshd::start(), Sshd::start(), Sshd::start());
        let home = Home::new();
        let mut known = String::new();
        let mut config = String::new();
        for (name, server) in [("first", &first), ("second", &second), ("target", &target)] {
            home.write(&format!(".ssh/{name}"), std::fs::read(server.key()).unwrap());
            known.push_str(&server.known_hosts_line("ed25519"));
            config.push_str(&format!(
                "Host {name}\n HostName 127.0.0.1\n Port {}\n User {}\n IdentityFile ~/.ssh/{name}\n",
                server.port(),
                server.user().name
            ));
        }
        home.write(".ssh/known_hosts", known);
        home.write(".ssh/config", config);
        Self {
            home,
            first,
            second,
            target,
        }
    }

    /// Adds lines in front of the configuration.
    fn configure(&self, lines: &str) {
        let path = self.home.path().join(".ssh/config");
        let config = std::fs::read_to_string(path).unwrap();
        self.home.write(".ssh/config", format!("{lines}\n{config}"));
    }
}

#[test]
fn the_command_line_goes_through_jump_hosts_with_what_the_configuration_says_of_each() {
    let behind = Behind::new();
    // What is said for the host at the end holds for no jump host.
    let key = behind.target.key();
    let end = [
        "-l",
        &behind.target.user().name,
        "-p",
        &behind.target.port().to_string(),
        "-i",
        key.to_str().unwrap(),
        "-oIdentitiesOnly=yes",
    ]
    .map(str::to_owned);
    let mut arguments = vec!["ssh".to_owned(), "-J".to_owned(), "first,second".to_owned()];
    arguments.extend(end);
    arguments.extend(["127.0.0.1", "echo $SSH_CONNECTION"].map(str::to_owned));
    let ended = behind.home.run(arguments);
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    let port = behind.target.port().to_string();
    assert!(ended.stdout.trim_end().ends_with(&port), "{}", ended.stdout);
    assert_eq!(
        [&behind.first, &behind.second, &behind.target].map(logins),
        [1, 1, 1]
    );

    // The same from files, where the jump hosts of a jump host count too; and ssh reads them as we do.
    behind.configure("Host target\n ProxyJump second\nHost second\n ProxyJump first");
    let ended = behind.home.run(["ssh", "target", "echo", "hello"]);
    assert_eq!(
        (ended.status, ended.stdout.as_str()),
        (0, "hello\n"),
        "{}",
        ended.stderr
    );
    assert_eq!(
        [&behind.first, &behind.second, &behind.target].map(logins),
        [2, 2, 2]
    );

    let ended = behind.home.run(["ssh", "-J", "none", "target", "echo", "direct"]);
    assert_eq!(
        (ended.status, ended.stdout.as_str()),
        (0, "direct\n"),
        "{}",
        ended.stderr
    );
    assert_eq!(logins(&behind.second), 2);
}

#[test]
fn several_hosts_behind_one_jump_host_share_its_login() {
    let behind = Behind::new();
    let hosts = "second,target";
    let ended = behind.home.run(["ssh", "-J", "first", hosts, "echo", "hello"]);
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    assert_eq!(
        [&behind.first, &behind.second, &behind.target].map(logins),
        [1, 1, 1]
    );
}

#[test]
fn a_configuration_that_leads_round_and_round_is_told() {
    let behind = Behind::new();
    behind.configure("Host *\n ProxyJump first");
    let ended = behind.home.run(["ssh", "target", "true"]);
    assert_eq!(ended.status, 255);
    let user = &behind.first.user().name;
    let expected = format!(
        "through {user}@first:{} through {user}@first",
        behind.first.port()
    );
    assert!(
        ended.stderr.contains("round and round") && ended.stderr.contains(&expected),
        "{}",
        ended.stderr
    );
    assert!(ended.stderr.contains("ProxyJump none"), "{}", ended.stderr);
}

#[test]
fn an_unknown_key_on_the_way_is_told_with_the_command_that_records_it() {
    let behind = Behind::new();
    behind
        .home
        .write(".ssh/known_hosts", behind.first.known_hosts_line("ed25519"));
    let second = behind.second.port();
    let user = &behind.first.user().name;
    let ended = behind.home.run(["ssh", "-J", "first,second", "target", "true"]);
    assert_eq!(ended.status, 255);
    let place =
        format!("jump host 2 of 2 ({user}@second:{second}): the host 127.0.0.1:{second} is not known");
    assert!(ended.stderr.contains(&place), "{}", ended.stderr);
    let way = format!("{user}@first:{}", behind.first.port());
    let command = format!("sternline hostkeys add -J {way} 127.0.0.1:{second}");
    assert!(ended.stderr.contains(&command), "{}", ended.stderr);

    // The command that is named does it.
    let mut arguments: Vec<&str> = command.split(' ').skip(1).collect();
    arguments.splice(2..2, ["--yes", "-o", "HashKnownHosts=no"]);
    let recorded = behind.home.run(arguments);
    assert_eq!(recorded.status, 0, "{}", recorded.stderr);
    let known = std::fs::read_to_string(behind.home.path().join(".ssh/known_hosts")).unwrap();
    assert!(known.contains(&format!("[127.0.0.1]:{second} ")), "{known}");
}

#[test]
fn doctor_shows_the_way_and_where_on_it_something_failed() {
    let behind = Behind::new();
    let ended = behind.home.run(["doctor", "-J", "first,second", "target"]);
    assert_eq!(ended.status, 0, "{}\n{}", ended.stdout, ended.stderr);
    let proxy = ended
        .stdout
        .find("  ok    proxy")
        .or_else(|| ended.stdout.find("proxy"));
    let text = &ended.stdout[proxy.unwrap()..ended.stdout.find("banner").unwrap()];
    for server in [&behind.first, &behind.second] {
        assert!(
            text.contains(&format!(":{}: ssh-ed25519", server.port())),
            "{text}"
        );
    }
    assert!(!ended.stdout.contains("resolve"), "{}", ended.stdout);

    behind
        .home
        .write(".ssh/second", std::fs::read(behind.first.key()).unwrap());
    let ended = behind
        .home
        .run(["doctor", "--json", "-J", "first,second", "target"]);
    assert_eq!(ended.status, 255);
    let found: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(found["phases"][0]["phase"], "proxy");
    assert_eq!(found["phases"][0]["state"], "failed");
    assert_eq!(found["error"]["hop_number"], 2);
    assert!(ended.stderr.contains("jump host 2 of 2 ("), "{}", ended.stderr);
}

#[test]
fn the_command_line_runs_proxy_commands_and_shows_why_one_fails() {
    let behind = Behind::new();
    let marker = format!("cli-{}", std::process::id());
    behind.configure(&format!(
        "Host target\n ProxyCommand {}",
        ssh_w(&behind.first, &marker)
    ));
    let ended = behind.home.run(["ssh", "target", "echo", "hello"]);
    assert_eq!(
        (ended.status, ended.stdout.as_str()),
        (0, "hello\n"),
        "{}",
        ended.stderr
    );
    assert_eq!(logins(&behind.first), 1);

    let failing = "ProxyCommand=sh -c 'echo no way >&2; exit 3'";
    let ended = behind.home.run(["ssh", "-o", failing, "target", "true"]);
    assert_eq!(ended.status, 255);
    assert!(
        ended
            .stderr
            .contains("the proxy command ended with exit status 3 and said: no way"),
        "{}",
        ended.stderr
    );
}

#[test]
fn waiting_for_a_host_and_tunnels_to_it_go_through_jump_hosts_too() {
    let behind = Behind::new();
    let ended = behind.home.run(["wait", "-J", "first,second", "target"]);
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    assert_eq!(
        [&behind.first, &behind.second, &behind.target].map(logins),
        [1, 1, 1]
    );

    let mut tunnel = behind
        .home
        .sternline(["tunnel", "-J", "first,second", "target", "--json", "-L"])
        .arg(format!("0:127.0.0.1:{}", behind.target.port()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(tunnel.stdout.take().unwrap()).lines();
    let port = lines
        .by_ref()
        .map(|line| serde_json::from_str::<serde_json::Value>(&line.unwrap()).unwrap())
        .find_map(|event| event["data"]["actual_port"].as_u64())
        .unwrap();
    let stream = TcpStream::connect(("127.0.0.1", u16::try_from(port).unwrap())).unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    assert!(line.starts_with("SSH-2.0-OpenSSH"), "{line}");
    signal(tunnel.id(), rustix::process::Signal::TERM);
    assert_eq!(tunnel.wait().unwrap().code(), Some(0));
}
