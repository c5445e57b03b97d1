//! Questions to a person. Nothing below a face asks anything itself: it goes through a [`Prompter`].

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;

use crate::secret::Secret;

/// The future that a [`Prompter`]'s methods return.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A question about an unknown host key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostKeyQuestion {
    /// The host as it would be recorded.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The key's algorithm, such as `ssh-ed25519`.
    pub algorithm: String,
    /// The key's fingerprint, `SHA256:...`.
    pub fingerprint: String,
    /// The file that would record the key, if any.
    pub record_path: Option<PathBuf>,
}

/// A request for a secret, or for an answer that may be shown while it is typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretQuestion {
    /// What is asked for.
    pub subject: SecretSubject,
    /// Who is logging in.
    pub username: String,
    /// Where to.
    pub host: String,
    /// The attempt, from 1: above 1 the answer before was wrong.
    pub attempt: u32,
}

/// What a [`SecretQuestion`] asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SecretSubject {
    /// The account's password.
    Password,
    /// The passphrase of a private key file.
    Passphrase(PathBuf),
    /// One prompt of keyboard-interactive authentication (RFC 4256). The texts come from the server: escape them.
    Challenge {
        /// The server's name for the exchange, often empty.
        name: String,
        /// The server's instructions, often empty.
        instructions: String,
        /// The prompt itself.
        prompt: String,
        /// Whether what is typed may be shown.
        echo: bool,
    },
}

/// Answers questions on behalf of a person. Given at construction; the default answers nothing.
///
/// The time a method takes is not counted against any deadline. `None` or `false` means that there is no answer:
/// the method or host is given up, not asked again.
pub trait Prompter: Send + Sync {
    /// Whether to trust and record an unknown host key.
    fn trust_host_key<'a>(&'a self, question: &'a HostKeyQuestion) -> Answer<'a, bool>;

    /// A password, passphrase or challenge response.
    fn secret<'a>(&'a self, question: &'a SecretQuestion) -> Answer<'a, Option<Secret>>;
}
