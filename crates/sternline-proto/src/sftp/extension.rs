//! Requests beyond version 3, as OpenSSH has them (its `PROTOCOL` file, sections 4.3 to 4.12).

use bytes::{BufMut, Bytes, BytesMut};

use super::attributes::Attributes;
use super::error::PacketError;
use super::wire::{Fields, put_string};

/// An extension's name, and the version that is meant here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Extension {
    /// Its name, by which it is announced and requested.
    pub name: &'static str,
    /// The version announced: a decimal number.
    pub version: &'static str,
}

impl Extension {
    /// [`Extended::PosixRename`].
    pub const POSIX_RENAME: Self = Self::of("posix-rename@openssh.com", "1");
    /// [`Extended::StatVfs`].
    pub const STATVFS: Self = Self::of("statvfs@openssh.com", "2");
    /// [`Extended::FStatVfs`].
    pub const FSTATVFS: Self = Self::of("fstatvfs@openssh.com", "2");
    /// [`Extended::HardLink`].
    pub const HARDLINK: Self = Self::of("hardlink@openssh.com", "1");
    /// [`Extended::FSync`].
    pub const FSYNC: Self = Self::of("fsync@openssh.com", "1");
    /// [`Extended::LSetStat`].
    pub const LSETSTAT: Self = Self::of("lsetstat@openssh.com", "1");
    /// [`Extended::Limits`].
    pub const LIMITS: Self = Self::of("limits@openssh.com", "1");
    /// [`Extended::ExpandPath`].
    pub const EXPAND_PATH: Self = Self::of("expand-path@openssh.com", "1");
    /// [`Extended::CopyData`].
    pub const COPY_DATA: Self = Self::of("copy-data", "1");
    /// [`Extended::HomeDirectory`].
    pub const HOME_DIRECTORY: Self = Self::of("home-directory", "1");
    /// Names of users and groups; as a request it is an [`Extended::Other`].
    pub const USERS_GROUPS_BY_ID: Self = Self::of("users-groups-by-id@openssh.com", "1");

    const fn of(name: &'static str, version: &'static str) -> Self {
        Self { name, version }
    }
}

/// What an EXTENDED request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Extended {
    /// Renames as POSIX has it: whatever had the new name is replaced in one step.
    PosixRename {
        /// The present path.
        from: Bytes,
        /// The new path.
        to: Bytes,
    },
    /// Asks about the file system of a path. The reply is a [`FileSystem`].
    StatVfs {
        /// Any path on it.
        path: Bytes,
    },
    /// Asks about the file system of an open file. The reply is a [`FileSystem`].
    FStatVfs {
        /// The open file.
        handle: Bytes,
    },
    /// Makes a hard link.
    HardLink {
        /// The present path.
        from: Bytes,
        /// The further path.
        to: Bytes,
    },
    /// Has what was written to an open file put on stable storage.
    FSync {
        /// The open file.
        handle: Bytes,
    },
    /// Sets attributes, of a symbolic link itself and not of what it points to.
    LSetStat {
        /// The path.
        path: Bytes,
        /// What to set.
        attributes: Attributes,
    },
    /// Asks what the server can take. The reply is [`Limits`].
    Limits,
    /// Makes a path absolute, with `~` and `~user` expanded. The reply is one name.
    ExpandPath {
        /// The path.
        path: Bytes,
    },
    /// Copies from one open file to another on the server.
    CopyData {
        /// The file to read.
        from: Bytes,
        /// Where to begin reading.
        from_offset: u64,
        /// How much; 0 is everything up to the end.
        length: u64,
        /// The file to write, which must be another one.
        to: Bytes,
        /// Where to begin writing.
        to_offset: u64,
    },
    /// Asks where a user's home directory is. The reply is one name.
    HomeDirectory {
        /// The user; empty for the one who is logged in, which OpenSSH 9.2 refuses.
        user: Bytes,
    },
    /// Any other.
    Other {
        /// The extension's name.
        name: Bytes,
        /// What follows the name.
        body: Bytes,
    },
}

