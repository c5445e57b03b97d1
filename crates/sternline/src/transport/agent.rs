//! The SSH agent (draft-miller-ssh-agent): listing its keys and letting it sign.

use std::fmt;
use std::io;
use std::path::Path;
use std::time::Duration;

use russh::keys::HashAlg;
use russh::keys::agent::client::{AgentClient, AgentStream};
use sternline_proto::key::PublicKey;
use sternline_proto::text::escape;
use tokio::time::timeout;

use super::certificate::UserCertificate;
use crate::error::{AgentReason, Error, ErrorKind, Result, seconds};

type Stream = Box<dyn AgentStream + Send + Unpin>;

/// A connection to an agent.
///
/// A request that timed out leaves an answer behind that would be taken for that of the next one, so the connection
/// is given up with it, and every later request fails at once.
pub(crate) struct Agent {
    client: Option<AgentClient<Stream>>,
}

/// A key or certificate that an agent holds.
#[derive(Clone)]
pub(crate) struct AgentIdentity {
    pub(super) identity: russh::keys::agent::AgentIdentity,
    /// The key that signs; for a certificate, the one that it certifies.
    pub(crate) key: PublicKey,
    /// What is offered to the server: the key itself or the certificate.
    pub(crate) offered: PublicKey,
    /// The certificate, if it is one.
    pub(crate) certificate: Option<UserCertificate>,
    /// The agent's comment, often a path or an address, unescaped.
    pub(crate) comment: String,
}

impl AgentIdentity {
    /// Whether signing needs a touch of the hardware that holds the key.
    pub(crate) fn needs_touch(&self) -> bool {
        self.key.algorithm().starts_with("sk-")
    }

    pub(super) fn is_rsa(&self) -> bool {
        self.key.algorithm() == "ssh-rsa"
    }
}

impl fmt::Debug for AgentIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentIdentity")
            .field("key", &self.key)
            .field("certificate", &self.certificate)
            .field("comment", &self.comment)
            .finish()
    }
}

impl Agent {
    /// Connects to the agent that listens at `socket`: a Unix socket, on Windows a named pipe.
    ///
    /// # Errors
    /// [`AgentReason::SocketNotFound`] or [`AgentReason::ConnectionFailed`].
    pub(crate) async fn connect(socket: &Path, limit: Duration) -> Result<Self> {
        let stream = match timeout(limit, open(socket)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(connect_error(socket, &error)),
            Err(_) => {
                return Err(connect_error(
                    socket,
                    &io::Error::new(
                        io::ErrorKind::TimedOut,
                        format!("no answer within {}", seconds(limit)),
                    ),
                ));
            }
        };
        Ok(Self {
            client: Some(AgentClient::connect(stream)),
        })
    }

    /// The keys and certificates that the agent offers, in its order. A locked agent offers none.
    ///
    /// # Errors
    /// [`AgentReason::CommunicationError`] when the answer is late or makes no sense.
    pub(crate) async fn identities(&mut self, limit: Duration) -> Result<Vec<AgentIdentity>> {
        let mut client = self.take()?;
        let listed = match timeout(limit, client.request_identities()).await {
            Ok(Ok(listed)) => listed,
            Ok(Err(error)) => return Err(failed("list its keys", &error)),
            Err(_) => {
                return Err(failed(
                    "list its keys",
                    &format!("no answer within {}", seconds(limit)),
                ));
            }
        };
        self.client = Some(client);
        // A key that cannot be read is of a type that could not be used either.
        Ok(listed.into_iter().filter_map(identity).collect())
    }

    /// Appends the agent's signature to the data, in the form that a login request ends with.
    ///
    /// # Errors
    /// [`AgentReason::CommunicationError`] when the agent refuses, for example because its owner did not confirm or
    /// touch, or when the answer is late.
    pub(super) async fn sign(
        &mut self,
        identity: &russh::keys::agent::AgentIdentity,
        hash: Option<HashAlg>,
        data: Vec<u8>,
        limit: Duration,
    ) -> Result<Vec<u8>> {
        let mut client = self.take()?;
        match timeout(limit, client.sign_request(identity, hash, data)).await {
            Ok(Ok(signed)) => {
                self.client = Some(client);
                Ok(signed)
            }
            Ok(Err(error)) => {
                // A refusal is a complete answer: the next request gets its own.
                if matches!(error, russh::keys::Error::AgentFailure) {
                    self.client = Some(client);
                }
                Err(failed("sign", &error))
            }
            Err(_) => Err(failed("sign", &format!("no answer within {}", seconds(limit)))),
        }
    }

    fn take(&mut self) -> Result<AgentClient<Stream>> {
        self.client
            .take()
            .ok_or_else(|| failed("answer", &"an earlier request to it had failed"))
    }
}

