//! A server's shell as the files of a place need it: small scripts, and streams with a session of their own.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::command::{Exit, RemoteCommand, closes_too_much};
use super::probe::Tools;
use super::session::{Answer, Posted, Session};
use super::words;
use crate::connection::Connection;
use crate::deadline::Phase;
use crate::error::{Error, ErrorKind, Result};
use crate::transfer::renewal::MOMENT;
use crate::transfer::sftp::Tried;

/// How many files are read or written at once. Each takes a session of the connection's budget, which is ten as a rule and
/// has to do for both ends of a transfer between two places of one server.
pub(crate) const STREAMS: usize = 3;

/// The shell of a server.
#[derive(Debug)]
pub(in crate::transfer) struct Server {
    pub(super) connection: Connection,
    pub(super) tools: Tools,
    session: Session,
    pub(super) streams: Arc<Semaphore>,
    /// Whether everything goes through the one shell, content too.
    narrow: AtomicBool,
}

/// A script with a session of its own, through which a file's content goes.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) command: RemoteCommand,
    _permit: OwnedSemaphorePermit,
}

impl Server {
    pub(super) async fn start(connection: Connection, tools: Tools) -> Result<Self> {
        let session = Session::start(&connection).await;
        let session = session.map_err(|error| connection.locate(error.within("cannot start a shell")))?;
        let narrow = closes_too_much(&connection) || connection.command_limit() <= 1;
        Ok(Self {
            connection,
            tools,
            session,
            streams: Arc::new(Semaphore::new(STREAMS)),
            narrow: AtomicBool::new(narrow),
        })
    }

    /// Whether there is no session for a file's content, so that it goes through the one shell, which is slower.
    pub(super) fn is_narrow(&self) -> bool {
        self.narrow.load(Ordering::Relaxed)
    }

    /// What new files and directories of the account do without.
    pub(super) fn umask(&self) -> u32 {
        self.session.umask()
    }

    /// Has a script obeyed that is about this path.
    pub(super) async fn ask(&self, what: &'static str, path: &[u8], script: Vec<u8>) -> Result<Bytes> {
        let answer = self.try_ask(what, path, script).await?;
        match answer.status {
            0 => Ok(answer.output),
            status => Err(self.refused(what, path, status, &answer.output)),
        }
    }

    /// As [`Server::ask`], with whatever status.
    pub(super) async fn try_ask(&self, what: &'static str, path: &[u8], script: Vec<u8>) -> Result<Answer> {
        let posted = self.post(what, path, script).await?;
        self.answer(what, path, posted).await
    }

    /// Takes a script's place in the order, for [`Server::answer`].
    pub(super) async fn post(&self, what: &'static str, path: &[u8], script: Vec<u8>) -> Result<Posted> {
        let posted = self.session.post(script).await;
        posted.map_err(|error| self.connection.locate(Tried::new(what, path).because(error)))
    }

    /// What became of a script, with whatever status.
    pub(super) async fn answer(&self, what: &'static str, path: &[u8], posted: Posted) -> Result<Answer> {
        let answer = self.session.answer(posted).await;
        answer.map_err(|error| self.connection.locate(Tried::new(what, path).because(error)))
    }

    /// What was said by a script that failed.
    pub(super) fn refused(&self, what: &'static str, path: &[u8], status: u32, said: &[u8]) -> Error {
        let said = match said.trim_ascii() {
            [] => format!("exit status {status}").into_bytes(),
            // A tool may have written much before it failed.
            said => said
                .get(said.len().saturating_sub(400)..)
                .unwrap_or(said)
                .to_vec(),
        };
        self.connection
            .locate(Tried::new(what, path).refused(&words::status(&said)))
    }

    /// Starts a script with a session of its own. `None`: the server has none, and never will.
    pub(super) async fn start_stream(
        &self,
        what: &'static str,
        path: &[u8],
        script: &[u8],
    ) -> Result<Option<Box<Stream>>> {
        /// How often is asked whether it makes sense to wait on.
        const PATIENCE: Duration = Duration::from_secs(1);
        let permit = Arc::clone(&self.streams).acquire_owned().await;
        let permit = permit.map_err(|_| Error::new(ErrorKind::Local, "the place is closed"))?;
        let mut starting = pin!(RemoteCommand::start_script(&self.connection, script));
        let command = loop {
            match timeout(PATIENCE, &mut starting).await {
                Ok(started) => break started,
                // Others may use the connection for as long as they like; but the shell of this place never ends.
                Err(_) if self.connection.command_limit() <= 1 => {
                    self.narrow.store(true, Ordering::Relaxed);
                    return Ok(None);
                }
                Err(_) => {}
            }
        };
        match command {
            // In a box, because open files are moved about.
            Ok(command) => Ok(Some(Box::new(Stream {
                command,
                _permit: permit,
            }))),
            Err(error) => Err(self.connection.locate(Tried::new(what, path).because(error))),
        }
    }

    /// What a stream's command said when it failed. Where it was ended from outside that may be the beginning of the
    /// connection's own end, as when the server shuts down, which then is the reason.
    pub(super) async fn failed(&self, what: &'static str, path: &[u8], exit: &Exit, stderr: &[u8]) -> Error {
        if !matches!(exit, Exit::Status(_))
            && let Ok(lost) = timeout(MOMENT, self.connection.ended()).await
        {
            return Tried::new(what, path).because(lost.in_phase(Phase::Transfer));
        }
        let said = match stderr.trim_ascii() {
            [] => exit.to_string().into_bytes(),
            said => said.to_vec(),
        };
        self.connection
            .locate(Tried::new(what, path).refused(&words::status(&said)))
    }
}
