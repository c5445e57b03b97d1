//! A connection for callers that wait, on a real sshd.

use std::net::TcpListener;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use sternline::blocking::{self, Connection};
use sternline::connection::{JumpHost, ReadinessPolicy};
use sternline::host_key::HostKeyPolicy;
use sternline::prompt::{HostKeyQuestion, SecretQuestion};
use sternline::{
    AuthConfig, DisconnectReason, ErrorKind, EventCollector, EventType, ExecRequest, Secret, SendState,
    Transfer,
};
use sternline_server::{Credential, Reply, Server};
use sternline_tests::processes::{self, eventually_here};
use sternline_tests::sshd::{Settings, Sshd};

fn connect(server: &Sshd) -> Connection {
    Connection::connect(server.builder()).unwrap()
}

/// How often somebody has logged in.
fn logins(server: &Sshd) -> usize {
    server.log().matches("Accepted publickey").count()
}

/// How many connections the server serves now.
fn served(server: &Sshd) -> usize {
    let ours = processes::tree(server.pid());
    let serves = |process: &processes::Process| {
        ours.contains(&process.pid) && process.parent == server.pid() && process.command.contains("sshd")
    };
    processes::all()
        .iter()
        .filter(|process| serves(process) && !process.zombie)
        .count()
}

/// Stops the server and all that it runs, or lets it go on.
fn signal(server: &Sshd, signal: Signal) {
    for pid in processes::tree(server.pid()) {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).unwrap();
        let _ = kill_process(pid, signal);
    }
}

// --- many threads --------------------------------------------------------------------------------------------------

#[test]
fn twelve_threads_share_a_connection_that_allows_ten_sessions() {
    let server = Settings::default().option("MaxSessions 10").start();
    let connection = connect(&server);
    thread::scope(|scope| {
        let running: Vec<_> = (0..12)
            .map(|n| {
                let connection = connection.clone();
                scope.spawn(move || connection.exec(format!("sleep 0.3; echo {n}; exit {n}")))
            })
            .collect();
        for (n, thread) in (0..).zip(running) {
            let result = thread.join().unwrap().unwrap();
            assert_eq!(result.stdout_text(), format!("{n}\n"));
            assert_eq!(result.exit_code(), Some(n));
        }
    });
    assert_eq!(logins(&server), 1);
}

#[test]
fn a_thread_with_a_small_stack_can_connect_and_run_commands() {
    let server = Sshd::start();
    let settings = server.builder();
    // Half of what threads have by default.
    let small = thread::Builder::new().stack_size(1024 * 1024);
    let working = small.spawn(move || {
        let connection = Connection::connect(settings)?;
        connection.exec("echo fits")
    });
    let result = working.unwrap().join().unwrap().unwrap();
    assert_eq!(result.stdout_text(), "fits\n");
}

// --- limits and ends -----------------------------------------------------------------------------------------------

#[test]
fn a_call_ends_with_the_time_limit_of_its_request_and_so_does_the_command() {
    let server = Sshd::start();
    let connection = connect(&server);
    let request = ExecRequest::from("echo before; sleep 91001").timeout(Duration::from_millis(300));
    let error = connection.exec(request).unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::CommandTimeout);
    assert_eq!(&error.partial_output().unwrap().stdout[..], b"before\n");
    assert_eq!(error.sent(), SendState::Ran);
    assert!(processes::containing("sleep 91001").is_empty());
    assert_eq!(connection.exec("echo fine").unwrap().stdout_text(), "fine\n");
}

#[test]
fn the_last_handle_closes_the_connection_after_what_was_dropped_has_been_ended() {
    let server = Sshd::start();
    let connection = connect(&server);
    let clone = connection.clone();
    let mut stream = connection.stream_exec("echo up; sleep 91002; true").unwrap();
    assert_eq!(stream.next().unwrap().stream(), "stdout");
    drop(connection);
    drop(clone);
    // The command holds it open.
    assert_eq!(served(&server), 1);
    eventually_here("the command runs", || {
        !processes::containing("sleep 91002").is_empty()
    });
    drop(stream);
    // No waiting here: that was waited for.
    assert!(processes::containing("sleep 91002").is_empty());
    eventually_here("the server has closed the connection", || served(&server) == 0);
    assert!(
        server.log().contains("Received disconnect"),
        "it was left in good order: {}",
        server.log()
    );
}

