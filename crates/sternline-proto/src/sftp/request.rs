//! What clients send (draft section 6).

use std::ops::BitOr;

use bytes::{BufMut, Bytes, BytesMut};

use super::attributes::Attributes;
use super::error::{FrameError, PacketError};
use super::extension::Extended;
use super::frame::frame;
use super::hello::Hello;
use super::wire::{Fields, packet_type, put_string};

/// A packet from a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientPacket {
    /// The first packet.
    Init(Hello),
    /// Every further packet.
    Request {
        /// The client's number for it, which the answer repeats. Answers may come in any order.
        id: u32,
        /// What it asks for.
        request: Request,
    },
}

/// What a client asks for. Paths that do not begin with `/` start where the server begins, usually in the home
/// directory. Whatever else is not said is answered with a [`Status`](super::Status).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Opens a file. The answer is a handle.
    Open {
        /// The file.
        path: Bytes,
        /// What for.
        flags: OpenFlags,
        /// What a new file gets; the server's umask applies to the permissions.
        attributes: Attributes,
    },
    /// Closes a file or directory. The handle is gone even if the answer is a failure.
    Close {
        /// Which one.
        handle: Bytes,
    },
    /// Reads. The answer is data, perhaps less than asked for, or [`Eof`](super::StatusCode::Eof).
    Read {
        /// The open file.
        handle: Bytes,
        /// Where to begin.
        offset: u64,
        /// How much at most.
        length: u32,
    },
    /// Writes. Beyond the end of the file the gap is filled with zero bytes.
    Write {
        /// The open file.
        handle: Bytes,
        /// Where to begin.
        offset: u64,
        /// What to write.
        data: Bytes,
    },
    /// Asks for attributes without following a symbolic link at the end of the path.
    LStat {
        /// The path.
        path: Bytes,
    },
    /// Asks for the attributes of an open file.
    FStat {
        /// The open file.
        handle: Bytes,
    },
    /// Sets attributes.
    SetStat {
        /// The path.
        path: Bytes,
        /// What to set.
        attributes: Attributes,
    },
    /// Sets the attributes of an open file.
    FSetStat {
        /// The open file.
        handle: Bytes,
        /// What to set.
        attributes: Attributes,
    },
    /// Opens a directory for reading. The answer is a handle.
    OpenDir {
        /// The directory.
        path: Bytes,
    },
    /// Asks for the next entries. The answer is names, or [`Eof`](super::StatusCode::Eof).
    ReadDir {
        /// The open directory.
        handle: Bytes,
    },
    /// Removes a file that is no directory.
    Remove {
        /// The file.
        path: Bytes,
    },
    /// Makes a directory.
    MkDir {
        /// The new directory.
        path: Bytes,
        /// What it gets; the server's umask applies to the permissions.
        attributes: Attributes,
    },
    /// Removes an empty directory.
    RmDir {
        /// The directory.
        path: Bytes,
    },
    /// Makes a path absolute and free of symbolic links. The answer is one name without attributes that mean anything.
    RealPath {
        /// The path.
        path: Bytes,
    },
    /// Asks for attributes, following symbolic links.
    Stat {
        /// The path.
        path: Bytes,
    },
    /// Renames; fails where the new name is taken.
    Rename {
        /// The present path.
        from: Bytes,
        /// The new path.
        to: Bytes,
    },
    /// Asks where a symbolic link points to. The answer is one name without attributes that mean anything.
    ReadLink {
        /// The symbolic link.
        path: Bytes,
    },
    /// Makes a symbolic link. On the wire the target comes first, as OpenSSH has it, and most others after it; the draft
    /// says the reverse (OpenSSH's `PROTOCOL`, section 4.1).
    SymLink {
        /// Where it points to.
        target: Bytes,
        /// Its own path.
        link: Bytes,
    },
    /// Anything beyond version 3. The answer is what the extension calls for.
    Extended(Extended),
}

/// What a file is opened for (draft section 6.3).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct OpenFlags(pub u32);

impl OpenFlags {
    /// Reading.
    pub const READ: Self = Self(0x01);
    /// Writing.
    pub const WRITE: Self = Self(0x02);
    /// Every write goes to the end.
    pub const APPEND: Self = Self(0x04);
    /// The file is made if there is none.
    pub const CREATE: Self = Self(0x08);
    /// What the file holds is dropped. Needs [`OpenFlags::CREATE`].
    pub const TRUNCATE: Self = Self(0x10);
    /// It fails if there is such a file. Needs [`OpenFlags::CREATE`].
    pub const EXCLUSIVE: Self = Self(0x20);

    /// Whether all of these are among them.
    #[must_use]
    pub fn contains(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }
}

impl BitOr for OpenFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl ClientPacket {
    /// Reads a packet that a [`Deframer`](super::Deframer) has cut. Whatever follows the last field is ignored, as
    /// sftp-server does. Nothing is copied if the packet lies in one piece.
    ///
    /// # Errors
    /// [`PacketError`] when it is none of a client's packets.
    pub fn decode(packet: impl Into<Bytes>) -> Result<Self, PacketError> {
        let mut fields = Fields::of_packet(packet.into())?;
        if fields.packet_type() == packet_type::INIT {
            return Hello::decode(fields).map(Self::Init);
        }
        let id = fields.request_id()?;
        let request = Request::take(fields)?;
        Ok(Self::Request { id, request })
    }

