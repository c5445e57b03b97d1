//! What the server's `stat` says of a file, or `ls` where there is none.

use sternline_proto::sftp::{Owner, Times};

use super::probe::Stat;
use crate::transfer::place::{Kind, Meta};

/// The bits of a mode that say what kind of file it is, as every Unix has them.
const TYPE: u32 = 0o170_000;

/// The command that describes the files behind it, one line each, without their names.
pub(super) fn command(stat: Option<Stat>, follow: bool) -> &'static str {
    match (stat, follow) {
        (Some(Stat::Gnu), false) => "stat -c '%f %s %u %g %X %Y %b' --",
        (Some(Stat::Gnu), true) => "stat -L -c '%f %s %u %g %X %Y %b' --",
        (Some(Stat::Bsd), false) => "stat -f '%p %z %u %g %a %m %b' --",
        (Some(Stat::Bsd), true) => "stat -L -f '%p %z %u %g %a %m %b' --",
        (None, false) => "ls -lnd --",
        (None, true) => "ls -lndL --",
    }
}

/// Reads the line about one file. `None` when it is something else.
pub(super) fn parse(stat: Option<Stat>, line: &[u8]) -> Option<Meta> {
    // The name behind it may be anything.
    let line = String::from_utf8_lossy(line);
    match stat {
        Some(stat) => by_stat(stat, &line),
        None => by_ls(&line),
    }
}

fn by_stat(stat: Stat, line: &str) -> Option<Meta> {
    let mut words = line.split(' ');
    let mode = match stat {
        Stat::Gnu => u32::from_str_radix(words.next()?, 16),
        Stat::Bsd => u32::from_str_radix(words.next()?, 8),
    };
    let mode = mode.ok()?;
    let size: u64 = words.next()?.parse().ok()?;
    let owner = Owner {
        uid: words.next()?.parse().ok()?,
        gid: words.next()?.parse().ok()?,
    };
    let times = Times {
        atime: seconds(words.next()?)?,
        mtime: seconds(words.next()?)?,
    };
    let blocks: u64 = words.next()?.parse().ok()?;
    words.next().is_none().then(|| Meta {
        kind: match mode & TYPE {
            0o100_000 => Kind::File,
            0o040_000 => Kind::Directory,
            0o120_000 => Kind::Symlink,
            _ => Kind::Other,
        },
        size,
        mode: Some(mode & 0o7777),
        times: Some(times),
        owner: Some(owner),
        sparse: blocks.saturating_mul(512) < size,
    })
}

/// What SFTP can say ends in 2106, and begins in 1970.
fn seconds(word: &str) -> Option<u32> {
    let seconds: i64 = word.parse().ok()?;
    Some(u32::try_from(seconds.max(0)).unwrap_or(u32::MAX))
}

/// `drwxr-xr-x 2 1000 1000 4096 Jan  1 12:00 name`. The time is not exact enough to be of use.
fn by_ls(line: &str) -> Option<Meta> {
    let mut words = line.split_ascii_whitespace();
    let letters = words.next()?.as_bytes();
    let (&kind, bits) = letters.split_first()?;
    let _links: u64 = words.next()?.parse().ok()?;
    let owner = Owner {
        uid: words.next()?.parse().ok()?,
        gid: words.next()?.parse().ok()?,
    };
    let size = words.next()?;
    let kind = match kind {
        b'-' => Kind::File,
        b'd' => Kind::Directory,
        b'l' => Kind::Symlink,
        _ => Kind::Other,
    };
    Some(Meta {
        kind,
        size: match kind {
            // Devices have two numbers there.
            Kind::Other => 0,
            _ => size.parse().ok()?,
        },
        mode: Some(mode(bits.get(..9)?)?),
        times: None,
        owner: Some(owner),
        sparse: false,
    })
}

