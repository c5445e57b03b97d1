//! One host: a command whose output streams live, or a shell.

use std::fs::File;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use sternline::Connection;
use sternline::connection::{Pty, RemoteEnd};
use sternline::exec::{Exit, ExitStatus, Stdin, StdinWriter};
use sternline::proto::text::escape;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::interactive;
use super::output::{Ended, relay};
use super::run::Job;
use crate::connect::{HostSettings, tell};
use crate::exit;
use crate::history::Recording;
use crate::ui::{Failure, Signals, Ui};

pub(super) struct One<'a> {
    pub(super) settings: &'a HostSettings,
    /// `None` for a shell.
    pub(super) job: Option<Job>,
    pub(super) pty: Option<Pty>,
    pub(super) input: Input,
    pub(super) recording: &'a mut Recording,
}

/// Where the input comes from.
pub(super) enum Input {
    Empty,
    Local,
    File(File),
}

impl One<'_> {
    pub(super) async fn run(mut self, mut signals: Signals, ui: &Ui) -> Result<ExitCode, Failure> {
        let begun = Instant::now();
        let connection = tokio::select! {
            signal = signals.next() => return Err(Failure::interrupted(signal)),
            connection = self.settings.builder().connect() => connection,
        };
        let connection = connection.inspect_err(|error| self.recording.ended(Err(error), begun.elapsed()))?;
        tell(&connection, ui);
        let typed =
            self.pty.is_some() && matches!(self.input, Input::Local) && std::io::stdin().is_terminal();
        let ended = self.run_on(&connection, typed, begun, &mut signals).await?;
        record(&ended, self.recording, begun.elapsed());
        let outcome = finish(ended, typed, ui);
        connection.close().await;
        if typed && outcome.is_ok() {
            ui.line(&format!("Connection to {} closed.", escape(connection.host())));
        }
        outcome
    }

    /// Runs it to its end, or until somebody stops it.
    async fn run_on(
        &mut self,
        connection: &Connection,
        typed: bool,
        begun: Instant,
        signals: &mut Signals,
    ) -> Result<Ended, Failure> {
        // A shell is always written to through its writer.
        let is_shell = self.job.is_none();
        let input = match std::mem::replace(&mut self.input, Input::Empty) {
            _ if typed => Stdin::Piped,
            Input::Empty => Stdin::Empty,
            Input::Local => Stdin::reader(tokio::io::stdin()),
            Input::File(file) => Stdin::file(file),
        };
        let (stdin, fed) = match is_shell && !typed {
            true => (Stdin::Piped, Some(input)),
            false => (input, None),
        };
        let starting = async {
            match &self.job {
                Some(job) => connection.stream_exec(job.request(stdin)).await,
                None => connection.shell(self.pty.clone()).await,
            }
        };
        let started = tokio::select! {
            signal = signals.next() => return Err(Failure::interrupted(signal)),
            started = starting => started,
        };
        let mut stream = started.inspect_err(|error| self.recording.ended(Err(error), begun.elapsed()))?;
        if typed {
            return interactive::relay(stream, self.recording, signals).await;
        }
        let feeder = fed
            .zip(stream.take_stdin())
            .map(|(input, writer)| tokio::spawn(feed(input, writer)));
        let ended = relay(stream, self.recording, signals).await;
        if let Some(feeder) = feeder {
            feeder.abort();
        }
        ended
    }
}

/// Has the history know how the command ended, as far as that is known.
fn record(ended: &Ended, recording: &mut Recording, duration: Duration) {
    let exit = match ended {
        Ended::Exit(exit) => Some(exit),
        Ended::Interrupted { exit, .. } | Ended::Unwritten { exit, .. } => exit.as_ref(),
        Ended::Disconnected => None,
    };
    match exit {
        Some(Exit::Status(status)) => recording.ended(Ok(status), duration),
        Some(Exit::Failed(error)) => recording.ended(Err(error), duration),
        Some(Exit::Cancelled(remote)) => recording.cancelled(remote, duration),
        None => {}
    }
}

/// Gives a shell its input. A shell that has ended wants no more.
async fn feed(stdin: Stdin, writer: StdinWriter) {
    let mut source: std::pin::Pin<Box<dyn AsyncRead + Send>> = match stdin {
        Stdin::Reader(reader) => reader,
        Stdin::Bytes(_) | Stdin::Empty | Stdin::Piped => Box::pin(tokio::io::empty()),
    };
    loop {
        let mut chunk = bytes::BytesMut::with_capacity(32 * 1024);
        match source.read_buf(&mut chunk).await {
            Ok(read) if read > 0 => {
                if writer.write(chunk.freeze()).await.is_err() {
                    return;
                }
            }
            _ => break,
        }
    }
    let _ = writer.close().await;
}

/// The exit status, and what has to be said.
fn finish(ended: Ended, typed: bool, ui: &Ui) -> Result<ExitCode, Failure> {
    match ended {
        Ended::Exit(Exit::Status(status)) => {
            // Whoever sits at the terminal has seen it, or typed Ctrl-C.
            if let (ExitStatus::Signal { name, .. }, false) = (&status, typed) {
                ui.warning(&format!("the command was ended by the signal {}", escape(name)));
            }
            Ok(exit::from_remote(status.shell_code()))
        }
        Ended::Exit(Exit::Failed(error)) => Err(error.into()),
        Ended::Exit(Exit::Cancelled(remote)) => {
            survived(&remote, ui);
            Err(Failure::connection("the command was cancelled"))
        }
        Ended::Interrupted { signal, exit } => {
            if let Some(Exit::Cancelled(remote)) = &exit {
                survived(remote, ui);
            }
            Err(Failure::interrupted(signal))
        }
        Ended::Unwritten { why, .. } => Err(why.into()),
        Ended::Disconnected => Ok(ExitCode::from(exit::CONNECTION)),
    }
}

pub(super) fn survived(remote: &RemoteEnd, ui: &Ui) {
    if let RemoteEnd::MaySurvive(reason) = remote {
        ui.warning(&format!("the remote process may still run: {}", escape(reason)));
    }
}
