//! Which way a transfer takes, and how much of it is on its way at once.

use std::fmt;
use std::time::Duration;

use thiserror::Error;

/// A way to move files to or from a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Way {
    /// The SFTP subsystem: every file is written beside its target and renamed.
    Sftp,
    /// The server's shell: a tar stream for many small files over a long way, and file by file where SFTP is missing.
    Shell,
    /// The old protocol of scp(1), for servers with nothing else. It writes in place.
    Scp,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sftp => "sftp",
            Self::Shell => "shell",
            Self::Scp => "scp",
        })
    }
}

/// Which end has the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// They are here.
    Upload,
    /// They are on the server.
    Download,
}

/// What is known when a way is chosen. `None` is what nobody has found out, which is no reason to find it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Facts {
    /// Whether the server has the SFTP subsystem.
    pub sftp: Option<bool>,
    /// Whether it has a POSIX shell.
    pub shell: Option<bool>,
    /// Whether it has scp.
    pub scp: Option<bool>,
    /// How long a message and its answer take.
    pub round_trip: Duration,
    /// The files of the transfer.
    pub files: Option<u64>,
    /// Their content, in bytes.
    pub bytes: Option<u64>,
    /// Whether the tree is made at a place where nothing is yet.
    pub new_tree: bool,
    /// Whether the request compares with what is at the target, or continues it: resume, checksum, delete, dry run, or
    /// leaving out what has not changed. A stream cannot look at the target file by file.
    pub compares: bool,
    /// Whether symbolic links are to be links at the target. scp's protocol has none.
    pub links: bool,
}

/// Why no way leads there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NoWay {
    /// The way that the caller insists on is not there.
    #[error(
        "the server does not offer {0}, which was asked for: leave the way out to take one that it offers"
    )]
    Missing(Way),
    /// The way that the caller insists on, or the only one there, cannot do all that was asked for.
    #[error("{way} cannot do this: {what}")]
    Unable {
        /// The way.
        way: Way,
        /// What it cannot do.
        what: &'static str,
    },
    /// The server offers none.
    #[error(
        "the server offers neither SFTP nor a POSIX shell nor scp, so no file can be moved to or from it"
    )]
    Nothing,
}

/// What SFTP waits for with each file of a new tree: its OPEN, then its WRITE and CLOSE, or READ and CLOSE, together.
const TRIPS_NEW: u32 = 2;

/// A file that replaces another is renamed as well.
const TRIPS_REPLACING: u32 = 3;

/// Files that are moved by SFTP at once. OpenSSH's server refused 256 open files and took 64.
const FILES_AT_ONCE: u32 = 64;

/// What a stream moves per second when nothing else limits it, in bytes. Loopback with encryption reached 600 to 850
/// million, a gigabit link 118: over a slower one the stream takes longer than assumed, and waiting matters less.
const STREAM_RATE: u64 = 100_000_000;

/// What a file costs the server in a stream of tar: 10,000 of 4 KiB took half a second.
const STREAM_FILE: Duration = Duration::from_micros(50);

/// What waiting has to cost before another way is worth its start: another session, and a look for tar.
const WORTH_A_START: Duration = Duration::from_millis(250);

/// Which way to take.
///
/// SFTP, where the server has it, except for many small files over a long way: the waiting for their round trips then
/// takes clearly longer than a stream of all of them. Where SFTP is missing, the shell, and then scp. What is not known
/// to be missing is tried in that order; a caller that finds a way missing says so and asks again.
///
/// # Errors
/// [`NoWay`] when the way that is `forced` is missing or cannot do what was asked for, or when none is left.
pub fn choose(forced: Option<Way>, facts: &Facts) -> Result<Way, NoWay> {
    if let Some(way) = forced {
        return if facts.has(way) == Some(false) {
            Err(NoWay::Missing(way))
        } else {
            facts.check(way)
        };
    }
    if facts.sftp != Some(false) {
        let by_shell = facts.shell == Some(true) && !facts.compares && facts.waits_long();
        return Ok(if by_shell { Way::Shell } else { Way::Sftp });
    }
    let mut refusal = NoWay::Nothing;
    for way in [Way::Shell, Way::Scp] {
        if facts.has(way) != Some(false) {
            match facts.check(way) {
                Ok(way) => return Ok(way),
                Err(unable) => refusal = unable,
            }
        }
    }
    Err(refusal)
}

