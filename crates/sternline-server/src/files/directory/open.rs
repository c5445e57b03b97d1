//! Open files and directories.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;

use bytes::Bytes;
use rustix::fs::{
    AtFlags, Dir, FileType, Gid, Mode, OFlags, StatVfs, Timespec, Timestamps, Uid, fchmod, fchown, fstat,
    fstatvfs, futimens, openat, statat,
};
use rustix::io::Errno;
use sternline_proto::sftp::{Attributes, FileSystem, OpenFlags, Times};

use super::confined::attributes;
use crate::files::tree::{OpenDir, OpenFile};
use crate::files::walk::Place;

/// How often a file may vanish between two looks at it.
const TRIES: usize = 3;

pub(super) struct RealFile {
    file: File,
    appends: bool,
}

pub(super) struct RealDir(Dir);

impl RealFile {
    /// Opens a regular file. One that is made is never readable to more than `mode` says, and has it at last.
    pub(super) fn open(place: &Place<OwnedFd>, flags: OpenFlags, mode: u32) -> io::Result<Self> {
        let (reads, writes) = (flags.contains(OpenFlags::READ), flags.contains(OpenFlags::WRITE));
        let access = match (reads, writes) {
            (true, true) => OFlags::RDWR,
            (false, true) => OFlags::WRONLY,
            _ => OFlags::RDONLY,
        };
        let appends = writes && flags.contains(OpenFlags::APPEND);
        // A pipe must not be waited for.
        let how = access | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let how = if appends { how | OFlags::APPEND } else { how };
        for _ in 0..TRIES {
            if flags.contains(OpenFlags::CREATE) {
                let mode = to_mode(mode);
                match openat(
                    &place.dir,
                    place.last(),
                    how | OFlags::CREATE | OFlags::EXCL,
                    mode,
                ) {
                    Ok(file) => {
                        // The umask took something away.
                        fchmod(&file, mode)?;
                        return Ok(Self {
                            file: file.into(),
                            appends,
                        });
                    }
                    Err(Errno::EXIST) if !flags.contains(OpenFlags::EXCLUSIVE) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            match openat(&place.dir, place.last(), how, Mode::empty()) {
                Ok(file) => {
                    let file = regular(file)?;
                    if writes && flags.contains(OpenFlags::TRUNCATE) {
                        file.set_len(0)?;
                    }
                    return Ok(Self { file, appends });
                }
                Err(Errno::NOENT) if flags.contains(OpenFlags::CREATE) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(io::ErrorKind::ResourceBusy.into())
    }
}

fn regular(file: OwnedFd) -> io::Result<File> {
    match FileType::from_raw_mode(fstat(&file)?.st_mode) {
        FileType::RegularFile => Ok(file.into()),
        FileType::Directory => Err(io::ErrorKind::IsADirectory.into()),
        _ => Err(io::Error::other("not a regular file")),
    }
}

impl OpenFile for RealFile {
    fn read_at(&self, mut offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        // No file is longer, and the system refuses such an offset.
        if offset > i64::MAX as u64 {
            return Ok(0);
        }
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, offset) {
                Ok(0) => break,
                Ok(count) => (filled, offset) = (filled + count, offset + count as u64),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        if self.appends {
            (&self.file).write_all(data)
        } else {
            self.file.write_all_at(data, offset)
        }
    }

    fn stat(&self) -> io::Result<Attributes> {
        Ok(attributes(&fstat(&self.file)?))
    }

    fn set(&self, wanted: &Attributes) -> io::Result<()> {
        if let Some(size) = wanted.size {
            self.file.set_len(size)?;
        }
        if let Some(permissions) = wanted.permissions {
            fchmod(&self.file, to_mode(permissions))?;
        }
        if let Some(times) = wanted.times {
            futimens(&self.file, &timestamps(times))?;
        }
        if let Some(owner) = wanted.owner {
            fchown(
                &self.file,
                Some(Uid::from_raw(owner.uid)),
                Some(Gid::from_raw(owner.gid)),
            )?;
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    fn space(&self) -> io::Result<FileSystem> {
        Ok(file_system(&fstatvfs(&self.file)?))
    }
}

impl RealDir {
    pub(super) fn open(place: &Place<OwnedFd>) -> io::Result<Self> {
        Ok(Self(Dir::new(place.open_dir()?)?))
    }
}

impl OpenDir for RealDir {
    fn next(&mut self, count: usize) -> io::Result<Vec<(Bytes, Attributes)>> {
        let mut entries = Vec::new();
        while entries.len() < count {
            let Some(entry) = self.0.read() else { break };
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            match statat(self.0.fd()?, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => entries.push((Bytes::copy_from_slice(name.to_bytes()), attributes(&stat))),
                // It has gone since.
                Err(Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(entries)
    }
}

pub(super) fn to_mode(permissions: u32) -> Mode {
    #[allow(clippy::unnecessary_cast, reason = "the type differs between systems")]
    Mode::from_raw_mode((permissions & 0o7777) as _)
}

pub(super) fn timestamps(times: Times) -> Timestamps {
    let at = |seconds: u32| Timespec {
        tv_sec: seconds.into(),
        tv_nsec: 0,
    };
    Timestamps {
        last_access: at(times.atime),
        last_modification: at(times.mtime),
    }
}

pub(super) fn file_system(found: &StatVfs) -> FileSystem {
    FileSystem {
        block_size: found.f_bsize,
        fragment_size: found.f_frsize,
        blocks: found.f_blocks,
        blocks_free: found.f_bfree,
        blocks_available: found.f_bavail,
        files: found.f_files,
        files_free: found.f_ffree,
        files_available: found.f_favail,
        id: found.f_fsid,
        flags: found.f_flag.bits() & 3,
        name_max: found.f_namemax,
    }
}
