//! One command on the server, on a session of its own.

use std::fmt;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use sternline_proto::text::{escape, escape_bytes};
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::connection::{Connection, Start, StartOrder};
use crate::deadline::Phase;
use crate::error::{Error, ErrorKind, Result, SendState};
use crate::transport::channel::{Channel, ChannelSender, Incoming, OutputStream};

/// How much of what a command writes to its standard error is kept.
const STDERR_KEPT: usize = 4096;

/// How much [`run`] and [`run_script`] take of a command's standard output.
const OUTPUT_LIMIT: usize = 64 << 20;

/// How long a server may take with the next word once the command has exited: something that it left in the background
/// may keep the channel open for ever.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Exit {
    Status(u32),
    /// The name of the signal, unescaped.
    Signal(String),
    /// The server closed the channel without a word about it.
    Unknown,
}

impl Exit {
    pub(crate) fn is_success(&self) -> bool {
        *self == Self::Status(0)
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "exit status {status}"),
            Self::Signal(name) => write!(f, "signal {}", escape(name)),
            Self::Unknown => f.write_str("no exit status"),
        }
    }
}

/// A command that has ended.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    pub(crate) exit: Exit,
    pub(crate) stdout: Bytes,
    /// The first part of it, as it came.
    pub(crate) stderr: Vec<u8>,
}

impl Output {
    /// What the command said about a failure, on one line for a message: how it ended, and its words.
    pub(crate) fn complaint(&self) -> String {
        complaint(&self.exit, &self.stderr)
    }
}

/// How a command ended and what it said, on one line for a message.
pub(crate) fn complaint(exit: &Exit, stderr: &[u8]) -> String {
    match escape_bytes(stderr.trim_ascii()) {
        said if said.is_empty() => exit.to_string(),
        said => format!("{exit}: {said}"),
    }
}

/// A running command. Dropping it before it has exited has its remote process ended, in the background.
pub(crate) struct RemoteCommand {
    connection: Connection,
    order: StartOrder,
    /// `None` once the channel has ended.
    channel: Option<Channel>,
    sender: ChannelSender,
    exit: Option<Exit>,
    stderr: Vec<u8>,
    /// Where the process is ended when this is dropped, which may happen outside of any runtime.
    runtime: Handle,
}

/// Writes to a command.
#[derive(Debug, Clone)]
pub(crate) struct CommandInput(ChannelSender);

impl CommandInput {
    /// Sends bytes as fast as the command takes them. Not cancel-safe: a part may have been sent.
    ///
    /// An error says only that the command is gone; how it ended says why.
    pub(crate) async fn write(&self, bytes: Bytes) -> Result<()> {
        self.0.data(bytes).await.map_err(|_| gone())
    }

    /// Says that this was all.
    pub(crate) async fn close(&self) -> Result<()> {
        self.0.eof().await.map_err(|_| gone())
    }
}

impl RemoteCommand {
    /// Starts a command line, exactly as given. The user's login shell reads it, whatever that is.
    pub(crate) async fn start(connection: &Connection, line: &[u8]) -> Result<Self> {
        let sessions = connection.sessions();
        let channel = sessions.open_for_command().await?;
        if !closes_too_much(connection) {
            sessions.open_spare();
        }
        let order = sessions.start(&channel, Start::Exec(line), &[], None).await?;
        Ok(Self {
            connection: connection.clone(),
            order,
            sender: channel.sender().clone(),
            channel: Some(channel),
            exit: None,
            stderr: Vec::new(),
            runtime: Handle::current(),
        })
    }

    /// Has a POSIX shell obey a script, whatever the login shell is. The script's standard input is what is written.
    ///
    /// No shell has to quote the script: it travels ahead of the input.
    pub(crate) async fn start_script(connection: &Connection, script: &[u8]) -> Result<Self> {
        let (line, script) = launch(script)?;
        let command = Self::start(connection, line.as_bytes()).await?;
        // When this fails the command has ended, which whoever reads its output finds with the reason.
        let _ = command.input().write(script).await;
        Ok(command)
    }

    pub(crate) fn input(&self) -> CommandInput {
        CommandInput(self.sender.clone())
    }

