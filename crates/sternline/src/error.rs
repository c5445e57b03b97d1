//! The one error type: what failed, in which phase, how far the request got, and what to try next.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value};
use sternline_proto::redact::{Redactor, redact_string};
use sternline_proto::sftp::StatusCode;
use sternline_proto::sudo::SudoRefusal;
use thiserror::Error as ThisError;

use crate::deadline::Phase;

/// A result with Sternline's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong.
///
/// [`ErrorKind::is_connection`] and [`ErrorKind::is_authentication`] give the two families of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The connection could not be made or was lost, for a reason that has no kind of its own.
    Connection,
    /// The server refused the TCP connection.
    ConnectionRefused,
    /// A phase of connecting did not end in time.
    ConnectionTimeout,
    /// No address was found for the host, or none can be reached from here.
    HostUnreachable,
    /// No credential was accepted.
    AuthFailed,
    /// The host key is unknown, changed, revoked, or its certificate is not acceptable.
    HostKeyMismatch,
    /// The two sides have no algorithm in common.
    NoMutualKex,
    /// A private key cannot be loaded.
    KeyLoad(KeyLoadReason),
    /// The SSH agent cannot be used.
    Agent(AgentReason),
    /// The server refused a channel or a request on it, or what it sent on one made no sense.
    Channel,
    /// A command did not end within its time limit.
    CommandTimeout,
    /// A command neither wrote nor read anything for as long as `KeepaliveConfig::progress_timeout` allows.
    ProgressTimeout,
    /// Output that was waited for did not come within its time limit.
    ExpectTimeout,
    /// A command was cancelled by its caller.
    Cancelled,
    /// A command's channel closed without an exit status or signal.
    NoExitStatus,
    /// A command ended with a status other than 0, or by a signal; only `ExecResult::success` says so.
    CommandFailed,
    /// sudo did not start the command: see [`ExecRequest::sudo_password`](crate::ExecRequest::sudo_password).
    Sudo(SudoRefusal),
    /// A command wrote more than could be kept while nobody read it.
    OutputOverflow,
    /// The server did not do what was asked with a file of its own. The code is what SFTP says about it.
    RemoteFile(StatusCode),
    /// This machine did not do what was asked with a file of its own. The kind is what the system says about it.
    LocalFile(std::io::ErrorKind),
    /// An argument or setting makes no sense; nothing was attempted.
    Invalid,
    /// Something on this machine failed: a file, a process, a thread.
    Local,
}

/// Why a private key could not be loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyLoadReason {
    /// There is no such file.
    FileNotFound,
    /// The file may not be read.
    PermissionDenied,
    /// The key is encrypted and the passphrase is missing or wrong.
    WrongPassphrase,
    /// The file is not a private key in a supported format.
    InvalidFormat,
    /// Anything else.
    Unknown,
}

impl KeyLoadReason {
    /// The name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FileNotFound => "file_not_found",
            Self::PermissionDenied => "permission_denied",
            Self::WrongPassphrase => "wrong_passphrase",
            Self::InvalidFormat => "invalid_format",
            Self::Unknown => "unknown",
        }
    }
}

/// Why the SSH agent could not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AgentReason {
    /// No agent is configured (`SSH_AUTH_SOCK` is not set).
    NoAuthSock,
    /// The agent's socket does not exist.
    SocketNotFound,
    /// The socket exists but nobody answers.
    ConnectionFailed,
    /// The agent answers, but not as an agent does, or refuses.
    CommunicationError,
    /// The agent holds no key.
    NoKeys,
}

impl AgentReason {
    /// The name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoAuthSock => "no_auth_sock",
            Self::SocketNotFound => "socket_not_found",
            Self::ConnectionFailed => "connection_failed",
            Self::CommunicationError => "communication_error",
            Self::NoKeys => "no_keys",
        }
    }
}

