//! OpenSSH's extensions.

use std::io;

use bytes::Bytes;
use sternline_proto::sftp::{Extended, Limits, MAX_PACKET, Response, StatusCode};

use super::handle::{MAX_HANDLES, ServedFile};
use super::session::{MAX_DATA, Session, one_name, status};
use crate::files::Links;

impl Session {
    pub(super) fn extended(&mut self, extended: Extended) -> io::Result<Response> {
        if self.served.faults.hides_extensions() {
            return Ok(status(StatusCode::OpUnsupported));
        }
        let tree = &self.served.tree;
        match extended {
            Extended::PosixRename { from, to } => self.rename(from, to, true)?,
            Extended::StatVfs { path } => return Ok(Response::Extended(tree.space(&path)?.encode())),
            Extended::FStatVfs { handle } => {
                let space = self.handles.file(&handle)?.file.space()?;
                return Ok(Response::Extended(space.encode()));
            }
            Extended::HardLink { from, to } => tree.hard_link(&from, &to)?,
            Extended::FSync { handle } => self.handles.file(&handle)?.file.sync()?,
            Extended::LSetStat { path, attributes } => tree.set(&path, Links::Keep, &attributes)?,
            Extended::Limits => {
                let limits = Limits {
                    packet: MAX_PACKET as u64,
                    read: MAX_DATA.into(),
                    write: MAX_DATA.into(),
                    handles: MAX_HANDLES as u64,
                };
                return Ok(Response::Extended(limits.encode()));
            }
            Extended::ExpandPath { path } => return tree.real_path(expanded(&path)?).map(one_name),
            Extended::CopyData {
                from,
                from_offset,
                length,
                to,
                to_offset,
            } => {
                let [from, to] = self.handles.two_files(&from, &to)?;
                copy(from, from_offset, length, to, to_offset)?;
            }
            // Everybody's home is the root.
            Extended::HomeDirectory { .. } => return Ok(one_name(Bytes::from_static(b"/"))),
            // And whatever the codec learns later.
            _ => return Ok(status(StatusCode::OpUnsupported)),
        }
        Ok(status(StatusCode::Ok))
    }
}

/// `~` is the root, and so is the home of whoever is named behind it.
fn expanded(path: &[u8]) -> io::Result<&[u8]> {
    match path.strip_prefix(b"~") {
        None if path.is_empty() => Ok(b"."),
        None => Ok(path),
        Some([]) => Ok(b"/"),
        Some(rest) if rest.starts_with(b"/") => Ok(rest),
        Some(_) => Err(io::Error::other("there are no home directories of other users")),
    }
}

/// Copies so many bytes, or with 0 everything up to the end that the file has now.
fn copy(
    from: &ServedFile,
    mut from_offset: u64,
    length: u64,
    to: &mut ServedFile,
    mut to_offset: u64,
) -> io::Result<()> {
    let mut left = match length {
        0 => from.file.stat()?.size.unwrap_or(0).saturating_sub(from_offset),
        length => length,
    };
    let mut buffer = vec![0; MAX_DATA as usize];
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let count = from
            .file
            .read_at(from_offset, buffer.get_mut(..most).unwrap_or_default())?;
        if count == 0 {
            break;
        }
        to.file
            .write_at(to_offset, buffer.get(..count).unwrap_or_default())?;
        let count = count as u64;
        *to.written.get_or_insert(0) += count;
        left -= count;
        // Neither is beyond what the file system takes.
        from_offset = from_offset.saturating_add(count);
        to_offset = to_offset.saturating_add(count);
    }
    Ok(())
}
