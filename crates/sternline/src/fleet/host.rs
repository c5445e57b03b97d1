//! One host of a fleet: connect, run, report.

use std::pin::pin;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::lines::Lines;
use super::outcome::{FleetEvent, Outcome};
use super::shells::Shells;
use super::way::Way;
use crate::connection::Connection;
use crate::error::{Error, ErrorKind, Result, SendState};
use crate::exec::{ExecRequest, ExecResult, Exit, OutputStream, StreamData, StreamExec};

pub(super) struct Host {
    pub(super) index: usize,
    pub(super) name: String,
    pub(super) events: mpsc::Sender<FleetEvent>,
    pub(super) way: Way,
    /// Whether any exit status is a success.
    pub(super) any_status: bool,
    /// Through which commands go on kept connections, where that was asked for.
    pub(super) shells: Option<Shells>,
}

impl Host {
    /// Connects, runs the command, and sends the one [`FleetEvent::Done`]. Says whether it went well.
    pub(super) async fn run(mut self, mut request: ExecRequest) -> bool {
        let started = Instant::now();
        self.tell(FleetEvent::Started { index: self.index }).await;
        let result = self.connect_and_exec(&mut request).await;
        let mut outcome = Outcome::new(&self.name, result);
        outcome.duration = started.elapsed();
        outcome.attempts = self.way.attempts;
        let ok = outcome.ok() || (self.any_status && outcome.result.is_ok());
        let index = self.index;
        self.tell(FleetEvent::Done { index, outcome }).await;
        ok
    }

    async fn connect_and_exec(&mut self, request: &mut ExecRequest) -> Result<ExecResult> {
        loop {
            let connection = self.way.connect().await?;
            let result = self.exec(&connection, request).await;
            self.way.leave(&connection).await;
            match result {
                Ok(result) => return Ok(result),
                Err(error) => self.way.again(error).await?,
            }
        }
    }

    async fn exec(&mut self, connection: &Connection, request: &mut ExecRequest) -> Result<ExecResult> {
        let started = Instant::now();
        if let Some(left) = self.way.time_left() {
            request.within(left);
        }
        if let Some(result) = self.exec_in_shell(connection, request, started).await? {
            return Ok(result);
        }
        let mut ending = self.way.ending.clone();
        let mut stream = tokio::select! {
            biased;
            // The request may have left already; what it has started is ended in the background.
            error = ending.asked("while the command was being started") => {
                return Err(connection.locate(error.with_sent(SendState::MayHaveRun)));
            }
            stream = connection.stream_request(request) => stream?,
        };
        let canceller = stream.canceller();
        let mut why = None;
        let exit = {
            let mut passing = pin!(self.pass_on(&mut stream));
            loop {
                tokio::select! {
                    exit = &mut passing => break exit,
                    error = ending.asked("while the command was running"), if why.is_none() => {
                        why = Some(error);
                        canceller.cancel();
                    }
                }
            }
        };
        match exit {
            Some(Exit::Status(status)) => Ok(ExecResult {
                stdout: Default::default(),
                stderr: Default::default(),
                status,
                duration: started.elapsed(),
                env_refused: stream.env_refused().to_vec(),
                attempts: self.way.attempts,
                secrets: connection.redactor().into(),
            }),
            Some(Exit::Failed(error)) => Err(error),
            Some(Exit::Cancelled(remote)) => {
                let why = why.map_or_else(|| "it was cancelled".to_owned(), |error| error.to_string());
                let error = Error::new(ErrorKind::Cancelled, format!("{why}; {remote}"));
                Err(connection.locate(error.with_sent(SendState::MayHaveRun)))
            }
            None => Err(connection.locate(Error::new(
                ErrorKind::NoExitStatus,
                "the command's stream ended without an exit",
            ))),
        }
    }

    /// Passes output on until the exit. Whoever takes it may pause, and the time limits hold all the same.
    async fn pass_on(&self, stream: &mut StreamExec) -> Option<Exit> {
        let (mut stdout, mut stderr) = (Lines::default(), Lines::default());
        let exit = loop {
            let (from, lines) = match stream.next().await.map(|event| event.data) {
                Some(StreamData::Stdout(bytes)) => (OutputStream::Stdout, stdout.push(bytes)),
                Some(StreamData::Stderr(bytes)) => (OutputStream::Stderr, stderr.push(bytes)),
                Some(StreamData::Exit(exit)) => break Some(exit),
                None => break None,
            };
            stream.meanwhile(self.output(from, lines)).await;
        };
        self.output(OutputStream::Stdout, stdout.finish()).await;
        self.output(OutputStream::Stderr, stderr.finish()).await;
        exit
    }

    pub(super) async fn output(&self, stream: OutputStream, bytes: Option<bytes::Bytes>) {
        let Some(bytes) = bytes else { return };
        let index = self.index;
        self.tell(FleetEvent::Lines { index, stream, bytes }).await;
    }

    /// Where nobody listens any more, nobody wants to know.
    async fn tell(&self, event: FleetEvent) {
        let _ = self.events.send(event).await;
    }
}
