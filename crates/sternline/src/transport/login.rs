//! Single authentication requests (RFC 4252) on a connection whose server is already trusted.
//!
//! What to try, and in which order, is decided in `auth`. An `Err` from any method here means that the connection is
//! gone; everything that leaves it usable is an [`AuthReply`].

use std::time::Duration;

use russh::MethodSet;
use russh::Signer;
use russh::client::{AuthResult, KeyboardInteractiveAuthResponse};
use russh::keys::ssh_encoding::Encode;
use russh::keys::ssh_key::Signature;
use russh::keys::ssh_key::private::KeypairData;
use russh::keys::{HashAlg, PrivateKeyWithHashAlg, signature};
use tokio::time::timeout;

use super::agent::{Agent, AgentIdentity};
use super::certificate::UserCertificate;
use super::handshake::Login;
use super::keys::PrivateKey;
use crate::deadline::PhaseClock;
use crate::error::{AgentReason, Error, ErrorKind, KeyLoadReason, Result};
use crate::secret::Secret;

/// The server's answer to one request.
#[derive(Debug)]
pub(crate) enum AuthReply {
    /// Logged in.
    Success,
    /// Not logged in, or not yet.
    Failure(Refusal),
    /// The request could not be made, or not completed, for a reason on this side. The connection is sound.
    NotMade(Error),
}

/// What USERAUTH_FAILURE says (RFC 4252 section 5.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The methods that can continue, by their names in RFC 4252 and 4256. Never empty.
    pub(crate) remaining: Vec<String>,
    /// Whether the request was accepted and another factor is wanted.
    pub(crate) partial: bool,
}

/// The server's answer in keyboard-interactive authentication (RFC 4256).
#[derive(Debug)]
pub(crate) enum KbdReply {
    /// Logged in.
    Success,
    /// Not logged in, or not yet.
    Failure(Refusal),
    /// The server asks. Every prompt has to be answered before anything else can be requested.
    Prompts(Prompts),
}

/// The prompts of one round. All texts come from the server, unescaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Prompts {
    pub(crate) name: String,
    pub(crate) instructions: String,
    /// May be empty; the round then only shows its instructions.
    pub(crate) prompts: Vec<Prompt>,
}

/// One prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Prompt {
    pub(crate) text: String,
    /// Whether what is typed may be shown.
    pub(crate) echo: bool,
}

/// How long to wait for the reason of a lost connection to be recorded.
const REASON_LIMIT: Duration = Duration::from_secs(1);

impl Login {
    /// The clock of the attempt to connect, which stands still while a person is asked.
    pub(crate) fn clock(&self) -> &PhaseClock {
        &self.link.clock
    }

    /// The `none` request: succeeds where no credential is needed, and otherwise lists the methods.
    pub(crate) async fn none(&mut self, user: &str) -> Result<AuthReply> {
        let result = self.handle.authenticate_none(user).await;
        self.reply(result).await
    }

    /// The `password` request (RFC 4252 section 8).
    pub(crate) async fn password(&mut self, user: &str, password: &Secret) -> Result<AuthReply> {
        // The protocol crate takes its own copy, which it overwrites when the server has answered.
        let result = self.handle.authenticate_password(user, password.expose()).await;
        self.reply(result).await
    }

    /// The `publickey` request (RFC 4252 section 7): the key is offered first, and signs when the server wants it.
    pub(crate) async fn public_key(&mut self, user: &str, key: &PrivateKey) -> Result<AuthReply> {
        let hash = match self.hash_for(key.is_rsa()).await? {
            Ok(hash) => hash,
            Err(error) => return Ok(AuthReply::NotMade(error)),
        };
        let key = PrivateKeyWithHashAlg::new(key.key.clone(), hash);
        let result = self.handle.authenticate_publickey(user, key).await;
        self.reply(result).await
    }

