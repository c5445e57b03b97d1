//! A recording that is being replayed, and what it lacked so far.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sternline_proto::evidence::{RecordedCommand, Recording, RecordingError};
use sternline_proto::text::escape_bytes;
use thiserror::Error;

use super::book::Book;
use super::note::ReplayNote;
use crate::protocol::config::Face;

/// Bytes of a bundle that are read at most, as by the library.
const MAX_BYTES: u64 = 256 << 20;
/// Notes kept, and missing commands; of the former the last ones, of the latter the first.
const KEPT: usize = 10_000;

/// A recorded host that is played again: [`crate::ServerBuilder::replay`] takes it.
///
/// Each command is answered with the output that it had, byte for byte, and with its end. Standard output comes first, for a
/// recording has no order between the two. A command that was recorded several times is answered in that order, and from
/// then on as the last time. Where a secret was masked in a recorded command, any text in its place is right. A command ends
/// when it has read as much as then, or all that there is. One whose connection was lost loses it again, and one that the
/// client gave up goes on until it does so again.
///
/// A command that is not in the recording gets exit status 127 and a line on standard error, and [`Replay::missing`] names
/// it.
///
/// Cheap to clone; all clones are the same replay.
#[derive(Clone)]
pub struct Replay {
    shared: Arc<Shared>,
    keep_timing: bool,
    observer: Option<Arc<NoteObserver>>,
}

/// Who is told of every note.
type NoteObserver = Box<dyn Fn(&ReplayNote) + Send + Sync>;

struct Shared {
    face: Face,
    username: Option<String>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    book: Book,
    answered: u64,
    missing: Missing,
    notes: VecDeque<ReplayNote>,
}

#[derive(Debug, Default)]
struct Missing {
    in_order: Vec<String>,
    known: HashSet<String>,
}

/// Why there is nothing to replay.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", shown(.path))]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// What stands in the file is no bundle.
    #[error("cannot replay {}: {source}", shown(.path))]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: RecordingError,
    },
}

fn shown(path: &Path) -> String {
    escape_bytes(path.as_os_str().as_encoded_bytes())
}

impl Replay {
    /// Replays this.
    #[must_use]
    pub fn new(recording: Recording) -> Self {
        let shared = Shared {
            face: Face {
                identification: recording.identification(),
                banner: recording.banner,
            },
            username: recording.username,
            state: Mutex::new(State {
                book: Book::new(recording.commands),
                ..State::default()
            }),
        };
        Self {
            shared: Arc::new(shared),
            keep_timing: false,
            observer: None,
        }
    }

    /// Replays a bundle, given as the text of its file: JSON or JSON lines.
    ///
    /// # Errors
    /// When it is no bundle, or a command in it lacks something.
    pub fn from_text(text: &str) -> Result<Self, RecordingError> {
        Recording::from_text(text).map(Self::new)
    }

    /// Replays the bundle in a file.
    ///
    /// # Errors
    /// As [`Replay::from_text`], and when the file cannot be read, is no text in UTF-8, or has more than 256 MiB.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, ReplayError> {
        let path = path.as_ref();
        let mut text = String::new();
        let read = File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_string(&mut text));
        let read = read.and_then(|_| match text.len() as u64 > MAX_BYTES {
            true => Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                "it has more than 256 MiB",
            )),
            false => Ok(()),
        });
        read.map_err(|source| ReplayError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::from_text(&text).map_err(|source| ReplayError::File {
            path: path.to_owned(),
            source,
        })
    }

    /// Lets each command take as long as it took: its output comes at once, and its end when it came then.
    #[must_use]
    pub fn keep_timing(mut self) -> Self {
        self.keep_timing = true;
        self
    }

    /// Calls `observer` for everything that is worth knowing about an answer, such as a command that is missing. It must
    /// not block.
    #[must_use]
    pub fn on_note(mut self, observer: impl Fn(&ReplayNote) + Send + Sync + 'static) -> Self {
        self.observer = Some(Arc::new(Box::new(observer)));
        self
    }

    /// The commands that the recording can answer: each once, in the order in which they were first run. An interactive shell
    /// is an empty one.
    #[must_use]
    pub fn commands(&self) -> Vec<String> {
        self.lock().book.commands().map(str::to_owned).collect()
    }

    /// Who was logged in on the recorded host.
    #[must_use]
    pub fn username(&self) -> Option<&str> {
        self.shared.username.as_deref()
    }

    /// What the recorded server called itself, if a server may send that: the identification line of RFC 4253 section 4.2.
    #[must_use]
    pub fn identification(&self) -> Option<&str> {
        self.shared.face.identification.as_deref()
    }

    /// What the server shows instead of its own face.
    pub(crate) fn face(&self) -> Face {
        self.shared.face.clone()
    }

    pub(super) fn keeps_timing(&self) -> bool {
        self.keep_timing
    }

    /// How many commands were answered from the recording.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.lock().answered
    }

    /// The commands that clients asked for and the recording does not have: each once, in the order in which they were
    /// first asked for. An interactive shell is an empty one. At most 10,000 are kept.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        self.lock().missing.in_order.clone()
    }

    /// Everything that is worth knowing about the answers, oldest first; the last 10,000 are kept.
    #[must_use]
    pub fn notes(&self) -> Vec<ReplayNote> {
        self.lock().notes.iter().cloned().collect()
    }

    /// The recorded command that answers this one, if there is one.
    pub(super) fn take(&self, asked: &str) -> Option<Arc<RecordedCommand>> {
        let mut state = self.lock();
        let take = state.book.answer(asked);
        state.answered += u64::from(take.is_some());
        take
    }

    pub(super) fn note(&self, note: ReplayNote) {
        if let Some(observer) = &self.observer {
            observer(&note);
        }
        let mut state = self.lock();
        if let ReplayNote::Missing { command } = &note {
            state.missing.add(command);
        }
        if state.notes.len() == KEPT {
            state.notes.pop_front();
        }
        state.notes.push_back(note);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replay")
            .field("commands", &self.commands())
            .field("missing", &self.missing())
            .finish_non_exhaustive()
    }
}

impl Missing {
    fn add(&mut self, command: &str) {
        if self.in_order.len() < KEPT && self.known.insert(command.to_owned()) {
            self.in_order.push(command.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_command_is_named_once_however_often_it_is_asked_for() {
        let replay = Replay::new(Recording::default());
        for command in ["b", "a", "b"] {
            assert!(replay.take(command).is_none());
            replay.note(ReplayNote::Missing {
                command: command.to_owned(),
            });
        }
        assert_eq!(replay.clone().missing(), ["b", "a"]);
        assert_eq!((replay.notes().len(), replay.answered()), (3, 0));
        assert!(replay.commands().is_empty());
    }

    #[test]
    fn what_cannot_be_replayed_is_said_with_the_name_of_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bundle");
        let error = Replay::from_file(&path).unwrap_err().to_string();
        assert!(
            error.starts_with("cannot read ") && error.contains("bundle"),
            "{error}"
        );
        std::fs::write(&path, "nonsense").unwrap();
        let error = Replay::from_file(&path).unwrap_err().to_string();
        assert!(
            error.starts_with("cannot replay ") && error.contains("line 1"),
            "{error}"
        );
        std::fs::write(&path, b"\xff").unwrap();
        assert!(Replay::from_file(&path).is_err());
        std::fs::write(&path, r#"{"version": "1.0"}"#).unwrap();
        assert!(Replay::from_file(&path).unwrap().commands().is_empty());
    }
}
