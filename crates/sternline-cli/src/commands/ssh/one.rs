//! One host: a command whose output streams live, or a shell.

use std::fs::File;
use std::io::IsTerminal;
use std::process::ExitCode;

use sternline::connection::{Pty, RemoteEnd};
use sternline::exec::{Exit, ExitStatus, Stdin, StdinWriter};
use sternline::proto::text::escape;
use sternline::{Connection, StreamExec};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::interactive;
use super::output::{Ended, relay};
use super::run::Job;
use crate::connect::{HostSettings, tell};
use crate::exit;
use crate::ui::{Failure, Signals, Ui};

pub(super) struct One<'a> {
    pub(super) settings: &'a HostSettings,
    /// `None` for a shell.
    pub(super) job: Option<Job>,
    pub(super) pty: Option<Pty>,
    pub(super) input: Input,
}

/// Where the input comes from.
pub(super) enum Input {
    Empty,
    Local,
    File(File),
}

impl One<'_> {
    pub(super) async fn run(self, mut signals: Signals, ui: &Ui) -> Result<ExitCode, Failure> {
        let connection = tokio::select! {
            signal = signals.next() => return Err(Failure::interrupted(signal)),
            connection = self.settings.builder().connect() => connection?,
        };
        tell(&connection, ui);
        let typed =
            self.pty.is_some() && matches!(self.input, Input::Local) && std::io::stdin().is_terminal();
        let ended = if typed {
            let stream = self.start(&connection, &mut signals, Stdin::Piped).await?;
            interactive::relay(stream, &mut signals).await
        } else {
            self.relay(&connection, &mut signals).await
        };
        let outcome = finish(ended?, typed, ui);
        connection.close().await;
        if typed && outcome.is_ok() {
            ui.line(&format!("Connection to {} closed.", escape(connection.host())));
        }
        outcome
    }

    async fn start(
        &self,
        connection: &Connection,
        signals: &mut Signals,
        stdin: Stdin,
    ) -> Result<StreamExec, Failure> {
        let starting = async {
            match &self.job {
                Some(job) => connection.stream_exec(job.request(stdin)).await,
                None => connection.shell(self.pty.clone()).await,
            }
        };
        tokio::select! {
            signal = signals.next() => Err(Failure::interrupted(signal)),
            started = starting => Ok(started?),
        }
    }

    async fn relay(mut self, connection: &Connection, signals: &mut Signals) -> Result<Ended, Failure> {
        let stdin = match std::mem::replace(&mut self.input, Input::Empty) {
            Input::Empty => Stdin::Empty,
            Input::Local => Stdin::reader(tokio::io::stdin()),
            Input::File(file) => Stdin::file(file),
        };
        if self.job.is_some() {
            return relay(self.start(connection, signals, stdin).await?, signals).await;
        }
        // A shell is always written to through its writer.
        let mut stream = self.start(connection, signals, Stdin::Piped).await?;
        let feeder = stream
            .take_stdin()
            .map(|writer| tokio::spawn(feed(stdin, writer)));
        let ended = relay(stream, signals).await;
        if let Some(feeder) = feeder {
            feeder.abort();
        }
        ended
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
        Ended::Disconnected => Ok(ExitCode::from(exit::CONNECTION)),
    }
}

pub(super) fn survived(remote: &RemoteEnd, ui: &Ui) {
    if let RemoteEnd::MaySurvive(reason) = remote {
        ui.warning(&format!("the remote process may still run: {}", escape(reason)));
    }
}
