//! Shell sessions on a real sshd: what comes back, what is kept, and what there is where the server has no shell.

use std::path::Path;
use std::time::Duration;

use sternline::evidence::{EvidenceRecorder, RecordOutput, Redaction};
use sternline::exec::{Pty, Sudo};
use sternline::{
    Command, Connection, ErrorKind, EventCollector, EventType, ExecRequest, ShellSession, blocking,
};
use sternline_tests::left_out::left_out;
use sternline_tests::sshd::{Settings, Sshd};
use sternline_tests::users;

async fn session_on(server: &Sshd) -> ShellSession {
    let connection = server.builder().connect().await.unwrap();
    let session = connection.shell_session().await.unwrap();
    assert_eq!(session.fallback(), None);
    session
}

/// Standard output, standard error and exit code.
async fn run(session: &ShellSession, command: impl Into<ExecRequest>) -> (String, String, u32) {
    let result = session.run(command).await.unwrap();
    (
        result.stdout_text().into_owned(),
        result.stderr_text().into_owned(),
        result.exit_code().unwrap(),
    )
}

async fn out(session: &ShellSession, command: impl Into<ExecRequest>) -> String {
    run(session, command).await.0
}

/// The shells that are somebody's sh.
const SHELLS: [&str; 6] = [
    "/bin/dash",
    "/bin/bash",
    "/bin/busybox sh",
    "/usr/bin/mksh",
    "/usr/bin/ksh",
    "/usr/bin/zsh",
];

/// A session in each of them, as far as they are installed.
async fn in_every_shell(mut test: impl AsyncFnMut(&ShellSession, &str)) {
    for shell in SHELLS {
        let program = shell.split(' ').next().unwrap();
        if !Path::new(program).exists() {
            left_out(&format!("shell sessions in {program}"), "install it");
            continue;
        }
        // It runs in the place of whatever was asked for.
        let forced = match shell.ends_with("zsh") {
            true => format!("ForceCommand exec {shell} --emulate sh -s"),
            false => format!("ForceCommand exec {shell} -s"),
        };
        let server = Settings::default().option(&forced).start();
        test(&session_on(&server).await, shell).await;
    }
}

#[tokio::test]
async fn outputs_and_exit_status_arrive_as_the_command_made_them() {
    in_every_shell(async |session, shell| {
        for round in 0..3 {
            let result = session
                .run(r"printf 'out\000\377\r\n\nlast'; printf 'err\000' >&2; exit 3")
                .await
                .unwrap();
            assert_eq!(&result.stdout[..], b"out\0\xff\r\n\nlast", "{shell}, {round}");
            assert_eq!(&result.stderr[..], b"err\0", "{shell}, {round}");
            assert_eq!(result.exit_code(), Some(3), "{shell}, {round}");
        }
        assert_eq!(
            run(session, "true").await,
            (String::new(), String::new(), 0),
            "{shell}"
        );
        // A process that a signal has ended.
        assert_eq!(
            out(session, "(kill -9 $(exec sh -c 'echo $PPID')); echo on").await,
            "on\n",
            "{shell}"
        );
        assert_eq!(
            session
                .run("sh -c 'kill -9 $$'")
                .await
                .unwrap()
                .exit_code()
                .unwrap()
                & 0x7f,
            9,
            "{shell}"
        );
    })
    .await;
}