impl ErrorKind {
    /// The class name used in events and JSON; stable.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Connection => "SSHConnectionError",
            Self::ConnectionRefused => "ConnectionRefused",
            Self::ConnectionTimeout => "ConnectionTimeout",
            Self::HostUnreachable => "HostUnreachable",
            Self::AuthFailed => "AuthFailed",
            Self::HostKeyMismatch => "HostKeyMismatch",
            Self::NoMutualKex => "NoMutualKex",
            Self::KeyLoad(_) => "KeyLoadError",
            Self::Agent(_) => "AgentError",
            Self::Channel => "ChannelError",
            Self::CommandTimeout => "CommandTimeout",
            Self::ProgressTimeout => "ProgressTimeout",
            Self::ExpectTimeout => "ExpectTimeout",
            Self::Cancelled => "Cancelled",
            Self::NoExitStatus => "NoExitStatus",
            Self::CommandFailed => "CommandFailed",
            Self::Sudo(_) => "SudoError",
            Self::OutputOverflow => "OutputOverflow",
            Self::RemoteFile(_) => "RemoteFileError",
            Self::LocalFile(_) => "LocalFileError",
            Self::Invalid => "InvalidArgument",
            Self::Local => "LocalError",
        }
    }

    /// What to do about it, where nothing more precise is known.
    fn general_hint(&self) -> &'static str {
        match self {
            Self::Connection => "check the network and the server's log, then connect again",
            Self::ConnectionRefused => "check that an SSH server runs there, and listens on this port",
            Self::ConnectionTimeout => "check the address and any firewall between here and there",
            Self::HostUnreachable => "check the name, the route, and any VPN",
            Self::AuthFailed => "check the user name, and which keys and methods the server takes",
            Self::HostKeyMismatch => "ask the host's administrator for its fingerprint by another channel",
            Self::NoMutualKex => "update the server, or ask for stronger algorithms there",
            Self::KeyLoad(_) => "check the path, the permissions and the passphrase of the key",
            Self::Agent(_) => "start an agent and add a key with ssh-add, or name a key file",
            Self::Channel => "see the server's log for the reason",
            Self::CommandTimeout => "raise the time limit, or find out what the command waits for",
            Self::ProgressTimeout => "raise the limit, or find out what the command waits for",
            Self::ExpectTimeout => {
                "see what the program wrote instead; wait for that, or longer where it is only slow"
            }
            Self::Cancelled => "run the command again when it may go on",
            Self::NoExitStatus => "check on the server whether the command has done its work",
            Self::CommandFailed => "see what the command wrote",
            Self::Sudo(SudoRefusal::PasswordRefused) => {
                "check the password; sudo wants that of the account that logs in, unless its targetpw or rootpw is set"
            }
            Self::Sudo(SudoRefusal::NotInSudoers) => "have the account added to sudoers(5) there",
            Self::Sudo(SudoRefusal::NotAllowed) => {
                "see what `sudo -l` lists there: the rule has to allow sh, which starts the command"
            }
            Self::Sudo(SudoRefusal::TerminalRequired) => {
                "run it in a terminal (-t), or have requiretty taken out of sudoers(5) there"
            }
            Self::Sudo(SudoRefusal::Missing) => {
                "install sudo there, or put it into the PATH of a login without a shell's start-up files"
            }
            Self::Sudo(SudoRefusal::Question) => "answer it by hand, in a terminal of your own there",
            Self::Sudo(_) => "run sudo by hand there to see what it wants",
            Self::RemoteFile(StatusCode::NoSuchFile) => {
                "check the path; one without a leading / begins where the server does, usually in the home directory"
            }
            Self::RemoteFile(StatusCode::PermissionDenied) => {
                "check owner and mode of the file, and of the directories above it, for the user who logged in"
            }
            Self::RemoteFile(StatusCode::OpUnsupported) => {
                "the server does not have this operation: do without it, or do it by a command"
            }
            // No space, and a quota: the numbers are those of the later drafts of SFTP.
            Self::RemoteFile(StatusCode::Other(14 | 15)) => {
                "make room on that file system, or choose another one"
            }
            Self::RemoteFile(_) => "see the server's log for the reason",
            Self::LocalFile(std::io::ErrorKind::NotFound) => "check the path",
            Self::LocalFile(std::io::ErrorKind::PermissionDenied) => {
                "check owner and mode of the file, and of the directories above it"
            }
            Self::LocalFile(std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded) => {
                "make room on that file system, or choose another one"
            }
            Self::LocalFile(_) => "see the reason given, and mend it on this machine",
            Self::OutputOverflow => "read the output faster, or have the command write less",
            Self::Invalid => "correct the argument and try again",
            Self::Local => "see the reason given, and mend it on this machine",
        }
    }

    /// Whether the network or the server's end of it failed (`SSHConnectionError` and below).
    #[must_use]
    pub fn is_connection(&self) -> bool {
        matches!(
            self,
            Self::Connection | Self::ConnectionRefused | Self::ConnectionTimeout | Self::HostUnreachable
        )
    }

    /// Whether trust or credentials failed (`AuthenticationError` and below): trying again will not help.
    #[must_use]
    pub fn is_authentication(&self) -> bool {
        matches!(
            self,
            Self::AuthFailed | Self::HostKeyMismatch | Self::NoMutualKex | Self::KeyLoad(_) | Self::Agent(_)
        )
    }
}

