//! The executor, as its users hold it.

use std::sync::Arc;

use bytes::Bytes;
use sternline_proto::sandbox::{HostFacts, SandboxProfile, compose, parse_probe};
use tokio::sync::{Mutex, watch};

use super::process::Process;
use crate::error::{Error, ErrorKind, Result};
use crate::exec::{Exit, ExitStatus, Stdin};
use crate::sandbox::conclude::Call;
use crate::sandbox::executor::{SandboxExecutor, Work};
use crate::sandbox::file;
use crate::sandbox::gather::Ran;
use crate::sandbox::input::with_prefix;
use crate::sandbox::limit::Limit;
use crate::sandbox::look::{Look, PROBE_BYTES};
use crate::sandbox::refusal::{check, refused, unsuitable};
use crate::sandbox::request::SandboxRequest;
use crate::sandbox::result::ProcessResult;

/// Runs commands in sandboxes on this machine, with its own bubblewrap, just as [`SshExecutor`](crate::sandbox::SshExecutor) does on another
/// one. Clones share it.
///
/// Nothing of this program's environment, input or terminal reaches a command. Only on Linux: elsewhere every command is an error.
#[derive(Debug, Clone)]
pub struct LocalExecutor {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    look: Look,
    facts: Mutex<Option<Arc<HostFacts>>>,
    /// Whether it was closed, and how many commands run.
    state: watch::Sender<State>,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    closed: bool,
    running: usize,
}

impl LocalExecutor {
    /// An executor. Nothing is looked for yet.
    #[must_use]
    pub fn new() -> Self {
        Self::of(Look::default())
    }

    fn of(look: Look) -> Self {
        Self {
            inner: Arc::new(Inner {
                look,
                facts: Mutex::new(None),
                state: watch::Sender::default(),
            }),
        }
    }

    /// Uses this bubblewrap, instead of the one in `/usr/bin` or wherever `PATH` leads. It has to be an absolute path.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for any other path.
    pub fn with_bwrap_path(path: impl Into<String>) -> Result<Self> {
        Ok(Self::of(Look::at(path.into())?))
    }

    /// What is known of this machine, which is looked at if need be.
    ///
    /// # Errors
    /// [`ErrorKind::Sandbox`] where it cannot have sandboxes, with what to do about it.
    pub async fn host_facts(&self) -> Result<Arc<HostFacts>> {
        self.facts().await
    }

    /// Runs a command under a profile and waits for its end; see [`SshExecutor::run_command`](crate::sandbox::SshExecutor::run_command).
    ///
    /// A command ends with the thread that has started it, which is one of the runtime's: where the runtime goes, no sandbox is left.
    ///
    /// # Errors
    /// As there, but for what has to do with connections.
    pub async fn run_command(
        &self,
        profile: &SandboxProfile,
        request: impl Into<SandboxRequest>,
    ) -> Result<ProcessResult> {
        let request = request.into();
        check(profile, &request)?;
        let running = Running::begin(&self.inner.state)?;
        tokio::select! {
            biased;
            closed = running.closed() => Err(closed),
            outcome = self.run(profile, request) => outcome,
        }
    }

    /// What a file in the sandbox holds; see [`SshExecutor::read_file`](crate::sandbox::SshExecutor::read_file).
    ///
    /// # Errors
    /// As there.
    pub async fn read_file(&self, profile: &SandboxProfile, path: &str) -> Result<Bytes> {
        file::contents(path, self.run_command(profile, file::request(path)?).await?)
    }

    /// Ends what runs, and waits until it has ended. Nothing can be run afterwards. Does nothing the second time.
    pub async fn cleanup(&self) {
        let mut state = self.inner.state.subscribe();
        self.inner.state.send_modify(|state| state.closed = true);
        // The sender lives in `self`, so waiting can only end with the last command.
        let _ = state.wait_for(|state| state.running == 0).await;
    }

    async fn run(&self, profile: &SandboxProfile, mut request: SandboxRequest) -> Result<ProcessResult> {
        let limit = Limit::begin(request.timeout);
        let facts = limit
            .keep("this machine was still being looked at", self.facts())
            .await?;
        let call = Call::new(profile, &request.argv, limit.began, limit.left())?;
        let wants_stdin = !matches!(request.stdin, Stdin::Empty);
        let composed = compose(
            profile,
            &facts,
            call.argv,
            call.wall_clock(),
            wants_stdin,
            &call.nonce,
        )
        .map_err(refused)?;
        let input = with_prefix(composed.prefix, request.stdin.take());
        let ran = shell(&composed.line, input, profile.limits().output_bytes, Some(&limit)).await?;
        let outcome = call.conclude(ran).map_err(|error| limit.in_all(error));
        if outcome
            .as_ref()
            .is_err_and(|error| matches!(error.kind(), ErrorKind::Sandbox(_)))
        {
            *self.inner.facts.lock().await = None;
        }
        outcome
    }

    /// What is known of this machine, found out once. What makes it unsuitable is not kept: it may have been mended.
    async fn facts(&self) -> Result<Arc<HostFacts>> {
        let mut known = self.inner.facts.lock().await;
        if let Some(facts) = &*known {
            return Ok(Arc::clone(facts));
        }
        let probe = self.inner.look.command();
        let looked = shell(&probe.line, Stdin::Bytes(probe.prefix.into()), PROBE_BYTES, None).await?;
        let text = String::from_utf8_lossy(&looked.output.stdout);
        let facts = Arc::new(parse_probe(&text).map_err(|why| unsuitable(&why))?);
        *known = Some(Arc::clone(&facts));
        Ok(facts)
    }
}

/// Runs a line of shell text, as a server would.
async fn shell(line: &[u8], input: Stdin, limit: u64, time: Option<&Limit>) -> Result<Ran> {
    let process = Process::start(line)?;
    let (ended, gathered) = process.gather(input, limit, time).await;
    Ok(match ended {
        // What its status says stands on standard error too, and there cannot be forged.
        Ok(()) => gathered.ran(Exit::Status(ExitStatus::Code(0))),
        Err(error) => gathered.ran(Exit::Failed(error)),
    })
}

/// One of the commands that run.
struct Running<'a>(&'a watch::Sender<State>);

impl<'a> Running<'a> {
    fn begin(state: &'a watch::Sender<State>) -> Result<Self> {
        let mut begun = false;
        state.send_if_modified(|state| {
            begun = !state.closed;
            state.running += usize::from(begun);
            begun
        });
        match begun {
            true => Ok(Self(state)),
            false => Err(closed()),
        }
    }

    async fn closed(&self) -> Error {
        // The sender is borrowed, so waiting can only end with the closing.
        let _ = self.0.subscribe().wait_for(|state| state.closed).await;
        closed()
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|state| state.running -= 1);
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Cancelled, "the sandbox's executor was closed")
        .with_hint("make another executor: one that was closed runs nothing any more")
}

impl Default for LocalExecutor {
    fn default() -> Self {
        Self::new()
    }
}

impl SandboxExecutor for LocalExecutor {
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
