//! The program at the other end: what it writes, and the way to its input.

use std::pin::Pin;
use std::time::SystemTime;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::error::{Error, ErrorKind, Result};
use crate::event::unix_millis;
use crate::evidence::Stream;
use crate::exec::{Exit, ExitStatus, StdinWriter, StreamData, StreamExec};

/// Where output comes from.
pub(super) enum Output {
    Command(Box<StreamExec>),
    Reader(Pin<Box<dyn AsyncRead + Send>>, BytesMut),
}

/// What came.
pub(super) enum Piece {
    Text { bytes: Bytes, stream: Stream, at: f64 },
    End(End),
}

/// Why nothing more comes.
#[derive(Debug, Clone)]
pub(super) enum End {
    /// The program has ended; with a reader nobody knows how.
    Ended(Option<ExitStatus>),
    /// It was cancelled from here.
    Cancelled(Error),
    /// It was lost sight of.
    Failed(Error),
}

impl Output {
    /// The next piece. Cancel-safe. After the end it must not be asked again.
    pub(super) async fn next(&mut self) -> Piece {
        match self {
            Self::Command(stream) => {
                let Some(event) = stream.next().await else {
                    return Piece::End(End::Ended(None));
                };
                let (bytes, from) = match event.data {
                    StreamData::Stdout(bytes) => (bytes, Stream::Stdout),
                    StreamData::Stderr(bytes) => (bytes, Stream::Stderr),
                    StreamData::Exit(exit) => return Piece::End(end(stream, exit)),
                };
                Piece::Text {
                    bytes,
                    stream: from,
                    at: event.timestamp,
                }
            }
            Self::Reader(reader, buffer) => {
                const CHUNK: usize = 32 * 1024;
                buffer.reserve(CHUNK);
                match reader.read_buf(buffer).await {
                    Ok(0) => Piece::End(End::Ended(None)),
                    Ok(_) => Piece::Text {
                        bytes: buffer.split().freeze(),
                        stream: Stream::Stdout,
                        at: unix_millis(SystemTime::now()),
                    },
                    Err(error) => Piece::End(End::Failed(
                        Error::new(ErrorKind::Local, "reading the program's output failed")
                            .with_source_text(&error),
                    )),
                }
            }
        }
    }

    pub(super) fn has_terminal(&self) -> bool {
        matches!(self, Self::Command(stream) if stream.has_terminal())
    }

    pub(super) fn locate(&self, error: Error) -> Error {
        match self {
            Self::Command(stream) => stream.locate(error),
            Self::Reader(..) => error,
        }
    }
}

fn end(stream: &StreamExec, exit: Exit) -> End {
    match exit {
        Exit::Status(status) => End::Ended(Some(status)),
        Exit::Failed(error) => End::Failed(error),
        Exit::Cancelled(remote) => End::Cancelled(stream.locate(Error::new(
            ErrorKind::Cancelled,
            format!("the command was cancelled; {remote}"),
        ))),
    }
}

/// The way to the program's input.
pub(super) enum Input {
    Command(StdinWriter),
    Writer(Pin<Box<dyn AsyncWrite + Send>>),
    /// There is none.
    Missing,
    /// It was closed from here.
    Closed,
}

impl Input {
    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        match self {
            Self::Command(writer) => writer.write(Bytes::copy_from_slice(bytes)).await,
            Self::Writer(writer) => {
                let written = async {
                    writer.write_all(bytes).await?;
                    writer.flush().await
                };
                written.await.map_err(|error| not_written(&error))
            }
            Self::Missing => Err(missing()),
            Self::Closed => Err(Error::new(
                ErrorKind::Invalid,
                "the program's input is at its end: nothing can be sent any more",
            )
            .with_hint("send everything before the end of the input")),
        }
    }

    /// Ends the input.
    pub(super) async fn close(&mut self) -> Result<()> {
        match std::mem::replace(self, Self::Closed) {
            Self::Command(writer) => writer.close().await,
            Self::Writer(mut writer) => writer.shutdown().await.map_err(|error| not_written(&error)),
            Self::Missing => {
                *self = Self::Missing;
                Err(missing())
            }
            Self::Closed => Ok(()),
        }
    }

    pub(super) async fn resize(&mut self, columns: u32, rows: u32) -> Result<()> {
        match self {
            Self::Command(writer) => writer.resize(columns, rows).await,
            Self::Writer(_) | Self::Missing | Self::Closed => Err(Error::new(
                ErrorKind::Invalid,
                "the program runs in no terminal whose size could be changed from here",
            )),
        }
    }
}

fn missing() -> Error {
    Error::new(
        ErrorKind::Invalid,
        "the command was started without an input to write to",
    )
    .with_hint("start it with Connection::automate, or with Stdin::Piped as its input")
}

fn not_written(error: &std::io::Error) -> Error {
    Error::new(ErrorKind::Local, "writing to the program's input failed").with_source_text(error)
}
