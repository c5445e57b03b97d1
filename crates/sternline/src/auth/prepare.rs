//! Gathering what can be offered: key files are read and the agent's keys listed, while the key exchange runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sternline_proto::key::PublicKey;

use super::config::{AuthConfig, Credential};
use super::key_file::{KeyFile, Sealed, failed, read_certificate};
use super::plan::{AgentCandidate, KeyCandidate, PlanInput, Source, Wire};
use crate::config::Env;
use crate::config::paths::{discover_keys, expand_path};
use crate::deadline::Phase;
use crate::error::{AgentReason, Error, ErrorKind, KeyLoadReason, Result};
use crate::secret::{Secret, SharedSecret};
use crate::transport::agent::{Agent, AgentIdentity};
use crate::transport::certificate::UserCertificate;
use crate::transport::keys::PrivateKey;

/// How long the agent may take to list its keys, which needs nobody's consent.
const LIST_LIMIT: Duration = Duration::from_secs(5);

/// Everything that may be offered on one connection, and the order it depends on.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(super) input: PlanInput,
    /// The known password at each place of the chain.
    pub(super) passwords: Vec<Option<Secret>>,
    /// The password that other hosts may ask for too, and its place.
    pub(super) fallback: Option<(SharedSecret, usize)>,
    pub(super) keys: Vec<Material>,
    pub(super) agent: Option<Agent>,
    pub(super) identities: Vec<AgentIdentity>,
    /// Why the agent cannot be used, if the configuration names it.
    pub(super) agent_error: Option<Error>,
}

/// A key of the chain.
#[derive(Debug)]
pub(super) struct Material {
    pub(super) path: Option<PathBuf>,
    pub(super) public: Option<PublicKey>,
    pub(super) certificate: Option<UserCertificate>,
    /// What is wrong with its certificate; told once, and the key is used without it.
    pub(super) certificate_error: Option<Error>,
    pub(super) private: Private,
}

/// How far the private part is available.
#[derive(Debug)]
pub(super) enum Private {
    Sealed {
        sealed: Arc<Sealed>,
        passphrase: Option<Secret>,
    },
    Open(PrivateKey),
    /// It cannot be loaded; the reason is told once.
    Failed(Option<Error>),
}

/// What may be offered, as the caller configured it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Credentials<'a> {
    /// The chain. Empty: the agent, the default key files unless `identity_files` names others, then questions to a
    /// person.
    pub(crate) auth: &'a [AuthConfig],
    /// Keys named by configuration; they come first.
    pub(crate) identity_files: &'a [PathBuf],
    /// Whether keys that are not named are kept back, although the agent holds them.
    pub(crate) identities_only: bool,
    /// The password to give when nothing before it was accepted, instead of asking a person for one.
    pub(crate) fallback_password: Option<&'a SharedSecret>,
    /// Whether there is a person to ask.
    pub(crate) prompter: bool,
    /// After how many refusals to stop.
    pub(crate) max_refusals: usize,
    /// Certificates for keys that are named, found, or held by the agent.
    pub(crate) certificate_files: &'a [PathBuf],
    /// The methods that may be used, in order, if not all.
    pub(crate) methods: Option<&'a [Wire]>,
    /// How often a person is asked for one thing.
    pub(crate) questions: u32,
}

/// Reads the key files and asks the agent. Nothing here fails: what cannot be used is reported when its turn comes.
pub(crate) async fn prepare(credentials: Credentials<'_>, env: &Env) -> Prepared {
    let mut prepared = Prepared {
        input: PlanInput {
            identities_only: credentials.identities_only,
            prompter: credentials.prompter,
            max_refusals: credentials.max_refusals,
            methods: credentials.methods.map(<[Wire]>::to_vec),
            questions: credentials.questions,
            ..PlanInput::default()
        },
        passwords: Vec::new(),
        fallback: None,
        keys: Vec::new(),
        agent: None,
        identities: Vec::new(),
        agent_error: None,
    };
    for path in credentials.identity_files {
        prepared.push(env, AuthConfig::key(path), false).await;
    }
    for config in credentials.auth {
        prepared.push(env, config.clone(), false).await;
    }
    let discover = credentials.auth.is_empty();
    if discover {
        prepared.push(env, AuthConfig::agent(), true).await;
        let found = if credentials.identity_files.is_empty() {
            discover_keys(env)
        } else {
            Vec::new()
        };
        for path in found {
            prepared.push(env, AuthConfig::key(path), true).await;
        }
    }
    for path in credentials.certificate_files {
        prepared.certify(env, path.clone()).await;
    }
    match credentials.fallback_password {
        Some(password) => {
            prepared
                .push(env, AuthConfig::password(password.secret().clone()), discover)
                .await;
            prepared.fallback = Some((password.clone(), prepared.passwords.len() - 1));
            if credentials.prompter {
                prepared
                    .push(env, AuthConfig::keyboard_interactive(), discover)
                    .await;
            }
        }
        None if discover => {
            prepared.push(env, AuthConfig::keyboard_interactive(), true).await;
            prepared.push(env, AuthConfig::ask_password(), true).await;
        }
        None => {}
    }
    prepared.ask_agent(env, !discover).await;
    prepared
}

