//! Who may log in with what. Pure: the protocol asks, this decides.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use sternline_proto::key::PublicKey;
use subtle::{Choice, ConstantTimeEq as _};

use crate::protocol::key::{KeyTextError, parse_public_line};

/// One way for a user to prove who they are (RFC 4252).
#[derive(Clone)]
pub struct Credential(Kind);

#[derive(Clone)]
enum Kind {
    Password(SecretString),
    PublicKey(PublicKey),
    KeyboardInteractive(Vec<Prompt>),
}

/// One question of a keyboard-interactive login (RFC 4256).
#[derive(Clone)]
pub(crate) struct Prompt {
    pub(crate) text: String,
    pub(crate) echo: bool,
    answer: SecretString,
}

impl Credential {
    /// A password (RFC 4252 section 8).
    #[must_use]
    pub fn password(password: impl Into<SecretString>) -> Self {
        Self(Kind::Password(password.into()))
    }

    /// A public key (RFC 4252 section 7), as a line of a `.pub` file: algorithm, base64 and an optional comment.
    ///
    /// ed25519, ECDSA and RSA keys are taken; RSA only with SHA-2 signatures.
    ///
    /// # Errors
    /// When the line is not such a key. Options in front, as in `authorized_keys`, are not supported.
    pub fn public_key(line: &str) -> Result<Self, KeyTextError> {
        parse_public_line(line).map(|key| Self(Kind::PublicKey(key)))
    }

    /// Questions and their answers (RFC 4256): the prompt's text, whether the client shows what is typed, the answer.
    /// All questions are asked at once. When a user has several such credentials, each attempt asks the next one.
    #[must_use]
    pub fn keyboard_interactive<T, A>(prompts: impl IntoIterator<Item = (T, bool, A)>) -> Self
    where
        T: Into<String>,
        A: Into<SecretString>,
    {
        let prompts = prompts
            .into_iter()
            .map(|(text, echo, answer)| Prompt {
                text: text.into(),
                echo,
                answer: answer.into(),
            })
            .collect();
        Self(Kind::KeyboardInteractive(prompts))
    }

    fn factor(&self) -> Factor {
        match self.0 {
            Kind::Password(_) => Factor::Password,
            Kind::PublicKey(_) => Factor::PublicKey,
            Kind::KeyboardInteractive(_) => Factor::KeyboardInteractive,
        }
    }
}

/// Shows the kind, never the secret.
impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::PublicKey(key) => f.debug_tuple("Credential").field(key).finish(),
            _ => f.debug_tuple("Credential").field(&self.factor()).finish(),
        }
    }
}

/// A method of authentication, in the order in which a server names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Factor {
    PublicKey,
    Password,
    KeyboardInteractive,
}

const FACTORS: [Factor; 3] = [Factor::PublicKey, Factor::Password, Factor::KeyboardInteractive];

/// Every user of a server.
#[derive(Debug, Default)]
pub(crate) struct Users(HashMap<String, User>);

#[derive(Debug, Default)]
struct User {
    credentials: Vec<Credential>,
    require_all: bool,
}

impl User {
    fn has(&self, factor: Factor) -> bool {
        self.credentials
            .iter()
            .any(|credential| credential.factor() == factor)
    }
}

impl Users {
    pub(crate) fn add(&mut self, name: String, credential: Credential) {
        self.0.entry(name).or_default().credentials.push(credential);
    }

    pub(crate) fn require_all(&mut self, name: String) {
        self.0.entry(name).or_default().require_all = true;
    }

    /// The methods that at least one user can use. The same for everybody, so that it tells nothing about a user.
    pub(crate) fn offered(&self) -> Vec<Factor> {
        FACTORS
            .into_iter()
            .filter(|factor| self.0.values().any(|user| user.has(*factor)))
            .collect()
    }

    /// Compares in a time that depends neither on the password nor on which of the user's passwords it is.
    pub(crate) fn password_is_right(&self, user: &str, password: &str) -> bool {
        let given = digest(password.as_bytes());
        let mut right = Choice::from(0);
        for credential in self.credentials(user) {
            if let Kind::Password(known) = &credential.0 {
                right |= digest(known.expose_secret().as_bytes()).ct_eq(&given);
            }
        }
        right.into()
    }

    pub(crate) fn key_is_listed(&self, user: &str, key: &PublicKey) -> bool {
        self.credentials(user)
            .iter()
            .any(|credential| matches!(&credential.0, Kind::PublicKey(known) if known == key))
    }

    /// The questions for a user's attempt number `attempt`, counted from 0.
    pub(crate) fn prompts(&self, user: &str, attempt: usize) -> Option<&[Prompt]> {
        let all: Vec<&[Prompt]> = self
            .credentials(user)
            .iter()
            .filter_map(|credential| match &credential.0 {
                Kind::KeyboardInteractive(prompts) => Some(prompts.as_slice()),
                _ => None,
            })
            .collect();
        all.get(attempt.checked_rem(all.len())?).copied()
    }

    fn credentials(&self, user: &str) -> &[Credential] {
        self.0.get(user).map_or(&[], |user| user.credentials.as_slice())
    }
}

