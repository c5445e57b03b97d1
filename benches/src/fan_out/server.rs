//! The servers behind all hosts: one sshd, or one embedded server in a process of its own.

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use sternline_server::{Credential, Reply, Server as Embedded};
use sternline_tests::sshd::keygen;

use crate::forwards::input_ended;
use crate::measure::Server;
use crate::worker::Target;

/// The first argument of the process with the embedded server.
pub(crate) const SERVE: &str = "serve-all-of-loopback";

/// Who may log in there.
const USER: &str = "bench";

/// What answers at all addresses. Dropping it ends it.
pub(crate) enum Behind {
    Sshd(Server),
    Embedded {
        target: Target,
        process: Child,
        _folder: tempfile::TempDir,
    },
}

impl Behind {
    /// sshd, with its defaults but for how many may log in at once.
    pub(crate) fn sshd() -> Result<Self, Box<dyn Error>> {
        Ok(Self::Sshd(Server::start_on_all_of_loopback()?))
    }

    /// The embedded server.
    pub(crate) fn embedded() -> Result<Self, Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let key = folder.path().join("user");
        keygen(&key, "ed25519");
        let mut process = Command::new(std::env::current_exe()?)
            .arg(SERVE)
            .arg(key.with_extension("pub"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        if let Some(said) = process.stdout.take() {
            BufReader::new(said).read_line(&mut line)?;
        }
        // `PORT ALGORITHM KEY`
        let (port, host_key) = line
            .split_once(' ')
            .ok_or("the embedded server does not start; its message stands above")?;
        let known_hosts = folder.path().join("known_hosts");
        std::fs::write(&known_hosts, format!("[127.*]:{port} {host_key}"))?;
        Ok(Self::Embedded {
            target: Target {
                port: port.parse()?,
                user: USER.to_owned(),
                key,
                known_hosts,
            },
            process,
            _folder: folder,
        })
    }

    /// How each of the addresses is reached.
    pub(crate) fn target(&self) -> Result<Target, Box<dyn Error>> {
        match self {
            Self::Sshd(server) => server.target_anywhere(),
            Self::Embedded { target, .. } => Ok(target.clone()),
        }
    }
}

impl Behind {
    /// Waits until nothing of earlier connections is left to do, so that nobody pays for who came before.
    pub(crate) fn calm_down(&self) {
        if let Self::Sshd(server) = self {
            server.calm_down();
        }
    }
}

impl Drop for Behind {
    fn drop(&mut self) {
        if let Self::Embedded { process, .. } = self {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// Serves on each address of 127.0.0.0/8 until the input ends: whoever has the key that is named may run `true`. Prints the port and
/// the host key.
///
/// # Errors
/// When there is no such key, or it cannot listen.
pub(crate) fn serve(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let [key] = arguments else {
        return Err("the server needs a public key".into());
    };
    let key = std::fs::read_to_string(Path::new(key))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let server = Embedded::builder()
            .user(USER, Credential::public_key(key.trim_end())?)
            .command("true", Reply::new("", "", 0))
            .danger_bind(([0, 0, 0, 0], 0).into())
            .bind()
            .await?;
        let line = server.known_hosts_line();
        let (_, host_key) = line
            .split_once(' ')
            .ok_or("a known_hosts line has a name and a key")?;
        writeln!(std::io::stdout(), "{} {host_key}", server.port())?;
        input_ended().await;
        Ok(())
    })
}
