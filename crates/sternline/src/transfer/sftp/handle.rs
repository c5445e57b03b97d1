//! The handle, and how it is made.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sternline_proto::sftp::{
    Attributes, Entry, Extended, Extension, Hello, Limits, Request, Response, StatusCode,
};
use sternline_proto::text::escape_bytes;

use super::driver;
use super::failure::Tried;
use super::session::{Answer, OpenHandle, Session};
use super::sizes::{Sizes, sizes};
use crate::connection::Connection;
use crate::error::{Error, ErrorKind, Result};
use crate::transport::channel::Channel;

/// The files of a server, by SFTP version 3.
///
/// Clones share one channel, which takes one of the connection's sessions until the last clone, file and listing are
/// gone. Any number of operations may run at once, from any number of tasks: their requests are sent without waiting for
/// each other's answers, 64 MiB of data or 4,096 requests at a time; more wait for their turn. There are no time limits:
/// the connection's keepalive notices a dead link, and any future may be wrapped in a limit of its own.
///
/// Paths are bytes, as on the wire: text and byte strings alike are taken as they are. One that does not begin with `/`
/// begins where the server does, usually in the home directory. Nothing is expanded or quoted; for `~` see
/// [`Sftp::expand_path`]. On Unix `path.as_os_str().as_bytes()` gives the bytes of a local path.
///
/// An operation that the server refuses fails with [`ErrorKind::RemoteFile`]. When the connection is lost, or the server's
/// SFTP program ends, all operations fail with the reason, and so do all later ones: make a new handle then.
#[derive(Clone)]
pub struct Sftp {
    session: Arc<Session>,
    facts: Arc<Facts>,
}

struct Facts {
    hello: Hello,
    limits: Option<Limits>,
    sizes: Sizes,
    round_trip: Duration,
}

impl Connection {
    /// Starts SFTP on a channel of this connection: three round trips, two where the server does not tell its limits. If
    /// more sessions are open than the server allows, it waits for one of them.
    ///
    /// Cancel-safe: a channel that was opened is closed again.
    ///
    /// # Errors
    /// When the server has no `sftp` subsystem, or what answers does not speak SFTP version 3; when it takes longer than
    /// [`Deadlines::channel`](crate::Deadlines::channel).
    ///
    /// ```no_run
    /// # async fn example(connection: &sternline::Connection) -> sternline::Result<()> {
    /// let sftp = connection.sftp().await?;
    /// let size = sftp.stat("/etc/hosts").await?.size;
    /// println!("{size:?} bytes");
    /// # Ok(()) }
    /// ```
    pub async fn sftp(&self) -> Result<Sftp> {
        let opening = async {
            let sessions = self.sessions();
            let channel = sessions.open_for_command().await?;
            sessions.open_spare();
            Sftp::start(self, channel).await
        };
        opening
            .await
            .map_err(|error| self.locate(error.within("cannot start SFTP")))
    }
}

impl Sftp {
    async fn start(connection: &Connection, channel: Channel) -> Result<Self> {
        let started = Instant::now();
        let (session, hello) = driver::start(connection, channel, None).await?;
        let mut facts = Facts {
            hello,
            limits: None,
            sizes: sizes(None),
            round_trip: started.elapsed(),
        };
        if facts.hello.offers(Extension::LIMITS) {
            let asked = Instant::now();
            let answer = session.ask(Request::Extended(Extended::Limits)).await?;
            facts.round_trip = asked.elapsed();
            // A server that offers them and does not tell them has none that are known.
            if let Answer::Response(Response::Extended(body)) = answer {
                facts.limits = Limits::decode(body).ok();
                facts.sizes = sizes(facts.limits);
            }
        }
        Ok(Self {
            session,
            facts: Arc::new(facts),
        })
    }

    /// Another channel to the same server, beside this one: `None` where no session of the connection's budget is to
    /// spare, or the server does not grant one. What is on its way on both counts against one bound.
    pub(in crate::transfer) async fn beside(&self) -> Option<Self> {
        let connection = self.connection();
        let channel = connection.sessions().open_if_free().await?;
        match driver::start(connection, channel, Some(&self.session)).await {
            // It is the same server, with the same limits.
            Ok((session, _)) => Some(Self {
                session,
                facts: Arc::clone(&self.facts),
            }),
            Err(error) => {
                tracing::debug!(%error, "no further SFTP channel");
                None
            }
        }
    }

