//! The field types of the protocol (draft section 3, RFC 4251 section 5), and the packet types.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::error::PacketError;

pub(super) mod packet_type {
    pub(in crate::sftp) const INIT: u8 = 1;
    pub(in crate::sftp) const VERSION: u8 = 2;
    pub(in crate::sftp) const OPEN: u8 = 3;
    pub(in crate::sftp) const CLOSE: u8 = 4;
    pub(in crate::sftp) const READ: u8 = 5;
    pub(in crate::sftp) const WRITE: u8 = 6;
    pub(in crate::sftp) const LSTAT: u8 = 7;
    pub(in crate::sftp) const FSTAT: u8 = 8;
    pub(in crate::sftp) const SETSTAT: u8 = 9;
    pub(in crate::sftp) const FSETSTAT: u8 = 10;
    pub(in crate::sftp) const OPENDIR: u8 = 11;
    pub(in crate::sftp) const READDIR: u8 = 12;
    pub(in crate::sftp) const REMOVE: u8 = 13;
    pub(in crate::sftp) const MKDIR: u8 = 14;
    pub(in crate::sftp) const RMDIR: u8 = 15;
    pub(in crate::sftp) const REALPATH: u8 = 16;
    pub(in crate::sftp) const STAT: u8 = 17;
    pub(in crate::sftp) const RENAME: u8 = 18;
    pub(in crate::sftp) const READLINK: u8 = 19;
    pub(in crate::sftp) const SYMLINK: u8 = 20;
    pub(in crate::sftp) const STATUS: u8 = 101;
    pub(in crate::sftp) const HANDLE: u8 = 102;
    pub(in crate::sftp) const DATA: u8 = 103;
    pub(in crate::sftp) const NAME: u8 = 104;
    pub(in crate::sftp) const ATTRS: u8 = 105;
    pub(in crate::sftp) const EXTENDED: u8 = 200;
    pub(in crate::sftp) const EXTENDED_REPLY: u8 = 201;
}

/// The draft's name of a packet type without its prefix, or its number.
pub(super) fn type_name(packet_type: u8) -> String {
    use packet_type::*;
    let name = match packet_type {
        INIT => "INIT",
        VERSION => "VERSION",
        OPEN => "OPEN",
        CLOSE => "CLOSE",
        READ => "READ",
        WRITE => "WRITE",
        LSTAT => "LSTAT",
        FSTAT => "FSTAT",
        SETSTAT => "SETSTAT",
        FSETSTAT => "FSETSTAT",
        OPENDIR => "OPENDIR",
        READDIR => "READDIR",
        REMOVE => "REMOVE",
        MKDIR => "MKDIR",
        RMDIR => "RMDIR",
        REALPATH => "REALPATH",
        STAT => "STAT",
        RENAME => "RENAME",
        READLINK => "READLINK",
        SYMLINK => "SYMLINK",
        STATUS => "STATUS",
        HANDLE => "HANDLE",
        DATA => "DATA",
        NAME => "NAME",
        ATTRS => "ATTRS",
        EXTENDED => "EXTENDED",
        EXTENDED_REPLY => "EXTENDED_REPLY",
        _ => return packet_type.to_string(),
    };
    name.to_owned()
}

/// Reads the fields of one packet in order. Strings are slices of the packet: nothing is copied.
#[derive(Debug)]
pub(super) struct Fields {
    rest: Bytes,
    packet_type: u8,
    id: Option<u32>,
}

impl Fields {
    /// Takes the type off the front.
    pub(super) fn of_packet(mut packet: Bytes) -> Result<Self, PacketError> {
        let packet_type = packet.try_get_u8().map_err(|_| PacketError::Truncated {
            packet_type: 0,
            id: None,
        })?;
        Ok(Self {
            rest: packet,
            packet_type,
            id: None,
        })
    }

    /// The body of a reply whose type was taken off before.
    pub(super) fn of_reply(body: Bytes) -> Self {
        Self {
            rest: body,
            packet_type: packet_type::EXTENDED_REPLY,
            id: None,
        }
    }

    pub(super) fn packet_type(&self) -> u8 {
        self.packet_type
    }

    /// Reads the request's number, which errors name from then on.
    pub(super) fn request_id(&mut self) -> Result<u32, PacketError> {
        let id = self.u32()?;
        self.id = Some(id);
        Ok(id)
    }

    pub(super) fn u32(&mut self) -> Result<u32, PacketError> {
        self.rest.try_get_u32().map_err(|_| self.truncated())
    }

    pub(super) fn u64(&mut self) -> Result<u64, PacketError> {
        self.rest.try_get_u64().map_err(|_| self.truncated())
    }

    pub(super) fn string(&mut self) -> Result<Bytes, PacketError> {
        let length = self.u32()?;
        match usize::try_from(length) {
            Ok(length) if length <= self.rest.len() => Ok(self.rest.split_to(length)),
            _ => Err(self.truncated()),
        }
    }

    /// Pairs of strings up to the end.
    pub(super) fn pairs_to_the_end(&mut self) -> Result<Vec<(Bytes, Bytes)>, PacketError> {
        let mut pairs = Vec::new();
        while !self.is_empty() {
            pairs.push((self.string()?, self.string()?));
        }
        Ok(pairs)
    }

    pub(super) fn rest(self) -> Bytes {
        self.rest
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn unexpected(&self) -> PacketError {
        PacketError::UnexpectedType {
            packet_type: self.packet_type,
            id: self.id,
        }
    }

    fn truncated(&self) -> PacketError {
        PacketError::Truncated {
            packet_type: self.packet_type,
            id: self.id,
        }
    }
}

/// A string too long for its length field makes a packet too long as well, which is noticed when it is framed.
pub(super) fn put_string(out: &mut BytesMut, bytes: &[u8]) {
    out.put_u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    out.put_slice(bytes);
}
