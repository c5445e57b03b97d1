//! The executor over SSH: its pool, its ends, its input, and the hosts that cannot have a sandbox.

mod sandbox_support;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sandbox_support::{Bed, beds, executor, patient};
use serde_json::json;
use sternline::error::SandboxReason;
use sternline::sandbox::{
    BUNDLED, LoadProfile, SandboxExecutor, SandboxProfile, SandboxRequest, Side, SshExecutor,
};
use sternline::{ErrorKind, EventCollector, EventType, SendState};
use sternline_proto::sftp::StatusCode;
use sternline_tests::left_out::left_out;
use sternline_tests::processes::{self, eventually};
use sternline_tests::sshd::{Settings, Sshd};
use sternline_tests::throwaway::Throwaway;
use sternline_tests::users;
use tokio::net::TcpListener;

/// The first example of seed 001, and its second one.
#[tokio::test]
async fn the_examples_of_the_seed_run_as_printed() {
    let server = Settings::default().user(users::plain()).start();
    let folder = tempfile::tempdir().unwrap();
    let minimal = folder.path().join("minimal.json");
    fs::write(
        &minimal,
        r#"{ "name": "minimal", "allowed_commands": ["ls", "cat", "grep", "find"] }"#,
    )
    .unwrap();

    // executor = SSHExecutor(host="prod.example.com", username="admin", key_file=Path("~/.ssh/id_ed25519"))
    let executor = SshExecutor::builder("127.0.0.1")
        .username(server.user().name.clone())
        .key_file(server.key())
        .port(server.port())
        .known_hosts(server.known_hosts())
        .build()
        .unwrap();
    assert_eq!((executor.host(), executor.port()), ("127.0.0.1", server.port()));
    assert_eq!(executor.username(), server.user().name);
    assert_eq!(executor.key_file(), Some(server.key().as_path()));
    // profile = SandboxProfile.load("minimal.json")
    let profile = SandboxProfile::load(&minimal).unwrap();
    // result = await executor.run_command(profile, ["ls", "/"])
    let result = executor.run_command(&profile, ["ls", "/"]).await.unwrap();
    assert!(
        result.stdout_text().lines().any(|line| line == "usr"),
        "{}",
        result.stderr_text()
    );

    // profile = SandboxProfile(name="test", allowed_commands=["echo"])
    let profile = SandboxProfile::builder("test")
        .allow_command("echo")
        .build()
        .unwrap();
    // result = await executor.run_command(profile, ["echo", "hello"], timeout=10)
    let request = SandboxRequest::from(["echo", "hello"]).timeout(Duration::from_secs(10));
    let result = executor.run_command(&profile, request).await.unwrap();
    assert_eq!(result.returncode, 0);
    assert!(result.stdout_text().contains("hello"));
    assert_eq!(result.command, ["echo", "hello"]);
    assert!(result.duration > Duration::ZERO && !result.timed_out);
    // await executor.cleanup()
    executor.cleanup().await;
}

#[test]
fn the_defaults_are_those_of_the_seed() {
    let executor = SshExecutor::builder("example.com").build().unwrap();
    assert_eq!(
        (executor.host(), executor.port(), executor.key_file()),
        ("example.com", 22, None)
    );
    assert_eq!(executor.username(), users::current().name);
    assert_eq!(executor.connection_pool_size(), 5);
    let request = SandboxRequest::from(["ls"]);
    assert!(format!("{request:?}").contains("30s"), "{request:?}");
}

#[tokio::test]
async fn each_bundled_profile_starts_and_does_its_job() {
    let jobs: [(&str, &[&[&str]]); 4] = [
        (
            "minimal",
            &[
                &["ls", "/usr"],
                &["cat", "/etc/hostname"],
                &["grep", "-c", "root", "/etc/passwd"],
                &["find", "/etc/hostname"],
            ],
        ),
        (
            "readonly",
            &[
                &["head", "-n1", "/etc/passwd"],
                &["tail", "-n1", "/etc/passwd"],
                &["cat", "/etc/hostname"],
                &["ls", "/etc"],
            ],
        ),
        (
            "diagnostics",
            &[
                &["df"],
                &["free"],
                &["ps", "-e"],
                &["uptime"],
                &["stat", "/etc/passwd"],
                &["wc", "/etc/passwd"],
            ],
        ),
        ("systemd", &[&["journalctl", "--version"], &["df"]]),
    ];
    assert_eq!(jobs.map(|(name, _)| name)[..], BUNDLED[..]);
    for bed in beds() {
        for (name, commands) in jobs {
            let profile = SandboxProfile::bundled(name).unwrap();
            for argv in commands {
                let Some(program) = argv.first().filter(|program| on_this_machine(program)) else {
                    continue;
                };
                let result = bed.run(&profile, argv).await;
                assert!(
                    result.succeeded(),
                    "{name}: {program} as {}: {result:?}",
                    bed.login
                );
                assert!(!result.stdout.is_empty(), "{name}: {program}");
                assert_eq!(result.stderr_text(), "", "{name}: {program}");
            }
        }
    }
}

