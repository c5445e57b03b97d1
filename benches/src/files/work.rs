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
    /// SFTP by these libraries, each with the call that it has for the purpose.
    Asyncssh,
    Paramiko,
    ParallelSsh,
}

impl Work {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Down => "file-down",
            Self::Up => "file-up",
            Self::NewDown => "tree-down",
            Self::NewUp => "tree-up",
            Self::AgainDown => "tree-down-existing",
            Self::AgainUp => "tree-up-existing",
            Self::LongDown => "file-down-50ms",
            Self::LongUp => "file-up-50ms",
        }
    }

    pub(super) fn title(self, count: u32) -> String {
        match self {
            Self::Down => format!("{} downloaded", size(count)),
            Self::Up => format!("{} uploaded", size(count)),
            Self::NewDown => format!("{} small files downloaded", number(count)),
            Self::NewUp => format!("{} small files uploaded", number(count)),
            Self::AgainDown => format!("{} small files downloaded in the place of others", number(count)),
            Self::AgainUp => format!("{} small files uploaded in the place of others", number(count)),
            Self::LongDown => format!("{} downloaded over 50 ms", size(count)),
            Self::LongUp => format!("{} uploaded over 50 ms", size(count)),
        }
    }

    pub(super) fn timed(self, count: u32) -> String {
        let what = match (self.is_tree(), self.replaces()) {
            (false, _) => format!("One file of {count} MiB that cannot be compressed"),
            (true, false) => format!(
                "{} files of 4 KiB in one directory, into a new one",
                number(count)
            ),
            (true, true) => format!(
                "{} files of 4 KiB, each in the place of one that is there",
                number(count)
            ),
        };
        let link = match self.link() {
            Link::Short => "",
            Link::Long => ", through a proxy that makes each round trip take 50 ms",
        };
        format!(
            "{what}{link}, with aes128-gcm for all, on a file system in memory. Connecting is included; the start of a library's \
             interpreter is not."
        )
    }

    /// In the order in which they take turns, our own first.
    pub(super) fn peers(self) -> &'static [Peer] {
        use Peer::{Asyncssh, Cat, OldScp, ParallelSsh, Paramiko, Scp, Sftp, Sternline, Tar};
        match self {
            Self::Down | Self::Up => &[Sternline, Scp, Sftp, Cat, Asyncssh, Paramiko, ParallelSsh],
            Self::NewDown | Self::NewUp => &[Sternline, Scp, OldScp, Tar, Asyncssh, Paramiko, ParallelSsh],
            Self::AgainDown | Self::AgainUp => &[Sternline, Scp, OldScp, Tar],
            Self::LongDown | Self::LongUp => &[Sternline, Scp, Sftp, Asyncssh, Paramiko, ParallelSsh],
        }
    }

    /// What is wanted of Sternline's time, as a share of each peer's, and of its memory in MiB.
    pub(super) fn wanted(self) -> (&'static [(Peer, f64)], f64) {
        match self {
            Self::Down => (&[(Peer::Scp, 1.0 / 1.3), (Peer::Sftp, 1.0 / 1.3)], 64.0),
            Self::Up => (&[(Peer::Scp, 1.0 / 1.2), (Peer::Sftp, 1.0 / 1.2)], 64.0),
            Self::NewDown | Self::NewUp => (
                &[
                    (Peer::Scp, 1.0 / 12.0),
                    (Peer::OldScp, 1.0 / 6.0),
                    (Peer::Tar, 1.1),
                ],
                64.0,
            ),
            Self::AgainDown | Self::AgainUp => (
                &[
                    (Peer::Scp, 1.0 / 7.0),
                    (Peer::OldScp, 1.0 / 3.5),
                    (Peer::Tar, 2.0),
                ],
                64.0,
            ),
            Self::LongDown => (&[(Peer::Sftp, 1.0 / 6.0)], 128.0),
            Self::LongUp => (&[(Peer::Sftp, 1.0 / 3.0)], 128.0),
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

/// MiB as people say it.
fn size(mebibytes: u32) -> String {
    match mebibytes % 1024 {
        0 => format!("{} GiB", mebibytes / 1024),
        _ => format!("{mebibytes} MiB"),
    }
}

/// A number with its thousands apart.
fn number(count: u32) -> String {
    match count / 1000 {
        0 => count.to_string(),
        thousands => format!("{thousands},{:03}", count % 1000),
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
            Self::Asyncssh => "asyncssh",
            Self::Paramiko => "paramiko",
            Self::ParallelSsh => "parallel-ssh",
        }
    }

    /// The script of a library.
    pub(super) fn script(self) -> Option<&'static str> {
        match self {
            Self::Asyncssh => Some("asyncssh_files.py"),
            Self::Paramiko => Some("paramiko_files.py"),
            Self::ParallelSsh => Some("parallel_ssh_files.py"),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_as_people_say_them() {
        assert_eq!([1024, 256].map(size), ["1 GiB", "256 MiB"]);
        assert_eq!([5, 10_000, 1_005].map(number), ["5", "10,000", "1,005"]);
    }
}
