//! Starting commands on a connection.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::BytesMut;
use serde_json::{Map, json};
use tokio::time::Instant;
use tracing::Instrument;

use super::item::{Exit, StreamData};
use super::request::ExecRequest;
use super::result::ExecResult;
use super::stdin::{Input, Stdin, StdinWriter, feed};
use super::stream::{Expected, Label, Started, StreamExec, error_fields};
use super::sudo::Answer;
use crate::connection::{Connection, OtherUser, Pty, Quiet, Start};
use crate::deadline::Phase;
use crate::error::{Error, ErrorKind, PartialOutput, Result, SendState, seconds};
use crate::event::EventType;
use crate::evidence::Recording;
use crate::secret::SharedSecret;

impl Connection {
    /// Runs a command and waits for its end.
    ///
    /// Text is shell text; use `Command::program` for an argument vector. When more commands run than the server
    /// allows at once, the others wait. Dropping the future ends the remote process in the background.
    ///
    /// # Errors
    /// When the command could not be started, its connection was lost before all its output had arrived, or its time
    /// limit passed; what it had written is in `Error::partial_output`. An exit status other than 0 is no error here: see `ExecResult::success`.
    ///
    /// ```no_run
    /// # async fn example(connection: &sternline::Connection) -> sternline::Result<()> {
    /// use sternline::exec::{Command, ExecRequest};
    ///
    /// let uptime = connection.exec("uptime").await?.success()?;
    /// println!("{}", uptime.stdout_text());
    ///
    /// let upper = ExecRequest::new(Command::program("tr").args(["a-z", "A-Z"])).stdin("hello\n");
    /// assert_eq!(connection.exec(upper).await?.stdout_text(), "HELLO\n");
    /// # Ok(()) }
    /// ```
    pub async fn exec(&self, request: impl Into<ExecRequest>) -> Result<ExecResult> {
        self.collect(&mut request.into(), Instant::now()).await
    }

    /// Leaves the request as it was, but for an input that can be read only once and has begun to be.
    pub(crate) async fn collect(&self, request: &mut ExecRequest, started: Instant) -> Result<ExecResult> {
        let span = tracing::info_span!("exec", host = self.host(), port = self.port());
        self.run(request, started).instrument(span).await
    }

    async fn run(&self, request: &mut ExecRequest, started: Instant) -> Result<ExecResult> {
        let mut stream = self.start_exec(request, started, false).await?;
        let mut stdout = BytesMut::new();
        let mut stderr = BytesMut::new();
        while let Some(event) = stream.next().await {
            match event.data {
                StreamData::Stdout(bytes) => stdout.extend_from_slice(&bytes),
                StreamData::Stderr(bytes) => stderr.extend_from_slice(&bytes),
                StreamData::Exit(Exit::Status(status)) => {
                    return Ok(ExecResult {
                        stdout: stdout.freeze(),
                        stderr: stderr.freeze(),
                        status,
                        duration: started.elapsed(),
                        env_refused: stream.env_refused().to_vec(),
                        attempts: 1,
                        secrets: self.redactor().into(),
                    });
                }
                StreamData::Exit(Exit::Failed(error)) => {
                    let partial = PartialOutput {
                        stdout: stdout.freeze(),
                        stderr: stderr.freeze(),
                    };
                    return Err(error.with_partial(partial));
                }
                StreamData::Exit(Exit::Cancelled(remote)) => {
                    return Err(self.locate(
                        Error::new(
                            ErrorKind::Cancelled,
                            format!("the command was cancelled; {remote}"),
                        )
                        .with_sent(SendState::MayHaveRun),
                    ));
                }
            }
        }
        Err(self.locate(Error::new(
            ErrorKind::NoExitStatus,
            "the command's stream ended without an exit",
        )))
    }

    /// Starts a command and gives its output as it comes.
    ///
    /// # Errors
    /// When the command could not be started. Whatever happens later is the stream's exit event.
    pub async fn stream_exec(&self, request: impl Into<ExecRequest>) -> Result<StreamExec> {
        self.start_exec(&mut request.into(), Instant::now(), true).await
    }

    /// As [`Connection::stream_exec`]. Leaves the request as it was, but for an input that can be read only once and has begun
    /// to be.
    pub(crate) async fn stream_request(&self, request: &mut ExecRequest) -> Result<StreamExec> {
        self.start_exec(request, Instant::now(), true).await
    }

    /// Starts the user's login shell, in a terminal or, with `None`, without one: it then reads commands as from a
    /// file. Write to it through [`StreamExec::take_stdin`].
    ///
    /// # Errors
    /// When the server opens no session.
    pub async fn shell(&self, pty: impl Into<Option<Pty>>) -> Result<StreamExec> {
        let pty = pty.into();
        let label = Label {
            event: EventType::Shell,
            command: String::new(),
            streaming: true,
            term: pty.as_ref().map(|pty| pty.term.clone()),
            env_count: 0,
        };
        let starting = match &pty {
            Some(pty) => {
                json!({ "status": "starting", "term": pty.term, "width": pty.columns, "height": pty.rows })
            }
            None => json!({ "status": "starting" }),
        };
        self.emit(EventType::Shell, starting);
        let mut request = ExecRequest::new(sternline_proto::command::Command::shell("")).stdin(Stdin::Piped);
        request.pty = pty;
        let mut recording = self.recorder().and_then(|recorder| recorder.command(b""));
        self.start(
            &mut request,
            Start::Shell,
            label,
            Instant::now(),
            &mut recording,
            None,
        )
        .await
        .map_err(|error| self.locate(error))
    }

