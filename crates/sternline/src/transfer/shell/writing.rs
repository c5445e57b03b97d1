//! A file of a server that is written through its shell: as a stream, in order.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use sternline_proto::sftp::StatusCode;
use tokio::sync::Mutex;

use super::change::{FULL, SYNC};
use super::script::{printf_format, script};
use super::server::{Server, Stream};
use super::session::Posted;
use crate::error::{Error, ErrorKind, Result};
use crate::transfer::place::{Change, How};
use crate::transfer::sftp::Tried;

/// A gap up to this size is filled with zeros; a larger one becomes a hole, which takes another stream.
const FILLED: u64 = 1024 * 1024;

/// How many chunks a caller gives at once.
const DEPTH: usize = 8;

/// A file that is open for writing. It ends with its connection: how much of what was sent has arrived is not known.
pub(crate) struct ShellWriting {
    server: Arc<Server>,
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

    pub(super) fn new(server: Arc<Server>, path: &[u8], how: How) -> Self {
        Self {
            server,
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
        let Some(posted) = self.begin(offset, data).await? else {
            return Ok(());
        };
        let server = &self.server;
        let answer = server.answer("write", &self.path, posted).await?;
        match answer.status {
            0 => Ok(()),
            status => Err(server.refused("write", &self.path, status, &answer.output)),
        }
    }

    /// Sends data, or has the shell write them, whose answer is then to be waited for.
    async fn begin(&self, offset: u64, data: Bytes) -> Result<Option<Posted>> {
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
        if offset - at > FILLED || (offset > at && self.server.is_narrow()) {
            self.finish(&mut state).await?;
            self.make_length(&mut state, offset).await?;
        } else if offset > at {
            let zeros = usize::try_from(offset - at).unwrap_or_default();
            let filled = self.send(&mut state, at, Bytes::from(vec![0; zeros])).await?;
            drop(filled);
        }
        self.send(&mut state, offset, data).await
    }

    async fn send(&self, state: &mut State, at: u64, data: Bytes) -> Result<Option<Posted>> {
        let length = data.len() as u64;
        let stream = match state.stream.take() {
            Some(stream) => Some(stream),
            None => {
                state.at = Some(at);
                self.start(state).await?
            }
        };
        let Some(stream) = stream else {
            let posted = self.post(at, &data).await?;
            state.at = Some(at + length);
            return Ok(Some(posted));
        };
        // A stream with a piece missing must never be used again: it is put back only when all of it was sent.
        if stream.command.input().write(data).await.is_err() {
            return Err(self.ended(stream).await);
        }
        state.stream = Some(stream);
        state.at = Some(at + length);
        Ok(None)
    }

    /// Has the shell that stays append data, where they belong at the end.
    async fn post(&self, at: u64, data: &[u8]) -> Result<Posted> {
        let server = &self.server;
        let size = server.tools.size_command();
        let mut whole = script(
            &format!("if [ $({size} @1) -eq {at} ]; then printf "),
            &[&self.path],
        )?;
        whole.extend(printf_format(data));
        let tail = format!(
            " >>@1 || {{ {FULL}; }}; else echo 'it is not as long as it was expected to be'; false; fi"
        );
        whole.extend(script(&tail, &[&self.path])?);
        let script = whole;
        server.post("write", &self.path, script).await
    }

    /// `None`: there is no session for it, and the shell itself has to write.
    async fn start(&self, state: &mut State) -> Result<Option<Box<Stream>>> {
        let server = &self.server;
        if server.is_narrow() && self.how != How::InPlace {
            state.begun = true;
            return Ok(None);
        }
        let template = match (self.how, state.begun) {
            (How::InPlace, false) => "exec cat >@1".to_owned(),
            (How::InPlace, true) => "exec cat >>@1".to_owned(),
            _ => format!(
                "n=$({} @1) || exit 1; [ $n -eq {at} ] || {{ echo \"it has $n bytes, and {at} were expected\" >&2; \
                 exit 1; }}; exec cat >>@1",
                server.tools.size_command(),
                at = state.at.unwrap_or_default(),
            ),
        };
        state.begun = true;
        let script = script(&template, &[&self.path])?;
        let stream = server.start_stream("write", &self.path, &script).await?;
        if stream.is_none() && self.how == How::InPlace {
            // A pipe that nobody reads would hold up the one shell for ever.
            return Err(self.tried(
                Error::new(
                    ErrorKind::RemoteFile(StatusCode::OpUnsupported),
                    "it has to be written in place, and the server allows one session on a connection",
                )
                .with_hint("raise MaxSessions in its sshd_config, or enable its SFTP subsystem"),
            ));
        }
        Ok(stream)
    }

    /// Ends the stream, and waits until everything is written.
    async fn finish(&self, state: &mut State) -> Result<()> {
        let Some(stream) = state.stream.take() else {
            return Ok(());
        };
        // If it is gone already its end says why.
        let _ = stream.command.input().close().await;
        let server = &self.server;
        let finished = stream.command.finish().await;
        let (exit, stderr) = finished.map_err(|error| server.connection.locate(error))?;
        match exit.is_success() {
            true => Ok(()),
            false => Err(server.failed("write", &self.path, &exit, &stderr).await),
        }
    }

    /// Why a stream takes nothing any more.
    async fn ended(&self, stream: Box<Stream>) -> Error {
        let server = &self.server;
        match stream.command.finish().await {
            Ok((exit, stderr)) => server.failed("write", &self.path, &exit, &stderr).await,
            Err(error) => server.connection.locate(error),
        }
    }

    async fn make_length(&self, state: &mut State, length: u64) -> Result<()> {
        let template = format!("dd if=/dev/null of=@1 bs=1 seek={length} count=0");
        let script = script(&template, &[&self.path])?;
        self.server.ask("set the length of", &self.path, script).await?;
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
        self.server.change(&self.path, change).await
    }

    pub(crate) async fn fsync(&self) -> Result<()> {
        self.finish(&mut *self.state.lock().await).await?;
        let script = script(SYNC, &[&self.path])?;
        let synced = self.server.ask("put on stable storage", &self.path, script).await;
        synced.map(drop)
    }

    pub(crate) async fn close(self) -> Result<()> {
        let mut state = self.state.lock().await;
        if self.how == How::InPlace && !state.begun {
            state.stream = self.start(&mut state).await?;
        }
        self.finish(&mut state).await
    }

    fn tried(&self, error: Error) -> Error {
        self.server
            .connection
            .locate(Tried::new("write", &self.path).because(error))
    }
}

impl fmt::Debug for ShellWriting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShellWriting").finish_non_exhaustive()
    }
}
