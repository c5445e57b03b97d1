//! One host's command in the shell on its kept connection.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::host::Host;
use super::lines::Lines;
use super::way::To;
use crate::connection::Connection;
use crate::error::{Error, ErrorKind, Result, seconds};
use crate::exec::{ExecRequest, ExecResult, OutputStream};
use crate::shell_session::{Attended, ShellSession};

/// Pieces of output that wait to be passed on. The rest waits where the connection keeps it.
const WAITING: usize = 4;

impl Host {
    /// Runs the command in the host's shell; `None`, with nothing done, where it is to have a channel.
    pub(super) async fn exec_in_shell(
        &mut self,
        connection: &Connection,
        request: &mut ExecRequest,
        started: Instant,
    ) -> Result<Option<ExecResult>> {
        let kept = !matches!(self.way.to, To::Make(_)) && ShellSession::takes(request);
        let Some(shells) = self.shells.as_ref().filter(|_| kept) else {
            return Ok(None);
        };
        let mut ending = self.way.ending.clone();
        let starting = async {
            // A line that was sent may have run. So a loss that nobody has noticed is found out before, and costs no attempt.
            if self.way.reused {
                connection.ping().await?;
            }
            shells.on(self.index, connection).await
        };
        let shell = tokio::select! {
            biased;
            // Nothing of the command was sent.
            error = ending.asked("while the command was being started") => return Err(connection.locate(error)),
            shell = within(request.timeout, started, starting) => {
                shell.map_err(|error| connection.locate(error))?
            }
        };
        let Some(shell) = shell else { return Ok(None) };
        let (output, pieces) = mpsc::channel(WAITING);
        let ending = async move { ending.asked("while the command was running").await.to_string() };
        let running = shell.run_attended(request, started, Attended::new(output, ending));
        let (outcome, (mut stdout, mut stderr)) = tokio::join!(running, self.pass_pieces_on(pieces));
        let Some(mut outcome) = outcome else {
            return Ok(None);
        };
        let rest = match &mut outcome {
            Ok(result) => (
                std::mem::take(&mut result.stdout),
                std::mem::take(&mut result.stderr),
            ),
            Err(error) => match error.take_partial_output() {
                Some(partial) => (partial.stdout, partial.stderr),
                None => Default::default(),
            },
        };
        self.output(OutputStream::Stdout, stdout.push(rest.0)).await;
        self.output(OutputStream::Stderr, stderr.push(rest.1)).await;
        self.output(OutputStream::Stdout, stdout.finish()).await;
        self.output(OutputStream::Stderr, stderr.finish()).await;
        let attempts = self.way.attempts;
        outcome.map(|result| Some(ExecResult { attempts, ..result }))
    }

    /// Passes output on as whole lines, and gives what is left of them.
    async fn pass_pieces_on(&self, mut pieces: mpsc::Receiver<(OutputStream, Bytes)>) -> (Lines, Lines) {
        let (mut stdout, mut stderr) = (Lines::default(), Lines::default());
        while let Some((stream, bytes)) = pieces.recv().await {
            let lines = match stream {
                OutputStream::Stdout => stdout.push(bytes),
                OutputStream::Stderr => stderr.push(bytes),
            };
            self.output(stream, lines).await;
        }
        (stdout, stderr)
    }
}

/// Starts the shell, as long as the command has time.
async fn within<T>(
    limit: Option<Duration>,
    started: Instant,
    starting: impl Future<Output = Result<T>>,
) -> Result<T> {
    let Some((at, limit)) = limit.and_then(|limit| Some((started.checked_add(limit)?, limit))) else {
        return starting.await;
    };
    timeout_at(at, starting).await.unwrap_or_else(|_| {
        let message = format!(
            "the command did not start within {}: its shell did not",
            seconds(limit)
        );
        Err(Error::new(ErrorKind::CommandTimeout, message).with_hint("raise the time limit"))
    })
}