    pub(super) async fn start_exec(
        &self,
        request: &mut ExecRequest,
        started: Instant,
        streaming: bool,
    ) -> Result<StreamExec> {
        for secret in request.command.secrets() {
            self.redactor().mark(secret);
        }
        let label = Label {
            event: EventType::Exec,
            command: request
                .shown
                .clone()
                .unwrap_or_else(|| request.command.describe()),
            streaming,
            term: request.pty.as_ref().map(|pty| pty.term.clone()),
            env_count: request.env.len(),
        };
        let command = label.command.clone();
        let mut recording = None;
        let outcome = async {
            let answer = Answer::of(request)?;
            let line = match &answer {
                Some(answer) => {
                    self.redactor().mark(answer.password().secret().expose());
                    request.command.to_line_with(answer.markers())
                }
                None => request.command.to_line(),
            };
            let line = line.map_err(|error| {
                Error::new(
                    ErrorKind::Invalid,
                    format!("the command cannot be composed: {error}"),
                )
            })?;
            request.check(&line)?;
            recording = self.recorder().and_then(|recorder| match &answer {
                // What is put round it is random, and another one would not be answered by what was recorded.
                Some(_) => recorder.command(command.as_bytes()),
                None => recorder.command(&line),
            });
            let start = Start::Exec(&line);
            self.start(request, start, label, started, &mut recording, answer)
                .await
        }
        .await;
        outcome.map_err(|error| {
            let error = self.locate(error);
            if let Some(recording) = recording {
                recording.failed(&error);
            }
            let mut data = Map::new();
            data.insert("command".to_owned(), command.into());
            data.extend(error_fields(&error));
            let duration_ms = started.elapsed().as_secs_f64() * 1000.0;
            data.insert("duration_ms".to_owned(), duration_ms.into());
            self.emit(EventType::Exec, data.into());
            error
        })
    }

    async fn start(
        &self,
        request: &mut ExecRequest,
        what: Start<'_>,
        label: Label,
        started: Instant,
        recording: &mut Option<Recording>,
        answer: Option<Answer>,
    ) -> Result<StreamExec> {
        let sessions = self.sessions();
        // A limit beyond what the clock can express is none.
        let limit = request
            .timeout
            .and_then(|limit| Some((started.checked_add(limit)?, limit)));
        let opening = sessions.open_for_command();
        let channel = match limit {
            None => opening.await?,
            Some((at, limit)) => tokio::time::timeout_at(at, opening).await.map_err(|_| {
                Error::new(
                    ErrorKind::CommandTimeout,
                    format!(
                        "the command did not start within {}: no session was free",
                        seconds(limit)
                    ),
                )
                .with_hint("raise the time limit, or run fewer commands at once on this connection")
            })??,
        };
        // Begun before the command is sent: both requests, and the end of an empty input, then travel together.
        sessions.open_spare();
        let starting = sessions.start(&channel, what, &request.env, request.pty.as_ref());
        let order = match limit {
            None => starting.await?,
            Some((at, limit)) => tokio::time::timeout_at(at, starting).await.map_err(|_| {
                Error::new(
                    ErrorKind::CommandTimeout,
                    format!(
                        "the command did not start within {}: the server did not answer",
                        seconds(limit)
                    ),
                )
                .in_phase(Phase::Exec)
                .with_sent(SendState::MayHaveRun)
                .with_hint("find out whether the server hangs, or raise the time limit")
            })??,
        };
        let mut expected = VecDeque::with_capacity(1 + request.env.len());
        expected.extend(request.env.iter().map(|(name, _)| Expected::Env(name.clone())));
        expected.push_back(Expected::Start);
        // A shell may idle.
        let quiet = match what {
            Start::Exec(_) => self.progress_timeout().map(Quiet::of_command).map(Arc::new),
            Start::Shell | Start::Subsystem(_) => None,
        };
        let input = Input {
            sender: channel.sender().clone(),
            quiet: quiet.clone(),
            recorded: recording.as_ref().map(Recording::stdin),
        };
        let stdin = matches!(request.stdin, Stdin::Piped).then(|| StdinWriter::new(input.clone()));
        let mut stream = StreamExec::new(Started {
            connection: self.clone(),
            sessions: sessions.clone(),
            order,
            channel,
            expected,
            stdin,
            label,
            started,
            limit,
            quiet,
            recording: recording.take(),
            other: OtherUser::of(
                &request.command,
                request.sudo_password.as_ref().map(SharedSecret::secret),
            ),
        });
        if let Some(answer) = answer {
            // Until the command has started, standard input is sudo's.
            answer.follow(&mut stream, &input).await?;
        }
        let feeding = feed(request.stdin.take(), input);
        stream.ending.feeder = match limit {
            None => feeding.await,
            // The stream sees to the time limit.
            Some((at, _)) => tokio::time::timeout_at(at, feeding).await.ok().flatten(),
        };
        Ok(stream)
    }
}
