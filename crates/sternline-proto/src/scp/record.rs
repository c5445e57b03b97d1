//! One record, read and written.

use std::io::Write as _;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

use super::error::RecordError;
use super::name::Name;

/// The longest line, as in OpenSSH's `scp`. No more of a peer's bytes is ever looked at in search of an end.
pub const MAX_LINE: usize = 16 * 1024;

/// How much of a text is sent; OpenSSH's `scp` keeps 2048 bytes of what it reads.
const MAX_TEXT: usize = 1024;
/// How much of a foreign line is kept for a message.
const SHOWN: usize = 60;
/// The permission bits, with set-user-id, set-group-id and the sticky bit.
const MODE: u32 = 0o7777;

/// What one side says to the other.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Record {
    /// Go on: what was asked for was done.
    Ok,
    /// Something failed, for example one file. The transfer goes on with the next. Foreign text: escape it.
    Warning(Bytes),
    /// The peer gives up. Foreign text: escape it.
    Fatal(Bytes),
    /// A file, whose bytes follow once the sink has answered.
    File {
        /// The permission bits.
        mode: u32,
        /// The number of bytes that follow.
        size: u64,
        /// Its name.
        name: Name,
    },
    /// A directory; everything up to its [`Record::EndDirectory`] is in it.
    Directory {
        /// The permission bits.
        mode: u32,
        /// Its name.
        name: Name,
    },
    /// The end of the directory that was begun last.
    EndDirectory,
    /// The times of the file or directory that comes next, in seconds since 1970, UTC. Fractions are always 0 in practice,
    /// and are dropped.
    Times {
        /// Last modification.
        mtime: u64,
        /// Last access.
        atime: u64,
    },
}

impl Record {
    /// Takes one record off the front of what has arrived. `None` when it is not complete yet. Call it only where a record
    /// belongs, not within the bytes of a file.
    ///
    /// # Errors
    /// [`RecordError`] when what stands there is no record; nothing is taken then.
    pub fn take(arrived: &mut BytesMut) -> Result<Option<Self>, RecordError> {
        let Some(&kind) = arrived.first() else {
            return Ok(None);
        };
        if kind == 0 {
            arrived.advance(1);
            return Ok(Some(Self::Ok));
        }
        let end = arrived.iter().take(MAX_LINE).position(|&byte| byte == b'\n');
        let known = matches!(kind, 1 | 2 | b'C' | b'D' | b'E' | b'T');
        match end {
            Some(end) if known => {
                let line = arrived.get(1..end).unwrap_or_default();
                let record = Self::parse(kind, line).map_err(|wrong| wrong.at(arrived))?;
                arrived.advance(end + 1);
                Ok(Some(record))
            }
            // What is no record is told as soon as there is something to show.
            _ if !known && (end.is_some() || arrived.len() >= SHOWN) => Err(RecordError::NoRecord {
                start: beginning(arrived),
            }),
            _ if arrived.len() >= MAX_LINE => Err(RecordError::TooLong),
            _ => Ok(None),
        }
    }

    fn parse(kind: u8, line: &[u8]) -> Result<Self, Wrong> {
        match kind {
            b'C' | b'D' => {
                let (mode, rest) = mode(line)?;
                let (size, name) = number(rest, "no size")?;
                let name = Name::new(Bytes::copy_from_slice(name)).map_err(Wrong::Name)?;
                Ok(match kind {
                    b'C' => Self::File { mode, size, name },
                    _ => Self::Directory { mode, name },
                })
            }
            b'T' => {
                let (mtime, rest) = number(line, "no time of modification")?;
                let (_, rest) = number(rest, "no microseconds")?;
                let (atime, rest) = number(rest, "no time of access")?;
                match rest {
                    [_, ..] if rest.iter().all(u8::is_ascii_digit) => Ok(Self::Times { mtime, atime }),
                    _ => Err(Wrong::Form("no microseconds")),
                }
            }
            b'E' if line.is_empty() => Ok(Self::EndDirectory),
            b'E' => Err(Wrong::Form("more than the end of a directory")),
            1 => Ok(Self::Warning(Bytes::copy_from_slice(line))),
            _ => Ok(Self::Fatal(Bytes::copy_from_slice(line))),
        }
    }

    /// Appends the record as it is sent. Newlines in a text become spaces, and a long text is cut off.
    pub fn encode(&self, out: &mut BytesMut) {
        let mut out = out.writer();
        // Writing to memory does not fail.
        let _ = match self {
            Self::Ok => out.write_all(&[0]),
            Self::Warning(text) => out.write_all(&message(1, text)),
            Self::Fatal(text) => out.write_all(&message(2, text)),
            Self::File { mode, size, name } => write!(out, "C{:04o} {size} ", mode & MODE)
                .and_then(|()| out.write_all(name.as_bytes()))
                .and_then(|()| out.write_all(b"\n")),
            Self::Directory { mode, name } => write!(out, "D{:04o} 0 ", mode & MODE)
                .and_then(|()| out.write_all(name.as_bytes()))
                .and_then(|()| out.write_all(b"\n")),
            Self::EndDirectory => out.write_all(b"E\n"),
            Self::Times { mtime, atime } => writeln!(out, "T{mtime} 0 {atime} 0"),
        };
    }
}

