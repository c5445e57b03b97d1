//! What a caller allows to be tried.

use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::secret::Secret;
use crate::transport::certificate::UserCertificate;
use crate::transport::keys::PrivateKey;

/// The ways of authenticating.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AuthMethod {
    /// A password (RFC 4252 section 8).
    Password,
    /// A private key, or a certificate for it, held in a file or in memory (RFC 4252 section 7).
    PrivateKey,
    /// A key or certificate that the SSH agent holds.
    SshAgent,
    /// Questions that the server asks (RFC 4256).
    KeyboardInteractive,
}

impl AuthMethod {
    /// The name in events, errors and JSON: `password`, `private_key`, `ssh_agent`, `keyboard_interactive`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::PrivateKey => "private_key",
            Self::SshAgent => "ssh_agent",
            Self::KeyboardInteractive => "keyboard_interactive",
        }
    }
}

impl fmt::Display for AuthMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One credential, or one way to get at credentials. Several make an ordered chain that is tried on one connection.
///
/// ```
/// use sternline::auth::AuthConfig;
///
/// let chain = [
///     AuthConfig::key("~/.ssh/id_ed25519").passphrase("key-secret"),
///     AuthConfig::agent(),
///     AuthConfig::password("backup"),
/// ];
/// assert!(!format!("{chain:?}").contains("secret"));
/// ```
#[derive(Debug, Clone)]
pub struct AuthConfig(pub(super) Credential);

#[derive(Debug, Clone)]
pub(super) enum Credential {
    /// Without a password, the person is asked when its turn comes.
    Password(Option<Secret>),
    KeyFile {
        path: PathBuf,
        passphrase: Option<Secret>,
        certificate: Option<PathBuf>,
    },
    Key {
        key: PrivateKey,
        certificate: Option<UserCertificate>,
    },
    Agent,
    KeyboardInteractive,
}

impl AuthConfig {
    /// A password that is known. It also answers keyboard-interactive authentication, but only a single prompt that
    /// does not echo.
    #[must_use]
    pub fn password(password: impl Into<Secret>) -> Self {
        Self(Credential::Password(Some(password.into())))
    }

    /// A password that the [`Prompter`](crate::prompt::Prompter) is asked for, once nothing before it was accepted
    /// and the server takes passwords; up to three times.
    #[must_use]
    pub fn ask_password() -> Self {
        Self(Credential::Password(None))
    }

    /// A private key in a file, with `~` and environment variables resolved. A certificate beside it
    /// (`NAME-cert.pub`) is offered first. When the file is encrypted and the agent holds the key, the agent signs;
    /// otherwise the [`Prompter`](crate::prompt::Prompter) is asked for the passphrase when the key's turn comes. A
    /// `.pub` file names a key that the agent holds.
    #[must_use]
    pub fn key(path: impl Into<PathBuf>) -> Self {
        Self(Credential::KeyFile {
            path: path.into(),
            passphrase: None,
            certificate: None,
        })
    }

    /// A private key in memory.
    #[must_use]
    pub fn key_data(key: PrivateKey) -> Self {
        Self(Credential::Key {
            key,
            certificate: None,
        })
    }

    /// A private key in memory with a certificate for it, which is offered first.
    #[must_use]
    pub fn certified_key_data(key: PrivateKey, certificate: UserCertificate) -> Self {
        Self(Credential::Key {
            key,
            certificate: Some(certificate),
        })
    }

    /// Every key that the SSH agent holds, or with IdentitiesOnly those that are configured.
    #[must_use]
    pub fn agent() -> Self {
        Self(Credential::Agent)
    }

    /// The server's questions, passed on to the [`Prompter`](crate::prompt::Prompter).
    #[must_use]
    pub fn keyboard_interactive() -> Self {
        Self(Credential::KeyboardInteractive)
    }

    /// Gives the passphrase of a [`AuthConfig::key`]; means nothing to other credentials.
    #[must_use]
    pub fn passphrase(mut self, secret: impl Into<Secret>) -> Self {
        if let Credential::KeyFile { passphrase, .. } = &mut self.0 {
            *passphrase = Some(secret.into());
        }
        self
    }