fn on_this_machine(program: &str) -> bool {
    ["/usr/bin", "/bin", "/usr/sbin", "/sbin"]
        .iter()
        .any(|folder| Path::new(folder).join(program).exists())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_commands_at_once_share_five_connections() {
    let settings = Settings::default().option("MaxSessions 10").user(users::plain());
    let bed = Bed::new("plain", settings);
    let profile = bed.anything(json!({}));
    let running: Vec<_> = (0..200)
        .map(|n| {
            let (executor, profile) = (bed.executor.clone(), profile.clone());
            tokio::spawn(async move {
                let script = format!("echo {n}; exit {}", n % 100);
                (
                    n,
                    executor
                        .run_command(&profile, patient(&["sh", "-c", &script]))
                        .await,
                )
            })
        })
        .collect();
    for task in running {
        let (n, result) = task.await.unwrap();
        let result = result.unwrap_or_else(|error| panic!("{n}: {error}"));
        assert_eq!(result.stdout_text(), format!("{n}\n"));
        assert_eq!((result.returncode, result.side), (n % 100, Side::Command));
    }
    let logins = bed.server.log().matches("Accepted publickey").count();
    assert!((1..=5).contains(&logins), "{logins} connections");
    bed.executor.cleanup().await;
    let ended = || {
        bed.server.log().matches("Connection closed by").count()
            + bed.server.log().matches("Received disconnect").count()
    };
    eventually("all connections are closed", || ended() >= logins).await;
}

#[tokio::test]
async fn a_second_connection_is_made_only_when_the_first_is_full() {
    let bed = Bed::new("plain", Settings::default().user(users::plain()));
    let profile = bed.anything(json!({}));
    for _ in 0..12 {
        assert!(bed.run(&profile, &["true"]).await.succeeded());
    }
    assert_eq!(bed.server.log().matches("Accepted publickey").count(), 1);
}

#[tokio::test]
async fn a_connection_that_died_is_replaced_without_anybody_noticing() {
    let bed = Bed::new("plain", Settings::default().user(users::plain()));
    let events = EventCollector::new();
    let executor = SshExecutor::builder(bed.server.target())
        .key_file(bed.server.key())
        .known_hosts(bed.server.known_hosts())
        .configure(|connection| connection.events(&events))
        .build()
        .unwrap();
    let profile = bed.anything(json!({}));
    for died in 0..3 {
        assert!(
            executor
                .run_command(&profile, ["true"])
                .await
                .unwrap()
                .succeeded()
        );
        bed.server.break_connections();
        let lost = || {
            events
                .events()
                .iter()
                .filter(|event| event.event_type == EventType::Disconnect)
                .count()
        };
        eventually("the loss is noticed", || lost() > died).await;
    }
    assert!(
        executor
            .run_command(&profile, ["true"])
            .await
            .unwrap()
            .succeeded()
    );
    assert_eq!(bed.server.log().matches("Accepted publickey").count(), 4);
}

#[tokio::test]
async fn the_host_is_looked_at_once_and_again_when_a_connection_had_to_be_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    fs::write(&log, "").unwrap();
    use std::os::unix::fs::PermissionsExt;
    for (path, mode) in [(folder.path(), 0o755), (&log, 0o666)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let noting = format!(
        "ForceCommand echo \"$SSH_ORIGINAL_COMMAND\" >>{}; exec /bin/sh -c \"$SSH_ORIGINAL_COMMAND\"",
        log.display()
    );
    let bed = Bed::new("plain", Settings::default().user(users::plain()).option(&noting));
    let profile = bed.anything(json!({}));
    let looks = || {
        let log = fs::read_to_string(&log).unwrap();
        log.lines().filter(|line| *line == "exec /bin/sh").count()
    };
    let many: Vec<_> = (0..20)
        .map(|_| {
            let (executor, profile) = (bed.executor.clone(), profile.clone());
            tokio::spawn(async move { executor.run_command(&profile, patient(&["true"])).await })
        })
        .collect();
    for one in many {
        assert!(one.await.unwrap().unwrap().succeeded());
    }
    assert_eq!(looks(), 1, "whoever came meanwhile has waited for it");
    bed.server.break_connections();
    // Whether the first one notices before it has sent anything is a matter of chance.
    let _ = bed.executor.run_command(&profile, ["true"]).await;
    assert!(bed.run(&profile, &["true"]).await.succeeded());
    assert_eq!(looks(), 2);
}

#[tokio::test]
async fn a_server_that_allows_fewer_sessions_is_learned_not_failed_on() {
    let settings = Settings::default().option("MaxSessions 2").user(users::plain());
    let bed = Bed::new("plain", settings);
    let profile = bed.anything(json!({}));
    let running: Vec<_> = (0..30)
        .map(|n| {
            let (executor, profile) = (bed.executor.clone(), profile.clone());
            let script = format!("echo {n}");
            tokio::spawn(async move {
                (
                    n,
                    executor
                        .run_command(&profile, patient(&["sh", "-c", &script]))
                        .await,
                )
            })
        })
        .collect();
    for task in running {
        let (n, result) = task.await.unwrap();
        let result = result.unwrap_or_else(|error| panic!("{n}: {error}"));
        assert_eq!(result.stdout_text(), format!("{n}\n"));
    }
}

/// Takes connections for a server, and never says anything on the first one.
async fn hanging_at_first(server: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let _held = listener.accept().await.unwrap();
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut server = tokio::net::TcpStream::connect(("127.0.0.1", server))
                    .await
                    .unwrap();
                tokio::io::copy_bidirectional(&mut client, &mut server).await
            });
        }
    });
    port
}

