//! What both ends of the seam know about one connection: its facts, and why it ended.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::deadline::{Phase, PhaseClock};
use crate::error::{DisconnectReason, Error, ErrorKind, Hop};

/// The negotiated algorithms, by the names of RFC 4253.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Algorithms {
    /// Key exchange.
    pub kex: String,
    /// Host key.
    pub host_key: String,
    /// Cipher, client to server and back.
    pub cipher: String,
    /// Message authentication from client to server; the cipher's own where it is an AEAD.
    pub mac_cs: String,
    /// Message authentication from server to client.
    pub mac_sc: String,
    /// Compression from client to server.
    pub compression_cs: String,
    /// Compression from server to client.
    pub compression_sc: String,
    /// Whether strict key exchange is in force (the counter-measure to the Terrapin attack).
    pub strict_kex: bool,
}

impl Algorithms {
    /// The names by field, as JSON. They were chosen from our own lists, so they need no escaping.
    #[must_use]
    pub fn to_dict(&self) -> Map<String, Value> {
        let mut dict = Map::new();
        for (name, value) in [
            ("kex", &self.kex),
            ("host_key", &self.host_key),
            ("cipher", &self.cipher),
            ("mac_cs", &self.mac_cs),
            ("mac_sc", &self.mac_sc),
            ("compression_cs", &self.compression_cs),
            ("compression_sc", &self.compression_sc),
        ] {
            dict.insert(name.to_owned(), value.clone().into());
        }
        dict.insert("strict_kex".to_owned(), self.strict_kex.into());
        dict
    }
}

/// Why a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LostReason {
    pub(crate) kind: ErrorKind,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
    pub(crate) disconnect: DisconnectReason,
    /// The jump host whose connection ended, where it was not this one.
    pub(crate) hop: Option<Hop>,
    /// Further facts, by name.
    pub(crate) details: Map<String, Value>,
}

impl LostReason {
    /// A reason that the network gave, and nothing more.
    pub(crate) fn of(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            hint: None,
            disconnect: DisconnectReason::NetworkError,
            hop: None,
            details: Map::new(),
        }
    }

    pub(crate) fn to_error(&self) -> Error {
        let mut error = Error::new(self.kind.clone(), &self.message).with_disconnect(self.disconnect);
        if let Some(hint) = &self.hint {
            error = error.with_hint(hint);
        }
        for (name, value) in &self.details {
            error = error.with_extra(name, value.clone());
        }
        match &self.hop {
            Some(hop) => error.on_the_way(hop),
            None => error,
        }
    }

    /// The same as whoever came through `last` is told it: a hop before that keeps its place, on a longer way.
    pub(crate) fn on_the_way(mut self, last: &Hop) -> Self {
        let hop = self.hop.get_or_insert_with(|| last.clone());
        hop.count = last.count;
        self
    }
}

/// Whom to tell that a server begins with the key exchange.
#[derive(Clone)]
pub(crate) struct Beginning(pub(crate) Arc<dyn Fn() + Send + Sync>);

impl fmt::Debug for Beginning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Beginning")
    }
}

/// Shared by the socket, the protocol's callbacks and everyone who holds the connection.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) clock: PhaseClock,
    /// Notified once when this side gives the connection up: its socket then fails.
    pub(super) abort: Arc<Notify>,
    identification: OnceLock<String>,
    algorithms: OnceLock<Algorithms>,
    /// Set by the host key check; the protocol crate only learns "no".
    refusal: Mutex<Option<Error>>,
    /// Called when the server begins with the key exchange, until then.
    beginning: Mutex<Option<Beginning>>,
    /// Set by the socket when what arrives is not SSH; the protocol crate only learns "I/O error".
    not_ssh: Mutex<Option<String>>,
    /// Set by the socket when the server says that it takes no more connections for now.
    busy: OnceLock<()>,
    auth_banner: Mutex<String>,
    /// What the host's name was resolved to, in the order in which it is tried.
    resolved: OnceLock<Vec<SocketAddr>>,
    /// The address that took the connection.
    peer: OnceLock<SocketAddr>,
    /// Why that ended which the connection runs over. The protocol crate only learns "end of file".
    carrier_lost: OnceLock<LostReason>,
    /// Set before this side says goodbye: the end that follows is then no loss.
    closing: OnceLock<()>,
    made: Instant,
    /// When the other side last gave a sign of life, in microseconds since `made`.
    heard: AtomicU64,
    lost: watch::Sender<Option<LostReason>>,
}

impl Link {
    pub(crate) fn new(clock: PhaseClock) -> Self {
        Self {
            clock,
            abort: Arc::new(Notify::new()),
            identification: OnceLock::new(),
            algorithms: OnceLock::new(),
            refusal: Mutex::new(None),
            beginning: Mutex::new(None),
            not_ssh: Mutex::new(None),
            busy: OnceLock::new(),
            auth_banner: Mutex::new(String::new()),
            resolved: OnceLock::new(),
            peer: OnceLock::new(),
            carrier_lost: OnceLock::new(),
            closing: OnceLock::new(),
            made: Instant::now(),
            heard: AtomicU64::new(0),
            lost: watch::Sender::new(None),
        }
    }

    /// The server's identification line, such as `SSH-2.0-OpenSSH_9.2`, unescaped.
    pub(crate) fn identification(&self) -> Option<&str> {
        self.identification.get().map(String::as_str)
    }

    pub(super) fn set_identification(&self, line: String) {
        if self.identification.set(line).is_ok() {
            self.clock.enter(Phase::Kex);
        }
    }

    /// Has this called once the server has sent something beyond its identification: it is up, and not just a port that
    /// somebody has opened for it.
    pub(crate) fn tell_of_beginning(&self, beginning: Beginning) {
        *self.beginning.lock().unwrap_or_else(PoisonError::into_inner) = Some(beginning);
    }

