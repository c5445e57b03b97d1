//! What is known of a file, and what can be changed about it, the same for both ends.

use sternline_proto::sftp::{Attributes, FileType, Owner, Times};

use crate::connection::Connection;
use crate::transfer::shell::Tar;

/// What kind of file it is, as far as a transfer cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Directory,
    Symlink,
    /// A device, a pipe or a socket: nothing that can be replaced by renaming.
    Other,
}

/// What is known of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Meta {
    pub(crate) kind: Kind,
    pub(crate) size: u64,
    /// The permission bits, without the type. A server need not tell them.
    pub(crate) mode: Option<u32>,
    pub(crate) times: Option<Times>,
    pub(crate) owner: Option<Owner>,
    /// Whether it takes less room than its size says.
    pub(crate) sparse: bool,
}

/// An entry of a directory. A symbolic link is described itself.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// One component: neither empty nor `.` nor `..`, without `/` and zero bytes, whatever a server says.
    pub(crate) name: Vec<u8>,
    pub(crate) meta: Meta,
}

/// What is to be set on a file; what is `None` stays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) mode: Option<u32>,
    pub(crate) times: Option<Times>,
    pub(crate) owner: Option<Owner>,
}

/// How a file is opened for writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// There must be nothing of that name yet, not even a dangling link (`O_EXCL`). It gets these permission bits.
    New(u32),
    /// A part of it is there: it is kept.
    Continue,
    /// Whatever is there is written to as it is: devices, pipes, files that cannot be replaced. What is longer may keep its end.
    InPlace,
}

/// How many small files get to or from a server as one stream.
#[derive(Debug)]
pub(crate) struct Shortcut {
    pub(crate) connection: Connection,
    pub(crate) tar: Tar,
}

impl Meta {
    /// What a server tells. Without a type it is taken for a file, as all clients do.
    pub(crate) fn from_attributes(attributes: &Attributes) -> Self {
        Self {
            kind: match attributes.file_type() {
                None | Some(FileType::File) => Kind::File,
                Some(FileType::Directory) => Kind::Directory,
                Some(FileType::Symlink) => Kind::Symlink,
                Some(_) => Kind::Other,
            },
            size: attributes.size.unwrap_or_default(),
            mode: attributes.permissions.map(|mode| mode & 0o7777),
            times: attributes.times,
            owner: attributes.owner,
            sparse: false,
        }
    }
}

impl Change {
    pub(crate) fn is_nothing(self) -> bool {
        self == Self::default()
    }

    pub(crate) fn to_attributes(self) -> Attributes {
        Attributes {
            permissions: self.mode,
            times: self.times,
            owner: self.owner,
            ..Attributes::default()
        }
    }

    /// What is asked of a server, in this order: the owner, which it may refuse and whose change takes set-user-ID away,
    /// and the rest.
    pub(crate) fn steps(self) -> [Option<Attributes>; 2] {
        let owner = Self {
            owner: self.owner,
            ..Self::default()
        };
        let rest = Self { owner: None, ..self };
        [owner, rest].map(|step| (!step.is_nothing()).then(|| step.to_attributes()))
    }
}