#[tokio::test]
async fn a_connection_that_hangs_while_it_is_made_holds_up_nobody() {
    let server = Sshd::start();
    let builder = SshExecutor::builder("127.0.0.1")
        .username(server.user().name.clone())
        .key_file(server.key())
        .danger_accept_any_host_key();
    let executor = builder
        .clone()
        .port(hanging_at_first(server.port()).await)
        .configure(|connection| connection.connect_timeout(Duration::from_secs(600)))
        .build()
        .unwrap();
    let profile = SandboxProfile::bundled("minimal").unwrap();
    let result = executor.run_command(&profile, ["ls", "/"]).await.unwrap();
    assert!(
        result.succeeded() && result.duration < Duration::from_secs(25),
        "{result:?}"
    );
    executor.cleanup().await;
    // There is no second one to try.
    let alone = builder
        .port(hanging_at_first(server.port()).await)
        .connection_pool_size(1)
        .configure(|connection| connection.connect_timeout(Duration::from_millis(900)))
        .build()
        .unwrap();
    let error = alone.run_command(&profile, ["ls", "/"]).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::ConnectionTimeout, "{error}");
    assert!(
        alone
            .run_command(&profile, ["ls", "/"])
            .await
            .unwrap()
            .succeeded()
    );
}

#[tokio::test]
async fn a_host_that_accepts_and_says_nothing_holds_up_nobody_for_longer_than_the_time_limit() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let executor = SshExecutor::builder("127.0.0.1")
        .port(silent.local_addr().unwrap().port())
        .build()
        .unwrap();
    let profile = SandboxProfile::bundled("minimal").unwrap();
    let started = Instant::now();
    let request = SandboxRequest::from(["ls"]).timeout(Duration::from_millis(700));
    let error = executor.run_command(&profile, request).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::CommandTimeout, "{error}");
    assert_eq!(error.sent(), SendState::NotSent);
    assert!(started.elapsed() < Duration::from_secs(10));
    let soon = executor_with(&silent, Duration::from_millis(300));
    let error = soon.run_command(&profile, ["ls"]).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::ConnectionTimeout, "{error}");
}

fn executor_with(listener: &TcpListener, limit: Duration) -> SshExecutor {
    SshExecutor::builder("127.0.0.1")
        .port(listener.local_addr().unwrap().port())
        .configure(|connection| connection.connect_timeout(limit))
        .build()
        .unwrap()
}

