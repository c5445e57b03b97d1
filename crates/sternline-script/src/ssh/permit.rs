//! What a script has to be allowed before it happens: one function for each operation of this module.

use std::path::{Path, PathBuf};

use super::hosts::Host;
use super::settings::Around;
use crate::permissions::{Access, Operation};
use crate::session::Session;

/// A client for a host is made.
pub(super) fn connect(session: &Session, host: &Host) -> anyhow::Result<()> {
    Ok(session.permit(&Operation::connect(host.target.host()))?)
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

/// A host that a script names is gone through, or connected to in place of the one that rules have seen.
pub(super) fn reach(session: &Session, host: &str) -> anyhow::Result<()> {
    Ok(session.permit(&Operation::connect(host))?)
}

/// A command of this machine leads to a host (`ProxyCommand`).
pub(super) fn process(session: &Session, command: &str) -> anyhow::Result<()> {
    Ok(session.permit(&Operation::process("exec", command))?)
}

/// New hosts are recorded in a file of this machine: the path to write it at.
pub(super) fn record(session: &Session, path: &str) -> anyhow::Result<PathBuf> {
    Ok(session.permit_path(Access::Write, "known_hosts", path)?)
}

/// What a download writes to where links lead that have its names already. `dst` is a directory, or the beginning of the names.
pub(super) fn landing(
    session: &Session,
    function: &'static str,
    src: &str,
    dst: &Path,
) -> anyhow::Result<()> {
    if session.guard().allows_all() {
        return Ok(());
    }
    let (directory, name) = match dst.is_dir() {
        true => (
            Some(dst),
            src.trim_end_matches('/')
                .rsplit('/')
                .next()
                .unwrap_or_default()
                .into(),
        ),
        false => (
            dst.parent(),
            dst.file_name().unwrap_or_default().to_string_lossy(),
        ),
    };
    for entry in directory
        .and_then(|directory| directory.read_dir().ok())
        .into_iter()
        .flatten()
    {
        let path = entry?.path();
        if path
            .file_name()
            .is_some_and(|file| file.to_string_lossy().starts_with(&*name))
        {
            session.permit_path(Access::Write, function, &path.to_string_lossy())?;
        }
    }
    Ok(())
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
