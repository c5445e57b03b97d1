//! Which way leads to the files of a server.

use sternline_proto::files::{Facts, NoWay, Way, choose};

use super::place::{Origin, Place, RemoteFiles};
use super::renewal::next;
use super::request::Options;
use super::scp::ScpServer;
use super::shell::{RemoteShell, ShellFiles, probe};
use crate::connection::Connection;
use crate::deadline::Phase;
use crate::error::{Error, ErrorKind, Result};

/// A server's files, as far as they can be had.
pub(super) enum Reached {
    /// Files that can be looked at one by one.
    Place(Place),
    /// Files that can only be sent and received whole.
    Scp(ScpServer),
}

/// The files of a server, by the way that was asked for, or else by the first that it offers.
///
/// # Errors
/// When it offers none, with the reason for each, or the connection is lost.
pub(super) async fn reach(origin: Origin, options: &Options) -> Result<Reached> {
    let mut without_sftp = None;
    if options.way.is_none_or(|way| way == Way::Sftp) {
        match RemoteFiles::connect(origin.clone()).await {
            Ok(files) => return Ok(Reached::Place(Place::Remote(files))),
            // Whoever lost the connection, or wants SFTP and nothing else, has the reason already.
            Err(error) if options.way.is_some() || !is_about_sftp(&error) => return Err(error),
            Err(error) => without_sftp = Some(error),
        }
    }
    // In boxes, since most have SFTP, and whoever calls may have little stack.
    let without_sftp = without_sftp.as_ref();
    let by = |connection| Box::pin(otherwise(&origin, connection, options, without_sftp));
    match &origin {
        Origin::Connection(connection) => by(connection.clone()).await,
        Origin::Supervisor(supervisor) => Box::pin(next(supervisor, by)).await,
    }
}

/// Whether it says that the server has no SFTP, and nothing about the connection.
fn is_about_sftp(error: &Error) -> bool {
    error.kind() == &ErrorKind::Channel || error.phase() == Some(Phase::Transfer)
}

/// By another way than SFTP.
async fn otherwise(
    origin: &Origin,
    connection: Connection,
    options: &Options,
    sftp: Option<&Error>,
) -> Result<Reached> {
    let shell = probe(&connection).await?;
    let facts = Facts {
        sftp: Some(false),
        shell: Some(matches!(shell, RemoteShell::Posix(_))),
        scp: match &shell {
            RemoteShell::Posix(tools) => Some(tools.scp),
            RemoteShell::None(_) => None,
        },
        compares: options.compares(),
        ..Facts::default()
    };
    let reasons = reasons(sftp, &shell);
    match (choose(options.way, &facts), shell) {
        (Ok(Way::Shell), RemoteShell::Posix(tools)) => {
            let files = ShellFiles::connect(origin.clone(), connection, tools).await?;
            Ok(Reached::Place(Place::Shell(files)))
        }
        (Ok(Way::Scp), shell) => {
            let has_shell = matches!(shell, RemoteShell::Posix(_));
            Ok(Reached::Scp(ScpServer::new(connection, has_shell, reasons)))
        }
        (Ok(way), _) => Err(connection.locate(no_way(NoWay::Missing(way), reasons))),
        (Err(refusal), _) => Err(connection.locate(no_way(refusal, reasons))),
    }
}

/// What each of the better ways has said.
fn reasons(sftp: Option<&Error>, shell: &RemoteShell) -> Option<String> {
    let mut reasons = Vec::new();
    reasons.extend(sftp.map(ToString::to_string));
    if let RemoteShell::None(reason) = shell {
        reasons.push(format!("no shell: {reason}"));
    }
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

fn no_way(refusal: NoWay, reasons: Option<String>) -> Error {
    let reasons = reasons.map_or_else(String::new, |reasons| format!(" ({reasons})"));
    Error::new(ErrorKind::Channel, format!("{refusal}{reasons}"))
        .in_phase(Phase::Transfer)
        .with_hint("enable SFTP on the server (`Subsystem sftp internal-sftp` in sshd_config)")
}
