//! The kinds of transfers, and who makes them.

/// A kind of transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// MiB of one file to this machine.
    Down,
    /// MiB of one file to the server.
    Up,
    /// Small files into a directory that is new.
    NewDown,
    NewUp,
    /// Small files, each in the place of one that is there.
    AgainDown,
    AgainUp,
    /// MiB of one file over the long link.
    LongDown,
    LongUp,
}

/// How far it is to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    Short,
    Long,
}

/// Who moves files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    Sternline,
    /// scp, which speaks SFTP since OpenSSH 9.0.
    Scp,
    /// scp with its old protocol.
    OldScp,
    Sftp,
    /// `tar` at both ends of `ssh`.
    Tar,
    /// `cat` at one end of `ssh`: no protocol for files at all.
    Cat,
}

impl Work {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Down => "file-down",
            Self::Up => "file-up",
            Self::NewDown => "tree-down-new",
            Self::NewUp => "tree-up-new",
            Self::AgainDown => "tree-down-existing",
            Self::AgainUp => "tree-up-existing",
            Self::LongDown => "file-down-50ms",
            Self::LongUp => "file-up-50ms",
        }
    }

    pub(super) fn unit(self) -> &'static str {
        match self {
            Self::Down => "MiB of one file, downloaded",
            Self::Up => "MiB of one file, uploaded",
            Self::NewDown => "file of 4 KiB, downloaded into a new directory",
            Self::NewUp => "file of 4 KiB, uploaded into a new directory",
            Self::AgainDown => "file of 4 KiB, downloaded in the place of another",
            Self::AgainUp => "file of 4 KiB, uploaded in the place of another",
            Self::LongDown => "MiB of one file, downloaded with 50 ms of round trip",
            Self::LongUp => "MiB of one file, uploaded with 50 ms of round trip",
        }
    }

    /// In the order in which they take turns, our own first.
    pub(super) fn peers(self) -> &'static [Peer] {
        match self {
            Self::Down | Self::Up => &[Peer::Sternline, Peer::Scp, Peer::Sftp, Peer::Cat],
            Self::NewDown | Self::NewUp | Self::AgainDown | Self::AgainUp => {
                &[Peer::Sternline, Peer::Scp, Peer::OldScp, Peer::Tar]
            }
            Self::LongDown | Self::LongUp => &[Peer::Sternline, Peer::Scp, Peer::Sftp],
        }
    }

    pub(super) fn is_upload(self) -> bool {
        matches!(self, Self::Up | Self::NewUp | Self::AgainUp | Self::LongUp)
    }

    pub(super) fn is_tree(self) -> bool {
        self.item() == "tree"
    }

    /// Whether what it makes is there already.
    pub(super) fn replaces(self) -> bool {
        matches!(self, Self::AgainDown | Self::AgainUp)
    }

    pub(super) fn link(self) -> Link {
        match self {
            Self::LongDown | Self::LongUp => Link::Long,
            _ => Link::Short,
        }
    }

    /// The name of the file or tree.
    pub(super) fn item(self) -> &'static str {
        match self {
            Self::Down | Self::Up | Self::LongDown | Self::LongUp => "file",
            Self::NewDown | Self::NewUp | Self::AgainDown | Self::AgainUp => "tree",
        }
    }
}

impl Peer {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Sternline => "sternline cp",
            Self::Scp => "scp",
            Self::OldScp => "scp -O",
            Self::Sftp => "sftp",
            Self::Tar => "tar, ssh, tar",
            Self::Cat => "ssh cat",
        }
    }
}
