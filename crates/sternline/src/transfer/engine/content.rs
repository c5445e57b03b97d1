//! Where a file's content comes from: a file of a place, memory, or a stream.

use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use sternline_proto::sftp::Pieces;
use sternline_proto::text::escape_bytes;
use tokio::io::AsyncReadExt as _;
use tokio::sync::Mutex;

use crate::deadline::Phase;
use crate::error::{Error, ErrorKind, Result};
use crate::transfer::place::Reading;
use crate::transfer::request::BoxedReader;

/// Content to be copied.
pub(super) enum Content {
    File(Reading),
    Memory(Bytes),
    /// Read in order, and once.
    Stream {
        name: Vec<u8>,
        reader: Mutex<BoxedReader>,
    },
}

impl Content {
    /// How many reads should be on their way at once.
    pub(super) fn depth(&self) -> usize {
        match self {
            Self::File(reading) => reading.depth(),
            Self::Memory(_) => 4,
            Self::Stream { .. } => 1,
        }
    }

    /// Reads `length` bytes, or fewer at the end. A stream is at this offset already.
    pub(super) async fn read_at(&self, offset: u64, length: usize) -> Result<Pieces> {
        match self {
            Self::File(reading) => reading.read_at(offset, length).await,
            Self::Memory(all) => {
                let from = usize::try_from(offset).unwrap_or(usize::MAX).min(all.len());
                let to = from.saturating_add(length).min(all.len());
                Ok(all.slice(from..to).into())
            }
            Self::Stream { name, reader } => {
                let mut reader = reader.lock().await;
                let filled = fill(reader.as_mut(), length).await;
                filled.map(Pieces::from).map_err(|error| {
                    Error::new(
                        ErrorKind::LocalFile(error.kind()),
                        format!("cannot read {} to its end: {error}", escape_bytes(name)),
                    )
                    .in_phase(Phase::Transfer)
                })
            }
        }
    }

    /// Where the next data is at or after `offset`; `None` when only a hole follows.
    pub(super) async fn next_data(&self, offset: u64) -> Result<Option<u64>> {
        match self {
            Self::File(reading) => reading.next_data(offset).await,
            Self::Memory(_) | Self::Stream { .. } => Ok(Some(offset)),
        }
    }
}

async fn fill(
    mut reader: Pin<&mut (dyn tokio::io::AsyncRead + Send)>,
    length: usize,
) -> std::io::Result<Bytes> {
    let mut buffer = BytesMut::with_capacity(length);
    while buffer.len() < length {
        let mut rest = (&mut reader).take((length - buffer.len()) as u64);
        if rest.read_buf(&mut buffer).await? == 0 {
            break;
        }
    }
    Ok(buffer.freeze())
}