#[tokio::test]
async fn nobody_listens_and_a_refused_login_are_what_they_are_elsewhere() {
    let port = sternline_tests::sshd::free_port();
    let executor = SshExecutor::builder("127.0.0.1").port(port).build().unwrap();
    let profile = SandboxProfile::bundled("minimal").unwrap();
    let error = executor.run_command(&profile, ["ls"]).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::ConnectionRefused);
    let server = Sshd::start();
    let stranger = SshExecutor::builder(server.target())
        .key_file(server.key())
        .known_hosts("/dev/null")
        .build()
        .unwrap();
    let error = stranger.run_command(&profile, ["ls"]).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::HostKeyMismatch);
    let any = SshExecutor::builder(server.target())
        .key_file(server.key())
        .danger_accept_any_host_key();
    assert!(
        any.clone()
            .build()
            .unwrap()
            .run_command(&profile, ["ls"])
            .await
            .unwrap()
            .succeeded()
    );
    let error = any
        .known_hosts("/dev/null")
        .build()
        .unwrap()
        .run_command(&profile, ["ls"])
        .await
        .unwrap_err();
    assert_eq!(
        error.kind(),
        &ErrorKind::HostKeyMismatch,
        "a named file has the last word"
    );
}

#[tokio::test]
async fn a_time_limit_keeps_the_output_and_leaves_nothing() {
    for bed in beds() {
        let number = if bed.login == "root" { 74_100 } else { 74_101 };
        let sleep = format!("sleep {number}");
        for script in [
            format!("echo out; echo err >&2; {sleep}; true"),
            format!("echo out; echo err >&2; trap '' TERM HUP INT; {sleep} & wait"),
            format!("echo out; echo err >&2; setsid {sleep} & sleep {number}; true"),
        ] {
            let request = SandboxRequest::from(["sh", "-c", &script]).timeout(Duration::from_millis(1500));
            let error = bed
                .executor
                .run_command(&bed.anything(json!({})), request)
                .await
                .unwrap_err();
            assert_eq!(error.kind(), &ErrorKind::CommandTimeout, "{error}");
            let partial = error.partial_output().unwrap();
            assert_eq!(
                (&partial.stdout[..], &partial.stderr[..]),
                (&b"out\n"[..], &b"err\n"[..]),
                "{script}"
            );
            eventually("nothing is left", || processes::containing(&sleep).is_empty()).await;
        }
    }
}

#[tokio::test]
async fn the_profiles_own_limit_is_kept_by_the_host_and_is_a_result() {
    for bed in beds() {
        let profile = bed.anything(json!({ "limits": { "wall_clock_seconds": 1 } }));
        let result = bed
            .run(
                &profile,
                &["sh", "-c", "trap '' TERM; echo out; sleep 74200; true"],
            )
            .await;
        assert!(result.timed_out && !result.succeeded(), "{result:?}");
        assert_eq!(result.stdout_text(), "out\n");
        eventually("nothing is left", || {
            processes::containing("sleep 74200").is_empty()
        })
        .await;
    }
}

#[tokio::test]
async fn a_dropped_call_ends_what_it_has_started() {
    for bed in beds() {
        let number = if bed.login == "root" { 74_300 } else { 74_301 };
        let sleep = format!("sleep {number}");
        let (executor, profile) = (bed.executor.clone(), bed.anything(json!({})));
        let script = format!("trap '' TERM; {sleep}; true");
        let running =
            tokio::spawn(async move { executor.run_command(&profile, ["sh", "-c", &script]).await });
        eventually("it runs", || !processes::containing(&sleep).is_empty()).await;
        running.abort();
        eventually("nothing is left", || processes::containing(&sleep).is_empty()).await;
        assert!(bed.script("true").await.succeeded());
    }
}