/// `rwsr-xr-t` and the like.
fn mode(letters: &[u8]) -> Option<u32> {
    let (mut mode, mut special) = (0, 0);
    for triple in letters.chunks(3) {
        let &[read, write, execute] = triple else {
            return None;
        };
        let execute_set = matches!(execute, b'x' | b's' | b't');
        let is_special = matches!(execute, b's' | b't' | b'S' | b'T');
        mode =
            mode << 3 | u32::from(read == b'r') << 2 | u32::from(write == b'w') << 1 | u32::from(execute_set);
        special = special << 1 | u32::from(is_special);
    }
    Some(special << 9 | mode)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_each_tool_are_read() {
        let meta = |kind, size, mode, times: Option<(u32, u32)>, (uid, gid), sparse| Meta {
            kind,
            size,
            mode: Some(mode),
            times: times.map(|(atime, mtime)| Times { atime, mtime }),
            owner: Some(Owner { uid, gid }),
            sparse,
        };
        for (stat, line, expected) in [
            (
                Some(Stat::Gnu),
                "81a4 5 1000 100 1700000001 1700000000 8",
                Some(meta(
                    Kind::File,
                    5,
                    0o644,
                    Some((1_700_000_001, 1_700_000_000)),
                    (1000, 100),
                    false,
                )),
            ),
            (
                Some(Stat::Gnu),
                "89ed 1000000 0 0 -5 99999999999 0",
                Some(meta(
                    Kind::File,
                    1_000_000,
                    0o4755,
                    Some((0, u32::MAX)),
                    (0, 0),
                    true,
                )),
            ),
            (
                Some(Stat::Bsd),
                "40755 512 501 20 1 2 0",
                Some(meta(Kind::Directory, 512, 0o755, Some((1, 2)), (501, 20), true)),
            ),
            (
                Some(Stat::Gnu),
                "a1ff 3 0 0 1 2 0",
                Some(meta(Kind::Symlink, 3, 0o777, Some((1, 2)), (0, 0), true)),
            ),
            (
                Some(Stat::Gnu),
                "11b6 0 0 0 1 2 0",
                Some(meta(Kind::Other, 0, 0o666, Some((1, 2)), (0, 0), false)),
            ),
            (
                None,
                "-rwsr-xr-t+ 1 0 4294967295 5 Jan  1 2020 a b",
                Some(meta(Kind::File, 5, 0o5755, None, (0, u32::MAX), false)),
            ),
            (
                None,
                "drwxr-Sr-x 2 7 8 4096 Jan  1 2020 x",
                Some(meta(Kind::Directory, 4096, 0o2745, None, (7, 8), false)),
            ),
            (
                None,
                "crw-rw-rw- 1 0 0 1, 3 Jan  1 2020 null",
                Some(meta(Kind::Other, 0, 0o666, None, (0, 0), false)),
            ),
            (
                Some(Stat::Gnu),
                "stat: cannot stat 'x': No such file or directory",
                None,
            ),
            (Some(Stat::Gnu), "81a4 5 1000 100 1 1 8 9", None),
            (Some(Stat::Gnu), "", None),
            (None, "ls: x: No such file or directory", None),
            (None, "", None),
        ] {
            assert_eq!(parse(stat, line.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn this_machines_tools_say_the_same() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("caf\u{e9} x");
        std::fs::write(&path, "12345").unwrap();
        for mode in [0o644, 0o4711, 0o2750, 0o1777, 0o7000, 0o000, 0o6444] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let mut said = Vec::new();
            for (program, stat) in [("", Some(Stat::Gnu)), ("", None), ("busybox ", None)] {
                let line = format!("{program}{} \"$1\"", command(stat, true));
                let output = std::process::Command::new("sh")
                    .args(["-c", &line, "sh"])
                    .arg(&path)
                    .output()
                    .unwrap();
                let meta = parse(stat, output.stdout.split(|&byte| byte == b'\n').next().unwrap()).unwrap();
                said.push((meta.kind, meta.size, meta.mode, meta.owner));
            }
            assert_eq!(said[0].2, Some(mode));
            assert!(said.iter().all(|one| *one == said[0]), "{said:?}");
        }
    }
}
