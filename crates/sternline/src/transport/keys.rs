//! Private keys: our type over the protocol crate's.

mod openssh;
mod ppk;

use std::fmt;
use std::sync::Arc;

use russh::keys::ssh_key::private::{Ed25519Keypair, KeypairData};
use russh::keys::{decode_secret_key, ssh_key};
use sternline_proto::key::PublicKey;
use sternline_proto::text::escape;
use thiserror::Error as ThisError;
use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;

/// A private key that is ready to sign: Ed25519, ECDSA (P-256, P-384, P-521) or RSA.
///
/// Clones share one key. Its memory is overwritten when the last of them goes, and `Debug` shows only the algorithm
/// and the fingerprint.
#[derive(Clone)]
pub struct PrivateKey {
    pub(super) key: Arc<russh::keys::PrivateKey>,
    public: PublicKey,
}

/// Why bytes are not a private key that can be used.
#[derive(Debug, Clone, PartialEq, Eq, ThisError)]
#[non_exhaustive]
pub enum KeyParseError {
    /// The key is encrypted and no passphrase was given.
    #[error("the key is encrypted and no passphrase was given")]
    Encrypted,
    /// The key is encrypted with another passphrase, or is damaged: the formats cannot tell the two apart.
    #[error("the passphrase is wrong, or the key is damaged")]
    WrongPassphrase,
    /// The bytes are not a private key in a format that is read here; the text says what is wrong with them.
    #[error("not a private key in OpenSSH, PKCS#8, PEM or PuTTY format: {0}")]
    InvalidFormat(String),
    /// A private key of a kind that cannot sign here; the text says what to do.
    #[error("{0}")]
    Unsupported(&'static str),
}

/// What can be told of a private key without its passphrase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeySummary {
    /// Whether a passphrase is needed.
    pub(crate) encrypted: bool,
    /// The public part, where the format keeps it in the open.
    pub(crate) public: Option<PublicKey>,
}

impl PrivateKey {
    /// Makes a new Ed25519 key from the operating system's randomness.
    ///
    /// # Errors
    /// When the operating system has no randomness to give.
    pub fn generate() -> Result<Self> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut()).map_err(|error| {
            Error::new(ErrorKind::Local, "cannot get randomness for a key").with_source_text(&error)
        })?;
        Self::new(Ed25519Keypair::from_seed(&seed).into())
            .map_err(|error| Error::new(ErrorKind::Local, format!("cannot make a key: {error}")))
    }

    /// Reads a private key: OpenSSH's own format, PKCS#8, PKCS#1 or SEC1 PEM, and PuTTY's PPK versions 2 and 3, each
    /// plain or encrypted. The passphrase is ignored when the key is not encrypted.
    ///
    /// # Errors
    /// [`KeyParseError::Encrypted`] when a passphrase is needed and none was given; otherwise what is wrong.
    pub fn parse(bytes: &[u8], passphrase: Option<&Secret>) -> Result<Self, KeyParseError> {
        let text = std::str::from_utf8(bytes)
            .map_err(|_| KeyParseError::InvalidFormat("it is not text, but binary data".into()))?;
        match Format::of(text)? {
            Format::OpenSsh => Self::new(openssh::parse(text, passphrase)?),
            Format::Putty => Self::new(ppk::parse(text, passphrase)?),
            Format::Plain => Self::new(decode(text, None)?),
            Format::Encrypted => {
                let passphrase = passphrase.ok_or(KeyParseError::Encrypted)?;
                Self::new(decode(text, Some(passphrase)).map_err(|_| KeyParseError::WrongPassphrase)?)
            }
        }
    }

    fn new(key: russh::keys::PrivateKey) -> Result<Self, KeyParseError> {
        match key.key_data() {
            KeypairData::Ed25519(_) | KeypairData::Ecdsa(_) | KeypairData::Rsa(_) => {}
            KeypairData::SkEd25519(_) | KeypairData::SkEcdsaSha2NistP256(_) => {
                return Err(KeyParseError::Unsupported(
                    "the file only points to a security key, which signs through the agent: add it with ssh-add",
                ));
            }
            _ => {
                return Err(KeyParseError::Unsupported(
                    "keys of this type are not supported (DSA is broken): make an Ed25519 key with ssh-keygen",
                ));
            }
        }
        let public = public_key(key.public_key())?;
        Ok(Self {
            key: Arc::new(key),
            public,
        })
    }

    /// The public part.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    pub(super) fn is_rsa(&self) -> bool {
        matches!(self.key.key_data(), KeypairData::Rsa(_))
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "PrivateKey({} {})",
            self.public.algorithm(),
            self.public.fingerprint()
        )
    }
}