#[tokio::test]
async fn of_many_at_once_just_those_that_are_dropped_are_ended() {
    for bed in beds() {
        let number = if bed.login == "root" { 74_700 } else { 74_701 };
        let sleep = format!("sleep {number}");
        let profile = bed.anything(json!({}));
        let start = |script: String| {
            let (executor, profile) = (bed.executor.clone(), profile.clone());
            tokio::spawn(async move {
                executor
                    .run_command(&profile, patient(&["sh", "-c", &script]))
                    .await
            })
        };
        // The same line for each, so that only their order tells them apart.
        let staying: Vec<_> = (10..22)
            .map(|n| start(format!("read x; echo {n}; : {sleep}")))
            .collect();
        let dropped: Vec<_> = (0..12).map(|_| start(format!("{sleep}; true"))).collect();
        let running = || {
            processes::containing(&sleep)
                .iter()
                .filter(|one| one.command == sleep)
                .count()
        };
        eventually("all twelve run", || running() == 12).await;
        for (index, task) in dropped.iter().enumerate() {
            if index % 2 == 0 {
                task.abort();
            }
        }
        eventually("six are gone", || running() <= 6).await;
        for (n, task) in (10..22).zip(staying) {
            let result = task.await.unwrap().unwrap_or_else(|error| panic!("{n}: {error}"));
            assert_eq!(result.stdout_text(), format!("{n}\n"), "{result:?}");
        }
        assert_eq!(running(), 6, "the others go on");
        bed.executor.cleanup().await;
        eventually("nothing is left", || processes::containing(&sleep).is_empty()).await;
    }
}

#[tokio::test]
async fn what_runs_when_the_program_dies_does_not_outlive_its_connection() {
    for bed in beds() {
        let number = if bed.login == "root" { 74_400 } else { 74_401 };
        let sleep = format!("sleep {number}");
        let (executor, profile) = (bed.executor.clone(), bed.anything(json!({})));
        let script = format!("trap '' HUP TERM; {sleep} & {sleep}; true");
        let running =
            tokio::spawn(async move { executor.run_command(&profile, ["sh", "-c", &script]).await });
        eventually("it runs", || !processes::containing(&sleep).is_empty()).await;
        bed.server.break_connections();
        eventually("nothing is left", || processes::containing(&sleep).is_empty()).await;
        assert!(running.await.unwrap().unwrap_err().kind().is_connection());
    }
}

#[tokio::test]
async fn a_connection_that_is_lost_while_the_sandbox_is_being_made_leaves_nothing() {
    // Many mounts take their time.
    let profile = SandboxProfile::builder("sleep")
        .allow_command("sleep")
        .build()
        .unwrap();
    for bed in beds() {
        for round in 0..8_u64 {
            assert!(bed.run(&profile, &["sleep", "0"]).await.succeeded());
            let connection: Vec<u32> = processes::tree(bed.server.pid())
                .into_iter()
                .filter(|pid| *pid != bed.server.pid())
                .collect();
            let number = 74_900 + round + if bed.login == "root" { 20 } else { 0 };
            let (executor, profile) = (bed.executor.clone(), profile.clone());
            let running = tokio::spawn(async move {
                executor
                    .run_command(&profile, ["sleep", &number.to_string()])
                    .await
            });
            // Another moment in each round, from before the shell to after the command's start.
            tokio::time::sleep(Duration::from_millis(14 * round)).await;
            for pid in connection {
                let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
            assert!(running.await.unwrap().is_err());
            let sleep = format!("sleep {number}");
            eventually("nothing is left", || processes::containing(&sleep).is_empty()).await;
        }
    }
}

#[tokio::test]
async fn a_call_that_is_dropped_while_the_sandbox_is_being_made_leaves_nothing() {
    let profile = SandboxProfile::builder("sleep")
        .allow_command("sleep")
        .build()
        .unwrap();
    let bed = Bed::new("plain", Settings::default().user(users::plain()));
    let executors: [Arc<dyn SandboxExecutor>; 1] = [Arc::new(bed.executor.clone())];
    for (place, executor) in executors.iter().enumerate() {
        executor.host_facts().await.unwrap();
        for round in 0..10 {
            let sleep = format!("sleep {}", 74_950 + round + 20 * place);
            let (executor, profile) = (Arc::clone(executor), profile.clone());
            let request = SandboxRequest::new(sleep.split(' '));
            let running = tokio::spawn(async move { executor.run(&profile, request).await });
            tokio::time::sleep(Duration::from_millis(12 * round as u64)).await;
            running.abort();
            let _ = running.await;
            eventually("nothing is left", || processes::containing(&sleep).is_empty()).await;
        }
    }
    // None began after it had been looked for.
    eventually("nothing is left", || {
        processes::containing("sleep 7495").is_empty()
    })
    .await;
}

#[tokio::test]
async fn cleanup_ends_what_runs_and_closes_what_is_open() {
    let bed = Bed::new("plain", Settings::default().user(users::plain()));
    let (executor, profile) = (bed.executor.clone(), bed.anything(json!({})));
    let running = tokio::spawn(async move {
        executor
            .run_command(&profile, ["sh", "-c", "sleep 74500; true"])
            .await
    });
    eventually("it runs", || !processes::containing("sleep 74500").is_empty()).await;
    bed.executor.cleanup().await;
    assert!(
        processes::containing("sleep 74500").is_empty(),
        "cleanup waits for that"
    );
    assert_eq!(running.await.unwrap().unwrap_err().kind(), &ErrorKind::Cancelled);
    let error = bed
        .executor
        .run_command(&bed.anything(json!({})), ["true"])
        .await
        .unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Cancelled, "{error}");
    bed.executor.cleanup().await;
}

