//! Single steps on files, as the system has them. All of them may wait for a disk.

use std::fs::File;
use std::io::{self, IoSlice};
use std::os::fd::AsFd;

use bytes::Bytes;
use rustix::buffer::spare_capacity;
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, SeekFrom, Stat, Timespec, Timestamps, Uid, chmodat, chownat, fchmod,
    fchown, fstat, futimens, seek, utimensat,
};
use rustix::io::{Errno, pread, pwritev};
use sternline_proto::sftp::{Owner, Pieces, Times};

use super::beneath::At;
use crate::transfer::place::meta::{Change, Kind, Meta};

/// What is known of a file. SFTP's times end in 2106 and begin in 1970.
pub(super) fn meta(stat: &Stat) -> Meta {
    let seconds = |time: i64| u32::try_from(time.max(0)).unwrap_or(u32::MAX);
    let size = u64::try_from(stat.st_size).unwrap_or_default();
    Meta {
        kind: match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Directory,
            FileType::Symlink => Kind::Symlink,
            _ => Kind::Other,
        },
        size,
        mode: Some(stat.st_mode & 0o7777),
        times: Some(Times {
            atime: seconds(stat.st_atime),
            mtime: seconds(stat.st_mtime),
        }),
        owner: Some(Owner {
            uid: stat.st_uid,
            gid: stat.st_gid,
        }),
        sparse: u64::try_from(stat.st_blocks)
            .unwrap_or_default()
            .saturating_mul(512)
            < size,
    }
}

pub(super) fn file_type(file: &File) -> io::Result<FileType> {
    Ok(FileType::from_raw_mode(fstat(file)?.st_mode))
}

/// Reads `length` bytes, or fewer where the file ends.
pub(super) fn read_at(file: &File, offset: u64, length: usize) -> io::Result<Bytes> {
    let mut buffer = Vec::with_capacity(length);
    while buffer.len() < length {
        let from = offset + buffer.len() as u64;
        match pread(file, spare_capacity(&mut buffer), from) {
            Ok(0) => break,
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    buffer.truncate(length);
    Ok(buffer.into())
}

/// Writes all of the data.
pub(super) fn write_at(file: &File, data: &Pieces, mut offset: u64) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = data.iter().map(|piece| IoSlice::new(piece)).collect();
    let mut rest = slices.as_mut_slice();
    while !rest.is_empty() {
        match pwritev(file, rest, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                offset += written as u64;
                IoSlice::advance_slices(&mut rest, written);
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Where the next data is at or after `offset`; `None` when only zeros come that take no room. Where holes cannot be asked
/// for, everything is data.
pub(super) fn next_data(file: &File, offset: u64) -> io::Result<Option<u64>> {
    match seek(file, SeekFrom::Data(offset)) {
        Ok(data) => Ok(Some(data)),
        Err(Errno::NXIO) => Ok(None),
        Err(Errno::INVAL) => Ok(Some(offset)),
        Err(error) => Err(error.into()),
    }
}

/// Changes an open file. The owner comes first, because a new owner costs the file its setuid and setgid bits; and where
/// the owner may not be given, those bits would lend the rights of somebody else, so they go.
pub(super) fn change(file: &File, change: Change) -> io::Result<()> {
    let file = file.as_fd();
    let owned = change
        .owner
        .is_none_or(|owner| give(owner, |uid, gid| fchown(file, uid, gid)));
    if let Some(mode) = mode(change, owned) {
        fchmod(file, mode)?;
    }
    if let Some(times) = change.times {
        futimens(file, &timestamps(times))?;
    }
    Ok(())
}

/// As [`change`], by name: for directories, which need not be readable, and for symbolic links, which have no mode.
pub(super) fn change_at(at: &At, change: Change) -> io::Result<()> {
    let owned = change.owner.is_none_or(|owner| {
        give(owner, |uid, gid| {
            chownat(at.directory(), at.name(), uid, gid, at.flags())
        })
    });
    if let Some(mode) = mode(change, owned) {
        let is_link = FileType::from_raw_mode(at.stat()?.st_mode) == FileType::Symlink;
        if !is_link {
            chmodat(at.directory(), at.name(), mode, AtFlags::empty())?;
        }
    }
    if let Some(times) = change.times {
        utimensat(at.directory(), at.name(), &timestamps(times), at.flags())?;
    }
    Ok(())
}

/// Only root may give files away; others may still choose among their own groups. Whether the owner is as wanted.
fn give(owner: Owner, chown: impl Fn(Option<Uid>, Option<Gid>) -> rustix::io::Result<()>) -> bool {
    // Minus one means "no change".
    if owner.uid == u32::MAX || owner.gid == u32::MAX {
        return false;
    }
    let (uid, gid) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
    if chown(Some(uid), Some(gid)).is_ok() {
        return true;
    }
    let _ = chown(None, Some(gid));
    false
}

fn mode(change: Change, owned: bool) -> Option<Mode> {
    let lent = if owned { 0o7777 } else { 0o1777 };
    change.mode.map(|mode| Mode::from_raw_mode(mode & lent))
}

fn timestamps(times: Times) -> Timestamps {
    let at = |seconds: u32| Timespec {
        tv_sec: seconds.into(),
        tv_nsec: 0,
    };
    Timestamps {
        last_access: at(times.atime),
        last_modification: at(times.mtime),
    }
}

/// Gives `new` the access control list of `old`, which it is about to replace, or takes the one away that it got from its
/// directory. The permission bits of `new` stay. Without lists, or without the right to set them, nothing happens.
#[cfg(target_os = "linux")]
pub(super) fn keep_acl(old: &At, new: &At) {
    use rustix::fs::{XattrFlags, lgetxattr, lremovexattr, lsetxattr};
    use std::os::fd::AsRawFd as _;
    const NAME: &str = "system.posix_acl_access";
    // There is no call for a name in an open directory that all kernels have.
    let path = |at: &At| match at.directory().as_raw_fd() {
        // The path as it is.
        number if number < 0 => at.name().to_vec(),
        number => [format!("/proc/self/fd/{number}/").as_bytes(), at.name()].concat(),
    };
    let read = |path: &[u8]| {
        // As large as a list can be on the usual file systems.
        let mut list = Vec::with_capacity(4096);
        match lgetxattr(path, NAME, spare_capacity(&mut list)) {
            Ok(_) => Ok(Some(list)),
            Err(Errno::NODATA) => Ok(None),
            Err(error) => Err(error),
        }
    };
    let path_of_new = path(new);
    // There may be no old one, and then the new one has what its directory wants.
    let Ok(list) = read(&path(old)) else { return };
    if read(&path_of_new) == Ok(list.clone()) {
        return;
    }
    let Ok(before) = new.stat() else { return };
    let changed = match list {
        Some(list) => lsetxattr(path_of_new.as_slice(), NAME, &list, XattrFlags::empty()),
        None => lremovexattr(path_of_new.as_slice(), NAME),
    };
    if changed.is_ok() {
        let mode = Mode::from_raw_mode(before.st_mode & 0o7777);
        let _ = chmodat(new.directory(), new.name(), mode, AtFlags::empty());
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn keep_acl(_old: &At, _new: &At) {}