/// What is wrong with a line.
enum Wrong {
    Form(&'static str),
    Name(super::name::NameError),
}

impl Wrong {
    fn at(self, line: &[u8]) -> RecordError {
        let line = beginning(line);
        match self {
            Self::Form(what) => RecordError::Malformed { what, line },
            Self::Name(error) => RecordError::Name { error, line },
        }
    }
}

/// The start of what arrived, for a message: up to the end of its line.
fn beginning(arrived: &[u8]) -> Vec<u8> {
    let line = arrived.split(|&byte| byte == b'\n').next().unwrap_or_default();
    line.iter().take(SHOWN).copied().collect()
}

/// The octal digits of a mode, and what follows the space behind them. OpenSSH writes four; others write three, or the
/// file's type in front.
fn mode(line: &[u8]) -> Result<(u32, &[u8]), Wrong> {
    let (digits, rest) = word(line).ok_or(Wrong::Form("no mode"))?;
    let octal = |digit: &u8| matches!(digit, b'0'..=b'7');
    if !(3..=7).contains(&digits.len()) || !digits.iter().all(octal) {
        return Err(Wrong::Form("a mode that is not octal"));
    }
    let mode = digits
        .iter()
        .fold(0, |mode, digit| mode << 3 | u32::from(digit & 7));
    Ok((mode & MODE, rest))
}

/// A number, and what follows the space behind it.
fn number<'a>(line: &'a [u8], missing: &'static str) -> Result<(u64, &'a [u8]), Wrong> {
    let (digits, rest) = word(line).ok_or(Wrong::Form(missing))?;
    let number = std::str::from_utf8(digits)
        .ok()
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    match number.map(str::parse) {
        Some(Ok(number)) => Ok((number, rest)),
        Some(Err(_)) if !digits.is_empty() => Err(Wrong::Form("a number that is too large")),
        _ => Err(Wrong::Form(missing)),
    }
}

/// What stands in front of the first space, and what behind it.
fn word(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = line.iter().position(|&byte| byte == b' ')?;
    Some((line.get(..end)?, line.get(end + 1..)?))
}

