//! The accounts that tests log in to.

use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// An account on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its name.
    pub name: String,
    /// Whether it is root.
    pub root: bool,
}

/// The name and password of the plain account that root creates for the tests.
const PLAIN: &str = "sternline-test";

/// The password of the plain account. It only ever logs in to servers on loopback that the tests start.
pub const PASSWORD: &str = "correct horse: battery $taple";

/// Whether the tests run as root.
#[must_use]
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Who runs the tests.
///
/// # Panics
/// When `id` cannot say.
#[must_use]
pub fn current() -> User {
    let output = Command::new("id").arg("-un").output().unwrap();
    User {
        name: String::from_utf8(output.stdout).unwrap().trim().to_owned(),
        root: is_root(),
    }
}

/// A plain account: this one if it is plain, else one that is created on first use. Root only.
///
/// # Panics
/// When root cannot create the account.
#[must_use]
pub fn plain() -> User {
    static CREATED: OnceLock<()> = OnceLock::new();
    if !is_root() {
        return current();
    }
    CREATED.get_or_init(|| {
        // Test programs run side by side: whoever comes second finds the account.
        let lock = std::fs::File::create(std::env::temp_dir().join("sternline-test-user.lock")).unwrap();
        lock.lock().unwrap();
        let exists = Command::new("id")
            .arg(PLAIN)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        if !exists.success() {
            let status = Command::new("useradd")
                .args(["--system", "--create-home", "--shell", "/bin/bash", PLAIN])
                .status()
                .unwrap();
            assert!(status.success(), "useradd failed");
        }
        let mut chpasswd = Command::new("chpasswd").stdin(Stdio::piped()).spawn().unwrap();
        use std::io::Write;
        writeln!(chpasswd.stdin.take().unwrap(), "{PLAIN}:{PASSWORD}").unwrap();
        assert!(chpasswd.wait().unwrap().success(), "chpasswd failed");
    });
    User {
        name: PLAIN.to_owned(),
        root: false,
    }
}
