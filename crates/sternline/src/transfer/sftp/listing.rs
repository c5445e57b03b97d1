//! Reading a directory.

use std::collections::VecDeque;
use std::fmt;

use bytes::Bytes;
use sternline_proto::sftp::{Attributes, Entry, Request, Response, StatusCode};
use sternline_proto::text::escape_bytes;

use super::failure::Tried;
use super::handle::Sftp;
use super::session::{Answer, OpenHandle, Pending};
use crate::deadline::Phase;
use crate::error::{Error, ErrorKind, Result, SendState};

/// How many requests for entries are on their way at first: one that is answered, and the one that finds the end.
const FIRST_DEPTH: usize = 2;

/// How many there are in a long listing; it doubles with each answer.
const MAX_DEPTH: usize = 16;

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    /// Its name: never empty, never `.` or `..`, and without any `/` or zero byte, whatever the server says. Not
    /// necessarily UTF-8: for a message use [`proto::text::escape_bytes`](crate::proto::text::escape_bytes).
    pub name: Vec<u8>,
    /// Its attributes, those of a symbolic link itself. The server decides which of them it knows.
    pub attributes: Attributes,
}

/// The entries of a directory, as they arrive. `.` and `..` are left out.
///
/// Requests run ahead of the reader, up to 16 answers. Dropping it closes the directory.
pub struct Listing {
    sftp: Sftp,
    path: Bytes,
    /// `None` once the server has no more, or something went wrong: nothing further is asked then.
    handle: Option<OpenHandle>,
    asked: VecDeque<Pending>,
    depth: usize,
    entries: std::vec::IntoIter<Entry>,
}

impl Listing {
    pub(super) fn new(sftp: Sftp, path: Bytes, handle: OpenHandle) -> Self {
        Self {
            sftp,
            path,
            handle: Some(handle),
            asked: VecDeque::new(),
            depth: FIRST_DEPTH,
            entries: Vec::new().into_iter(),
        }
    }

    /// The next entry; `None` after the last one. Cancel-safe.
    ///
    /// # Errors
    /// When the directory cannot be read on: nothing follows then. An entry whose name no file can have, as only a
    /// hostile or broken server sends it, is an error as well ([`StatusCode::BadMessage`]), and others may follow.
    pub async fn next(&mut self) -> Option<Result<DirEntry>> {
        loop {
            for entry in self.entries.by_ref() {
                if entry.name != "." && entry.name != ".." {
                    return Some(checked(entry, &self.path).map_err(|error| self.sftp.locate(error)));
                }
            }
            match self.more().await {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    self.asked.clear();
                    self.handle = None;
                    return Some(Err(error));
                }
            }
        }
    }

    /// Takes the next answer in. `false`: there are no more entries.
    async fn more(&mut self) -> Result<bool> {
        let tried = Tried::new("list", &self.path);
        while let Some(handle) = &self.handle
            && self.asked.len() < self.depth
        {
            let request = Request::ReadDir {
                handle: handle.bytes(),
            };
            let begun = self.sftp.session().begin(request).await;
            let begun = begun.map_err(|error| self.sftp.locate(tried.because(error)))?;
            self.asked.push_back(begun);
        }
        let Some(pending) = self.asked.front_mut() else {
            return Ok(false);
        };
        let answer = pending.answer().await;
        self.asked.pop_front();
        if let Ok(Answer::Response(Response::Status(status))) = &answer
            && status.code == StatusCode::Eof
        {
            // A server that works on several requests at once may have given the last entries to a later one.
            self.handle = None;
            return Ok(true);
        }
        let entries = self.sftp.read_answer(tried, answer, |answer| match answer {
            Answer::Response(Response::Name(entries)) => Some(entries),
            _ => None,
        })?;
        self.entries = entries.into_iter();
        self.depth = (self.depth * 2).min(MAX_DEPTH);
        Ok(true)
    }
}

impl fmt::Debug for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Listing({})", escape_bytes(&self.path))
    }
}

/// A name that is one component of a path, so that whoever appends it to a directory stays in there.
fn checked(entry: Entry, directory: &[u8]) -> Result<DirEntry> {
    let possible = !entry.name.is_empty() && !entry.name.iter().any(|byte| matches!(byte, 0 | b'/'));
    if possible {
        return Ok(DirEntry {
            name: entry.name.to_vec(),
            attributes: entry.attributes,
        });
    }
    let message = format!(
        "the server lists an entry of {} with a name that no file can have: {}",
        escape_bytes(directory),
        escape_bytes(entry.name.get(..500).unwrap_or(&entry.name))
    );
    Err(Error::new(ErrorKind::RemoteFile(StatusCode::BadMessage), message)
        .in_phase(Phase::Transfer)
        .with_sent(SendState::Ran)
        .with_hint("the server is broken or hostile: trust nothing that it says about this directory"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_leads_elsewhere_is_an_error_that_can_be_shown() {
        let entry = |name: &'static [u8]| Entry {
            name: name.into(),
            long_name: Bytes::new(),
            attributes: Attributes::default(),
        };
        for name in [&b"a"[..], b"...", b"-rf", b"caf\xe9\n", b"\\..\\", b"~"] {
            assert_eq!(checked(entry(name), b"/d").unwrap().name, name);
        }
        for name in [&b""[..], b"/etc/passwd", b"../up", b"a/b", b"a\0b"] {
            let error = checked(entry(name), b"/d\x1b").unwrap_err();
            assert_eq!(error.kind(), &ErrorKind::RemoteFile(StatusCode::BadMessage));
            assert!(!error.to_string().chars().any(char::is_control), "{error}");
        }
    }
}