#[test]
fn a_handle_is_dropped_in_a_while_although_the_server_does_not_answer() {
    let server = Sshd::start();
    let connection = connect(&server);
    let mut stream = connection.stream_exec("echo up; sleep 91004").unwrap();
    assert_eq!(stream.next().unwrap().stream(), "stdout");
    signal(&server, Signal::STOP);
    let begun = Instant::now();
    drop(stream);
    drop(connection);
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    signal(&server, Signal::CONT);
    eventually_here("the server has nobody", || served(&server) == 0);
}

#[test]
fn closing_is_for_all_clones_and_may_be_done_twice() {
    let server = Sshd::start();
    let events = EventCollector::new();
    let connection = Connection::connect(server.builder().events(&events)).unwrap();
    let clone = connection.clone();
    connection.exec("true").unwrap();
    connection.close().unwrap();
    connection.close().unwrap();
    assert!(!clone.is_connected());
    assert_eq!(clone.disconnect_reason(), Some(DisconnectReason::Normal));
    for _ in 0..20 {
        let error = clone.exec("true").unwrap_err();
        assert!(error.kind().is_connection(), "{error}");
        assert_eq!(error.sent(), SendState::NotSent);
    }
    drop((connection, clone));
    let seen: Vec<_> = [EventType::Connect, EventType::Auth, EventType::Exec]
        .into_iter()
        .map(|kind| events.by_type(kind).is_empty())
        .collect();
    assert_eq!(seen, [false; 3]);
    assert_eq!(events.by_type(EventType::Disconnect).len(), 1);
}

#[test]
fn the_end_of_a_connection_is_waited_for_with_a_limit_or_without() {
    let server = Sshd::start();
    let connection = connect(&server);
    assert!(connection.ping(Duration::from_secs(10)).unwrap() < Duration::from_secs(10));
    assert!(connection.ended(Duration::from_millis(20)).unwrap().is_none());
    let waiting = {
        let connection = connection.clone();
        thread::spawn(move || connection.ended(None))
    };
    server.break_connections();
    let reason = waiting.join().unwrap().unwrap().unwrap();
    assert_eq!(reason.kind(), &ErrorKind::Connection);
    assert!(connection.ping(Duration::from_secs(10)).is_err());
}

#[test]
fn a_server_that_hangs_leaves_a_ping_without_an_answer_in_time() {
    let server = Sshd::start();
    let connection = connect(&server);
    signal(&server, Signal::STOP);
    let error = connection.ping(Duration::from_millis(100)).unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::ConnectionTimeout, "{error}");
    assert_eq!(error.context().port, Some(server.port()));
    signal(&server, Signal::CONT);
    connection.ping(Duration::from_secs(20)).unwrap();
}

// --- connecting ----------------------------------------------------------------------------------------------------

#[test]
fn connecting_waits_until_a_host_is_ready_and_tells_why_it_is_not() {
    let mut server = Sshd::start();
    let settings = server.builder();
    server.stop();
    let mut reasons = Vec::new();
    let connection = Connection::connect_when_ready(settings, ReadinessPolicy::default(), |reason| {
        if reasons.is_empty() {
            server.start_again();
        }
        reasons.push(reason.kind().clone());
    });
    assert_eq!(connection.unwrap().exec("echo up").unwrap().stdout_text(), "up\n");
    assert_eq!(reasons.first(), Some(&ErrorKind::ConnectionRefused));
}

#[test]
fn a_connection_that_fails_leaves_nothing_behind() {
    let server = Sshd::start();
    let wrong = Connection::builder(server.target())
        .known_hosts([server.known_hosts()])
        .identity_files([])
        .auth([AuthConfig::password("wrong")]);
    let error = Connection::connect(wrong).unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::AuthFailed, "{error}");
    eventually_here("the server has nobody", || served(&server) == 0);
}

#[test]
fn a_host_key_is_fetched_without_logging_in() {
    let server = Sshd::start();
    let offered = Connection::fetch_host_key(server.builder()).unwrap();
    assert_eq!(offered.port, server.port());
    assert_eq!(logins(&server), 0);
}

#[test]
fn a_jump_host_outlives_the_thread_that_connected_to_it_first() {
    let (bastion, server) = (Sshd::start(), Sshd::start());
    let jump = JumpHost::new(bastion.builder());
    let first = Connection::connect(server.builder().jump_through(&jump)).unwrap();
    let second = Connection::connect(server.builder().jump_through(&jump)).unwrap();
    let begun = Instant::now();
    first.close().unwrap();
    drop(first);
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    for n in 0..3 {
        assert_eq!(
            second.exec(format!("echo {n}")).unwrap().stdout_text(),
            format!("{n}\n")
        );
    }
    assert_eq!(logins(&bastion), 1);
    assert_eq!(second.jump_host().unwrap().port(), bastion.port());
    drop(second);
    assert_eq!(served(&bastion), 1, "the jump host is there as long as its name");
    drop(jump);
    eventually_here("the jump host is left", || served(&bastion) == 0);
}

