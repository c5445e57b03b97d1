//! Files in a sandbox, as `cat` sees them.

use bytes::Bytes;
use sternline_proto::sftp::StatusCode;
use sternline_proto::text::escape;

use super::request::SandboxRequest;
use super::result::{ProcessResult, Side};
use crate::error::{Error, ErrorKind, PartialOutput, Result, SendState};

/// The command that writes out a file.
pub(super) fn request(path: &str) -> Result<SandboxRequest> {
    // Neither an option nor `-`, and nothing that depends on a directory.
    if !path.starts_with('/') || path.contains('\0') {
        return Err(Error::new(
            ErrorKind::Invalid,
            format!(
                "the path of a file in a sandbox has to begin with /: \"{}\"",
                escape(path)
            ),
        ));
    }
    Ok(SandboxRequest::from(["cat", "--", path]))
}

/// The file, from what came of that command.
pub(super) fn contents(path: &str, result: ProcessResult) -> Result<Bytes> {
    if result.succeeded() {
        return Ok(result.stdout);
    }
    if result.side == Side::Bubblewrap || result.timed_out {
        return result.success().map(|result| result.stdout);
    }
    let said = result.stderr_text();
    let reason = said.lines().next().unwrap_or_default();
    let code = match reason {
        _ if reason.contains("No such file") || reason.contains("Not a directory") => StatusCode::NoSuchFile,
        _ if reason.contains("Permission denied") => StatusCode::PermissionDenied,
        _ => StatusCode::Failure,
    };
    let message = format!(
        "cannot read {} in the sandbox: {}",
        escape(path),
        escape(reason.trim())
    );
    Err(Error::new(ErrorKind::RemoteFile(code), message)
        .with_sent(SendState::Ran)
        .with_partial(PartialOutput {
            stdout: result.stdout.clone(),
            stderr: result.stderr.clone(),
        }))
}