    /// Gives the certificate of a [`AuthConfig::key`] where it does not stand beside it; means nothing to other
    /// credentials.
    #[must_use]
    pub fn certificate(mut self, path: impl Into<PathBuf>) -> Self {
        if let Credential::KeyFile { certificate, .. } = &mut self.0 {
            *certificate = Some(path.into());
        }
        self
    }

    /// The chain that the two older parameters stand for: each key file in order, then the password.
    #[must_use]
    pub fn from_client_keys_and_password<P: Into<PathBuf>>(
        client_keys: impl IntoIterator<Item = P>,
        password: Option<Secret>,
    ) -> Vec<Self> {
        client_keys
            .into_iter()
            .map(Self::key)
            .chain(password.map(Self::password))
            .collect()
    }

    /// How this credential authenticates.
    #[must_use]
    pub fn method(&self) -> AuthMethod {
        match &self.0 {
            Credential::Password(_) => AuthMethod::Password,
            Credential::KeyFile { .. } | Credential::Key { .. } => AuthMethod::PrivateKey,
            Credential::Agent => AuthMethod::SshAgent,
            Credential::KeyboardInteractive => AuthMethod::KeyboardInteractive,
        }
    }

    /// The key file, as it was given.
    #[must_use]
    pub fn key_path(&self) -> Option<&Path> {
        match &self.0 {
            Credential::KeyFile { path, .. } => Some(path),
            _ => None,
        }
    }

    /// The password or passphrase, where it is known.
    pub(crate) fn secret(&self) -> Option<&Secret> {
        match &self.0 {
            Credential::Password(secret)
            | Credential::KeyFile {
                passphrase: secret, ..
            } => secret.as_ref(),
            Credential::Key { .. } | Credential::Agent | Credential::KeyboardInteractive => None,
        }
    }

    /// The method and the paths, never a secret.
    #[must_use]
    pub fn to_dict(&self) -> Map<String, Value> {
        let mut dict = Map::new();
        dict.insert("method".into(), self.method().as_str().into());
        if let Credential::KeyFile {
            path, certificate, ..
        } = &self.0
        {
            dict.insert("key_path".into(), path.display().to_string().into());
            if let Some(certificate) = certificate {
                dict.insert(
                    "certificate_path".into(),
                    certificate.display().to_string().into(),
                );
            }
        }
        dict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_constructor_has_its_method() {
        for (config, method) in [
            (AuthConfig::password("x"), "password"),
            (AuthConfig::ask_password(), "password"),
            (AuthConfig::key("/k"), "private_key"),
            (
                AuthConfig::key_data(PrivateKey::generate().unwrap()),
                "private_key",
            ),
            (AuthConfig::agent(), "ssh_agent"),
            (AuthConfig::keyboard_interactive(), "keyboard_interactive"),
        ] {
            assert_eq!(config.method().to_string(), method);
        }
    }

    #[test]
    fn the_older_parameters_mean_keys_in_order_and_then_the_password() {
        let chain = AuthConfig::from_client_keys_and_password(["/a", "/b"], Some("x".into()));
        let dicts: Vec<_> = chain
            .iter()
            .map(|config| Value::Object(config.to_dict()))
            .collect();
        assert_eq!(
            Value::from(dicts),
            serde_json::json!([
                {"method": "private_key", "key_path": "/a"},
                {"method": "private_key", "key_path": "/b"},
                {"method": "password"},
            ])
        );
        assert!(AuthConfig::from_client_keys_and_password(Vec::<PathBuf>::new(), None).is_empty());
    }

    #[test]
    fn neither_debug_output_nor_the_dict_shows_a_secret() {
        for config in [
            AuthConfig::password("hunter2"),
            AuthConfig::key("/k")
                .passphrase("hunter2")
                .certificate("/k-cert.pub"),
            AuthConfig::agent().passphrase("hunter2"),
        ] {
            assert!(!format!("{config:?} {:?}", config.to_dict()).contains("hunter2"));
        }
        let certified = AuthConfig::key("/k").certificate("/c").to_dict();
        assert_eq!(certified.get("certificate_path"), Some(&Value::from("/c")));
    }
}
