//! An open connection, as its users hold it.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use sternline_proto::redact::Redactor;

use super::builder::ConnectionBuilder;
use super::open::Destination;
use super::sessions::Sessions;
use super::settings::Settings;
use crate::deadline::Phase;
use crate::error::{DisconnectReason, Error, ErrorKind, Result};
use crate::event::{Emitter, EventCollector, EventType, unix_millis};
use crate::evidence::EvidenceRecorder;
use crate::host_key::VerifiedHostKey;
use crate::transport::link::{Algorithms, Link, LostReason};

/// An authenticated connection to one host, whose key was verified.
///
/// Clones share it. It carries any number of commands at once: see `exec` and `stream_exec`. It ends when
/// [`Connection::close`] is called, or when the last clone and the last running command are gone.
#[derive(Clone)]
pub struct Connection {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) facts: Facts,
    pub(super) sessions: Arc<Sessions>,
    pub(super) emitter: Emitter,
    pub(super) farewell: Farewell,
    pub(super) recorder: Option<EvidenceRecorder>,
    /// The first one that was given, for evidence without a recorder.
    pub(super) collector: Option<EventCollector>,
    /// `KeepaliveConfig::progress_timeout`.
    pub(super) progress_timeout: Option<Duration>,
    /// What this connection runs through, for as long as it may.
    pub(super) jump: Mutex<Option<Connection>>,
    /// What it was made with.
    pub(super) settings: Mutex<Settings>,
}

impl Inner {
    pub(super) fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was learned while connecting.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) username: String,
    pub(super) peer: Option<SocketAddr>,
    pub(super) host_key: VerifiedHostKey,
    pub(super) auth_method: String,
    pub(super) auth_methods_offered: Vec<String>,
    pub(super) needed_person: bool,
    pub(super) timings: Vec<(Phase, Duration)>,
    /// When connecting began, the login began, and both had succeeded, in milliseconds since the Unix epoch.
    pub(super) began_ms: f64,
    pub(super) auth_start_ms: f64,
    pub(super) connected_ms: f64,
}

impl Connection {
    /// Begins a connection to `[user@]host[:port]`, `[user@][ipv6]:port` or `ssh://user@host:port`.
    ///
    /// ```no_run
    /// # async fn example() -> sternline::Result<()> {
    /// use sternline::{AuthConfig, Connection};
    ///
    /// let connection = Connection::builder("alice@example.com:2222")
    ///     .auth([AuthConfig::agent(), AuthConfig::key("~/.ssh/id_ed25519")])
    ///     .connect()
    ///     .await?;
    /// println!("{}", connection.exec("whoami").await?.stdout_text());
    /// connection.close().await;
    /// # Ok(()) }
    /// ```
    pub fn builder(target: impl Into<String>) -> ConnectionBuilder {
        ConnectionBuilder::new(target.into())
    }

    pub(super) fn new(inner: Inner) -> Self {
        Self {
            inner: Arc::new(inner),
        }
    }

