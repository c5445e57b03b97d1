//! The embedded server with OpenSSH's client.

mod server_support;

use std::process::Stdio;

use server_support::{Fixture, PASSWORD, PATIENCE, answer, binary, eventually, is_running, run};
use sternline_server::{Control, Credential, ExecRequest, ExitOutcome, KeyPair, Reply, Server};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::timeout;

#[tokio::test]
async fn a_table_answers_with_output_error_output_and_exit_code() {
    let f = Fixture::start(Server::builder().command("probe --all", Reply::new("out\n", "err\n", 7))).await;
    let mut ssh = f.ssh();
    ssh.arg("probe --all");
    let output = answer(ssh).await;
    assert_eq!(output.stdout, b"out\n");
    assert_eq!(output.stderr, b"err\n");
    assert_eq!(output.status.code(), Some(7));
    let log = f.server.log();
    assert_eq!(log.len(), 1);
    assert_eq!(log[0].user, "deploy");
    assert_eq!(log[0].command.as_deref(), Some(&b"probe --all"[..]));
    assert_eq!(log[0].exit, Some(ExitOutcome::Code(7)));
}

#[tokio::test]
async fn without_commands_every_command_is_unknown() {
    let f = Fixture::start(Server::builder()).await;
    let mut ssh = f.ssh();
    ssh.arg("anything");
    let output = answer(ssh).await;
    assert_eq!(output.status.code(), Some(127));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "anything: command not found\n"
    );
}

#[tokio::test]
async fn a_password_logs_in_and_a_wrong_one_does_not() {
    let f = Fixture::start(Server::builder().command("true", Reply::stdout("in\n"))).await;
    let mut right = f.ssh_answering(PASSWORD, "password");
    right.arg("true");
    assert_eq!(answer(right).await.stdout, b"in\n");

    let mut wrong = f.ssh_answering("wrong", "password");
    wrong.args(["-o", "NumberOfPasswordPrompts=1", "true"]);
    let output = answer(wrong).await;
    assert!(!output.status.success());
    assert_eq!(f.server.log().len(), 1, "the refused client ran nothing");
}

#[tokio::test]
async fn the_real_shell_gives_output_and_exit_code() {
    let f = Fixture::start(Server::builder().real_shell()).await;
    let mut ssh = f.ssh();
    ssh.arg("echo out; echo err >&2; exit 42");
    let output = answer(ssh).await;
    assert_eq!(output.stdout, b"out\n");
    assert_eq!(output.stderr, b"err\n");
    assert_eq!(output.status.code(), Some(42));
}

#[tokio::test]
async fn sixty_four_mebibytes_go_through_a_real_cat_and_back() {
    let f = Fixture::start(Server::builder().real_shell()).await;
    let data = binary(64 << 20);
    let mut ssh = f.ssh();
    ssh.arg("cat");
    let output = run(ssh, data.clone()).await;
    assert!(output.status.success());
    assert_eq!(output.stdout.len(), data.len());
    assert!(output.stdout == data);
}

#[tokio::test]
async fn new_keys_are_exchanged_in_mid_stream_without_loss() {
    let f = Fixture::start(Server::builder().real_shell()).await;
    let data = binary(16 << 20);
    let mut ssh = f.ssh();
    ssh.args(["-o", "RekeyLimit=1M", "cat"]);
    assert!(run(ssh, data.clone()).await.stdout == data);
}

#[tokio::test]
async fn key_exchange_is_strict_and_offers_post_quantum_and_aes_gcm_first() {
    let f = Fixture::start(Server::builder().command("true", Reply::stdout(""))).await;
    let mut ssh = f.ssh();
    ssh.args(["-vvv", "true"]);
    let output = answer(ssh).await;
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(log.contains("will use strict KEX ordering"), "{log}");
    let (_, ours) = log.split_once("peer server KEXINIT proposal").unwrap();
    assert!(ours.contains("KEX algorithms: mlkem768x25519-sha256,"), "{log}");
    assert!(
        ours.contains("ciphers stoc: aes128-gcm@openssh.com,aes256-gcm@openssh.com,"),
        "{log}"
    );
}

#[tokio::test]
async fn keyboard_interactive_asks_and_takes_the_answer() {
    let builder = Server::builder()
        .user(
            "deploy",
            Credential::keyboard_interactive([("Code: ", true, "123456")]),
        )
        .command("true", Reply::stdout("in\n"));
    let f = Fixture::start(builder).await;
    let mut ssh = f.ssh_answering("123456", "keyboard-interactive");
    ssh.arg("true");
    assert_eq!(answer(ssh).await.stdout, b"in\n");
}

