//! A child process and its group, which never outlive their channel.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::lifetime::Alive;

/// How long the processes of a terminal may take to end after its hang-up.
const HANGUP: Duration = Duration::from_millis(300);

/// A child that leads its own process group. Dropping it before [`Process::finished`] kills the group.
pub(super) struct Process {
    child: Option<Child>,
    group: Group,
    /// Whether it has a terminal, whose shell passes the hang-up on to its background jobs.
    terminal: bool,
    alive: Alive,
}

/// A process group, for signals.
#[derive(Debug, Clone, Copy)]
pub(super) struct Group(Pid);

impl Group {
    /// Sends a signal. A group that has ended already is no error.
    pub(super) fn signal(self, signal: Signal) {
        let _ = kill_process_group(self.0, signal);
    }
}

impl Process {
    pub(super) fn new(child: Child, terminal: bool, alive: Alive) -> io::Result<Self> {
        let pid = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        let group = Group(pid.ok_or_else(|| io::Error::other("the new process has no id"))?);
        Ok(Self {
            child: Some(child),
            group,
            terminal,
            alive,
        })
    }

    pub(super) fn group(&self) -> Group {
        self.group
    }

    /// The child's ends of its pipes, once.
    pub(super) fn pipes(&mut self) -> (Option<ChildStdin>, Option<ChildStdout>, Option<ChildStderr>) {
        match &mut self.child {
            Some(child) => (child.stdin.take(), child.stdout.take(), child.stderr.take()),
            None => (None, None, None),
        }
    }

    /// Waits for the child itself; others of its group may go on. Cancel-safe.
    pub(super) async fn wait(&mut self) -> io::Result<ExitStatus> {
        match &mut self.child {
            Some(child) => child.wait().await,
            None => Err(io::Error::other("the process has been waited for")),
        }
    }

    /// Lets what is left of the group run on, as sshd does with a command's background processes.
    pub(super) fn finished(mut self) {
        self.child = None;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        let group = self.group;
        if self.terminal {
            group.signal(Signal::HUP);
            group.signal(Signal::CONT);
        } else {
            group.signal(Signal::KILL);
        }
        let Ok(runtime) = Handle::try_current() else {
            return group.signal(Signal::KILL);
        };
        let alive = self.alive.clone();
        runtime.spawn(async move {
            if timeout(HANGUP, child.wait()).await.is_err() {
                // Not waited for yet, so the group's number is still its own.
                group.signal(Signal::KILL);
                let _ = child.wait().await;
            }
            drop(alive);
        });
    }
}