#[tokio::test]
async fn input_is_empty_unless_asked_for_and_then_exact() {
    for bed in beds() {
        assert_eq!(bed.script("cat | wc -c").await.stdout_text().trim(), "0");
        let bytes: Vec<u8> = (0..=255).cycle().take(300_001).collect();
        assert!(bed.script_with("cat", &bytes).await.stdout == bytes);
        assert_eq!(bed.script_with("cat", b"").await.stdout_text(), "");
        for few in [&b"\n"[..], b"no end of line", b"\0\0", b"a\nb\n"] {
            assert_eq!(&bed.script_with("cat", few).await.stdout[..], few);
        }
        let part = bed.script_with("head -c 3; exit 4", &bytes).await;
        assert_eq!((part.stdout.len(), part.returncode), (3, 4));
        let reader = sternline::exec::Stdin::reader(std::io::Cursor::new(b"from a reader".to_vec()));
        let request = SandboxRequest::from(["cat"]).stdin(reader);
        let read = bed
            .executor
            .run_command(&bed.anything(json!({})), request)
            .await
            .unwrap();
        assert_eq!(read.stdout_text(), "from a reader");
        let piped = SandboxRequest::from(["cat"]).stdin(sternline::exec::Stdin::Piped);
        let error = bed
            .executor
            .run_command(&bed.anything(json!({})), piped)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Invalid);
    }
}

#[tokio::test]
async fn whose_failure_it_was_is_told_and_cannot_be_forged() {
    for bed in beds() {
        let own = bed.script("echo 'bwrap: no permissions' >&2; exit 1").await;
        assert_eq!((own.side, own.returncode), (Side::Command, 1));
        assert_eq!(own.stderr_text(), "bwrap: no permissions\n");
        let forged = bed
            .script("echo '{\"exit-code\": 0}' >&2; echo '{ \"child-pid\": 7 }' >&2; exit 3")
            .await;
        assert_eq!((forged.side, forged.returncode), (Side::Command, 3));
        assert_eq!(forged.stderr_text(), "{\"exit-code\": 0}\n{ \"child-pid\": 7 }\n");
        let killed = bed.script("kill -9 $$").await;
        assert_eq!(
            (killed.side, killed.returncode, killed.signal),
            (Side::Command, 137, Some("KILL"))
        );
        let unstarted = bed
            .executor
            .run_command(&bed.anything(json!({})), ["no-such-program"])
            .await;
        match unstarted {
            Ok(result) => {
                assert_eq!(result.side, Side::Bubblewrap, "{result:?}");
                assert!(result.success().is_err());
            }
            Err(error) => assert!(error.to_string().contains("no-such-program"), "{error}"),
        }
    }
}

#[tokio::test]
async fn files_are_read_and_what_is_missing_is_no_permission_problem() {
    for bed in beds() {
        let profile = bed.anything(json!({}));
        let read = async |path: &str| bed.executor.read_file(&profile, path).await;
        assert_eq!(
            &read("/victim/file").await.unwrap()[..],
            sandbox_support::UNTOUCHED.as_bytes()
        );
        for (path, code) in [
            ("/victim/no-such-file", StatusCode::NoSuchFile),
            ("/victim/file/below", StatusCode::NoSuchFile),
            ("/etc/shadow", StatusCode::PermissionDenied),
            ("/victim", StatusCode::Failure),
        ] {
            let error = read(path).await.unwrap_err();
            assert_eq!(error.kind(), &ErrorKind::RemoteFile(code), "{path}: {error}");
        }
        for option in ["--help", "-", "-n", "relative", "", "/etc/../etc/hostname\0"] {
            let error = read(option).await.unwrap_err();
            assert_eq!(error.kind(), &ErrorKind::Invalid, "{option}: {error}");
        }
    }
}