#[tokio::test]
async fn ecdsa_and_rsa_keys_log_in_and_identify_the_server() {
    for (kind, bits) in [("ecdsa", "256"), ("ecdsa", "521"), ("rsa", "2048")] {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("key");
        let mut keygen = Command::new("ssh-keygen");
        keygen
            .args(["-q", "-t", kind, "-b", bits, "-N", "", "-f"])
            .arg(&path);
        assert!(answer(keygen).await.status.success());
        let pair = KeyPair::from_file(&path).unwrap();
        let line = std::fs::read_to_string(path.with_extension("pub")).unwrap();
        let server = Server::builder()
            .user("deploy", Credential::public_key(&line).unwrap())
            .host_key(pair.clone())
            .command("true", Reply::stdout("in\n"))
            .bind()
            .await
            .unwrap();
        let f = Fixture::of(server, &pair);
        let mut ssh = f.ssh();
        ssh.arg("true");
        assert_eq!(answer(ssh).await.stdout, b"in\n", "{kind} {bits}");
    }
}

#[tokio::test]
async fn another_key_is_refused() {
    let f = Fixture::start(Server::builder().real_shell()).await;
    let other = KeyPair::generate_ed25519().unwrap();
    let stranger = Fixture::of(f.server.clone(), &other);
    let mut ssh = stranger.ssh();
    ssh.arg("true");
    let output = answer(ssh).await;
    assert_eq!(output.status.code(), Some(255));
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("Permission denied"),
        "{output:?}"
    );
    assert!(f.server.log().is_empty());
}

#[tokio::test]
async fn an_interactive_shell_on_a_terminal_runs_what_is_typed() {
    let f = Fixture::start(Server::builder().real_shell()).await;
    let mut ssh = f.ssh();
    ssh.arg("-tt");
    let output = run(ssh, b"echo answer-$((6*7)); test -t 0 && exit 6\n".to_vec()).await;
    assert!(
        String::from_utf8_lossy(&output.stdout).contains("answer-42"),
        "{output:?}"
    );
    assert_eq!(output.status.code(), Some(6));
    assert_eq!(f.server.log()[0].command, None);
}

#[tokio::test]
async fn a_command_that_never_reads_its_input_ends_all_the_same() {
    let f = Fixture::start(Server::builder().real_shell()).await;
    let mut ssh = f.ssh();
    ssh.arg("echo done");
    assert_eq!(run(ssh, binary(16 << 20)).await.stdout, b"done\n");
}

#[tokio::test]
async fn sixty_four_mebibytes_come_out_whole_and_wait_for_a_slow_reader() {
    const TOTAL: usize = 64 << 20;
    let (stalled, mut stall) = mpsc::unbounded_channel();
    let handler = move |mut request: ExecRequest| {
        let stalled = stalled.clone();
        async move {
            let mut sent = 0;
            for chunk in binary(TOTAL).chunks(100_000) {
                let mut write = Box::pin(request.stdout.write_all(chunk));
                // Long enough for a client that reads; the one below does not until it is told of this.
                if timeout(std::time::Duration::from_millis(500), &mut write)
                    .await
                    .is_err()
                {
                    let _ = stalled.send(sent);
                    write.await.unwrap();
                }
                sent += chunk.len();
            }
            ExitOutcome::SUCCESS
        }
    };
    let f = Fixture::start(Server::builder().on_exec(handler)).await;
    let mut ssh = f.ssh();
    let mut child = ssh.arg("flood").stdout(Stdio::piped()).spawn().unwrap();
    let sent = timeout(PATIENCE, stall.recv()).await.unwrap().unwrap();
    assert!(sent < 16 << 20, "{sent} bytes were taken though nobody reads");
    let mut output = Vec::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_end(&mut output)
        .await
        .unwrap();
    assert!(output == binary(TOTAL), "{} bytes came", output.len());
    assert!(child.wait().await.unwrap().success());
}

/// Starts `command` and gives the first line that it prints.
async fn first_line(f: &Fixture, command: &str) -> (Child, String) {
    let mut child = f.ssh().arg(command).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    timeout(PATIENCE, reader.read_line(&mut line))
        .await
        .unwrap()
        .unwrap();
    (child, line.trim().to_owned())
}

#[tokio::test]
async fn a_client_that_goes_away_takes_its_process_group_with_it() {
    let f = Fixture::start(Server::builder().real_shell()).await;
    let (mut ssh, pid) = first_line(&f, "sleep 600 & echo $!; wait").await;
    assert!(is_running(&pid));
    ssh.kill().await.unwrap();
    eventually("the end of the sleep", || !is_running(&pid)).await;
    assert_eq!(f.server.log()[0].exit, None);
}