impl Facts {
    fn has(&self, way: Way) -> Option<bool> {
        match way {
            Way::Sftp => self.sftp,
            Way::Shell => self.shell,
            Way::Scp => self.scp,
        }
    }

    /// Whether the way can do what was asked for.
    fn check(&self, way: Way) -> Result<Way, NoWay> {
        let what = match way {
            Way::Scp if self.compares => {
                "resuming, comparing, deleting and dry runs need SFTP or a shell, which look at the target file by file"
            }
            Way::Scp if self.links => "its protocol has no symbolic links: have them followed, or excluded",
            _ => return Ok(way),
        };
        Err(NoWay::Unable { way, what })
    }

    /// Whether SFTP would wait for round trips clearly longer than a stream of the same files takes.
    fn waits_long(&self) -> bool {
        let (Some(files), Some(bytes)) = (self.files, self.bytes) else {
            return false;
        };
        let trips = if self.new_tree { TRIPS_NEW } else { TRIPS_REPLACING };
        let waiting = times(self.round_trip, files.saturating_mul(trips.into())) / FILES_AT_ONCE;
        let stream =
            times(STREAM_FILE, files).saturating_add(Duration::from_millis(bytes / (STREAM_RATE / 1000)));
        waiting > WORTH_A_START && waiting > stream.saturating_mul(3) / 2
    }
}

/// A duration times a large number, in whole microseconds.
fn times(duration: Duration, count: u64) -> Duration {
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(micros.saturating_mul(count))
}

/// What is on its way at once on the shortest way: two of what sshd grants an upload.
const LEAST_ON_THE_WAY: u128 = 4 * 1024 * 1024;

/// What is on its way at once at most, for memory's sake. At 50 ms, 200 requests of 255 KiB moved 316 MB/s.
const MOST_ON_THE_WAY: u128 = 200 * 255 * 1024;

/// The rate that the requests on their way are to be enough for, in bytes per second.
const RATE_GOAL: u128 = 1_000_000_000;

/// The fewest and the most requests on their way, however large each of them is.
const REQUESTS: (usize, usize) = (8, 1024);

/// How many requests of `request_size` bytes are to be on their way for one large file: as many as fill the way at a
/// gigabyte per second, within the bounds of memory and of what servers can be expected to queue.
#[must_use]
pub fn depth(round_trip: Duration, request_size: usize) -> usize {
    let fills = RATE_GOAL.saturating_mul(round_trip.as_micros()) / 1_000_000;
    let bytes = fills.clamp(LEAST_ON_THE_WAY, MOST_ON_THE_WAY);
    let requests = bytes.div_ceil(u128::try_from(request_size).unwrap_or(u128::MAX).max(1));
    usize::try_from(requests)
        .unwrap_or(usize::MAX)
        .clamp(REQUESTS.0, REQUESTS.1)
}

/// What sshd lets a client send on a channel before the first answer, in bytes. At 50 ms one channel moved 256 MiB in 7.2 s,
/// four in 2.05 and eight in 1.19.
const UPLOAD_WINDOW: u128 = 2 * 1024 * 1024;

/// The rate that an upload's channels are to be enough for together, in bytes per second.
const UPLOAD_GOAL: u128 = 300_000_000;

/// The most channels for one file. OpenSSH allows ten sessions on a connection, and commands need some.
const MOST_CHANNELS: usize = 8;

/// What a further channel is worth having for, in bytes of the file for each.
const SHARE: u64 = 8 * 1024 * 1024;

/// The size from which on two channels are used on any way, in bytes: one process of the server works for each. With two,
/// 1 GiB came down in 0.87 instead of 0.98 s on loopback, and went up in 1.22 instead of 1.40 s. A third gained nothing.
const LARGE: u64 = 64 * 1024 * 1024;