impl Prepared {
    /// Appends a credential to the chain.
    async fn push(&mut self, env: &Env, config: AuthConfig, discovered: bool) {
        let mut known = None;
        let source = match config.0 {
            Credential::Password(password) => {
                known = password;
                Source::Password {
                    known: known.is_some(),
                }
            }
            Credential::Agent => Source::Agent,
            Credential::KeyboardInteractive => Source::KeyboardInteractive,
            Credential::Key { key, certificate } => self.add(Material::memory(key, certificate), discovered),
            Credential::KeyFile {
                path,
                passphrase,
                certificate,
            } => self.add(
                Material::file(env, path, passphrase, certificate).await,
                discovered,
            ),
        };
        self.input.sources.push(source);
        self.passwords.push(known);
    }

    /// Gives the key that a certificate is for its certificate, unless it has one. If no such key is in the chain, the
    /// agent may hold it.
    async fn certify(&mut self, env: &Env, path: PathBuf) {
        let material = Material::certificate(env, path).await;
        let own = self
            .keys
            .iter()
            .position(|key| material.public.is_some() && key.public == material.public);
        match own.and_then(|index| Some((self.keys.get_mut(index)?, self.input.keys.get_mut(index)?))) {
            None => {
                let source = self.add(material, false);
                self.input.sources.push(source);
                self.passwords.push(None);
            }
            Some((key, candidate)) if key.certificate.is_none() => {
                candidate.certificate = material.certificate.as_ref().map(|found| found.blob().clone());
                key.certificate = material.certificate;
            }
            Some(_) => {}
        }
    }

    fn add(&mut self, material: Material, discovered: bool) -> Source {
        self.input.keys.push(KeyCandidate {
            public: material.public.clone(),
            certificate: material
                .certificate
                .as_ref()
                .map(|certificate| certificate.blob().clone()),
            encrypted: matches!(&material.private, Private::Sealed { sealed, .. } if sealed.encrypted),
            usable: !matches!(material.private, Private::Failed(_)),
            discovered,
        });
        self.keys.push(material);
        Source::Key(self.keys.len() - 1)
    }

    /// Lists the agent's keys if the chain names the agent, or a key that would need a passphrase. `required` says
    /// whether the caller asked for the agent: it is then an error when it cannot be used.
    async fn ask_agent(&mut self, env: &Env, required: bool) {
        let named = self.input.sources.contains(&Source::Agent);
        let required = required && named;
        let useful = self
            .input
            .keys
            .iter()
            .any(|key| key.public.is_some() && (key.encrypted || !key.usable));
        if !named && !useful {
            return;
        }
        match list(env).await {
            Ok((agent, identities)) => {
                if identities.is_empty() && required {
                    let what = "the SSH agent holds no key, or is locked";
                    self.agent_error = Some(
                        Error::new(ErrorKind::Agent(AgentReason::NoKeys), what)
                            .with_hint("add a key with ssh-add, or unlock the agent with ssh-add -X"),
                    );
                }
                self.input.agent = identities
                    .iter()
                    .map(|identity| AgentCandidate {
                        key: identity.key.clone(),
                        offered: identity.offered.clone(),
                    })
                    .collect();
                self.agent = Some(agent);
                self.identities = identities;
            }
            Err(error) if required => self.agent_error = Some(error),
            Err(error) => tracing::debug!(%error, "going on without the SSH agent"),
        }
    }
}

impl Material {
    fn memory(key: PrivateKey, certificate: Option<UserCertificate>) -> Self {
        let public = Some(key.public().clone());
        Self {
            path: None,
            public,
            certificate,
            certificate_error: None,
            private: Private::Open(key),
        }
    }

    /// A certificate whose key is somewhere else.
    async fn certificate(env: &Env, path: PathBuf) -> Self {
        let read = match resolve(env, path.clone(), None) {
            Ok((resolved, _)) => tokio::task::spawn_blocking(move || read_certificate(&resolved))
                .await
                .map_err(|error| {
                    failed(&path, KeyLoadReason::Unknown, "reading it failed", "try again")
                        .with_source_text(&error)
                })
                .flatten(),
            Err(error) => Err(error),
        };
        let (certificate, error) = match read {
            Ok(certificate) => {
                let what = "the key of this certificate is neither named nor held by the agent";
                let hint = "name the key with -i or IdentityFile, or add it to the agent with ssh-add";
                let error = failed(&path, KeyLoadReason::FileNotFound, what, hint);
                (Some(certificate), error)
            }
            Err(error) => (None, error),
        };
        Self {
            path: Some(path),
            public: certificate.as_ref().map(|certificate| certificate.key().clone()),
            certificate,
            certificate_error: None,
            private: Private::Failed(Some(error)),
        }
    }

