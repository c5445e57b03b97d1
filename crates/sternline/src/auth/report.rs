//! What was tried and how it ended: an AUTH event for each attempt, and the error when none succeeded.

use std::path::PathBuf;
use std::time::Instant;

use serde_json::{Map, Value};
use sternline_proto::text::escape;

use super::config::AuthMethod;
use super::plan::Wire;
use crate::deadline::Phase;
use crate::error::{Error, ErrorKind};
use crate::event::{Emitter, EventType};

/// One attempt, as it is shown to people and in events.
#[derive(Debug, Clone)]
pub(super) struct Tried {
    pub(super) method: AuthMethod,
    /// What was offered, escaped: `key /home/ann/.ssh/id_rsa`, `password`.
    pub(super) label: String,
    pub(super) fingerprint: Option<String>,
    /// The algorithm of the key, such as `ssh-ed25519`.
    pub(super) key_type: Option<String>,
    pub(super) key_path: Option<PathBuf>,
    pub(super) started: Instant,
}

impl Tried {
    /// An attempt that begins now.
    pub(super) fn new(method: AuthMethod, label: impl Into<String>) -> Self {
        Self {
            method,
            label: label.into(),
            fingerprint: None,
            key_type: None,
            key_path: None,
            started: Instant::now(),
        }
    }
}

/// The account of one authentication.
#[derive(Debug)]
pub(super) struct Report<'a> {
    emitter: &'a Emitter,
    host: &'a str,
    username: &'a str,
    entries: Vec<(Tried, Outcome)>,
}

/// How an attempt ended that did not log us in.
#[derive(Debug)]
enum Outcome {
    Partial,
    Refused(Option<&'static str>),
    NotMade(Error),
}

impl<'a> Report<'a> {
    pub(super) fn new(emitter: &'a Emitter, host: &'a str, username: &'a str) -> Self {
        Self {
            emitter,
            host,
            username,
            entries: Vec::new(),
        }
    }

    /// The server accepted the attempt, and us.
    pub(super) fn accepted(&self, tried: &Tried) {
        self.emitter
            .emit(EventType::Auth, Value::Object(self.fields(tried, "success")));
    }

    /// The server accepted the attempt and wants another factor, by one of these methods.
    pub(super) fn partial(&mut self, tried: Tried, offered: &[String]) {
        let mut fields = self.fields(&tried, "success");
        fields.insert("partial".into(), true.into());
        fields.insert("methods_offered".into(), escaped(offered).into());
        self.emitter.emit(EventType::Auth, Value::Object(fields));
        self.entries.push((tried, Outcome::Partial));
    }

    /// The server refused the attempt, and takes these methods; `note` says what may be wrong with it.
    pub(super) fn refused(&mut self, tried: Tried, offered: &[String], note: Option<&'static str>) {
        let line = line(&tried, &Outcome::Refused(note));
        self.failed(&tried, ErrorKind::AuthFailed.as_str(), &line, Some(offered));
        self.entries.push((tried, Outcome::Refused(note)));
    }

    /// The attempt could not be made.
    pub(super) fn not_made(&mut self, tried: Tried, error: Error) {
        self.failed(&tried, error.error_type(), &error.to_string(), None);
        self.entries.push((tried, Outcome::NotMade(error)));
    }

    /// The connection ended during the attempt: its error, with what was tried before.
    pub(super) fn lost(self, tried: &Tried, error: Error) -> Error {
        self.failed(tried, error.error_type(), &error.to_string(), None);
        let error = error
            .in_phase(Phase::Auth)
            .with_auth_methods(&self.methods(Some(tried)));
        if self.entries.is_empty() {
            error
        } else {
            error.with_extra("attempts", self.lines())
        }
    }

    fn failed(&self, tried: &Tried, error_type: &str, message: &str, offered: Option<&[String]>) {
        let mut fields = self.fields(tried, "failed");
        if let Some(offered) = offered {
            fields.insert("methods_offered".into(), escaped(offered).into());
        }
        fields.insert("error_type".into(), error_type.into());
        fields.insert("error_message".into(), message.into());
        self.emitter.emit(EventType::Auth, Value::Object(fields));
    }

    fn fields(&self, tried: &Tried, status: &str) -> Map<String, Value> {
        let mut fields = Map::new();
        fields.insert("status".into(), status.into());
        fields.insert("method".into(), tried.method.as_str().into());
        fields.insert("username".into(), self.username.into());
        fields.insert("host".into(), self.host.into());
        fields.insert(
            "duration_ms".into(),
            (tried.started.elapsed().as_secs_f64() * 1000.0).into(),
        );
        if let Some(fingerprint) = &tried.fingerprint {
            fields.insert("fingerprint".into(), fingerprint.clone().into());
        }
        if let Some(key_type) = &tried.key_type {
            fields.insert("key_type".into(), key_type.clone().into());
        }
        if let Some(path) = &tried.key_path {
            fields.insert("key_path".into(), path.display().to_string().into());
        }
        fields
    }

    /// The methods that were tried, in order, each once.
    fn methods(&self, last: Option<&Tried>) -> String {
        let mut names: Vec<&str> = Vec::new();
        for tried in self.entries.iter().map(|(tried, _)| tried).chain(last) {
            if !names.contains(&tried.method.as_str()) {
                names.push(tried.method.as_str());
            }
        }
        names.join(",")
    }

