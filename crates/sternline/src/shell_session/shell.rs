//! The shell at the other end: how it is started, and how it is known that there is one.

use std::sync::Arc;
use std::time::Duration;

use sternline_proto::framing::{Marker, ShellIds, hello_line, parse_hello};
use sternline_proto::remote_process::SHELL;
use sternline_proto::text::escape_bytes;
use tokio::time::timeout;

use crate::connection::{Connection, Start, StartOrder};
use crate::error::{Error, ErrorKind, Result, seconds};
use crate::exec::ExitStatus;
use crate::transport::channel::{Channel, Incoming, OutputStream};

/// A shell that reads commands. Dropping it closes its channel, and the end of its input ends it.
pub(super) struct Shell {
    pub(super) channel: Channel,
    pub(super) order: StartOrder,
    pub(super) ids: ShellIds,
}

/// What came of starting one.
pub(super) enum Started {
    Shell(Shell),
    /// What answers is no POSIX shell, for this reason.
    Unsuitable(String),
}

/// Starts a shell, and waits until it has said that it is one.
pub(super) async fn start(connection: &Connection) -> Result<Started> {
    let sessions = connection.sessions();
    let channel = sessions.open_for_command().await?;
    // Begun before the shell is asked for: both requests then travel together.
    sessions.open_spare();
    let start = Start::Exec(SHELL.as_bytes());
    let order = sessions.start(&channel, start, &[], None).await?;
    let limit = sessions.open_limit();
    match timeout(limit, greet(&channel)).await {
        Ok(Ok(ids)) => Ok(Started::Shell(Shell { channel, order, ids })),
        Ok(Err(_)) if channel.sender().was_lost() => Err(sessions.session().link().settled_loss().await),
        Ok(Err(reason)) => Ok(Started::Unsuitable(reason)),
        Err(_) => {
            give_up(connection, channel, order);
            Ok(Started::Unsuitable(format!(
                "what the server runs instead of /bin/sh said nothing for {}",
                seconds(limit)
            )))
        }
    }
}

/// Random bytes for a marker that nobody has seen.
pub(super) fn marker() -> Result<Marker> {
    let mut random = [0; 12];
    getrandom::fill(&mut random).map_err(|error| {
        Error::new(ErrorKind::Local, "the system gives no random numbers").with_source_text(&error)
    })?;
    Ok(Marker::new(random))
}

/// Asks whatever was started who it is.
async fn greet(channel: &Channel) -> Result<ShellIds, String> {
    /// Start-up files of the account's shell may say a lot, but not everything.
    const LIMIT: usize = 256 * 1024;
    let marker = marker().map_err(|error| error.to_string())?;
    // What ends at once says why, and that is read below.
    let _ = channel.sender().data(hello_line(&marker).into()).await;
    let (mut output, mut said, mut exit) = (Vec::new(), Vec::new(), None);
    while let Some(incoming) = channel.next().await {
        match incoming {
            Incoming::Data {
                stream: OutputStream::Stdout,
                bytes,
                ..
            } => {
                output.extend_from_slice(&bytes);
                if let Some(ids) = parse_hello(&output, &marker) {
                    return Ok(ids);
                }
            }
            Incoming::Data { bytes, .. } => said.extend_from_slice(&bytes),
            Incoming::Reply(false) => return Err("the server does not run /bin/sh".to_owned()),
            Incoming::ExitStatus(code) => exit = Some(ExitStatus::Code(code).to_string()),
            Incoming::ExitSignal { name, .. } => {
                exit = Some(format!("signal {}", escape_bytes(name.as_bytes())))
            }
            Incoming::Reply(true) | Incoming::Eof | Incoming::Overflow(_) => {}
        }
        if output.len() + said.len() > LIMIT {
            return Err("what the server runs instead of /bin/sh writes much and answers nothing".to_owned());
        }
    }
    let exit = exit.unwrap_or_else(|| "no exit status".to_owned());
    let words = [said.as_slice(), &output].into_iter().find_map(|text| {
        text.split(|byte| *byte == b'\n')
            .find(|line| !line.trim_ascii().is_empty())
    });
    Err(match words {
        Some(words) => format!(
            "/bin/sh did not start ({exit}): {}",
            escape_bytes(words.trim_ascii())
        ),
        None => format!("/bin/sh did not start ({exit})"),
    })
}

/// Ends in the background what was started, whatever it is.
pub(super) fn give_up(connection: &Connection, channel: Channel, order: StartOrder) {
    /// How long the server may take to close.
    const CLOSING: Duration = Duration::from_secs(1);
    let connection = connection.clone();
    let being_ended = connection.sessions().ending_dropped();
    let runtime = connection.sessions().session().runtime().clone();
    runtime.spawn(async move {
        let sessions = Arc::clone(connection.sessions());
        let _ = sessions.end_remote(order, channel.sender(), None).await;
        let _ = timeout(CLOSING, channel.sender().ended()).await;
        drop(channel);
        drop(being_ended);
        drop(connection);
    });
}
