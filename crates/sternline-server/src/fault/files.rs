//! Faults of the files that the server serves, and their names.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::fault::name::number;

/// A way in which the served files fail, over SFTP and SCP alike. Several can be set at once. The program around the server
/// sees its files as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileFault {
    /// `disk-full:BYTES`: there is room for so many bytes of data from now on, and no more.
    DiskFull(u64),
    /// `deny:PATH`: whatever is done to this path or below it is refused for want of permission. It is compared name by name
    /// with what the client says.
    Deny(String),
    /// `list-name:NAME`: every directory has one more file, under this name. It may be one that no honest server has, such as
    /// `../evil` or `/etc/evil`.
    ListName(String),
    /// `shrink:BYTES`: every file ends after so many bytes when it is read, whatever its size is said to be.
    Shrink(u64),
    /// `no-extensions`: SFTP has no extensions.
    NoExtensions,
    /// `no-sftp`: the subsystem is refused; SCP is left.
    NoSftp,
    /// `close-after:BYTES`: each SFTP session and each `scp` ends once so many bytes of files have passed it in both
    /// directions together.
    CloseAfter(u64),
    /// `stall-after:BYTES`: as `close-after`, but it says nothing any more and stays open.
    StallAfter(u64),
}

impl FileFault {
    /// How each fault is written, with its argument in capital letters.
    pub const NAMES: [&'static str; 8] = [
        "disk-full:BYTES",
        "deny:PATH",
        "list-name:NAME",
        "shrink:BYTES",
        "no-extensions",
        "no-sftp",
        "close-after:BYTES",
        "stall-after:BYTES",
    ];

    pub(super) fn parse(name: &str) -> Option<Self> {
        let Some((kind, argument)) = name.split_once(':') else {
            return match name {
                "no-extensions" => Some(Self::NoExtensions),
                "no-sftp" => Some(Self::NoSftp),
                _ => None,
            };
        };
        let text = Some(argument).filter(|text| !text.is_empty()).map(str::to_owned);
        match kind {
            "disk-full" => number(argument).map(Self::DiskFull),
            "deny" => text.map(Self::Deny),
            "list-name" => text.map(Self::ListName),
            "shrink" => number(argument).map(Self::Shrink),
            "close-after" => number(argument).map(Self::CloseAfter),
            "stall-after" => number(argument).map(Self::StallAfter),
            _ => None,
        }
    }
}

impl fmt::Display for FileFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DiskFull(bytes) => write!(f, "disk-full:{bytes}"),
            Self::Deny(path) => write!(f, "deny:{path}"),
            Self::ListName(name) => write!(f, "list-name:{name}"),
            Self::Shrink(bytes) => write!(f, "shrink:{bytes}"),
            Self::NoExtensions => f.write_str("no-extensions"),
            Self::NoSftp => f.write_str("no-sftp"),
            Self::CloseAfter(bytes) => write!(f, "close-after:{bytes}"),
            Self::StallAfter(bytes) => write!(f, "stall-after:{bytes}"),
        }
    }
}

/// The faults that are set.
#[derive(Debug, Default)]
pub(crate) struct FileFaults(Mutex<Vec<FileFault>>);

/// What happens to a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    Close,
    Stall,
}

impl FileFaults {
    pub(crate) fn set(&self, fault: FileFault) {
        self.lock().push(fault);
    }

    pub(crate) fn heal(&self) {
        self.lock().clear();
    }

    pub(crate) fn hides_sftp(&self) -> bool {
        self.lock().contains(&FileFault::NoSftp)
    }

    pub(crate) fn hides_extensions(&self) -> bool {
        self.lock().contains(&FileFault::NoExtensions)
    }

    /// What becomes of a session that so many bytes of files have passed.
    pub(crate) fn cut(&self, moved: u64) -> Option<Cut> {
        self.lock().iter().find_map(|fault| match fault {
            FileFault::CloseAfter(bytes) if moved >= *bytes => Some(Cut::Close),
            FileFault::StallAfter(bytes) if moved >= *bytes => Some(Cut::Stall),
            _ => None,
        })
    }

    /// The names that every directory has beside its own.
    pub(crate) fn names(&self) -> Vec<Bytes> {
        let faults = self.lock();
        let names = faults.iter().filter_map(|fault| match fault {
            FileFault::ListName(name) => Some(Bytes::copy_from_slice(name.as_bytes())),
            _ => None,
        });
        names.collect()
    }

    pub(crate) fn denies(&self, path: &[u8]) -> bool {
        self.lock().iter().any(|fault| match fault {
            FileFault::Deny(denied) => {
                let mut path = names(path);
                names(denied.as_bytes()).all(|name| path.next() == Some(name))
            }
            _ => false,
        })
    }

    /// Whether there is room for so many bytes, which are counted then.
    pub(crate) fn has_room(&self, bytes: u64) -> bool {
        self.lock().iter_mut().all(|fault| match fault {
            FileFault::DiskFull(left) => match left.checked_sub(bytes) {
                Some(rest) => {
                    *left = rest;
                    true
                }
                None => false,
            },
            _ => true,
        })
    }

    /// How much of a buffer is read at an offset.
    pub(crate) fn readable(&self, offset: u64, length: usize) -> usize {
        let end = self.lock().iter().find_map(|fault| match fault {
            FileFault::Shrink(end) => Some(*end),
            _ => None,
        });
        end.map_or(length, |end| {
            usize::try_from(end.saturating_sub(offset)).map_or(length, |left| left.min(length))
        })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<FileFault>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn names(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let names = path.split(|&byte| byte == b'/');
    names.filter(|name| !name.is_empty() && *name != b".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_denied_with_everything_below_it() {
        let faults = FileFaults::default();
        faults.set(FileFault::Deny("/a/b".into()));
        for (path, denied) in [
            ("/a/b", true),
            ("a/b", true),
            ("/a//./b/c", true),
            ("/a", false),
            ("/a/bc", false),
            ("/", false),
        ] {
            assert_eq!(faults.denies(path.as_bytes()), denied, "{path}");
        }
    }

    #[test]
    fn room_is_used_up_and_faults_stand_side_by_side_until_they_are_healed() {
        let faults = FileFaults::default();
        assert!(faults.has_room(u64::MAX));
        faults.set(FileFault::DiskFull(10));
        faults.set(FileFault::Shrink(5));
        faults.set(FileFault::CloseAfter(7));
        assert!(faults.has_room(6) && !faults.has_room(5) && faults.has_room(4));
        assert_eq!(
            (
                faults.readable(0, 9),
                faults.readable(3, 9),
                faults.readable(9, 9)
            ),
            (5, 2, 0)
        );
        assert_eq!((faults.cut(6), faults.cut(7)), (None, Some(Cut::Close)));
        faults.heal();
        assert!(faults.has_room(5) && faults.readable(0, 9) == 9 && faults.cut(7).is_none());
    }
}
