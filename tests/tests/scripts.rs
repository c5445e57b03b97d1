//! Scripts of this machine, run on a real server: as they are, and with nothing left behind.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use sternline::exec::{Script, ScriptError};
use sternline::proto::script::{interpreter, run_text};
use sternline::{AuthConfig, Connection, ErrorKind, ExecRequest, ExecResult, Fleet, SendState};
use sternline_server::fault::{Fault, FaultProxy};
use sternline_tests::left_out::left_out;
use sternline_tests::processes;
use sternline_tests::sshd::{Settings, Sshd};

struct Setting {
    server: Sshd,
    connection: Connection,
    /// Where the server puts the script.
    directory: tempfile::TempDir,
}

impl Setting {
    async fn new() -> Self {
        let server = Sshd::start();
        let connection = server.builder().connect().await.unwrap();
        Self {
            server,
            connection,
            directory: tempfile::tempdir().unwrap(),
        }
    }

    fn script(&self, text: &str) -> Script {
        let directory = self.directory.path().to_str().unwrap();
        Script::new(text.to_owned()).unwrap().env("TMPDIR", directory)
    }

    async fn run(&self, script: &Script) -> ExecResult {
        self.connection.exec(script).await.unwrap()
    }

    fn left(&self) -> usize {
        entries(self.directory.path())
    }
}

fn entries(directory: &Path) -> usize {
    std::fs::read_dir(directory).unwrap().count()
}

#[tokio::test]
async fn a_script_has_its_interpreter_its_arguments_and_its_exit_status() {
    let setting = Setting::new().await;
    let shell = setting.script("printf '<%s>' \"$@\"; umask; echo err >&2; exit 3\n");
    let result = setting.run(&shell.args(["a b", "it's", "", "*", "-x"])).await;
    let plain = setting
        .connection
        .exec("umask")
        .await
        .unwrap()
        .stdout_text()
        .into_owned();
    assert_eq!(result.stdout_text(), format!("<a b><it's><><*><-x>{plain}"));
    assert_eq!(
        (result.stderr_text().as_ref(), result.exit_code()),
        ("err\n", Some(3))
    );

    let bash = setting.script("#!/bin/bash -u\nwords=(one two); echo ${words[1]} $UNSET\n");
    let result = setting.run(&bash).await;
    assert_eq!((result.stdout_text().as_ref(), result.exit_code()), ("", Some(1)));
    assert!(result.stderr_text().contains("UNSET"), "{result:?}");

    let awk = setting.script("#!/usr/bin/env -S awk -f\nBEGIN { print 6 * 7 }\n");
    assert_eq!(setting.run(&awk).await.stdout_text(), "42\n");
    assert_eq!(setting.left(), 0);
}

#[tokio::test]
async fn a_script_reads_nothing_of_itself_and_stands_in_no_process_list() {
    let setting = Setting::new().await;
    // What reads standard input would eat the rest of a script that came that way.
    let script =
        setting.script("cat; echo after; ps -ef | grep -c 'never-in-a-list[-]4711'; ls -A \"$TMPDIR\"\n");
    let result = setting.run(&script).await;
    assert_eq!(result.stdout_text(), "after\n0\n", "{result:?}");
}

#[tokio::test]
async fn the_directory_and_variables_are_the_scripts() {
    let setting = Setting::new().await;
    let script = setting
        .script("pwd; echo \"$A\"\n")
        .cwd("/usr")
        .env("A", "x y")
        .secret_env("B", "s3cret");
    assert_eq!(setting.run(&script).await.stdout_text(), "/usr\nx y\n");
    let wrong = setting.script("true").env("1", "x");
    let error = setting.connection.exec(&wrong).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.sent()),
        (&ErrorKind::Invalid, SendState::NotSent)
    );
    assert_eq!(Script::new("").unwrap_err(), ScriptError::Empty);
}

#[tokio::test]
async fn an_interpreter_that_is_missing_is_named_by_the_server_and_nothing_is_left() {
    let setting = Setting::new().await;
    let result = setting.run(&setting.script("#!/opt/no/such/thing\n")).await;
    assert_eq!(result.exit_code(), Some(127));
    assert!(result.stderr_text().contains("/opt/no/such/thing"), "{result:?}");
    assert_eq!(setting.left(), 0);
}

#[tokio::test]
async fn a_directory_that_takes_nothing_is_passed_over_and_none_at_all_is_said() {
    let setting = Setting::new().await;
    let script = Script::new("echo ran").unwrap();
    let elsewhere = script.clone().env("TMPDIR", "/nonexistent");
    assert_eq!(setting.run(&elsewhere).await.stdout_text(), "ran\n");
}

