//! The guest client on a real sshd: commands, and the one connection they share.

mod guest_support;

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use guest_support::{client, guest};
use sternline::guest::{GuestClient, GuestCommand, ShellKind, ShellMode};
use sternline::{ErrorKind, SendState};
use sternline_proto::guest::{ShellMode as Mode, wrap};
use sternline_tests::left_out::left_out;
use sternline_tests::processes::{self, eventually};
use sternline_tests::sshd::{Settings, Sshd, free_port};
use sternline_tests::users;

/// How many clients have logged in.
fn logins(server: &Sshd) -> usize {
    let log = server.log();
    log.matches("Accepted publickey").count() + log.matches("Accepted password").count()
}

#[tokio::test]
async fn the_complete_example_of_the_seed_runs() {
    let server = Sshd::start();
    let guest = guest(&server);
    guest
        .wait_for_ssh(Duration::from_secs(60), Duration::from_millis(100))
        .await
        .unwrap();
    assert!(guest.connected());
    let hello = guest.run("echo hello").await.unwrap();
    assert_eq!(
        (hello.exit_code, hello.output().as_str(), hello.ok()),
        (Some(0), "hello", true)
    );
    let failed = guest.run("echo to-stderr >&2; exit 3").await.unwrap();
    assert_eq!((failed.exit_code, failed.ok()), (Some(3), false));
    assert_eq!(failed.stderr_text(), "to-stderr\n");
    assert_eq!(logins(&server), 1, "one connection for all");
    guest.close().await;
    assert!(!guest.connected());
}

#[tokio::test]
async fn nothing_is_connected_before_the_first_call_and_close_may_be_called_at_any_time() {
    let server = Sshd::start();
    let guest = guest(&server);
    assert!(!guest.connected());
    guest.close().await;
    assert_eq!(logins(&server), 0);
    for _ in 0..2 {
        assert_eq!(guest.run("echo hi").await.unwrap().output(), "hi");
        assert!(guest.connected());
        guest.close().await;
        guest.close().await;
        assert!(!guest.connected());
    }
    assert_eq!(
        logins(&server),
        2,
        "it is usable after close, by connecting again"
    );
}

#[tokio::test]
async fn login_commands_see_the_profile_and_raw_commands_do_not() {
    let server = Sshd::start();
    std::fs::write(server.path("home/.profile"), "export FROM_PROFILE=yes\n").unwrap();
    let guest = guest(&server);
    let says = "echo \"[$FROM_PROFILE]\"";
    assert_eq!(guest.run(says).await.unwrap().output(), "[yes]");
    let login = GuestCommand::new(says).shell(ShellMode::Login);
    assert_eq!(guest.run(login).await.unwrap().output(), "[yes]");
    let raw = GuestCommand::new(says).shell(ShellMode::Raw);
    assert_eq!(guest.run(raw).await.unwrap().output(), "[]");
    // Quotes, line ends and everything else arrive as they were written.
    let odd = "printf '%s|' \"it's\" 'a\"b' $'x\\ny' '\\' '$HOME'\necho done";
    assert_eq!(
        guest.run(odd).await.unwrap().stdout_text(),
        "it's|a\"b|x\ny|\\|$HOME|done\n"
    );
    assert_eq!(
        guest
            .run(GuestCommand::new(odd).raw())
            .await
            .unwrap()
            .stdout_text(),
        "it's|a\"b|x\ny|\\|$HOME|done\n"
    );
}

#[tokio::test]
async fn commands_and_limits_that_make_no_sense_are_refused_before_anything_is_connected() {
    let guest = GuestClient::builder("127.0.0.1")
        .port(free_port())
        .build()
        .unwrap();
    for (command, expected) in [
        (GuestCommand::new(""), "command cannot be empty"),
        (
            GuestCommand::new(" \n\t").timeout(Duration::ZERO),
            "command cannot be empty",
        ),
        (
            GuestCommand::new("true").timeout(Duration::from_millis(999)),
            "timeout must be >= 1",
        ),
        (
            GuestCommand::new("a\0b"),
            "command cannot hold a NUL byte; one stands at position 1",
        ),
    ] {
        let error = guest.run(command).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (&ErrorKind::Invalid, expected)
        );
        assert_eq!(error.sent(), SendState::NotSent);
    }
    let error = guest.run("true").await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::ConnectionRefused);
    for wrong in ["Login", "", "both"] {
        let error = wrong.parse::<ShellMode>().unwrap_err();
        assert_eq!(error.to_string(), "shell must be 'login' or 'raw'");
    }
}

