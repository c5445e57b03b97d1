//! What a command reads.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::task::JoinHandle;

use crate::connection::Quiet;
use crate::error::{Error, ErrorKind, Result};
use crate::evidence::RecordedStdin;
use crate::transport::channel::{ChannelEnded, ChannelSender};

/// The source of a command's standard input.
#[derive(Default)]
pub enum Stdin {
    /// Nothing: the input is at its end at once.
    #[default]
    Empty,
    /// These bytes, then the end.
    Bytes(Bytes),
    /// All that the reader gives, then the end. A read error cancels the command, so that it never takes half of
    /// its input for all of it.
    Reader(Pin<Box<dyn AsyncRead + Send>>),
    /// What is written to `StreamExec::stdin`, until that is closed or dropped.
    Piped,
}

impl Stdin {
    /// All that the reader gives.
    pub fn reader(reader: impl AsyncRead + Send + 'static) -> Self {
        Self::Reader(Box::pin(reader))
    }

    /// The contents of an open file, from its current position.
    #[must_use]
    pub fn file(file: std::fs::File) -> Self {
        Self::reader(tokio::fs::File::from_std(file))
    }

    /// Takes the input, and leaves what another run of the command can have: the same again, or nothing where it can
    /// be read only once.
    pub(crate) fn take(&mut self) -> Self {
        match self {
            Self::Bytes(bytes) => Self::Bytes(bytes.clone()),
            Self::Empty | Self::Reader(_) | Self::Piped => std::mem::take(self),
        }
    }
}

/// Shows the kind and the size, never the contents.
impl fmt::Debug for Stdin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Bytes(bytes) => write!(f, "Bytes({})", bytes.len()),
            Self::Reader(_) => f.write_str("Reader"),
            Self::Piped => f.write_str("Piped"),
        }
    }
}

impl From<Bytes> for Stdin {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<Vec<u8>> for Stdin {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes.into())
    }
}

impl From<&str> for Stdin {
    fn from(text: &str) -> Self {
        Self::Bytes(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl From<std::fs::File> for Stdin {
    fn from(file: std::fs::File) -> Self {
        Self::file(file)
    }
}

/// The way to a command's input, which says when the command has taken some.
#[derive(Debug, Clone)]
pub(super) struct Input {
    pub(super) sender: ChannelSender,
    pub(super) quiet: Option<Arc<Quiet>>,
    pub(super) recorded: Option<RecordedStdin>,
}

impl Input {
    async fn data(&self, mut bytes: Bytes) -> std::result::Result<(), ChannelEnded> {
        /// Much less than a window, so that a slow command is seen to move.
        const PIECE: usize = 128 * 1024;
        if self.quiet.is_none() && self.recorded.is_none() {
            return self.sender.data(bytes).await;
        }
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(PIECE));
            self.sender.data(piece.clone()).await?;
            if let Some(quiet) = &self.quiet {
                quiet.progress();
            }
            if let Some(recorded) = &self.recorded {
                recorded.take(&piece);
            }
        }
        Ok(())
    }
}

/// Writes to a running command, and tells it the size of its terminal.
#[derive(Debug)]
pub struct StdinWriter {
    input: Input,
}

impl StdinWriter {
    pub(super) fn new(input: Input) -> Self {
        Self { input }
    }

    /// Sends bytes, as fast as the command reads them. Not cancel-safe: a part may have been sent.
    ///
    /// # Errors
    /// When the command has ended.
    pub async fn write(&self, bytes: impl Into<Bytes>) -> Result<()> {
        self.input.data(bytes.into()).await.map_err(|_| ended())
    }

    /// Tells the command that its input is at its end.
    ///
    /// # Errors
    /// When the command has ended.
    pub async fn close(self) -> Result<()> {
        self.input.sender.eof().await.map_err(|_| ended())
    }

    /// Tells the command the new size of its terminal, in characters (RFC 4254 section 6.7).
    ///
    /// # Errors
    /// When the command has ended.
    pub async fn resize(&self, columns: u32, rows: u32) -> Result<()> {
        self.input
            .sender
            .window_change(columns, rows)
            .await
            .map_err(|_| ended())
    }
}

fn ended() -> Error {
    Error::new(
        ErrorKind::Channel,
        "the command has ended and reads nothing any more",
    )
}

/// Feeds the input in the background; its outcome says whether reading the source failed.
pub(super) type Feeder = JoinHandle<io::Result<()>>;

/// Starts feeding. `None` where there is nothing to feed, or nothing more.
pub(super) async fn feed(stdin: Stdin, input: Input) -> Option<Feeder> {
    match stdin {
        Stdin::Piped => None,
        Stdin::Empty => {
            // A command that has already ended needs no end of input.
            let _ = input.sender.eof().await;
            None
        }
        Stdin::Bytes(bytes) => Some(tokio::spawn(async move {
            if input.data(bytes).await.is_ok() {
                let _ = input.sender.eof().await;
            }
            Ok(())
        })),
        Stdin::Reader(mut reader) => Some(tokio::spawn(async move {
            const CHUNK: usize = 32 * 1024;
            loop {
                let mut chunk = BytesMut::with_capacity(CHUNK);
                if reader.read_buf(&mut chunk).await? == 0 {
                    let _ = input.sender.eof().await;
                    return Ok(());
                }
                if input.data(chunk.freeze()).await.is_err() {
                    return Ok(());
                }
            }
        })),
    }
}