    /// The `publickey` request with a certificate in the place of the key (OpenSSH's PROTOCOL.certkeys).
    pub(crate) async fn certificate(
        &mut self,
        user: &str,
        key: &PrivateKey,
        certificate: &UserCertificate,
    ) -> Result<AuthReply> {
        let hash = match self.hash_for(certificate.is_rsa()).await? {
            Ok(hash) => hash,
            Err(error) => return Ok(AuthReply::NotMade(error)),
        };
        let certificate = certificate.certificate.as_ref().clone();
        let mut signer = KeySigner(key.clone());
        let result = self
            .handle
            .authenticate_certificate_with(user, certificate, hash, &mut signer)
            .await;
        self.signed_reply(result).await
    }

    /// The `publickey` request with a key or certificate of the agent, or with a `certificate` for its key that the
    /// agent itself does not hold. The clock stands still while the agent signs, because a person may have to touch
    /// or confirm, but no longer than `limit`.
    pub(crate) async fn agent_identity(
        &mut self,
        user: &str,
        agent: &mut Agent,
        identity: &AgentIdentity,
        certificate: Option<&UserCertificate>,
        limit: Duration,
    ) -> Result<AuthReply> {
        let hash = match self.hash_for(identity.is_rsa()).await? {
            Ok(hash) => hash,
            Err(error) => return Ok(AuthReply::NotMade(error)),
        };
        let mut signer = AgentSigner {
            agent,
            identity: &identity.identity,
            clock: self.link.clock.clone(),
            limit,
        };
        let result = match certificate.or(identity.certificate.as_ref()) {
            Some(certificate) => {
                let certificate = certificate.certificate.as_ref().clone();
                self.handle
                    .authenticate_certificate_with(user, certificate, hash, &mut signer)
                    .await
            }
            None => {
                let key = identity.identity.public_key().into_owned();
                self.handle
                    .authenticate_publickey_with(user, key, hash, &mut signer)
                    .await
            }
        };
        self.signed_reply(result).await
    }

    /// Begins keyboard-interactive authentication.
    pub(crate) async fn keyboard_interactive_start(&mut self, user: &str) -> Result<KbdReply> {
        let result = self
            .handle
            .authenticate_keyboard_interactive_start(user, None)
            .await;
        self.kbd_reply(result).await
    }

    /// Answers the prompts of a round, one answer for each.
    pub(crate) async fn keyboard_interactive_respond(&mut self, answers: &[Secret]) -> Result<KbdReply> {
        let answers = answers.iter().map(|answer| answer.expose().to_owned()).collect();
        let result = self
            .handle
            .authenticate_keyboard_interactive_respond(answers)
            .await;
        self.kbd_reply(result).await
    }

    /// The hash an RSA key signs with: what the server says it takes (RFC 8308), asked once per connection; the one
    /// that RFC 8332 recommends where it says nothing. SHA-1 is never used.
    async fn hash_for(&mut self, rsa: bool) -> Result<Result<Option<HashAlg>>> {
        if !rsa {
            return Ok(Ok(None));
        }
        let hash = match self.rsa_hash {
            Some(hash) => hash,
            None => {
                let hash = match self.handle.best_supported_rsa_hash().await {
                    Ok(Some(hash)) => hash,
                    Ok(None) => Some(HashAlg::Sha256),
                    Err(_) => return Err(self.lost().await),
                };
                self.rsa_hash = Some(hash);
                hash
            }
        };
        Ok(match hash {
            Some(hash) => Ok(Some(hash)),
            None => Err(Error::new(
                ErrorKind::AuthFailed,
                "the server accepts RSA keys only with SHA-1 signatures, which are not secure",
            )
            .with_hint("use an Ed25519 key, or update the server")),
        })
    }

    async fn reply(&self, result: Result<AuthResult, russh::Error>) -> Result<AuthReply> {
        match result {
            Ok(AuthResult::Success) => Ok(AuthReply::Success),
            Ok(AuthResult::Failure {
                remaining_methods,
                partial_success,
            }) => Ok(AuthReply::Failure(
                self.refusal(&remaining_methods, partial_success).await?,
            )),
            Err(_) => Err(self.lost().await),
        }
    }

    async fn signed_reply(&self, result: Result<AuthResult, SignError>) -> Result<AuthReply> {
        match result {
            Ok(result) => self.reply(Ok(result)).await,
            Err(SignError::Sign(error)) => Ok(AuthReply::NotMade(error)),
            Err(SignError::Link) => Err(self.lost().await),
        }
    }