impl Extended {
    /// The name by which it is requested.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        let extension = match self {
            Self::PosixRename { .. } => Extension::POSIX_RENAME,
            Self::StatVfs { .. } => Extension::STATVFS,
            Self::FStatVfs { .. } => Extension::FSTATVFS,
            Self::HardLink { .. } => Extension::HARDLINK,
            Self::FSync { .. } => Extension::FSYNC,
            Self::LSetStat { .. } => Extension::LSETSTAT,
            Self::Limits => Extension::LIMITS,
            Self::ExpandPath { .. } => Extension::EXPAND_PATH,
            Self::CopyData { .. } => Extension::COPY_DATA,
            Self::HomeDirectory { .. } => Extension::HOME_DIRECTORY,
            Self::Other { name, .. } => return name,
        };
        extension.name.as_bytes()
    }

    pub(super) fn take(mut fields: Fields) -> Result<Self, PacketError> {
        let name = fields.string()?;
        let is = |extension: Extension| name == extension.name.as_bytes();
        Ok(if is(Extension::POSIX_RENAME) {
            Self::PosixRename {
                from: fields.string()?,
                to: fields.string()?,
            }
        } else if is(Extension::STATVFS) {
            Self::StatVfs {
                path: fields.string()?,
            }
        } else if is(Extension::FSTATVFS) {
            Self::FStatVfs {
                handle: fields.string()?,
            }
        } else if is(Extension::HARDLINK) {
            Self::HardLink {
                from: fields.string()?,
                to: fields.string()?,
            }
        } else if is(Extension::FSYNC) {
            Self::FSync {
                handle: fields.string()?,
            }
        } else if is(Extension::LSETSTAT) {
            Self::LSetStat {
                path: fields.string()?,
                attributes: Attributes::take(&mut fields)?,
            }
        } else if is(Extension::LIMITS) {
            Self::Limits
        } else if is(Extension::EXPAND_PATH) {
            Self::ExpandPath {
                path: fields.string()?,
            }
        } else if is(Extension::COPY_DATA) {
            Self::CopyData {
                from: fields.string()?,
                from_offset: fields.u64()?,
                length: fields.u64()?,
                to: fields.string()?,
                to_offset: fields.u64()?,
            }
        } else if is(Extension::HOME_DIRECTORY) {
            Self::HomeDirectory {
                user: fields.string()?,
            }
        } else {
            Self::Other {
                name,
                body: fields.rest(),
            }
        })
    }

    pub(super) fn put(&self, out: &mut BytesMut) {
        put_string(out, self.name());
        match self {
            Self::PosixRename { from, to } | Self::HardLink { from, to } => {
                put_string(out, from);
                put_string(out, to);
            }
            Self::StatVfs { path: bytes }
            | Self::ExpandPath { path: bytes }
            | Self::FStatVfs { handle: bytes }
            | Self::FSync { handle: bytes }
            | Self::HomeDirectory { user: bytes } => put_string(out, bytes),
            Self::LSetStat { path, attributes } => {
                put_string(out, path);
                attributes.put(out);
            }
            Self::Limits => {}
            Self::CopyData {
                from,
                from_offset,
                length,
                to,
                to_offset,
            } => {
                put_string(out, from);
                out.put_u64(*from_offset);
                out.put_u64(*length);
                put_string(out, to);
                out.put_u64(*to_offset);
            }
            Self::Other { body, .. } => out.put_slice(body),
        }
    }
}

/// What a server can take, in bytes. 0 stands for no limit of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Limits {
    /// The longest packet.
    pub packet: u64,
    /// The most that one READ gives.
    pub read: u64,
    /// The most that one WRITE may hold.
    pub write: u64,
    /// How many files and directories may be open at once. Some of them may be the server's own.
    pub handles: u64,
}

impl Limits {
    /// Reads the body of an EXTENDED_REPLY.
    ///
    /// # Errors
    /// When it ends too early.
    pub fn decode(reply: Bytes) -> Result<Self, PacketError> {
        let mut fields = Fields::of_reply(reply);
        Ok(Self {
            packet: fields.u64()?,
            read: fields.u64()?,
            write: fields.u64()?,
            handles: fields.u64()?,
        })
    }

    /// The body of the EXTENDED_REPLY.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let numbers = [self.packet, self.read, self.write, self.handles];
        numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
    }
}

/// What is known of a file system, as POSIX's `statvfs` gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileSystem {
    /// The block size that suits input and output, in bytes.
    pub block_size: u64,
    /// The size of the blocks that are counted here, in bytes.
    pub fragment_size: u64,
    /// All blocks.
    pub blocks: u64,
    /// Free blocks.
    pub blocks_free: u64,
    /// Free blocks for users who are not root.
    pub blocks_available: u64,
    /// All inodes.
    pub files: u64,
    /// Free inodes.
    pub files_free: u64,
    /// Free inodes for users who are not root.
    pub files_available: u64,
    /// The file system's id.
    pub id: u64,
    /// Bit 1: read-only. Bit 2: set-user-id has no effect.
    pub flags: u64,
    /// The longest name of a file, in bytes.
    pub name_max: u64,
}

impl FileSystem {
    /// Whether nothing can be written to it.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.flags & 1 != 0
    }

    /// Reads the body of an EXTENDED_REPLY.
    ///
    /// # Errors
    /// When it ends too early.
    pub fn decode(reply: Bytes) -> Result<Self, PacketError> {
        let mut fields = Fields::of_reply(reply);
        Ok(Self {
            block_size: fields.u64()?,
            fragment_size: fields.u64()?,
            blocks: fields.u64()?,
            blocks_free: fields.u64()?,
            blocks_available: fields.u64()?,
            files: fields.u64()?,
            files_free: fields.u64()?,
            files_available: fields.u64()?,
            id: fields.u64()?,
            flags: fields.u64()?,
            name_max: fields.u64()?,
        })
    }

    /// The body of the EXTENDED_REPLY.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let numbers = [
            self.block_size,
            self.fragment_size,
            self.blocks,
            self.blocks_free,
            self.blocks_available,
            self.files,
            self.files_free,
            self.files_available,
            self.id,
            self.flags,
            self.name_max,
        ];
        numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
    }
}
