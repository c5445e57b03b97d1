//! The line for people that goes with a name, as `ls -l` prints it (draft section 7).

use bytes::Bytes;
use sternline_proto::sftp::{Attributes, FileType, Owner, Times};

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// The line, with the date in UTC and always with its year, because a server does not know what its reader calls recent.
pub(super) fn long_name(name: &[u8], attributes: &Attributes) -> Bytes {
    let Owner { uid, gid } = attributes.owner.unwrap_or(Owner { uid: 0, gid: 0 });
    let mtime = attributes.times.map_or(0, |Times { mtime, .. }| mtime);
    let line = format!(
        "{}    1 {uid:<8} {gid:<8} {:>8} {} ",
        mode(attributes),
        attributes.size.unwrap_or(0),
        date(mtime)
    );
    [line.as_bytes(), name].concat().into()
}

fn mode(attributes: &Attributes) -> String {
    let kind = match attributes.file_type() {
        Some(FileType::Directory) => 'd',
        Some(FileType::Symlink) => 'l',
        Some(FileType::Fifo) => 'p',
        Some(FileType::Socket) => 's',
        Some(FileType::BlockDevice) => 'b',
        Some(FileType::CharDevice) => 'c',
        _ => '-',
    };
    let bits = attributes.permissions.unwrap_or(0);
    let mut text = String::from(kind);
    // Set-user-id, set-group-id and sticky stand in the place of the three execute bits.
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let has = |bit: u32| bits >> shift & bit != 0;
        text.push(if has(4) { 'r' } else { '-' });
        text.push(if has(2) { 'w' } else { '-' });
        text.push(match (bits & special != 0, has(1)) {
            (true, true) => letter,
            (true, false) => letter.to_ascii_uppercase(),
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    text
}

/// Month, day and year of the Gregorian calendar. Years are counted from March on, so that the leap day is the last one.
fn date(seconds: u32) -> String {
    // From the first of March of the year 0, in eras of 400 years.
    let days = seconds / 86_400 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, year) = match month {
        0..=9 => (month + 2, era * 400 + year),
        _ => (month - 10, era * 400 + year + 1),
    };
    let name = MONTHS.get(month as usize).copied().unwrap_or("???");
    format!("{name} {day:>2}  {year}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_what_ls_prints() {
        for (permissions, seconds, line) in [
            (
                0o100_644,
                0,
                "-rw-r--r--    1 1000     100            12 Jan  1  1970 a b",
            ),
            (
                0o040_755,
                951_782_400,
                "drwxr-xr-x    1 1000     100            12 Feb 29  2000 a b",
            ),
            (
                0o120_777,
                1_709_251_199,
                "lrwxrwxrwx    1 1000     100            12 Feb 29  2024 a b",
            ),
            (
                0o100_000 | 0o6711,
                1_735_689_599,
                "-rws--s--x    1 1000     100            12 Dec 31  2024 a b",
            ),
            (
                0o041_776,
                u32::MAX,
                "drwxrwxrwT    1 1000     100            12 Feb  7  2106 a b",
            ),
        ] {
            let attributes = Attributes {
                size: Some(12),
                owner: Some(Owner { uid: 1000, gid: 100 }),
                permissions: Some(permissions),
                times: Some(Times {
                    atime: 0,
                    mtime: seconds,
                }),
                extended: Vec::new(),
            };
            assert_eq!(long_name(b"a b", &attributes), line);
        }
        assert_eq!(long_name(b"\xff", &Attributes::default()).last(), Some(&0xff));
    }
}