    pub(super) fn has_begun(&self) {
        let told = self
            .beginning
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(Beginning(tell)) = told {
            tell();
        }
    }

    pub(crate) fn algorithms(&self) -> Option<&Algorithms> {
        self.algorithms.get()
    }

    pub(super) fn set_algorithms(&self, algorithms: Algorithms) {
        // A rekey negotiates anew with the same preferences; the first answer is the one that evidence wants.
        let _ = self.algorithms.set(algorithms);
    }

    pub(super) fn refuse(&self, error: Error) {
        *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    pub(super) fn take_refusal(&self) -> Option<Error> {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(super) fn set_not_ssh(&self, what: String) {
        *self.not_ssh.lock().unwrap_or_else(PoisonError::into_inner) = Some(what);
    }

    pub(super) fn take_not_ssh(&self) -> Option<String> {
        self.not_ssh.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(super) fn set_busy(&self) {
        let _ = self.busy.set(());
    }

    pub(super) fn is_busy(&self) -> bool {
        self.busy.get().is_some()
    }

    /// Says why the stream is about to end, where that is known better than from the stream.
    pub(super) fn set_carrier_lost(&self, reason: LostReason) {
        let _ = self.carrier_lost.set(reason);
    }

    pub(super) fn carrier_lost(&self) -> Option<&LostReason> {
        self.carrier_lost.get()
    }

    /// What the server said during authentication (RFC 4252 section 5.4), unescaped.
    pub(crate) fn auth_banner(&self) -> String {
        self.auth_banner
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn add_auth_banner(&self, text: &str) {
        const LIMIT: usize = 64 * 1024;
        let mut banner = self.auth_banner.lock().unwrap_or_else(PoisonError::into_inner);
        let room = LIMIT.saturating_sub(banner.len());
        banner.extend(text.chars().take(room));
    }

    /// The addresses that were found for the host; empty where nothing was resolved here.
    pub(crate) fn resolved(&self) -> &[SocketAddr] {
        self.resolved.get().map(Vec::as_slice).unwrap_or_default()
    }

    pub(super) fn set_resolved(&self, addresses: &[SocketAddr]) {
        let _ = self.resolved.set(addresses.to_vec());
    }

    /// The address that took the connection, where it is one of the host's own.
    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        self.peer.get().copied()
    }

    pub(super) fn set_peer(&self, address: SocketAddr) {
        let _ = self.peer.set(address);
    }

    /// From now on the end of the connection is this side's own doing.
    pub(super) fn set_closing(&self) {
        let _ = self.closing.set(());
    }

    /// Ends the connection without a word: its socket fails.
    pub(super) fn give_up(&self) {
        self.set_closing();
        // A permit is stored if the socket is not in use at this moment.
        self.abort.notify_one();
    }

    /// Ends the connection for a reason that this side has found: its socket fails at once, even in a write that the
    /// other side does not take.
    pub(crate) fn fail(&self, reason: LostReason) {
        self.set_lost(reason);
        self.abort.notify_one();
    }

    /// Records a sign of life from the other side: bytes that arrived, or room for more of ours.
    pub(super) fn hear(&self) {
        let since = u64::try_from(self.made.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.heard.store(since, Ordering::Relaxed);
    }

    /// When the other side last gave a sign of life.
    pub(crate) fn last_heard(&self) -> Instant {
        self.made + Duration::from_micros(self.heard.load(Ordering::Relaxed))
    }

    /// Why the connection ended; `None` while it has not.
    pub(crate) fn disconnect_reason(&self) -> Option<DisconnectReason> {
        self.lost.borrow().as_ref().map(|reason| reason.disconnect)
    }

    /// Records why the connection ended; the first reason stays.
    pub(super) fn set_lost(&self, reason: LostReason) {
        let reason = match self.closing.get() {
            Some(()) => LostReason {
                disconnect: DisconnectReason::Normal,
                ..LostReason::of(ErrorKind::Connection, "the connection was closed by this side")
            },
            None => self.carrier_lost.get().cloned().unwrap_or(reason),
        };
        self.lost.send_if_modified(|lost| {
            let first = lost.is_none();
            lost.get_or_insert(reason);
            first
        });
    }

    /// The reason the connection ended, as an error; a general one while none is known.
    pub(crate) fn lost(&self) -> Error {
        match self.lost.borrow().as_ref() {
            Some(reason) => reason.to_error(),
            None => Error::new(ErrorKind::Connection, "the connection was lost"),
        }
    }

    /// Waits until the connection has ended. Cancel-safe.
    pub(crate) async fn ended(&self) -> Error {
        self.loss().await.to_error()
    }

    /// Waits until the connection has ended, and why. Cancel-safe.
    pub(crate) async fn loss(&self) -> LostReason {
        let mut lost = self.lost.subscribe();
        // The sender lives in `self`, so waiting can only end with a reason.
        let reason = lost.wait_for(Option::is_some).await;
        reason
            .ok()
            .and_then(|reason| reason.clone())
            .unwrap_or_else(|| LostReason::of(ErrorKind::Connection, "the connection was lost"))
    }

    /// [`Link::lost`], once the reason has had a moment to arrive: callers may notice the end before it is known.
    pub(crate) async fn settled_loss(&self) -> Error {
        const MOMENT: Duration = Duration::from_millis(500);
        let _ = tokio::time::timeout(MOMENT, self.ended()).await;
        self.lost()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.lost.borrow().is_some()
    }
}

/// Gives the connection up when dropped, wherever it is.
#[derive(Debug)]
pub(super) struct AbortOnDrop(pub(super) Arc<Link>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.give_up();
    }
}
