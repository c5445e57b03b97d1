//! What the server ran, for tests and for people to look at.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::exec::ExitOutcome;

/// Entries kept; older ones are forgotten.
const KEPT: usize = 10_000;

/// One command that a client asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogEntry {
    /// The user who logged in.
    pub user: String,
    /// The command exactly as the client sent it, or `None` for an interactive shell.
    pub command: Option<Bytes>,
    /// How it ended; `None` while it runs, and for ever when the client or a shutdown ended it first.
    pub exit: Option<ExitOutcome>,
}

/// The last commands, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Log(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    /// The number of the first entry that is kept.
    first: u64,
    kept: VecDeque<LogEntry>,
}

/// The number of an entry.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EntryId(u64);

impl Log {
    pub(crate) fn started(&self, user: &str, command: Option<Bytes>) -> EntryId {
        let mut entries = self.lock();
        if entries.kept.len() == KEPT {
            entries.kept.pop_front();
            entries.first += 1;
        }
        entries.kept.push_back(LogEntry {
            user: user.to_owned(),
            command,
            exit: None,
        });
        EntryId(entries.first + entries.kept.len() as u64 - 1)
    }

    pub(crate) fn ended(&self, id: EntryId, exit: ExitOutcome) {
        let mut entries = self.lock();
        let index =
            id.0.checked_sub(entries.first)
                .and_then(|index| usize::try_from(index).ok());
        if let Some(entry) = index.and_then(|index| entries.kept.get_mut(index)) {
            entry.exit = Some(exit);
        }
    }

    pub(crate) fn entries(&self) -> Vec<LogEntry> {
        self.lock().kept.iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_entries_are_forgotten_and_an_end_finds_its_own_entry() {
        let log = Log::default();
        let first = log.started("u", Some("first".into()));
        let ids: Vec<_> = (0..KEPT)
            .map(|n| log.started("u", Some(Bytes::from(n.to_string()))))
            .collect();
        log.ended(first, ExitOutcome::Code(9));
        log.ended(*ids.last().unwrap(), ExitOutcome::Code(7));
        let entries = log.entries();
        assert_eq!(entries.len(), KEPT);
        assert_eq!(
            entries[0],
            LogEntry {
                user: "u".into(),
                command: Some("0".into()),
                exit: None
            }
        );
        assert_eq!(entries.last().unwrap().exit, Some(ExitOutcome::Code(7)));
        assert!(
            entries
                .iter()
                .all(|entry| entry.exit != Some(ExitOutcome::Code(9)))
        );
    }
}
