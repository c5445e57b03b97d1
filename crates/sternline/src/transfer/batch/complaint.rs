//! What a tar says when it is not content.

use sternline_proto::text::escape_bytes;

use crate::connection::Connection;
use crate::deadline::Phase;
use crate::error::{Error, ErrorKind, Result, SendState};
use crate::transfer::shell::{Exit, complaint, status};

/// What stands in front of everything that a tar says. Start-up files of the shell say other things.
const TARS: [&[u8]; 2] = [b"tar: ", b"bsdtar: "];

/// The parts of a line that say only that there was another line.
const SUMMARIES: [&[u8]; 4] = [
    b"Exiting with failure status due to previous errors",
    b"Error exit delayed from previous errors",
    b"error exit delayed from previous errors",
    b"Error is not recoverable: exiting now",
];

/// Clocks that differ are no reason to copy again.
const HARMLESS: [&[u8]; 2] = [b" in the future", b": implausibly old time stamp"];

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// What a tar complains of, line by line, without its name.
pub(super) fn complaints(stderr: &[u8]) -> impl Iterator<Item = &[u8]> {
    stderr
        .split(|byte| *byte == b'\n')
        .filter_map(|line| TARS.iter().find_map(|tar| line.strip_prefix(*tar)))
        .filter(|line| !SUMMARIES.iter().any(|summary| line.starts_with(summary)))
        .filter(|line| !HARMLESS.iter().any(|harmless| contains(line, harmless)))
}

/// The texts in a complaint that may be a file's name: what stands before a colon.
pub(super) fn names(complaint: &[u8]) -> impl Iterator<Item = &[u8]> {
    let colons = complaint.windows(2).enumerate();
    colons
        .filter(|(_, window)| *window == b": ")
        .filter_map(|(at, _)| complaint.get(..at))
}

/// The error that a tar's end stands for. Its kind comes from the first thing that it complained of.
pub(super) fn cannot(
    connection: &Connection,
    what: &str,
    directory: &[u8],
    exit: &Exit,
    stderr: &[u8],
) -> Error {
    let first = complaints(stderr).next().unwrap_or(stderr);
    let error = Error::new(
        ErrorKind::RemoteFile(status(first).code),
        format!(
            "cannot {what} {} with the server's tar: {}",
            escape_bytes(directory),
            complaint(exit, cut(stderr))
        ),
    );
    connection.locate(error.in_phase(Phase::Transfer).with_sent(SendState::MayHaveRun))
}

/// As much as a message should have.
fn cut(stderr: &[u8]) -> &[u8] {
    const SHOWN: usize = 500;
    stderr.get(..SHOWN).unwrap_or(stderr)
}

/// The error of a stream that makes no sense.
pub(super) fn nonsense<T>(connection: &Connection, what: &str) -> Result<T> {
    let error = Error::new(
        ErrorKind::Channel,
        format!("the server's tar sent nonsense: {what}"),
    )
    .in_phase(Phase::Transfer)
    .with_sent(SendState::MayHaveRun);
    Err(connection.locate(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_tar_complains_of_counts() {
        let stderr = b"mesg: ttyname failed\ntar: ./a: time stamp 2030-01-01 00:00:00 is 9 s in the future\n\
            tar: ./b: Cannot stat: No such file or directory\nbsdtar: ./c: Can't open\n\
            tar: Exiting with failure status due to previous errors\nbsdtar: Error exit delayed from previous errors.\n";
        let found: Vec<&[u8]> = complaints(stderr).collect();
        assert_eq!(
            found,
            [
                &b"./b: Cannot stat: No such file or directory"[..],
                b"./c: Can't open"
            ]
        );
        assert_eq!(complaints(b"").count(), 0);
    }

    #[test]
    fn a_name_is_found_whatever_is_in_it() {
        for (complaint, name) in [
            (&b"./b: Cannot stat: No such file or directory"[..], &b"./b"[..]),
            (b"./a: b: Cannot open: Permission denied", b"./a: b"),
            (b"./x: file changed as we read it", b"./x"),
        ] {
            assert!(names(complaint).any(|found| found == name));
        }
    }
}
