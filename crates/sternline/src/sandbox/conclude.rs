//! From what came back to how the command ended.

use std::time::Duration;

use sternline_proto::sandbox::{End, Nonce, SandboxProfile, read_output, read_status};
use sternline_proto::text::escape;
use tokio::time::Instant;

use super::gather::{Ran, cut};
use super::result::{ProcessResult, Side, signal_of};
use crate::error::{Error, ErrorKind, PartialOutput, Result, SandboxReason, SendState, seconds};
use crate::exec::{Exit, RemoteEnd};

/// How much longer than this side the host waits before it ends the command: it is there for when this side cannot.
const GRACE: Duration = Duration::from_secs(2);

/// One start of a sandbox: what is needed to read what comes back.
pub(super) struct Call<'a> {
    pub(super) profile: &'a SandboxProfile,
    pub(super) argv: &'a [String],
    pub(super) nonce: Nonce,
    /// When the call began.
    pub(super) began: Instant,
    /// How much of its time was left when the sandbox was started.
    pub(super) left: Duration,
}

impl<'a> Call<'a> {
    pub(super) fn new(
        profile: &'a SandboxProfile,
        argv: &'a [String],
        began: Instant,
        left: Duration,
    ) -> Result<Self> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|error| {
            Error::new(ErrorKind::Local, format!("no random numbers can be had: {error}"))
        })?;
        Ok(Self {
            profile,
            argv,
            nonce: Nonce::new(random),
            began,
            left,
        })
    }

    /// How long the host itself lets the command run.
    pub(super) fn wall_clock(&self) -> Duration {
        self.profile.limits().wall_clock(self.left.saturating_add(GRACE))
    }

    /// Whether that is the profile's limit, which a result tells of, and not the call's, which is an error.
    fn keeps_the_profiles_limit(&self) -> bool {
        self.wall_clock() < self.left
    }

    /// How it ended.
    pub(super) fn conclude(&self, ran: Ran) -> Result<ProcessResult> {
        let limit = self.profile.limits().output_bytes;
        let status = read_status(&ran.output.stderr, &self.nonce);
        let begun = read_output(&ran.output.stdout, &self.nonce);
        let stdout = begun.map_or_else(
            || ran.output.stdout.clone(),
            |own| ran.output.stdout.slice_ref(own),
        );
        let partial = cut(stdout.clone(), status.stderr.clone().into(), limit);
        let began = status.end != End::NotRun;
        if ran.overflowed || (began && (stdout.len() + status.stderr.len()) as u64 > limit) {
            return Err(overflow(limit, &ran.exit).with_partial(partial));
        }
        match ran.exit {
            Exit::Failed(error) => return Err(error.with_partial(partial)),
            Exit::Cancelled(remote) => {
                return Err(Error::new(
                    ErrorKind::Cancelled,
                    format!("the command was cancelled; {remote}"),
                )
                .with_sent(SendState::MayHaveRun)
                .with_partial(partial));
            }
            Exit::Status(_) => {}
        }
        let result = |code: u8, side, timed_out| {
            let returncode = u32::from(code);
            ProcessResult {
                command: self.argv.to_vec(),
                returncode,
                stdout: partial.stdout.clone(),
                stderr: partial.stderr.clone(),
                duration: self.began.elapsed(),
                timed_out,
                signal: (side == Side::Command).then(|| signal_of(returncode)).flatten(),
                side,
            }
        };
        match status.end {
            End::Exited { code } => Ok(result(code, Side::Command, false)),
            End::TimedOut if self.keeps_the_profiles_limit() => Ok(result(TIMED_OUT, Side::Command, true)),
            End::TimedOut => Err(self.timed_out().with_partial(partial)),
            End::Failed { message, .. } if is_about_namespaces(&message) => Err(Error::new(
                ErrorKind::Sandbox(SandboxReason::NoUserNamespaces),
                format!("bubblewrap could not make the sandbox: {}", escape(&message)),
            )
            .with_partial(partial)),
            End::Failed { code, .. } => Ok(result(code, Side::Bubblewrap, false)),
            End::NotRun => Err(not_run(&partial).with_partial(partial)),
            _ => Err(Error::new(
                ErrorKind::NoExitStatus,
                "the sandbox was killed on the host before it could tell how the command ended",
            )
            .with_sent(SendState::MayHaveRun)
            .with_hint("see whether the host is short of memory, and what its log says")
            .with_partial(partial)),
        }
    }

    fn timed_out(&self) -> Error {
        Error::new(
            ErrorKind::CommandTimeout,
            format!(
                "the command did not end within {}; the host has ended it",
                seconds(self.left)
            ),
        )
        .with_sent(SendState::Ran)
    }
}

/// The status that timeout(1) gives.
const TIMED_OUT: u8 = 124;

fn overflow(limit: u64, exit: &Exit) -> Error {
    let (remote, survives) = match exit {
        Exit::Cancelled(remote) => (format!("; {remote}"), matches!(remote, RemoteEnd::MaySurvive(_))),
        Exit::Status(_) | Exit::Failed(_) => (String::new(), false),
    };
    Error::new(
        ErrorKind::OutputOverflow,
        format!("the command wrote more than the {limit} bytes that its profile allows{remote}"),
    )
    .with_sent(SendState::Ran)
    .with_hint("have it write less, or raise output_bytes in the profile's limits")
    .with_extra("remote_process_may_survive", survives)
}

/// Nothing of ours has run, so the command has not either.
fn not_run(said: &PartialOutput) -> Error {
    let text = [&said.stdout[..], &said.stderr[..]].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    let line = text.lines().find(|line| !line.trim().is_empty());
    let message = match line {
        Some(line) => format!(
            "the account's shell did not start the sandbox, and said: {}",
            escape(line.trim())
        ),
        None => "the account's shell did not start the sandbox, and said nothing".to_owned(),
    };
    Error::new(ErrorKind::Sandbox(SandboxReason::LoginShell), message)
}

/// What bubblewrap says where the host takes user namespaces away after it has been looked at.
fn is_about_namespaces(message: &str) -> bool {
    [
        "Creating new namespace failed",
        "setting up uid map",
        "No permissions to create",
        "unshare user ns",
    ]
    .iter()
    .any(|words| message.contains(words))
}
