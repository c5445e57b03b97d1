//! What a client asked to run, and what came of it.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc;

use crate::lifetime::Alive;
use crate::output::Output;
use crate::stdin::Stdin;

/// One `exec` or `shell` request of a client (RFC 4254 section 6.5), with the streams of its channel.
///
/// When the client closes the channel, its connection is lost, or the server shuts down, the handler's future is
/// dropped wherever it awaits; the request and everything in it goes with it.
#[derive(Debug)]
#[non_exhaustive]
pub struct ExecRequest {
    /// The user who logged in.
    pub user: String,
    /// Where the connection comes from.
    pub peer: SocketAddr,
    /// Where it arrived: an address and the port of this server.
    pub local: SocketAddr,
    /// The command exactly as the client sent it, or `None` when it asked for an interactive shell.
    pub command: Option<Bytes>,
    /// The environment variables that the client sent, in its order (RFC 4254 section 6.4).
    pub env: Vec<(String, String)>,
    /// The terminal that the client asked for, if it did.
    pub pty: Option<Pty>,
    /// What the client sends. Ends at its EOF.
    pub stdin: Stdin,
    /// Standard output. Writes wait while the client's window is full.
    pub stdout: Output,
    /// Standard error. Writes wait while the client's window is full; it shares that window with standard output.
    pub stderr: Output,
    /// Signals and changes of the terminal's size, as the client sends them.
    pub control: ControlEvents,
    /// Held as long as the request lives, so that a shutdown can wait for it.
    pub(crate) alive: Alive,
}

impl ExecRequest {
    /// The command as text; bytes that are not UTF-8 are replaced. Empty when a shell was asked for.
    #[must_use]
    pub fn command_text(&self) -> Cow<'_, str> {
        self.command
            .as_deref()
            .map_or(Cow::Borrowed(""), String::from_utf8_lossy)
    }
}

/// A terminal, as the client describes its own (RFC 4254 section 6.2).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pty {
    /// The value for `TERM`.
    pub term: String,
    /// The size at the start; later sizes come as [`Control::Resize`].
    pub size: WindowSize,
    /// Terminal modes as (opcode, argument) pairs of RFC 4254 section 8.
    pub modes: Vec<(u8, u32)>,
}

/// The size of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WindowSize {
    /// Width in characters.
    pub columns: u32,
    /// Height in characters.
    pub rows: u32,
    /// Width in pixels, 0 when unknown.
    pub width_px: u32,
    /// Height in pixels, 0 when unknown.
    pub height_px: u32,
}

/// Something that a client says about a running command beside its input.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Control {
    /// A signal for the command (RFC 4254 section 6.9): its name without `SIG`, for example `TERM`.
    Signal(String),
    /// The client's terminal has a new size (RFC 4254 section 6.7).
    Resize(WindowSize),
}

/// The [`Control`] messages of one command.
#[derive(Debug)]
pub struct ControlEvents(pub(crate) mpsc::Receiver<Control>);

impl ControlEvents {
    /// Waits for the next message; `None` once the channel is closed.
    ///
    /// Up to 64 unread messages are kept, later ones are dropped. Cancel-safe: nothing is lost when the future is
    /// dropped.
    pub async fn next(&mut self) -> Option<Control> {
        self.0.recv().await
    }
}

/// How a command ended (RFC 4254 section 6.10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExitOutcome {
    /// It exited with this status.
    Code(u32),
    /// A signal ended it.
    Signal {
        /// The signal's name without `SIG`, for example `KILL`.
        name: String,
        /// Whether it dumped core.
        core_dumped: bool,
        /// A text for the client to show, often empty.
        message: String,
    },
    /// Nothing is said about it: the channel is closed without a status.
    NoStatus,
    /// The connection ends instead, once everything that was written before has been sent.
    ConnectionLost {
        /// The reason that the client is given (RFC 4253 section 11.1).
        message: String,
    },
}

impl ExitOutcome {
    /// Status 0.
    pub const SUCCESS: Self = Self::Code(0);

    /// The end by a signal, named without `SIG`.
    #[must_use]
    pub fn signal(name: impl Into<String>) -> Self {
        Self::Signal {
            name: name.into(),
            core_dumped: false,
            message: String::new(),
        }
    }
}

/// A whole answer to a command, known in advance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// What is sent on standard output.
    pub stdout: Bytes,
    /// What is sent on standard error, after standard output.
    pub stderr: Bytes,
    /// How the command ends.
    pub exit: ExitOutcome,
}

impl Reply {
    /// Output, error output and exit code.
    #[must_use]
    pub fn new(stdout: impl Into<Bytes>, stderr: impl Into<Bytes>, code: u32) -> Self {
        Self {
            stdout: stdout.into(),
            stderr: stderr.into(),
            exit: ExitOutcome::Code(code),
        }
    }

    /// Output and exit code 0.
    #[must_use]
    pub fn stdout(stdout: impl Into<Bytes>) -> Self {
        Self::new(stdout, Bytes::new(), 0)
    }

    /// What a shell says of a command that it does not know, with its exit code 127. A request for a shell is
    /// answered in the same way.
    #[must_use]
    pub fn command_not_found(request: &ExecRequest) -> Self {
        let text = match &request.command {
            Some(_) => format!("{}: command not found\n", request.command_text()),
            None => "this server has no interactive shell\n".to_owned(),
        };
        Self::new(Bytes::new(), text, 127)
    }

    /// Sends the answer.
    pub(crate) async fn send(self, mut request: ExecRequest) -> ExitOutcome {
        // A write fails only when the channel is gone; nobody is left to tell.
        let _ = request.stdout.write_all(&self.stdout).await;
        let _ = request.stderr.write_all(&self.stderr).await;
        self.exit
    }
}

/// A handler's future.
pub(crate) type Running = Pin<Box<dyn Future<Output = ExitOutcome> + Send>>;

/// What answers every request: the server's table first, then what else it was given.
pub(crate) type Commands = Arc<dyn Fn(ExecRequest) -> Running + Send + Sync>;
