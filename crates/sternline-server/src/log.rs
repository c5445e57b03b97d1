//! What the server ran, for tests and for people to look at.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::exec::ExitOutcome;

/// Entries kept; older ones are forgotten.
const KEPT: usize = 10_000;

/// One command, shell or subsystem that a client asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogEntry {
    /// The user who logged in.
    pub user: String,
    /// The command exactly as the client sent it, or `None` for an interactive shell or a subsystem.
    pub command: Option<Bytes>,
    /// The subsystem that was asked for instead of a command or a shell: `sftp`.
    pub subsystem: Option<String>,
    /// How it ended; `None` while it runs, and for ever when the client or a shutdown ended it first.
    pub exit: Option<ExitOutcome>,
}

/// Who is told of every start and end.
pub(crate) type Observer = Box<dyn Fn(&LogEntry) + Send + Sync>;

/// The last commands, oldest first.
#[derive(Default)]
pub(crate) struct Log {
    entries: Mutex<Entries>,
    observer: Option<Observer>,
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Log").field(&self.entries).finish()
    }
}

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
    pub(crate) fn new(observer: Option<Observer>) -> Self {
        Self {
            entries: Mutex::default(),
            observer,
        }
    }

    pub(crate) fn started(&self, user: &str, command: Option<Bytes>, subsystem: Option<String>) -> EntryId {
        let entry = LogEntry {
            user: user.to_owned(),
            command,
            subsystem,
            exit: None,
        };
        self.tell(&entry);
        let mut entries = self.lock();
        if entries.kept.len() == KEPT {
            entries.kept.pop_front();
            entries.first += 1;
        }
        entries.kept.push_back(entry);
        EntryId(entries.first + entries.kept.len() as u64 - 1)
    }

    pub(crate) fn ended(&self, id: EntryId, exit: ExitOutcome) {
        let mut entries = self.lock();
        let index =
            id.0.checked_sub(entries.first)
                .and_then(|index| usize::try_from(index).ok());
        let Some(entry) = index.and_then(|index| entries.kept.get_mut(index)) else {
            return;
        };
        entry.exit = Some(exit);
        let entry = entry.clone();
        drop(entries);
        self.tell(&entry);
    }

    fn tell(&self, entry: &LogEntry) {
        if let Some(observer) = &self.observer {
            observer(entry);
        }
    }

    pub(crate) fn entries(&self) -> Vec<LogEntry> {
        self.lock().kept.iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_observer_is_told_of_a_start_and_of_its_end() {
        let told = std::sync::Arc::new(Mutex::new(Vec::new()));
        let telling = std::sync::Arc::clone(&told);
        let log = Log::new(Some(Box::new(move |entry| {
            telling.lock().unwrap().push(entry.exit.clone())
        })));
        let id = log.started("u", Some("uptime".into()), None);
        log.ended(id, ExitOutcome::SUCCESS);
        assert_eq!(*told.lock().unwrap(), [None, Some(ExitOutcome::SUCCESS)]);
    }

    #[test]
    fn the_oldest_entries_are_forgotten_and_an_end_finds_its_own_entry() {
        let log = Log::default();
        let first = log.started("u", Some("first".into()), None);
        let ids: Vec<_> = (0..KEPT)
            .map(|n| log.started("u", Some(Bytes::from(n.to_string())), None))
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
                subsystem: None,
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
