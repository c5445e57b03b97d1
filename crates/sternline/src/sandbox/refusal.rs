//! Refusals of the pure part, as errors.

use sternline_proto::sandbox::{Refusal, SandboxProfile, Unsuitable, check_allowed};

use super::request::SandboxRequest;
use crate::error::{Error, ErrorKind, Result, SandboxReason};
use crate::exec::Stdin;

/// Whether this may be run under the profile at all, whatever host it is for. Nothing is done before this has been asked.
pub(super) fn check(profile: &SandboxProfile, request: &SandboxRequest) -> Result<()> {
    check_allowed(profile, &request.argv).map_err(refused)?;
    if matches!(request.stdin, Stdin::Piped) {
        return Err(Error::new(
            ErrorKind::Invalid,
            "a sandboxed command has no input that could be written to later",
        )
        .with_hint("hand its input over as bytes or as a reader"));
    }
    Ok(())
}

/// Nothing was sent.
pub(super) fn refused(refusal: Refusal) -> Error {
    let reason = match &refusal {
        Refusal::NotAllowed { .. } | Refusal::ArgumentNotAllowed { .. } => SandboxReason::NotAllowed,
        Refusal::EmptyCommand
        | Refusal::Nul { .. }
        | Refusal::WordTooLong { .. }
        | Refusal::TooLong { .. } => {
            return Error::new(ErrorKind::Invalid, refusal.to_string()).with_hint(refusal.hint());
        }
        Refusal::Missing { .. } => SandboxReason::MissingTool,
        _ => SandboxReason::Profile,
    };
    Error::new(ErrorKind::Sandbox(reason), refusal.to_string()).with_hint(refusal.hint())
}

/// The host cannot have sandboxes.
pub(super) fn unsuitable(why: &Unsuitable) -> Error {
    let reason = match why {
        Unsuitable::NotRun { .. } => SandboxReason::LoginShell,
        Unsuitable::NoBubblewrap { .. } | Unsuitable::TooOld { .. } => SandboxReason::NoBubblewrap,
        Unsuitable::Forbidden { .. } => SandboxReason::NoUserNamespaces,
        _ => SandboxReason::Profile,
    };
    Error::new(ErrorKind::Sandbox(reason), why.to_string()).with_hint(why.hint())
}
