//! Exit statuses. They are documented in `sternline ssh --help`.

use std::process::ExitCode;

/// Several hosts, and not all of them succeeded; or a verb that did not do its work.
pub(crate) const FAILED: u8 = 1;
/// The command line makes no sense.
pub(crate) const USAGE: u8 = 2;
/// The command did not end within `--timeout`, as with timeout(1).
pub(crate) const TIMED_OUT: u8 = 124;
/// There was no sandbox to run a command in, as with env(1) and others of coreutils that start programs.
pub(crate) const NO_SANDBOX: u8 = 125;
/// A profile does not allow a command.
pub(crate) const NOT_ALLOWED: u8 = 126;
/// Connecting failed, or the connection was lost, as with ssh(1).
pub(crate) const CONNECTION: u8 = 255;
/// Added to the number of the signal that ended something, as shells do.
pub(crate) const SIGNAL_BASE: u8 = 128;
/// Nobody reads our output any more: what a program ended by SIGPIPE would give.
pub(crate) const BROKEN_PIPE: u8 = SIGNAL_BASE + 13;

/// A remote status as our own. Beyond 255 no status can be told from another one, but none of them is a success.
pub(crate) fn from_remote(status: u32) -> ExitCode {
    ExitCode::from(u8::try_from(status).unwrap_or(u8::MAX))
}