/// Over how many channels a file of `size` bytes is split: 1 to 8.
///
/// A large file gets two. On a long way an upload gets as many as it takes to send 300 MB/s through sshd's window of 2 MiB
/// for each, and at least 8 MiB of the file for each; a download needs no more, because the window is ours.
#[must_use]
pub fn channels(direction: Direction, round_trip: Duration, size: u64) -> usize {
    let least = if size >= LARGE { 2 } else { 1 };
    match direction {
        Direction::Download => least,
        Direction::Upload => {
            let on_the_way = UPLOAD_GOAL.saturating_mul(round_trip.as_micros()) / 1_000_000;
            let windows = usize::try_from(on_the_way.div_ceil(UPLOAD_WINDOW)).unwrap_or(usize::MAX);
            let shares = usize::try_from(size / SHARE).unwrap_or(usize::MAX);
            windows.min(shares).clamp(least, MOST_CHANNELS)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    fn server() -> Facts {
        Facts {
            sftp: Some(true),
            shell: Some(true),
            scp: Some(true),
            ..Facts::default()
        }
    }

    fn tree(files: u64, size: u64, round_trip: u64) -> Facts {
        Facts {
            files: Some(files),
            bytes: Some(files * size),
            round_trip: Duration::from_millis(round_trip),
            new_tree: true,
            ..server()
        }
    }

    #[test]
    fn the_shell_is_for_many_small_files_over_a_long_way() {
        for (facts, way) in [
            (server(), Way::Sftp),
            (tree(10_000, 4096, 0), Way::Sftp),
            (tree(10_000, 4096, 1), Way::Sftp),
            (tree(10_000, 4096, 5), Way::Shell),
            (tree(10_000, 4096, 50), Way::Shell),
            (tree(1_000, 4096, 50), Way::Shell),
            (tree(100, 4096, 50), Way::Sftp),
            (tree(1, 1024 * MIB, 50), Way::Sftp),
            (tree(1_000, 100 * MIB, 50), Way::Sftp),
            (
                Facts {
                    bytes: None,
                    ..tree(10_000, 4096, 50)
                },
                Way::Sftp,
            ),
            (
                Facts {
                    files: None,
                    ..tree(10_000, 4096, 50)
                },
                Way::Sftp,
            ),
            (
                Facts {
                    shell: None,
                    ..tree(10_000, 4096, 50)
                },
                Way::Sftp,
            ),
            (
                Facts {
                    shell: Some(false),
                    ..tree(10_000, 4096, 50)
                },
                Way::Sftp,
            ),
            (
                Facts {
                    compares: true,
                    ..tree(10_000, 4096, 50)
                },
                Way::Sftp,
            ),
            (
                Facts {
                    links: true,
                    ..tree(10_000, 4096, 50)
                },
                Way::Shell,
            ),
            (
                Facts {
                    sftp: None,
                    ..tree(10, 4096, 50)
                },
                Way::Sftp,
            ),
            (tree(1_000_000_000, 0, 50), Way::Shell),
            (tree(u64::MAX, 0, 50), Way::Sftp),
            (
                Facts {
                    round_trip: Duration::MAX,
                    bytes: Some(u64::MAX),
                    ..tree(1, 1, 1)
                },
                Way::Shell,
            ),
        ] {
            assert_eq!(choose(None, &facts), Ok(way), "{facts:?}");
        }
        // A rename per file is one more to wait for.
        let replacing = Facts {
            new_tree: false,
            ..tree(120, 4096, 50)
        };
        assert!(replacing.waits_long() && !tree(120, 4096, 50).waits_long());
    }

    #[test]
    fn without_sftp_the_shell_is_next_and_scp_last() {
        let without = Facts {
            sftp: Some(false),
            ..server()
        };
        for (facts, way) in [
            (without, Ok(Way::Shell)),
            (
                Facts {
                    shell: None,
                    ..without
                },
                Ok(Way::Shell),
            ),
            (
                Facts {
                    shell: Some(false),
                    ..without
                },
                Ok(Way::Scp),
            ),
            (
                Facts {
                    shell: Some(false),
                    scp: None,
                    ..without
                },
                Ok(Way::Scp),
            ),
            (
                Facts {
                    shell: Some(false),
                    scp: Some(false),
                    ..without
                },
                Err(NoWay::Nothing),
            ),
            (
                Facts {
                    links: true,
                    ..without
                },
                Ok(Way::Shell),
            ),
        ] {
            assert_eq!(choose(None, &facts), way, "{facts:?}");
        }
        assert_eq!(
            choose(
                None,
                &Facts {
                    compares: true,
                    ..without
                }
            ),
            Ok(Way::Shell)
        );
        for facts in [
            Facts {
                compares: true,
                shell: Some(false),
                ..without
            },
            Facts {
                links: true,
                shell: Some(false),
                ..without
            },
        ] {
            assert!(
                matches!(choose(None, &facts), Err(NoWay::Unable { .. })),
                "{facts:?}"
            );
        }
    }

    #[test]
    fn a_way_that_is_forced_is_taken_or_the_reason_is_given() {
        for way in [Way::Sftp, Way::Shell, Way::Scp] {
            assert_eq!(choose(Some(way), &server()), Ok(way));
            assert_eq!(choose(Some(way), &Facts::default()), Ok(way));
            let without = Facts {
                sftp: Some(way != Way::Sftp),
                shell: Some(way != Way::Shell),
                scp: Some(way != Way::Scp),
                ..Facts::default()
            };
            assert_eq!(choose(Some(way), &without), Err(NoWay::Missing(way)));
        }
        let resuming = Facts {
            compares: true,
            ..server()
        };
        assert_eq!(choose(Some(Way::Sftp), &resuming), Ok(Way::Sftp));
        let error = choose(Some(Way::Scp), &resuming).unwrap_err().to_string();
        assert!(error.starts_with("scp cannot do this: resuming"), "{error}");
    }

    #[test]
    fn more_requests_are_on_their_way_the_longer_it_is() {
        const KIB: usize = 1024;
        for (millis, request, requests) in [
            (0, 255 * KIB, 17),
            (0, 32 * KIB, 128),
            (1, 255 * KIB, 17),
            (10, 255 * KIB, 39),
            (50, 255 * KIB, 192),
            (53, 255 * KIB, 200),
            (500, 255 * KIB, 200),
            (50, 32 * KIB, 1024),
            (10, 32 * KIB, 306),
            (0, 8 * KIB * KIB, 8),
            (0, 0, 1024),
        ] {
            assert_eq!(
                depth(Duration::from_millis(millis), request),
                requests,
                "{millis} ms, {request}"
            );
        }
        assert_eq!(depth(Duration::MAX, 1), 1024);
    }

    #[test]
    fn a_large_file_is_split_where_one_channel_is_the_limit() {
        use Direction::{Download, Upload};
        for (direction, micros, size, expected) in [
            (Upload, 100, 1024 * MIB, 2),
            (Download, 100, 1024 * MIB, 2),
            (Upload, 100, 64 * MIB, 2),
            (Upload, 100, 64 * MIB - 1, 1),
            (Download, 100, 64 * MIB - 1, 1),
            (Download, 50_000, 1024 * MIB, 2),
            (Download, 50_000, 1, 1),
            (Upload, 1_000, 1024 * MIB, 2),
            (Upload, 10_000, 1024 * MIB, 2),
            (Upload, 25_000, 1024 * MIB, 4),
            (Upload, 50_000, 256 * MIB, 8),
            (Upload, 200_000, 1024 * MIB, 8),
            (Upload, 50_000, 20 * MIB, 2),
            (Upload, 50_000, 1, 1),
            (Upload, 50_000, 0, 1),
            (Upload, u64::MAX, u64::MAX, 8),
        ] {
            let found = channels(direction, Duration::from_micros(micros), size);
            assert_eq!(found, expected, "{direction:?} {micros} {size}");
        }
    }
}
