//! The directory as a file system to serve.

use std::io;

use bytes::Bytes;
use rustix::fs::{
    AtFlags, Gid, Uid, chownat, fchmod, fstatvfs, linkat, mkdirat, readlinkat, renameat, statat, symlinkat,
    unlinkat, utimensat,
};
use rustix::io::Errno;
use sternline_proto::sftp::{Attributes, FileSystem, OpenFlags};

use super::chmod::chmod;
use super::confined::{ConfinedDirectory, attributes, look};
use super::open::{RealDir, RealFile, file_system, timestamps, to_mode};
use crate::files::tree::{FileTree, Links, OpenDir, OpenFile};
use crate::files::walk::Look;

impl FileTree for ConfinedDirectory {
    fn open(&self, path: &[u8], flags: OpenFlags, mode: u32) -> io::Result<Box<dyn OpenFile>> {
        let new = flags.contains(OpenFlags::CREATE | OpenFlags::EXCLUSIVE);
        let links = if new { Links::Keep } else { Links::Follow };
        Ok(Box::new(RealFile::open(&self.place(path, links)?, flags, mode)?))
    }

    fn open_dir(&self, path: &[u8]) -> io::Result<Box<dyn OpenDir>> {
        Ok(Box::new(RealDir::open(&self.place(path, Links::Follow)?)?))
    }

    fn stat(&self, path: &[u8], links: Links) -> io::Result<Attributes> {
        let place = self.place(path, links)?;
        Ok(attributes(&statat(
            &place.dir,
            place.last(),
            AtFlags::SYMLINK_NOFOLLOW,
        )?))
    }

    fn set(&self, path: &[u8], links: Links, wanted: &Attributes) -> io::Result<()> {
        let place = self.place(path, links)?;
        let (dir, name) = (&place.dir, place.last());
        if wanted.size.is_some() {
            let size = Attributes {
                size: wanted.size,
                ..Attributes::default()
            };
            RealFile::open(&place, OpenFlags::WRITE, 0)?.set(&size)?;
        }
        if let Some(permissions) = wanted.permissions {
            chmod(dir, name, to_mode(permissions))?;
        }
        if let Some(times) = wanted.times {
            utimensat(dir, name, &timestamps(times), AtFlags::SYMLINK_NOFOLLOW)?;
        }
        if let Some(owner) = wanted.owner {
            let (uid, gid) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
            chownat(dir, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
        }
        Ok(())
    }

    fn make_dir(&self, path: &[u8], mode: u32) -> io::Result<()> {
        let place = self.place(path, Links::Keep)?;
        let mode = to_mode(mode);
        mkdirat(&place.dir, place.last(), mode)?;
        // The umask took something away.
        match place.open_dir() {
            Ok(made) => Ok(fchmod(made, mode)?),
            // A mode under which not even its owner may read it.
            Err(_) => chmod(&place.dir, place.last(), mode),
        }
    }

    fn remove_file(&self, path: &[u8]) -> io::Result<()> {
        let place = self.place(path, Links::Keep)?;
        Ok(unlinkat(&place.dir, place.last(), AtFlags::empty())?)
    }

    fn remove_dir(&self, path: &[u8]) -> io::Result<()> {
        let place = self.place(path, Links::Keep)?;
        Ok(unlinkat(&place.dir, place.last(), AtFlags::REMOVEDIR)?)
    }

    fn rename(&self, from: &[u8], to: &[u8], replace: bool) -> io::Result<()> {
        let (from, to) = (self.place(from, Links::Keep)?, self.place(to, Links::Keep)?);
        if !replace {
            #[cfg(any(target_os = "linux", target_os = "android"))]
            {
                use rustix::fs::{RenameFlags, renameat_with};
                let flags = RenameFlags::NOREPLACE;
                match renameat_with(&from.dir, from.last(), &to.dir, to.last(), flags) {
                    // Not on every file system.
                    Err(Errno::INVAL | Errno::NOSYS) => {}
                    done => return Ok(done?),
                }
            }
            // Somebody else may take the name between the look and the renaming.
            match statat(&to.dir, to.last(), AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => {}
                Ok(_) => return Err(io::ErrorKind::AlreadyExists.into()),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(renameat(&from.dir, from.last(), &to.dir, to.last())?)
    }

    fn hard_link(&self, from: &[u8], to: &[u8]) -> io::Result<()> {
        let (from, to) = (self.place(from, Links::Keep)?, self.place(to, Links::Keep)?);
        Ok(linkat(
            &from.dir,
            from.last(),
            &to.dir,
            to.last(),
            AtFlags::empty(),
        )?)
    }

    fn symlink(&self, target: &[u8], link: &[u8]) -> io::Result<()> {
        let place = self.place(link, Links::Keep)?;
        Ok(symlinkat(target, &place.dir, place.last())?)
    }

    fn read_link(&self, path: &[u8]) -> io::Result<Bytes> {
        let place = self.place(path, Links::Keep)?;
        let target = readlinkat(&place.dir, place.last(), Vec::new())?;
        Ok(Bytes::from(target.into_bytes()))
    }

    fn real_path(&self, path: &[u8]) -> io::Result<Bytes> {
        Ok(self.place(path, Links::Follow)?.path())
    }

    fn space(&self, path: &[u8]) -> io::Result<FileSystem> {
        let place = self.place(path, Links::Follow)?;
        let found = match look(&place.dir, place.last())? {
            Look::Directory(dir) => fstatvfs(dir)?,
            Look::Missing => return Err(io::ErrorKind::NotFound.into()),
            _ => fstatvfs(&place.dir)?,
        };
        Ok(file_system(&found))
    }
}