    /// Has no more than this on its way at once, in bytes: for a handle that was not used yet.
    pub(in crate::transfer) fn bound_in_flight(&self, bytes: usize) {
        self.session.bound_in_flight(bytes);
    }

    /// How long the first answer took that says something about that: an upper bound of the round trip.
    pub(in crate::transfer) fn round_trip(&self) -> Duration {
        self.facts.round_trip
    }

    /// The connection that it runs on.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        self.session.connection()
    }

    /// What the server can take, where it tells (`limits@openssh.com`). What a request may carry is kept to by itself. How
    /// many files are open at once is up to the caller: OpenSSH's server counts files of its own too, and refuses to open
    /// more with [`StatusCode::Failure`].
    #[must_use]
    pub fn limits(&self) -> Option<Limits> {
        self.facts.limits
    }

    pub(in crate::transfer) fn offers(&self, extension: Extension) -> bool {
        self.facts.hello.offers(extension)
    }

    pub(super) fn require(&self, tried: Tried<'_>, extension: Extension) -> Result<()> {
        if self.offers(extension) {
            Ok(())
        } else {
            Err(self.locate(tried.not_offered(extension)))
        }
    }

    pub(in crate::transfer) fn sizes(&self) -> Sizes {
        self.facts.sizes
    }

    pub(super) fn session(&self) -> &Arc<Session> {
        &self.session
    }

    pub(super) fn locate(&self, error: Error) -> Error {
        self.connection().locate(error)
    }

    /// Asks, and reads the answer: `read` gives `None` for one that does not belong to the request. A status other than
    /// success is a failure.
    async fn ask<T>(
        &self,
        tried: Tried<'_>,
        request: Request,
        read: impl FnOnce(Answer) -> Option<T>,
    ) -> Result<T> {
        let answer = self.session.ask(request).await;
        self.read_answer(tried, answer, read)
    }

    pub(super) fn read_answer<T>(
        &self,
        tried: Tried<'_>,
        answer: Result<Answer>,
        read: impl FnOnce(Answer) -> Option<T>,
    ) -> Result<T> {
        let outcome = match answer {
            Ok(Answer::Response(Response::Status(status))) if status.code != StatusCode::Ok => {
                Err(tried.refused(&status))
            }
            Ok(answer) => read(answer).ok_or_else(|| tried.odd_answer()),
            Err(error) => Err(tried.because(error)),
        };
        outcome.map_err(|error| self.locate(error))
    }

    pub(super) async fn done(&self, tried: Tried<'_>, request: Request) -> Result<()> {
        self.ask(tried, request, is_ok).await
    }

    pub(super) async fn attributes(&self, tried: Tried<'_>, request: Request) -> Result<Attributes> {
        let read = |answer| match answer {
            Answer::Response(Response::Attributes(attributes)) => Some(attributes),
            _ => None,
        };
        self.ask(tried, request, read).await
    }

    /// The one path that answers a request.
    pub(super) async fn path(&self, tried: Tried<'_>, request: Request) -> Result<Vec<u8>> {
        let read = |answer| match answer {
            Answer::Response(Response::Name(entries)) => entries.into_iter().next(),
            _ => None,
        };
        let entry: Entry = self.ask(tried, request, read).await?;
        Ok(entry.name.to_vec())
    }

    pub(super) async fn extended(&self, tried: Tried<'_>, request: Extended) -> Result<Bytes> {
        let read = |answer| match answer {
            Answer::Response(Response::Extended(body)) => Some(body),
            _ => None,
        };
        self.ask(tried, Request::Extended(request), read).await
    }

    pub(super) async fn opened(&self, tried: Tried<'_>, request: Request) -> Result<OpenHandle> {
        let read = |answer| match answer {
            Answer::Opened(handle) => Some(handle),
            Answer::Response(_) => None,
        };
        self.ask(tried, request, read).await
    }

    /// The path for the wire. The server is written in C: a zero byte would end it there, and some end the connection.
    pub(super) fn checked(&self, path: &[u8]) -> Result<Bytes> {
        if path.contains(&0) {
            let message = format!("no file has a zero byte in its name: {}", escape_bytes(path));
            return Err(self.locate(Error::new(ErrorKind::Invalid, message)));
        }
        Ok(Bytes::copy_from_slice(path))
    }
}

pub(super) fn is_ok(answer: Answer) -> Option<()> {
    // Other statuses are failures, and were sorted out before.
    matches!(answer, Answer::Response(Response::Status(_))).then_some(())
}

impl fmt::Debug for Sftp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sftp").field(self.connection()).finish()
    }
}
