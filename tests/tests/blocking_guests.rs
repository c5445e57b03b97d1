//! Guests, sandboxes and shell sessions for callers that wait, on a real sshd.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use sternline::blocking::{Connection, GuestClient, SandboxExecutor};
use sternline::guest::{EnvValue, GuestCommand};
use sternline::sandbox::{LocalExecutor, Outcome, SandboxProfile, SandboxRequest, Side, SshExecutor};
use sternline::{ErrorKind, ExecRequest, Secret, SendState};
use sternline_tests::processes::{self, eventually_here};
use sternline_tests::sshd::{Settings, Sshd};
use sternline_tests::users;

fn connections(server: &Sshd) -> usize {
    let ours = processes::tree(server.pid());
    processes::all()
        .iter()
        .filter(|process| ours.contains(&process.pid) && process.parent == server.pid())
        .filter(|process| !process.zombie)
        .count()
}

// --- shell sessions ------------------------------------------------------------------------------------------------

#[test]
fn threads_queue_for_one_shell() {
    let server = Sshd::start();
    let connection = Connection::connect(server.builder()).unwrap();
    let session = connection.shell_session().unwrap();
    assert_eq!(session.fallback(), None);
    thread::scope(|scope| {
        for n in 0..8 {
            let session = session.clone();
            scope.spawn(move || {
                for m in 0..20 {
                    let result = session.run(format!("echo {n} {m}; exit {n}")).unwrap();
                    assert_eq!(result.stdout_text(), format!("{n} {m}\n"));
                    assert_eq!(result.exit_code(), Some(n));
                }
            });
        }
    });
    session.run_and_keep("cd /usr").unwrap();
    assert_eq!(session.run("pwd").unwrap().stdout_text(), "/usr\n");
    let late = ExecRequest::from("sleep 94001").timeout(Duration::from_millis(200));
    assert_eq!(session.run(late).unwrap_err().kind(), &ErrorKind::CommandTimeout);
    assert!(processes::containing("sleep 94001").is_empty());
    assert_eq!(
        session.run("pwd").unwrap().stdout_text(),
        "/usr\n",
        "it is the same shell"
    );
    session.close().unwrap();
    assert!(session.run("true").is_err());
}

#[test]
fn a_shell_session_keeps_its_connection_open_and_leaves_nothing_behind() {
    let server = Sshd::start();
    let session = Connection::connect(server.builder())
        .unwrap()
        .shell_session()
        .unwrap();
    assert_eq!(session.run("echo 1").unwrap().stdout_text(), "1\n");
    assert_eq!(connections(&server), 1);
    drop(session);
    eventually_here("nobody is connected", || connections(&server) == 0);
}

// --- guests --------------------------------------------------------------------------------------------------------

fn guest(server: &Sshd) -> GuestClient {
    let settings = sternline::GuestClient::builder("127.0.0.1")
        .port(server.port())
        .user(server.user().name.clone())
        .key_path(server.key());
    GuestClient::new(settings.build().unwrap()).unwrap()
}

#[test]
fn a_guest_is_waited_for_and_then_used_by_many_threads() {
    let mut server = Sshd::start();
    let guest = guest(&server);
    server.stop();
    let waiting = {
        let guest = guest.clone();
        thread::spawn(move || guest.wait_for_ssh(Duration::from_secs(60), Duration::from_millis(50)))
    };
    server.start_again();
    waiting.join().unwrap().unwrap();
    assert!(guest.connected());
    thread::scope(|scope| {
        for n in 0..8 {
            let guest = guest.clone();
            scope.spawn(move || {
                let result = guest
                    .run(GuestCommand::new(format!("echo {n}; exit {n}")).raw())
                    .unwrap();
                assert_eq!((result.output(), result.exit_code), (n.to_string(), Some(n)));
            });
        }
    });
    assert_eq!(server.log().matches("Accepted publickey").count(), 1);

    // It is lost, and the next call makes it again.
    server.break_connections();
    eventually_here("the loss is noticed", || !guest.connected());
    assert_eq!(guest.run("echo again").unwrap().output(), "again");
    guest.close().unwrap();
    assert!(!guest.connected());
    drop(guest);
    eventually_here("nobody is connected", || connections(&server) == 0);
}

#[test]
fn a_command_in_a_guest_ends_with_its_time_limit() {
    let server = Sshd::start();
    let guest = guest(&server);
    let command = GuestCommand::new("echo up; exec sleep 94002").timeout(Duration::from_secs(1));
    let error = guest.run(command).unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::OperationTimeout);
    assert_eq!(error.sent(), SendState::Ran);
    assert!(processes::containing("sleep 94002").is_empty());
    assert_eq!(guest.run(" ").unwrap_err().kind(), &ErrorKind::Invalid);
}

