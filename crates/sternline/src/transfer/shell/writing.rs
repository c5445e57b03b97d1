//! A file of a server that is written through its shell: as a stream, in order.

use std::fmt;

use bytes::Bytes;
use tokio::sync::Mutex;

use super::files::{SYNC, ShellFiles, Stream};
use super::script::script;
use crate::error::{Error, ErrorKind, Result};
use crate::transfer::place::{Change, How};
use crate::transfer::sftp::Tried;

/// A gap up to this size is filled with zeros; a larger one becomes a hole, which takes another stream.
const FILLED: u64 = 1024 * 1024;

/// How many chunks a caller gives at once.
const DEPTH: usize = 8;

/// A file that is open for writing.
pub(crate) struct ShellWriting {
    files: ShellFiles,
    path: Vec<u8>,
    how: How,
    /// Given to writers in the order in which they come.
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    stream: Option<Box<Stream>>,
    /// Where the next byte goes, which is the end of the file; not known where a part of it was there.
    at: Option<u64>,
    /// Whether there has been a stream.
    begun: bool,
}

impl ShellWriting {
    pub(crate) fn depth(&self) -> usize {
        DEPTH
    }

    pub(super) fn new(files: ShellFiles, path: &[u8], how: How) -> Self {
        Self {
            files,
            path: path.to_vec(),
            how,
            state: Mutex::new(State {
                stream: None,
                at: (how != How::Continue).then_some(0),
                begun: false,
            }),
        }
    }

    pub(crate) async fn write_at(&self, offset: u64, data: Bytes) -> Result<()> {
        let mut state = self.state.lock().await;
        let at = state.at.unwrap_or(offset);
        if offset < at {
            return Err(self.tried(Error::new(
                ErrorKind::Invalid,
                format!(
                    "byte {offset} comes behind byte {at}, and what goes through a shell is written in order"
                ),
            )));
        }
        if offset - at > FILLED {
            self.finish(&mut state).await?;
            self.make_length(&mut state, offset).await?;
        } else if offset > at {
            let zeros = usize::try_from(offset - at).unwrap_or_default();
            self.send(&mut state, at, Bytes::from(vec![0; zeros])).await?;
        }
        self.send(&mut state, offset, data).await
    }

    async fn send(&self, state: &mut State, at: u64, data: Bytes) -> Result<()> {
        let length = data.len() as u64;
        let stream = match state.stream.take() {
            Some(stream) => stream,
            None => {
                state.at = Some(at);
                self.start(state).await?
            }
        };
        // A stream with a piece missing must never be used again: it is put back only when all of it was sent.
        if stream.command.input().write(data).await.is_err() {
            return Err(self.ended(stream).await);
        }
        state.stream = Some(stream);
        state.at = Some(at + length);
        Ok(())
    }

    async fn start(&self, state: &mut State) -> Result<Box<Stream>> {
        let inner = self.files.inner();
        let template = match (self.how, state.begun) {
            (How::InPlace, false) => "exec cat >@1".to_owned(),
            (How::InPlace, true) => "exec cat >>@1".to_owned(),
            _ => format!(
                "n=$({} @1) || exit 1; [ $n -eq {at} ] || {{ echo \"it has $n bytes, and {at} were expected\" >&2; \
                 exit 1; }}; exec cat >>@1",
                inner.tools.size_command(),
                at = state.at.unwrap_or_default(),
            ),
        };
        state.begun = true;
        let script = script(&template, &[&self.path])?;
        inner.start_stream("write", &self.path, &script).await
    }

    /// Ends the stream, and waits until everything is written.
    async fn finish(&self, state: &mut State) -> Result<()> {
        let Some(stream) = state.stream.take() else {
            return Ok(());
        };
        // If it is gone already its end says why.
        let _ = stream.command.input().close().await;
        let inner = self.files.inner();
        let finished = stream.command.finish().await;
        let (exit, stderr) = finished.map_err(|error| inner.connection.locate(error))?;
        match exit.is_success() {
            true => Ok(()),
            false => Err(inner.failed("write", &self.path, &exit, &stderr)),
        }
    }

    /// Why a stream takes nothing any more.
    async fn ended(&self, stream: Box<Stream>) -> Error {
        let inner = self.files.inner();
        match stream.command.finish().await {
            Ok((exit, stderr)) => inner.failed("write", &self.path, &exit, &stderr),
            Err(error) => inner.connection.locate(error),
        }
    }

    async fn make_length(&self, state: &mut State, length: u64) -> Result<()> {
        let template = format!("dd if=/dev/null of=@1 bs=1 seek={length} count=0");
        let script = script(&template, &[&self.path])?;
        self.files
            .inner()
            .ask("set the length of", &self.path, script)
            .await?;
        state.at = Some(length);
        state.begun = true;
        Ok(())
    }

    pub(crate) async fn set_length(&self, length: u64) -> Result<()> {
        let mut state = self.state.lock().await;
        self.finish(&mut state).await?;
        self.make_length(&mut state, length).await
    }

    pub(crate) async fn change(&self, change: Change) -> Result<()> {
        self.finish(&mut *self.state.lock().await).await?;
        self.files.inner().change(&self.path, change).await
    }

    pub(crate) async fn fsync(&self) -> Result<()> {
        self.finish(&mut *self.state.lock().await).await?;
        let script = script(SYNC, &[&self.path])?;
        let synced = self
            .files
            .inner()
            .ask("put on stable storage", &self.path, script)
            .await;
        synced.map(drop)
    }

    pub(crate) async fn close(self) -> Result<()> {
        let mut state = self.state.lock().await;
        if self.how == How::InPlace && !state.begun {
            state.stream = Some(self.start(&mut state).await?);
        }
        self.finish(&mut state).await
    }

    fn tried(&self, error: Error) -> Error {
        self.files
            .inner()
            .connection
            .locate(Tried::new("write", &self.path).because(error))
    }
}

impl fmt::Debug for ShellWriting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShellWriting").finish_non_exhaustive()
    }
}
