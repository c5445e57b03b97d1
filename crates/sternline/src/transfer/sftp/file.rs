//! An open file.

use std::collections::VecDeque;
use std::fmt;

use bytes::{Bytes, BytesMut};
use sternline_proto::sftp::{Attributes, Extended, Extension, Pieces, Request, Response, StatusCode};
use sternline_proto::text::escape_bytes;

use super::failure::Tried;
use super::handle::{Sftp, is_ok};
use super::session::{Answer, OpenHandle, Pending};
use crate::error::{Error, ErrorKind, Result};

/// How many requests of one call are on their way at once.
const DEPTH: usize = 64;

/// What may have gone wrong where a server only says that writing failed.
pub(super) const WRITE_SUSPICION: &str = "the file system may be full, or a quota used up";

/// A file that is open on the server.
///
/// It has no position: reads and writes name their offset, and may run at once, also from several tasks
/// (`Arc<RemoteFile>`). Dropping it closes it; only [`RemoteFile::close`] tells whether that went well.
pub struct RemoteFile {
    pub(super) sftp: Sftp,
    pub(super) path: Bytes,
    pub(super) handle: OpenHandle,
}

impl RemoteFile {
    pub(super) fn new(sftp: Sftp, path: Bytes, handle: OpenHandle) -> Self {
        Self { sftp, path, handle }
    }

    /// The path by which it was opened.
    #[must_use]
    pub fn path(&self) -> &[u8] {
        &self.path
    }

    /// Reads `length` bytes, or fewer where the file ends: nothing at its end or beyond. What is longer than the server
    /// gives at once is asked for in parts that are on their way together.
    ///
    /// Cancel-safe.
    ///
    /// # Errors
    /// When it cannot be read. What had arrived by then is lost.
    pub async fn read_at(&self, offset: u64, length: usize) -> Result<Bytes> {
        self.read_pieces_at(offset, length).await.map(Bytes::from)
    }

    /// As [`RemoteFile::read_at`], without putting it together.
    pub(in crate::transfer) async fn read_pieces_at(&self, offset: u64, length: usize) -> Result<Pieces> {
        let mut whole = Pieces::default();
        // Of a server that answers with less than it was asked for there may be very many.
        let mut further = BytesMut::new();
        let take = |data: Pieces| {
            if whole.is_empty() {
                whole = data;
            } else {
                data.iter().for_each(|piece| further.extend_from_slice(piece));
            }
        };
        self.read_each(offset, length as u64, DEPTH, take).await?;
        whole.push(further.freeze());
        Ok(whole)
    }

    /// As [`RemoteFile::read_at`], with what arrives handed over in order. `depth` requests are on their way at once.
    pub(in crate::transfer) async fn read_each(
        &self,
        offset: u64,
        length: u64,
        depth: usize,
        mut take: impl FnMut(Pieces),
    ) -> Result<()> {
        let tried = Tried::new("read", &self.path);
        let mut parts = parts(offset, length, self.sftp.sizes().read);
        let mut asked: VecDeque<((u64, usize), Pending)> = VecDeque::new();
        loop {
            while asked.len() < depth
                && let Some((at, length)) = parts.next()
            {
                asked.push_back(((at, length), self.begin_read(tried, at, length).await?));
            }
            let Some((part, mut pending)) = asked.pop_front() else {
                return Ok(());
            };
            let data = data(&self.sftp, tried, part.1, pending.answer().await)?;
            let have = data.len();
            if have > 0 {
                take(data);
            }
            if have < part.1 && !self.complete(tried, part, have, &mut take).await? {
                return Ok(());
            }
        }
    }

    /// Reads what a server has left out of a part. Whether the file has as much.
    async fn complete(
        &self,
        tried: Tried<'_>,
        (at, length): (u64, usize),
        mut have: usize,
        take: &mut impl FnMut(Pieces),
    ) -> Result<bool> {
        while have > 0 && have < length {
            let rest = (at + have as u64, length - have);
            let answer = self.begin_read(tried, rest.0, rest.1).await?.answer().await;
            let data = data(&self.sftp, tried, rest.1, answer)?;
            if data.is_empty() {
                break;
            }
            have += data.len();
            take(data);
        }
        Ok(have == length)
    }

    pub(super) async fn begin_read(&self, tried: Tried<'_>, offset: u64, length: usize) -> Result<Pending> {
        let request = Request::Read {
            handle: self.handle.bytes(),
            offset,
            length: u32::try_from(length).unwrap_or(u32::MAX),
        };
        self.begin(tried, request).await
    }

    pub(super) async fn begin(&self, tried: Tried<'_>, request: Request) -> Result<Pending> {
        let begun = self.sftp.session().begin(request).await;
        begun.map_err(|error| self.sftp.locate(tried.because(error)))
    }

