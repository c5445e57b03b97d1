//! Small scripts for the server's shell, with names of files in them.

use sternline_proto::quoting::quote;
use sternline_proto::text::escape_bytes;

use crate::deadline::Phase;
use crate::error::{Error, ErrorKind, Result};

/// A script in which `@1`, `@2` and so on stand for these paths. No other `@` may stand in it.
pub(in crate::transfer) fn script(template: &str, paths: &[&[u8]]) -> Result<Vec<u8>> {
    let words = paths
        .iter()
        .map(|path| quoted(path))
        .collect::<Result<Vec<_>>>()?;
    let mut parts = template.split('@');
    let mut script = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let word = part.bytes().next().and_then(|digit| {
            let index = usize::from(digit.checked_sub(b'1')?);
            words.get(index)
        });
        script.extend_from_slice(word.map_or(b"@", |word| word.as_slice()));
        script.extend_from_slice(part.as_bytes().get(1..).unwrap_or_default());
    }
    Ok(script)
}

/// A path as a word of a script. No tool takes it for an option.
pub(super) fn quoted(path: &[u8]) -> Result<Vec<u8>> {
    let quote = |path: &[u8]| {
        quote(path).map_err(|error| {
            Error::new(ErrorKind::Invalid, format!("{}: {error}", escape_bytes(path)))
                .in_phase(Phase::Transfer)
        })
    };
    match path {
        [b'-', ..] => quote(&[b"./", path].concat()),
        _ => quote(path),
    }
}

/// Bytes as the format of `printf`, in quotes: what is not harmless becomes octal, which every shell reads.
pub(super) fn printf_format(data: &[u8]) -> Vec<u8> {
    let mut format = Vec::with_capacity(data.len() * 2 + 2);
    format.push(b'\'');
    for &byte in data {
        match byte {
            b'%' => format.extend_from_slice(b"%%"),
            // A format that begins with a dash would be an option to some.
            b'\'' | b'\\' | b'-' => push_octal(&mut format, byte),
            b'\n' | b' '..=b'~' => format.push(byte),
            _ => push_octal(&mut format, byte),
        }
    }
    format.push(b'\'');
    format
}

fn push_octal(out: &mut Vec<u8>, byte: u8) {
    out.extend([
        b'\\',
        b'0' + (byte >> 6),
        b'0' + (byte >> 3 & 7),
        b'0' + (byte & 7),
    ]);
}

/// A moment as `touch -t` takes it, in UTC: `[CC]YYMMDDhhmm.SS` (POSIX touch(1)).
pub(super) fn touch_time(seconds: u32) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}.{second:02}")
}

/// Year, month and day of so many days after 1970-01-01 in the Gregorian calendar.
fn date(days: u32) -> (u32, u32, u32) {
    let is_leap =
        |year: u32| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let (mut year, mut days) = (1970, days);
    loop {
        let length = if is_leap(year) { 366 } else { 365 };
        if days < length {
            break;
        }
        days -= length;
        year += 1;
    }
    let mut month = 1;
    for length in [
        31,
        if is_leap(year) { 29 } else { 28 },
        31,
        30,
        31,
        30,
        31,
        31,
        30,
        31,
        30,
    ] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_stand_where_their_numbers_are() {
        let found = script("mv -- @1 @2; echo @2", &[b"a b", b"-x"]).unwrap();
        assert_eq!(found, b"mv -- 'a b' ./-x; echo ./-x");
        // What is in a path is not looked at.
        assert_eq!(script("@1 @2", &[b"@2", b"c"]).unwrap(), b"@2 c");
        assert!(script("@1", &[b"a\0"]).is_err());
    }

    #[test]
    fn moments_are_written_as_touch_reads_them() {
        for (seconds, text) in [
            (0, "197001010000.00"),
            (951_782_400, "200002290000.00"),
            (951_868_799, "200002292359.59"),
            (951_868_800, "200003010000.00"),
            (1_704_067_199, "202312312359.59"),
            (4_107_542_399, "210002282359.59"),
            (4_107_542_400, "210003010000.00"),
            (u32::MAX, "210602070628.15"),
        ] {
            assert_eq!(touch_time(seconds), text);
        }
    }

    #[test]
    fn every_byte_survives_the_printf_of_every_shell() {
        let all: Vec<u8> = (0..=255).chain(*b"%s\\n\\\\-e'--").collect();
        for shell in [&["sh"][..], &["bash"], &["busybox", "sh"], &["zsh"]] {
            for data in [&all[..], b"-n", b"", b"\\0"] {
                let mut script = b"printf ".to_vec();
                script.extend(printf_format(data));
                let (program, arguments) = shell.split_first().unwrap();
                let Ok(output) = std::process::Command::new(program)
                    .args(arguments)
                    .arg("-c")
                    .arg(String::from_utf8(script).unwrap())
                    .output()
                else {
                    continue;
                };
                assert_eq!(output.stdout, data, "{shell:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_format_is_one_word_of_ascii(data in proptest::collection::vec(any::<u8>(), 0..200)) {
            let format = printf_format(&data);
            let inner = &format[1..format.len() - 1];
            prop_assert!(inner.iter().all(|&byte| byte == b'\n' || (b' '..=b'~').contains(&byte)));
            prop_assert!(!inner.contains(&b'\''));
        }
    }
}
