//! OpenSSH's ssh: one process for each command, through a control master or with a connection of its own.

use std::error::Error;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::serve::{Client, Target};
use crate::cpu;
use crate::work::Work;

pub(super) struct OpenSsh {
    target: Target,
    folder: tempfile::TempDir,
    master: Child,
}

/// How long the master may take to connect.
const MASTER_LIMIT: Duration = Duration::from_secs(10);

impl OpenSsh {
    pub(super) fn start(target: Target) -> Result<Self, Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let master = ssh(&target)
            .arg("-MNS")
            .arg(folder.path().join("master"))
            .arg("127.0.0.1")
            .spawn();
        let mut this = Self {
            target,
            folder,
            master: master.map_err(|error| format!("ssh does not start: {error}"))?,
        };
        this.wait_for_master()?;
        Ok(this)
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("master")
    }

    fn wait_for_master(&mut self) -> Result<(), Box<dyn Error>> {
        let give_up = Instant::now() + MASTER_LIMIT;
        while !self.socket().exists() {
            if let Some(status) = self.master.try_wait()? {
                return Err(format!("the control master has ended: {status}").into());
            }
            if Instant::now() > give_up {
                return Err("the control master does not connect".into());
            }
            std::thread::yield_now();
        }
        Ok(())
    }

    fn command(&self, work: Work) -> Command {
        let mut command = ssh(&self.target);
        if work == Work::Exec {
            command.arg("-S").arg(self.socket());
        }
        command.arg("127.0.0.1");
        command
    }
}

impl Client for OpenSsh {
    fn version(&self) -> String {
        version()
    }

    /// The time from before ssh is started until it has ended.
    fn work(&mut self, work: Work, count: u32) -> Result<Duration, Box<dyn Error>> {
        let started = Instant::now();
        if work == Work::Stream {
            stream(self.command(work), count)?;
            return Ok(started.elapsed());
        }
        for _ in 0..count {
            let status = self.command(work).arg("true").status()?;
            if !status.success() {
                return Err(format!("ssh ended with {status}").into());
            }
        }
        Ok(started.elapsed())
    }

    fn cpu_elsewhere(&self) -> Result<Duration, Box<dyn Error>> {
        Ok(cpu::of_children()? + cpu::of_process(self.master.id())?)
    }
}

impl Drop for OpenSsh {
    fn drop(&mut self) {
        let _ = self.master.kill();
        let _ = self.master.wait();
    }
}

/// What ssh calls itself.
pub(crate) fn version() -> String {
    let output = Command::new("ssh").arg("-V").output();
    let text = output.map_or_else(|_| Vec::new(), |output| output.stderr);
    let text = String::from_utf8_lossy(&text);
    text.split([' ', ',']).next().unwrap_or_default().to_owned()
}

/// ssh, as [`openssh`] starts it.
pub(crate) fn ssh(target: &Target) -> Command {
    openssh("ssh", target)
}

/// One of OpenSSH's programs with the same key, the same check of the host key, and nothing from anybody's configuration.
pub(crate) fn openssh(program: &str, target: &Target) -> Command {
    let mut command = Command::new(program);
    command
        .args([
            "-F",
            "none",
            "-o",
            "BatchMode=yes",
            "-o",
            "StrictHostKeyChecking=yes",
        ])
        .args([
            "-o",
            "GlobalKnownHostsFile=none",
            "-o",
            "IdentitiesOnly=yes",
            "-o",
            "IdentityAgent=none",
        ])
        .arg("-o")
        .arg(format!("UserKnownHostsFile={}", target.known_hosts.display()))
        .arg("-i")
        .arg(&target.key)
        .args(["-o", &format!("User={}", target.user)])
        .args(["-o", &format!("Port={}", target.port)])
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}

fn stream(mut command: Command, mebibytes: u32) -> Result<(), Box<dyn Error>> {
    let mut process = command
        .arg(format!("head -c {mebibytes}M /dev/zero"))
        .stdout(Stdio::piped())
        .spawn()?;
    let mut received = 0;
    if let Some(mut output) = process.stdout.take() {
        let mut buffer = vec![0; 256 * 1024];
        loop {
            match output.read(&mut buffer)? {
                0 => break,
                read => received += read as u64,
            }
        }
    }
    process.wait()?;
    if received != u64::from(mebibytes) * 1024 * 1024 {
        return Err(format!("only {received} bytes of output came").into());
    }
    Ok(())
}