#[tokio::test]
async fn a_script_that_is_cut_off_is_not_run_and_leaves_no_file() {
    let setting = Setting::new().await;
    let proxy = FaultProxy::start(([127, 0, 0, 1], setting.server.port()).into())
        .await
        .unwrap();
    let known_hosts = setting.server.known_hosts_line("ed25519");
    let known_hosts = known_hosts.replace(
        &setting.server.port().to_string(),
        &proxy.addr().port().to_string(),
    );
    let known_hosts = sternline::host_key::KnownHosts::from_bytes("known_hosts", known_hosts.as_bytes());
    let connection = Connection::builder(format!("{}@{}", setting.server.user().name, proxy.addr()))
        .known_hosts_parsed(known_hosts, None)
        .auth([AuthConfig::key(setting.server.key())])
        .connect()
        .await
        .unwrap();
    let marker = setting.directory.path().join("marker");
    // A half of it would be a whole script too.
    let text = format!("touch {}\n", marker.display()).repeat(200_000);
    proxy.faults().set(Fault::DropAfter(3_000_000));
    let error = connection.exec(&setting.script(&text)).await.unwrap_err();
    assert!(error.sent() != SendState::NotSent, "{error:?}");
    processes::eventually("the file is removed", || setting.left() == 0).await;
    assert!(!marker.exists());
}

#[tokio::test]
async fn a_fleet_runs_a_script_and_a_script_that_is_cancelled_leaves_nothing() {
    let setting = Setting::new().await;
    let (key, known) = (setting.server.key(), setting.server.known_hosts());
    let fleet = Fleet::new(vec![setting.server.target(); 3])
        .configure(move |_, builder| builder.auth([AuthConfig::key(&key)]).known_hosts([known.clone()]));
    for outcome in fleet.script(&setting.script("echo $1").arg("x")).await.unwrap() {
        assert_eq!(outcome.stdout.text().await.unwrap(), "x\n");
    }
    let seconds = format!("{}.0418", 100_000 + std::process::id());
    let sleeping = setting.script(&format!("sleep {seconds}\n"));
    let outcomes = fleet.host_deadline(Duration::from_secs(2));
    for outcome in outcomes.script(&sleeping).await.unwrap() {
        assert_eq!(outcome.result.unwrap_err().kind(), &ErrorKind::CommandTimeout);
    }
    assert_eq!((processes::containing(&seconds).len(), setting.left()), (0, 0));
}

#[tokio::test]
async fn an_upload_that_stops_half_way_is_cancelled_with_its_file() {
    let setting = Setting::new().await;
    let (_writer, reader) = tokio::io::duplex(64);
    // The request of a script, with an input that does not come to its end.
    let request: ExecRequest = setting.script("echo never").request();
    let request = request
        .stdin(sternline::exec::Stdin::reader(reader))
        .timeout(Duration::from_secs(1));
    let error = setting.connection.exec(request).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::CommandTimeout);
    processes::eventually("the file is removed", || setting.left() == 0).await;
}

#[tokio::test]
async fn whatever_the_login_shell_is_and_whichever_shell_is_sh_a_script_runs() {
    for shell in [
        "/usr/bin/fish",
        "/usr/bin/tcsh",
        "/usr/bin/mksh",
        "/usr/bin/zsh",
        "/bin/bash",
        "/bin/busybox sh",
    ] {
        let program = shell.split(' ').next().unwrap();
        if !Path::new(program).exists() {
            left_out(
                &format!("scripts where the login shell is {program}"),
                "install it",
            );
            continue;
        }
        // What the account's own shell would do with `-c`, and the same shell in the place of sh if it is a POSIX one.
        let tools = tempfile::tempdir().unwrap();
        if !shell.ends_with("fish") && !shell.ends_with("tcsh") {
            let sh = tools.path().join("sh");
            std::fs::write(&sh, format!("#!/bin/sh\nexec {shell} \"$@\"\n")).unwrap();
            std::fs::set_permissions(&sh, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let forced = format!(
            "ForceCommand PATH={}:$PATH; export PATH; exec {shell} -c \"$SSH_ORIGINAL_COMMAND\"",
            tools.path().display()
        );
        let server = Settings::default().option(&forced).start();
        let connection = server.builder().connect().await.unwrap();
        let script = Script::new("#!/bin/sh\necho \"$1\"; cat; exit 4\n")
            .unwrap()
            .arg("a b");
        let result = connection.exec(&script).await.unwrap();
        assert_eq!(
            (result.stdout_text().as_ref(), result.exit_code()),
            ("a b\n", Some(4)),
            "{shell}: {result:?}"
        );
        // And it is not run if a part of it is lacking.
        let short = script.request().stdin("#!/bin/sh\necho \"$1\"\n");
        let result = connection.exec(short).await.unwrap();
        assert_eq!(result.exit_code(), Some(126), "{shell}: {result:?}");
        assert!(
            result.stderr_text().contains("did not arrive whole"),
            "{shell}: {result:?}"
        );
    }
}

#[test]
fn without_dev_fd_the_script_runs_from_its_file_which_goes_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let script = "#!/bin/sh\necho \"$1\"; cat; ls -A \"$TMPDIR\" | wc -l; exit 5\n";
    let found = interpreter(script.as_bytes()).unwrap();
    let text = String::from_utf8(run_text(&found, script.len(), [9; 16]).unwrap()).unwrap();
    let mut shell = std::process::Command::new("sh")
        .args([
            "-c",
            &text.replace("/dev/fd/3", "/nonexistent/3"),
            "sternline",
            "a b",
        ])
        .env("TMPDIR", directory.path())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    shell.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let ended = shell.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&ended.stdout), "a b\n1\n");
    assert_eq!((ended.status.code(), entries(directory.path())), (Some(5), 0));
}