#[tokio::test]
async fn no_text_breaks_out_of_its_own_command() {
    in_every_shell(async |session, shell| {
        for (text, code) in [
            ("if", None),
            ("echo 'unclosed", None),
            ("echo \"$(", None),
            ("cat <<END\nof a document", None),
            ("fi; }; )", None),
            ("exit 7", Some(7)),
            ("exec sh -c 'exit 8'", Some(8)),
            ("set -e; false; echo not reached", Some(1)),
            ("trap 'echo trapped' EXIT; exit 9", Some(9)),
            ("set -x; false", Some(1)),
            ("set -v\nfalse", Some(1)),
            ("echo comment # ' \" `", Some(0)),
            ("echo \\", Some(0)),
            ("exec >/dev/null 2>&1 </dev/zero; true", Some(0)),
            ("unset PATH; PATH=; export PATH", Some(0)),
            ("alias command=exit printf=exit; printf() { exit 1; }", Some(0)),
            ("cd /; umask 777; ulimit -n 3", Some(0)),
            ("readonly s=1 a=2 f=3; export s", Some(0)),
            ("IFS=0123456789; set -f; set a b c", Some(0)),
        ] {
            let result = session
                .run(text)
                .await
                .unwrap_or_else(|error| panic!("{shell}: {text}: {error}"));
            match code {
                Some(code) => assert_eq!(result.exit_code(), Some(code), "{shell}: {text}: {result:?}"),
                // What a shell makes of half a text is its own affair.
                None => assert!(result.exit_code().is_some(), "{shell}: {text}: {result:?}"),
            }
            assert_eq!(
                run(session, "echo fine; echo err >&2").await,
                ("fine\n".into(), "err\n".into(), 0),
                "{shell}: after {text}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn nothing_that_a_command_does_is_there_for_the_next_one() {
    in_every_shell(async |session, shell| {
        // What changes nothing needs no subshell, and is the same as ever.
        for (text, output, code) in [(":", "", 0), ("false", "", 1), ("echo 'a b' c", "a b c\n", 0)] {
            assert_eq!(
                run(session, text).await,
                (output.into(), String::new(), code),
                "{shell}: {text}"
            );
        }
        assert_eq!(
            out(session, "pwd").await,
            out(session, "pwd; true").await,
            "{shell}"
        );
        let before = out(session, "pwd; umask; set -o").await;
        let changed = run(
            session,
            "cd /; umask 077; X=1; export X; set -f; trap 'echo no' TERM; f() { echo no; }; echo $X",
        )
        .await;
        assert_eq!(changed.0, "1\n", "{shell}");
        assert_eq!(out(session, "pwd; umask; set -o").await, before, "{shell}");
        let left = run(session, "echo \"[$X]\"; f 2>/dev/null").await;
        assert_eq!((left.0.as_str(), left.2), ("[]\n", 127), "{shell}");
    })
    .await;
}

#[tokio::test]
async fn what_is_to_be_kept_is_kept() {
    in_every_shell(async |session, shell| {
        let shell_id = out(session, "echo $$").await;
        for text in ["cd /usr", "X='a b'; export X; f() { echo \"f $1\"; }", "set -f"] {
            let kept = session.run_and_keep(text).await.unwrap();
            assert_eq!(kept.exit_code(), Some(0), "{shell}: {text}: {kept:?}");
        }
        assert_eq!(
            out(session, "pwd; f \"$X\"; echo /*; sh -c 'echo $X'").await,
            "/usr\nf a b\n/*\na b\n",
            "{shell}"
        );
        // What it does to its own streams is kept too, and nobody misses an end of output for that.
        session.run_and_keep("exec 2>/dev/null").await.unwrap();
        assert_eq!(
            run(session, "echo out; echo err >&2").await,
            ("out\n".into(), String::new(), 0),
            "{shell}"
        );
        let failed = session.run_and_keep("cd /nowhere").await.unwrap();
        assert!(!failed.ok(), "{shell}");
        assert_eq!(out(session, "echo $$").await, shell_id, "{shell}");
    })
    .await;
}

#[tokio::test]
async fn a_command_that_ends_the_shell_has_its_status_and_is_the_last_one() {
    let server = Sshd::start();
    let session = session_on(&server).await;
    session.run_and_keep("X=1").await.unwrap();
    let exit = session.run_and_keep("echo last; exit 5").await.unwrap();
    assert_eq!(
        (exit.stdout_text().as_ref(), exit.exit_code()),
        ("last\n", Some(5))
    );
    for error in [
        session.run("echo $X").await.unwrap_err(),
        session.run_and_keep("true").await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), &ErrorKind::Channel);
        assert!(error.to_string().contains("what it had kept is gone"), "{error}");
    }
}

#[tokio::test]
async fn a_shell_that_has_kept_nothing_is_replaced_unseen() {
    let server = Sshd::start();
    let session = session_on(&server).await;
    let first = out(&session, "echo $$").await;
    // The shell, and not only the subshell that says so.
    let error = session.run("echo said; kill -9 $$; sleep 0.2").await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::NoExitStatus, "{error}");
    assert_eq!(&error.partial_output().unwrap().stdout[..], b"said\n");
    let second = out(&session, "echo $$").await;
    assert_ne!(first, second);
}

#[tokio::test]
async fn commands_read_what_they_are_given_and_nothing_else() {
    in_every_shell(async |session, shell| {
        assert_eq!(out(session, "cat; echo end").await, "end\n", "{shell}");
        let bytes: Vec<u8> = (0..=255).cycle().take(20_000).collect();
        for command in ["cat", "cat; exit 3"] {
            let request = ExecRequest::from(command).stdin(bytes.clone());
            let result = session.run(request).await.unwrap();
            assert!(result.stdout == bytes, "{shell}: {} bytes", result.stdout.len());
        }
        // printf takes options, and in mksh and ksh it is a program, whose arguments may be so long and no longer.
        for input in [&b"-"[..], b"--", b"-n x\n", b"-v x", &[0; 32_000]] {
            let request = ExecRequest::from("cat").stdin(input.to_vec());
            let result = session.run(request).await.unwrap();
            assert!(
                result.stdout == input,
                "{shell}: {:?}",
                &input[..input.len().min(5)]
            );
        }
        // One who does not want it is no reason to hang, nor is the rest of it anybody else's.
        let unread = ExecRequest::from("echo unread").stdin(vec![b'\n'; 32_000]);
        assert_eq!(
            run(session, unread).await,
            ("unread\n".into(), String::new(), 0),
            "{shell}"
        );
        assert_eq!(out(session, "cat").await, "", "{shell}");
    })
    .await;
    let server = Sshd::start();
    let session = session_on(&server).await;
    // Longer than a line may be: a channel of its own.
    let long = ExecRequest::from("cat").stdin(vec![0; 1_000_000]);
    assert_eq!(session.run(long).await.unwrap().stdout.len(), 1_000_000);
}

#[tokio::test]
async fn large_output_comes_through_whole_on_both_streams() {
    let server = Sshd::start();
    let session = session_on(&server).await;
    let numbers = session.run("seq 1 2000000").await.unwrap();
    let mut lines = 0_u32;
    for (line, expected) in numbers.stdout_text().lines().zip(1..) {
        assert_eq!(line.parse(), Ok(expected));
        lines = expected;
    }
    assert_eq!(lines, 2_000_000);
    let both = session
        .run("head -c 104857600 /dev/zero & head -c 20000000 /dev/zero >&2; wait")
        .await
        .unwrap();
    assert_eq!((both.stdout.len(), both.stderr.len()), (104_857_600, 20_000_000));
    assert_eq!(out(&session, "echo fine").await, "fine\n");
}

#[tokio::test]
async fn a_background_job_holds_up_nobody() {
    let server = Sshd::start();
    let session = session_on(&server).await;
    let running = session.run("echo up; sleep 86401 & echo $!");
    let result = tokio::time::timeout(Duration::from_secs(20), running)
        .await
        .unwrap()
        .unwrap();
    let text = result.stdout_text();
    let job = text.strip_prefix("up\n").unwrap().trim();
    assert_eq!(
        run(&session, format!("kill {job}; echo next")).await,
        ("next\n".into(), String::new(), 0)
    );
}

#[tokio::test]
async fn argument_vectors_directories_variables_and_users_work_as_anywhere() {
    let server = Sshd::start();
    let session = session_on(&server).await;
    let words =
        Command::program("printf").args(["%s|", "two words", "it's", "$HOME", "", "-n", "a\nb\\", "if"]);
    assert_eq!(out(&session, words).await, "two words|it's|$HOME||-n|a\nb\\|if|");
    let placed = Command::shell("pwd; echo $X").cwd("/usr").env("X", "it's");
    assert_eq!(out(&session, placed).await, "/usr\nit's\n");
    let program = Command::program("pwd").cwd("/usr");
    assert_eq!(out(&session, program).await, "/usr\n");
    assert_eq!(run(&session, Command::program("pwd").cwd("/nowhere")).await.2, 2);
    assert_eq!(run(&session, Command::program("no-such-program")).await.2, 127);
    assert_eq!(
        out(&session, Command::shell("echo $X").env("X", "1").login_shell()).await,
        "1\n"
    );
    if users::is_root() && Path::new("/usr/bin/sudo").exists() {
        let other = Command::program("id")
            .arg("-un")
            .as_user(users::plain().name)
            .sudo(Sudo::NonInteractive);
        assert_eq!(out(&session, other).await.trim(), users::plain().name);
    } else {
        left_out(
            "sudo in a shell session",
            "install sudo, and run scripts/test as root",
        );
    }
    let error = session.run(Command::program("")).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Invalid);
    assert_eq!(out(&session, "echo fine").await, "fine\n");
}