#[test]
fn bytes_go_to_and_from_what_the_server_can_reach() {
    use std::io::{Read, Write};
    let server = Sshd::start();
    let connection = connect(&server);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let echo = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut said = Vec::new();
        stream.read_to_end(&mut said).unwrap();
        stream.write_all(&said).unwrap();
    });
    let limit = Duration::from_secs(10);
    let stream = connection.direct_tcpip("127.0.0.1", port, limit).unwrap();
    let data: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    let answer = thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let mut answer = Vec::new();
            (&stream).read_to_end(&mut answer).map(|_| answer)
        });
        (&stream).write_all(&data).unwrap();
        stream.shutdown_write().unwrap();
        reading.join().unwrap().unwrap()
    });
    assert!(answer == data);
    echo.join().unwrap();
    let error = connection.direct_tcpip("127.0.0.1", port, limit).unwrap_err();
    assert_eq!(
        error.kind(),
        &ErrorKind::Channel,
        "nobody listens any more: {error}"
    );
}

// --- within an async runtime ---------------------------------------------------------------------------------------

/// Every call is refused, the hint says what to do, and nothing has happened.
async fn is_refused(flavour: &str) {
    let server = Sshd::start();
    let settings = server.builder();
    let error = Connection::connect(settings.clone()).unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Invalid, "{flavour}");
    assert!(error.hint().contains("spawn_blocking"), "{}", error.hint());
    assert_eq!(logins(&server), 0);

    let connecting = tokio::task::spawn_blocking(move || Connection::connect(settings));
    let connection = connecting.await.unwrap().unwrap();
    let marker = server.path("marker");
    let touch = format!("touch {}", marker.display());
    let refused = [
        connection.exec(touch.clone()).map(|_| ()),
        connection.stream_exec(touch.clone()).map(|_| ()),
        connection.shell(None).map(|_| ()),
        connection.sftp().map(|_| ()),
        connection.ping(Duration::from_secs(1)).map(|_| ()),
        connection.close(),
        connection
            .transfer(Transfer::upload("/etc/hosts", marker.to_str().unwrap()))
            .success()
            .map(|_| ()),
    ];
    for outcome in refused {
        assert_eq!(outcome.unwrap_err().kind(), &ErrorKind::Invalid, "{flavour}");
    }
    assert!(!marker.exists());
    assert!(connection.is_connected());

    // Where blocking is allowed it goes on as ever.
    let again = connection.clone();
    let result = tokio::task::spawn_blocking(move || again.exec(touch));
    assert!(result.await.unwrap().unwrap().ok());
    assert!(marker.exists());
}

#[tokio::test]
async fn calls_in_a_runtime_of_one_thread_are_refused() {
    is_refused("one thread").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_in_a_task_of_a_runtime_of_several_threads_are_refused() {
    tokio::spawn(is_refused("several threads")).await.unwrap();
}

#[tokio::test]
async fn what_is_dropped_in_a_runtime_is_ended_in_the_background() {
    let server = Sshd::start();
    let settings = server.builder();
    let connecting = tokio::task::spawn_blocking(move || {
        let connection = Connection::connect(settings)?;
        let mut stream = connection.stream_exec("echo up; sleep 91003; true")?;
        assert_eq!(stream.next().unwrap().stream(), "stdout");
        Ok::<_, sternline::Error>((connection, stream))
    });
    let (connection, stream) = connecting.await.unwrap().unwrap();
    // As long as the server stands still, nothing can be ended there.
    signal(&server, Signal::STOP);
    let begun = Instant::now();
    drop(stream);
    drop(connection);
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    signal(&server, Signal::CONT);
    processes::eventually("the command and the connection have ended", || {
        processes::containing("sleep 91003").is_empty() && served(&server) == 0
    })
    .await;
}

#[tokio::test]
async fn an_iterator_in_a_runtime_waits_and_does_not_panic() {
    let server = Sshd::start();
    let settings = server.builder();
    let connecting = tokio::task::spawn_blocking(move || {
        let connection = Connection::connect(settings)?;
        connection.stream_exec("seq 1 50000")
    });
    let stream = connecting.await.unwrap().unwrap();
    let last = stream.last().unwrap();
    assert_eq!(last.exit_code(), Some(0));
}

// --- callbacks -----------------------------------------------------------------------------------------------------

#[test]
fn a_listener_that_panics_spoils_its_own_call_and_no_other() {
    let server = Sshd::start();
    let settings = server.builder().on_event(|event| {
        let command = event.data.get("command").and_then(|command| command.as_str());
        assert!(command != Some("true # boom"), "as a user's code may");
    });
    let connection = Connection::connect(settings).unwrap();
    for _ in 0..3 {
        let panicked = catch_unwind(AssertUnwindSafe(|| connection.exec("true # boom")));
        assert!(panicked.is_err());
        assert_eq!(connection.exec("echo fine").unwrap().stdout_text(), "fine\n");
    }
    connection.close().unwrap();
}

#[test]
fn a_stream_whose_listener_panics_has_an_exit_all_the_same() {
    let server = Sshd::start();
    let settings = server.builder().on_event(|event| {
        let is_end = event.data.get("exit_code").is_some();
        assert!(!is_end, "as a user's code may");
    });
    let connection = Connection::connect(settings).unwrap();
    let mut stream = connection.stream_exec("echo out").unwrap();
    let last = stream.by_ref().last().unwrap();
    assert_eq!(last.stream(), "exit");
    let error = stream.wait().unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::NoExitStatus, "{error}");
    assert!(connection.is_connected());
}