    async fn kbd_reply(
        &self,
        result: Result<KeyboardInteractiveAuthResponse, russh::Error>,
    ) -> Result<KbdReply> {
        match result {
            Ok(KeyboardInteractiveAuthResponse::Success) => Ok(KbdReply::Success),
            Ok(KeyboardInteractiveAuthResponse::Failure {
                remaining_methods,
                partial_success,
            }) => Ok(KbdReply::Failure(
                self.refusal(&remaining_methods, partial_success).await?,
            )),
            Ok(KeyboardInteractiveAuthResponse::InfoRequest {
                name,
                instructions,
                prompts,
            }) => {
                let prompts = prompts
                    .into_iter()
                    .map(|prompt| Prompt {
                        text: prompt.prompt,
                        echo: prompt.echo,
                    })
                    .collect();
                Ok(KbdReply::Prompts(Prompts {
                    name,
                    instructions,
                    prompts,
                }))
            }
            Err(_) => Err(self.lost().await),
        }
    }

    /// The protocol crate reports a lost connection as a refusal without remaining methods, and gives the connection
    /// up when a server really lists none: either way it is over.
    async fn refusal(&self, remaining: &MethodSet, partial: bool) -> Result<Refusal> {
        if remaining.is_empty() {
            return Err(self.lost().await);
        }
        Ok(Refusal {
            remaining: remaining.iter().map(String::from).collect(),
            partial,
        })
    }

    async fn lost(&self) -> Error {
        match timeout(REASON_LIMIT, self.link.ended()).await {
            Ok(error) => error,
            Err(_) => self.link.lost(),
        }
    }
}

/// Why a request that needs a signature was not completed.
enum SignError {
    Link,
    Sign(Error),
}

impl From<russh::SendError> for SignError {
    fn from(_: russh::SendError) -> Self {
        Self::Link
    }
}

/// Signs with a key in memory, for certificates: the protocol crate's own way names the SHA-1 algorithm for RSA ones.
struct KeySigner(PrivateKey);

impl Signer for KeySigner {
    type Error = SignError;

    async fn auth_sign(
        &mut self,
        _: &russh::keys::agent::AgentIdentity,
        hash: Option<HashAlg>,
        mut to_sign: Vec<u8>,
    ) -> Result<Vec<u8>, SignError> {
        sign(&self.0, hash, &to_sign)
            .and_then(|signature| Ok(signature.encode_prefixed(&mut to_sign)?))
            .map_err(|error| SignError::Sign(cannot_sign(&error)))?;
        Ok(to_sign)
    }
}

fn sign(
    key: &PrivateKey,
    hash: Option<HashAlg>,
    data: &[u8],
) -> Result<Signature, russh::keys::ssh_key::Error> {
    use signature::Signer as _;
    Ok(match key.key.key_data() {
        KeypairData::Rsa(pair) => (pair, hash).try_sign(data)?,
        pair => pair.try_sign(data)?,
    })
}

fn cannot_sign(error: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::KeyLoad(KeyLoadReason::Unknown), "the key cannot sign").with_source_text(error)
}

/// Lets the agent sign with one of its identities, whatever is offered to the server.
struct AgentSigner<'a> {
    agent: &'a mut Agent,
    identity: &'a russh::keys::agent::AgentIdentity,
    clock: PhaseClock,
    limit: Duration,
}

impl Signer for AgentSigner<'_> {
    type Error = SignError;

    async fn auth_sign(
        &mut self,
        _: &russh::keys::agent::AgentIdentity,
        hash: Option<HashAlg>,
        to_sign: Vec<u8>,
    ) -> Result<Vec<u8>, SignError> {
        let length = to_sign.len();
        let _pause = self.clock.pause();
        let signed = self
            .agent
            .sign(self.identity, hash, to_sign, self.limit)
            .await
            .map_err(SignError::Sign)?;
        if signed.len() <= length {
            return Err(SignError::Sign(Error::new(
                ErrorKind::Agent(AgentReason::CommunicationError),
                "the SSH agent returned an empty signature",
            )));
        }
        Ok(signed)
    }
}