#[tokio::test]
async fn what_a_shell_has_no_place_for_runs_on_a_channel_of_its_own() {
    let server = Settings::default().option("AcceptEnv ASKED").start();
    let session = session_on(&server).await;
    let terminal = ExecRequest::from("test -t 1 && echo terminal").pty(Pty::default());
    assert_eq!(out(&session, terminal).await.trim(), "terminal");
    let asked = ExecRequest::from("echo $ASKED").request_env("ASKED", "yes");
    assert_eq!(out(&session, asked).await, "yes\n");

    let refused = session
        .run_and_keep(ExecRequest::from("cat").stdin("text"))
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), &ErrorKind::Invalid, "{refused}");
    let refused = session
        .run_and_keep(Command::shell("true").cwd("/"))
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), &ErrorKind::Invalid, "{refused}");
    session.run_and_keep("cd /").await.unwrap();
    let refused = session
        .run(ExecRequest::from("pwd").pty(Pty::default()))
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), &ErrorKind::Invalid, "{refused}");
}

#[tokio::test]
async fn calls_at_once_queue_and_each_gets_its_own_answer() {
    let server = Settings::default().option("MaxSessions 2").start();
    let session = session_on(&server).await;
    let running: Vec<_> = (0..200)
        .map(|n| {
            let session = session.clone();
            tokio::spawn(async move {
                (
                    n,
                    session
                        .run(format!("echo {n}; echo e{n} >&2; exit {}", n % 100))
                        .await,
                )
            })
        })
        .collect();
    for task in running {
        let (n, result) = task.await.unwrap();
        let result = result.unwrap();
        assert_eq!(
            (result.stdout_text(), result.stderr_text()),
            (format!("{n}\n").into(), format!("e{n}\n").into())
        );
        assert_eq!(result.exit_code(), Some(n % 100));
    }
}