#[test]
fn a_listener_that_calls_back_is_refused_and_nothing_hangs() {
    let server = Sshd::start();
    let slot: Arc<Mutex<Option<Connection>>> = Arc::default();
    let refused = Arc::new(AtomicU32::new(0));
    let (calling, counting) = (Arc::clone(&slot), Arc::clone(&refused));
    let settings = server.builder().on_event(move |_| {
        let connection = calling.lock().unwrap().clone();
        if let Some(connection) = connection {
            let error = connection.exec("true").unwrap_err();
            assert_eq!(error.kind(), &ErrorKind::Invalid);
            counting.fetch_add(1, Ordering::Relaxed);
        }
    });
    let connection = Connection::connect(settings).unwrap();
    *slot.lock().unwrap() = Some(connection.clone());
    connection.exec("true").unwrap();
    assert!(refused.load(Ordering::Relaxed) > 0);
    // The listener holds the last handle: it has to be given back.
    slot.lock().unwrap().take();
}

/// Knows the password, and thinks about it.
struct Person {
    questions: Mutex<Vec<String>>,
}

impl blocking::Prompter for Person {
    fn trust_host_key(&self, question: &HostKeyQuestion) -> bool {
        self.questions.lock().unwrap().push(question.algorithm.clone());
        thread::sleep(Duration::from_millis(30));
        true
    }

    fn secret(&self, question: &SecretQuestion) -> Option<Secret> {
        self.questions.lock().unwrap().push(question.username.clone());
        thread::sleep(Duration::from_millis(30));
        Some(Secret::from("secret"))
    }
}

/// Has no answer, and no manners.
struct Panics;

impl blocking::Prompter for Panics {
    fn trust_host_key(&self, _: &HostKeyQuestion) -> bool {
        panic!("as a user's code may");
    }

    fn secret(&self, _: &SecretQuestion) -> Option<Secret> {
        panic!("as a user's code may");
    }
}

/// A server with a password, on a runtime of its own.
fn password_server() -> (tokio::runtime::Runtime, Server) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let server = Server::builder()
        .user("ann", Credential::password("secret"))
        .answer_with(|request| Reply::stdout(request.command_text().into_owned()))
        .bind();
    let server = runtime.block_on(server).unwrap();
    (runtime, server)
}

#[test]
fn a_person_is_asked_and_may_take_their_time() {
    let (_runtime, server) = password_server();
    let folder = tempfile::tempdir().unwrap();
    let person = Arc::new(Person {
        questions: Mutex::default(),
    });
    let settings = || {
        Connection::builder(format!("ann@127.0.0.1:{}", server.port()))
            .known_hosts([folder.path().join("known_hosts")])
            .host_key_policy(HostKeyPolicy::Ask)
            .identity_files([])
            .auth([AuthConfig::ask_password()])
    };
    let asking = settings().prompter(blocking::prompter(Arc::clone(&person)));
    let connection = Connection::connect(asking).unwrap();
    assert_eq!(connection.exec("hello").unwrap().stdout_text(), "hello");
    assert_eq!(*person.questions.lock().unwrap(), ["ssh-ed25519", "ann"]);
    assert!(connection.login_needed_person());

    let error = Connection::connect(settings().prompter(blocking::prompter(Panics))).unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::AuthFailed, "{error}");
}
