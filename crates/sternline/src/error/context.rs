//! What is known about a failure besides its kind: how a connection ended, how far a request got, and where it happened.

use std::fmt;
use std::path::PathBuf;

use serde_json::{Map, Value};
use thiserror::Error as ThisError;

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
    pub(super) extra: Map<String, Value>,
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
