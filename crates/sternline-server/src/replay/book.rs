//! Which recorded command answers the one that is asked for.

use std::collections::HashMap;
use std::sync::Arc;

use sternline_proto::evidence::RecordedCommand;

/// What a mask begins with, up to a closing bracket: secrets, private keys, addresses.
const MASK: &str = "[REDACTED";
/// What stands for the last three numbers of an IPv4 address.
const ADDRESS_MASK: &str = "xxx.xxx.xxx";

/// The recorded commands by their lines, and how far each line has got.
#[derive(Debug, Default)]
pub(super) struct Book {
    lines: Vec<Line>,
    by_text: HashMap<String, usize>,
}

#[derive(Debug)]
struct Line {
    text: String,
    /// What it was answered with, each time that it was recorded.
    takes: Vec<Arc<RecordedCommand>>,
    /// How often it was asked for.
    asked: usize,
}

impl Book {
    /// The commands, in the order in which they were started.
    pub(super) fn new(commands: Vec<RecordedCommand>) -> Self {
        let mut book = Self::default();
        for command in commands {
            let next = book.lines.len();
            let index = *book.by_text.entry(command.command.clone()).or_insert(next);
            match book.lines.get_mut(index) {
                Some(line) => line.takes.push(Arc::new(command)),
                None => book.lines.push(Line {
                    text: command.command.clone(),
                    takes: vec![Arc::new(command)],
                    asked: 0,
                }),
            }
        }
        book
    }

    /// Each line once.
    pub(super) fn commands(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(|line| line.text.as_str())
    }

    /// The answer to this line: as it was recorded for the first time, the second time and so on, and from then on as it
    /// was for the last time. Where no line is equal, one that is equal but for what was masked in it answers.
    pub(super) fn answer(&mut self, asked: &str) -> Option<Arc<RecordedCommand>> {
        let index = self.by_text.get(asked).copied().or_else(|| {
            self.lines
                .iter()
                .position(|line| is_equal_but_for_masks(&line.text, asked))
        })?;
        let line = self.lines.get_mut(index)?;
        let take = line.takes.get(line.asked).or_else(|| line.takes.last());
        line.asked = line.asked.saturating_add(1);
        take.cloned()
    }
}

/// Whether the line is the recorded one, with any text where that one has a mask. A line of which nothing but masks is left
/// is like no other.
fn is_equal_but_for_masks(recorded: &str, asked: &str) -> bool {
    let parts = between_masks(recorded);
    let [first, middle @ .., last] = parts.as_slice() else {
        return false;
    };
    if parts.iter().all(|part| part.trim().is_empty()) {
        return false;
    }
    let Some(rest) = asked.strip_prefix(first) else {
        return false;
    };
    let Some(mut rest) = rest.strip_suffix(last) else {
        return false;
    };
    middle.iter().all(|part| match rest.split_once(part) {
        Some((_, after)) => {
            rest = after;
            true
        }
        None => false,
    })
}

/// The parts of a line between its masks: one more than there are masks.
fn between_masks(line: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = line;
    loop {
        let bracketed = rest.find(MASK).and_then(|start| {
            let length = rest.get(start..)?.find(']')? + 1;
            Some((start, start + length))
        });
        let address = rest
            .find(ADDRESS_MASK)
            .map(|start| (start, start + ADDRESS_MASK.len()));
        let Some((start, end)) = bracketed.into_iter().chain(address).min() else {
            parts.push(rest);
            return parts;
        };
        parts.push(rest.get(..start).unwrap_or_default());
        rest = rest.get(end..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sternline_proto::evidence::{RecordedInput, RecordedOutput};

    fn command(line: &str, exit_code: u32) -> RecordedCommand {
        RecordedCommand {
            command: line.to_owned(),
            started_ms: 1.0,
            duration_ms: 1.0,
            stdin: RecordedInput::default(),
            stdout: RecordedOutput::default(),
            stderr: RecordedOutput::default(),
            exit_code: Some(exit_code),
            signal: None,
            error: None,
        }
    }

    fn codes(book: &mut Book, asked: &[&str]) -> Vec<Option<u32>> {
        asked
            .iter()
            .map(|asked| book.answer(asked).and_then(|take| take.exit_code))
            .collect()
    }

    #[test]
    fn a_line_is_answered_in_its_order_and_then_as_the_last_time() {
        let mut book = Book::new(vec![command("a", 1), command("b", 2), command("a", 3)]);
        assert_eq!(
            codes(&mut book, &["a", "a", "b", "a", "a", "b", "c", "a "]),
            [Some(1), Some(3), Some(2), Some(3), Some(3), Some(2), None, None]
        );
    }

    #[test]
    fn what_was_masked_in_a_line_may_be_anything_and_an_equal_line_comes_first() {
        let mut book = Book::new(vec![
            command("mysql --password=[REDACTED] -e 'select 1'", 1),
            command("ping 10.xxx.xxx.xxx", 2),
            command("scp [REDACTED IPv6]:a db.[REDACTED]:b", 3),
            command("[REDACTED PRIVATE KEY]", 4),
            command("echo [REDACTED]", 5),
            command("echo plain", 6),
        ]);
        let asked = [
            "mysql --password=hunter2 -e 'select 1'",
            "mysql --password=hunter2 -e 'select 2'",
            "ping 10.1.2.3",
            "scp ::1:a db.example.com:b",
            "scp ::1:a db.example.com:b2",
            "anything",
            "echo plain",
            "echo secret",
            "mysql --password=[REDACTED] -e 'select 1'",
        ];
        assert_eq!(
            codes(&mut book, &asked),
            [
                Some(1),
                None,
                Some(2),
                Some(3),
                None,
                None,
                Some(6),
                Some(5),
                Some(1)
            ]
        );
    }

    #[test]
    fn the_parts_do_not_overlap() {
        for (recorded, asked, equal) in [
            ("ab[REDACTED]ba", "aba", false),
            ("ab[REDACTED]ba", "abba", true),
            ("[REDACTED]ab[REDACTED]ab", "ab", false),
            ("[REDACTED]ab[REDACTED]ab", "xabyab", true),
            ("echo [REDACTED", "echo [REDACTED", false),
        ] {
            assert_eq!(
                is_equal_but_for_masks(recorded, asked),
                equal,
                "{recorded} {asked}"
            );
        }
    }
}
