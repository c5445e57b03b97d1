//! One command in the shell, from its line to its markers.

use std::future::pending;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use sternline_proto::framing::{FramedOutput, Marker, Place, changes_nothing, run_line};
use tokio::runtime::Handle;
use tokio::sync::OwnedMutexGuard;
use tokio::task::JoinHandle;
use tokio::time::{sleep_until, timeout_at};

use super::attended::Attended;
use super::end::{Ended, end};
use super::shell::{Shell, marker};
use super::state::{Limit, State};
use super::telling::Telling;
use crate::connection::{Connection, OtherUser, Quiet, RemoteEnd};
use crate::deadline::Phase;
use crate::error::{Error, ErrorKind, PartialOutput, Result, SendState};
use crate::event::EventType;
use crate::exec::{Cause, Command, ExecResult, Exit, ExitStatus};
use crate::transport::channel::{Incoming, OutputStream};

/// What is to be run.
pub(super) struct Asked<'a> {
    pub(super) command: &'a Command,
    /// What it reads.
    pub(super) input: Bytes,
    /// In the shell itself.
    pub(super) keep: bool,
    pub(super) limit: Limit,
    /// Who attends to it while it runs.
    pub(super) attended: Option<Attended>,
}

/// A command that has the shell for itself.
pub(super) struct Work {
    /// The turn.
    pub(super) state: OwnedMutexGuard<State>,
    pub(super) shell: Shell,
    pub(super) output: FramedOutput,
    /// How the shell has ended, if it has.
    exit: Option<ExitStatus>,
}

/// What happens next to a command.
pub(super) enum Next {
    /// Both markers are there.
    Ended(u32),
    /// The shell's channel has ended.
    Gone,
    /// It has to be ended.
    End(Cause),
}

/// Runs a command in the session's shell.
pub(super) async fn run(
    connection: &Connection,
    state: OwnedMutexGuard<State>,
    mut asked: Asked<'_>,
) -> Result<ExecResult> {
    let command = asked.command;
    for secret in command.secrets() {
        connection.redactor().mark(secret);
    }
    let mut telling = Telling::begin(connection, command, asked.limit.since);
    let outcome = follow(connection, state, &mut asked, &mut telling).await;
    match &outcome {
        Ok(result) => telling.succeeded(result),
        Err(error) => telling.failed(error),
    }
    outcome
}

async fn follow(
    connection: &Connection,
    mut state: OwnedMutexGuard<State>,
    asked: &mut Asked<'_>,
    telling: &mut Telling,
) -> Result<ExecResult> {
    let marker = marker()?;
    let line = compose(asked, state.keeps, &marker, telling)?;
    let shell = {
        let starting = state.take_shell(connection, &asked.limit);
        match &mut asked.attended {
            None => starting.await?,
            Some(attended) => tokio::select! {
                biased;
                why = attended.asked_to_end() => return Err(Error::new(ErrorKind::Cancelled, why)),
                shell = starting => shell?,
            },
        }
    };
    state.keeps |= asked.keep;
    let mut running = Running {
        connection: connection.clone(),
        other: OtherUser::of(asked.command, None),
        runtime: connection.sessions().session().runtime().clone(),
        work: Some(Work {
            state,
            shell,
            output: FramedOutput::new(&marker),
            exit: None,
        }),
    };
    let next = running.send_and_wait(line, asked, telling).await;
    match next {
        Next::Ended(status) => {
            let output = running.release();
            Ok(result(connection, asked, ExitStatus::Code(status), output))
        }
        Next::Gone => running.gone(asked).await,
        Next::End(cause) => running.ended(cause, asked).await,
    }
}

/// The line that runs the command, with its marker.
fn compose(asked: &Asked<'_>, keeps: bool, marker: &Marker, telling: &mut Telling) -> Result<Bytes> {
    let refused = |error: &dyn std::fmt::Display| {
        Error::new(
            ErrorKind::Invalid,
            format!("the command cannot be composed: {error}"),
        )
    };
    let line = asked.command.to_line().map_err(|error| refused(&error))?;
    // A fork is most of what a builtin costs. In a shell that has kept something, the name may be a function of the user's.
    let needs_none = !keeps && asked.input.is_empty() && changes_nothing(&line);
    let place = match asked.keep || needs_none {
        true => Place::Shell,
        false => Place::Subshell { input: &asked.input },
    };
    let framed = run_line(&line, place, marker).map_err(|error| refused(&error))?;
    telling.record(&line, &asked.input);
    Ok(framed.into())
}