#[tokio::test]
async fn input_is_empty_unless_it_is_given() {
    let server = Sshd::start();
    let guest = guest(&server);
    assert_eq!(guest.run("cat").await.unwrap().output(), "");
    let fed = GuestCommand::new("cat").stdin("a\0b\n");
    assert_eq!(&guest.run(fed).await.unwrap().stdout[..], b"a\0b\n");
}

#[tokio::test]
async fn a_time_limit_counts_in_all_and_ends_the_remote_process() {
    let server = Sshd::start();
    let guest = guest(&server);
    // Not a moment passes without output, so a limit for each read would never end it.
    let command = "while :; do echo tick; sleep 0.1; done # guest-timeout-mark";
    let begun = Instant::now();
    let error = guest
        .run(GuestCommand::new(command).timeout(Duration::from_secs(1)))
        .await
        .unwrap_err();
    assert!(begun.elapsed() >= Duration::from_secs(1));
    assert_eq!(error.kind(), &ErrorKind::OperationTimeout);
    assert_eq!(error.error_type(), "OperationTimeoutError");
    let dict = error.to_dict();
    let operation = format!("ssh 127.0.0.1:{}: {}", server.port(), &command[..40]);
    assert!(
        dict["operation"].as_str().unwrap().starts_with(&operation),
        "{dict:?}"
    );
    assert_eq!(dict["timeout_seconds"], 1.0);
    assert_eq!(dict["remote_process_may_survive"], false);
    let text = error.to_string();
    assert!(text.contains("timed out after 1 s: "), "{text}");
    let partial = error.partial_output().unwrap();
    assert!(
        partial.stdout.starts_with(b"tick\n"),
        "what it had written is not lost"
    );
    assert!(processes::containing("guest-timeout-mark").is_empty());
    // The connection lives on.
    assert_eq!(guest.run("echo still").await.unwrap().output(), "still");
    assert_eq!(logins(&server), 1);
}

#[tokio::test]
async fn ten_commands_that_time_out_leave_no_process_and_take_no_session() {
    let server = Settings::default().option("MaxSessions 10").start();
    let guest = guest(&server);
    let slow = |n| {
        let command = format!("sleep 321; echo slow-guest-{n}");
        guest.run(GuestCommand::new(command).timeout(Duration::from_secs(1)))
    };
    for n in 0..11 {
        let error = slow(n).await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::OperationTimeout, "{error}");
    }
    assert!(processes::containing("slow-guest-").is_empty());
    assert_eq!(guest.run("echo fine").await.unwrap().output(), "fine");
    assert_eq!(logins(&server), 1);
}

#[tokio::test]
async fn connecting_counts_against_the_time_limit_too() {
    // It accepts, and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let guest = GuestClient::builder("127.0.0.1")
        .port(silent.local_addr().unwrap().port())
        .build()
        .unwrap();
    let begun = Instant::now();
    let error = guest
        .run(GuestCommand::new("true").timeout(Duration::from_secs(1)))
        .await
        .unwrap_err();
    assert!(
        begun.elapsed() < Duration::from_secs(8),
        "connect_timeout alone is 10 s"
    );
    assert_eq!(error.kind(), &ErrorKind::OperationTimeout, "{error}");
    assert_eq!(error.sent(), SendState::NotSent);
    let text = error.to_string();
    assert!(
        text.contains("waiting for the server's SSH identification"),
        "{text}"
    );
}

#[tokio::test]
async fn a_guest_that_is_frozen_is_given_up_and_the_next_call_does_not_wait_for_it() {
    let server = Sshd::start();
    let guest = guest(&server);
    let command = GuestCommand::new("kill -STOP $PPID; echo after; sleep 300")
        .raw()
        .timeout(Duration::from_secs(1));
    // The process that serves the connection stops, so that nothing answers any more.
    let error = guest.run(command).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::OperationTimeout, "{error}");
    assert_eq!(error.to_dict()["remote_process_may_survive"], true);
    assert!(error.partial_output().is_some());
    assert!(!guest.connected());
    assert_eq!(guest.run("echo again").await.unwrap().output(), "again");
}

