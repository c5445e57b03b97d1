//! `scp -f`: the server sends.

use std::io;

use bytes::Bytes;
use sternline_proto::scp::{Name, Record};
use sternline_proto::sftp::{Attributes, FileType, OpenFlags};
use sternline_proto::text::escape_bytes;

use super::command::ScpCommand;
use super::glob::expand;
use super::peer::{CHUNK, Ending, Peer};
use super::serve::{Files, describe, join};
use crate::files::{FileAction, Links, OpenDir, OpenFile};

/// Entries of a directory that are read at a time.
const ENTRIES: usize = 100;

/// A directory whose entries are being sent.
struct Dir {
    path: Vec<u8>,
    open: Box<dyn OpenDir>,
    /// Read, and not sent yet; the next one last.
    entries: Vec<Bytes>,
}

/// Sends what the command names, once the client has said that it is ready.
pub(super) async fn send(peer: &mut Peer, files: &mut Files, command: &ScpCommand) -> Result<(), Ending> {
    if !peer.answer().await? {
        return Ok(());
    }
    let patterns = command.paths.clone();
    let paths = files.off_the_runtime(move |tree| {
        let paths = patterns.iter().flat_map(|pattern| expand(tree, pattern));
        Ok(paths.collect::<Vec<_>>())
    });
    for path in &paths.await? {
        let mut dirs: Vec<Dir> = Vec::new();
        dirs.extend(send_path(peer, files, command, path).await?);
        while let Some(dir) = dirs.last_mut() {
            if let Some(name) = dir.entries.pop() {
                let path = join(&dir.path, &name);
                dirs.extend(send_path(peer, files, command, &path).await?);
            } else if let Some(more) = dirs.pop() {
                match read_on(files, more).await {
                    Ok(Some(more)) => dirs.push(more),
                    Ok(None) => end_dir(peer).await?,
                    Err(error) => {
                        peer.warn(error).await?;
                        end_dir(peer).await?;
                    }
                }
            }
        }
    }
    Ok(())
}

async fn end_dir(peer: &mut Peer) -> Result<(), Ending> {
    peer.say(&Record::EndDirectory).await?;
    peer.answer().await.map(drop)
}

/// Reads further entries, if there are any.
async fn read_on(files: &Files, mut dir: Dir) -> Result<Option<Dir>, String> {
    let path = dir.path.clone();
    let read = files.off_the_runtime(move |_| {
        let entries = dir.open.next(ENTRIES)?;
        dir.entries = entries.into_iter().rev().map(|(name, _)| name).collect();
        Ok((!dir.entries.is_empty()).then_some(dir))
    });
    read.await.map_err(|error| describe(&path, &error))
}

enum Opened {
    File(Box<dyn OpenFile>),
    Dir(Box<dyn OpenDir>),
}

/// Sends a file, or begins a directory, which is returned then.
async fn send_path(
    peer: &mut Peer,
    files: &mut Files,
    command: &ScpCommand,
    path: &[u8],
) -> Result<Option<Dir>, Ending> {
    let (named, recursive) = (path.to_vec(), command.recursive);
    let opened = files.off_the_runtime(move |tree| {
        let found = tree.stat(&named, Links::Follow)?;
        match found.file_type() {
            Some(FileType::File) => {
                let file = tree.open(&named, OpenFlags::READ, 0)?;
                // As it is now, and not as it was before it was opened.
                Ok((file.stat()?, Opened::File(file)))
            }
            Some(FileType::Directory) if recursive => Ok((found, Opened::Dir(tree.open_dir(&named)?))),
            _ => Err(io::Error::other("not a regular file")),
        }
    });
    let (found, opened) = match opened.await {
        Ok(opened) => opened,
        Err(error) => {
            peer.warn(describe(path, &error)).await?;
            return Ok(None);
        }
    };
    let name = match name(path) {
        Ok(name) => name,
        Err(message) => {
            peer.warn(message).await?;
            return Ok(None);
        }
    };
    if command.preserve && !send_times(peer, &found).await? {
        return Ok(None);
    }
    let mode = found.permissions.unwrap_or(0) & 0o7777;
    match opened {
        Opened::File(file) => {
            let size = found.size.unwrap_or(0);
            peer.say(&Record::File { mode, size, name }).await?;
            if peer.answer().await? {
                send_file(peer, files, path, file, size).await?;
            }
            Ok(None)
        }
        Opened::Dir(open) => {
            peer.say(&Record::Directory { mode, name }).await?;
            let dir = Dir {
                path: path.to_vec(),
                open,
                entries: Vec::new(),
            };
            if !peer.answer().await? {
                return Ok(None);
            }
            send_false_names(peer, files).await?;
            Ok(Some(dir))
        }
    }
}

/// Sends what directories hold by a fault. No record of ours has such a name, so it is written by hand.
async fn send_false_names(peer: &mut Peer, files: &Files) -> Result<(), Ending> {
    for name in files.false_names() {
        peer.send(&[b"C0644 5 ", &name[..], b"\n"].concat()).await?;
        if peer.answer().await? {
            peer.send(b"false\0").await?;
            peer.answer().await?;
        }
    }
    Ok(())
}

async fn send_times(peer: &mut Peer, found: &Attributes) -> Result<bool, Ending> {
    let Some(times) = found.times else {
        return Ok(true);
    };
    let record = Record::Times {
        mtime: times.mtime.into(),
        atime: times.atime.into(),
    };
    peer.say(&record).await?;
    peer.answer().await
}

/// Sends exactly as many bytes as were announced, whatever has become of the file.
async fn send_file(
    peer: &mut Peer,
    files: &mut Files,
    path: &[u8],
    file: Box<dyn OpenFile>,
    size: u64,
) -> Result<(), Ending> {
    let mut file = Ok(file);
    let mut offset = 0;
    while offset < size {
        let count = usize::try_from(size - offset).unwrap_or(CHUNK).min(CHUNK);
        let mut data = vec![0; count];
        if let Ok(open) = file {
            let read = files.off_the_runtime(move |_| {
                let read = open.read_at(offset, &mut data)?;
                Ok((open, data, read))
            });
            (file, data) = match read.await {
                Ok((open, data, read)) if read == count => (Ok(open), data),
                Ok((_, data, _)) => (Err(io::Error::other("the file has become shorter")), data),
                Err(error) => (Err(error), vec![0; count]),
            };
        }
        peer.send(&data).await?;
        offset += count as u64;
        files.moved(count as u64)?;
    }
    match file {
        Ok(_) => {
            files.tell(path, FileAction::Downloaded { bytes: size });
            peer.say(&Record::Ok).await?;
        }
        Err(error) => peer.warn(describe(path, &error)).await?,
    }
    peer.answer().await.map(drop)
}

/// The name under which it is sent: the last one of its path.
fn name(path: &[u8]) -> Result<Name, String> {
    let mut names = path.split(|&byte| byte == b'/');
    let last = names.rfind(|name| !name.is_empty());
    Name::new(Bytes::copy_from_slice(last.unwrap_or_default()))
        .map_err(|error| format!("{}: {error}", escape_bytes(path)))
}
