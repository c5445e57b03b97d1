//! A shell of this machine in a process group of its own, ended with everything in it.

use std::process::Stdio as Pipe;
use std::time::Duration;

use sternline_proto::text::escape;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use tokio::runtime::Handle;
use tokio::time::sleep;

use super::descriptors::shell;
use crate::error::{Error, ErrorKind, Result, SendState, seconds};
use crate::exec::Stdin;
use crate::sandbox::gather::Gathered;
use crate::sandbox::limit::Limit;

/// A started shell. Dropping it ends its process group.
pub(super) struct Process {
    /// `None` while this is dropped.
    child: Option<Child>,
    group: Group,
}

impl Process {
    /// Starts `/bin/sh -c LINE` with an empty environment but for a PATH, and with no open file of this program's.
    pub(super) fn start(line: &[u8]) -> Result<Self> {
        let line = String::from_utf8_lossy(line).into_owned();
        let mut command = shell();
        command
            .arg(&line)
            .env_clear()
            .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
            .current_dir("/")
            .stdin(Pipe::piped())
            .stdout(Pipe::piped())
            .stderr(Pipe::piped());
        group::separate(&mut command);
        let child = command.spawn().map_err(|error| {
            Error::new(
                ErrorKind::Local,
                format!("cannot start /bin/sh: {}", escape(&error.to_string())),
            )
            .with_hint("sandboxes on this machine need Linux, with a shell and bubblewrap")
        })?;
        let group = Group(child.id());
        Ok(Self {
            child: Some(child),
            group,
        })
    }

    /// Feeds its input, and gathers what it writes until it has ended: by itself, because it wrote more than `limit`, or because the
    /// time is over.
    pub(super) async fn gather(
        mut self,
        input: Stdin,
        limit: u64,
        time: Option<&Limit>,
    ) -> (Result<()>, Gathered) {
        let mut gathered = Gathered::new(limit);
        let Self { child, group } = &mut self;
        let pipes = child.as_mut();
        let pipes = pipes.map(|child| (child.stdin.take(), child.stdout.take(), child.stderr.take()));
        let (stdin, stdout, stderr) = pipes.unwrap_or_default();
        let feeding = feed(stdin, input);
        let left = time.map_or(Duration::MAX, Limit::left);
        let ended = {
            let reading = read(stdout, stderr, &mut gathered);
            let over = async {
                // Beyond what the clock can express there is no limit.
                match left {
                    Duration::MAX => std::future::pending().await,
                    left => sleep(left).await,
                }
            };
            tokio::pin!(feeding, reading, over);
            let mut fed = false;
            loop {
                tokio::select! {
                    biased;
                    () = &mut reading => break Ok(()),
                    () = &mut over => break Err(timed_out(left)),
                    outcome = &mut feeding, if !fed => match outcome {
                        Ok(()) => fed = true,
                        Err(error) => break Err(broken_input(&error)),
                    },
                }
            }
        };
        // Whatever it was that ended it: nothing of the group is to go on. It has not been reaped yet, so this is still its number.
        if let Some(child) = child.as_mut() {
            if ended.is_err() || gathered.overflowed {
                end(child, group).await;
            }
            group.end();
            let _ = child.wait().await;
        }
        (ended, gathered)
    }
}

/// Until both outputs are at their end, which is when the shell ends, or more came than is kept.
async fn read(mut stdout: Option<ChildStdout>, mut stderr: Option<ChildStderr>, gathered: &mut Gathered) {
    let (mut out, mut err) = (vec![0; 32 * 1024], vec![0; 32 * 1024]);
    while stdout.is_some() || stderr.is_some() {
        tokio::select! {
            read = next(&mut stdout, &mut out) => gathered.stdout(out.get(..read).unwrap_or_default()),
            read = next(&mut stderr, &mut err) => gathered.stderr(err.get(..read).unwrap_or_default()),
        }
        if gathered.overflowed {
            return;
        }
    }
}

/// What one output has next. At its end it is closed, and gives nothing; one that is closed is never ready.
async fn next(output: &mut Option<impl AsyncReadExt + Unpin>, buffer: &mut [u8]) -> usize {
    let Some(open) = output else {
        return std::future::pending().await;
    };
    let read = open.read(buffer).await.unwrap_or(0);
    if read == 0 {
        *output = None;
    }
    read
}

async fn feed(pipe: Option<ChildStdin>, input: Stdin) -> std::io::Result<()> {
    let Some(mut pipe) = pipe else { return Ok(()) };
    match input {
        Stdin::Empty | Stdin::Piped => {}
        // That it reads no further is its own matter.
        Stdin::Bytes(bytes) => {
            let _ = pipe.write_all(&bytes).await;
        }
        Stdin::Reader(mut reader) => {
            let mut buffer = vec![0; 32 * 1024];
            loop {
                let read = reader.read(&mut buffer).await?;
                let piece = buffer.get(..read).unwrap_or_default();
                if piece.is_empty() || pipe.write_all(piece).await.is_err() {
                    break;
                }
            }
        }
    }
    let _ = pipe.shutdown().await;
    Ok(())
}

fn timed_out(limit: Duration) -> Error {
    Error::new(
        ErrorKind::CommandTimeout,
        format!("the command did not end within {}; it was ended", seconds(limit)),
    )
    .with_sent(SendState::Ran)
    .with_extra("remote_process_may_survive", false)
}

fn broken_input(error: &std::io::Error) -> Error {
    Error::new(
        ErrorKind::Local,
        format!(
            "reading the command's input failed, so the command was stopped: {}",
            escape(&error.to_string())
        ),
    )
    .with_sent(SendState::Ran)
}

/// How long the group may take to end once it was asked to.
const PATIENCE: Duration = Duration::from_millis(500);

/// The process group of a shell.
///
/// It is asked to end, which all in it do, and one of them sees to what bubblewrap has not bound to its own life yet. Killed at once it
/// could not.
struct Group(Option<u32>);

impl Group {
    fn end(&self) {
        if let Some(id) = self.0 {
            group::send(id, Signal::Term);
        }
    }

    fn kill(&self) {
        if let Some(id) = self.0 {
            group::send(id, Signal::Kill);
        }
    }
}

/// Ends the group in two steps. Its first process is reaped last, so that the group keeps its number.
async fn end(child: &mut Child, group: &Group) {
    group.end();
    sleep(PATIENCE).await;
    group.kill();
    let _ = child.wait().await;
}

/// The two that are sent.
#[derive(Debug, Clone, Copy)]
enum Signal {
    Term,
    Kill,
}

impl Drop for Process {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        // One that was reaped is nobody's number any more.
        if child.id().is_none() {
            return;
        }
        let group = Group(self.group.0);
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(async move { end(&mut child, &group).await })),
            Err(_) => group.end(),
        }
    }
}

#[cfg(unix)]
mod group {
    //! A shell and what it has started, as one.

    use rustix::process::{Pid, Signal as Number, kill_process_group};
    use tokio::process::Command;

    use super::Signal;

    pub(super) fn separate(command: &mut Command) {
        command.process_group(0);
    }

    /// The id of a group is nobody else's as long as somebody is in it, or its first process was not reaped.
    pub(super) fn send(id: u32, signal: Signal) {
        let number = match signal {
            Signal::Term => Number::TERM,
            Signal::Kill => Number::KILL,
        };
        if let Some(group) = i32::try_from(id).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, number);
        }
    }
}

#[cfg(not(unix))]
mod group {
    //! There are no groups, and no sandboxes either.

    use tokio::process::Command;

    pub(super) fn separate(_: &mut Command) {}

    pub(super) fn send(_: u32, _: super::Signal) {}
}
