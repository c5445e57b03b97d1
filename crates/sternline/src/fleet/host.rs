//! One host of a fleet: connect, run, report.

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::lines::Lines;
use super::run::{FleetEvent, Outcome};
use crate::connection::{Connection, ConnectionBuilder};
use crate::error::{Error, ErrorKind, Result, SendState};
use crate::exec::{ExecRequest, ExecResult, Exit, OutputStream, StreamData};

pub(super) struct Host {
    pub(super) index: usize,
    pub(super) name: String,
    pub(super) events: mpsc::Sender<FleetEvent>,
    pub(super) cancelled: watch::Receiver<bool>,
}

impl Host {
    /// Connects, runs the command, and sends the one [`FleetEvent::Done`].
    pub(super) async fn run(mut self, builder: ConnectionBuilder, request: ExecRequest) {
        let started = Instant::now();
        let result = self.connect_and_exec(builder, request).await;
        let outcome = Outcome {
            host: std::mem::take(&mut self.name),
            result,
            duration: started.elapsed(),
        };
        let index = self.index;
        // Nobody listens any more: then nobody wants to know.
        let _ = self.events.send(FleetEvent::Done { index, outcome }).await;
    }

    async fn connect_and_exec(
        &mut self,
        builder: ConnectionBuilder,
        request: ExecRequest,
    ) -> Result<ExecResult> {
        let mut cancelled = self.cancelled.clone();
        let connection = tokio::select! {
            biased;
            () = asked(&mut cancelled) => return Err(not_begun()),
            connection = builder.connect() => connection?,
        };
        let result = self.exec(&connection, request).await;
        connection.close().await;
        result
    }

    async fn exec(&mut self, connection: &Connection, request: ExecRequest) -> Result<ExecResult> {
        let started = Instant::now();
        let mut cancelled = self.cancelled.clone();
        let mut stream = tokio::select! {
            biased;
            () = asked(&mut cancelled) => return Err(connection.locate(not_begun())),
            stream = connection.stream_exec(request) => stream?,
        };
        let (mut stdout, mut stderr) = (Lines::default(), Lines::default());
        let mut cancelling = false;
        loop {
            let event = tokio::select! {
                () = asked(&mut cancelled), if !cancelling => {
                    cancelling = true;
                    stream.cancel();
                    continue;
                }
                event = stream.next() => event,
            };
            let exit = match event.map(|event| event.data) {
                Some(StreamData::Stdout(bytes)) => {
                    self.output(OutputStream::Stdout, stdout.push(bytes)).await;
                    continue;
                }
                Some(StreamData::Stderr(bytes)) => {
                    self.output(OutputStream::Stderr, stderr.push(bytes)).await;
                    continue;
                }
                Some(StreamData::Exit(exit)) => Some(exit),
                None => None,
            };
            self.output(OutputStream::Stdout, stdout.finish()).await;
            self.output(OutputStream::Stderr, stderr.finish()).await;
            return match exit {
                Some(Exit::Status(status)) => Ok(ExecResult {
                    stdout: Default::default(),
                    stderr: Default::default(),
                    status,
                    duration: started.elapsed(),
                    env_refused: stream.env_refused().to_vec(),
                    attempts: 1,
                    secrets: connection.redactor().into(),
                }),
                Some(Exit::Failed(error)) => Err(error),
                Some(Exit::Cancelled(remote)) => Err(connection.locate(
                    Error::new(
                        ErrorKind::Cancelled,
                        format!("the command was cancelled; {remote}"),
                    )
                    .with_sent(SendState::MayHaveRun),
                )),
                None => Err(connection.locate(Error::new(
                    ErrorKind::NoExitStatus,
                    "the command's stream ended without an exit",
                ))),
            };
        }
    }

    async fn output(&self, stream: OutputStream, bytes: Option<bytes::Bytes>) {
        let Some(bytes) = bytes else { return };
        let index = self.index;
        let _ = self.events.send(FleetEvent::Lines { index, stream, bytes }).await;
    }
}

/// Waits until the run is to be cancelled.
async fn asked(cancelled: &mut watch::Receiver<bool>) {
    if cancelled.wait_for(|asked| *asked).await.is_err() {
        // The run was dropped, and this task is about to be.
        std::future::pending().await
    }
}

fn not_begun() -> Error {
    Error::new(
        ErrorKind::Cancelled,
        "the run was cancelled before the command had started",
    )
}