#[tokio::test]
async fn an_account_without_a_shell_is_refused_clearly() {
    if !users::is_root() {
        return left_out("sandboxes of an account without a shell", "run the tests as root");
    }
    for shell in ["/usr/sbin/nologin", "/bin/false"] {
        let account = Throwaway::new("unused").with_shell(shell);
        let server = Settings::default().user(account.user()).start();
        let profile = SandboxProfile::bundled("minimal").unwrap();
        let error = executor(&server).run_command(&profile, ["ls"]).await.unwrap_err();
        assert_eq!(
            error.kind(),
            &ErrorKind::Sandbox(SandboxReason::LoginShell),
            "{shell}: {error}"
        );
        assert!(error.hint().contains("shell"), "{}", error.hint());
    }
}

/// The plain user and, where the tests run as root, root.
fn logins() -> Vec<users::User> {
    match users::is_root() {
        true => vec![users::plain(), users::current()],
        false => vec![users::current()],
    }
}

/// Runs what the server is asked for inside another root directory or sandbox.
fn forced(user: users::User, words: &str) -> Sshd {
    Settings::default()
        .user(user)
        .option(&format!(
            "ForceCommand {words} /bin/sh -c \"$SSH_ORIGINAL_COMMAND\""
        ))
        .start()
}

#[tokio::test]
async fn forbidden_user_namespaces_are_told_with_what_allows_them() {
    let inner = "bwrap --unshare-user --disable-userns --dev-bind / / --proc /proc";
    for user in logins() {
        let server = forced(user, inner);
        let profile = SandboxProfile::bundled("minimal").unwrap();
        let error = executor(&server).run_command(&profile, ["ls"]).await.unwrap_err();
        assert_eq!(
            error.kind(),
            &ErrorKind::Sandbox(SandboxReason::NoUserNamespaces),
            "{error}"
        );
        assert_eq!(error.sent(), SendState::NotSent);
        assert!(
            error.hint().contains("user_namespaces") || error.hint().contains("userns"),
            "{}",
            error.hint()
        );
    }
}

#[tokio::test]
async fn a_host_without_bubblewrap_is_told_the_package_of_its_distribution() {
    let hidden = "bwrap --dev-bind / / --ro-bind /dev/null /usr/bin/bwrap";
    let server = forced(users::plain(), hidden);
    let profile = SandboxProfile::bundled("minimal").unwrap();
    let error = executor(&server).run_command(&profile, ["ls"]).await.unwrap_err();
    assert_eq!(
        error.kind(),
        &ErrorKind::Sandbox(SandboxReason::NoBubblewrap),
        "{error}"
    );
    assert!(error.hint().contains("bubblewrap"), "{}", error.hint());
}

#[tokio::test]
async fn where_busybox_is_the_only_userland_it_works_or_says_what_is_missing() {
    let tree = busybox_tree();
    let server = forced(users::plain(), &format!("{} --setenv PATH /bin", in_tree(&tree)));
    let executor = executor(&server);
    let profile = SandboxProfile::bundled("minimal").unwrap();
    let listed = executor.run_command(&profile, ["ls", "/bin"]).await.unwrap();
    let names = listed.stdout_text();
    assert_eq!(
        names.lines().collect::<Vec<_>>(),
        ["cat", "find", "grep", "ls"],
        "{listed:?}"
    );
    assert!(!executor.host_facts().await.unwrap().weaknesses().is_empty());
    let anything = profile
        .to_builder()
        .without_argument_rules()
        .allow_any_command(true)
        .build()
        .unwrap();
    let request = SandboxRequest::from(["sh", "-c", "cat; sleep 74800"])
        .stdin("input\n")
        .timeout(Duration::from_secs(4));
    let error = executor.run_command(&anything, request).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::CommandTimeout, "{error}");
    assert_eq!(&error.partial_output().unwrap().stdout[..], b"input\n");
    eventually("nothing is left", || {
        processes::containing("sleep 74800").is_empty()
    })
    .await;
    let running = {
        let (executor, anything) = (executor.clone(), anything.clone());
        tokio::spawn(async move {
            executor
                .run_command(&anything, ["sh", "-c", "sleep 74801; true"])
                .await
        })
    };
    eventually("it runs", || !processes::containing("sleep 74801").is_empty()).await;
    server.break_connections();
    eventually("nothing is left", || {
        processes::containing("sleep 74801").is_empty()
    })
    .await;
    assert!(running.await.unwrap().unwrap_err().kind().is_connection());
}

