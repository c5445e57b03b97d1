//! The executor, as its users hold it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use sternline_proto::quoting::join;
use sternline_proto::sandbox::{HostFacts, SandboxProfile, compose};

use super::builder::SshExecutorBuilder;
use super::host::Host;
use crate::connection::ConnectionBuilder;
use crate::error::{Error, ErrorKind, Result, SendState};
use crate::exec::{Command, ExecRequest, Stdin};
use crate::sandbox::conclude::Call;
use crate::sandbox::executor::{SandboxExecutor, Work};
use crate::sandbox::input::with_prefix;
use crate::sandbox::limit::Limit;
use crate::sandbox::look::Look;
use crate::sandbox::pool::{Lease, Pool};
use crate::sandbox::refusal::{check, refused};
use crate::sandbox::request::SandboxRequest;
use crate::sandbox::result::ProcessResult;
use crate::sandbox::{file, gather};

/// How often a command is tried on another connection, when the one that it was to run on was found to be dead before anything
/// of it was sent.
const TRIES: u32 = 3;

/// Runs commands in sandboxes on a Linux host, over SSH.
///
/// The host needs nothing but bubblewrap; the account needs no rights, and where it is root the sandbox drops them first. A
/// bounded pool of connections is shared by any number of concurrent calls. Clones share it.
///
/// ```no_run
/// # async fn example() -> sternline::Result<()> {
/// use sternline::sandbox::{LoadProfile, SandboxProfile, SshExecutor};
///
/// let executor = SshExecutor::builder("prod-server.example.com")
///     .username("admin")
///     .key_file("~/.ssh/id_ed25519")
///     .build()?;
/// let profile = SandboxProfile::load("minimal.json")?;
/// let result = executor.run_command(&profile, ["ls", "/"]).await?;
/// println!("{}", result.stdout_text());
/// executor.cleanup().await;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct SshExecutor {
    inner: Arc<Inner>,
}

struct Inner {
    pool: Pool,
    pool_size: usize,
    /// What was found out about the host.
    found: Host,
    host: String,
    port: u16,
    username: String,
    key_file: Option<PathBuf>,
}

impl SshExecutor {
    /// Begins an executor for `[user@]host[:port]`.
    pub fn builder(host: impl Into<String>) -> SshExecutorBuilder {
        SshExecutorBuilder::new(host)
    }

    pub(super) fn new(
        connection: ConnectionBuilder,
        pool_size: usize,
        (host, port, username): (String, u16, String),
        key_file: Option<PathBuf>,
        look: Look,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                pool: Pool::new(connection, pool_size),
                pool_size,
                found: Host::new(look),
                host,
                port,
                username,
                key_file,
            }),
        }
    }

    /// The host, as it was named.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.inner.host
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.inner.port
    }

    /// Who logs in.
    #[must_use]
    pub fn username(&self) -> &str {
        &self.inner.username
    }

    /// The private key that was named.
    #[must_use]
    pub fn key_file(&self) -> Option<&Path> {
        self.inner.key_file.as_deref()
    }

    /// How many connections there are at most.
    #[must_use]
    pub fn connection_pool_size(&self) -> usize {
        self.inner.pool_size
    }

    /// Runs a command under a profile and waits for its end.
    ///
    /// The command is a list of words, which no shell ever reads: `["ls", "/"]`, or a [`SandboxRequest`] with an input and a time
    /// limit. Whether the profile allows it is asked before anything else is done. A command that was certainly not sent, because
    /// its connection was found to be dead, is run on another one; nothing is ever run twice.
    ///
    /// Dropping the future ends the command on the host, in the background. What it has started ends with it, and with its
    /// connection.
    ///
    /// # Errors
    /// - [`ErrorKind::Sandbox`] when the profile does not allow the command, or the host cannot have sandboxes; the hint says what
    ///   to do there;
    /// - [`ErrorKind::CommandTimeout`] when the request's time limit passed, with what the command had written;
    ///   [`Error::sent`] tells whether it had started;
    /// - [`ErrorKind::OutputOverflow`] when it wrote more than the profile allows, with what is allowed of it;
    /// - whatever [`Connection`](crate::Connection)s fail with. A connection that is lost while the command runs is never a success.
    ///
    /// An exit status other than 0 is no error here: see [`ProcessResult::success`].
    pub async fn run_command(
        &self,
        profile: &SandboxProfile,
        request: impl Into<SandboxRequest>,
    ) -> Result<ProcessResult> {
        let request = request.into();
        check(profile, &request)?;
        tokio::select! {
            biased;
            closed = self.inner.pool.closed() => Err(closed),
            outcome = self.inner.run(profile, request) => outcome,
        }
    }

    /// What a file in the sandbox holds, as `cat` sees it, which the profile has to allow.
    ///
    /// # Errors
    /// [`ErrorKind::RemoteFile`], which tells a file that is not there from one that may not be read; [`ErrorKind::Invalid`] for a path that
    /// does not begin with `/`; and as [`SshExecutor::run_command`].
    pub async fn read_file(&self, profile: &SandboxProfile, path: &str) -> Result<Bytes> {
        file::contents(path, self.run_command(profile, file::request(path)?).await?)
    }

    /// What is known of the host, which is looked at if need be, for as long as a connection may take. It is kept until a connection
    /// dies.
    ///
    /// # Errors
    /// [`ErrorKind::Sandbox`] where the host cannot have sandboxes, with what to do about it; and whatever
    /// [`Connection`](crate::Connection)s fail with.
    pub async fn host_facts(&self) -> Result<Arc<HostFacts>> {
        let pool = &self.inner.pool;
        let looking = async {
            let lease = pool.lease().await?;
            self.inner.found.facts(lease.connection(), pool.lost()).await
        };
        tokio::select! {
            biased;
            closed = pool.closed() => Err(closed),
            facts = looking => facts,
        }
    }

    /// Ends what runs, waits until it has ended, and closes all connections. Nothing can be run afterwards, with this executor or a clone
    /// of it. Does nothing the second time.
    pub async fn cleanup(&self) {
        self.inner.pool.close().await;
    }
}

