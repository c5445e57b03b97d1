//! Key pairs and key text.

use std::fmt;
use std::path::{Path, PathBuf};

use russh::keys::ssh_key::private::{Ed25519Keypair, KeypairData};
use russh::keys::ssh_key::{self, LineEnding, PrivateKey};
use secrecy::SecretString;
use sternline_proto::key::PublicKey;
use sternline_proto::text::escape;
use thiserror::Error;

/// A private key and its public half: a host key of the server, or a key for a client to log in with.
#[derive(Clone)]
pub struct KeyPair {
    private: PrivateKey,
    public: PublicKey,
}

/// Why text is not a key that this server can use.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KeyTextError {
    /// The line is not a public key.
    #[error(
        "{line:?} is not a public key ({reason}); give the line of a .pub file: algorithm, base64, comment"
    )]
    Public {
        /// The start of the line, escaped.
        line: String,
        /// What the parser says.
        reason: String,
    },
    /// The text is not a private key.
    #[error("the text is not an OpenSSH private key ({reason}); `ssh-keygen -t ed25519` makes one")]
    Private {
        /// What the parser says.
        reason: String,
    },
    /// The private key is encrypted.
    #[error("the private key is encrypted; remove its passphrase with `ssh-keygen -p`")]
    Encrypted,
    /// The file could not be read.
    #[error("cannot read the private key file {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The system has no random numbers.
    #[error("cannot make a key, because the system gives no random numbers: {reason}")]
    Random {
        /// What the system says.
        reason: String,
    },
}

impl KeyPair {
    /// Makes a new ed25519 key in memory.
    ///
    /// # Errors
    /// [`KeyTextError::Random`] when the system gives no random numbers.
    pub fn generate_ed25519() -> Result<Self, KeyTextError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| KeyTextError::Random {
            reason: error.to_string(),
        })?;
        let pair = Ed25519Keypair::from_seed(&seed);
        PrivateKey::new(KeypairData::Ed25519(pair), "")
            .and_then(Self::new)
            .map_err(private_error)
    }

    /// Reads an unencrypted private key in the OpenSSH format (PROTOCOL.key): ed25519, ECDSA or RSA.
    ///
    /// # Errors
    /// When the text is not such a key, or is encrypted.
    pub fn from_openssh(text: &str) -> Result<Self, KeyTextError> {
        let private = PrivateKey::from_openssh(text).map_err(private_error)?;
        if private.is_encrypted() {
            return Err(KeyTextError::Encrypted);
        }
        Self::new(private).map_err(private_error)
    }

    /// Reads a private key file; see [`KeyPair::from_openssh`].
    ///
    /// # Errors
    /// When the file cannot be read, or is not such a key.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, KeyTextError> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path)
            .map(SecretString::from)
            .map_err(|source| KeyTextError::Read {
                path: path.to_owned(),
                source,
            })?;
        Self::from_openssh(secrecy::ExposeSecret::expose_secret(&text))
    }

    fn new(private: PrivateKey) -> Result<Self, ssh_key::Error> {
        let public = PublicKey::from_blob(private.public_key().to_bytes()?)
            .map_err(|_| ssh_key::Error::FormatEncoding)?;
        Ok(Self { private, public })
    }

    /// The private key as the text of an OpenSSH key file, unencrypted. Write it with mode 0600: `ssh` refuses a
    /// file that others can read.
    ///
    /// # Errors
    /// When the key cannot be encoded, which does not happen with a key made or read here.
    pub fn private_openssh(&self) -> Result<SecretString, KeyTextError> {
        let text = self.private.to_openssh(LineEnding::LF).map_err(private_error)?;
        Ok(SecretString::from(text.as_str()))
    }

    /// The public key.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// The public key as a line for [`crate::Credential::public_key`] or a `.pub` file, without newline.
    #[must_use]
    pub fn public_line(&self) -> String {
        format!("{} {}", self.public.algorithm(), self.public.to_base64())
    }

    pub(crate) fn private(&self) -> &PrivateKey {
        &self.private
    }
}

/// Shows the public key only.
impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeyPair").field(&self.public).finish()
    }
}

fn private_error(error: ssh_key::Error) -> KeyTextError {
    KeyTextError::Private {
        reason: error.to_string(),
    }
}

/// The key of a `.pub` line.
pub(crate) fn parse_public_line(line: &str) -> Result<PublicKey, KeyTextError> {
    let refused = |reason: String| {
        let start: String = line.chars().take(40).collect();
        KeyTextError::Public {
            line: escape(&start),
            reason,
        }
    };
    let key = ssh_key::PublicKey::from_openssh(line.trim()).map_err(|error| refused(error.to_string()))?;
    public_key(&key).ok_or_else(|| refused("its data cannot be encoded".to_owned()))
}

/// The protocol crate's key as ours.
pub(crate) fn public_key(key: &ssh_key::PublicKey) -> Option<PublicKey> {
    PublicKey::from_blob(key.to_bytes().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret as _;

    #[test]
    fn a_made_key_is_read_back_from_its_own_text() {
        let made = KeyPair::generate_ed25519().unwrap();
        let text = made.private_openssh().unwrap();
        assert!(
            text.expose_secret()
                .starts_with("-----BEGIN OPENSSH PRIVATE KEY-----\n")
        );
        let read = KeyPair::from_openssh(text.expose_secret()).unwrap();
        assert_eq!(read.public_key(), made.public_key());
        assert_eq!(
            &parse_public_line(&made.public_line()).unwrap(),
            made.public_key()
        );
    }

    #[test]
    fn two_made_keys_differ() {
        let [a, b] = [
            KeyPair::generate_ed25519().unwrap(),
            KeyPair::generate_ed25519().unwrap(),
        ];
        assert_ne!(a.public_key(), b.public_key());
    }

    #[test]
    fn a_public_line_may_have_a_comment_and_a_newline() {
        let pair = KeyPair::generate_ed25519().unwrap();
        let line = format!("{} me@here\n", pair.public_line());
        assert_eq!(&parse_public_line(&line).unwrap(), pair.public_key());
    }

    #[test]
    fn what_is_no_key_is_refused_with_what_to_give_instead() {
        for line in [
            "",
            "ssh-ed25519",
            "ssh-ed25519 AAAA",
            "from=\"*\" ssh-ed25519 AAAA",
            "\x1b[31m",
        ] {
            let message = parse_public_line(line).unwrap_err().to_string();
            assert!(
                message.contains(".pub file") && !message.contains('\x1b'),
                "{message}"
            );
        }
        assert!(matches!(
            KeyPair::from_openssh("no key"),
            Err(KeyTextError::Private { .. })
        ));
        assert!(matches!(
            KeyPair::from_file("/nonexistent/key"),
            Err(KeyTextError::Read { .. })
        ));
    }

    #[test]
    fn a_private_key_is_not_shown_by_debug() {
        let pair = KeyPair::generate_ed25519().unwrap();
        assert_eq!(format!("{pair:?}"), format!("KeyPair({:?})", pair.public_key()));
    }
}
