//! The one error type: what failed, in which phase, how far the request got, and what to try next.

mod context;
mod kind;

use std::borrow::Cow;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value};
use sternline_proto::redact::{Redactor, redact_string};
use thiserror::Error as ThisError;

use crate::deadline::Phase;

pub use context::{ContextCollision, DisconnectReason, ErrorContext, Hop, SendState};
pub use kind::{AgentReason, ErrorKind, KeyLoadReason, SandboxReason};

/// A result with Sternline's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a command had written when it failed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartialOutput {
    /// Standard output so far.
    pub stdout: Bytes,
    /// Standard error so far.
    pub stderr: Bytes,
}

/// Why something failed.
///
/// `Display` gives what happened; [`Error::hint`] what to do about it. Neither ever holds a secret, and text from a
/// peer or a file is escaped in both.
///
/// A clone is the same failure, told to another one whom it concerns.
#[derive(Clone, ThisError)]
#[error("{}{}", HopPrefix(self.0.context.hop.as_ref()), self.0.message)]
pub struct Error(Box<Inner>);

/// Which hop it was, in front of what happened there.
struct HopPrefix<'a>(Option<&'a Hop>);

impl fmt::Display for HopPrefix<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |hop| write!(f, "{hop}: "))
    }
}

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    message: String,
    phase: Option<Phase>,
    sent: SendState,
    hint: Option<String>,
    context: ErrorContext,
    partial: Option<PartialOutput>,
    /// Known of a connection that was open; otherwise the kind tells.
    disconnect: Option<DisconnectReason>,
}