impl Inner {
    async fn run(&self, profile: &SandboxProfile, mut request: SandboxRequest) -> Result<ProcessResult> {
        let limit = Limit::begin(request.timeout);
        let once = matches!(request.stdin, Stdin::Reader(_));
        let mut tries = 1;
        loop {
            let lease = limit.keep("there was no connection", self.pool.lease()).await?;
            let outcome = self.run_on(&lease, profile, &mut request, &limit).await;
            let was_read = once && !matches!(request.stdin, Stdin::Reader(_));
            match outcome {
                Err(error) if tries < TRIES && !was_read && was_dead(&lease, &error) => {
                    tracing::info!(%error, tries, "the command is run on another connection");
                    tries += 1;
                }
                outcome => return outcome,
            }
        }
    }

    async fn run_on(
        &self,
        lease: &Lease,
        profile: &SandboxProfile,
        request: &mut SandboxRequest,
        limit: &Limit,
    ) -> Result<ProcessResult> {
        let connection = lease.connection();
        let looking = self.found.facts(connection, self.pool.lost());
        let facts = limit.keep("the host was still being looked at", looking).await?;
        let wants_stdin = !matches!(request.stdin, Stdin::Empty);
        let call = Call::new(profile, &request.argv, limit.began, limit.left())?;
        let composed = compose(
            profile,
            &facts,
            call.argv,
            call.wall_clock(),
            wants_stdin,
            &call.nonce,
        )
        .map_err(refused)?;
        let shown = join(call.argv).unwrap_or_default();
        let exec = ExecRequest::new(Command::shell(composed.line))
            .stdin(with_prefix(composed.prefix, request.stdin.take()))
            .shown_as(format!(
                "sandbox {}: {}",
                profile.name(),
                String::from_utf8_lossy(&shown)
            ))
            .timeout(call.left);
        let stream = connection.stream_exec(exec).await?;
        let ran = gather::stream(stream, profile.limits().output_bytes).await;
        let outcome = call
            .conclude(ran)
            .map_err(|error| connection.locate(limit.in_all(error)));
        if outcome
            .as_ref()
            .is_err_and(|error| matches!(error.kind(), ErrorKind::Sandbox(_)))
        {
            // The host may have changed.
            self.found.forget();
        }
        outcome
    }
}

/// Whether the connection had died before anything of the command was sent.
fn was_dead(lease: &Lease, error: &Error) -> bool {
    error.sent() == SendState::NotSent && error.kind().is_connection() && !lease.connection().is_connected()
}

impl fmt::Debug for SshExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner {
            host, port, username, ..
        } = &*self.inner;
        write!(f, "SshExecutor({username}@{host}:{port})")
    }
}

impl SandboxExecutor for SshExecutor {
    fn run<'a>(
        &'a self,
        profile: &'a SandboxProfile,
        request: SandboxRequest,
    ) -> Work<'a, Result<ProcessResult>> {
        Box::pin(self.run_command(profile, request))
    }

    fn host_facts(&self) -> Work<'_, Result<Arc<HostFacts>>> {
        Box::pin(Self::host_facts(self))
    }

    fn cleanup(&self) -> Work<'_, ()> {
        Box::pin(Self::cleanup(self))
    }
}