    async fn file(
        env: &Env,
        path: PathBuf,
        passphrase: Option<Secret>,
        certificate: Option<PathBuf>,
    ) -> Self {
        let read = match resolve(env, path.clone(), certificate) {
            Ok((resolved, certificate)) => {
                let read = move || KeyFile::read(&resolved, certificate.as_deref());
                tokio::task::spawn_blocking(read).await.map_err(|error| {
                    failed(&path, KeyLoadReason::Unknown, "reading it failed", "try again")
                        .with_source_text(&error)
                })
            }
            Err(error) => Err(error),
        };
        let file = match read {
            Ok(file) => file,
            Err(error) => {
                let private = Private::Failed(Some(error));
                return Self {
                    path: Some(path),
                    public: None,
                    certificate: None,
                    certificate_error: None,
                    private,
                };
            }
        };
        let (certificate, certificate_error) = match file.certificate {
            Some(Ok(certificate)) => (Some(certificate), None),
            Some(Err(error)) => (None, Some(error)),
            None => (None, None),
        };
        let private = match file.private {
            Ok(sealed) => Private::Sealed {
                sealed: Arc::new(sealed),
                passphrase,
            },
            Err(error) => Private::Failed(Some(error)),
        };
        Self {
            path: Some(file.path),
            public: file.public,
            certificate,
            certificate_error,
            private,
        }
    }
}

/// Whether a private key can be used as far as that can be told without a server: what is wrong with its file will not mend
/// itself while somebody waits for one. A key whose public part is known may still be held by the agent.
pub(crate) async fn check_key_file(env: &Env, path: &Path) -> Result<()> {
    let read = Material::file(env, path.to_owned(), None, None).await;
    match (read.private, read.public) {
        (Private::Failed(Some(error)), None) => Err(error.in_phase(Phase::Auth)),
        _ => Ok(()),
    }
}

fn resolve(env: &Env, path: PathBuf, certificate: Option<PathBuf>) -> Result<(PathBuf, Option<PathBuf>)> {
    let expand = |path: PathBuf| {
        expand_path(env, &path).map_err(|problem| {
            failed(
                &path,
                KeyLoadReason::FileNotFound,
                &problem.to_string(),
                "write the path in full",
            )
        })
    };
    Ok((expand(path)?, certificate.map(expand).transpose()?))
}

async fn list(env: &Env) -> Result<(Agent, Vec<AgentIdentity>)> {
    let Some(socket) = &env.agent_socket else {
        return Err(Error::new(
            ErrorKind::Agent(AgentReason::NoAuthSock),
            "no SSH agent is configured: SSH_AUTH_SOCK is not set",
        )
        .with_hint("start an agent with eval $(ssh-agent) and add a key with ssh-add"));
    };
    let mut agent = Agent::connect(socket, LIST_LIMIT).await?;
    let identities = agent.identities(LIST_LIMIT).await?;
    Ok((agent, identities))
}

/// A key that the SSH agent holds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AgentKey {
    /// The public key; for a certificate, the one that it certifies.
    pub key: PublicKey,
    /// The comment, often a path or an address. It comes from a file: escape it before showing it.
    pub comment: String,
    /// Whether the agent holds a certificate for the key rather than the key alone.
    pub certificate: bool,
}