    /// Appends the packet with its length field. What is written is copied once.
    ///
    /// # Errors
    /// [`FrameError::TooLong`], and nothing is appended, when it is longer than any server would take.
    pub fn encode(&self, out: &mut BytesMut) -> Result<(), FrameError> {
        match self {
            Self::Init(hello) => frame(out, packet_type::INIT, |out| hello.put(out)),
            Self::Request { id, request } => frame(out, request.packet_type(), |out| {
                out.put_u32(*id);
                request.put(out);
            }),
        }
    }
}

impl Request {
    fn take(mut fields: Fields) -> Result<Self, PacketError> {
        use packet_type::*;
        let f = &mut fields;
        Ok(match f.packet_type() {
            OPEN => Self::Open {
                path: f.string()?,
                flags: OpenFlags(f.u32()?),
                attributes: Attributes::take(f)?,
            },
            CLOSE => Self::Close { handle: f.string()? },
            READ => Self::Read {
                handle: f.string()?,
                offset: f.u64()?,
                length: f.u32()?,
            },
            WRITE => Self::Write {
                handle: f.string()?,
                offset: f.u64()?,
                data: f.string()?,
            },
            LSTAT => Self::LStat { path: f.string()? },
            FSTAT => Self::FStat { handle: f.string()? },
            SETSTAT => Self::SetStat {
                path: f.string()?,
                attributes: Attributes::take(f)?,
            },
            FSETSTAT => Self::FSetStat {
                handle: f.string()?,
                attributes: Attributes::take(f)?,
            },
            OPENDIR => Self::OpenDir { path: f.string()? },
            READDIR => Self::ReadDir { handle: f.string()? },
            REMOVE => Self::Remove { path: f.string()? },
            MKDIR => Self::MkDir {
                path: f.string()?,
                attributes: Attributes::take(f)?,
            },
            RMDIR => Self::RmDir { path: f.string()? },
            REALPATH => Self::RealPath { path: f.string()? },
            STAT => Self::Stat { path: f.string()? },
            RENAME => Self::Rename {
                from: f.string()?,
                to: f.string()?,
            },
            READLINK => Self::ReadLink { path: f.string()? },
            SYMLINK => Self::SymLink {
                target: f.string()?,
                link: f.string()?,
            },
            EXTENDED => Self::Extended(Extended::take(fields)?),
            _ => return Err(f.unexpected()),
        })
    }

    fn packet_type(&self) -> u8 {
        match self {
            Self::Open { .. } => packet_type::OPEN,
            Self::Close { .. } => packet_type::CLOSE,
            Self::Read { .. } => packet_type::READ,
            Self::Write { .. } => packet_type::WRITE,
            Self::LStat { .. } => packet_type::LSTAT,
            Self::FStat { .. } => packet_type::FSTAT,
            Self::SetStat { .. } => packet_type::SETSTAT,
            Self::FSetStat { .. } => packet_type::FSETSTAT,
            Self::OpenDir { .. } => packet_type::OPENDIR,
            Self::ReadDir { .. } => packet_type::READDIR,
            Self::Remove { .. } => packet_type::REMOVE,
            Self::MkDir { .. } => packet_type::MKDIR,
            Self::RmDir { .. } => packet_type::RMDIR,
            Self::RealPath { .. } => packet_type::REALPATH,
            Self::Stat { .. } => packet_type::STAT,
            Self::Rename { .. } => packet_type::RENAME,
            Self::ReadLink { .. } => packet_type::READLINK,
            Self::SymLink { .. } => packet_type::SYMLINK,
            Self::Extended(_) => packet_type::EXTENDED,
        }
    }

    fn put(&self, out: &mut BytesMut) {
        match self {
            Self::Open {
                path,
                flags,
                attributes,
            } => {
                put_string(out, path);
                out.put_u32(flags.0);
                attributes.put(out);
            }
            Self::Close { handle: bytes }
            | Self::FStat { handle: bytes }
            | Self::ReadDir { handle: bytes }
            | Self::LStat { path: bytes }
            | Self::OpenDir { path: bytes }
            | Self::Remove { path: bytes }
            | Self::RmDir { path: bytes }
            | Self::RealPath { path: bytes }
            | Self::Stat { path: bytes }
            | Self::ReadLink { path: bytes } => put_string(out, bytes),
            Self::Read {
                handle,
                offset,
                length,
            } => {
                put_string(out, handle);
                out.put_u64(*offset);
                out.put_u32(*length);
            }
            Self::Write { handle, offset, data } => {
                // In one step: growing twice would copy what is there already.
                out.reserve(handle.len() + data.len() + 16);
                put_string(out, handle);
                out.put_u64(*offset);
                put_string(out, data);
            }
            Self::SetStat {
                path: bytes,
                attributes,
            }
            | Self::FSetStat {
                handle: bytes,
                attributes,
            }
            | Self::MkDir {
                path: bytes,
                attributes,
            } => {
                put_string(out, bytes);
                attributes.put(out);
            }
            Self::Rename {
                from: first,
                to: second,
            }
            | Self::SymLink {
                target: first,
                link: second,
            } => {
                put_string(out, first);
                put_string(out, second);
            }
            Self::Extended(extended) => extended.put(out),
        }
    }
}