#[tokio::test]
async fn a_lost_connection_is_an_error_and_a_signal_is_told_apart_from_an_exit_code() {
    let server = Sshd::start();
    let guest = guest(&server);
    let killed = guest
        .run(GuestCommand::new("echo x; kill -9 $$").raw())
        .await
        .unwrap();
    assert_eq!((killed.exit_code, killed.signal.as_deref()), (None, Some("KILL")));
    assert!(!killed.ok());
    assert_eq!(killed.output(), "x");

    let running = tokio::spawn({
        let guest = guest.clone();
        async move { guest.run("echo begun; exec sleep 322").await }
    });
    eventually("the command runs", || {
        !processes::containing("sleep 322").is_empty()
    })
    .await;
    // The server has passed on what was written before this.
    guest.run("true").await.unwrap();
    server.break_connections();
    let error = running.await.unwrap().unwrap_err();
    assert!(error.kind().is_connection(), "{error}");
    assert_ne!(error.sent(), SendState::NotSent, "it may have run");
    assert_eq!(&error.partial_output().unwrap().stdout[..], b"begun\n");
    eventually("the loss is noticed", || !guest.connected()).await;
    // The next call connects again, and the command before is not run a second time.
    assert_eq!(guest.run("echo again").await.unwrap().output(), "again");
    assert!(guest.connected());
    for process in processes::containing("sleep 322") {
        let pid = rustix::process::Pid::from_raw(i32::try_from(process.pid).unwrap()).unwrap();
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

#[tokio::test]
async fn a_connection_that_ended_while_nothing_ran_is_made_again_by_the_next_call() {
    let mut server = Sshd::start();
    let guest = guest(&server);
    for round in 0..5 {
        let result = guest.run(format!("echo {round}")).await.unwrap();
        assert_eq!(result.output(), round.to_string());
        let gone = processes::tree(server.pid());
        server.stop();
        // This thread is all that the client has, and it is kept busy: there is no time to look until the next call.
        while processes::all()
            .iter()
            .any(|process| !process.zombie && gone.contains(&process.pid))
        {
            std::thread::yield_now();
        }
        server.start_again();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_tasks_and_threads_share_one_connection_that_is_made_once() {
    let server = Settings::default().option("MaxSessions 10").start();
    let guest = guest(&server);
    let running: Vec<_> = (0..60)
        .map(|n| {
            let guest = guest.clone();
            tokio::spawn(async move { (n, guest.run(format!("echo {n}; exit {}", n % 7)).await) })
        })
        .collect();
    for task in running {
        let (n, result) = task.await.unwrap();
        let result = result.unwrap();
        assert_eq!((result.output(), result.exit_code), (n.to_string(), Some(n % 7)));
    }
    assert_eq!(logins(&server), 1);
}

#[test]
fn threads_with_runtimes_of_their_own_share_the_connection_and_need_not_stay() {
    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    }
    let server = Settings::default().option("MaxSessions 10").start();
    let guest = guest(&server);
    let first = tokio::runtime::Runtime::new().unwrap();
    first.block_on(guest.run("true")).unwrap();
    let threads: Vec<_> = (0..30)
        .map(|thread| {
            let guest = guest.clone();
            std::thread::spawn(move || {
                // Each ends while others still wait for theirs.
                for n in 0..=thread % 5 {
                    let command = GuestCommand::new(format!("echo {thread}-{n}")).raw();
                    let said = runtime().block_on(guest.run(command)).unwrap();
                    assert_eq!(said.output(), format!("{thread}-{n}"));
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(logins(&server), 1);
    // The connection ends with the runtime that it was made in; a client goes on.
    drop(first);
    let said = runtime().block_on(guest.run("echo on")).unwrap();
    assert_eq!(said.output(), "on");
    assert_eq!(logins(&server), 2);
}

#[tokio::test]
async fn more_commands_than_the_server_allows_wait_for_each_other() {
    let server = Settings::default().option("MaxSessions 3").start();
    let guest = guest(&server);
    // Two at once, for one session is kept to end them; twelve are six rounds.
    let running: Vec<_> = (0..12)
        .map(|n| {
            let guest = guest.clone();
            tokio::spawn(async move { guest.run(format!("sleep 0.1; echo {n}")).await })
        })
        .collect();
    for (n, task) in running.into_iter().enumerate() {
        assert_eq!(task.await.unwrap().unwrap().output(), n.to_string());
    }
    assert_eq!(logins(&server), 1, "no refusal has ended the connection");
}

#[tokio::test]
async fn much_output_on_both_streams_comes_through_whole() {
    let server = Sshd::start();
    let guest = guest(&server);
    let command = "head -c 8388608 /dev/zero; head -c 8388608 /dev/zero >&2";
    let result = guest.run(command).await.unwrap();
    assert_eq!((result.stdout.len(), result.stderr.len()), (8 << 20, 8 << 20));
}

#[tokio::test]
async fn a_password_is_used_where_no_key_is_given_and_never_beside_one() {
    if !users::is_root() {
        left_out("logging in to a guest with a password", "run the tests as root");
        return;
    }
    let server = Settings::default().user(users::plain()).start();
    let builder = || {
        GuestClient::builder("127.0.0.1")
            .port(server.port())
            .user(server.user().name.clone())
    };
    let by_password = builder().password(users::PASSWORD).build().unwrap();
    assert_eq!(
        by_password.run("id -un").await.unwrap().output(),
        server.user().name
    );
    assert!(server.log().contains("Accepted password"), "{}", server.log());
    // A key that the server does not take, and a password that it would.
    let other = server.path("other");
    sternline_tests::sshd::keygen(&other, "ed25519");
    let both = builder()
        .key_path(other)
        .password(users::PASSWORD)
        .build()
        .unwrap();
    let error = both.run("true").await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::AuthFailed);
    assert_eq!(logins(&server), 1);
    let by_key = client(&server).password("wrong").build().unwrap();
    assert_eq!(by_key.run("id -un").await.unwrap().output(), server.user().name);
}

#[tokio::test]
async fn the_default_keys_are_used_where_neither_key_nor_password_is_given() {
    let server = Sshd::start();
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join(".ssh")).unwrap();
    let key = home.path().join(".ssh/id_ed25519");
    std::fs::copy(server.key(), &key).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let mut env = sternline::config::Env::default();
    env.home = Some(home.path().to_owned());
    let guest = GuestClient::builder("127.0.0.1")
        .port(server.port())
        .user(server.user().name.clone())
        .env(env)
        .build()
        .unwrap();
    assert_eq!(guest.run("echo in").await.unwrap().output(), "in");
}

#[tokio::test]
async fn sync_asks_the_guest_to_write_its_disks() {
    let server = Sshd::start();
    guest(&server).sync().await.unwrap();
    let home = server.path("home");
    std::fs::write(home.join("sync"), "#!/bin/sh\necho no disk >&2\nexit 5\n").unwrap();
    std::fs::set_permissions(home.join("sync"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!(
        "SetEnv PATH={}:/usr/bin:/bin HOME={}",
        home.display(),
        home.display()
    );
    let broken = Settings::default().option(&path).start();
    let error = guest(&broken).sync().await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::CommandFailed);
    assert_eq!(
        error.to_string(),
        "guest sync over SSH ended with exit status 5: no disk"
    );
}

/// Accounts with shells that cannot read the line of the POSIX login shell.
#[tokio::test]
async fn an_account_whose_shell_cannot_read_the_line_is_told_and_raw_commands_work() {
    if !users::is_root() {
        left_out("guests whose accounts have fish or tcsh", "run the tests as root");
        return;
    }
    for shell in ["/usr/bin/fish", "/usr/bin/tcsh"] {
        let account = sternline_tests::throwaway::Throwaway::new("x");
        let status = std::process::Command::new("usermod")
            .args(["--shell", shell, account.name()])
            .status()
            .unwrap();
        assert!(status.success());
        let server = Settings::default().user(account.user()).start();
        std::fs::set_permissions(server.path("home"), std::fs::Permissions::from_mode(0o777)).unwrap();
        let guest = guest(&server);
        let error = guest.run("touch /tmp/never").await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Invalid, "{shell}: {error}");
        let text = error.to_string();
        assert!(
            text.contains("cannot read the line") && text.contains("nothing was run"),
            "{text}"
        );
        assert!(error.hint().contains("raw commands"), "{}", error.hint());
        let raw = guest.run(GuestCommand::new("echo hello").raw()).await.unwrap();
        assert_eq!(raw.output(), "hello", "{shell}");
    }
    // A command that only writes what those shells say is not taken for one of them.
    let server = Sshd::start();
    let guest = guest(&server);
    let imposter = guest
        .run("echo \"Bad : modifier in \\$ '-'.\" >&2; exit 1")
        .await
        .unwrap();
    assert_eq!(imposter.exit_code, Some(1));
}

/// An sshd whose commands find a `powershell.exe` and a `cmd.exe` first in PATH.
fn windows(script: &str) -> (Sshd, tempfile::TempDir) {
    let bin = tempfile::tempdir().unwrap();
    std::fs::set_permissions(bin.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    for name in ["powershell.exe", "cmd.exe"] {
        let path = bin.path().join(name);
        std::fs::write(&path, format!("#!/bin/bash\n{script}")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let option = format!("SetEnv PATH={}:/usr/bin:/bin HOME=/", bin.path().display());
    (Settings::default().option(&option).start(), bin)
}

/// What PowerShell does with its standard error when that is no console: progress and errors in CLIXML.
const POWERSHELL: &str = r#"
script=$(printf %s "$3" | base64 -d | iconv -f UTF-16LE -t UTF-8)
printf '%s|%s\n' "$1" "$2"
printf '%s' "$script"
printf '#< CLIXML\r\n<Objs Version="1.1.0.1" xmlns="http://schemas.microsoft.com/powershell/2004/04"><Obj S="progress" RefId="0"><MS><PR N="Record"><AV>Preparing modules for first use.</AV></PR></MS></Obj><S S="Error">nope : &lt;not&gt; found_x000D__x000A_</S></Objs>' >&2
case $script in *'exit $LASTEXITCODE') exit 42 ;; *) exit 1 ;; esac
"#;

#[tokio::test]
async fn powershell_gets_the_script_unchanged_and_its_noise_is_removed() {
    let (server, _bin) = windows(POWERSHELL);
    let guest = client(&server).shell_kind(ShellKind::PowerShell).build().unwrap();
    let script = "Write-Output \"é ‘x’ $env:PATH\" | Out-String # 100% & more";
    let result = guest.run(script).await.unwrap();
    assert_eq!(
        result.stdout_text(),
        format!("-NoProfile|-EncodedCommand\n{script}")
    );
    assert_eq!(result.stderr_text(), "nope : <not> found\n");
    assert_eq!(result.exit_code, Some(1));
    // The exit code of native programs, by an option.
    let native = guest
        .run(GuestCommand::new(script).native_exit_code(true))
        .await
        .unwrap();
    assert_eq!(native.exit_code, Some(42));
    assert!(
        native
            .stdout_text()
            .ends_with("# 100% & more\nexit $LASTEXITCODE")
    );
    // Raw commands have no wrap, and nothing is changed in what they write.
    let raw = GuestCommand::new("echo raw; printf '#< CLIXML\\n' >&2").raw();
    let raw = guest.run(raw).await.unwrap();
    assert_eq!(
        (raw.output().as_str(), &*raw.stderr_text()),
        ("raw", "#< CLIXML\n")
    );
}

#[tokio::test]
async fn cmd_gets_the_line_that_callers_know() {
    let (server, _bin) = windows("printf '%s\\n' \"$@\"");
    let guest = client(&server).shell_kind(ShellKind::Cmd).build().unwrap();
    let result = guest.run("dir & ver").await.unwrap();
    assert_eq!(result.stdout_text(), "/s\n/c\ndir & ver\n");
    assert_eq!(
        wrap(ShellKind::Cmd, Mode::Login, "type \"a b\"", false).unwrap(),
        "cmd.exe /s /c \"type \"\"a b\"\"\""
    );
}

#[tokio::test]
async fn no_secret_of_a_client_shows_in_its_debug_output_or_errors() {
    let guest = GuestClient::builder("127.0.0.1")
        .port(free_port())
        .password("hunter2hunter2")
        .build()
        .unwrap();
    let error = guest.run("login --password=hunter2hunter2").await.unwrap_err();
    let shown = format!("{guest:?} {error} {error:?} {}", error.hint());
    assert!(!shown.contains("hunter2"), "{shown}");
}

/// What starts and stops guests, as the examples of the seed have one.
struct Manager {
    server: std::thread::JoinHandle<Sshd>,
    port: u16,
    key: std::path::PathBuf,
    _folder: tempfile::TempDir,
}

impl Manager {
    /// Starts a guest: it is up some time after this has returned.
    fn boot() -> Self {
        let mut server = Sshd::start();
        server.stop();
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key");
        std::fs::copy(server.key(), &key).unwrap();
        let port = server.port();
        let server = std::thread::spawn(move || {
            server.start_again();
            server
        });
        Self {
            server,
            port,
            key,
            _folder: folder,
        }
    }
}

#[tokio::test]
async fn the_example_with_a_vm_manager_runs() {
    let vm = Manager::boot();
    let guest = GuestClient::builder("127.0.0.1")
        .user(users::current().name)
        .port(vm.port)
        .key_path(&vm.key)
        .build()
        .unwrap();
    guest.wait_ready().await.unwrap();
    let server = vm.server.join().unwrap();
    assert_eq!(guest.run("uname -s").await.unwrap().output(), "Linux");
    assert_eq!(
        logins(&server),
        1,
        "the connection of the wait is the one of the command"
    );
    guest.close().await;
}

#[tokio::test]
async fn the_example_of_error_handling_runs() {
    let server = Sshd::start();
    let guest = guest(&server);
    assert_eq!(guest.run("ls /nonexistent").await.unwrap().exit_code, Some(2));
    let failed = guest.run("exit 7").await.unwrap().success().unwrap_err();
    assert_eq!(failed.kind(), &ErrorKind::CommandFailed);
    let late = guest
        .run(GuestCommand::new("sleep 60").timeout(Duration::from_secs(1)))
        .await;
    assert_eq!(late.unwrap_err().kind(), &ErrorKind::OperationTimeout);
    assert_eq!(guest.run(" ").await.unwrap_err().kind(), &ErrorKind::Invalid);
    let nobody = GuestClient::builder("127.0.0.1")
        .port(free_port())
        .build()
        .unwrap();
    assert!(nobody.run("true").await.unwrap_err().kind().is_connection());
}

#[tokio::test]
async fn no_process_is_started_here_for_a_command_and_the_connection_stays() {
    let server = Sshd::start();
    let guest = guest(&server);
    // Each command looks for its client among the processes: it is this one, and has no child but the servers.
    let own = std::process::id();
    let clients = || {
        let below = processes::tree(own);
        let all = processes::all();
        let ours = all
            .iter()
            .filter(|process| below.contains(&process.pid) && process.pid != own);
        ours.filter(|process| process.command.starts_with("ssh ")).count()
    };
    for n in 0..20 {
        assert_eq!(
            guest.run(format!("echo {n}")).await.unwrap().output(),
            n.to_string()
        );
        assert_eq!(clients(), 0);
    }
    assert_eq!(logins(&server), 1);
}

#[tokio::test]
async fn with_a_shell_session_commands_share_one_shell_and_nothing_else() {
    let server = Sshd::start();
    let guest = client(&server).shell_session().build().unwrap();
    let shell = guest
        .run(GuestCommand::new("echo $$").raw())
        .await
        .unwrap()
        .output();
    for round in 0..3 {
        assert_eq!(
            guest
                .run(GuestCommand::new("cd /; X=1; echo $$").raw())
                .await
                .unwrap()
                .output(),
            shell
        );
        let free = guest
            .run(GuestCommand::new("echo \"[$X]\"; echo err >&2; exit 3").raw())
            .await
            .unwrap();
        assert_eq!(
            (
                free.output().as_str(),
                free.stderr_text().as_ref(),
                free.exit_code
            ),
            ("[]", "err\n", Some(3)),
            "{round}"
        );
        let login = guest
            .run("shopt -q login_shell && echo login; exit 4")
            .await
            .unwrap();
        assert_eq!(login.exit_code, Some(4), "{login:?}");
    }
    let error = guest
        .run(
            GuestCommand::new("echo before; sleep 88001")
                .raw()
                .timeout(Duration::from_secs(1)),
        )
        .await
        .unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::OperationTimeout, "{error}");
    assert_eq!(&error.partial_output().unwrap().stdout[..], b"before\n");
    assert!(processes::containing("sleep 88001").is_empty());
    assert_eq!(
        guest
            .run(GuestCommand::new("echo $$").raw())
            .await
            .unwrap()
            .output(),
        shell
    );

    // A lost connection takes the shell along; the next call has another one.
    server.break_connections();
    eventually("the loss is noticed", || !guest.connected()).await;
    assert_ne!(
        guest
            .run(GuestCommand::new("echo $$").raw())
            .await
            .unwrap()
            .output(),
        shell
    );
    guest.close().await;
    assert_eq!(
        guest
            .run(GuestCommand::new("cat").raw().stdin("again"))
            .await
            .unwrap()
            .output(),
        "again"
    );
}
