//! OpenSSH user certificates: our type over the protocol crate's.

use std::fmt;
use std::sync::Arc;

use russh::keys::ssh_key::certificate::CertType;
use russh::keys::{Algorithm, Certificate};
use sternline_proto::key::PublicKey;
use sternline_proto::text::escape;
use thiserror::Error as ThisError;

use super::keys::public_key;

/// An OpenSSH user certificate (PROTOCOL.certkeys): an authority's word that a key may log in as certain users.
#[derive(Clone)]
pub struct UserCertificate {
    pub(super) certificate: Arc<Certificate>,
    blob: PublicKey,
    key: PublicKey,
}

/// Why text is not a user certificate.
#[derive(Debug, Clone, PartialEq, Eq, ThisError)]
#[non_exhaustive]
pub enum CertificateParseError {
    /// The text is not an OpenSSH certificate; the reason follows.
    #[error("not an OpenSSH certificate: {0}")]
    InvalidFormat(String),
    /// A host certificate, which proves a server and never a user.
    #[error("it is a host certificate, not a user certificate")]
    Host,
}

impl UserCertificate {
    /// Reads the line that `ssh-keygen -s` writes into `id-cert.pub`.
    ///
    /// # Errors
    /// When the text is something else, or certifies a host.
    pub fn parse(text: &str) -> Result<Self, CertificateParseError> {
        let mut fields = text.split_whitespace();
        let (Some(algorithm), Some(base64)) = (fields.next(), fields.next()) else {
            return Err(CertificateParseError::InvalidFormat("it is empty".into()));
        };
        let blob = PublicKey::from_text(algorithm, base64)
            .map_err(|error| CertificateParseError::InvalidFormat(escape(&error.to_string())))?;
        // A certificate that certifies certificates would recurse for as long as it likes.
        const MARKER: &[u8] = b"-cert-v01@";
        if blob
            .blob()
            .windows(MARKER.len())
            .filter(|window| *window == MARKER)
            .count()
            > 2
        {
            return Err(CertificateParseError::InvalidFormat(
                "certificates are nested".into(),
            ));
        }
        let certificate = Certificate::from_bytes(blob.blob())
            .map_err(|error| CertificateParseError::InvalidFormat(error.to_string()))?;
        Self::new(certificate, blob)
    }

    pub(super) fn new(certificate: Certificate, blob: PublicKey) -> Result<Self, CertificateParseError> {
        if certificate.cert_type() != CertType::User {
            return Err(CertificateParseError::Host);
        }
        let key = public_key(&certificate.public_key().clone().into())
            .map_err(|error| CertificateParseError::InvalidFormat(error.to_string()))?;
        Ok(Self {
            certificate: Arc::new(certificate),
            blob,
            key,
        })
    }

    /// The key that is certified.
    #[must_use]
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The certificate's own blob: two certificates for one key differ in it.
    pub(crate) fn blob(&self) -> &PublicKey {
        &self.blob
    }

    /// The free-text identity that the authority wrote, escaped.
    #[must_use]
    pub fn key_id(&self) -> String {
        escape(self.certificate.key_id())
    }

    /// Why the certificate cannot be accepted at `now` (seconds of Unix time), if it is outside its validity.
    pub(crate) fn outside_validity(&self, now: u64) -> Option<&'static str> {
        if now < self.certificate.valid_after() {
            Some("the certificate is not valid yet")
        } else if now >= self.certificate.valid_before() {
            Some("the certificate has expired")
        } else {
            None
        }
    }

    pub(super) fn is_rsa(&self) -> bool {
        matches!(self.certificate.algorithm(), Algorithm::Rsa { .. })
    }
}

impl fmt::Debug for UserCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "UserCertificate({:?} for {:?})",
            self.certificate.key_id(),
            self.key
        )
    }
}
