//! Throw-away accounts with sudo rules of their own.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::left_out::left_out;
use crate::users::{self, User};

/// The password of every such account. It only ever logs in to servers on loopback that the tests start.
pub const PASSWORD: &str = "Tr0ub4dor 'n' $3 \"ü\"";

/// A plain account and its rules. Both are removed when this is dropped, and when the test is killed.
#[derive(Debug)]
pub struct SudoUser {
    name: String,
    /// Ends with its input, which ends with this process.
    remover: Child,
}

impl SudoUser {
    /// An account with lines of sudoers(5), in which `USER` stands for its name. `None` where this is not possible here,
    /// which is then noted.
    ///
    /// # Panics
    /// When root cannot make the account or the rules.
    #[must_use]
    pub fn new(rules: &str) -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        if !users::is_root() || !PathBuf::from("/etc/sudoers.d").is_dir() {
            left_out(
                "sudo with a password, for accounts of its own",
                "install sudo, and run scripts/test as root",
            );
            return None;
        }
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("sternline-su-{}-{count}", std::process::id());
        let remover = remover(&name);
        // From here on everything is removed again.
        let user = Self { name, remover };
        user.make(rules);
        Some(user)
    }

    fn make(&self, rules: &str) {
        // Test programs run side by side, and the files of accounts can be changed by one at a time.
        let lock = std::fs::File::create(std::env::temp_dir().join("sternline-test-user.lock")).unwrap();
        lock.lock().unwrap();
        let give_up = Instant::now() + Duration::from_secs(20);
        let mut useradd = Command::new("useradd");
        useradd.args(["--create-home", "--shell", "/bin/bash", &self.name]);
        while !useradd.stderr(Stdio::null()).status().unwrap().success() {
            assert!(Instant::now() < give_up, "useradd fails");
        }
        let mut chpasswd = Command::new("chpasswd").stdin(Stdio::piped()).spawn().unwrap();
        writeln!(chpasswd.stdin.take().unwrap(), "{}:{PASSWORD}", self.name).unwrap();
        assert!(chpasswd.wait().unwrap().success(), "chpasswd fails");
        drop(lock);

        let rules = format!("{}\n", rules.replace("USER", &self.name));
        // sudo reads no file with a dot in its name, so that nobody meets half of it.
        let path = rules_of(&self.name);
        let draft = path.with_extension("new");
        std::fs::write(&draft, rules).unwrap();
        let checked = Command::new("visudo").arg("-cqf").arg(&draft).status().unwrap();
        assert!(checked.success(), "visudo refuses the rules");
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&draft, std::fs::Permissions::from_mode(0o440)).unwrap();
        std::fs::rename(&draft, path).unwrap();
    }

    /// The account.
    #[must_use]
    pub fn user(&self) -> User {
        User {
            name: self.name.clone(),
            root: false,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its home directory.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        PathBuf::from("/home").join(&self.name)
    }
}

fn rules_of(name: &str) -> PathBuf {
    PathBuf::from("/etc/sudoers.d").join(name)
}

/// Waits for the end of its input in a session of its own, and then removes everything, whatever became of the test.
fn remover(name: &str) -> Child {
    let script = format!(
        "cat >/dev/null\nrm -f {rules} {rules}.new /run/sudo/ts/{name}\n\
         for i in 1 2 3 4 5 6 7 8 9 10; do userdel -f -r {name} 2>/dev/null; id {name} >/dev/null 2>&1 || break; sleep 0.3; done\n",
        rules = rules_of(name).display()
    );
    Command::new("setsid")
        .args(["sh", "-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

impl Drop for SudoUser {
    fn drop(&mut self) {
        drop(self.remover.stdin.take());
        let _ = self.remover.wait();
    }
}