#[test]
fn files_and_variables_go_to_a_guest_and_come_back() {
    let server = Sshd::start();
    let guest = guest(&server);
    let path = |name: &str| server.path(name).to_str().unwrap().to_owned();
    std::fs::write(path("here"), "remember the milk").unwrap();
    guest.put_file(path("here"), path("there")).unwrap();
    let back = guest.get_file(path("there"), path("back")).unwrap();
    assert_eq!(std::fs::read(back).unwrap(), b"remember the milk");

    std::fs::create_dir(path("profile.d")).unwrap();
    let environment = guest.environment().in_directory(path("profile.d"));
    let names = environment.inject([
        ("MOTD", EnvValue::from("two\nlines")),
        ("TOKEN", Secret::from("s3cret").into()),
    ]);
    assert_eq!(names.unwrap(), ["MOTD", "TOKEN"]);
    let found = environment.read().unwrap();
    assert_eq!(found["MOTD"].expose(), "two\nlines");
    assert!(found["TOKEN"].is_secret());
    assert_eq!(environment.remove(["MOTD"]).unwrap().len(), 1);
    assert_eq!(environment.replace([("A", "1")]).unwrap(), ["A"]);
}

#[tokio::test]
async fn a_guest_in_a_runtime_is_refused() {
    let settings = || sternline::GuestClient::builder("127.0.0.1").build().unwrap();
    assert_eq!(
        GuestClient::new(settings()).unwrap_err().kind(),
        &ErrorKind::Invalid
    );
    let guest = tokio::task::spawn_blocking(move || GuestClient::new(settings()));
    let guest = guest.await.unwrap().unwrap();
    assert_eq!(guest.run("true").unwrap_err().kind(), &ErrorKind::Invalid);
    assert!(guest.close().is_err());
}

// --- sandboxes -----------------------------------------------------------------------------------------------------

fn anything() -> SandboxProfile {
    let minimal = SandboxProfile::bundled("minimal").unwrap();
    let builder = minimal.to_builder().without_argument_rules();
    builder.allow_any_command(true).build().unwrap()
}

fn over_ssh(server: &Sshd) -> SshExecutor {
    SshExecutor::builder("127.0.0.1")
        .username(server.user().name.clone())
        .key_file(server.key())
        .port(server.port())
        .known_hosts(server.known_hosts())
        .build()
        .unwrap()
}

#[test]
fn many_threads_run_commands_in_sandboxes_over_a_few_connections() {
    let server = Settings::default().user(users::plain()).start();
    let executor = SandboxExecutor::new(over_ssh(&server)).unwrap();
    let profile = anything();
    let next = Arc::new(AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..12 {
            let (executor, profile, next) = (executor.clone(), &profile, Arc::clone(&next));
            scope.spawn(move || {
                while let n @ 0..40 = next.fetch_add(1, Ordering::Relaxed) {
                    let script = format!("echo {n}; exit {n}");
                    let request =
                        SandboxRequest::from(["sh", "-c", &script]).timeout(Duration::from_secs(120));
                    let result = executor.run_command(profile, request).unwrap();
                    assert_eq!(result.stdout_text(), format!("{n}\n"));
                    assert_eq!(
                        (result.side, usize::try_from(result.returncode)),
                        (Side::Command, Ok(n))
                    );
                }
            });
        }
    });
    assert!((1..=5).contains(&server.log().matches("Accepted publickey").count()));
    let file = executor.read_file(&profile, "/etc/hostname").unwrap();
    assert_eq!(file, std::fs::read("/etc/hostname").unwrap());
    drop(executor);
    eventually_here("nobody is connected", || connections(&server) == 0);
}

#[test]
fn an_executor_on_this_machine_runs_verifies_and_is_cleaned_up() {
    let executor = SandboxExecutor::new(LocalExecutor::new()).unwrap();
    let minimal = SandboxProfile::bundled("minimal").unwrap();
    let listed = executor.run_command(&minimal, ["ls", "/usr"]).unwrap();
    assert!(listed.succeeded(), "{listed:?}");
    let error = executor.run_command(&minimal, ["rm", "-r", "/usr"]).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Sandbox(_)), "{error}");
    let attempts = executor.verify(&minimal).unwrap();
    assert!(attempts.len() > 5);
    for attempt in attempts {
        assert!(!matches!(attempt.outcome, Outcome::Escaped(_)), "{attempt:?}");
    }
    let slow = SandboxRequest::from(["sleep", "94003"]).timeout(Duration::from_millis(500));
    let error = executor.run_command(&anything(), slow).unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::CommandTimeout);
    eventually_here("the command is gone", || {
        processes::containing("sleep 94003").is_empty()
    });
    executor.cleanup().unwrap();
    assert!(executor.run_command(&minimal, ["ls"]).is_err());
}