    fn lines(&self) -> Vec<String> {
        self.entries
            .iter()
            .map(|(tried, outcome)| line(tried, outcome))
            .collect()
    }

    /// The error of an authentication in which nothing succeeded. `offered` are the methods that the server named
    /// last, `untried` what was left out so that it does not lock us out, `ruled_out` what may not be used.
    pub(super) fn into_error(mut self, offered: &[String], untried: &[String], ruled_out: &[Wire]) -> Error {
        let methods = self.methods(None);
        if untried.is_empty()
            && ruled_out.is_empty()
            && self.entries.len() == 1
            && let Some((tried, outcome)) = self.entries.pop()
        {
            match outcome {
                Outcome::NotMade(error) => return error.in_phase(Phase::Auth).with_auth_methods(&methods),
                other => self.entries.push((tried, other)),
            }
        }
        let lines = self.lines();
        let offered = escaped(offered);
        let mut message = format!("authentication failed for {}", escape(self.username));
        if lines.is_empty() {
            message.push_str(": there is no credential to try");
        } else {
            message.push_str(&format!(": {}", lines.join("; ")));
        }
        if !offered.is_empty() {
            let verb = if self.has_partial() {
                "still wants"
            } else {
                "accepts"
            };
            message.push_str(&format!("; the server {verb} {}", offered.join(",")));
        }
        if !untried.is_empty() {
            message.push_str(&format!(
                "; not tried, because the server may end the connection after this many refusals: {}",
                untried.join(", ")
            ));
        }
        if !ruled_out.is_empty() {
            let names: Vec<&str> = ruled_out.iter().map(|wire| wire.as_str()).collect();
            message.push_str(&format!(
                "; not tried, because it may not be used here: {}",
                names.join(", ")
            ));
        }
        let mut error = Error::new(ErrorKind::AuthFailed, message)
            .in_phase(Phase::Auth)
            .with_auth_methods(&methods)
            .with_hint(match ruled_out.is_empty() || self.has_refused() {
                true => self.hint(&offered, untried),
                false => {
                    "allow that method (PasswordAuthentication, KbdInteractiveAuthentication, PubkeyAuthentication, \
                     PreferredAuthentications), or give a credential of another kind"
                }
            })
            .with_extra("attempts", lines)
            .with_extra("methods_offered", offered);
        let paths: Vec<_> = self
            .entries
            .iter()
            .filter_map(|(tried, _)| tried.key_path.as_deref())
            .collect();
        if let [path] = paths.as_slice() {
            error = error.with_key_path(path);
        }
        if !untried.is_empty() {
            error = error.with_extra("not_tried", untried.to_vec());
        }
        error
    }

    fn has_refused(&self) -> bool {
        let mut outcomes = self.entries.iter().map(|(_, outcome)| outcome);
        outcomes.any(|outcome| matches!(outcome, Outcome::Refused(_)))
    }

    fn has_partial(&self) -> bool {
        self.entries
            .iter()
            .any(|(_, outcome)| matches!(outcome, Outcome::Partial))
    }

    fn hint(&self, offered: &[String], untried: &[String]) -> &'static str {
        let refused = |methods: &[AuthMethod]| {
            self.entries.iter().any(|(tried, outcome)| {
                methods.contains(&tried.method) && matches!(outcome, Outcome::Refused(_))
            })
        };
        if !untried.is_empty() && refused(&[AuthMethod::PrivateKey, AuthMethod::SshAgent]) {
            "name the right key and set IdentitiesOnly, so that the others are not offered"
        } else if self.has_partial() {
            "give a credential for each factor that the server wants"
        } else if refused(&[AuthMethod::PrivateKey, AuthMethod::SshAgent])
            && !offered.is_empty()
            && offered.iter().all(|method| method != "publickey")
        {
            "the server takes no keys from this user: give a credential of a kind that it accepts"
        } else if refused(&[AuthMethod::PrivateKey, AuthMethod::SshAgent]) {
            "check the user name, and that the key's .pub line is in the server's authorized_keys"
        } else if refused(&[AuthMethod::Password, AuthMethod::KeyboardInteractive]) {
            "check the user name and the password, and that the server takes passwords"
        } else if offered.iter().any(|method| method == "publickey") {
            "name a private key, or add one to the SSH agent with ssh-add"
        } else {
            "give a credential of a kind that the server accepts"
        }
    }
}

fn escaped(methods: &[String]) -> Vec<String> {
    methods.iter().map(|method| escape(method)).collect()
}

/// One attempt in words. An error of this side names its key file itself.
fn line(tried: &Tried, outcome: &Outcome) -> String {
    match outcome {
        Outcome::Partial => format!("{} accepted as one factor of several", tried.label),
        Outcome::Refused(None) => format!("{} refused", tried.label),
        Outcome::Refused(Some(note)) => format!("{} refused ({note})", tried.label),
        Outcome::NotMade(error) if error.context().key_path.is_some() => error.to_string(),
        // Not `password: ...`, which looks like a secret to whatever masks them.
        Outcome::NotMade(error) => format!("{} not tried ({error})", tried.label),
    }
}