/// Why a connection ended, or was never made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DisconnectReason {
    /// This side closed it.
    Normal,
    /// The server answered none of the keepalive probes.
    KeepaliveTimeout,
    /// A command stalled for longer than `KeepaliveConfig::progress_timeout` allows.
    ProgressTimeout,
    /// The network or the server's end of it failed.
    NetworkError,
    /// Trust or credentials failed, so that there was no connection to use.
    AuthFailure,
}

impl DisconnectReason {
    /// The name in events and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::KeepaliveTimeout => "keepalive_timeout",
            Self::ProgressTimeout => "progress_timeout",
            Self::NetworkError => "network_error",
            Self::AuthFailure => "auth_failure",
        }
    }

    /// The reason with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [
            Self::Normal,
            Self::KeepaliveTimeout,
            Self::ProgressTimeout,
            Self::NetworkError,
            Self::AuthFailure,
        ]
        .into_iter()
        .find(|reason| reason.as_str() == name)
    }
}

impl fmt::Display for DisconnectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How far a request got before it failed. What was never sent can safely be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SendState {
    /// The server never saw the request.
    NotSent,
    /// The request left, and nothing says whether it took effect.
    MayHaveRun,
    /// The server did begin to carry it out.
    Ran,
}

impl SendState {
    /// The name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotSent => "not_sent",
            Self::MayHaveRun => "may_have_run",
            Self::Ran => "ran",
        }
    }
}

/// A jump host on the way to a host.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hop {
    /// Which one it is, from 1: the nearest.
    pub number: usize,
    /// How many there are on the way.
    pub count: usize,
    /// `user@host:port`.
    pub target: String,
}

impl fmt::Display for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "jump host {} of {} ({})", self.number, self.count, self.target)
    }
}

/// The circumstances of an error. Empty fields are left out of [`ErrorContext::to_dict`].
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct ErrorContext {
    /// The host, as it was named.
    pub host: Option<String>,
    /// Its port.
    pub port: Option<u16>,
    /// Who was logging in.
    pub username: Option<String>,
    /// The jump host that failed, where it was not the host itself. Three names in JSON: `hop` is its target,
    /// `hop_number` and `hop_count` its place.
    pub hop: Option<Hop>,
    /// The authentication methods that were tried, joined by commas.
    pub auth_method: Option<String>,
    /// The private key that was being loaded or offered.
    pub key_path: Option<PathBuf>,
    /// The text of the lower-level error.
    pub original_error: Option<String>,
    /// Further facts, by name.
    extra: Map<String, Value>,
}

/// An extra fact has the name of a field of [`ErrorContext`], or of the error itself.
#[derive(Debug, Clone, PartialEq, Eq, ThisError)]
#[error("{0:?} is the name of a field, choose another for the extra fact")]
pub struct ContextCollision(pub String);

