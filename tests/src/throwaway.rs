//! Accounts that exist for one test.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::users::User;

/// An account with a password of its own, which may be changed. It is gone when this is dropped; one whose test was
/// killed is removed by whoever makes the next one. Root only.
#[derive(Debug)]
pub struct Throwaway {
    name: String,
}

/// The names go on with the process and a number.
const PREFIX: &str = "sternline-t";

impl Throwaway {
    /// Makes an account with this password.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn new(password: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let _lock = lock();
        remove_leftovers();
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}-{number}", std::process::id());
        let made = run("useradd", &["--no-create-home", "--shell", "/bin/bash", &name]);
        assert!(
            made.status.success(),
            "useradd: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        let account = Self { name };
        let mut chpasswd = Command::new("chpasswd").stdin(Stdio::piped()).spawn().unwrap();
        writeln!(chpasswd.stdin.take().unwrap(), "{}:{password}", account.name).unwrap();
        assert!(chpasswd.wait().unwrap().success(), "chpasswd failed");
        account
    }

    /// Lets the account run everything by sudo, after it has given its password.
    ///
    /// # Panics
    /// When that cannot be written down.
    #[must_use]
    pub fn may_use_sudo(self) -> Self {
        let path = sudoers(&self.name);
        // sudo reads no file whose name holds a dot, so that it never sees half of this one.
        let partial = path.with_extension("partial");
        std::fs::write(&partial, format!("{} ALL=(ALL) PASSWD: ALL\n", self.name)).unwrap();
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&partial, std::fs::Permissions::from_mode(0o440)).unwrap();
        std::fs::rename(&partial, path).unwrap();
        self
    }

    /// Gives the account another login shell.
    ///
    /// # Panics
    /// When that cannot be done.
    #[must_use]
    pub fn with_shell(self, shell: &str) -> Self {
        let _lock = lock();
        let changed = run("usermod", &["--shell", shell, &self.name]);
        assert!(
            changed.status.success(),
            "usermod: {}",
            String::from_utf8_lossy(&changed.stderr)
        );
        self
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The account, to log in to.
    #[must_use]
    pub fn user(&self) -> User {
        User {
            name: self.name.clone(),
            root: false,
        }
    }
}

impl Drop for Throwaway {
    fn drop(&mut self) {
        let _lock = lock();
        remove(&self.name);
    }
}

fn sudoers(name: &str) -> PathBuf {
    PathBuf::from("/etc/sudoers.d").join(name)
}

fn remove(name: &str) {
    let _ = std::fs::remove_file(sudoers(name));
    // By force: what it ran may not quite have ended.
    let _ = run("userdel", &["--force", name]);
}

fn remove_leftovers() {
    let accounts = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    for name in accounts.lines().filter_map(|line| line.split(':').next()) {
        // The account that stays has the same prefix, and no number behind it.
        let maker = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        let maker = maker.and_then(|pid| pid.parse::<u32>().ok());
        if maker.is_some_and(|pid| !PathBuf::from("/proc").join(pid.to_string()).exists()) {
            remove(name);
        }
    }
}

fn run(program: &str, arguments: &[&str]) -> Output {
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// The tools that change accounts do not wait for one another. The same lock as for the account that stays.
fn lock() -> std::fs::File {
    let lock = std::fs::File::create(std::env::temp_dir().join("sternline-test-user.lock")).unwrap();
    lock.lock().unwrap();
    lock
}