#[tokio::test]
async fn where_busybox_is_the_only_userland_root_is_told_what_is_missing() {
    if !users::is_root() {
        return left_out(
            "a login as root where there is only busybox",
            "run the tests as root",
        );
    }
    let tree = busybox_tree();
    let server = forced(
        users::current(),
        &format!("{} --setenv PATH /bin", in_tree(&tree)),
    );
    let profile = SandboxProfile::bundled("minimal").unwrap();
    let error = executor(&server)
        .run_command(&profile, ["ls", "/bin"])
        .await
        .unwrap_err();
    assert_eq!(
        error.kind(),
        &ErrorKind::Sandbox(SandboxReason::MissingTool),
        "{error}"
    );
    assert!(
        error.to_string().contains("setpriv") && error.hint().contains("util-linux"),
        "{error}: {}",
        error.hint()
    );
}

/// bubblewrap's words for a root directory in which there is nothing but busybox and bubblewrap. This outer bubblewrap stands for the
/// server, and so ends with it.
fn in_tree(tree: &tempfile::TempDir) -> String {
    let root = tree.path().display();
    format!(
        "setpriv --pdeathsig KILL bwrap --bind {root} / --dev-bind /dev /dev --dev-bind /proc /proc --ro-bind /lib /lib --ro-bind /lib64 /lib64 \
         --ro-bind /usr/lib /usr/lib"
    )
}

#[tokio::test]
async fn bubblewrap_is_found_where_it_is_said_to_be() {
    let server = Settings::default().user(users::plain()).start();
    let builder = SshExecutor::builder(server.target())
        .key_file(server.key())
        .known_hosts(server.known_hosts());
    let profile = SandboxProfile::bundled("minimal").unwrap();
    let executor = builder.clone().bwrap_path("/no/such/bwrap").build().unwrap();
    let error = executor.run_command(&profile, ["ls"]).await.unwrap_err();
    assert_eq!(
        error.kind(),
        &ErrorKind::Sandbox(SandboxReason::NoBubblewrap),
        "{error}"
    );
    let moved = server.path("bwrap-of-ours");
    fs::copy("/usr/bin/bwrap", &moved).unwrap();
    let executor = builder
        .clone()
        .bwrap_path(moved.to_str().unwrap())
        .build()
        .unwrap();
    assert!(
        executor
            .run_command(&profile, ["ls", "/"])
            .await
            .unwrap()
            .succeeded()
    );
    assert_eq!(
        executor.host_facts().await.unwrap().bwrap,
        moved.to_str().unwrap()
    );
    let error = builder.bwrap_path("bwrap").build().err().unwrap();
    assert_eq!(error.kind(), &ErrorKind::Invalid, "{error}");
}

/// A directory with /bin/busybox, a link to it for each applet, and bwrap.
fn busybox_tree() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(root, fs::Permissions::from_mode(0o755)).unwrap();
    for name in [
        "bin", "dev", "proc", "lib", "lib64", "usr", "usr/lib", "etc", "tmp",
    ] {
        fs::create_dir(root.join(name)).unwrap();
    }
    for (from, to) in [("/bin/busybox", "bin/busybox"), ("/usr/bin/bwrap", "bin/bwrap")] {
        fs::copy(from, root.join(to)).unwrap();
    }
    let applets = std::process::Command::new("/bin/busybox")
        .arg("--list")
        .output()
        .unwrap();
    for applet in String::from_utf8(applets.stdout).unwrap().lines() {
        let _ = std::os::unix::fs::symlink("busybox", root.join("bin").join(applet));
    }
    fs::write(root.join("etc/os-release"), "ID=alpine\n").unwrap();
    fs::write(
        root.join("etc/passwd"),
        "root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n",
    )
    .unwrap();
    folder
}

#[tokio::test]
async fn a_host_that_answers_the_look_without_end_is_refused_before_it_fills_the_memory() {
    let bed = Bed::new("endless", Settings::default().option("ForceCommand yes"));
    let error = bed.executor.host_facts().await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Sandbox(_)), "{error}");
    assert!(
        error.to_string().contains("it wrote more than 4194304 bytes"),
        "{error}"
    );
}
