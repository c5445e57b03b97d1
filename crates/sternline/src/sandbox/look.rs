//! The look at a host, before the first sandbox is made there.

use sternline_proto::sandbox::{RemoteCommand, probe_command, probe_command_with};
use sternline_proto::text::escape;

use crate::error::{Error, ErrorKind, Result};

/// How much a look may write.
pub(super) const PROBE_BYTES: u64 = 4 << 20;

/// What is to be looked for.
#[derive(Debug, Clone, Default)]
pub(super) struct Look {
    /// Where bubblewrap is, if that was said.
    bwrap: Option<String>,
}

impl Look {
    /// For bubblewrap at this path.
    pub(super) fn at(bwrap: String) -> Result<Self> {
        match bwrap.starts_with('/') && probe_command_with(&bwrap).is_ok() {
            true => Ok(Self { bwrap: Some(bwrap) }),
            false => Err(Error::new(
                ErrorKind::Invalid,
                format!(
                    "the path of bubblewrap has to begin with /: \"{}\"",
                    escape(&bwrap)
                ),
            )),
        }
    }

    /// What is sent for it.
    pub(super) fn command(&self) -> RemoteCommand {
        let given = self.bwrap.as_deref().map(probe_command_with);
        // The path was tried when it was given.
        given
            .and_then(|command| command.ok())
            .unwrap_or_else(probe_command)
    }
}
