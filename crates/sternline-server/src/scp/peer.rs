//! The client at the other end: records and bytes in both directions.

use std::io;

use bytes::{Bytes, BytesMut};
use sternline_proto::scp::{Record, RecordError};
use thiserror::Error;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::fault::Cut;
use crate::output::Output;
use crate::stdin::Stdin;

/// Bytes of a file that are moved at a time.
pub(super) const CHUNK: usize = 256 * 1024;

/// Why a transfer ends early.
#[derive(Debug, Error)]
pub(super) enum Ending {
    #[error("{0}")]
    Record(#[from] RecordError),
    #[error("{0}")]
    Unexpected(&'static str),
    /// The client gave up, or has gone: there is nobody to tell.
    #[error("the client gave up")]
    GaveUp,
    #[error("cut off, as a fault has it")]
    Cut(Cut),
    #[error("{0}")]
    Io(#[from] io::Error),
}

pub(super) struct Peer {
    stdin: Stdin,
    stdout: Output,
    arrived: BytesMut,
    /// Whether something failed, on either side.
    pub(super) failed: bool,
}

impl Peer {
    pub(super) fn new(stdin: Stdin, stdout: Output) -> Self {
        Self {
            stdin,
            stdout,
            arrived: BytesMut::new(),
            failed: false,
        }
    }

    /// The next record, or `None` where the client ends its input.
    pub(super) async fn record(&mut self) -> Result<Option<Record>, Ending> {
        loop {
            if let Some(record) = Record::take(&mut self.arrived)? {
                return Ok(Some(record));
            }
            if !self.read().await? {
                return match self.arrived.is_empty() {
                    true => Ok(None),
                    false => Err(Ending::GaveUp),
                };
            }
        }
    }

    /// What the client says to what it was sent: whether it wants what comes next.
    pub(super) async fn answer(&mut self) -> Result<bool, Ending> {
        match self.record().await? {
            Some(Record::Ok) => Ok(true),
            Some(Record::Warning(_)) => {
                self.failed = true;
                Ok(false)
            }
            Some(Record::Fatal(_)) | None => Err(Ending::GaveUp),
            Some(_) => Err(Ending::Unexpected("a record arrived where an answer belongs")),
        }
    }

    /// The next bytes of a file: exactly so many.
    pub(super) async fn bytes(&mut self, count: usize) -> Result<Bytes, Ending> {
        while self.arrived.len() < count {
            if !self.read().await? {
                return Err(Ending::GaveUp);
            }
        }
        Ok(self.arrived.split_to(count).freeze())
    }

    pub(super) async fn say(&mut self, record: &Record) -> Result<(), Ending> {
        let mut out = BytesMut::new();
        record.encode(&mut out);
        self.send(&out).await
    }

    /// Says what failed, in the form of scp's own messages. The transfer goes on.
    pub(super) async fn warn(&mut self, message: String) -> Result<(), Ending> {
        self.failed = true;
        self.say(&Record::Warning(format!("scp: {message}").into())).await
    }

    pub(super) async fn send(&mut self, data: &[u8]) -> Result<(), Ending> {
        self.stdout.write_all(data).await.map_err(|_| Ending::GaveUp)
    }

    async fn read(&mut self) -> Result<bool, Ending> {
        self.arrived.reserve(CHUNK);
        Ok(self.stdin.read_buf(&mut self.arrived).await? > 0)
    }
}
