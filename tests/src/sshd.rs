//! A real sshd on a free loopback port, with its own configuration and keys.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use rustix::process::{Pid, Signal};
use sternline::ConnectionBuilder;
use sternline::auth::AuthConfig;

use crate::processes;
use crate::users::{self, User};

/// A running server. Dropping it ends it, its connections, and whatever they run.
pub struct Sshd {
    folder: tempfile::TempDir,
    process: Child,
    port: u16,
    user: User,
    log: Arc<Mutex<String>>,
}

/// What a server is to be like.
#[derive(Debug, Default)]
pub struct Settings {
    options: Vec<String>,
    host_keys: Vec<&'static str>,
    user: Option<User>,
    address: Option<&'static str>,
}

/// The server's program; sshd insists on its absolute path.
fn program() -> PathBuf {
    ["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/bin/sshd"]
        .map(PathBuf::from)
        .into_iter()
        .find(|path| path.exists())
        .expect("sshd is missing: install openssh-server")
}

/// Makes a key pair without passphrase.
///
/// # Panics
/// When ssh-keygen fails.
pub fn keygen(path: &Path, kind: &str) {
    let status = Command::new("ssh-keygen")
        .args(["-q", "-N", "", "-C", "test", "-t", kind, "-f"])
        .arg(path)
        .status()
        .expect("ssh-keygen is missing: install openssh-client");
    assert!(status.success());
}

impl Settings {
    /// Adds a line to sshd_config; the first of several lines with the same keyword wins.
    #[must_use]
    pub fn option(mut self, line: &str) -> Self {
        self.options.push(line.to_owned());
        self
    }

    /// Has a host key of this type, instead of only `ed25519`.
    #[must_use]
    pub fn host_key(mut self, kind: &'static str) -> Self {
        self.host_keys.push(kind);
        self
    }

    /// Lets this account log in, instead of the one that runs the tests.
    #[must_use]
    pub fn user(mut self, user: User) -> Self {
        self.user = Some(user);
        self
    }

    /// Listens on this address, instead of 127.0.0.1.
    #[must_use]
    pub fn address(mut self, address: &'static str) -> Self {
        self.address = Some(address);
        self
    }

    /// Starts the server and waits until it listens.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start(self) -> Sshd {
        let folder = tempfile::tempdir().unwrap();
        let kinds = if self.host_keys.is_empty() {
            vec!["ed25519"]
        } else {
            self.host_keys.clone()
        };
        for kind in &kinds {
            keygen(&folder.path().join(format!("host_{kind}")), kind);
        }
        keygen(&folder.path().join("user"), "ed25519");
        std::fs::copy(
            folder.path().join("user.pub"),
            folder.path().join("authorized_keys"),
        )
        .unwrap();
        if users::is_root() {
            // The directory that sshd, run as root, insists on; and the account has to read its keys.
            std::fs::create_dir_all("/run/sshd").unwrap();
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let user = self.user.clone().unwrap_or_else(users::current);
        let mut said = String::new();
        for _ in 0..10 {
            let port = free_port();
            self.configure(folder.path(), port, &kinds);
            let (launched, log) = launch(folder.path());
            said = log.lock().unwrap().clone();
            if let Some(process) = launched {
                return Sshd {
                    folder,
                    process,
                    port,
                    user,
                    log,
                };
            }
        }
        panic!("sshd does not start with {:?}: {said}", self.options);
    }

    fn configure(&self, folder: &Path, port: u16, kinds: &[&str]) {
        let mut text = self.options.join("\n");
        let address = self.address.unwrap_or("127.0.0.1");
        text.push_str(&format!("\nPort {port}\nListenAddress {address}\n"));
        for kind in kinds {
            text.push_str(&format!(
                "HostKey {}\n",
                folder.join(format!("host_{kind}")).display()
            ));
        }
        text.push_str(&format!(
            "AuthorizedKeysFile {}\n",
            folder.join("authorized_keys").display()
        ));
        // The account's own shell start-up files are nobody's business here, and may take any time.
        let home = folder.join("home");
        std::fs::create_dir_all(&home).unwrap();
        text.push_str(&format!("SetEnv HOME={}\n", home.display()));
        text.push_str(
            "StrictModes no\nPidFile none\nUsePAM no\nLogLevel VERBOSE\nPrintMotd no\n\
             PermitRootLogin yes\nUseDNS no\nPasswordAuthentication yes\n",
        );
        // Of this one the last line counts.
        if !text.contains("MaxStartups ") {
            text.push_str("MaxStartups 500\n");
        }
        // A second one would be an error.
        if !text.contains("Subsystem ") {
            text.push_str("Subsystem sftp internal-sftp\n");
        }
        std::fs::write(folder.join("sshd_config"), text).unwrap();
    }
}

