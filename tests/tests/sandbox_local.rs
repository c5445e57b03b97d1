//! The executor on this machine, and trying to get out of sandboxes on purpose.

mod sandbox_support;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use sandbox_support::{beds, profile};
use serde_json::json;
use sternline::sandbox::{
    BUNDLED, LocalExecutor, Outcome, SandboxExecutor, SandboxProfile, SandboxRequest, Side, SshExecutor,
    verify,
};
use sternline::{ErrorKind, SendState};
use sternline_proto::sftp::StatusCode;
use sternline_tests::processes::{self, eventually};
use sternline_tests::sshd::Sshd;

fn anything() -> SandboxProfile {
    let minimal = SandboxProfile::bundled("minimal").unwrap();
    minimal
        .to_builder()
        .without_argument_rules()
        .allow_any_command(true)
        .build()
        .unwrap()
}

#[tokio::test]
async fn the_local_executor_runs_commands_just_as_the_one_over_ssh_does() {
    let server = Sshd::start();
    let over_ssh = sandbox_support::executor(&server);
    let local = LocalExecutor::new();
    let executors: [&dyn SandboxExecutor; 2] = [&over_ssh, &local];
    let script = "id -u; env | sort; cat; echo err >&2; printf '\\377'; exit 7";
    let mut results = Vec::new();
    for executor in executors {
        let request = SandboxRequest::from(["sh", "-c", script]).stdin("from outside\n");
        let result = executor.run(&anything(), request).await.unwrap();
        assert_eq!((result.side, result.returncode), (Side::Command, 7), "{result:?}");
        results.push((result.stdout, result.stderr));
        assert_eq!(
            &executor.read_file(&anything(), "/etc/hostname").await.unwrap()[..],
            std::fs::read("/etc/hostname").unwrap()
        );
        let error = executor
            .read_file(&anything(), "/no/such/file")
            .await
            .unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::RemoteFile(StatusCode::NoSuchFile));
    }
    assert_eq!(results[0], results[1]);
    let (stdout, stderr) = &results[0];
    assert!(
        stdout.ends_with(b"from outside\n\xff") && stderr == "err\n",
        "{results:?}"
    );
}

#[tokio::test]
async fn nothing_of_this_program_reaches_a_local_command() {
    let local = LocalExecutor::new();
    let result = local.run_command(&anything(), ["env"]).await.unwrap();
    let names: BTreeSet<String> = result
        .stdout_text()
        .lines()
        .filter_map(|line| Some(line.split_once('=')?.0.to_owned()))
        .collect();
    assert_eq!(names, ["HOME", "LANG", "PATH", "PWD"].map(str::to_owned).into());
    // Not even a file that this program has open in a way that other programs inherit it.
    let open = std::fs::File::open("/etc/hostname").unwrap();
    rustix::io::fcntl_setfd(&open, rustix::io::FdFlags::empty()).unwrap();
    let high = rustix::io::dup(&open).unwrap();
    let high: Vec<_> = (0..12).map(|_| rustix::io::dup(&high).unwrap()).collect();
    let result = local
        .run_command(&anything(), ["ls", "/proc/self/fd"])
        .await
        .unwrap();
    // The fourth is that of the listing.
    assert_eq!(result.stdout_text(), "0\n1\n2\n3\n", "{result:?}");
    drop(high);
}

#[tokio::test]
async fn a_local_command_is_ended_at_its_time_limit_when_dropped_and_at_cleanup() {
    let local = LocalExecutor::new();
    let started = Instant::now();
    let script = "echo out; trap '' TERM HUP; sleep 74600 & sleep 74600; true";
    let request = SandboxRequest::from(["sh", "-c", script]).timeout(Duration::from_millis(900));
    let error = local.run_command(&anything(), request).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.sent()),
        (&ErrorKind::CommandTimeout, SendState::Ran)
    );
    assert_eq!(&error.partial_output().unwrap().stdout[..], b"out\n");
    assert!(started.elapsed() < Duration::from_secs(20));
    eventually("nothing is left", || {
        processes::containing("sleep 74600").is_empty()
    })
    .await;
    for dropped in [true, false] {
        let executor = local.clone();
        let running =
            tokio::spawn(async move { executor.run_command(&anything(), ["sh", "-c", script]).await });
        eventually("it runs", || !processes::containing("sleep 74600").is_empty()).await;
        match dropped {
            true => running.abort(),
            false => {
                local.cleanup().await;
                assert_eq!(running.await.unwrap().unwrap_err().kind(), &ErrorKind::Cancelled);
            }
        }
        eventually("nothing is left", || {
            processes::containing("sleep 74600").is_empty()
        })
        .await;
    }
    let error = local.run_command(&anything(), ["true"]).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Cancelled);
}

