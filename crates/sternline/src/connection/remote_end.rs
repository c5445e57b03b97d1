//! Ends the process of one command on the server, and makes sure of it.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sternline_proto::command::Command;
use sternline_proto::framing::{ShellIds, UNDER, finish_under_line};
use sternline_proto::remote_process::{
    Child, LIST, OTHER_SHELL, PRELUDE, SHELL, become_line, finish_line, finish_tree_line, identify,
    parse_become, parse_listing, parse_verdict,
};
use sternline_proto::sudo::{SudoDialog, SudoMarkers, SudoStep};
use tokio::sync::OwnedMutexGuard;
use tokio::time::timeout;

use super::running::StartOrder;
use super::sessions::{Sessions, Start};
use crate::secret::{Secret, line_of};
use crate::transport::channel::{Channel, ChannelSender, Incoming, OutputStream};

/// What became of a remote process that was to be ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemoteEnd {
    /// It is gone, and so is everything in its process group: the server was asked.
    Ended,
    /// It may still run, for the reason given.
    MaySurvive(String),
}

impl fmt::Display for RemoteEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended => f.write_str("the remote process was ended"),
            Self::MaySurvive(reason) => write!(f, "the remote process may still run: {reason}"),
        }
    }
}

/// How to become the user as whom a command runs, for the login may not end what is another's.
#[derive(Debug, Clone)]
pub(crate) struct OtherUser {
    shell: Command,
    password: Option<Secret>,
}

impl OtherUser {
    /// The user of a command that goes through sudo; `None` for any other.
    pub(crate) fn of(command: &Command, password: Option<&Secret>) -> Option<Self> {
        Some(Self {
            shell: command.as_same_user(OTHER_SHELL)?,
            password: password.cloned(),
        })
    }
}

/// What is to be ended.
#[derive(Debug, Clone, Copy)]
enum Wanted {
    /// A command of the connection.
    Command(StartOrder),
    /// What a shell runs that is such a command, but not the shell.
    Under(ShellIds),
}

/// For one of them: two seconds are the shell's own patience between TERM and KILL, and after KILL.
const LIMIT: Duration = Duration::from_secs(8);

/// As [`LIMIT`], where sudo has to take a password first.
const LIMIT_WITH_SUDO: Duration = Duration::from_secs(20);

/// How long the server may take to report the exit after an SSH signal.
const SIGNAL_LIMIT: Duration = Duration::from_millis(500);

