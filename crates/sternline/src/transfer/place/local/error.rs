//! What this machine says when it does not do what was asked.

use std::fmt;
use std::io;

use rustix::io::Errno;
use sternline_proto::text::escape_bytes;

use crate::deadline::Phase;
use crate::error::{Error, ErrorKind};

/// A path would lead out of the directory that it was to stay in.
#[derive(Debug)]
pub(super) struct LeadsOut {
    pub(super) root: Vec<u8>,
    /// The symbolic link that does it and where it points to; `None` when the path does it itself.
    pub(super) link: Option<(Vec<u8>, Vec<u8>)>,
}

impl fmt::Display for LeadsOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.link {
            Some((link, target)) => {
                write!(
                    f,
                    "the symbolic link {} -> {} ",
                    escape_bytes(link),
                    escape_bytes(target)
                )?;
            }
            None => f.write_str("it ")?,
        }
        write!(f, "leads out of {}", escape_bytes(&self.root))
    }
}

impl std::error::Error for LeadsOut {}

impl From<LeadsOut> for io::Error {
    fn from(error: LeadsOut) -> Self {
        Self::new(io::ErrorKind::PermissionDenied, error)
    }
}

/// The error of an operation on a path of this machine.
pub(super) fn failure(what: &str, path: &[u8], error: &io::Error) -> Error {
    let (reason, hint) = explain(error);
    let failure = Error::new(
        ErrorKind::LocalFile(error.kind()),
        format!("cannot {what} {} on this machine: {reason}", escape_bytes(path)),
    )
    .in_phase(Phase::Transfer)
    .with_extra("path", escape_bytes(path));
    match hint {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}

/// The reason in words that say what is wrong with this file, and what to do where the kind of error does not say it.
fn explain(error: &io::Error) -> (String, Option<&'static str>) {
    if error.get_ref().is_some_and(|inner| inner.is::<LeadsOut>()) {
        return (
            error.to_string(),
            Some(
                "remove the link or make it a directory, or choose another target: nothing is written outside the target",
            ),
        );
    }
    let (reason, hint) = match Errno::from_io_error(error) {
        Some(Errno::NOSPC) => ("no space is left on its file system", None),
        Some(Errno::DQUOT) => ("the quota on its file system is used up", None),
        Some(Errno::ROFS) => (
            "its file system is mounted read-only",
            Some("choose a path on another file system, or have this one mounted for writing"),
        ),
        Some(Errno::ISDIR) => ("it is a directory", Some("name a file")),
        Some(Errno::NOTDIR) => (
            "something on the way to it is not a directory",
            Some("check the path"),
        ),
        Some(Errno::LOOP) => (
            "a symbolic link stands where none may be, or links lead in circles",
            Some("see where the links on the way to it lead"),
        ),
        Some(Errno::NAMETOOLONG) => (
            "the name is longer than its file system allows",
            Some("choose a shorter name; most file systems allow 255 bytes for each"),
        ),
        Some(Errno::FBIG) => (
            "it is larger than its file system or the limit of this process allows",
            Some("choose another file system, or raise the limit (ulimit -f)"),
        ),
        Some(Errno::EXIST) => (
            "something of that name is there already",
            Some("move it out of the way, or choose another name"),
        ),
        Some(Errno::NOTEMPTY) => (
            "the directory is not empty",
            Some("see what is in it that does not belong there"),
        ),
        Some(Errno::XDEV) => ("the two names are on different file systems", None),
        Some(Errno::TXTBSY) => (
            "the program is running",
            Some("end it first, or let it be replaced instead of written in place"),
        ),
        Some(Errno::MFILE | Errno::NFILE) => (
            "too many files are open",
            Some("raise the limit (ulimit -n), or move fewer files at once"),
        ),
        _ => return (error.to_string(), None),
    };
    (reason.to_owned(), hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_names_the_path_and_what_to_do() {
        for (errno, reason) in [
            (Errno::NOSPC, "no space is left"),
            (Errno::DQUOT, "the quota"),
            (Errno::ROFS, "mounted read-only"),
            (Errno::ISDIR, "it is a directory"),
            (Errno::NOTDIR, "not a directory"),
            (Errno::LOOP, "links lead in circles"),
            (Errno::NAMETOOLONG, "longer than its file system allows"),
            (Errno::FBIG, "larger than"),
            (Errno::EXIST, "there already"),
            (Errno::ACCESS, "Permission denied"),
        ] {
            let error = failure("write", b"/a\nb", &errno.into());
            let said = error.to_string();
            assert!(said.contains("cannot write /a\\nb on this machine: "), "{said}");
            assert!(said.contains(reason), "{said}");
            assert!(!error.hint().is_empty(), "{said}");
        }
    }
}