    /// The host, as it was named.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.inner.facts.host
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.inner.facts.port
    }

    /// Who is logged in.
    #[must_use]
    pub fn username(&self) -> &str {
        &self.inner.facts.username
    }

    /// The address of the other end; `None` where the connection runs through a jump host or over a proxy command.
    #[must_use]
    pub fn peer_address(&self) -> Option<SocketAddr> {
        self.inner.facts.peer
    }

    /// The address that packets go to: that of the nearest jump host, where there is one.
    pub(super) fn network_peer(&self) -> Option<SocketAddr> {
        match self.jump_host() {
            Some(jump) => jump.network_peer(),
            None => self.peer_address(),
        }
    }

    /// The connection to the jump host that this one runs through, the last of several; that one knows the one before.
    /// `None` where there is none, and after [`Connection::close`].
    #[must_use]
    pub fn jump_host(&self) -> Option<Self> {
        self.inner
            .jump
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The host key and why it is trusted.
    #[must_use]
    pub fn host_key(&self) -> &VerifiedHostKey {
        &self.inner.facts.host_key
    }

    /// The method that let us in, the last one where the server wanted several: `private_key`, `ssh_agent`,
    /// `password`, `keyboard_interactive`; `none` where the server wanted nothing.
    #[must_use]
    pub fn auth_method(&self) -> &str {
        &self.inner.facts.auth_method
    }

    /// The methods that the server named, by their names in RFC 4252. Empty when the first attempt was accepted, for
    /// then it had no reason to name any.
    #[must_use]
    pub fn auth_methods_offered(&self) -> &[String] {
        &self.inner.facts.auth_methods_offered
    }

    /// Whether a person had to type, touch or confirm something to log in. No further connection is opened unasked
    /// then.
    #[must_use]
    pub fn login_needed_person(&self) -> bool {
        self.inner.facts.needed_person
    }

    /// How long each phase of connecting took, in order.
    #[must_use]
    pub fn timings(&self) -> &[(Phase, Duration)] {
        &self.inner.facts.timings
    }

    /// The server's identification line (RFC 4253 section 4.2), unescaped.
    #[must_use]
    pub fn server_identification(&self) -> &str {
        self.link().identification().unwrap_or_default()
    }

    /// What the server said before login (RFC 4252 section 5.4), often nothing; unescaped.
    #[must_use]
    pub fn auth_banner(&self) -> String {
        self.link().auth_banner()
    }

    /// The negotiated algorithms.
    #[must_use]
    pub fn algorithms(&self) -> Option<&Algorithms> {
        self.link().algorithms()
    }

    /// How many commands run at once on this connection before others wait, as far as the server has let us know.
    #[must_use]
    pub fn command_limit(&self) -> u32 {
        self.inner.sessions.limit()
    }

    /// Whether the connection is still open, as far as is known without asking.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        !self.link().has_ended()
    }

    /// Waits until the connection has ended and gives the reason. Cancel-safe.
    pub async fn ended(&self) -> Error {
        self.locate(self.link().ended().await)
    }

    /// Why the connection ended, which its DISCONNECT event says too; `None` while it is open.
    ///
    /// `normal` after [`Connection::close`] and after the last clone was dropped; `keepalive_timeout` when the server
    /// answered no probe; `progress_timeout` when a command stalled and the server then gave no sign of life either;
    /// `network_error` for every other loss. A connection that was never made has no such event: its error says
    /// `network_error` or `auth_failure`, see [`Error::disconnect_reason`].
    #[must_use]
    pub fn disconnect_reason(&self) -> Option<DisconnectReason> {
        self.link().disconnect_reason()
    }

    /// Asks the server for a sign of life and returns how long it took.
    ///
    /// # Errors
    /// When the connection has ended. There is no deadline: wrap it in one.
    pub async fn ping(&self) -> Result<Duration> {
        self.inner
            .sessions
            .session()
            .ping()
            .await
            .map_err(|error| self.locate(error))
    }

    /// Ends the connection in good order. Commands that were dropped are ended on the server first, for at most five
    /// seconds; commands that still run lose the connection. A jump host that nobody else uses is left in good order
    /// too. Does nothing the second time.
    pub async fn close(&self) {
        self.inner.sessions.dropped_are_ended().await;
        self.inner.sessions.session().close().await;
        self.farewell();
        self.inner.settings().let_go();
        let jump = self
            .inner
            .jump
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(jump) = jump
            && Arc::strong_count(&jump.inner) == 1
        {
            Box::pin(jump.close()).await;
        }
    }

    /// Whether both are one and the same connection.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    pub(crate) fn progress_timeout(&self) -> Option<Duration> {
        self.inner.progress_timeout
    }

    /// Gives the connection up as lost, for a reason that this side has found.
    pub(super) fn fail(&self, message: &str) {
        self.link().fail(LostReason::of(ErrorKind::Connection, message));
    }

    /// Has the DISCONNECT event told by now, if the connection has ended.
    pub(super) fn farewell(&self) {
        self.inner.farewell.say(self.link());
    }

    pub(crate) fn sessions(&self) -> &Arc<Sessions> {
        &self.inner.sessions
    }

    /// Keeps something until the server has answered to the first session, which is when it counts the client as logged in.
    pub(crate) fn hold_until_served(&self, thing: impl Send + 'static) {
        self.inner.sessions.hold_until_served(Box::new(thing));
    }

    pub(crate) fn recorder(&self) -> Option<&EvidenceRecorder> {
        self.inner.recorder.as_ref()
    }

    pub(crate) fn emitter(&self) -> &Emitter {
        &self.inner.emitter
    }

    pub(crate) fn emit(&self, event_type: EventType, data: Value) {
        self.inner.emitter.emit(event_type, data);
    }

    /// Knows the secrets of this connection, and masks them in whatever leaves the library.
    pub(crate) fn redactor(&self) -> &Redactor {
        self.inner.emitter.redactor()
    }

    /// Says in an error which host it is about, and takes the connection's secrets out of it.
    pub(crate) fn locate(&self, error: Error) -> Error {
        let facts = &self.inner.facts;
        error
            .at(&facts.host, facts.port, &facts.username)
            .redacted_by(self.redactor())
    }

    pub(crate) fn link(&self) -> &Arc<Link> {
        self.inner.sessions.session().link()
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let facts = &self.inner.facts;
        write!(f, "Connection({}@{}:{})", facts.username, facts.host, facts.port)
    }
}

/// The one DISCONNECT event of a connection, whoever notices the end first.
#[derive(Clone)]
pub(super) struct Farewell {
    emitter: Emitter,
    host: String,
    port: u16,
    username: String,
    said: Arc<AtomicBool>,
    at_ms: Arc<OnceLock<f64>>,
}

impl Farewell {
    pub(super) fn new(emitter: Emitter, destination: &Destination) -> Self {
        Self {
            emitter,
            host: destination.host.clone(),
            port: destination.port,
            username: destination.username.clone(),
            said: Arc::default(),
            at_ms: Arc::default(),
        }
    }

    /// Tells the reason, and what was found wrong with the connection, which is nothing after a close. An end of this
    /// side's own making may still be under way.
    pub(super) fn say(&self, link: &Link) {
        if self.said.swap(true, Ordering::Relaxed) {
            return;
        }
        let _ = self.at_ms.set(unix_millis(SystemTime::now()));
        let reason = link.disconnect_reason().unwrap_or(DisconnectReason::Normal);
        let mut facts = json!({ "host": self.host, "port": self.port, "reason": reason.as_str() });
        if let (Some(facts), true) = (facts.as_object_mut(), reason != DisconnectReason::Normal) {
            let lost = link.lost().at(&self.host, self.port, &self.username);
            for (name, value) in lost.to_dict() {
                facts.entry(name).or_insert(value);
            }
        }
        self.emitter.emit(EventType::Disconnect, facts);
    }

    /// When the end was noticed, in milliseconds since the Unix epoch.
    pub(super) fn at_ms(&self) -> Option<f64> {
        self.at_ms.get().copied()
    }

    /// Waits for the end in the background, without keeping the connection open.
    pub(super) fn watch(&self, link: Arc<Link>) {
        let farewell = self.clone();
        tokio::spawn(async move {
            let _ = link.ended().await;
            farewell.say(&link);
        });
    }
}
