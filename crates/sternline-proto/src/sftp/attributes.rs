//! File attributes (draft section 5).

use bytes::{BufMut, Bytes, BytesMut};

use super::error::PacketError;
use super::wire::{Fields, put_string};

const SIZE: u32 = 0x0000_0001;
const UIDGID: u32 = 0x0000_0002;
const PERMISSIONS: u32 = 0x0000_0004;
const ACMODTIME: u32 = 0x0000_0008;
const EXTENDED: u32 = 0x8000_0000;

/// What is known of a file, or what is to be set. What is `None` is not known, or stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    /// The size in bytes. Setting it truncates or extends the file.
    pub size: Option<u64>,
    /// Owner and group: the protocol has both or none.
    pub owner: Option<Owner>,
    /// The mode as in POSIX's `st_mode`: file type and permission bits. Servers ignore the type when it is set.
    pub permissions: Option<u32>,
    /// The times of last access and last modification: the protocol has both or none.
    pub times: Option<Times>,
    /// Further attributes by name.
    pub extended: Vec<(Bytes, Bytes)>,
}

/// Owner and group by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Owner {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

/// Times in seconds since 1970, UTC. They end in the year 2106.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Times {
    /// Last access.
    pub atime: u32,
    /// Last modification.
    pub mtime: u32,
}

/// What kind of file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FileType {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A unix socket.
    Socket,
    /// A block device.
    BlockDevice,
    /// A character device.
    CharDevice,
}

impl Attributes {
    /// The type of the file, where the mode is known and says it.
    #[must_use]
    pub fn file_type(&self) -> Option<FileType> {
        // The numbers of POSIX's S_IFMT as every system has them.
        match self.permissions? & 0o170_000 {
            0o100_000 => Some(FileType::File),
            0o040_000 => Some(FileType::Directory),
            0o120_000 => Some(FileType::Symlink),
            0o010_000 => Some(FileType::Fifo),
            0o140_000 => Some(FileType::Socket),
            0o060_000 => Some(FileType::BlockDevice),
            0o020_000 => Some(FileType::CharDevice),
            _ => None,
        }
    }

    pub(super) fn take(fields: &mut Fields) -> Result<Self, PacketError> {
        let flags = fields.u32()?;
        let has = |flag| flags & flag != 0;
        let mut attributes = Self::default();
        if has(SIZE) {
            attributes.size = Some(fields.u64()?);
        }
        if has(UIDGID) {
            attributes.owner = Some(Owner {
                uid: fields.u32()?,
                gid: fields.u32()?,
            });
        }
        if has(PERMISSIONS) {
            attributes.permissions = Some(fields.u32()?);
        }
        if has(ACMODTIME) {
            attributes.times = Some(Times {
                atime: fields.u32()?,
                mtime: fields.u32()?,
            });
        }
        if has(EXTENDED) {
            for _ in 0..fields.u32()? {
                attributes.extended.push((fields.string()?, fields.string()?));
            }
        }
        Ok(attributes)
    }

    pub(super) fn put(&self, out: &mut BytesMut) {
        let flag = |set: bool, flag: u32| if set { flag } else { 0 };
        out.put_u32(
            flag(self.size.is_some(), SIZE)
                | flag(self.owner.is_some(), UIDGID)
                | flag(self.permissions.is_some(), PERMISSIONS)
                | flag(self.times.is_some(), ACMODTIME)
                | flag(!self.extended.is_empty(), EXTENDED),
        );
        if let Some(size) = self.size {
            out.put_u64(size);
        }
        if let Some(Owner { uid, gid }) = self.owner {
            out.put_u32(uid);
            out.put_u32(gid);
        }
        if let Some(permissions) = self.permissions {
            out.put_u32(permissions);
        }
        if let Some(Times { atime, mtime }) = self.times {
            out.put_u32(atime);
            out.put_u32(mtime);
        }
        if !self.extended.is_empty() {
            out.put_u32(u32::try_from(self.extended.len()).unwrap_or(u32::MAX));
            for (name, value) in &self.extended {
                put_string(out, name);
                put_string(out, value);
            }
        }
    }
}
