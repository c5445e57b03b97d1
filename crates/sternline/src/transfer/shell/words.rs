//! What the server's tools say about a failure, as SFTP would say it.

use bytes::Bytes;
use sternline_proto::sftp::{Status, StatusCode};

/// The system's words for what failed, as they stand at the end of a tool's message, and what SFTP calls it. The numbers
/// are those of the later drafts.
const WORDS: [(&str, StatusCode); 15] = [
    ("no such file or directory", StatusCode::NoSuchFile),
    // dash shortens it.
    ("no such file", StatusCode::NoSuchFile),
    ("directory nonexistent", StatusCode::NoSuchFile),
    // busybox.
    ("nonexistent directory", StatusCode::NoSuchFile),
    ("permission denied", StatusCode::PermissionDenied),
    ("operation not permitted", StatusCode::PermissionDenied),
    ("file exists", StatusCode::Other(11)),
    ("cannot overwrite existing file", StatusCode::Other(11)),
    ("read-only file system", StatusCode::Other(12)),
    ("no space left on device", StatusCode::Other(14)),
    ("disk quota exceeded", StatusCode::Other(15)),
    ("directory not empty", StatusCode::Other(18)),
    ("not a directory", StatusCode::Other(19)),
    ("too many levels of symbolic links", StatusCode::Other(21)),
    ("is a directory", StatusCode::Other(24)),
];

/// The status that stands for a tool's complaint. The system's reason ends the message, behind everything that somebody
/// could have chosen as the name of a file.
pub(in crate::transfer) fn status(complaint: &[u8]) -> Status {
    let complaint = complaint.trim_ascii();
    let last = complaint
        .rsplit(|&byte| byte == b'\n')
        .next()
        .unwrap_or_default()
        .trim_ascii()
        .to_ascii_lowercase();
    let known = WORDS.iter().find(|(words, _)| {
        last.strip_suffix(words.as_bytes())
            .is_some_and(|before| before.is_empty() || before.ends_with(b": "))
    });
    Status {
        code: known.map_or(StatusCode::Failure, |&(_, code)| code),
        message: Bytes::copy_from_slice(complaint),
        language: Bytes::from_static(b"en"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_what_stands_at_the_end() {
        for (complaint, code) in [
            (
                "mv: cannot stat 'x': No such file or directory\n",
                StatusCode::NoSuchFile,
            ),
            ("sh: 1: cannot open x: No such file", StatusCode::NoSuchFile),
            (
                "sh: 1: cannot create a/x: Directory nonexistent",
                StatusCode::NoSuchFile,
            ),
            (
                "sh: 1: cannot open x: Permission denied",
                StatusCode::PermissionDenied,
            ),
            ("sh: can't open x: no such file", StatusCode::NoSuchFile),
            ("sh: 1: cannot create x: File exists", StatusCode::Other(11)),
            (
                "bash: line 3: x: cannot overwrite existing file",
                StatusCode::Other(11),
            ),
            (
                "cat: write error: No space left on device\r\n",
                StatusCode::Other(14),
            ),
            (
                "rmdir: failed to remove 'x': Directory not empty",
                StatusCode::Other(18),
            ),
            // The words are a name's, not the system's.
            (
                "mv: cannot move ': Permission denied' to 'x'",
                StatusCode::Failure,
            ),
            ("x permission denied", StatusCode::Failure),
            (
                "mv: a: No such file or directory\nmv: something else",
                StatusCode::Failure,
            ),
            ("", StatusCode::Failure),
        ] {
            assert_eq!(status(complaint.as_bytes()).code, code, "{complaint}");
        }
    }
}
