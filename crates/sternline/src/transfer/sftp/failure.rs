//! What a failed operation says.

use sternline_proto::sftp::{Extension, Status, StatusCode};
use sternline_proto::text::escape_bytes;

use crate::deadline::Phase;
use crate::error::{Error, ErrorKind, SendState};

/// What was tried, for the message if it fails: `cannot rename a to b`.
#[derive(Debug, Clone, Copy)]
pub(in crate::transfer) struct Tried<'a> {
    what: &'static str,
    path: &'a [u8],
    other: Option<(&'static str, &'a [u8])>,
    /// What a failure without a reason may mean here.
    suspicion: &'static str,
}

impl<'a> Tried<'a> {
    pub(in crate::transfer) fn new(what: &'static str, path: &'a [u8]) -> Self {
        Self {
            what,
            path,
            other: None,
            suspicion: "see the server's log for the reason",
        }
    }

    pub(in crate::transfer) fn and(self, word: &'static str, path: &'a [u8]) -> Self {
        Self {
            other: Some((word, path)),
            ..self
        }
    }

    pub(in crate::transfer) fn suspecting(self, suspicion: &'static str) -> Self {
        Self { suspicion, ..self }
    }

    fn describe(&self) -> String {
        let other = self
            .other
            .map(|(word, path)| format!(" {word} {}", escape_bytes(path)));
        format!(
            "cannot {} {}{}",
            self.what,
            escape_bytes(self.path),
            other.unwrap_or_default()
        )
    }

    /// An error from below, with what was tried in front.
    pub(in crate::transfer) fn because(&self, error: Error) -> Error {
        error
            .within(&self.describe())
            .in_phase(Phase::Transfer)
            .with_extra("path", escape_bytes(self.path))
    }

    /// The server said no.
    pub(in crate::transfer) fn refused(&self, status: &Status) -> Error {
        let said = own_words(status);
        let said = said.map_or_else(String::new, |said| format!(" (the server says: {said})"));
        let error = Error::new(
            ErrorKind::RemoteFile(status.code),
            format!("{}{said}", status.code),
        )
        .with_sent(SendState::Ran);
        self.because(match status.code {
            StatusCode::Failure => error.with_hint(self.suspicion),
            _ => error,
        })
    }

    /// The server answered something else than what was asked for.
    pub(in crate::transfer) fn odd_answer(&self) -> Error {
        self.because(
            Error::new(
                ErrorKind::RemoteFile(StatusCode::BadMessage),
                "the server's answer does not belong to the request",
            )
            .with_sent(SendState::MayHaveRun)
            .with_hint("report it to whoever makes that server"),
        )
    }

    /// The server does not have what it takes.
    pub(in crate::transfer) fn not_offered(&self, extension: Extension) -> Error {
        self.because(Error::new(
            ErrorKind::RemoteFile(StatusCode::OpUnsupported),
            format!("the server does not offer {}", extension.name),
        ))
    }
}

/// The server's message, escaped, where it says more than the code does.
fn own_words(status: &Status) -> Option<String> {
    // OpenSSH's words for its codes, which others have taken over.
    const USUAL: [&str; 9] = [
        "Success",
        "End of file",
        "No such file",
        "Permission denied",
        "Failure",
        "Bad message",
        "No connection",
        "Connection lost",
        "Operation unsupported",
    ];
    const LONGEST: usize = 500;
    let message = status.message.trim_ascii();
    let says_nothing = message.is_empty()
        || USUAL
            .iter()
            .any(|usual| message.eq_ignore_ascii_case(usual.as_bytes()))
        || message.eq_ignore_ascii_case(status.code.to_string().as_bytes());
    (!says_nothing).then(|| escape_bytes(message.get(..LONGEST).unwrap_or(message)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u32, message: &'static str) -> Status {
        Status {
            code: code.into(),
            message: message.into(),
            language: "en".into(),
        }
    }

    #[test]
    fn an_error_says_what_was_tried_why_it_failed_and_what_the_server_adds() {
        let tried = Tried::new("rename", b"a\x1b")
            .and("to", b"caf\xe9")
            .suspecting("is it taken?");
        for (status, message, hint) in [
            (
                status(2, "No such file"),
                "cannot rename a\\x1b to caf\\xe9: no such file or directory",
                "check the path",
            ),
            (
                status(4, "Failure"),
                "cannot rename a\\x1b to caf\\xe9: failure",
                "is it taken?",
            ),
            (
                status(4, "Disk quota\nexceeded"),
                "cannot rename a\\x1b to caf\\xe9: failure (the server says: Disk quota\\nexceeded)",
                "is it taken?",
            ),
            (
                status(15, "quota exceeded"),
                "cannot rename a\\x1b to caf\\xe9: quota exceeded",
                "make room",
            ),
        ] {
            let error = tried.refused(&status);
            assert_eq!(error.to_string(), message);
            assert!(error.hint().starts_with(hint), "{}", error.hint());
            assert_eq!(error.kind(), &ErrorKind::RemoteFile(status.code));
            assert_eq!(error.phase(), Some(Phase::Transfer));
            let dict = error.to_dict();
            assert_eq!(dict.get("path"), Some(&"a\\x1b".into()));
            assert_eq!(dict.get("status"), Some(&status.code.number().into()));
            assert_eq!(dict.get("reason"), Some(&status.code.as_str().into()));
        }
    }

    #[test]
    fn a_server_cannot_fill_a_message_at_will() {
        let long = Box::leak("x".repeat(100_000).into_boxed_str());
        let error = Tried::new("read", b"f").refused(&status(4, long));
        assert!(error.to_string().len() < 600);
    }
}