impl fmt::Debug for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agent")
            .field("usable", &self.client.is_some())
            .finish()
    }
}

fn identity(identity: russh::keys::agent::AgentIdentity) -> Option<AgentIdentity> {
    use russh::keys::agent::AgentIdentity as Listed;
    let key = PublicKey::from_blob(identity.public_key().to_bytes().ok()?).ok()?;
    let (certificate, offered) = match &identity {
        Listed::PublicKey { .. } => (None, key.clone()),
        Listed::Certificate { certificate, .. } => {
            let blob = PublicKey::from_blob(certificate.to_bytes().ok()?).ok()?;
            let certificate = UserCertificate::new(certificate.clone(), blob.clone()).ok()?;
            (Some(certificate), blob)
        }
    };
    let comment = identity.comment().to_owned();
    Some(AgentIdentity {
        identity,
        key,
        offered,
        certificate,
        comment,
    })
}

#[cfg(unix)]
async fn open(socket: &Path) -> io::Result<Stream> {
    Ok(Box::new(tokio::net::UnixStream::connect(socket).await?))
}

#[cfg(windows)]
async fn open(pipe: &Path) -> io::Result<Stream> {
    const ERROR_PIPE_BUSY: i32 = 231;
    loop {
        match tokio::net::windows::named_pipe::ClientOptions::new().open(pipe) {
            Ok(client) => return Ok(Box::new(client)),
            Err(error) if error.raw_os_error() == Some(ERROR_PIPE_BUSY) => {
                // Windows has no way to wait for a free instance of a pipe without blocking the thread.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(error) => return Err(error),
        }
    }
}

fn connect_error(socket: &Path, error: &io::Error) -> Error {
    let shown = escape(&socket.display().to_string());
    if error.kind() == io::ErrorKind::NotFound {
        return Error::new(
            ErrorKind::Agent(AgentReason::SocketNotFound),
            format!("the SSH agent's socket {shown} does not exist"),
        )
        .with_hint("start an agent with eval $(ssh-agent), or correct SSH_AUTH_SOCK")
        .with_source_text(error);
    }
    Error::new(
        ErrorKind::Agent(AgentReason::ConnectionFailed),
        format!("cannot connect to the SSH agent at {shown}: {error}"),
    )
    .with_hint("the agent has probably ended: start another one with eval $(ssh-agent)")
    .with_source_text(error)
}

fn failed(what: &str, error: &dyn fmt::Display) -> Error {
    Error::new(
        ErrorKind::Agent(AgentReason::CommunicationError),
        format!("the SSH agent did not {what}: {}", escape(&error.to_string())),
    )
    .with_hint("check the agent with ssh-add -l; a key may need to be confirmed or touched")
    .with_source_text(error)
}

#[cfg(unix)]
#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::io::BufRead;
    use std::process::{Child, Command, Stdio};

    const LIMIT: Duration = Duration::from_secs(5);

    /// A real `ssh-agent` on a socket of its own, ended by its process id.
    pub(crate) struct RealAgent {
        child: Child,
        pub(crate) dir: tempfile::TempDir,
    }

    impl RealAgent {
        pub(crate) fn start() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let socket = dir.path().join("agent");
            let mut child = Command::new("ssh-agent")
                .args(["-D", "-a"])
                .arg(&socket)
                .stdout(Stdio::piped())
                .spawn()
                .expect("ssh-agent is needed (openssh-client)");
            // It prints where it listens once it does.
            let mut line = String::new();
            let stdout = child.stdout.as_mut().unwrap();
            io::BufReader::new(stdout).read_line(&mut line).unwrap();
            assert!(line.starts_with("SSH_AUTH_SOCK="), "{line}");
            Self { child, dir }
        }

        pub(crate) fn socket(&self) -> std::path::PathBuf {
            self.dir.path().join("agent")
        }

        pub(crate) fn run(&self, program: &str, args: &[&str]) {
            let output = Command::new(program)
                .args(args)
                .current_dir(self.dir.path())
                .env("SSH_AUTH_SOCK", self.socket())
                .output()
                .unwrap();
            assert!(
                output.status.success(),
                "{program} {args:?}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }

        /// Makes a key in the agent's directory and adds it.
        pub(crate) fn add_key(&self, name: &str, kind: &str) {
            self.run(
                "ssh-keygen",
                &["-q", "-t", kind, "-N", "", "-C", name, "-f", name],
            );
            self.run("ssh-add", &["-q", name]);
        }
    }

    impl Drop for RealAgent {
        fn drop(&mut self) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }

    /// An agent that answers every request with `reply`, or never when there is none.
    fn fake(reply: Option<&'static [u8]>) -> (tempfile::TempDir, std::path::PathBuf) {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("agent");
        let listener = tokio::net::UnixListener::bind(&socket).unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            while stream.read(&mut request).await.unwrap() > 0 {
                if let Some(reply) = reply {
                    stream.write_all(reply).await.unwrap();
                }
            }
        });
        (dir, socket)
    }

    fn reason(error: &Error) -> AgentReason {
        match error.kind() {
            ErrorKind::Agent(reason) => *reason,
            kind => panic!("{kind:?}"),
        }
    }

    #[tokio::test]
    async fn keys_and_certificates_are_listed_in_the_agents_order() {
        let real = RealAgent::start();
        real.add_key("first", "ed25519");
        real.run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", "ca"]);
        real.run(
            "ssh-keygen",
            &[
                "-q", "-t", "rsa", "-b", "2048", "-N", "", "-C", "second", "-f", "second",
            ],
        );
        real.run(
            "ssh-keygen",
            &["-q", "-s", "ca", "-I", "id", "-n", "alice", "second.pub"],
        );
        real.run("ssh-add", &["-q", "second"]);
        let mut agent = Agent::connect(&real.socket(), LIMIT).await.unwrap();
        let identities = agent.identities(LIMIT).await.unwrap();
        let shown: Vec<_> = identities
            .iter()
            .map(|identity| {
                (
                    identity.key.algorithm(),
                    identity.certificate.is_some(),
                    identity.comment.as_str(),
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                ("ssh-ed25519", false, "first"),
                ("ssh-rsa", false, "second"),
                ("ssh-rsa", true, "second")
            ]
        );
        let certificate = identities[2].certificate.as_ref().unwrap();
        assert_eq!(certificate.key(), &identities[1].key);
        assert_ne!(identities[2].offered, identities[1].offered);
        assert!(!identities[0].needs_touch());
    }

    #[tokio::test]
    async fn the_agent_signs_with_the_keys_it_holds_and_goes_on_after_a_refusal() {
        let real = RealAgent::start();
        real.add_key("held", "ed25519");
        real.add_key("gone", "ed25519");
        let mut agent = Agent::connect(&real.socket(), LIMIT).await.unwrap();
        let identities = agent.identities(LIMIT).await.unwrap();
        real.run("ssh-add", &["-q", "-d", "gone"]);
        let refused = agent
            .sign(&identities[1].identity, None, b"data".to_vec(), LIMIT)
            .await
            .unwrap_err();
        assert_eq!(reason(&refused), AgentReason::CommunicationError);
        let signed = agent
            .sign(&identities[0].identity, None, b"data".to_vec(), LIMIT)
            .await
            .unwrap();
        assert!(
            signed.starts_with(b"data") && signed.len() > 64 + 4,
            "{}",
            signed.len()
        );
    }

    #[tokio::test]
    async fn an_empty_agent_lists_nothing() {
        let real = RealAgent::start();
        let mut agent = Agent::connect(&real.socket(), LIMIT).await.unwrap();
        assert_eq!(agent.identities(LIMIT).await.unwrap().len(), 0);
    }

    #[tokio::test]
    async fn a_socket_that_does_not_exist_is_told_from_one_where_nobody_listens() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("missing");
        let error = Agent::connect(&missing, LIMIT).await.unwrap_err();
        assert_eq!(reason(&error), AgentReason::SocketNotFound);
        let dead = dir.path().join("dead");
        drop(std::os::unix::net::UnixListener::bind(&dead).unwrap());
        let error = Agent::connect(&dead, LIMIT).await.unwrap_err();
        assert_eq!(reason(&error), AgentReason::ConnectionFailed);
        assert!(!error.hint().is_empty());
    }

    #[tokio::test]
    async fn an_agent_that_never_answers_is_given_up_in_time_and_for_good() {
        let (_dir, socket) = fake(None);
        let mut agent = Agent::connect(&socket, LIMIT).await.unwrap();
        let error = agent.identities(Duration::from_millis(50)).await.unwrap_err();
        assert_eq!(reason(&error), AgentReason::CommunicationError);
        assert!(error.to_string().contains("no answer within 50 ms"), "{error}");
        let again = agent.identities(LIMIT).await.unwrap_err();
        assert!(again.to_string().contains("an earlier request"), "{again}");
    }

    #[tokio::test]
    async fn an_agent_that_answers_nonsense_is_a_communication_error() {
        for reply in [&[0xff; 8][..], &[0, 0, 0, 6, 12, 0, 0, 0, 1, 7]] {
            let (_dir, socket) = fake(Some(reply));
            let mut agent = Agent::connect(&socket, LIMIT).await.unwrap();
            let error = agent.identities(LIMIT).await.unwrap_err();
            assert_eq!(reason(&error), AgentReason::CommunicationError);
        }
    }
}