/// A command on its way. Dropping it ends the command in the background.
struct Running {
    connection: Connection,
    /// As whom the command runs, where that is not who is logged in.
    other: Option<OtherUser>,
    /// `None` once that is somebody else's.
    work: Option<Work>,
    runtime: Handle,
}

impl Running {
    async fn send_and_wait(&mut self, line: Bytes, asked: &mut Asked<'_>, telling: &mut Telling) -> Next {
        let Some(work) = &mut self.work else {
            return Next::Gone;
        };
        work.forget_what_waits().await;
        let sending = work.shell.channel.sender().data(line);
        match asked.limit.at {
            // What could not be sent because the channel has ended is found out below.
            None => drop(sending.await),
            Some((at, limit)) => match timeout_at(at, sending).await {
                Ok(_) => {}
                Err(_) => return Next::End(Cause::TimedOut(limit)),
            },
        }
        let quiet = self.connection.progress_timeout().map(Quiet::of_command);
        let mut late = pin!(async {
            match asked.limit.at {
                Some((at, limit)) => {
                    sleep_until(at).await;
                    limit
                }
                None => pending().await,
            }
        });
        let mut stalled = pin!(stalled(quiet.as_ref(), &self.connection, asked.command));
        loop {
            let incoming = tokio::select! {
                biased;
                limit = &mut late => return Next::End(Cause::TimedOut(limit)),
                () = end_asked(&mut asked.attended) => return Next::End(Cause::Cancelled),
                incoming = work.shell.channel.next() => incoming,
                limit = &mut stalled => return Next::End(Cause::Stalled(limit)),
            };
            if let Some(quiet) = &quiet {
                quiet.progress();
            }
            if let Some(next) = work.take(incoming) {
                return next;
            }
            let Some(attended) = &mut asked.attended else {
                continue;
            };
            // Who listens may be slow. What arrives meanwhile stays in the channel.
            tokio::select! {
                biased;
                limit = &mut late => return Next::End(Cause::TimedOut(limit)),
                passed = attended.pass_on(&mut work.output, telling) => {
                    if !passed {
                        return Next::End(Cause::Cancelled);
                    }
                }
            }
        }
    }

    /// Gives the shell back, and the output of the command that has ended.
    fn release(&mut self) -> (Bytes, Bytes) {
        let Some(mut work) = self.work.take() else {
            return Default::default();
        };
        work.state.shell = Some(work.shell);
        work.output.into_output()
    }

    /// Has the command ended in the background; the first caller gets to know when that is done.
    fn end(&mut self, stalled: bool) -> Option<JoinHandle<Ended>> {
        let work = self.work.take()?;
        let (connection, other) = (self.connection.clone(), self.other.take());
        let being_ended = connection.sessions().ending_dropped();
        Some(self.runtime.spawn(async move {
            let ended = end(&connection, work, other, stalled).await;
            drop(being_ended);
            ended
        }))
    }

    /// Ends the command for a reason, and says what came of it.
    async fn ended(&mut self, cause: Cause, asked: &mut Asked<'_>) -> Result<ExecResult> {
        let stalled = matches!(cause, Cause::Stalled(_));
        let ended = match self.end(stalled) {
            Some(ending) => ending.await.map_err(|error| {
                Error::new(ErrorKind::Local, "ending the command failed").with_source_text(&error)
            })?,
            None => return Err(Error::new(ErrorKind::Cancelled, "the command was given up")),
        };
        let sent = sent(&ended.output);
        if let (Some(status), None) = (ended.output.status(), &ended.remote) {
            // It had ended before anybody looked.
            let output = ended.output.into_output();
            return Ok(result(&self.connection, asked, ExitStatus::Code(status), output));
        }
        let (stdout, stderr) = ended.output.into_output();
        let remote = ended.remote.unwrap_or(RemoteEnd::Ended);
        match cause.exit(remote, None, sent) {
            Exit::Failed(error) => Err(error.with_partial(PartialOutput { stdout, stderr })),
            Exit::Cancelled(remote) => {
                let why = asked.attended.as_ref().and_then(Attended::why);
                let message = format!("{}; {remote}", why.unwrap_or("the command was cancelled"));
                let error = Error::new(ErrorKind::Cancelled, message).with_sent(sent);
                Err(error.with_partial(PartialOutput { stdout, stderr }))
            }
            Exit::Status(status) => Ok(result(&self.connection, asked, status, (stdout, stderr))),
        }
    }

