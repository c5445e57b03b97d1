//! What a server offers, in the protocol crate's terms.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use russh::keys::{Algorithm, EcdsaCurve, HashAlg};
use russh::{MethodKind, MethodSet, Preferred, SshId, cipher, compression, server};

use crate::credential::{CurrentUsers, Factor, Users};
use crate::exec::Commands;
use crate::fault::Refusals;
use crate::files::Served;
use crate::forward::Forwarding;
use crate::log::Log;
use crate::protocol::key::KeyPair;

/// What all connections of one server share.
#[derive(Clone)]
pub(crate) struct Protocol {
    pub(crate) config: Arc<server::Config>,
    pub(crate) users: Arc<CurrentUsers>,
    pub(crate) commands: Commands,
    pub(crate) limits: Limits,
    pub(crate) forwarding: Arc<Forwarding>,
    pub(crate) refusals: Arc<Refusals>,
    pub(crate) log: Arc<Log>,
    pub(crate) face: Face,
    /// The files, when there are any.
    pub(crate) served: Option<Arc<Served>>,
}

/// Limits, mostly with the names and defaults of sshd_config(5).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Connections served at a time.
    pub(crate) max_connections: usize,
    pub(crate) max_sessions: usize,
    pub(crate) max_auth_tries: usize,
    pub(crate) login_grace_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 2048,
            max_sessions: 10,
            max_auth_tries: 6,
            login_grace_time: Duration::from_secs(120),
        }
    }
}

/// What a server shows of itself before anybody has logged in.
#[derive(Debug, Clone, Default)]
pub(crate) struct Face {
    /// Another identification line than its own (RFC 4253 section 4.2), without its end.
    pub(crate) identification: Option<String>,
    /// The text for whoever logs in (RFC 4252 section 5.4).
    pub(crate) banner: Option<String>,
}

/// What the protocol crate is told, which depends on the host keys.
pub(crate) fn config(
    users: &Users,
    limits: Limits,
    face: &Face,
    host_keys: &[KeyPair],
) -> Arc<server::Config> {
    let own = concat!("SSH-2.0-Sternline_", env!("CARGO_PKG_VERSION"));
    let identification = face.identification.clone().map(Cow::Owned);
    Arc::new(server::Config {
        server_id: SshId::Standard(identification.unwrap_or(Cow::Borrowed(own))),
        methods: methods(&users.offered()),
        // Secrets are compared in constant time instead.
        auth_rejection_time: Duration::ZERO,
        max_auth_attempts: limits.max_auth_tries,
        keys: host_keys.iter().map(|pair| pair.private().clone()).collect(),
        preferred: preferred(),
        inactivity_timeout: None,
        ..server::Config::default()
    })
}

impl Protocol {
    /// The same server with other host keys.
    pub(crate) fn with_host_keys(&self, host_keys: &[KeyPair]) -> Self {
        Self {
            config: config(&self.users.now(), self.limits, &self.face, host_keys),
            ..self.clone()
        }
    }
}

pub(crate) fn methods(factors: &[Factor]) -> MethodSet {
    let kinds: Vec<MethodKind> = factors
        .iter()
        .map(|factor| match factor {
            Factor::PublicKey => MethodKind::PublicKey,
            Factor::Password => MethodKind::Password,
            Factor::KeyboardInteractive => MethodKind::KeyboardInteractive,
        })
        .collect();
    MethodSet::from(kinds.as_slice())
}

/// AES-GCM first, where the processor helps; no SHA-1 signatures; no compression, which costs more than it saves here.
/// The key exchanges are the protocol crate's: hybrid post-quantum first, strict key exchange on.
fn preferred() -> Preferred {
    const KEYS: &[Algorithm] = &[
        Algorithm::Ed25519,
        Algorithm::Ecdsa {
            curve: EcdsaCurve::NistP256,
        },
        Algorithm::Ecdsa {
            curve: EcdsaCurve::NistP384,
        },
        Algorithm::Ecdsa {
            curve: EcdsaCurve::NistP521,
        },
        Algorithm::Rsa {
            hash: Some(HashAlg::Sha512),
        },
        Algorithm::Rsa {
            hash: Some(HashAlg::Sha256),
        },
    ];
    const CIPHERS: &[cipher::Name] = &[
        cipher::AES_128_GCM,
        cipher::AES_256_GCM,
        cipher::CHACHA20_POLY1305,
        cipher::AES_256_CTR,
        cipher::AES_192_CTR,
        cipher::AES_128_CTR,
    ];
    Preferred {
        key: Cow::Borrowed(KEYS),
        cipher: Cow::Borrowed(CIPHERS),
        compression: Cow::Borrowed(&[compression::NONE]),
        ..Preferred::default()
    }
}