impl Error {
    /// An error of a request that never left. The message is redacted, and must already be escaped.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl AsRef<str>) -> Self {
        let mut context = ErrorContext::default();
        match kind {
            ErrorKind::KeyLoad(reason) => {
                context.extra.insert("reason".into(), reason.as_str().into());
            }
            ErrorKind::Agent(reason) => {
                context.extra.insert("reason".into(), reason.as_str().into());
            }
            ErrorKind::Sudo(reason) => {
                context.extra.insert("reason".into(), reason.as_str().into());
            }
            ErrorKind::Sandbox(reason) => {
                context.extra.insert("reason".into(), reason.as_str().into());
            }
            ErrorKind::RemoteFile(code) => {
                context.extra.insert("reason".into(), code.as_str().into());
                context.extra.insert("status".into(), code.number().into());
            }
            ErrorKind::LocalFile(reason) => {
                context.extra.insert("reason".into(), reason.to_string().into());
            }
            _ => {}
        }
        Self(Box::new(Inner {
            kind,
            message: redact_string(message.as_ref()).to_string(),
            phase: None,
            sent: SendState::NotSent,
            hint: None,
            context,
            partial: None,
            disconnect: None,
        }))
    }

    /// The expiry of a phase.
    pub(crate) fn phase_timeout(phase: Phase, limit: Duration, overall: bool) -> Self {
        let which = if overall { "the overall limit" } else { "the limit" };
        Self::new(
            ErrorKind::ConnectionTimeout,
            format!(
                "timed out while {}: {which} of {} passed",
                phase.describe(),
                seconds(limit)
            ),
        )
        .in_phase(phase)
        .with_hint(match phase {
            Phase::Proxy => "check that the jump hosts can be reached, or raise the limit",
            Phase::Resolve => "check the name and this machine's DNS settings",
            Phase::Tcp => "check the address, the port and any firewall between here and there",
            Phase::Banner => "something accepts connections there but does not speak SSH: check the port",
            Phase::Kex => "the server stopped in the middle of the handshake: check its load and its log",
            Phase::Auth => {
                "the server is slow to decide: check its log (PAM, DNS look-ups), or raise the limit"
            }
            _ => "raise the limit if the server is only slow",
        })
    }

    pub(crate) fn in_phase(mut self, phase: Phase) -> Self {
        self.0.phase.get_or_insert(phase);
        self
    }

    /// Puts what was going on before the message: `gave up after 4 attempts: connection refused ...`.
    pub(crate) fn within(mut self, what: &str) -> Self {
        self.0.message = format!("{what}: {}", self.0.message);
        self
    }

    pub(crate) fn with_hint(mut self, hint: impl AsRef<str>) -> Self {
        self.0.hint = Some(redact_string(hint.as_ref()).to_string());
        self
    }

    pub(crate) fn with_sent(mut self, sent: SendState) -> Self {
        self.0.sent = sent;
        self
    }

    pub(crate) fn with_source_text(mut self, error: &dyn fmt::Display) -> Self {
        let text = sternline_proto::text::escape(&error.to_string());
        self.0.context.original_error = Some(redact_string(&text).to_string());
        self
    }

    pub(crate) fn take_partial_output(&mut self) -> Option<PartialOutput> {
        self.0.partial.take()
    }

    pub(crate) fn with_partial(mut self, partial: PartialOutput) -> Self {
        self.0.partial = Some(partial);
        self
    }

    /// The same failure as the expiry of an operation's own time limit: `what` was to be done within `limit`.
    pub(crate) fn into_operation_timeout(mut self, what: &str, limit: Duration) -> Self {
        let hint = self.hint().to_owned();
        self.0.kind = ErrorKind::OperationTimeout;
        let what = redact_string(what).to_string();
        self.within(&format!("{what} timed out after {}", seconds(limit)))
            .with_hint(hint)
            .with_extra("operation", what)
            .with_extra("timeout_seconds", limit.as_secs_f64())
    }

    pub(crate) fn with_disconnect(mut self, reason: DisconnectReason) -> Self {
        self.0.disconnect = Some(reason);
        self
    }

    pub(crate) fn with_key_path(mut self, path: &Path) -> Self {
        self.0.context.key_path = Some(path.to_owned());
        self
    }

    /// Without the values that a filter knows to be secret: what a server says may repeat one. The output that came
    /// before the failure is what the caller asked for, and stays.
    pub(crate) fn redacted_by(mut self, redactor: &Redactor) -> Self {
        if redactor.is_empty() {
            return self;
        }
        let inner = &mut *self.0;
        let context = &mut inner.context;
        let texts = [
            &mut context.host,
            &mut context.username,
            &mut context.original_error,
            &mut inner.hint,
        ];
        let hop = context.hop.as_mut().map(|hop| &mut hop.target);
        for text in texts.into_iter().flatten().chain(hop).chain([&mut inner.message]) {
            if let Cow::Owned(redacted) = redactor.redact_string(text) {
                *text = redacted;
            }
        }
        if let Some(path) = &mut context.key_path
            && let Cow::Owned(redacted) = redactor.redact_string(&path.to_string_lossy())
        {
            *path = redacted.into();
        }
        for value in context.extra.values_mut() {
            *value = redactor.redact_secrets(value);
        }
        self
    }

    /// Fills what is not yet known about where the error happened.
    pub(crate) fn at(mut self, host: &str, port: u16, username: &str) -> Self {
        let context = &mut self.0.context;
        context.host.get_or_insert_with(|| host.to_owned());
        context.port.get_or_insert(port);
        context.username.get_or_insert_with(|| username.to_owned());
        self
    }

    /// Says that it happened at a jump host, `last` on the way to whoever is told now. A hop before it keeps its place,
    /// on what is now a longer way. Where it happened is then the host at the end of the way, which
    /// [`Error::at`] fills in anew.
    pub(crate) fn on_the_way(mut self, last: &Hop) -> Self {
        let context = &mut self.0.context;
        (context.host, context.port, context.username) = (None, None, None);
        let hop = context.hop.get_or_insert_with(|| last.clone());
        hop.count = last.count;
        self
    }

    pub(crate) fn with_auth_methods(mut self, methods: &str) -> Self {
        if !methods.is_empty() {
            self.0.context.auth_method = Some(methods.to_owned());
        }
        self
    }

    pub(crate) fn with_extra(mut self, name: &str, value: impl Into<Value>) -> Self {
        // A collision cannot happen with the fixed names used inside this crate, and would only lose a detail.
        let _ = self.0.context.insert_extra(name, value);
        self
    }

    /// What failed.
    #[must_use]
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// The class name used in events and JSON, for example `ConnectionRefused`.
    #[must_use]
    pub fn error_type(&self) -> &'static str {
        self.0.kind.as_str()
    }

    /// The phase in which it failed, if it got as far as one.
    #[must_use]
    pub fn phase(&self) -> Option<Phase> {
        self.0.phase
    }

    /// How far the request got.
    #[must_use]
    pub fn sent(&self) -> SendState {
        self.0.sent
    }

    /// Why there is no connection, or the command was given up: what a record of the connection has to say about its
    /// end. `None` where the error is about neither, such as a wrong argument or a channel that was refused.
    #[must_use]
    pub fn disconnect_reason(&self) -> Option<DisconnectReason> {
        self.0.disconnect.or(match &self.0.kind {
            ErrorKind::ProgressTimeout => Some(DisconnectReason::ProgressTimeout),
            kind if kind.is_authentication() => Some(DisconnectReason::AuthFailure),
            kind if kind.is_connection() => Some(DisconnectReason::NetworkError),
            _ => None,
        })
    }

    /// What to do next, as a fragment without a full stop.
    #[must_use]
    pub fn hint(&self) -> &str {
        self.0
            .hint
            .as_deref()
            .unwrap_or_else(|| self.0.kind.general_hint())
    }

    /// Whether the server said that it takes no more connections for the moment (MaxStartups in sshd_config(5)). The fact
    /// `server_busy` says so in JSON.
    #[must_use]
    pub fn server_is_busy(&self) -> bool {
        self.0
            .context
            .extra
            .get("server_busy")
            .is_some_and(|busy| busy == true)
    }

    /// Where it happened.
    #[must_use]
    pub fn context(&self) -> &ErrorContext {
        &self.0.context
    }

    /// What a failed command had written: present whenever it had been started.
    #[must_use]
    pub fn partial_output(&self) -> Option<&PartialOutput> {
        self.0.partial.as_ref()
    }

    /// A flat JSON object: `error_type`, `message`, `phase`, `sent`, `hint`, and the context's fields beside them.
    #[must_use]
    pub fn to_dict(&self) -> Map<String, Value> {
        let mut dict = Map::new();
        dict.insert("error_type".into(), self.error_type().into());
        dict.insert("message".into(), self.to_string().into());
        if let Some(phase) = self.0.phase {
            dict.insert("phase".into(), phase.as_str().into());
        }
        dict.insert("sent".into(), self.0.sent.as_str().into());
        dict.insert("hint".into(), self.hint().into());
        dict.append(&mut self.0.context.to_dict());
        dict
    }
}

/// The same facts as `Display` and [`Error::to_dict`], never more: partial output may hold anything.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error({})", Value::Object(self.to_dict()))
    }
}

/// A duration as people write it: `1.5 s`, `30 s`, `250 ms`.
pub(crate) fn seconds(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis < 1000 {
        format!("{millis} ms")
    } else if millis.is_multiple_of(1000) {
        format!("{} s", millis / 1000)
    } else {
        format!("{:.1} s", duration.as_secs_f64())
    }
}

#[cfg(test)]
mod tests;
