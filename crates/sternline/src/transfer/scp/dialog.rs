//! The records that go back and forth with a server's `scp`.

use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use sternline_proto::scp::{Record, RecordError};
use sternline_proto::text::escape_bytes;
use tokio::time::timeout;

use crate::connection::Connection;
use crate::deadline::Phase;
use crate::error::{Error, ErrorKind, Result, SendState};
use crate::transfer::shell::{CommandInput, Exit, RemoteCommand, complaint};

/// How long a server may take for its first word: a command line that waits for somebody to type waits for ever.
const FIRST_WORD: Duration = Duration::from_secs(60);

/// What a sink says to a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    GoOn,
    /// It cannot, for this reason in its own words; the transfer goes on with the next file.
    Refused(Bytes),
}

/// A conversation with a server's `scp`.
#[derive(Debug)]
pub(crate) struct Dialog {
    connection: Connection,
    command: RemoteCommand,
    input: CommandInput,
    /// What has arrived and was not read yet.
    arrived: BytesMut,
    instead_of: Option<String>,
    /// Whether the server has said anything that makes sense.
    begun: bool,
}

impl Dialog {
    pub(super) async fn start(
        connection: &Connection,
        line: &[u8],
        instead_of: Option<String>,
    ) -> Result<Self> {
        let command = RemoteCommand::start(connection, line).await?;
        Ok(Self {
            connection: connection.clone(),
            input: command.input(),
            command,
            arrived: BytesMut::new(),
            instead_of,
            begun: false,
        })
    }

    /// The server's next record; `None` when it has ended.
    pub(crate) async fn record(&mut self) -> Result<Option<Record>> {
        if self.begun {
            return self.next_record().await;
        }
        let Ok(first) = timeout(FIRST_WORD, self.next_record()).await else {
            return Err(self.locate(
                Error::phase_timeout(Phase::Transfer, FIRST_WORD, false)
                    .with_sent(SendState::MayHaveRun)
                    .with_hint("what runs there when scp is asked for may be something else"),
            ));
        };
        self.begun = true;
        first
    }

    async fn next_record(&mut self) -> Result<Option<Record>> {
        loop {
            match Record::take(&mut self.arrived) {
                Ok(Some(record)) => return Ok(Some(record)),
                Ok(None) => {}
                Err(error) => return Err(self.locate(self.no_scp(error))),
            }
            match self.next().await? {
                Some(bytes) => self.arrived.extend_from_slice(&bytes),
                None => {
                    let (exit, stderr) = self.command.ended();
                    // Its exit status counts warnings, each of which was told. Whether it has said enough is seen by whoever
                    // reads.
                    if self.arrived.is_empty() && (exit.is_success() || self.begun) {
                        return Ok(None);
                    }
                    return Err(self.locate(self.ended(exit, stderr)));
                }
            }
        }
    }

    /// It ended where more has to come.
    pub(crate) fn cut_short(&self) -> Error {
        let (exit, stderr) = self.command.ended();
        self.locate(self.ended(exit, stderr))
    }

    async fn next(&mut self) -> Result<Option<Bytes>> {
        let next = self.command.next().await;
        next.map_err(|error| self.connection.locate(error))
    }

    /// What the server says to what it was sent.
    pub(crate) async fn answer(&mut self) -> Result<Answer> {
        match self.record().await? {
            Some(Record::Ok) => Ok(Answer::GoOn),
            Some(Record::Warning(text)) => Ok(Answer::Refused(text)),
            Some(Record::Fatal(text)) => Err(self.given_up(&text)),
            Some(_) => Err(self.violation("the server sends files where it has to receive some")),
            None => Err(self.cut_short()),
        }
    }

    /// The server gives up, for this reason.
    pub(crate) fn given_up(&self, text: &[u8]) -> Error {
        let said = escape_bytes(text.trim_ascii());
        self.locate(
            Error::new(ErrorKind::Channel, format!("the server's scp gave up: {said}"))
                .in_phase(Phase::Transfer)
                .with_sent(SendState::Ran),
        )
    }

    /// Bytes of a file, at most so many and at least one.
    pub(crate) async fn content(&mut self, most: u64) -> Result<Bytes> {
        while self.arrived.is_empty() {
            match self.next().await? {
                Some(bytes) => {
                    // The usual case is a packet of nothing but content.
                    if bytes.len() as u64 <= most {
                        return Ok(bytes);
                    }
                    self.arrived.extend_from_slice(&bytes);
                }
                None => return Err(self.cut_short()),
            }
        }
        let length = usize::try_from(most)
            .unwrap_or(usize::MAX)
            .min(self.arrived.len());
        Ok(self.arrived.copy_to_bytes(length))
    }

    pub(crate) async fn send(&mut self, record: &Record) -> Result<()> {
        let mut line = BytesMut::new();
        record.encode(&mut line);
        self.write(line.freeze()).await
    }

    /// Sends bytes of a file.
    pub(crate) async fn write(&mut self, bytes: Bytes) -> Result<()> {
        if self.input.write(bytes).await.is_ok() {
            return Ok(());
        }
        // It is gone: what it has said last is the reason.
        match self.record().await? {
            Some(Record::Warning(text) | Record::Fatal(text)) => Err(self.given_up(&text)),
            _ => Err(self.cut_short()),
        }
    }

    /// Says that there is nothing more, and waits for the end.
    pub(crate) async fn finish(self) -> Result<()> {
        let Self {
            connection,
            command,
            input,
            ..
        } = self;
        let _ = input.close().await;
        let finished = command.finish().await;
        // Its exit status counts warnings, each of which was told.
        finished.map(drop).map_err(|error| connection.locate(error))
    }

    /// What the server did makes no sense in scp's protocol.
    pub(crate) fn violation(&self, what: &str) -> Error {
        self.locate(
            Error::new(ErrorKind::Channel, what)
                .in_phase(Phase::Transfer)
                .with_sent(SendState::MayHaveRun)
                .with_hint("report it to whoever makes that server"),
        )
    }

    fn no_scp(&self, error: RecordError) -> Error {
        self.without(
            Error::new(
                ErrorKind::Channel,
                format!("the server does not speak scp: {error}"),
            )
            .with_hint(
                "a shell start-up file or a login message may print something where only scp may speak",
            ),
        )
    }

    fn ended(&self, exit: &Exit, stderr: &[u8]) -> Error {
        self.without(
            Error::new(
                ErrorKind::Channel,
                format!("the server's scp ended too early ({})", complaint(exit, stderr)),
            )
            .with_hint(match exit {
                // A shell's word for a program that is not there.
                Exit::Status(127) => "install scp on the server, or enable SFTP there",
                _ => "see what it said, and the server's log",
            }),
        )
    }

    /// An error that says why nothing better was tried, unless the server does speak scp.
    fn without(&self, error: Error) -> Error {
        let error = error.in_phase(Phase::Transfer).with_sent(SendState::MayHaveRun);
        match &self.instead_of {
            Some(reasons) if !self.begun => error.within(reasons),
            _ => error,
        }
    }

    fn locate(&self, error: Error) -> Error {
        self.connection.locate(error)
    }
}