fn message(kind: u8, text: &[u8]) -> Vec<u8> {
    let text = text.iter().take(MAX_TEXT);
    let mut line = vec![kind];
    line.extend(text.map(|&byte| if byte == b'\n' { b' ' } else { byte }));
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::super::name::NameError;
    use super::*;
    use proptest::prelude::*;

    fn name(text: &'static str) -> Name {
        Name::new(text.into()).unwrap()
    }

    fn take(stream: &[u8]) -> Result<Option<Record>, RecordError> {
        Record::take(&mut BytesMut::from(stream))
    }

    #[test]
    fn records_are_read_as_openssh_and_others_write_them() {
        let file = |mode, size, text| Record::File {
            mode,
            size,
            name: name(text),
        };
        for (stream, record) in [
            (&b"\0"[..], Record::Ok),
            (b"C0644 5 a.txt\n", file(0o644, 5, "a.txt")),
            (b"C0644 0 a b  c\n", file(0o644, 0, "a b  c")),
            (b"C4755 18446744073709551615 x\n", file(0o4755, u64::MAX, "x")),
            (b"C644 1 three\n", file(0o644, 1, "three")),
            (b"C0100600 1 with-type\n", file(0o600, 1, "with-type")),
            (b"C0644 1 -rf\n", file(0o644, 1, "-rf")),
            (b"C0644 1 ...\n", file(0o644, 1, "...")),
            (
                b"D0755 0 dir\n",
                Record::Directory {
                    mode: 0o755,
                    name: name("dir"),
                },
            ),
            (b"E\n", Record::EndDirectory),
            (
                b"T1700000000 0 1600000000 0\n",
                Record::Times {
                    mtime: 1_700_000_000,
                    atime: 1_600_000_000,
                },
            ),
            (b"\x01scp: no\n", Record::Warning("scp: no".into())),
            (b"\x02bye\n", Record::Fatal("bye".into())),
            (b"\x01\n", Record::Warning(Bytes::new())),
        ] {
            assert_eq!(take(stream), Ok(Some(record)), "{}", stream.escape_ascii());
        }
        let raw = take(b"C0644 1 caf\xe9\n").unwrap().unwrap();
        assert!(matches!(raw, Record::File { name, .. } if name.as_bytes() == &b"caf\xe9"[..]));
    }

    #[test]
    fn a_name_that_leaves_its_directory_is_refused() {
        for (stream, error) in [
            (&b"C0644 1 ../evil\n"[..], NameError::Slash),
            (b"C0644 1 /etc/passwd\n", NameError::Slash),
            (b"C0644 1 ..\n", NameError::Dots),
            (b"D0755 0 .\n", NameError::Dots),
            (b"D0755 0 a/\n", NameError::Slash),
            (b"C0644 1 \n", NameError::Empty),
            (b"C0644 1 a\0b\n", NameError::Nul),
        ] {
            assert!(
                matches!(take(stream), Err(RecordError::Name { error: found, .. }) if found == error),
                "{}",
                stream.escape_ascii()
            );
        }
        let long = Bytes::from(vec![b'x'; 5000]);
        assert_eq!(Name::new(long), Err(NameError::TooLong));
        assert_eq!(Name::new("a\nb".into()), Err(NameError::Newline));
    }

    #[test]
    fn what_is_no_record_is_refused_and_shown_escaped() {
        for (stream, shown) in [
            (&b"C0689 1 x\n"[..], "a mode that is not octal"),
            (b"C06 1 x\n", "a mode that is not octal"),
            (b"C0644\n", "no mode"),
            (b"C0644 x y\n", "no size"),
            (b"C0644 -1 y\n", "no size"),
            (b"C0644 +1 y\n", "no size"),
            (b"C0644  y\n", "no size"),
            (b"C0644 1\n", "no size"),
            (b"C0644 18446744073709551616 y\n", "too large"),
            (b"T1 0 2\n", "no time of access"),
            (b"T1 0 2 0 x\n", "no microseconds"),
            (b"T1 0 2 \n", "no microseconds"),
            (b"Tx 0 2 0\n", "no time of modification"),
            (b"EE\n", "end of a directory"),
            (b"sh: scp: not found\n", "beginning with \"sh: scp: not found\""),
            (b"\x1b[31mWelcome\n", "beginning with \"\\x1b[31mWelcome\""),
        ] {
            let message = take(stream).unwrap_err().to_string();
            assert!(message.contains(shown), "{message}");
            assert!(!message.chars().any(char::is_control), "{message}");
        }
    }

    #[test]
    fn an_endless_line_is_refused_and_an_unfinished_one_awaited() {
        assert_eq!(take(b""), Ok(None));
        assert_eq!(take(b"C0644 5 a"), Ok(None));
        assert_eq!(take(b"Welc"), Ok(None));
        assert!(matches!(take(&[b'W'; 60]), Err(RecordError::NoRecord { .. })));
        let mut line = vec![b'x'; MAX_LINE];
        line[0] = 1;
        assert_eq!(take(&line), Err(RecordError::TooLong));
        line.push(b'\n');
        assert_eq!(take(&line), Err(RecordError::TooLong));
    }

    #[test]
    fn a_text_of_ours_stays_on_its_line() {
        let mut out = BytesMut::new();
        Record::Fatal("one\ntwo".into()).encode(&mut out);
        assert_eq!(out, "\x02one two\n");
        out.clear();
        Record::Warning(vec![b'x'; 100_000].into()).encode(&mut out);
        assert!(out.len() < MAX_LINE);
    }

    fn names() -> impl Strategy<Value = Name> {
        proptest::collection::vec(any::<u8>(), 1..40)
            .prop_filter_map("no name", |bytes| Name::new(bytes.into()).ok())
    }

    fn records() -> impl Strategy<Value = Record> {
        let text = || {
            proptest::collection::vec(any::<u8>(), 0..40).prop_map(|mut text| {
                text.retain(|&byte| byte != b'\n');
                Bytes::from(text)
            })
        };
        let mode = 0..=MODE;
        prop_oneof![
            Just(Record::Ok),
            Just(Record::EndDirectory),
            text().prop_map(Record::Warning),
            text().prop_map(Record::Fatal),
            (mode.clone(), any::<u64>(), names()).prop_map(|(mode, size, name)| Record::File {
                mode,
                size,
                name
            }),
            (mode, names()).prop_map(|(mode, name)| Record::Directory { mode, name }),
            any::<(u64, u64)>().prop_map(|(mtime, atime)| Record::Times { mtime, atime }),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back_however_it_is_split(
            sent in proptest::collection::vec(records(), 1..8), piece in 1_usize..20
        ) {
            let mut stream = BytesMut::new();
            sent.iter().for_each(|record| record.encode(&mut stream));
            let (mut arrived, mut read) = (BytesMut::new(), Vec::new());
            for piece in stream.chunks(piece) {
                arrived.extend_from_slice(piece);
                while let Some(record) = Record::take(&mut arrived).unwrap() {
                    read.push(record);
                }
            }
            prop_assert_eq!(read, sent);
        }

        #[test]
        fn any_bytes_are_a_record_or_refused_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = take(&bytes);
        }
    }
}