    /// The shell has ended, or the connection.
    async fn gone(&mut self, asked: &mut Asked<'_>) -> Result<ExecResult> {
        let Some(work) = self.work.take() else {
            return Err(Error::new(ErrorKind::Cancelled, "the command was given up"));
        };
        let sent = sent(&work.output);
        let was_lost = work.shell.channel.sender().was_lost();
        let (stdout, stderr) = work.output.into_output();
        let error = match (was_lost, work.exit) {
            (true, _) => {
                let link = self.connection.link();
                link.settled_loss().await.with_hint(match sent {
                    SendState::Ran => "the command had started and may have finished or still run: check before you run it again",
                    _ => "the command may or may not have started: check before you run it again",
                })
            }
            // The command was the shell, so that the one's end is the other's.
            (false, Some(status)) if asked.keep => {
                return Ok(result(&self.connection, asked, status, (stdout, stderr)));
            }
            (false, status) => {
                let how = status.map_or_else(
                    || "without an exit status".to_owned(),
                    |status| format!("with {status}"),
                );
                Error::new(
                    ErrorKind::NoExitStatus,
                    format!("the session's shell ended {how} while the command ran, which may still run"),
                )
                .with_hint("a command that ends the shell it runs in, or memory that is short: see what the server says, or use exec")
            }
        };
        Err(error
            .in_phase(Phase::Exec)
            .with_sent(sent)
            .with_partial(PartialOutput { stdout, stderr }))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.end(false));
    }
}

impl Work {
    /// Takes in what has arrived; `None` when more is to come.
    pub(super) fn take(&mut self, incoming: Option<Incoming>) -> Option<Next> {
        match incoming {
            None => return Some(Next::Gone),
            Some(Incoming::Data { stream, bytes, .. }) => {
                match stream {
                    OutputStream::Stdout => self.output.push_stdout(&bytes),
                    OutputStream::Stderr => self.output.push_stderr(&bytes),
                }
                return self.output.status().map(Next::Ended);
            }
            Some(Incoming::ExitStatus(code)) => self.exit = Some(ExitStatus::Code(code)),
            Some(Incoming::ExitSignal {
                name,
                core_dumped,
                message,
            }) => {
                self.exit = Some(ExitStatus::Signal {
                    name,
                    core_dumped,
                    message,
                });
            }
            Some(Incoming::Overflow(reason)) => return Some(Next::End(Cause::Overflow(reason))),
            Some(Incoming::Reply(_) | Incoming::Eof) => {}
        }
        None
    }

    /// What was written since the last command is nobody's: something that runs in the background did it.
    async fn forget_what_waits(&mut self) {
        /// Something that writes without end is not waited for.
        const PIECES: usize = 4096;
        for _ in 0..PIECES {
            if !self.shell.channel.has_unread() {
                break;
            }
            match self.shell.channel.next().await {
                Some(Incoming::Data { .. }) => {}
                incoming => drop(self.take(incoming)),
            }
        }
    }
}

fn result(
    connection: &Connection,
    asked: &Asked<'_>,
    status: ExitStatus,
    (stdout, stderr): (Bytes, Bytes),
) -> ExecResult {
    ExecResult {
        stdout,
        stderr,
        status,
        duration: asked.limit.since.elapsed(),
        env_refused: Vec::new(),
        attempts: 1,
        secrets: connection.redactor().into(),
    }
}

/// Waits until whoever attends to the command wants its end.
async fn end_asked(attended: &mut Option<Attended>) {
    match attended {
        Some(attended) => drop(attended.asked_to_end().await),
        None => pending().await,
    }
}

/// How far a command got whose end is not known: output is a sign of it.
fn sent(output: &FramedOutput) -> SendState {
    match output.has_begun() {
        true => SendState::Ran,
        false => SendState::MayHaveRun,
    }
}

/// Waits until the command has neither written nor read anything for too long, and gives how long that is. Warns on the way.
async fn stalled(quiet: Option<&Quiet>, connection: &Connection, command: &Command) -> Duration {
    let Some(quiet) = quiet else {
        return pending().await;
    };
    let warn = |mut data: Value| {
        if let Some(fields) = data.as_object_mut() {
            fields.insert("host".to_owned(), connection.host().into());
            fields.insert("port".to_owned(), connection.port().into());
            fields.insert("command".to_owned(), command.describe().into());
        }
        connection.emit(EventType::ProgressWarning, data);
    };
    quiet.expired(warn).await;
    quiet.limit()
}