impl KeySummary {
    /// Looks at a private key without a passphrase.
    pub(crate) fn of(bytes: &[u8]) -> Result<Self, KeyParseError> {
        match PrivateKey::parse(bytes, None) {
            Ok(key) => Ok(Self {
                encrypted: false,
                public: Some(key.public),
            }),
            Err(KeyParseError::Encrypted) => {
                let text = std::str::from_utf8(bytes).unwrap_or_default();
                Ok(Self {
                    encrypted: true,
                    public: openssh::public(text).or_else(|| ppk::public(text)),
                })
            }
            Err(error) => Err(error),
        }
    }
}

/// How a key's text has to be read.
enum Format {
    /// OpenSSH's own: what is inside says whether it is encrypted.
    OpenSsh,
    /// PuTTY's: so do its lines.
    Putty,
    Plain,
    Encrypted,
}

impl Format {
    fn of(text: &str) -> Result<Self, KeyParseError> {
        let has_line = |start: &str| text.lines().any(|line| line.starts_with(start));
        if ppk::is_ppk(text) {
            return Ok(Self::Putty);
        }
        if has_line("-----BEGIN OPENSSH PRIVATE KEY-----") {
            return Ok(Self::OpenSsh);
        }
        if has_line("-----BEGIN ENCRYPTED PRIVATE KEY-----") {
            return Ok(Self::Encrypted);
        }
        if has_line("Proc-Type: 4,ENCRYPTED") {
            if has_line("-----BEGIN RSA PRIVATE KEY-----") && has_line("DEK-Info: AES-128-CBC,") {
                return Ok(Self::Encrypted);
            }
            return Err(KeyParseError::Unsupported(
                "this old PEM encryption is not supported: convert the key with ssh-keygen -p -f FILE",
            ));
        }
        if has_line("-----BEGIN PRIVATE KEY-----")
            || has_line("-----BEGIN RSA PRIVATE KEY-----")
            || has_line("-----BEGIN EC PRIVATE KEY-----")
        {
            return Ok(Self::Plain);
        }
        if has_line("-----BEGIN DSA PRIVATE KEY-----") {
            return Err(KeyParseError::Unsupported(
                "DSA keys are broken: make an Ed25519 key with ssh-keygen",
            ));
        }
        let looks_public = ["ssh-", "ecdsa-", "sk-"]
            .iter()
            .any(|start| text.trim_start().starts_with(start));
        let looks_public = looks_public || has_line("---- BEGIN SSH2 PUBLIC KEY");
        Err(KeyParseError::InvalidFormat(
            if looks_public {
                "it is a public key, the private one has no .pub"
            } else {
                "no key header found"
            }
            .into(),
        ))
    }
}

fn decode(text: &str, passphrase: Option<&Secret>) -> Result<russh::keys::PrivateKey, KeyParseError> {
    // The texts of these errors quote positions and names, never key material.
    decode_secret_key(text, passphrase.map(Secret::expose))
        .map_err(|error| KeyParseError::InvalidFormat(escape(&error.to_string())))
}

pub(super) fn public_key(key: &ssh_key::PublicKey) -> Result<PublicKey, KeyParseError> {
    let blob = key
        .to_bytes()
        .map_err(|error| KeyParseError::InvalidFormat(error.to_string()))?;
    PublicKey::from_blob(blob).map_err(|error| KeyParseError::InvalidFormat(error.to_string()))
}

#[cfg(test)]
mod tests;