/// Whether every answer is right, in a time that depends only on their number.
pub(crate) fn answers_are_right<'a>(prompts: &[Prompt], answers: impl IntoIterator<Item = &'a [u8]>) -> bool {
    let mut answers = answers.into_iter();
    let mut right = Choice::from(1);
    for prompt in prompts {
        let given = digest(answers.next().unwrap_or_default());
        right &= digest(prompt.answer.expose_secret().as_bytes()).ct_eq(&given);
    }
    bool::from(right) && answers.next().is_none()
}

/// The users of a server at this moment; clones of the server share them.
#[derive(Debug)]
pub(crate) struct CurrentUsers(RwLock<Arc<Users>>);

impl CurrentUsers {
    pub(crate) fn new(users: Users) -> Self {
        Self(RwLock::new(Arc::new(users)))
    }

    pub(crate) fn now(&self) -> Arc<Users> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set(&self, users: Users) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(users);
    }
}

/// A fixed-length stand-in, so that a comparison does not tell the secret's length.
fn digest(secret: &[u8]) -> [u8; 32] {
    Sha256::digest(secret).into()
}

/// How far one connection's login has come.
#[derive(Debug, Default)]
pub(crate) struct Login {
    user: String,
    passed: Vec<Factor>,
}

/// What a successful attempt means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The user is in.
    Accepted,
    /// Right, and these are still required.
    Partial(Vec<Factor>),
}

impl Login {
    /// Notes that `user` proved `factor`. Another user's earlier successes count for nothing.
    pub(crate) fn passed(&mut self, users: &Users, user: &str, factor: Factor) -> Verdict {
        if self.user != user {
            *self = Self {
                user: user.to_owned(),
                passed: Vec::new(),
            };
        }
        self.passed.push(factor);
        let missing = self.missing(users);
        if missing.is_empty() {
            Verdict::Accepted
        } else {
            Verdict::Partial(missing)
        }
    }

    /// The methods to name after a refused attempt of `user`.
    pub(crate) fn offered(&self, users: &Users, user: &str) -> Vec<Factor> {
        if self.user == user && !self.passed.is_empty() {
            self.missing(users)
        } else {
            users.offered()
        }
    }

    fn missing(&self, users: &Users) -> Vec<Factor> {
        match users.0.get(&self.user) {
            Some(user) if user.require_all => FACTORS
                .into_iter()
                .filter(|factor| user.has(*factor) && !self.passed.contains(factor))
                .collect(),
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users() -> Users {
        let mut users = Users::default();
        users.add("a".into(), Credential::password("one"));
        users.add("a".into(), Credential::password("two"));
        users.add("b".into(), Credential::password("b"));
        users.add(
            "b".into(),
            Credential::keyboard_interactive([("Code: ", true, "1"), ("Pin: ", false, "2")]),
        );
        users.require_all("b".into());
        users
    }

    #[test]
    fn each_of_a_users_passwords_is_right_and_nothing_else_is() {
        let users = users();
        for (user, password, right) in [
            ("a", "one", true),
            ("a", "two", true),
            ("a", "", false),
            ("a", "onE", false),
            ("a", "b", false),
            ("nobody", "", false),
            ("nobody", "one", false),
        ] {
            assert_eq!(
                users.password_is_right(user, password),
                right,
                "{user} {password}"
            );
        }
    }

    #[test]
    fn all_answers_must_be_right_and_complete() {
        let users = users();
        let prompts = users.prompts("b", 0).unwrap();
        for (answers, right) in [
            (&["1", "2"][..], true),
            (&["1", "3"], false),
            (&["1"], false),
            (&[], false),
            (&["1", "2", ""], false),
        ] {
            assert_eq!(
                answers_are_right(prompts, answers.iter().map(|a| a.as_bytes())),
                right,
                "{answers:?}"
            );
        }
        assert!(users.prompts("a", 0).is_none());
    }

    #[test]
    fn a_user_who_needs_all_factors_is_in_only_after_the_last_one() {
        let users = users();
        let mut login = Login::default();
        assert_eq!(
            login.passed(&users, "b", Factor::Password),
            Verdict::Partial(vec![Factor::KeyboardInteractive])
        );
        assert_eq!(login.offered(&users, "b"), [Factor::KeyboardInteractive]);
        assert_eq!(
            login.passed(&users, "b", Factor::KeyboardInteractive),
            Verdict::Accepted
        );
    }

    #[test]
    fn one_users_success_does_not_count_for_another() {
        let users = users();
        let mut login = Login::default();
        assert_eq!(
            login.passed(&users, "a", Factor::KeyboardInteractive),
            Verdict::Accepted
        );
        assert_eq!(
            login.passed(&users, "b", Factor::Password),
            Verdict::Partial(vec![Factor::KeyboardInteractive])
        );
    }

    #[test]
    fn a_server_without_credentials_offers_nothing() {
        assert_eq!(Users::default().offered(), []);
        assert_eq!(users().offered(), [Factor::Password, Factor::KeyboardInteractive]);
    }

    #[test]
    fn no_secret_is_shown_by_debug() {
        let shown = format!("{:?}", Credential::password("hunter2"))
            + &format!(
                "{:?}",
                Credential::keyboard_interactive([("Code: ", true, "hunter2")])
            );
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