    /// Writes all of the data, in as many parts as the server wants, which are on their way together. Beyond the end of the
    /// file the gap is filled with zero bytes.
    ///
    /// If it is cancelled, any part of the data may have been written.
    ///
    /// # Errors
    /// When a part cannot be written; the others may have been, those behind it too.
    pub async fn write_at(&self, offset: u64, data: impl Into<Bytes>) -> Result<()> {
        let data = data.into();
        let tried = Tried::new("write", &self.path).suspecting(WRITE_SUSPICION);
        if offset.checked_add(data.len() as u64).is_none() {
            let message = format!(
                "no file has an offset of {offset} and more: {}",
                escape_bytes(&self.path)
            );
            return Err(self.sftp.locate(Error::new(ErrorKind::Invalid, message)));
        }
        let mut asked: VecDeque<Pending> = VecDeque::new();
        for (at, data) in self.cut(offset, data) {
            if asked.len() >= DEPTH {
                self.written(tried, asked.pop_front()).await?;
            }
            asked.push_back(self.begin_write(tried, at, data).await?);
        }
        while !asked.is_empty() {
            self.written(tried, asked.pop_front()).await?;
        }
        Ok(())
    }

    /// Data that is written at an offset, in the parts that the server takes.
    pub(super) fn cut(&self, offset: u64, mut data: Bytes) -> impl Iterator<Item = (u64, Bytes)> + use<> {
        parts(offset, data.len() as u64, self.sftp.sizes().write)
            .map(move |(at, length)| (at, data.split_to(length.min(data.len()))))
    }

    pub(super) async fn begin_write(&self, tried: Tried<'_>, offset: u64, data: Bytes) -> Result<Pending> {
        let request = Request::Write {
            handle: self.handle.bytes(),
            offset,
            data,
        };
        self.begin(tried, request).await
    }

    async fn written(&self, tried: Tried<'_>, pending: Option<Pending>) -> Result<()> {
        match pending {
            Some(mut pending) => self.sftp.read_answer(tried, pending.answer().await, is_ok),
            None => Ok(()),
        }
    }

    /// The attributes of the file.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn stat(&self) -> Result<Attributes> {
        let tried = Tried::new("look at", &self.path);
        let handle = self.handle.bytes();
        self.sftp.attributes(tried, Request::FStat { handle }).await
    }

    /// Sets those attributes that are given.
    ///
    /// # Errors
    /// As [`Sftp::set_stat`].
    pub async fn set_stat(&self, attributes: Attributes) -> Result<()> {
        let tried = Tried::new("set attributes of", &self.path);
        let handle = self.handle.bytes();
        self.sftp
            .done(tried, Request::FSetStat { handle, attributes })
            .await
    }

    /// Has everything that was written put on stable storage (`fsync@openssh.com`). Writes that have not been answered
    /// yet may be left out.
    ///
    /// # Errors
    /// When that fails, or the server does not offer it.
    pub async fn fsync(&self) -> Result<()> {
        let tried = Tried::new("put on stable storage", &self.path).suspecting(WRITE_SUSPICION);
        self.sftp.require(tried, Extension::FSYNC)?;
        let handle = self.handle.bytes();
        let request = Request::Extended(Extended::FSync { handle });
        self.sftp.done(tried, request).await
    }

    /// Closes the file, and waits for the server's word. If it is cancelled, the file is closed all the same.
    ///
    /// # Errors
    /// When the server says that something went wrong, which on a network file system may concern data written before. The
    /// file is closed all the same.
    pub async fn close(self) -> Result<()> {
        let tried = Tried::new("close", &self.path).suspecting(WRITE_SUSPICION);
        let answer = match self.handle.close() {
            Ok(mut pending) => pending.answer().await,
            Err(error) => Err(error),
        };
        self.sftp.read_answer(tried, answer, is_ok)
    }
}

impl fmt::Debug for RemoteFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RemoteFile({})", escape_bytes(&self.path))
    }
}

/// What was read; nothing at the end of the file. More than was asked for is no answer.
pub(super) fn data(sftp: &Sftp, tried: Tried<'_>, length: usize, answer: Result<Answer>) -> Result<Pieces> {
    if let Ok(Answer::Response(Response::Status(status))) = &answer
        && status.code == StatusCode::Eof
    {
        return Ok(Pieces::default());
    }
    sftp.read_answer(tried, answer, |answer| match answer {
        Answer::Response(Response::Data(data)) if data.len() <= length => Some(data),
        _ => None,
    })
}

/// Offsets and lengths of the parts of a range, none longer than `size`. What lies beyond all offsets is left out.
fn parts(offset: u64, length: u64, size: usize) -> impl Iterator<Item = (u64, usize)> {
    let end = offset.saturating_add(length);
    std::iter::successors((offset < end).then_some(offset), move |at| {
        at.checked_add(size as u64).filter(|next| *next < end)
    })
    .map(move |at| (at, usize::try_from(end - at).unwrap_or(size).min(size)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_cut_into_parts_without_gap_or_overlap() {
        let cut = |offset, length, size| parts(offset, length, size).collect::<Vec<_>>();
        assert_eq!(cut(7, 0, 10), []);
        assert_eq!(cut(7, 10, 10), [(7, 10)]);
        assert_eq!(cut(7, 25, 10), [(7, 10), (17, 10), (27, 5)]);
        assert_eq!(cut(u64::MAX - 5, 100, 10), [(u64::MAX - 5, 5)]);
        assert_eq!(cut(u64::MAX, 100, 10), []);
    }
}
