//! What a script has to be allowed before it happens: one function for each operation of this module.

use std::path::PathBuf;

use super::hosts::Host;
use crate::session::Session;

/// A client for a host is made.
pub(super) fn connect(_session: &Session, _host: &Host) -> anyhow::Result<()> {
    Ok(())
}

/// A command runs on a host; `command` is as the script gave it.
pub(super) fn command(_session: &Session, _function: &'static str, _host: &Host, _command: &str) -> anyhow::Result<()> {
    Ok(())
}

/// A file goes to a host.
pub(super) fn upload(_session: &Session, _host: &Host, _src: &str, _dst: &str) -> anyhow::Result<()> {
    Ok(())
}

/// A file comes from a host.
pub(super) fn download(_session: &Session, _host: &Host, _src: &str, _dst: &str) -> anyhow::Result<()> {
    Ok(())
}

/// A port leads somewhere through a host.
pub(super) fn forward(_session: &Session, _function: &'static str, _host: &Host, _what: &str) -> anyhow::Result<()> {
    Ok(())
}

/// A file of this machine is read: the path to read it at.
pub(super) fn read(session: &Session, _function: &'static str, path: &str) -> anyhow::Result<PathBuf> {
    Ok(session.path(path))
}

/// A file of this machine is written, or in a directory of it: the path to write to. A `/` at the end stays.
pub(super) fn write(session: &Session, _function: &'static str, path: &str) -> anyhow::Result<PathBuf> {
    Ok(session.path(path))
}
