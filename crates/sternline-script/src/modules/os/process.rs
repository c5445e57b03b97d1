//! Local processes: started, fed, listened to, and ended with all that they started.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use crate::session::Session;
use crate::stop::Why;

/// More output is no value of a script.
const MAX_OUTPUT: u64 = 256 * 1024 * 1024;

/// How long a process may take for its end before it is killed.
const GRACE: Duration = Duration::from_secs(2);

/// What to start.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) program: String,
    pub(super) args: Vec<String>,
    /// The whole environment.
    pub(super) vars: Vec<(String, String)>,
    pub(super) cwd: PathBuf,
    pub(super) stdin: Vec<u8>,
    /// `None`: as long as it takes.
    pub(super) timeout: Option<Duration>,
}

/// How it ended.
#[derive(Debug)]
pub(super) enum End {
    Ended {
        status: ExitStatus,
        stdout: Vec<u8>,
        stderr: Vec<u8>,
    },
    TimedOut,
    /// The script has to end, and it was ended first.
    Stopped(Why),
}

/// Runs a process to its end, which comes early with the time limit or when the script has to end.
pub(super) async fn run(session: Session, start: Start) -> std::io::Result<End> {
    let mut command = Command::new(&start.program);
    command
        .args(&start.args)
        .env_clear()
        .envs(start.vars.iter().map(|(name, value)| (name, value)))
        .current_dir(&start.cwd)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    // A group of its own, so that all it starts can be ended, and a Ctrl-C of the terminal is ours to pass on.
    #[cfg(unix)]
    command.process_group(0);
    let mut child = command.spawn()?;
    let group = Group::of(&child);
    let end = {
        let work = collect(&mut child, &start.stdin);
        tokio::select! {
            biased;
            why = session.stop().stopped() => Ok(End::Stopped(why)),
            () = elapsed(start.timeout) => Ok(End::TimedOut),
            end = work => end,
        }
    };
    if matches!(end, Ok(End::Ended { .. })) {
        group.forget();
    } else {
        group.end(&mut child).await;
    }
    end
}

async fn elapsed(timeout: Option<Duration>) {
    match timeout {
        Some(timeout) => tokio::time::sleep(timeout).await,
        None => std::future::pending().await,
    }
}

async fn collect(child: &mut Child, input: &[u8]) -> std::io::Result<End> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        if let Some(mut stdin) = stdin {
            // A process need not read what it is given.
            let _ = stdin.write_all(input).await;
        }
    };
    let ((), stdout, stderr, status) = tokio::join!(feed, read(stdout), read(stderr), child.wait());
    Ok(End::Ended {
        status: status?,
        stdout: stdout?,
        stderr: stderr?,
    })
}

async fn read(stream: Option<impl AsyncRead + Unpin>) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let Some(stream) = stream else {
        return Ok(bytes);
    };
    let mut stream = stream.take(MAX_OUTPUT);
    stream.read_to_end(&mut bytes).await?;
    if stream.limit() == 0 {
        return Err(std::io::Error::other(
            "it wrote more than 256 MiB: write to a file instead",
        ));
    }
    Ok(bytes)
}

/// The process and all that it started, unless that has left.
#[cfg(unix)]
struct Group(Option<rustix::process::Pid>);

#[cfg(unix)]
impl Group {
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.and_then(rustix::process::Pid::from_raw))
    }

    fn signal(&self, signal: rustix::process::Signal) {
        if let Some(group) = self.0 {
            // It may have ended by itself.
            let _ = rustix::process::kill_process_group(group, signal);
        }
    }

    /// The process has ended, so its number may soon be another's.
    fn forget(mut self) {
        self.0 = None;
    }

    async fn end(self, child: &mut Child) {
        self.signal(rustix::process::Signal::TERM);
        let _ = tokio::time::timeout(GRACE, child.wait()).await;
        // What ignores the first signal, or was started by the process and has not gone with it.
        self.signal(rustix::process::Signal::KILL);
        let _ = child.wait().await;
        self.forget();
    }
}

#[cfg(unix)]
impl Drop for Group {
    fn drop(&mut self) {
        self.signal(rustix::process::Signal::KILL);
    }
}

#[cfg(not(unix))]
struct Group;

#[cfg(not(unix))]
impl Group {
    fn of(_child: &Child) -> Self {
        Self
    }

    fn forget(self) {}

    async fn end(self, child: &mut Child) {
        let _ = child.kill().await;
    }
}

/// The status as shells count it.
pub(super) fn code(status: ExitStatus) -> i32 {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return 128 + signal;
    }
    status.code().unwrap_or(-1)
}

/// Where a program is: as it is named if there is a slash in the name, else in the directories of the script's `PATH`.
pub(super) fn which(session: &Session, name: &str) -> Option<String> {
    if name.contains('/') {
        return is_program(&session.path(name)).then(|| name.to_owned());
    }
    let path = session.vars().get("PATH").cloned()?;
    path.split(if cfg!(windows) { ';' } else { ':' })
        .filter(|directory| !directory.is_empty() && !name.is_empty())
        .map(|directory| session.path(directory).join(name))
        .find(|program| is_program(program))
        .map(|program| program.to_string_lossy().into_owned())
}

#[cfg(unix)]
fn is_program(path: &Path) -> bool {
    path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}

#[cfg(not(unix))]
fn is_program(path: &Path) -> bool {
    path.is_file()
}
