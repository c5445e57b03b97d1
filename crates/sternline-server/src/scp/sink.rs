//! `scp -t`: the server receives.

use std::io;

use sternline_proto::scp::{Name, Record};
use sternline_proto::sftp::{Attributes, FileType, OpenFlags, Times};

use super::command::ScpCommand;
use super::glob::literal;
use super::peer::{CHUNK, Ending, Peer};
use super::serve::{Files, describe, join};
use crate::files::{FileAction, FileTree, Links};

/// A directory that is being received.
struct Dir {
    path: Vec<u8>,
    /// What it gets once everything is in it.
    last: Attributes,
}

/// A file that is announced.
struct Announced {
    path: Vec<u8>,
    mode: u32,
    size: u64,
    times: Option<Times>,
}

/// Receives until the client ends its input.
pub(super) async fn receive(peer: &mut Peer, files: &mut Files, command: &ScpCommand) -> Result<(), Ending> {
    // A wildcard stands for itself where something new is named.
    let target = command
        .paths
        .first()
        .map(|path| literal(path))
        .unwrap_or_default();
    let into = is_dir(files, &target).await;
    if command.directory && !into {
        let error = io::ErrorKind::NotADirectory.into();
        return peer.warn(describe(&target, &error)).await;
    }
    peer.say(&Record::Ok).await?;
    let mut open: Vec<Dir> = Vec::new();
    let mut times = None;
    let path = |open: &[Dir], name: &Name| match open.last() {
        Some(dir) => join(&dir.path, name.as_bytes()),
        None if into => join(&target, name.as_bytes()),
        None => target.clone(),
    };
    while let Some(record) = peer.record().await? {
        match record {
            Record::Times { mtime, atime } => {
                times = Some(Times {
                    mtime: seconds(mtime),
                    atime: seconds(atime),
                });
                peer.say(&Record::Ok).await?;
            }
            Record::File { mode, size, name } => {
                let path = path(&open, &name);
                let times = times.take();
                let file = Announced {
                    path,
                    mode,
                    size,
                    times,
                };
                receive_file(peer, files, file, command.preserve).await?;
            }
            Record::Directory { .. } if !command.recursive => {
                return Err(Ending::Unexpected(
                    "a directory arrived although -r was not given",
                ));
            }
            Record::Directory { mode, name } => {
                let path = path(&open, &name);
                let made = path.clone();
                match files
                    .off_the_runtime(move |tree| make_dir(tree, &made, mode))
                    .await
                {
                    Ok(new) => {
                        let permissions = (new || command.preserve).then_some(mode);
                        let last = Attributes {
                            permissions,
                            times: times.take(),
                            ..Attributes::default()
                        };
                        open.push(Dir { path, last });
                        peer.say(&Record::Ok).await?;
                    }
                    Err(error) => {
                        times = None;
                        peer.warn(describe(&path, &error)).await?;
                    }
                }
            }
            Record::EndDirectory => {
                let Some(Dir { path, last }) = open.pop() else {
                    return Err(Ending::Unexpected("a directory ends that has not begun"));
                };
                let set = path.clone();
                match files
                    .off_the_runtime(move |tree| tree.set(&set, Links::Follow, &last))
                    .await
                {
                    Ok(()) => peer.say(&Record::Ok).await?,
                    Err(error) => peer.warn(describe(&path, &error)).await?,
                }
            }
            // The client could not send something, and has told its user.
            Record::Warning(_) => peer.failed = true,
            Record::Fatal(_) => return Err(Ending::GaveUp),
            _ => return Err(Ending::Unexpected("an answer arrived where a record belongs")),
        }
    }
    match open.is_empty() {
        true => Ok(()),
        false => Err(Ending::GaveUp),
    }
}

/// Receives one file. What goes wrong here does not keep others from being received.
async fn receive_file(
    peer: &mut Peer,
    files: &mut Files,
    announced: Announced,
    preserve: bool,
) -> Result<(), Ending> {
    let Announced {
        path,
        mode,
        size,
        times,
    } = announced;
    let named = path.clone();
    let flags = OpenFlags::WRITE | OpenFlags::CREATE;
    let mut file = match files
        .off_the_runtime(move |tree| tree.open(&named, flags, mode))
        .await
    {
        Ok(file) => Ok(file),
        Err(error) => return peer.warn(describe(&path, &error)).await,
    };
    peer.say(&Record::Ok).await?;
    let mut offset = 0;
    while offset < size {
        let count = usize::try_from(size - offset).unwrap_or(CHUNK).min(CHUNK);
        let data = peer.bytes(count).await?;
        // What comes after a failure is read and dropped, for the client sends it all the same.
        if let Ok(open) = file {
            file = files
                .off_the_runtime(move |_| open.write_at(offset, &data).map(|()| open))
                .await;
        }
        offset += count as u64;
        files.moved(count as u64)?;
    }
    match peer.record().await? {
        Some(Record::Ok) => {}
        // It could not read all of it, and what it has sent is not the file.
        Some(Record::Warning(_)) => peer.failed = true,
        Some(Record::Fatal(_)) | None => return Err(Ending::GaveUp),
        Some(_) => {
            return Err(Ending::Unexpected(
                "a record arrived where the end of a file belongs",
            ));
        }
    }
    let last = Attributes {
        // What was there before may have been longer.
        size: Some(size),
        permissions: preserve.then_some(mode),
        times,
        ..Attributes::default()
    };
    let done = match file {
        Ok(open) => files.off_the_runtime(move |_| open.set(&last)).await,
        Err(error) => Err(error),
    };
    match done {
        Ok(()) => {
            files.tell(&path, FileAction::Uploaded { bytes: size });
            peer.say(&Record::Ok).await
        }
        Err(error) => peer.warn(describe(&path, &error)).await,
    }
}

/// Makes a directory in which the rest can be made; whether it is new.
fn make_dir(tree: &dyn FileTree, path: &[u8], mode: u32) -> io::Result<bool> {
    match tree.make_dir(path, mode | 0o700) {
        Ok(()) => Ok(true),
        Err(error) => match tree.stat(path, Links::Follow) {
            Ok(found) if found.file_type() == Some(FileType::Directory) => Ok(false),
            Ok(_) => Err(io::ErrorKind::NotADirectory.into()),
            Err(_) => Err(error),
        },
    }
}

async fn is_dir(files: &Files, path: &[u8]) -> bool {
    let path = path.to_vec();
    let found = files
        .off_the_runtime(move |tree| tree.stat(&path, Links::Follow))
        .await;
    found.is_ok_and(|found| found.file_type() == Some(FileType::Directory))
}

/// What a file can be told to have ends in the year 2106.
fn seconds(time: u64) -> u32 {
    u32::try_from(time).unwrap_or(u32::MAX)
}
