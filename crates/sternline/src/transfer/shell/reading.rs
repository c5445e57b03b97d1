//! A file of a server that is read through its shell: as a stream, which begins anew where the order breaks.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use sternline_proto::sftp::StatusCode;
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::files::ShellFiles;
use super::script::script;
use super::server::{Server, Stream};
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
    /// Where it comes from.
    server: Option<Arc<Server>>,
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
        let servers = self.files.servers();
        if servers.current().is_narrow() {
            return self.part(offset, length).await;
        }
        let mut content = self.content.lock().await;
        loop {
            let server = content.server.clone().unwrap_or_else(|| servers.current());
            let lost = match self.next(&server, &mut content, offset, length).await {
                Ok(Some(data)) => return Ok(data),
                Ok(None) => return self.part(offset, length).await,
                Err(error) => error,
            };
            // What was on its way is sent once more.
            *content = Content {
                server: Some(servers.after(&server, lost).await?),
                ..Content::default()
            };
        }
    }

    /// Reads a part through a stream. `None`: there is no session for it.
    async fn next(
        &self,
        server: &Arc<Server>,
        content: &mut Content,
        offset: u64,
        length: usize,
    ) -> Result<Option<Bytes>> {
        if offset != content.at || (content.stream.is_none() && !content.ended) {
            let Some(stream) = self.start(server, offset).await? else {
                return Ok(None);
            };
            *content = Content {
                server: Some(Arc::clone(server)),
                stream: Some(stream),
                at: offset,
                ..Content::default()
            };
        }
        while content.arrived.len() < length && !content.ended {
            self.arrive(server, content).await?;
        }
        let length = length.min(content.arrived.len());
        content.at += length as u64;
        Ok(Some(content.arrived.split_to(length).freeze()))
    }

    /// Reads a part through the shell that stays.
    async fn part(&self, offset: u64, length: usize) -> Result<Bytes> {
        let length = length.max(1);
        let blocks = offset / length as u64;
        let head_c = self.files.server().tools.head_c;
        let template = match offset % length as u64 {
            // What the system makes up has no size, and comes in small pieces.
            _ if self.size == 0 && head_c => {
                format!("{{ tail -c +{} | head -c {length}; }} <@1", offset + 1)
            }
            // It skips by seeking, which not every tail does.
            0 => format!("dd bs={length} skip={blocks} count=1 2>/dev/null <@1"),
            _ => format!(
                "{{ tail -c +{} | dd bs=1 count={length} 2>/dev/null; }} <@1",
                offset + 1
            ),
        };
        let script = script(&template, &[&self.path])?;
        self.files.servers().ask("read", &self.path, script).await
    }

    async fn start(&self, server: &Server, offset: u64) -> Result<Option<Box<Stream>>> {
        let template = match offset {
            0 => "exec cat -- @1".to_owned(),
            _ => format!("exec tail -c +{} -- @1", offset + 1),
        };
        let script = script(&template, &[&self.path])?;
        server.start_stream("read", &self.path, &script).await
    }

    async fn arrive(&self, server: &Server, content: &mut Content) -> Result<()> {
        let Some(stream) = &mut content.stream else {
            content.ended = true;
            return Ok(());
        };
        let next = stream.command.next().await;
        match next.map_err(|error| server.connection.locate(error))? {
            Some(bytes) => content.arrived.extend_from_slice(&bytes),
            None => {
                let (exit, stderr) = stream.command.ended();
                if !exit.is_success() {
                    return Err(server.failed("read", &self.path, exit, stderr).await);
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
            self.files.server().connection.locate(
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
