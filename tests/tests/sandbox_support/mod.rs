//! Real servers with sandboxes: a login as a plain user and one as root, each with an executor and something to protect.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use sternline::sandbox::{ProcessResult, SandboxProfile, SandboxRequest, SshExecutor};
use sternline_tests::left_out::left_out;
use sternline_tests::sshd::{Settings, Sshd};
use sternline_tests::users;

/// What the file that nobody may change holds.
pub(crate) const UNTOUCHED: &str = "as it was\n";

/// A server, an executor for it, and a directory of the host.
pub(crate) struct Bed {
    /// Who logs in: `plain` or `root`.
    pub(crate) login: &'static str,
    pub(crate) server: Sshd,
    pub(crate) executor: SshExecutor,
}

/// A login as a plain user and, where the tests run as root, one as root.
pub(crate) fn beds() -> Vec<Bed> {
    let mut beds = vec![Bed::new("plain", Settings::default().user(users::plain()))];
    match users::is_root() {
        true => beds.push(Bed::new("root", Settings::default())),
        false => left_out("sandboxes of a login as root", "run the tests as root"),
    }
    beds
}

impl Bed {
    pub(crate) fn new(login: &'static str, settings: Settings) -> Self {
        let server = settings.start();
        let bed = Self {
            login,
            executor: executor(&server),
            server,
        };
        fs::create_dir(bed.host_path("")).unwrap();
        fs::write(bed.host_path("file"), UNTOUCHED).unwrap();
        // Whoever logs in could change it, were it not for the sandbox.
        fs::set_permissions(bed.host_path(""), fs::Permissions::from_mode(0o777)).unwrap();
        fs::set_permissions(bed.host_path("file"), fs::Permissions::from_mode(0o666)).unwrap();
        bed
    }

    /// A path in the directory that is to be protected.
    pub(crate) fn host_path(&self, name: &str) -> PathBuf {
        self.server.path("victim").join(name)
    }

    /// Runs a command, which is started in any case.
    pub(crate) async fn run(&self, profile: &SandboxProfile, argv: &[&str]) -> ProcessResult {
        let outcome = self.executor.run_command(profile, argv).await;
        outcome.unwrap_or_else(|error| {
            panic!(
                "{} as {}: {error}: {}\n{}",
                argv.join(" "),
                self.login,
                error.hint(),
                self.server.log()
            )
        })
    }

    /// Runs a script in a sandbox that may run anything and sees the host's directory at /victim.
    pub(crate) async fn script(&self, script: &str) -> ProcessResult {
        self.run(&self.anything(json!({})), &["sh", "-c", script]).await
    }

    /// As [`Bed::script`], with input.
    pub(crate) async fn script_with(&self, script: &str, input: &[u8]) -> ProcessResult {
        let request = SandboxRequest::from(["sh", "-c", script]).stdin(input.to_vec());
        let outcome = self
            .executor
            .run_command(&self.anything(json!({})), request)
            .await;
        outcome.unwrap_or_else(|error| panic!("{script} as {}: {error}", self.login))
    }

    /// A profile that allows every command, with the system's directories and the host's one at /victim, and with these keys
    /// besides.
    pub(crate) fn anything(&self, more: Value) -> SandboxProfile {
        let mut keys = json!({
            "name": "anything",
            "allow_any_command": true,
            "binds": [
                { "source": "/usr", "target": "/usr", "create_target": false },
                { "source": "/bin", "target": "/bin", "create_target": false, "optional": true },
                { "source": "/sbin", "target": "/sbin", "create_target": false, "optional": true },
                { "source": "/lib", "target": "/lib", "create_target": false, "optional": true },
                { "source": "/lib64", "target": "/lib64", "create_target": false, "optional": true },
                { "source": "/etc", "target": "/etc", "create_target": false },
                { "source": self.host_path("").to_str().unwrap(), "target": "/victim" },
            ],
            "tmpfs_paths": ["/tmp"],
            "environment": { "PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": "/tmp" },
        });
        for (name, value) in more.as_object().unwrap() {
            keys[name] = value.clone();
        }
        profile(&keys)
    }

    /// The host is as it was.
    pub(crate) fn assert_untouched(&self) {
        assert_eq!(
            fs::read_to_string(self.host_path("file")).unwrap(),
            UNTOUCHED,
            "as {}",
            self.login
        );
        let names: Vec<_> = fs::read_dir(self.host_path(""))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, ["file"], "as {}", self.login);
    }
}

/// An executor for a server, with everything else as it is by default.
pub(crate) fn executor(server: &Sshd) -> SshExecutor {
    SshExecutor::builder(server.target())
        .key_file(server.key())
        .known_hosts(server.known_hosts())
        .build()
        .unwrap()
}

/// A profile from its keys.
pub(crate) fn profile(keys: &Value) -> SandboxProfile {
    SandboxProfile::from_json(&keys.to_string(), None).unwrap_or_else(|error| panic!("{error}: {keys}"))
}

/// A request that may take as long as a loaded machine needs.
pub(crate) fn patient(argv: &[&str]) -> SandboxRequest {
    SandboxRequest::from(argv).timeout(Duration::from_secs(120))
}