#[tokio::test]
async fn whatever_the_login_shell_is_the_session_has_a_posix_shell() {
    for shell in ["/usr/bin/fish", "/usr/bin/tcsh", "/usr/bin/zsh", "/bin/bash"] {
        if !Path::new(shell).exists() {
            left_out(
                &format!("shell sessions where the login shell is {shell}"),
                "install it",
            );
            continue;
        }
        // What the account's own shell would do with `-c`, as sshd starts it.
        let forced =
            format!("ForceCommand echo 'noise of a profile'; exec {shell} -c \"$SSH_ORIGINAL_COMMAND\"");
        let server = Settings::default().option(&forced).user(users::plain()).start();
        let session = session_on(&server).await;
        assert_eq!(
            run(&session, "X=1; echo \"$X\" \"${Y:-unset}\"; false").await,
            ("1 unset\n".into(), String::new(), 1),
            "{shell}"
        );
    }
}

#[tokio::test]
async fn without_a_shell_each_command_gets_a_channel_and_the_session_says_why() {
    for (forced, reason) in [
        (
            "ForceCommand /usr/sbin/nologin",
            "This account is currently not available",
        ),
        ("ForceCommand echo 'only this'", "only this"),
        ("ForceCommand exit 4", "exit status 4"),
    ] {
        let server = Settings::default().option(forced).start();
        let connection: Connection = server.builder().connect().await.unwrap();
        let session = connection.shell_session().await.unwrap();
        assert!(
            session.fallback().unwrap().contains(reason),
            "{forced}: {session:?}"
        );
        let (own, other) = (
            session.run("echo other").await.unwrap(),
            connection.exec("echo other").await.unwrap(),
        );
        assert_eq!((own.stdout, own.status), (other.stdout, other.status), "{forced}");
        let error = session.run_and_keep("cd /").await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Invalid);
        assert!(error.to_string().contains(reason), "{error}");
    }
}