impl Sessions {
    /// Ends the command that was started at `order` on the channel of `sender`. `other` is the user as whom it runs, where that is
    /// not the one who is logged in.
    pub(crate) async fn end_remote(
        self: &Arc<Self>,
        order: StartOrder,
        sender: &ChannelSender,
        other: Option<&OtherUser>,
    ) -> RemoteEnd {
        let attempt = async {
            let one_at_a_time = self.turn().await?;
            if !self.running.contains(order) {
                return Ok(true);
            }
            self.end_in_time(Wanted::Command(order), one_at_a_time, other)
                .await
        };
        let reason = match attempt.await {
            Ok(true) => return RemoteEnd::Ended,
            Ok(false) => withstood(),
            Err(reason) => reason,
        };
        // A signal may end sudo, and leave what sudo has started.
        if other.is_some() {
            return RemoteEnd::MaySurvive(reason);
        }
        // The second choice, because sshd ignores it for root and it reaches one process group at most once.
        let signalled = async {
            if sender.kill().await.is_ok() {
                while self.running.contains(order) && !sender.has_ended() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        };
        let _ = timeout(SIGNAL_LIMIT, signalled).await;
        if self.running.contains(order) || self.session().link().has_ended() {
            return RemoteEnd::MaySurvive(reason);
        }
        RemoteEnd::Ended
    }

    /// Ends what a shell runs that was started on a channel of this connection, and leaves the shell alone. `other` is as for
    /// [`Sessions::end_remote`].
    pub(crate) async fn end_under(self: &Arc<Self>, shell: ShellIds, other: Option<&OtherUser>) -> RemoteEnd {
        let attempt = async {
            let one_at_a_time = self.turn().await?;
            self.end_in_time(Wanted::Under(shell), one_at_a_time, other).await
        };
        match attempt.await {
            Ok(true) => RemoteEnd::Ended,
            Ok(false) => RemoteEnd::MaySurvive(withstood()),
            Err(reason) => RemoteEnd::MaySurvive(reason),
        }
    }

    /// Waits for the others that are being ended, as long as commands do end: each may take its time.
    async fn turn(&self) -> Result<OwnedMutexGuard<()>, String> {
        let mut turn = pin!(Arc::clone(&self.ending).lock_owned());
        loop {
            let before = self.running.exited();
            match timeout(LIMIT, &mut turn).await {
                Ok(turn) => return Ok(turn),
                Err(_) if self.running.exited() == before => return Err(unanswered()),
                Err(_) => {}
            }
        }
    }

    async fn end_in_time(
        self: &Arc<Self>,
        wanted: Wanted,
        one_at_a_time: OwnedMutexGuard<()>,
        other: Option<&OtherUser>,
    ) -> Result<bool, String> {
        let limit = other.map_or(LIMIT, |_| LIMIT_WITH_SUDO);
        let ended = timeout(limit, self.end_by_shell(wanted, one_at_a_time, other)).await;
        ended.unwrap_or_else(|_| Err(unanswered()))
    }

    async fn end_by_shell(
        self: &Arc<Self>,
        wanted: Wanted,
        one_at_a_time: OwnedMutexGuard<()>,
        other: Option<&OtherUser>,
    ) -> Result<bool, String> {
        let channel = self
            .open_for_ending()
            .await
            .ok_or_else(|| "the server allows no further session in which to end it".to_owned())?;
        let own_order = self
            .start(&channel, Start::Exec(SHELL.as_bytes()), &[], None)
            .await
            .map_err(|error| error.to_string())?;
        let mut dialog = Dialog {
            channel,
            output: Vec::new(),
        };
        let outcome = self.converse(&mut dialog, wanted, own_order, other).await;
        // The server has to close first, so that its session is known to be free. Waited for, because Dropbear may close a
        // session that is opened in the moment in which the process of another one exits; and a task of its own, because
        // this one may be dropped.
        let sessions = Arc::clone(self);
        let finished = self.session().runtime().spawn(async move {
            dialog.finish().await;
            drop(one_at_a_time);
            sessions.open_spare();
        });
        let _ = finished.await;
        outcome
    }

    /// Whether nothing is left of it.
    async fn converse(
        &self,
        dialog: &mut Dialog,
        wanted: Wanted,
        own: StartOrder,
        other: Option<&OtherUser>,
    ) -> Result<bool, String> {
        dialog.send(PRELUDE).await?;
        let finish = match (wanted, other) {
            (Wanted::Under(shell), _) => finish_under_line(shell),
            (Wanted::Command(order), other) => match (self.find(dialog, order, own).await?, other) {
                (None, _) => return Ok(true),
                (Some(child), None) => finish_line(&child),
                (Some(child), Some(_)) => finish_tree_line(&child),
            },
        };
        if let Some(other) = other
            && dialog.become_other(other).await?
        {
            dialog.send(PRELUDE).await?;
        }
        if matches!(wanted, Wanted::Under(_)) {
            dialog.send(UNDER).await?;
        }
        dialog.ask(&finish, parse_verdict).await
    }

    /// The process of a command; `None` once it has exited.
    async fn find(
        &self,
        dialog: &mut Dialog,
        order: StartOrder,
        own: StartOrder,
    ) -> Result<Option<Child>, String> {
        loop {
            let listing = dialog.ask(LIST, parse_listing).await?;
            let (commands, wanted) = self.running.before(own, order);
            let Some(wanted) = wanted else { return Ok(None) };
            let commands: Vec<&[u8]> = commands.iter().map(AsRef::as_ref).collect();
            if let Some(child) = identify(&listing, &commands, wanted) {
                return Ok(Some(child.clone()));
            }
            // Another command has ended and its exit is on the way, or one has not been forked yet.
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }
}

/// A conversation with the shell on the second session.
struct Dialog {
    channel: Channel,
    /// What has arrived; as bytes, because a packet may end within a character.
    output: Vec<u8>,
}

impl Dialog {
    async fn send(&self, text: &str) -> Result<(), String> {
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        self.channel.sender().data(bytes).await.map_err(|_| closed())
    }

    /// Lets the shell exit and waits, for a while, until the server has closed the session.
    async fn finish(self) {
        const PATIENCE: Duration = Duration::from_secs(2);
        let _ = self.channel.sender().eof().await;
        let _ = timeout(PATIENCE, async { while self.channel.next().await.is_some() {} }).await;
    }

    /// Sends a line and reads until the answer is complete.
    async fn ask<T>(&mut self, line: &str, parse: impl Fn(&str) -> Option<T>) -> Result<T, String> {
        self.output.clear();
        self.send(line).await?;
        self.read(parse, None).await
    }

    /// Starts a second shell as another user, and says whether there is one. Without, whoever is logged in has to do.
    async fn become_other(&mut self, other: &OtherUser) -> Result<bool, String> {
        let mut random = [0; 32];
        getrandom::fill(&mut random).map_err(|error| error.to_string())?;
        let markers = SudoMarkers::new(random);
        let line = other
            .shell
            .to_line_with(&markers)
            .map_err(|error| error.to_string())?;
        self.output.clear();
        let sender = self.channel.sender();
        sender
            .data(become_line(&line).into())
            .await
            .map_err(|_| closed())?;
        let sudo = other
            .password
            .as_ref()
            .map(|password| (SudoDialog::new(&markers), password));
        self.read(parse_become, sudo).await
    }

    /// Reads until the answer is complete, and answers sudo meanwhile.
    async fn read<T>(
        &mut self,
        parse: impl Fn(&str) -> Option<T>,
        mut sudo: Option<(SudoDialog, &Secret)>,
    ) -> Result<T, String> {
        /// A server that answers without end is not answering.
        const LIMIT: usize = 1024 * 1024;
        loop {
            match self.channel.next().await {
                Some(Incoming::Data {
                    stream: OutputStream::Stderr,
                    bytes,
                    ..
                }) => {
                    let Some((dialog, password)) = &mut sudo else {
                        continue;
                    };
                    for step in dialog.read(&bytes) {
                        match step {
                            SudoStep::Prompt => {
                                let sent = self.channel.sender().data(line_of(password)).await;
                                sent.map_err(|_| closed())?;
                            }
                            SudoStep::PromptAgain | SudoStep::Question(_) => {
                                return Err("sudo does not let it be ended".to_owned());
                            }
                            SudoStep::Output(_) | SudoStep::Started => {}
                        }
                    }
                }
                Some(Incoming::Data {
                    stream: OutputStream::Stdout,
                    bytes,
                    ..
                }) => {
                    self.output.extend_from_slice(&bytes);
                    if let Some(answer) = parse(&String::from_utf8_lossy(&self.output)) {
                        return Ok(answer);
                    }
                    if self.output.len() > LIMIT {
                        return Err("the server's answer makes no sense".to_owned());
                    }
                }
                Some(Incoming::Reply(false)) => {
                    return Err("the server runs no second command on this connection".to_owned());
                }
                Some(Incoming::ExitStatus(_) | Incoming::ExitSignal { .. }) | None => return Err(closed()),
                Some(_) => {}
            }
        }
    }
}

fn withstood() -> String {
    "it withstood SIGKILL, or belongs to another user".to_owned()
}

fn unanswered() -> String {
    "the server did not answer in time".to_owned()
}

fn closed() -> String {
    "the server offers no POSIX shell in which to end it".to_owned()
}