    /// What the command writes to its standard output next; `None` when it has ended and all was read. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>> {
        while let Some(channel) = &self.channel {
            let incoming = match self.exit {
                None => channel.next().await,
                Some(_) => timeout(CLOSE_PATIENCE, channel.next()).await.ok().flatten(),
            };
            match incoming {
                Some(Incoming::Data {
                    stream: OutputStream::Stdout,
                    bytes,
                    ..
                }) => return Ok(Some(bytes)),
                Some(Incoming::Data { bytes, .. }) => {
                    let room = STDERR_KEPT.saturating_sub(self.stderr.len());
                    self.stderr.extend(bytes.iter().take(room));
                }
                Some(Incoming::Reply(true) | Incoming::Eof) => {}
                Some(Incoming::Reply(false)) => {
                    self.channel = None;
                    return Err(refused());
                }
                Some(Incoming::ExitStatus(status)) => self.exit = Some(Exit::Status(status)),
                Some(Incoming::ExitSignal { name, .. }) => self.exit = Some(Exit::Signal(name)),
                Some(Incoming::Overflow(reason)) => {
                    return Err(Error::new(ErrorKind::OutputOverflow, reason).in_phase(Phase::Transfer));
                }
                None => {
                    let lost = channel.sender().was_lost();
                    self.channel = None;
                    if lost {
                        let lost = self.connection.link().settled_loss().await;
                        return Err(lost.in_phase(Phase::Transfer).with_sent(SendState::MayHaveRun));
                    }
                }
            }
        }
        Ok(None)
    }

    /// How it ended, and what it wrote to its standard error; once [`RemoteCommand::next`] has given `None`.
    pub(crate) fn ended(&self) -> (&Exit, &[u8]) {
        (self.exit.as_ref().unwrap_or(&Exit::Unknown), &self.stderr)
    }

    /// Reads on until the command has ended, without keeping its output, and says how it did.
    pub(crate) async fn finish(mut self) -> Result<(Exit, Vec<u8>)> {
        while self.next().await?.is_some() {}
        Ok((
            self.exit.clone().unwrap_or(Exit::Unknown),
            std::mem::take(&mut self.stderr),
        ))
    }
}

impl Drop for RemoteCommand {
    fn drop(&mut self) {
        let Some(channel) = self.channel.take() else {
            return;
        };
        if self.exit.is_some() {
            return;
        }
        let (connection, order) = (self.connection.clone(), self.order);
        let being_ended = connection.sessions().ending_dropped();
        self.runtime.spawn(async move {
            let _ = connection
                .sessions()
                .end_remote(order, channel.sender(), None)
                .await;
            drop(channel);
            drop(being_ended);
        });
    }
}

impl fmt::Debug for RemoteCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteCommand")
            .field("connection", &self.connection)
            .field("exit", &self.exit)
            .finish_non_exhaustive()
    }
}

/// Whether the server is one that loses sessions which are opened in the moment in which the program of another one ends,
/// and dies of an assertion when the programs of several end together: Dropbear, 2022.83 at least.
pub(super) fn closes_too_much(connection: &Connection) -> bool {
    connection.server_identification().contains("dropbear")
}

/// Runs a command line, exactly as given, with this input and then its end.
pub(crate) async fn run(connection: &Connection, line: &[u8], input: Bytes) -> Result<Output> {
    let command = RemoteCommand::start(connection, line).await?;
    collect(command, input).await
}

/// Has a POSIX shell obey a script, which has no input.
pub(crate) async fn run_script(connection: &Connection, script: &[u8]) -> Result<Output> {
    let (line, script) = launch(script)?;
    run(connection, line.as_bytes(), script).await
}

async fn collect(mut command: RemoteCommand, input: Bytes) -> Result<Output> {
    let writer = command.input();
    let feeding = async {
        // A command may end without having read everything; how it ended says whether that matters.
        if input.is_empty() || writer.write(input).await.is_ok() {
            let _ = writer.close().await;
        }
        std::future::pending().await
    };
    let reading = async {
        let mut stdout = BytesMut::new();
        while let Some(bytes) = command.next().await? {
            if stdout.len() + bytes.len() > OUTPUT_LIMIT {
                return Err(Error::new(
                    ErrorKind::OutputOverflow,
                    "the server's answer is larger than any it can have been asked for",
                )
                .in_phase(Phase::Transfer)
                .with_sent(SendState::Ran));
            }
            stdout.extend_from_slice(&bytes);
        }
        let (exit, stderr) = command.finish().await?;
        Ok(Output {
            exit,
            stdout: stdout.freeze(),
            stderr,
        })
    };
    tokio::select! {
        output = reading => output,
        () = feeding => std::future::pending().await,
    }
}

