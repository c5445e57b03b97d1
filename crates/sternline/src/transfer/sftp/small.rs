//! What is done with an open file in one go: all requests are sent together, and the server does them in that order.

use bytes::Bytes;
use sternline_proto::sftp::{Attributes, Extended, Extension, Request, Response};

use super::failure::Tried;
use super::file::{RemoteFile, WRITE_SUSPICION, data};
use super::handle::is_ok;
use super::session::Answer;
use crate::error::Result;

/// What becomes of a file once its content is written.
#[derive(Debug)]
pub(in crate::transfer) struct Ending {
    /// Whether its attributes are of interest, as they were when it was opened.
    pub(in crate::transfer) look: bool,
    /// Set first, and it is no error if that is refused.
    pub(in crate::transfer) owner: Option<Attributes>,
    /// Set then.
    pub(in crate::transfer) attributes: Option<Attributes>,
    /// Whether it is put on stable storage.
    pub(in crate::transfer) fsync: bool,
}

impl RemoteFile {
    /// Reads the first `length` bytes, which have to fit into one request, and closes the file. Fewer bytes need not be all
    /// that the file has.
    pub(in crate::transfer) async fn read_and_close(self, length: usize) -> Result<Bytes> {
        let tried = Tried::new("read", &self.path);
        let mut reading = self.begin_read(tried, 0, length).await?;
        let closing = self.handle.close();
        let data = data(&self.sftp, tried, length, reading.answer().await)?;
        // What was only read has nothing to lose when it is closed.
        drop(closing);
        Ok(data.into())
    }

    /// Writes the content of a new file, and closes it. Gives the attributes if they were asked for.
    pub(in crate::transfer) async fn write_and_close(
        self,
        data: Bytes,
        ending: Ending,
    ) -> Result<Option<Attributes>> {
        let path = self.path.clone();
        let write = Tried::new("write", &path).suspecting(WRITE_SUSPICION);
        let set = Tried::new("set attributes of", &path);
        let sync = Tried::new("put on stable storage", &path).suspecting(WRITE_SUSPICION);
        let handle = self.handle.bytes();

        let mut looking = None;
        if ending.look {
            let handle = handle.clone();
            looking = Some(self.begin(write, Request::FStat { handle }).await?);
        }
        let mut writing = Vec::new();
        for (at, data) in self.cut(0, data) {
            writing.push(self.begin_write(write, at, data).await?);
        }
        let mut setting = Vec::new();
        for (attributes, must) in [(ending.owner, false), (ending.attributes, true)] {
            if let Some(attributes) = attributes {
                let handle = handle.clone();
                let request = Request::FSetStat { handle, attributes };
                setting.push((self.begin(set, request).await?, must));
            }
        }
        let mut syncing = None;
        if ending.fsync {
            self.sftp.require(sync, Extension::FSYNC)?;
            syncing = Some(
                self.begin(sync, Request::Extended(Extended::FSync { handle }))
                    .await?,
            );
        }
        let sftp = self.sftp;
        let closing = self.handle.close();

        let mut seen = None;
        if let Some(mut looking) = looking
            // It can be done without, and what went wrong with the channel is told below.
            && let Ok(Answer::Response(Response::Attributes(attributes))) = looking.answer().await
        {
            seen = Some(attributes);
        }
        for mut written in writing {
            sftp.read_answer(write, written.answer().await, is_ok)?;
        }
        for (mut set_one, must) in setting {
            let answer = sftp.read_answer(set, set_one.answer().await, is_ok);
            if must {
                answer?;
            }
        }
        if let Some(mut synced) = syncing {
            sftp.read_answer(sync, synced.answer().await, is_ok)?;
        }
        let closed = match closing {
            Ok(mut closing) => closing.answer().await,
            Err(error) => Err(error),
        };
        sftp.read_answer(
            Tried::new("close", &path).suspecting(WRITE_SUSPICION),
            closed,
            is_ok,
        )?;
        Ok(seen)
    }
}
