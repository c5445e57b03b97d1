//! Files from a server.

use std::collections::HashMap;

use bytes::{Bytes, BytesMut};
use sternline_proto::tar::{Content, Member, Reader};
use sternline_proto::text::escape_bytes;
use tokio::sync::mpsc;

use super::complaint::{cannot, complaints, names, nonsense};
use crate::connection::Connection;
use crate::deadline::Phase;
use crate::error::{Error, ErrorKind, Result};
use crate::transfer::shell::{RemoteCommand, Tar, script};

/// A file that came.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::transfer) struct Fetched {
    /// Which of those that were asked for.
    pub(in crate::transfer) index: usize,
    pub(in crate::transfer) mode: u32,
    pub(in crate::transfer) mtime: i64,
    /// All of it.
    pub(in crate::transfer) data: Bytes,
}

/// A file that did not come, or whose content is not to be used: it was written to while tar read it, say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::transfer) struct Missed {
    /// Which of those that were asked for.
    pub(in crate::transfer) index: usize,
    /// A fragment for a message, escaped.
    pub(in crate::transfer) reason: String,
}

/// Reads files of a directory of the server, whole, each of them `limit` bytes at most. Symbolic links are not followed.
///
/// What comes is not to be used before this has returned: only then is it known which files tar was not content with, and
/// these have to be fetched in another way. So have those that share their content with another one or have holes.
/// Cancelling ends the process on the server.
///
/// # Errors
/// When the server's tar takes no list of names, the connection is lost, what the server sends makes no sense or was not asked for, or tar does not say which
/// files it was not content with. Nothing of what came is to be used then.
pub(in crate::transfer) async fn fetch(
    connection: &Connection,
    tar: Tar,
    directory: &[u8],
    wanted: &[Vec<u8>],
    limit: usize,
    out: &mpsc::Sender<Fetched>,
) -> Result<Vec<Missed>> {
    // Names come on standard input, because there may be more of them than a command line has room for.
    let options = match tar {
        Tar::Gnu => "--no-recursion --quoting-style=literal --null -T -",
        Tar::Bsd => "-n --null -T -",
        // Busybox has no such option as it is usually built, and where it is, only line breaks end a name.
        Tar::Busybox | Tar::Other => {
            return Err(
                Error::new(ErrorKind::Invalid, "the server's tar takes no list of files")
                    .in_phase(Phase::Transfer),
            );
        }
    };
    let pack = script(&format!("exec tar -c -f - -C @1 {options}"), &[directory])?;
    let mut command = RemoteCommand::start_script(connection, &pack).await?;
    let (input, list) = (command.input(), list(wanted));
    let listing = async {
        // When this fails the command has ended, which whoever reads its output finds.
        if input.write(list).await.is_ok() {
            let _ = input.close().await;
        }
        std::future::pending::<()>().await;
    };
    let mut arriving = Arriving::new(wanted);
    let reading = async {
        let mut reader = Reader::new(limit);
        while let Some(bytes) = command.next().await? {
            reader.push(bytes);
            loop {
                match reader.next() {
                    Ok(Some(member)) => match arriving.take(member) {
                        Ok(Some(fetched)) => out.send(fetched).await.map_err(|_| unwanted())?,
                        Ok(None) => {}
                        Err(what) => return nonsense(connection, &what),
                    },
                    Ok(None) => break,
                    Err(error) => return nonsense(connection, &error.to_string()),
                }
            }
        }
        Ok(reader.is_complete())
    };
    let complete = tokio::select! {
        read = reading => read?,
        () = listing => false,
    };
    let (exit, stderr) = command.ended();
    let understood = arriving.complaints(stderr);
    if !complete || !(exit.is_success() || understood) {
        return Err(cannot(connection, "read files of", directory, exit, stderr));
    }
    Ok(arriving.missed())
}

/// What tar is to read. No name begins with a dash, which some take for an option even here.
fn list(wanted: &[Vec<u8>]) -> Bytes {
    let mut list = BytesMut::new();
    for name in wanted {
        list.extend_from_slice(b"./");
        list.extend_from_slice(name);
        list.extend_from_slice(b"\0");
    }
    list.freeze()
}

/// Nobody takes what comes any more.
fn unwanted() -> Error {
    Error::new(ErrorKind::Cancelled, "nobody wants the files any more").in_phase(Phase::Transfer)
}

/// Which of the wanted files have come.
struct Arriving<'a> {
    index: HashMap<&'a [u8], usize>,
    files: Vec<State>,
}

#[derive(Clone)]
enum State {
    Wanted,
    Here,
    Missed(String),
}

