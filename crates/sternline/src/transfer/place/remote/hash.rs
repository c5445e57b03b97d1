//! The SHA-256 of what a server has.

use sha2::{Digest as _, Sha256};
use sternline_proto::sftp::{OpenFlags, Pieces};

use super::line::Line;
use super::lines::Lines;
use crate::error::Result;
use crate::transfer::shell;

/// From this size on the server is asked to compute it. What is smaller is read back before a command has started.
const BY_SHELL: u64 = 1024 * 1024;

/// Of the first `length` bytes; `None` where there are fewer.
pub(super) async fn sha256(lines: &Lines, path: &[u8], length: u64) -> Result<Option<[u8; 32]>> {
    let mut line = lines.current();
    if length >= BY_SHELL {
        match there(&line, path, length).await {
            Ok(Some(digest)) => return Ok(digest),
            Ok(None) => {}
            Err(error) => line = lines.after(&line, error).await?,
        }
    }
    let mut digest = Sha256::new();
    let mut have = 0;
    loop {
        let (from, rest) = (have, length - have);
        let reading = async {
            let file = line.sftp().open(path, OpenFlags::READ, None).await?;
            let take = |data: Pieces| {
                have += data.len() as u64;
                data.iter().for_each(|piece| digest.update(piece));
            };
            file.read_each(from, rest, line.reads_at_once(), take).await
        };
        match reading.await {
            Ok(()) => return Ok((have == length).then(|| digest.finalize().into())),
            Err(error) => line = lines.after(&line, error).await?,
        }
    }
}

/// What the server's shell says; `None` where it has none or no tool for that, or cannot see the file: SFTP may have another
/// root.
async fn there(line: &Line, path: &[u8], length: u64) -> Result<Option<shell::Digest>> {
    let Some(tools) = line.tools().await? else {
        return Ok(None);
    };
    if tools.sha256.is_none() {
        return Ok(None);
    }
    match shell::sha256(line.sftp().connection(), tools, &[(path, length)]).await {
        Ok(answers) => Ok(answers.into_iter().next().and_then(Result::ok)),
        Err(error) if line.was_lost(&error) => Err(error),
        Err(error) => {
            tracing::debug!(%error, "the file is read back to compute its SHA-256");
            Ok(None)
        }
    }
}