/// The keys and certificates that the agent named by `env` holds, in its order. An agent without keys, or a locked
/// one, gives an empty list. Cancel-safe; takes ten seconds at most.
///
/// # Errors
/// [`ErrorKind::Agent`] with the reason: none configured, no such socket, nobody listens, no sensible answer.
pub async fn agent_keys(env: &Env) -> Result<Vec<AgentKey>> {
    let (_, identities) = list(env).await?;
    Ok(identities
        .into_iter()
        .map(|identity| AgentKey {
            key: identity.key,
            comment: identity.comment,
            certificate: identity.certificate.is_some(),
        })
        .collect())
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::agent::tests::RealAgent;

    fn chain(auth: &[AuthConfig]) -> Credentials<'_> {
        Credentials {
            auth,
            identity_files: &[],
            identities_only: false,
            fallback_password: None,
            prompter: true,
            max_refusals: 5,
            certificate_files: &[],
            methods: None,
            questions: 3,
        }
    }

    fn with_agent(agent: &RealAgent) -> Env {
        Env {
            agent_socket: Some(agent.socket()),
            home: Some(agent.dir.path().into()),
            ..Env::default()
        }
    }

    fn reason(error: &Error) -> &'static str {
        match error.kind() {
            ErrorKind::Agent(reason) => reason.as_str(),
            kind => panic!("{kind:?}"),
        }
    }

    #[tokio::test]
    async fn the_agents_keys_are_listed_with_their_comments() {
        let agent = RealAgent::start();
        assert_eq!(agent_keys(&with_agent(&agent)).await.unwrap(), []);
        agent.add_key("mine", "ed25519");
        let keys = agent_keys(&with_agent(&agent)).await.unwrap();
        assert_eq!(keys.len(), 1);
        assert_eq!((keys[0].comment.as_str(), keys[0].certificate), ("mine", false));
    }

    #[tokio::test]
    async fn an_agent_that_cannot_be_used_has_a_reason() {
        let error = agent_keys(&Env::default()).await.unwrap_err();
        assert_eq!(reason(&error), "no_auth_sock");
        let env = Env {
            agent_socket: Some("/nonexistent/agent".into()),
            ..Env::default()
        };
        assert_eq!(reason(&agent_keys(&env).await.unwrap_err()), "socket_not_found");
        for (env, expected) in [(Env::default(), "no_auth_sock"), (env, "socket_not_found")] {
            let prepared = prepare(chain(&[AuthConfig::agent()]), &env).await;
            assert_eq!(reason(prepared.agent_error.as_ref().unwrap()), expected);
        }
        let empty = RealAgent::start();
        let prepared = prepare(chain(&[AuthConfig::agent()]), &with_agent(&empty)).await;
        assert_eq!(reason(prepared.agent_error.as_ref().unwrap()), "no_keys");
    }

    #[tokio::test]
    async fn without_configuration_the_agent_the_default_keys_and_questions_are_used() {
        let agent = RealAgent::start();
        std::fs::create_dir(agent.dir.path().join(".ssh")).unwrap();
        agent.run(
            "ssh-keygen",
            &["-q", "-t", "ed25519", "-N", "", "-f", ".ssh/id_ed25519"],
        );
        let prepared = prepare(chain(&[]), &with_agent(&agent)).await;
        assert_eq!(
            prepared.input.sources,
            [
                Source::Agent,
                Source::Key(0),
                Source::KeyboardInteractive,
                Source::Password { known: false }
            ]
        );
        assert!(prepared.input.keys[0].discovered && prepared.input.keys[0].usable);
        assert!(
            prepared.agent_error.is_none(),
            "an empty agent is nothing wrong unless it was named"
        );
    }

    #[tokio::test]
    async fn keys_named_by_configuration_come_first_and_replace_the_default_ones() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join(".ssh")).unwrap();
        std::fs::write(home.path().join(".ssh/id_rsa"), "").unwrap();
        let env = Env {
            home: Some(home.path().into()),
            ..Env::default()
        };
        let named = ["~/named".into()];
        let prepared = prepare(
            Credentials {
                identity_files: &named,
                ..chain(&[])
            },
            &env,
        )
        .await;
        assert_eq!(prepared.input.sources[..2], [Source::Key(0), Source::Agent]);
        assert_eq!(prepared.keys.len(), 1);
        assert_eq!(
            prepared.keys[0].path.as_deref(),
            Some(home.path().join("named").as_path())
        );
        let password = [AuthConfig::password("x")];
        let prepared = prepare(
            Credentials {
                identity_files: &named,
                ..chain(&password)
            },
            &env,
        )
        .await;
        assert_eq!(
            prepared.input.sources,
            [Source::Key(0), Source::Password { known: true }]
        );
    }

    #[tokio::test]
    async fn the_agent_is_asked_for_a_key_that_needs_a_passphrase_and_not_otherwise() {
        let agent = RealAgent::start();
        agent.add_key("plain", "ed25519");
        agent.run(
            "ssh-keygen",
            &["-q", "-t", "ed25519", "-N", "open sesame", "-f", "sealed"],
        );
        for (name, asked) in [("plain", false), ("sealed", true), ("plain.pub", true)] {
            let config = AuthConfig::key(agent.dir.path().join(name));
            let prepared = prepare(chain(&[config]), &with_agent(&agent)).await;
            assert_eq!(prepared.agent.is_some(), asked, "{name}");
        }
    }

    #[tokio::test]
    async fn a_path_that_cannot_be_resolved_is_reported_when_its_turn_comes() {
        let configs = [
            AuthConfig::key("~bob/key"),
            AuthConfig::key("$NOPE/key"),
            AuthConfig::key(""),
        ];
        let prepared = prepare(chain(&configs), &Env::default()).await;
        assert_eq!(prepared.keys.len(), 3);
        for key in prepared.keys {
            let Private::Failed(Some(error)) = key.private else {
                panic!("{key:?}")
            };
            assert_eq!(error.kind(), &ErrorKind::KeyLoad(KeyLoadReason::FileNotFound));
        }
    }
}