impl<'a> Arriving<'a> {
    fn new(wanted: &'a [Vec<u8>]) -> Self {
        Self {
            index: wanted.iter().map(Vec::as_slice).zip(0..).collect(),
            files: vec![State::Wanted; wanted.len()],
        }
    }

    /// What a member of the archive is. An error is nothing that was asked for.
    fn take(&mut self, member: Member) -> Result<Option<Fetched>, String> {
        let refuse = |what| format!("{what} \"{}\"", escape_bytes(&member.header.name));
        let found = self.find(&member.header.name);
        let Some((index, state)) = found else {
            return Err(refuse("a file that was not asked for:"));
        };
        if !matches!(state, State::Wanted) {
            return Err(refuse("twice the file"));
        }
        let (now, fetched) = match member.content {
            Content::File(data) => {
                let fetched = Fetched {
                    index,
                    mode: member.header.mode,
                    mtime: member.header.mtime,
                    data,
                };
                (State::Here, Some(fetched))
            }
            Content::Sparse => (State::Missed("it has holes".to_owned()), None),
            Content::HardLink => (
                State::Missed("it has the content of another file".to_owned()),
                None,
            ),
            Content::Directory | Content::Symlink | Content::Other => {
                (State::Missed("it is no file any more".to_owned()), None)
            }
        };
        *state = now;
        Ok(fetched)
    }

    /// By its name in the archive or in a message.
    fn find(&mut self, name: &[u8]) -> Option<(usize, &mut State)> {
        let name = name.strip_prefix(b"./").unwrap_or(name);
        let index = *self.index.get(name)?;
        Some((index, self.files.get_mut(index)?))
    }

    /// Notes which files tar complains of. Whether every complaint is about one of them, and there is any.
    fn complaints(&mut self, stderr: &[u8]) -> bool {
        let mut understood = false;
        for complaint in complaints(stderr) {
            let about = names(complaint).find(|name| self.find(name).is_some());
            let Some((_, state)) = about.and_then(|name| self.find(name)) else {
                return false;
            };
            *state = State::Missed(escape_bytes(complaint));
            understood = true;
        }
        understood
    }

    fn missed(self) -> Vec<Missed> {
        let missed = self.files.into_iter().enumerate();
        let missed = missed.filter_map(|(index, state)| match state {
            State::Here => None,
            State::Missed(reason) => Some(Missed { index, reason }),
            State::Wanted => Some(Missed {
                index,
                reason: "the server's tar did not send it".to_owned(),
            }),
        });
        missed.collect()
    }
}

#[cfg(test)]
mod tests {
    use sternline_proto::tar::Header;

    use super::*;

    fn member(name: &str, content: Content) -> Member {
        Member {
            header: Header {
                name: name.into(),
                mode: 0o644,
                mtime: 0,
            },
            content,
        }
    }

    #[test]
    fn a_file_that_tar_was_not_content_with_is_missed_although_it_came() {
        let wanted = ["a", "b", "c: d"].map(|name| name.as_bytes().to_vec());
        let mut arriving = Arriving::new(&wanted);
        for name in ["./a", "./b", "./c: d"] {
            let content = Content::File(Bytes::from_static(b"x"));
            assert!(arriving.take(member(name, content)).unwrap().is_some());
        }
        let stderr = b"tar: ./a: File shrank by 3 bytes; padding with zeros\ntar: ./c: d: file changed as we read it\n";
        assert!(arriving.complaints(stderr));
        let missed: Vec<(usize, String)> = arriving
            .missed()
            .into_iter()
            .map(|missed| (missed.index, missed.reason))
            .collect();
        assert_eq!(
            missed,
            [
                (0, "./a: File shrank by 3 bytes; padding with zeros".to_owned()),
                (2, "./c: d: file changed as we read it".to_owned())
            ]
        );
    }

    #[test]
    fn a_complaint_about_who_knows_what_is_not_understood() {
        let wanted = [b"a".to_vec()];
        for stderr in [
            &b""[..],
            b"sh: tar: not found\n",
            b"tar: write error\n",
            b"tar: ./other: Cannot stat: No such file or directory\n",
            b"tar: ./a: Cannot stat: No such file or directory\ntar: Unexpected EOF\n",
        ] {
            assert!(!Arriving::new(&wanted).complaints(stderr));
        }
    }

    #[test]
    fn a_file_with_holes_is_fetched_in_another_way() {
        let wanted = [b"a".to_vec()];
        let mut arriving = Arriving::new(&wanted);
        assert_eq!(arriving.take(member("a", Content::Sparse)), Ok(None));
        assert_eq!(arriving.missed()[0].reason, "it has holes");
    }
}
