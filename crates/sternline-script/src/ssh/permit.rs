//! What a script has to be allowed before it happens: one function for each operation of this module.

use std::path::PathBuf;

use super::hosts::Host;
use super::settings::Around;
use crate::permissions::{Access, Operation};
use crate::session::Session;

/// A client for a host is made.
pub(super) fn connect(session: &Session, host: &Host) -> anyhow::Result<()> {
    Ok(session.permit(&Operation::connect(host.target.host()))?)
}

/// The way to a host leads over another one: a jump host, or what ssh_config calls the host.
pub(super) fn reach(session: &Session, name: &str) -> anyhow::Result<()> {
    Ok(session.permit(&Operation::connect(name))?)
}

/// A process of this machine makes the connection.
pub(super) fn proxy_command(session: &Session, command: &str) -> anyhow::Result<()> {
    Ok(session.permit(&Operation::process("exec", command))?)
}

/// A command runs on a host. What is put round it is a part of it, for whoever may run `uptime` may not run it as root, nor
/// choose by `PATH` which program that is: rules have to allow `sudo -u root uptime`, `cd /srv && uptime`, `PATH=/x uptime`.
/// Rules that deny look at the command alone, too.
pub(super) fn command(
    session: &Session,
    function: &'static str,
    host: &Host,
    command: &str,
    around: &Around,
) -> anyhow::Result<()> {
    let plain = Operation::command(function, host.target.host(), command);
    session.guard().check_denied(&plain)?;
    let whole = around.in_words(command);
    Ok(session.permit(&Operation::command(function, host.target.host(), &whole))?)
}

/// A file goes to a host.
pub(super) fn upload(session: &Session, host: &Host, src: &str, dst: &str) -> anyhow::Result<()> {
    Ok(session.permit(&Operation::upload(host.target.host(), src, dst))?)
}

/// A file comes from a host.
pub(super) fn download(session: &Session, host: &Host, src: &str, dst: &str) -> anyhow::Result<()> {
    Ok(session.permit(&Operation::download(host.target.host(), src, dst))?)
}

/// A port leads somewhere through a host.
pub(super) fn forward(
    session: &Session,
    function: &'static str,
    host: &Host,
    what: &str,
) -> anyhow::Result<()> {
    Ok(session.permit(&Operation::forward(function, host.target.host(), what))?)
}

/// A file of this machine is read: the path to read it at.
pub(super) fn read(session: &Session, function: &'static str, path: &str) -> anyhow::Result<PathBuf> {
    Ok(session.permit_path(Access::Read, function, path)?)
}

/// A file of this machine is written, or in a directory of it: the path to write to. A `/` at the end stays.
pub(super) fn write(session: &Session, function: &'static str, path: &str) -> anyhow::Result<PathBuf> {
    let local = session.permit_path(Access::Write, function, path)?;
    Ok(match path.ends_with('/') {
        true => local.join(""),
        false => local,
    })
}
