//! Public keys and host certificates as the pure code sees them: algorithm, blob, SHA-256.

use std::fmt;

use data_encoding::{BASE64, BASE64_NOPAD};
use sha2::{Digest, Sha256};
use thiserror::Error;

/// A public key in its wire form (RFC 4253 section 6.6): the algorithm's name and the blob that starts with it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PublicKey {
    algorithm: String,
    blob: Vec<u8>,
}

/// Why bytes or text are not a public key.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The text is not base64.
    #[error("the key is not valid base64")]
    Base64,
    /// The blob does not start with a length-prefixed algorithm name.
    #[error("the key's data does not start with the name of its algorithm")]
    Blob,
    /// The algorithm named beside the blob is not the one inside it.
    #[error("the key is called {named} but its data says {inside}")]
    AlgorithmMismatch {
        /// The name written beside the blob.
        named: String,
        /// The name inside the blob.
        inside: String,
    },
}

impl PublicKey {
    /// Takes a key blob as it stands on the wire; the algorithm is read from it.
    ///
    /// # Errors
    /// [`KeyError::Blob`] when the blob does not start with a printable algorithm name followed by data.
    pub fn from_blob(blob: impl Into<Vec<u8>>) -> Result<Self, KeyError> {
        let blob = blob.into();
        let algorithm = algorithm_of(&blob).ok_or(KeyError::Blob)?.to_owned();
        Ok(Self { algorithm, blob })
    }

    /// Reads the two fields that a known_hosts line or a `.pub` file holds: algorithm and base64 blob.
    ///
    /// # Errors
    /// When the base64 is broken, or the blob names another algorithm than `algorithm`.
    pub fn from_text(algorithm: &str, base64: &str) -> Result<Self, KeyError> {
        let blob = BASE64
            .decode(base64.as_bytes())
            .or_else(|_| BASE64_NOPAD.decode(base64.as_bytes()))
            .map_err(|_| KeyError::Base64)?;
        let key = Self::from_blob(blob)?;
        if key.algorithm != algorithm {
            return Err(KeyError::AlgorithmMismatch {
                named: algorithm.to_owned(),
                inside: key.algorithm,
            });
        }
        Ok(key)
    }

    /// The algorithm's name, for example `ssh-ed25519`.
    #[must_use]
    pub fn algorithm(&self) -> &str {
        &self.algorithm
    }

    /// The blob in its wire form.
    #[must_use]
    pub fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// The blob in base64, as files hold it.
    #[must_use]
    pub fn to_base64(&self) -> String {
        BASE64.encode(&self.blob)
    }

    /// The fingerprint as OpenSSH prints it: `SHA256:` and unpadded base64.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        format!("SHA256:{}", BASE64_NOPAD.encode(&Sha256::digest(&self.blob)))
    }
}

/// Shows the algorithm and the fingerprint, which is what a person compares.
impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({} {})", self.algorithm, self.fingerprint())
    }
}

/// The name a blob starts with: a 32-bit length and that many printable ASCII bytes, with data behind them.
fn algorithm_of(blob: &[u8]) -> Option<&str> {
    let (length, rest) = blob.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (name, data) = rest.split_at_checked(length)?;
    let sound = (1..=64).contains(&length) && !data.is_empty() && name.iter().all(u8::is_ascii_graphic);
    if sound { str::from_utf8(name).ok() } else { None }
}

/// What an OpenSSH host certificate says (PROTOCOL.certkeys), its signature already verified by who made this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostCertificate {
    /// The certified host key.
    pub key: PublicKey,
    /// The authority that signed.
    pub authority: PublicKey,
    /// Whether this is a host certificate; a user certificate never vouches for a host.
    pub kind: CertificateKind,
    /// The free-text identity that the authority wrote.
    pub key_id: String,
    /// The algorithm of the authority's signature, for example `rsa-sha2-512`; `ssh-rsa` (SHA-1) is refused.
    pub signature_algorithm: String,
    /// The authority's serial number.
    pub serial: u64,
    /// Host names the certificate is valid for. None at all is refused: such a certificate names nobody.
    pub principals: Vec<String>,
    /// First second of validity, Unix time.
    pub valid_after: u64,
    /// First second after the validity, Unix time; `u64::MAX` is for ever.
    pub valid_before: u64,
    /// Names of the critical options. No host option is defined, so any name is unknown and refuses the certificate.
    pub critical_options: Vec<String>,
}

/// The two kinds of OpenSSH certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateKind {
    /// Vouches for a host.
    Host,
    /// Vouches for a user.
    User,
}

#[cfg(test)]
mod tests {
    use super::*;

    const ED25519: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";

    #[test]
    fn a_key_is_read_from_its_two_text_fields_and_written_back() {
        let key = PublicKey::from_text("ssh-ed25519", ED25519).unwrap();
        assert_eq!(key.algorithm(), "ssh-ed25519");
        assert_eq!(key.to_base64(), ED25519);
        assert!(key.fingerprint().starts_with("SHA256:"));
        assert_eq!(key.fingerprint().len(), "SHA256:".len() + 43);
    }

    #[test]
    fn a_key_that_lies_about_its_algorithm_is_refused() {
        assert_eq!(
            PublicKey::from_text("ssh-rsa", ED25519),
            Err(KeyError::AlgorithmMismatch {
                named: "ssh-rsa".into(),
                inside: "ssh-ed25519".into()
            })
        );
    }

    #[test]
    fn broken_blobs_are_refused() {
        for blob in [
            &b""[..],
            &[0, 0, 0, 9],
            &[0, 0, 0, 1, b'a'],
            &[0xff; 8],
            &[0, 0, 0, 1, 7, 1],
        ] {
            assert_eq!(PublicKey::from_blob(blob), Err(KeyError::Blob), "{blob:?}");
        }
    }
}