#[tokio::test]
async fn local_output_beyond_what_the_profile_allows_is_an_error_that_keeps_the_rest() {
    let small =
        profile(&json!({ "name": "small", "allow_any_command": true, "limits": { "output_bytes": 1000 } }));
    let local = LocalExecutor::new();
    let enough = local
        .run_command(
            &small,
            ["sh", "-c", "head -c 990 /dev/zero; head -c 10 /dev/zero >&2"],
        )
        .await
        .unwrap();
    assert_eq!((enough.stdout.len(), enough.stderr.len()), (990, 10));
    for bytes in ["1001", "10000000"] {
        let error = local
            .run_command(&small, ["head", "-c", bytes, "/dev/zero"])
            .await
            .unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::OutputOverflow, "{error}");
        assert_eq!(error.partial_output().unwrap().stdout.len(), 1000);
    }
}

/// What could not be tried, and why that is so on any machine of this kind.
fn excused(name: &str) -> bool {
    name == "user-namespaces"
}

#[tokio::test]
async fn every_attempt_to_get_out_fails_on_purpose_too() {
    let mut executors: Vec<(String, Box<dyn SandboxExecutor>)> =
        vec![("here".to_owned(), Box::new(LocalExecutor::new()))];
    let beds = beds();
    for bed in &beds {
        executors.push((bed.login.to_owned(), Box::new(bed.executor.clone())));
    }
    for (place, executor) in &executors {
        // The profiles differ in what they show, which is the same wherever it is shown from.
        for name in BUNDLED
            .iter()
            .filter(|name| place == "here" || **name == "systemd")
        {
            let profile = SandboxProfile::bundled(name).unwrap();
            let attempts = verify(executor.as_ref(), &profile).await.unwrap();
            assert!(attempts.len() >= 20, "{attempts:?}");
            for attempt in attempts {
                let held = match &attempt.outcome {
                    Outcome::Held(_) => true,
                    Outcome::NotTried(_) => excused(attempt.name),
                    Outcome::Escaped(_) => false,
                };
                assert!(held, "{place}, {name}: {attempt:?}");
            }
        }
    }
}

#[tokio::test]
async fn an_attempt_that_succeeds_is_told() {
    let weak = profile(&json!({
        "name": "weak", "allow_any_command": true, "seccomp": "danger-off", "network_isolation": false,
    }));
    let attempts = verify(&LocalExecutor::new(), &weak).await.unwrap();
    let outcome = |name: &str| {
        &attempts
            .iter()
            .find(|attempt| attempt.name == name)
            .unwrap()
            .outcome
    };
    assert_eq!(outcome("system-calls").as_str(), "escaped");
    assert_eq!(outcome("network").as_str(), "not_tried");
    assert_eq!(outcome("list").as_str(), "not_tried");
    assert_eq!(outcome("remount").as_str(), "held");
}

#[tokio::test]
async fn what_cannot_be_verified_is_an_error() {
    let nothing = profile(&json!({
        "name": "nothing", "allowed_commands": ["ls"], "binds": [{ "source": "/etc", "target": "/etc" }],
    }));
    let error = verify(&LocalExecutor::new(), &nothing).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Sandbox(_)), "{error}");
    let nowhere = SshExecutor::builder("127.0.0.1")
        .port(sternline_tests::sshd::free_port())
        .build()
        .unwrap();
    let error = verify(&nowhere, &anything()).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::ConnectionRefused);
}