impl ErrorContext {
    const RESERVED: [&'static str; 14] = [
        "host",
        "port",
        "username",
        "hop",
        "hop_number",
        "hop_count",
        "auth_method",
        "key_path",
        "original_error",
        "extra",
        "error_type",
        "message",
        "phase",
        "sent",
    ];

    /// Further facts, by name.
    #[must_use]
    pub fn extra(&self) -> &Map<String, Value> {
        &self.extra
    }

    /// Adds a fact.
    ///
    /// # Errors
    /// When the name is taken by a field: the flattened form could not tell the two apart.
    pub fn insert_extra(&mut self, name: &str, value: impl Into<Value>) -> Result<(), ContextCollision> {
        if Self::RESERVED.contains(&name) {
            return Err(ContextCollision(name.to_owned()));
        }
        self.extra.insert(name.to_owned(), value.into());
        Ok(())
    }

    /// A flat JSON object: the fields that are set, and every extra fact beside them.
    #[must_use]
    pub fn to_dict(&self) -> Map<String, Value> {
        let mut dict = Map::new();
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                dict.insert(name.to_owned(), value);
            }
        };
        put("host", self.host.clone().map(Value::from));
        put("port", self.port.map(Value::from));
        put("username", self.username.clone().map(Value::from));
        put("hop", self.hop.as_ref().map(|hop| hop.target.clone().into()));
        put("hop_number", self.hop.as_ref().map(|hop| hop.number.into()));
        put("hop_count", self.hop.as_ref().map(|hop| hop.count.into()));
        put("auth_method", self.auth_method.clone().map(Value::from));
        put(
            "key_path",
            self.key_path
                .as_ref()
                .map(|path| path.display().to_string().into()),
        );
        put("original_error", self.original_error.clone().map(Value::from));
        for (name, value) in &self.extra {
            dict.insert(name.clone(), value.clone());
        }
        dict
    }
}

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

    pub(crate) fn with_partial(mut self, partial: PartialOutput) -> Self {
        self.0.partial = Some(partial);
        self
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
mod tests {
    use super::*;

    #[test]
    fn no_hint_is_taken_for_a_secret_by_our_own_filter() {
        for kind in [
            ErrorKind::AuthFailed,
            ErrorKind::KeyLoad(KeyLoadReason::Unknown),
            ErrorKind::Agent(AgentReason::NoAuthSock),
            ErrorKind::Sudo(SudoRefusal::PasswordRefused),
            ErrorKind::Sudo(SudoRefusal::NotInSudoers),
            ErrorKind::Sudo(SudoRefusal::NotAllowed),
            ErrorKind::Sudo(SudoRefusal::TerminalRequired),
            ErrorKind::Sudo(SudoRefusal::Missing),
            ErrorKind::Sudo(SudoRefusal::Question),
            ErrorKind::Sudo(SudoRefusal::Silent),
        ] {
            let hint = kind.general_hint();
            assert_eq!(redact_string(hint), hint);
        }
    }

    #[test]
    fn the_two_families_of_the_tree_hold_their_leaves_and_nothing_else() {
        let connection = [
            "SSHConnectionError",
            "ConnectionRefused",
            "ConnectionTimeout",
            "HostUnreachable",
        ];
        let authentication = [
            "AuthFailed",
            "HostKeyMismatch",
            "NoMutualKex",
            "KeyLoadError",
            "AgentError",
        ];
        for kind in [
            ErrorKind::Connection,
            ErrorKind::ConnectionRefused,
            ErrorKind::ConnectionTimeout,
            ErrorKind::HostUnreachable,
            ErrorKind::AuthFailed,
            ErrorKind::HostKeyMismatch,
            ErrorKind::NoMutualKex,
            ErrorKind::KeyLoad(KeyLoadReason::FileNotFound),
            ErrorKind::Agent(AgentReason::NoAuthSock),
            ErrorKind::Channel,
            ErrorKind::CommandTimeout,
            ErrorKind::RemoteFile(StatusCode::Failure),
            ErrorKind::Invalid,
        ] {
            assert_eq!(
                kind.is_connection(),
                connection.contains(&kind.as_str()),
                "{kind:?}"
            );
            assert_eq!(
                kind.is_authentication(),
                authentication.contains(&kind.as_str()),
                "{kind:?}"
            );
        }
    }

    #[test]
    fn to_dict_flattens_the_context_and_leaves_out_what_is_unset() {
        let error = Error::new(ErrorKind::ConnectionRefused, "connection refused")
            .in_phase(Phase::Tcp)
            .at("db-1", 22, "alice")
            .with_extra("addresses", vec!["10.0.0.1"]);
        let dict = Value::Object(error.to_dict());
        assert_eq!(
            dict,
            serde_json::json!({
                "error_type": "ConnectionRefused", "message": "connection refused", "phase": "tcp",
                "sent": "not_sent", "hint": "check that an SSH server runs there, and listens on this port", "host": "db-1", "port": 22, "username": "alice", "addresses": ["10.0.0.1"],
            })
        );
    }

    #[test]
    fn an_error_gives_the_reason_of_the_disconnect_that_it_is_about() {
        for (kind, reason) in [
            (ErrorKind::ConnectionRefused, Some("network_error")),
            (ErrorKind::ConnectionTimeout, Some("network_error")),
            (ErrorKind::AuthFailed, Some("auth_failure")),
            (ErrorKind::HostKeyMismatch, Some("auth_failure")),
            (ErrorKind::ProgressTimeout, Some("progress_timeout")),
            (ErrorKind::CommandTimeout, None),
            (ErrorKind::Invalid, None),
        ] {
            let found = Error::new(kind.clone(), "m").disconnect_reason();
            assert_eq!(found.map(DisconnectReason::as_str), reason, "{kind:?}");
        }
        let lost = Error::new(ErrorKind::Connection, "m").with_disconnect(DisconnectReason::KeepaliveTimeout);
        assert_eq!(lost.disconnect_reason(), Some(DisconnectReason::KeepaliveTimeout));
    }

    #[test]
    fn an_extra_fact_cannot_hide_a_field() {
        let mut context = ErrorContext::default();
        for name in [
            "host",
            "port",
            "username",
            "auth_method",
            "key_path",
            "original_error",
            "message",
        ] {
            assert_eq!(context.insert_extra(name, 1), Err(ContextCollision(name.into())));
        }
        assert_eq!(context.insert_extra("attempt", 2), Ok(()));
        assert_eq!(context.extra().get("attempt"), Some(&Value::from(2)));
    }

    #[test]
    fn the_reasons_of_key_and_agent_errors_stand_in_the_context() {
        let key = Error::new(ErrorKind::KeyLoad(KeyLoadReason::WrongPassphrase), "m")
            .with_key_path(Path::new("/k"));
        assert_eq!(
            key.to_dict().get("reason"),
            Some(&Value::from("wrong_passphrase"))
        );
        assert_eq!(key.to_dict().get("key_path"), Some(&Value::from("/k")));
        let agent = Error::new(ErrorKind::Agent(AgentReason::SocketNotFound), "m");
        assert_eq!(
            agent.to_dict().get("reason"),
            Some(&Value::from("socket_not_found"))
        );
    }

    #[test]
    fn messages_are_redacted() {
        let error = Error::new(ErrorKind::Local, "cannot run: mysql --password=hunter2")
            .with_hint("password=hunter2");
        assert!(!format!("{error} {error:?} {:?}", error.hint()).contains("hunter2"));
    }

    #[test]
    fn durations_read_well() {
        for (millis, text) in [(250, "250 ms"), (1000, "1 s"), (1500, "1.5 s"), (30_000, "30 s")] {
            assert_eq!(seconds(Duration::from_millis(millis)), text);
        }
    }
}
