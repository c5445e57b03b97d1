//! Files to a server.

use bytes::{Bytes, BytesMut};
use sternline_proto::tar::{Header, finish};
use tokio::sync::mpsc;

use super::complaint::{cannot, complaints, nonsense};
use crate::connection::Connection;
use crate::deadline::Phase;
use crate::error::{Error, ErrorKind, Result};
use crate::transfer::shell::{CommandInput, RemoteCommand, script};

/// Files that wait are sent together up to here.
const TOGETHER: usize = 128 * 1024;

/// What start-up files of the shell may write to the standard output.
const SAID: usize = 64 * 1024;

/// A file to send.
#[derive(Debug)]
pub(in crate::transfer) struct Item {
    /// Its name below the directory, its mode, which it gets whatever the umask, and its modification time.
    pub(in crate::transfer) header: Header,
    /// All of it.
    pub(in crate::transfer) data: Bytes,
}

/// Makes files in a directory of the server, in place of what has their names. Directories above them are made.
///
/// The files belong to who logs in. Without `keep_times` their times are those of their arrival. They appear under their
/// names before they are complete, so the names are for whoever calls to choose. Cancelling ends the process on the
/// server.
///
/// # Errors
/// When a name leads elsewhere, the connection is lost, or tar is not content with everything. Any file may then be
/// missing or incomplete.
pub(in crate::transfer) async fn send(
    connection: &Connection,
    directory: &[u8],
    keep_times: bool,
    mut files: mpsc::Receiver<Item>,
) -> Result<()> {
    let times = if keep_times { "" } else { "-m " };
    let unpack = script(&format!("exec tar -x -p -o {times}-f - -C @1"), &[directory])?;
    let mut command = RemoteCommand::start_script(connection, &unpack).await?;
    let input = command.input();
    let listening = async {
        let mut said = 0;
        while let Some(bytes) = command.next().await? {
            said += bytes.len();
            if said > SAID {
                return nonsense(connection, "much, where it was to unpack and say nothing");
            }
        }
        Ok(())
    };
    let mut fed = false;
    let feeding = async {
        match feed(&mut files, &input).await {
            Ok(()) => {
                fed = true;
                std::future::pending().await
            }
            // How it ended says why.
            Err(error) if *error.kind() == ErrorKind::Channel => std::future::pending().await,
            Err(error) => error,
        }
    };
    tokio::select! {
        ended = listening => ended?,
        error = feeding => return Err(error),
    }
    let (exit, stderr) = command.ended();
    // One that ends before it has everything has not unpacked everything, whatever it says.
    if fed && exit.is_success() && complaints(stderr).next().is_none() {
        return Ok(());
    }
    Err(cannot(connection, "unpack files into", directory, exit, stderr))
}

/// Sends what comes as it comes.
async fn feed(files: &mut mpsc::Receiver<Item>, input: &CommandInput) -> Result<()> {
    let mut archive = BytesMut::new();
    while let Some(item) = files.recv().await {
        append(&mut archive, &item)?;
        while archive.len() < TOGETHER
            && let Ok(item) = files.try_recv()
        {
            append(&mut archive, &item)?;
        }
        input.write(archive.split().freeze()).await?;
    }
    finish(&mut archive);
    input.write(archive.freeze()).await?;
    input.close().await
}

fn append(archive: &mut BytesMut, item: &Item) -> Result<()> {
    item.header
        .encode(&item.data, archive)
        .map_err(|error| Error::new(ErrorKind::Invalid, error.to_string()).in_phase(Phase::Transfer))
}