/// A port that was free a moment ago.
#[must_use]
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// Starts the server; `None` if it ended instead of listening, because somebody else took the port. And its log.
fn launch(folder: &Path) -> (Option<Child>, Arc<Mutex<String>>) {
    let mut process = Command::new(program())
        .args(["-D", "-e", "-f"])
        .arg(folder.join("sshd_config"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stderr.take().unwrap());
    let log = Arc::new(Mutex::new(String::new()));
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line).unwrap() == 0 {
            let _ = process.wait();
            return (None, log);
        }
        let listening = line.contains("Server listening on");
        log.lock().unwrap().push_str(&line);
        if listening {
            break;
        }
    }
    let kept = Arc::clone(&log);
    std::thread::spawn(move || {
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            kept.lock().unwrap().push_str(&String::from_utf8_lossy(&line));
            line.clear();
        }
    });
    (Some(process), log)
}

impl Sshd {
    /// A server with its defaults: one Ed25519 host key, and the account that runs the tests.
    #[must_use]
    pub fn start() -> Self {
        Settings::default().start()
    }

    /// Where it listens, on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Who may log in.
    #[must_use]
    pub fn user(&self) -> &User {
        &self.user
    }

    /// `user@127.0.0.1:port`.
    #[must_use]
    pub fn target(&self) -> String {
        format!("{}@127.0.0.1:{}", self.user.name, self.port)
    }

    /// The private key that may log in.
    #[must_use]
    pub fn key(&self) -> PathBuf {
        self.path("user")
    }

    /// A file in the server's folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The host key of this type as a known_hosts line.
    ///
    /// # Panics
    /// When there is no such key.
    #[must_use]
    pub fn known_hosts_line(&self, kind: &str) -> String {
        let public = std::fs::read_to_string(self.path(&format!("host_{kind}.pub"))).unwrap();
        format!("[127.0.0.1]:{} {public}", self.port)
    }

    /// A known_hosts file that holds the server's first host key.
    ///
    /// # Panics
    /// When it cannot be written.
    #[must_use]
    pub fn known_hosts(&self) -> PathBuf {
        let path = self.path("known_hosts");
        let kind = ["ed25519", "ecdsa", "rsa"]
            .into_iter()
            .find(|kind| self.path(&format!("host_{kind}")).exists());
        std::fs::write(&path, self.known_hosts_line(kind.unwrap())).unwrap();
        path
    }

    /// A connection that knows the host's key and has the user's.
    pub fn builder(&self) -> ConnectionBuilder {
        sternline::Connection::builder(self.target())
            .known_hosts([self.known_hosts()])
            .auth([AuthConfig::key(self.key())])
    }

    /// Ends the server, its connections, and whatever they run. Its port and its files stay as they are.
    pub fn stop(&mut self) {
        // A client may come back at once: whom the listener takes after its processes were counted would stay.
        hold(self.process.id());
        // The listener first and the commands last: nobody is left to tell of their end.
        for pid in processes::tree(self.process.id()).into_iter().rev() {
            kill(pid);
        }
        let _ = self.process.wait();
    }

    /// Starts a server that was stopped, on the same port.
    ///
    /// # Panics
    /// When it does not start, because somebody else took the port meanwhile.
    pub fn start_again(&mut self) {
        let (process, log) = launch(self.folder.path());
        self.log = log;
        self.process = process.unwrap_or_else(|| panic!("sshd does not start again: {}", self.log()));
    }

    /// What the server has logged since it was started.
    ///
    /// # Panics
    /// Never, short of a panic in the thread that reads the log.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// The id of the listening process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Kills the processes that serve connections. The listener stays, and so does what the connections ran.
    pub fn break_connections(&self) {
        let ours = processes::tree(self.pid());
        for process in processes::all() {
            if process.pid != self.pid() && ours.contains(&process.pid) && process.command.contains("sshd") {
                kill(process.pid);
            }
        }
    }
}

/// Stops a process, and waits until it has stopped or is gone.
fn hold(pid: u32) {
    signal(pid, Signal::STOP);
    let stat = format!("/proc/{pid}/stat");
    let runs = || {
        let text = std::fs::read_to_string(&stat).unwrap_or_default();
        let state = text.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        matches!(state, Some(state) if !"TtZX".contains(state))
    };
    while runs() {
        std::thread::yield_now();
    }
}

fn kill(pid: u32) {
    signal(pid, Signal::KILL);
}

fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = rustix::process::kill_process(pid, signal);
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.stop();
    }
}
