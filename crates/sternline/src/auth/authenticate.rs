//! Carrying out the plan on one connection.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sternline_proto::key::PublicKey;

use super::config::AuthMethod;
use super::describe::{describe, label};
use super::interactive::exchange;
use super::key_file::{failed, unlock};
use super::plan::{Attempt, Ended, Plan, Source, Wire};
use super::prepare::{Prepared, Private};
use super::report::{Report, Tried};
use crate::deadline::Phase;
use crate::error::{Error, ErrorKind, KeyLoadReason, Result};
use crate::event::Emitter;
use crate::prompt::{Prompter, SecretSubject};
use crate::secret::{Secret, Turn};
use crate::transport::certificate::UserCertificate;
use crate::transport::handshake::Login;
use crate::transport::keys::PrivateKey;
use crate::transport::login::{AuthReply, Refusal};

/// How long the agent may take to sign: a person may have to touch a key or confirm.
const SIGN_LIMIT: Duration = Duration::from_secs(60);

/// Who logs in where, and who is told about it.
pub(crate) struct AuthRequest<'a> {
    pub(crate) host: &'a str,
    pub(crate) username: &'a str,
    pub(crate) prompter: Option<&'a dyn Prompter>,
    pub(crate) emitter: &'a Emitter,
    /// Whether to ask for the server's methods first, with a `none` request, at the price of a round trip.
    pub(crate) probe: bool,
}

/// A successful login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AuthOutcome {
    /// What the server accepted last; `None` when it wanted no credential at all.
    pub(crate) method: Option<AuthMethod>,
    /// Whether a person answered, or touched a key: another login would bother them again.
    pub(crate) needed_person: bool,
    /// The methods that the server named, as far as it had reason to.
    pub(crate) offered: Vec<String>,
}

/// Logs in with what was prepared.
///
/// Not cancel-safe: an answer that is still under way would be taken for that of the next attempt, so a cancelled
/// login has to be dropped.
///
/// # Errors
/// `AuthFailed` with every attempt in it; the reason itself when the only credential could not be loaded; the
/// connection's error, at once and without any further attempt, when it ends.
pub(crate) async fn authenticate(
    login: &mut Login,
    request: &AuthRequest<'_>,
    prepared: Prepared,
) -> Result<AuthOutcome> {
    let run = Run {
        plan: Plan::new(&prepared.input),
        report: Report::new(request.emitter, request.host, request.username),
        login,
        request,
        prepared,
        questions: HashMap::new(),
        offered_keys: Vec::new(),
        needed_person: false,
    };
    run.run().await
}

struct Run<'a> {
    login: &'a mut Login,
    request: &'a AuthRequest<'a>,
    prepared: Prepared,
    plan: Plan,
    report: Report<'a>,
    /// How often each attempt has been made, for those that ask a person.
    questions: HashMap<Attempt, u32>,
    /// Keys whose public part was only known once they were decrypted.
    offered_keys: Vec<PublicKey>,
    needed_person: bool,
}

/// What came of one attempt.
enum Step {
    Reply(AuthReply),
    /// The server refused, and asking again makes no sense.
    GivenUp(Error, Refusal),
    /// Nothing to do, and nothing to tell.
    Skipped,
}

impl From<AuthReply> for Step {
    fn from(reply: AuthReply) -> Self {
        Self::Reply(reply)
    }
}

/// Tells the other hosts what came of the password.
fn settle(turn: Turn, step: &Step, wire: Wire) {
    match step {
        Step::Reply(AuthReply::Success) => turn.taken(),
        Step::Reply(AuthReply::Failure(refusal)) if refusal.partial => turn.taken(),
        // A server that does not take the method has not looked at the password.
        Step::Reply(AuthReply::Failure(refusal))
            if refusal.remaining.iter().any(|method| method == wire.as_str()) =>
        {
            turn.refused();
        }
        Step::Reply(_) | Step::GivenUp(..) | Step::Skipped => {}
    }
}

