//! A file of a server that is read through its shell: as a stream, which begins anew where the order breaks.

use std::fmt;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use sternline_proto::sftp::StatusCode;
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::files::{ShellFiles, Stream};
use super::script::script;
use crate::error::{Error, ErrorKind, Result};
use crate::transfer::place::Meta;

/// How long a program may take to end once everything was read.
const PATIENCE: Duration = Duration::from_secs(2);

/// A file that is open for reading.
pub(crate) struct ShellReading {
    files: ShellFiles,
    path: Vec<u8>,
    /// What it had when it was looked at.
    size: u64,
    /// Given to readers in the order in which they come.
    content: Mutex<Content>,
}

/// How many chunks a caller asks for at once.
const DEPTH: usize = 8;

/// What arrives of the file.
#[derive(Debug, Default)]
struct Content {
    stream: Option<Box<Stream>>,
    /// What has arrived and was not given to anybody yet, and where in the file it begins.
    arrived: BytesMut,
    at: u64,
    ended: bool,
}

impl ShellReading {
    pub(crate) fn depth(&self) -> usize {
        DEPTH
    }

    pub(super) fn new(files: ShellFiles, path: &[u8], size: u64) -> Self {
        Self {
            files,
            path: path.to_vec(),
            size,
            content: Mutex::default(),
        }
    }

    pub(crate) async fn read_at(&self, offset: u64, length: usize) -> Result<Bytes> {
        let mut content = self.content.lock().await;
        if offset != content.at || (content.stream.is_none() && !content.ended) {
            *content = Content {
                stream: Some(self.start(offset).await?),
                at: offset,
                ..Content::default()
            };
        }
        while content.arrived.len() < length && !content.ended {
            self.arrive(&mut content).await?;
        }
        let length = length.min(content.arrived.len());
        content.at += length as u64;
        Ok(content.arrived.split_to(length).freeze())
    }

    async fn start(&self, offset: u64) -> Result<Box<Stream>> {
        let template = match offset {
            0 => "exec cat -- @1".to_owned(),
            _ => format!("exec tail -c +{} -- @1", offset + 1),
        };
        let script = script(&template, &[&self.path])?;
        self.files.inner().start_stream("read", &self.path, &script).await
    }

    async fn arrive(&self, content: &mut Content) -> Result<()> {
        let Some(stream) = &mut content.stream else {
            content.ended = true;
            return Ok(());
        };
        let inner = self.files.inner();
        let next = stream.command.next().await;
        match next.map_err(|error| inner.connection.locate(error))? {
            Some(bytes) => content.arrived.extend_from_slice(&bytes),
            None => {
                let (exit, stderr) = stream.command.ended();
                if !exit.is_success() {
                    return Err(inner.failed("read", &self.path, exit, stderr));
                }
                content.ended = true;
                content.stream = None;
            }
        }
        Ok(())
    }

    pub(crate) async fn next_data(&self, offset: u64) -> Result<Option<u64>> {
        Ok(Some(offset))
    }

    pub(crate) async fn stat(&self) -> Result<Meta> {
        let missing = || {
            self.files.inner().connection.locate(
                crate::transfer::sftp::Tried::new("look at", &self.path).because(Error::new(
                    ErrorKind::RemoteFile(StatusCode::NoSuchFile),
                    "no such file or directory",
                )),
            )
        };
        self.files.stat(&self.path).await?.ok_or_else(missing)
    }
}

impl Drop for ShellReading {
    fn drop(&mut self) {
        let content = self.content.get_mut();
        let (Some(stream), Ok(runtime)) = (content.stream.take(), Handle::try_current()) else {
            return;
        };
        // A program that has written everything needs no ending: it is about to exit.
        if content.at + content.arrived.len() as u64 >= self.size {
            runtime.spawn(async move {
                let _ = timeout(PATIENCE, stream.command.finish()).await;
            });
        }
    }
}

impl fmt::Debug for ShellReading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShellReading").finish_non_exhaustive()
    }
}
