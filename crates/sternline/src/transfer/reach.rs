//! Which way leads to the files of a server.

use sternline_proto::files::{Facts, NoWay, Way, choose};

use super::place::{Origin, Place, RemoteFiles};
use super::request::Options;
use super::shell::{RemoteShell, ShellFiles, probe};
use crate::connection::Connection;
use crate::deadline::Phase;
use crate::error::{Error, ErrorKind, Result};

/// The files of a server, by the way that was asked for, or else by the first that it offers.
///
/// # Errors
/// When it offers none, with the reason for each, or the connection is lost.
pub(super) async fn reach(origin: Origin, options: &Options) -> Result<Place> {
    let connection = match &origin {
        Origin::Connection(connection) => Some(connection.clone()),
        Origin::Supervisor(supervisor) => supervisor.connection(),
    };
    let sftp = if options.way.is_none_or(|way| way == Way::Sftp) {
        match RemoteFiles::connect(origin).await {
            Ok(files) => return Ok(Place::Remote(files)),
            Err(error) => Some(error),
        }
    } else {
        None
    };
    // Whoever lost the connection, or wants SFTP and nothing else, has the reason already.
    let connection = match (connection, sftp) {
        (Some(connection), None) => connection,
        (Some(connection), Some(error))
            if options.way.is_none() && is_about_sftp(&error) && connection.is_connected() =>
        {
            return otherwise(connection, options, Some(&error)).await;
        }
        (_, Some(error)) => return Err(error),
        (None, None) => return Err(Error::new(ErrorKind::Connection, "there is no connection now")),
    };
    otherwise(connection, options, None).await
}

/// Whether it says that the server has no SFTP, and nothing about the connection.
fn is_about_sftp(error: &Error) -> bool {
    error.kind() == &ErrorKind::Channel || error.phase() == Some(Phase::Transfer)
}

/// By another way than SFTP.
async fn otherwise(connection: Connection, options: &Options, sftp: Option<&Error>) -> Result<Place> {
    let shell = probe(&connection).await?;
    let facts = Facts {
        sftp: Some(false),
        shell: Some(matches!(shell, RemoteShell::Posix(_))),
        scp: Some(false),
        ..Facts::default()
    };
    match (choose(options.way, &facts), shell) {
        (Ok(Way::Shell), RemoteShell::Posix(tools)) => {
            Ok(Place::Shell(ShellFiles::connect(connection, tools).await?))
        }
        (Err(refusal), shell) => Err(connection.locate(no_way(refusal, sftp, &shell))),
        (Ok(way), _) => Err(connection.locate(no_way(
            NoWay::Missing(way),
            sftp,
            &RemoteShell::None(String::new()),
        ))),
    }
}

/// Why there is no way, and what each of them said.
fn no_way(refusal: NoWay, sftp: Option<&Error>, shell: &RemoteShell) -> Error {
    let mut reasons = Vec::new();
    if let Some(error) = sftp {
        reasons.push(error.to_string());
    }
    if let RemoteShell::None(reason) = shell {
        reasons.push(format!("no shell: {reason}"));
    }
    let reasons = match reasons.as_slice() {
        [] => String::new(),
        reasons => format!(" ({})", reasons.join("; ")),
    };
    Error::new(ErrorKind::Channel, format!("{refusal}{reasons}"))
        .in_phase(Phase::Transfer)
        .with_hint("enable SFTP on the server (`Subsystem sftp internal-sftp` in sshd_config)")
}