#[tokio::test]
async fn a_shutdown_ends_live_sessions_and_their_processes() {
    let f = Fixture::start(Server::builder().real_shell()).await;
    let (mut piped, pid) = first_line(&f, "sleep 600 & echo $!; wait").await;
    let (mut stubborn, stubborn_pid) = first_line(&f, "trap '' HUP TERM; echo $$; sleep 600; true").await;
    f.server.shutdown().await;
    for pid in [pid, stubborn_pid] {
        eventually("the end of the process", || !is_running(&pid)).await;
    }
    for ssh in [&mut piped, &mut stubborn] {
        assert_eq!(
            timeout(PATIENCE, ssh.wait()).await.unwrap().unwrap().code(),
            Some(255)
        );
    }
    assert!(
        tokio::net::TcpStream::connect(f.server.addr()).await.is_err(),
        "the port is free again"
    );
}

#[tokio::test]
async fn a_terminal_that_is_hung_up_ends_its_shell() {
    let f = Fixture::start(Server::builder().real_shell()).await;
    let mut ssh = f.ssh();
    let mut child = ssh
        .args(["-tt", "echo pid=$$; sleep 600"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    timeout(PATIENCE, reader.read_line(&mut line))
        .await
        .unwrap()
        .unwrap();
    let pid = line.trim().strip_prefix("pid=").unwrap().to_owned();
    assert!(is_running(&pid));
    child.kill().await.unwrap();
    eventually("the end of the shell", || !is_running(&pid)).await;
}

#[tokio::test]
async fn a_background_process_without_the_streams_outlives_its_command() {
    let f = Fixture::start(Server::builder().real_shell()).await;
    let mut ssh = f.ssh();
    ssh.arg("sleep 600 >/dev/null 2>&1 </dev/null & echo $!");
    let output = answer(ssh).await;
    let pid = String::from_utf8(output.stdout).unwrap();
    assert!(is_running(&pid));
    let mut kill = Command::new("kill");
    kill.arg(pid.trim());
    assert!(answer(kill).await.status.success());
}

#[tokio::test]
async fn a_handler_sees_user_environment_terminal_and_input() {
    let handler = |mut request: ExecRequest| async move {
        let mut input = String::new();
        request.stdin.read_to_string(&mut input).await.unwrap();
        let pty = request.pty.as_ref().map(|pty| pty.term.clone());
        let text = format!("{} {:?} {:?} {input}", request.user, request.env, pty);
        request.stdout.write_all(text.as_bytes()).await.unwrap();
        ExitOutcome::signal("TERM")
    };
    let f = Fixture::start(Server::builder().on_exec(handler)).await;
    let mut ssh = f.ssh();
    ssh.args(["-o", "SetEnv=STAGE=blue", "inspect"]);
    let output = run(ssh, b"typed".to_vec()).await;
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "deploy [(\"STAGE\", \"blue\")] None typed"
    );
    assert_eq!(
        output.status.code(),
        Some(255),
        "ssh says 255 when a signal ended the command"
    );
    assert_eq!(f.server.log()[0].exit, Some(ExitOutcome::signal("TERM")));
}

#[tokio::test]
async fn a_handler_is_dropped_when_its_client_goes() {
    struct Told(mpsc::UnboundedSender<()>);
    impl Drop for Told {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }
    let (dropped, mut drops) = mpsc::unbounded_channel();
    let handler = move |mut request: ExecRequest| {
        let told = Told(dropped.clone());
        async move {
            request.stdout.write_all(b"started\n").await.unwrap();
            while !matches!(request.control.next().await, Some(Control::Signal(_))) {}
            drop(told);
            ExitOutcome::SUCCESS
        }
    };
    let f = Fixture::start(Server::builder().on_exec(handler)).await;
    let (mut ssh, _) = first_line(&f, "wait").await;
    ssh.kill().await.unwrap();
    timeout(PATIENCE, drops.recv()).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_handler_that_panics_ends_its_command_and_nothing_else() {
    let handler = |request: ExecRequest| async move {
        assert_ne!(request.command_text(), "panic", "asked for");
        ExitOutcome::Code(3)
    };
    let f = Fixture::start(Server::builder().on_exec(handler)).await;
    for (command, code) in [("panic", 255), ("fine", 3)] {
        let mut ssh = f.ssh();
        ssh.arg(command);
        assert_eq!(answer(ssh).await.status.code(), Some(code), "{command}");
    }
}

#[tokio::test]
async fn a_subsystem_is_refused_rather_than_left_waiting() {
    let f = Fixture::start(Server::builder().real_shell()).await;
    let mut ssh = f.ssh();
    ssh.args(["-s", "sftp"]);
    assert_eq!(answer(ssh).await.status.code(), Some(255));
}
