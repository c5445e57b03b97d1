//! Attempts in words, for messages and events.

use sternline_proto::key::PublicKey;
use sternline_proto::text::escape;

use super::config::AuthMethod;
use super::plan::{Attempt, Wire};
use super::prepare::{Material, Prepared};
use super::report::Tried;

/// What an attempt offers, and by which method.
pub(super) fn describe(prepared: &Prepared, attempt: Attempt, wire: Wire) -> Tried {
    let key = |index: usize, method, certificate: bool| {
        let Some(key) = prepared.keys.get(index) else {
            return Tried::new(method, "key");
        };
        let label = if certificate {
            format!("certificate of {}", label(key))
        } else {
            label(key)
        };
        Tried {
            fingerprint: key.public.as_ref().map(PublicKey::fingerprint),
            key_type: key.public.as_ref().map(|key| key.algorithm().to_owned()),
            key_path: key.path.clone(),
            ..Tried::new(method, label)
        }
    };
    match attempt {
        Attempt::Key(index) => key(index, AuthMethod::PrivateKey, false),
        Attempt::Certificate(index) => key(index, AuthMethod::PrivateKey, true),
        Attempt::Agent {
            certificate_of: Some(index),
            ..
        } => key(index, AuthMethod::SshAgent, true),
        Attempt::Agent { identity, .. } => {
            let Some(identity) = prepared.identities.get(identity) else {
                return Tried::new(AuthMethod::SshAgent, "agent key");
            };
            let kind = if identity.certificate.is_some() {
                "agent certificate"
            } else {
                "agent key"
            };
            let fingerprint = identity.key.fingerprint();
            let mut label = format!("{kind} {fingerprint}");
            if !identity.comment.is_empty() {
                label.push_str(&format!(" ({})", escape(&identity.comment)));
            }
            Tried {
                fingerprint: Some(fingerprint),
                key_type: Some(identity.key.algorithm().to_owned()),
                ..Tried::new(AuthMethod::SshAgent, label)
            }
        }
        Attempt::Password { .. } if wire != Wire::KeyboardInteractive => {
            Tried::new(AuthMethod::Password, "password")
        }
        Attempt::Password { .. } | Attempt::KeyboardInteractive => {
            Tried::new(AuthMethod::KeyboardInteractive, "keyboard-interactive")
        }
    }
}

/// A key in words: by its path, or by its fingerprint when it has none.
pub(super) fn label(key: &Material) -> String {
    match (&key.path, &key.public) {
        (Some(path), _) => format!("key {}", escape(&path.display().to_string())),
        (None, Some(public)) => format!("key {}", public.fingerprint()),
        (None, None) => "key".to_owned(),
    }
}