#[tokio::test]
async fn a_closed_session_runs_nothing_and_has_freed_its_channel() {
    let server = Settings::default().option("MaxSessions 2").start();
    let connection = server.builder().connect().await.unwrap();
    for _ in 0..5 {
        let session = connection.shell_session().await.unwrap();
        let pid = out(&session, "echo $$").await;
        session.close().await;
        session.close().await;
        let error = session.run("true").await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Channel, "{error}");
        let alive = connection.exec(format!("kill -0 {pid}")).await.unwrap();
        assert!(!alive.ok(), "the shell still runs");
    }
}

#[tokio::test]
async fn its_commands_are_told_and_recorded_like_any_other_and_secrets_are_masked() {
    let server = Sshd::start();
    let (recorder, events) = (EvidenceRecorder::new(), EventCollector::new());
    let builder = server.builder().events(&events).evidence(&recorder);
    let connection = builder
        .record_output(RecordOutput::default())
        .connect()
        .await
        .unwrap();
    let session = connection.shell_session().await.unwrap();
    session
        .run(ExecRequest::from("cat; echo err >&2; exit 3").stdin("in"))
        .await
        .unwrap();
    let secret = Command::shell("echo $TOKEN").secret_env("TOKEN", "hunter2-hunter2");
    assert_eq!(out(&session, secret).await, "hunter2-hunter2\n");
    let late = ExecRequest::from("echo early; sleep 60").timeout(Duration::from_millis(300));
    session.run(late).await.unwrap_err();
    connection.close().await;

    let bundle = recorder.bundle(None);
    let [first, secret, late] = &bundle.commands[..] else {
        panic!("{:?}", bundle.commands)
    };
    assert_eq!(first.command, "cat; echo err >&2; exit 3");
    assert_eq!(
        (&first.stdout.data[..], &first.stderr.data[..], first.exit_code),
        (&b"in"[..], &b"err\n"[..], Some(3))
    );
    assert_eq!(first.stdin.bytes, 2);
    assert!(
        !bundle.to_jsonl(Redaction::Secrets).contains("hunter2"),
        "{secret:?}"
    );
    assert_eq!(late.stdout.data, b"early\n");
    assert!(
        late.error.as_ref().unwrap().contains("did not end within"),
        "{late:?}"
    );

    let told: Vec<_> = events
        .events()
        .into_iter()
        .filter(|event| event.event_type == EventType::Exec)
        .collect();
    assert_eq!(told.len(), 3, "{told:?}");
    assert_eq!(
        (
            &told[0].data["exit_code"],
            &told[0].data["stdout_len"],
            &told[0].data["stderr_len"]
        ),
        (&3.into(), &2.into(), &4.into())
    );
    assert!(!format!("{told:?}").contains("hunter2"));
    assert_eq!(told[2].data["error_type"], "CommandTimeout");
}

#[test]
fn callers_that_wait_have_sessions_too() {
    let server = Sshd::start();
    let connection = blocking::Connection::connect(server.builder()).unwrap();
    let session = connection.shell_session().unwrap();
    // The session keeps the connection.
    drop(connection);
    assert_eq!(session.fallback(), None);
    session.run_and_keep("cd /usr").unwrap();
    std::thread::scope(|scope| {
        for n in 0..8 {
            let session = session.clone();
            scope.spawn(move || {
                assert_eq!(
                    session.run(format!("pwd; echo {n}")).unwrap().stdout_text(),
                    format!("/usr\n{n}\n")
                )
            });
        }
    });
    let late = session
        .run(ExecRequest::from("sleep 60").timeout(Duration::from_millis(200)))
        .unwrap_err();
    assert_eq!(late.kind(), &ErrorKind::CommandTimeout);
    session.close().unwrap();
    assert_eq!(session.run("true").unwrap_err().kind(), &ErrorKind::Channel);
}