impl Run<'_> {
    async fn run(mut self) -> Result<AuthOutcome> {
        self.report_what_cannot_be_used();
        // A server's methods are learned from its first refusal. With nothing to offer, only this tells them.
        if (self.request.probe || self.plan.next().is_none())
            && let Some(outcome) = self.probe().await?
        {
            return Ok(outcome);
        }
        while let Some((attempt, wire)) = self.plan.next() {
            let tried = describe(&self.prepared, attempt, wire);
            let turn = match self.turn(attempt).await {
                Ok(turn) => turn,
                Err(error) => {
                    self.report.not_made(tried, error);
                    self.plan.ended(attempt, wire, Ended::NotMade);
                    continue;
                }
            };
            let step = match self.attempt(attempt, wire).await {
                Ok(step) => step,
                Err(error) => return Err(self.report.lost(&tried, error)),
            };
            if let Some(turn) = turn {
                settle(turn, &step, wire);
            }
            match step {
                Step::Reply(AuthReply::Success) => {
                    self.report.accepted(&tried);
                    return Ok(self.outcome(Some(tried.method)));
                }
                Step::Reply(AuthReply::Failure(refusal)) => self.refused(attempt, wire, tried, &refusal),
                Step::Reply(AuthReply::NotMade(error)) => {
                    self.report.not_made(tried, error);
                    self.plan.ended(attempt, wire, Ended::NotMade);
                }
                Step::GivenUp(error, refusal) => {
                    self.report.not_made(tried, error);
                    self.plan.learn(&refusal.remaining);
                    self.plan.ended(attempt, wire, Ended::GivenUp);
                }
                Step::Skipped => self.plan.ended(attempt, wire, Ended::NotMade),
            }
        }
        let offered = self.plan.offered().unwrap_or_default().to_vec();
        let untried: Vec<_> = self
            .plan
            .over_limit()
            .into_iter()
            .map(|attempt| describe(&self.prepared, attempt, Wire::PublicKey).label)
            .collect();
        Err(self.report.into_error(&offered, &untried, &self.plan.ruled_out()))
    }

    /// The turn to give the password that other hosts may ask for too; `None` for any other attempt. Others are not
    /// this host's fault, so the clock stands still meanwhile.
    async fn turn(&mut self, attempt: Attempt) -> Result<Option<Turn>> {
        let (Attempt::Password { source, .. }, Some((shared, fallback))) = (attempt, &self.prepared.fallback)
        else {
            return Ok(None);
        };
        if source != *fallback {
            return Ok(None);
        }
        let turn = {
            let _pause = self.login.clock().pause();
            shared.turn().await
        };
        if turn.is_some() {
            return Ok(turn);
        }
        if let Some(password) = self.prepared.passwords.get_mut(source) {
            *password = None;
        }
        let message = "the password was not given, because another host refused it";
        Err(Error::new(ErrorKind::AuthFailed, message)
            .with_hint("check the password, and on which hosts it is the same"))
    }

    fn outcome(&self, method: Option<AuthMethod>) -> AuthOutcome {
        let offered = self.plan.offered().unwrap_or_default().to_vec();
        AuthOutcome {
            method,
            needed_person: self.needed_person,
            offered,
        }
    }

    /// Tells of an agent and of certificates that were named and cannot be used; nothing is attempted with them.
    fn report_what_cannot_be_used(&mut self) {
        if let Some(error) = self.prepared.agent_error.take() {
            let tried = Tried::new(AuthMethod::SshAgent, "SSH agent");
            self.report.not_made(tried, error);
        }
        for key in &mut self.prepared.keys {
            if let Some(error) = key.certificate_error.take() {
                let tried = Tried::new(AuthMethod::PrivateKey, format!("certificate of {}", label(key)));
                self.report.not_made(
                    Tried {
                        key_path: key.path.clone(),
                        ..tried
                    },
                    error,
                );
            }
        }
    }

    async fn probe(&mut self) -> Result<Option<AuthOutcome>> {
        let reply = self
            .login
            .none(self.request.username)
            .await
            .map_err(|error| error.in_phase(Phase::Auth))?;
        match reply {
            AuthReply::Success => Ok(Some(self.outcome(None))),
            AuthReply::Failure(refusal) => {
                self.plan.learn(&refusal.remaining);
                Ok(None)
            }
            AuthReply::NotMade(error) => Err(error),
        }
    }

    fn refused(&mut self, attempt: Attempt, wire: Wire, tried: Tried, refusal: &Refusal) {
        self.plan.learn(&refusal.remaining);
        if refusal.partial {
            self.report.partial(tried, &refusal.remaining);
            self.plan.ended(attempt, wire, Ended::Partial);
            return;
        }
        let offered = refusal.remaining.iter().any(|method| method == wire.as_str());
        if let (Attempt::Password { source, known: true }, true) = (attempt, offered)
            && let Some(password) = self.prepared.passwords.get_mut(source)
        {
            // It is wrong, and is not to be tried again as the answer to a question: accounts are locked for that.
            *password = None;
        }
        let note = if offered {
            self.outside_validity(attempt)
        } else {
            Some("the server does not take this method")
        };
        self.report.refused(tried, &refusal.remaining, note);
        self.plan.ended(attempt, wire, Ended::Refused);
    }

    async fn attempt(&mut self, attempt: Attempt, wire: Wire) -> Result<Step> {
        match attempt {
            Attempt::Agent {
                identity,
                certificate_of,
            } => self.agent(identity, certificate_of).await,
            Attempt::Key(index) => match self.unlock(index).await {
                Ok(key) if self.offered_keys.contains(key.public()) => Ok(Step::Skipped),
                Ok(key) => {
                    self.offered_keys.push(key.public().clone());
                    Ok(self.login.public_key(self.request.username, &key).await?.into())
                }
                Err(error) => Ok(error.map_or(Step::Skipped, |error| AuthReply::NotMade(error).into())),
            },
            Attempt::Certificate(index) => match (self.unlock(index).await, self.certificate(index)) {
                (Ok(key), Some(certificate)) => Ok(self
                    .login
                    .certificate(self.request.username, &key, &certificate)
                    .await?
                    .into()),
                (Err(Some(error)), _) => Ok(AuthReply::NotMade(error).into()),
                (Err(None), _) | (_, None) => Ok(Step::Skipped),
            },
            Attempt::Password { source, .. } => {
                let known = self.prepared.passwords.get(source).cloned().flatten();
                if wire == Wire::KeyboardInteractive {
                    return self.interactive(attempt, known).await;
                }
                let password = match known {
                    Some(password) => Some(password),
                    None => self.ask(attempt, SecretSubject::Password).await,
                };
                match password {
                    Some(password) => Ok(self
                        .login
                        .password(self.request.username, &password)
                        .await?
                        .into()),
                    None => Ok(AuthReply::NotMade(
                        Error::new(
                            ErrorKind::AuthFailed,
                            "nobody gave a password when it was asked for",
                        )
                        .with_hint("give the password, or log in from a terminal"),
                    )
                    .into()),
                }
            }
            Attempt::KeyboardInteractive => {
                // A password that is known and was not refused spares the person the question.
                let known = self
                    .prepared
                    .input
                    .sources
                    .iter()
                    .position(|source| *source == Source::Password { known: true });
                let known = known.filter(|_| self.questions(attempt) == 0);
                let known = known.and_then(|source| self.prepared.passwords.get(source).cloned().flatten());
                self.interactive(attempt, known).await
            }
        }
    }

    async fn agent(&mut self, identity: usize, certificate_of: Option<usize>) -> Result<Step> {
        let certificate = certificate_of.and_then(|index| self.certificate(index));
        let (Some(agent), Some(identity)) =
            (&mut self.prepared.agent, self.prepared.identities.get(identity))
        else {
            return Ok(Step::Skipped);
        };
        let touch = identity.needs_touch();
        let reply = self
            .login
            .agent_identity(
                self.request.username,
                agent,
                identity,
                certificate.as_ref(),
                SIGN_LIMIT,
            )
            .await?;
        if touch && !matches!(&reply, AuthReply::Failure(refusal) if !refusal.partial) {
            self.needed_person = true;
        }
        Ok(reply.into())
    }

    async fn interactive(&mut self, attempt: Attempt, password: Option<Secret>) -> Result<Step> {
        let number = self.count(attempt);
        let others = self.plan.continues_after(attempt);
        let done = exchange(self.login, self.request, password.as_ref(), number, others).await?;
        // Even answered from memory, the questions may be another kind the next time: a one-time code, for example.
        self.needed_person = true;
        Ok(match (done.reply, done.given_up) {
            (AuthReply::NotMade(error), Some(refusal)) => Step::GivenUp(error, refusal),
            (reply, _) => reply.into(),
        })
    }

    fn questions(&self, attempt: Attempt) -> u32 {
        self.questions.get(&attempt).copied().unwrap_or_default()
    }

    /// The number of this attempt, from 1.
    fn count(&mut self, attempt: Attempt) -> u32 {
        let number = self.questions.entry(attempt).or_default();
        *number += 1;
        *number
    }

    async fn ask(&mut self, attempt: Attempt, subject: SecretSubject) -> Option<Secret> {
        let number = self.count(attempt);
        let answer = self.request.ask(self.login, subject, number).await;
        self.needed_person |= answer.is_some();
        answer
    }

    fn certificate(&self, index: usize) -> Option<UserCertificate> {
        self.prepared.keys.get(index)?.certificate.clone()
    }

    /// Why an attempt with a certificate was bound to be refused, judged by this machine's clock.
    fn outside_validity(&self, attempt: Attempt) -> Option<&'static str> {
        let certificate = match attempt {
            Attempt::Certificate(index)
            | Attempt::Agent {
                certificate_of: Some(index),
                ..
            } => self.certificate(index),
            Attempt::Agent { identity, .. } => self.prepared.identities.get(identity)?.certificate.clone(),
            _ => None,
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
        certificate?.outside_validity(now)
    }

    /// The private key, asking for its passphrase if there is need. `Err(None)` when that has failed before.
    async fn unlock(&mut self, index: usize) -> Result<PrivateKey, Option<Error>> {
        let Some(material) = self.prepared.keys.get_mut(index) else {
            return Err(None);
        };
        // Whatever goes wrong below, it goes wrong once.
        let private = std::mem::replace(&mut material.private, Private::Failed(None));
        let path = material.path.clone().unwrap_or_default();
        let key = match private {
            Private::Open(key) => key,
            Private::Failed(error) => return Err(error),
            Private::Sealed { sealed, passphrase } => {
                let mut passphrase = passphrase;
                let ask = sealed.encrypted && passphrase.is_none() && self.request.prompter.is_some();
                let mut number = 0;
                loop {
                    if ask {
                        number += 1;
                        passphrase = self.passphrase(&path, number).await;
                        if passphrase.is_none() {
                            return Err(Some(failed(
                                &path,
                                KeyLoadReason::WrongPassphrase,
                                "it is encrypted and nobody gave its passphrase",
                                "add the key to the agent with ssh-add, or log in from a terminal",
                            )));
                        }
                    }
                    match unlock(&sealed, &path, passphrase.as_ref()).await {
                        Err(error)
                            if ask
                                && number < self.prepared.input.questions
                                && error.kind() == &ErrorKind::KeyLoad(KeyLoadReason::WrongPassphrase) => {}
                        Err(error) => return Err(Some(error)),
                        Ok(key) => break key,
                    }
                }
            }
        };
        if let Some(material) = self.prepared.keys.get_mut(index) {
            material.private = Private::Open(key.clone());
        }
        Ok(key)
    }

    async fn passphrase(&mut self, path: &std::path::Path, number: u32) -> Option<Secret> {
        let answer = self
            .request
            .ask(self.login, SecretSubject::Passphrase(path.to_owned()), number)
            .await;
        self.needed_person |= answer.is_some();
        answer
    }
}