/// The command line that has a POSIX shell read a script from its input, and what to send first.
///
/// The line reads the same to csh, fish and every POSIX shell: between single quotes there is no `!`, no backslash and no
/// line break. The script is read byte by byte, because what follows it belongs to the programs that it runs. A script
/// that was cut short by the end of the connection must not be obeyed, so it ends with a word that nobody can foresee.
fn launch(script: &[u8]) -> Result<(String, Bytes)> {
    const PRELUDE: &[u8] = b"LC_ALL=C; export LC_ALL; unset CDPATH TAR_OPTIONS\n";
    let end = format!("end-{}", token()?);
    let mut input = BytesMut::from(PRELUDE);
    input.extend_from_slice(script);
    input.extend_from_slice(b"\n#");
    input.extend_from_slice(end.as_bytes());
    let line = format!(
        "exec sh -c 's=$(dd bs=1 count={} 2>/dev/null); case $s in *{end}) eval \"$s\";; *) exit 125;; esac'",
        input.len()
    );
    Ok((line, input.freeze()))
}

/// A word that nobody can foresee.
pub(super) fn token() -> Result<String> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| {
        Error::new(ErrorKind::Local, "this machine gives no random bytes").with_source_text(&error)
    })?;
    Ok(data_encoding::HEXLOWER.encode(&bytes))
}

fn gone() -> Error {
    Error::new(
        ErrorKind::Channel,
        "the remote command has ended and reads nothing any more",
    )
    .in_phase(Phase::Transfer)
    .with_sent(SendState::MayHaveRun)
}

fn refused() -> Error {
    Error::new(ErrorKind::Channel, "the server refuses to run commands")
        .in_phase(Phase::Transfer)
        .with_hint("the account or key may be restricted (ForceCommand, a forwarding-only key)")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    /// What a login shell makes of a launched script with input behind it.
    fn launched(login: &[&str], script: &[u8], input: &[u8], cut: usize) -> Option<std::process::Output> {
        let (line, mut stream) = launch(script).unwrap();
        stream.truncate(stream.len() - cut);
        let (shell, arguments) = login.split_first()?;
        let mut child = Command::new(shell)
            .args(arguments)
            .args(["-c", &line])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .ok()?;
        let mut stdin = child.stdin.take()?;
        stdin.write_all(&stream).unwrap();
        stdin.write_all(input).unwrap();
        drop(stdin);
        Some(child.wait_with_output().unwrap())
    }

    const SCRIPT: &[u8] = b"printf '%s|' 'it'\\''s' 'a\nb!c' \"\xe9\"; cat";

    #[test]
    fn every_login_shell_hands_script_and_input_on_unchanged() {
        let mut tried = 0;
        for login in [
            &["sh"][..],
            &["bash"],
            &["dash"],
            &["busybox", "sh"],
            &["mksh"],
            &["zsh"],
            &["tcsh"],
            &["fish"],
        ] {
            let Some(output) = launched(login, SCRIPT, b"in\nput\0", 0) else {
                continue;
            };
            tried += 1;
            assert_eq!(output.stdout, b"it's|a\nb!c|\xe9|in\nput\0", "{login:?}");
            assert!(output.status.success(), "{login:?}");
        }
        assert!(tried > 0);
    }

    #[test]
    fn a_script_that_was_cut_short_is_not_obeyed() {
        for cut in [1, 5, 30, 60] {
            let output = launched(&["sh"], SCRIPT, b"", cut).unwrap();
            assert_eq!(
                (output.status.code(), output.stdout),
                (Some(125), Vec::new()),
                "{cut}"
            );
        }
    }

    #[test]
    fn a_complaint_is_one_escaped_line() {
        for (exit, stderr, text) in [
            (
                Exit::Status(1),
                &b"mv: no\n\x1b[2J\n"[..],
                "exit status 1: mv: no\\n\\x1b[2J",
            ),
            (Exit::Signal("KILL".into()), b"", "signal KILL"),
            (Exit::Unknown, b" \n", "no exit status"),
        ] {
            assert_eq!(complaint(&exit, stderr), text);
        }
    }
}
