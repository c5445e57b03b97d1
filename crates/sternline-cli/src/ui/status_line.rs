//! The last lines of the terminal: a status that is drawn over and over, and makes way for messages and questions.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, fstat};
use rustix::process::getpgrp;
use rustix::termios::tcgetpgrp;
use unicode_width::UnicodeWidthChar;

use super::terminal;

/// What stands on the last lines. Everybody who writes to the terminal has to know: hence a static.
static STATUS: Mutex<Status> = Mutex::new(Status {
    shown: Vec::new(),
    questions: 0,
});

/// How long a message waits for a terminal that takes nothing, once somebody has asked for the end.
const PATIENCE: Duration = Duration::from_secs(2);

/// Somebody has asked for the end.
static HURRY: AtomicBool = AtomicBool::new(false);

/// A message has waited in vain since then. The others do not wait as well.
static STUCK: AtomicBool = AtomicBool::new(false);

struct Status {
    /// Empty while there is none.
    shown: Vec<String>,
    questions: u32,
}

fn lock() -> MutexGuard<'static, Status> {
    STATUS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the end must not wait for the terminal. One that was stopped with Ctrl-S, or that nobody reads any more, would hold it up for
/// as long as it pleases, whatever signals come. What such a terminal does not take in time is not shown.
pub(crate) fn hurry(hurry: bool) {
    HURRY.store(hurry, Ordering::Relaxed);
    STUCK.store(false, Ordering::Relaxed);
}

/// The status, once there is room to write; nothing where that would take too long.
fn lock_for_writing() -> Option<MutexGuard<'static, Status>> {
    if !HURRY.load(Ordering::Relaxed) {
        return Some(lock());
    }
    let patience = match STUCK.load(Ordering::Relaxed) {
        true => Duration::ZERO,
        false => PATIENCE,
    };
    let give_up = Instant::now() + patience;
    loop {
        let status = match STATUS.try_lock() {
            Ok(status) => Some(status),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        };
        if status.is_some() && takes_more() {
            return status;
        }
        drop(status);
        if Instant::now() >= give_up {
            STUCK.store(true, Ordering::Relaxed);
            return None;
        }
        // Neither a lock nor a terminal can be waited for in any other way here.
        sleep(Duration::from_millis(5));
    }
}

/// Whether standard error is a terminal that can draw a line anew.
pub(crate) fn possible() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// The same, with standard output leading where it is not in the way: what reads from a pipe may write to the terminal too.
pub(crate) fn fits_output() -> bool {
    let stdout = std::io::stdout();
    let is_pipe = fstat(&stdout).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo);
    possible() && !is_pipe
}

/// Columns and rows that a status may take.
pub(crate) fn room() -> (usize, usize) {
    let (columns, rows) = terminal::size(std::io::stderr()).unwrap_or((80, 24));
    let size = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    // The last column stays free: some terminals wrap as soon as it is written to.
    (size(columns).saturating_sub(1), size(rows).saturating_sub(1))
}

/// Draws the status, cut to the size of the terminal: of a line that wraps only the last part could be taken away, and of lines
/// that have scrolled nothing. Nothing is drawn over a question, or over what another job does on the terminal.
pub(crate) fn draw<S: AsRef<str>>(lines: &[S]) {
    // Whoever writes to the terminal just now may be waiting for it, and the next drawing is not far.
    let Ok(mut status) = STATUS.try_lock() else {
        return;
    };
    if status.questions > 0 || !in_foreground() {
        status.shown.clear();
    } else if takes_more() {
        let (columns, rows) = room();
        let lines = lines.iter().take(rows.max(1));
        let lines: Vec<String> = lines.map(|line| cut(line.as_ref(), columns)).collect();
        write(&format!("{}{}", away(&status.shown), drawn(&lines)));
        status.shown = lines;
    }
}

/// Takes the status away.
pub(crate) fn clear() {
    let Some(mut status) = lock_for_writing() else {
        return;
    };
    let shown = std::mem::take(&mut status.shown);
    if !shown.is_empty() {
        write(&away(&shown));
    }
}

/// Has something written that stays, in whole lines, above the status.
pub(super) fn above<T>(write_lines: impl FnOnce() -> T) -> T {
    let status = lock();
    if status.shown.is_empty() {
        return write_lines();
    }
    write(&away(&status.shown));
    let written = write_lines();
    write(&drawn(&status.shown));
    written
}

/// Writes lines that stay, above the status. One write, so that lines of several processes on one terminal do not mix. With
/// standard error gone there is nobody left to tell.
pub(super) fn write_above(text: &str) {
    let Some(status) = lock_for_writing() else {
        return;
    };
    if status.shown.is_empty() {
        write(&format!("{text}\n"));
    } else {
        write(&format!(
            "{}{text}\n{}",
            away(&status.shown),
            drawn(&status.shown)
        ));
    }
}

/// The lines as they are written. The cursor goes back to the first column, so that the `^C` which a terminal shows for Ctrl-C
/// does not wrap to another line.
fn drawn(lines: &[String]) -> String {
    format!("{}\r", lines.join("\n"))
}

/// Back to the start of what stands there, and away with it (ECMA-48, CUU, EL and ED).
fn away(shown: &[String]) -> String {
    match shown.len() {
        0 | 1 => "\r\x1b[K".to_owned(),
        lines => format!("\r\x1b[{}A\x1b[J", lines - 1),
    }
}

/// Makes way for a question on the terminal, until this is dropped.
pub(super) struct Question(());

impl Question {
    pub(super) fn begin() -> Self {
        clear();
        lock().questions += 1;
        Self(())
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        lock().questions -= 1;
    }
}

/// Whether the terminal is ours and not that of a shell which runs us in the background.
fn in_foreground() -> bool {
    tcgetpgrp(std::io::stderr()).map_or(true, |group| group == getpgrp())
}

/// Whether the terminal takes more at once: one that was stopped with Ctrl-S would keep us waiting, and the tunnel with us.
fn takes_more() -> bool {
    let stderr = std::io::stderr();
    let ready = poll(
        &mut [PollFd::new(&stderr, PollFlags::OUT)],
        Some(&Timespec::default()),
    );
    ready.is_ok_and(|ready| ready > 0)
}

/// The beginning of the text that fits into so many columns.
pub(super) fn cut(text: &str, columns: usize) -> String {
    let mut left = columns;
    let fits = |c: &char| {
        let after = left.checked_sub(c.width().unwrap_or(0));
        left = after.unwrap_or(0);
        after.is_some()
    };
    text.chars().take_while(fits).collect()
}

fn write(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_where_the_columns_end() {
        for (text, columns, shown) in [
            ("web: up", 0, ""),
            ("web: up", 3, "web"),
            ("web: up", 80, "web: up"),
            ("日本", 3, "日"),
            ("日本", 4, "日本"),
            ("e\u{301}x", 1, "e\u{301}"),
        ] {
            assert_eq!(cut(text, columns), shown, "{text} {columns}");
        }
    }

    #[test]
    fn the_cursor_rests_where_ctrl_c_makes_no_further_line() {
        assert_eq!(drawn(&["a".to_owned(), "b".to_owned()]), "a\nb\r");
    }

    #[test]
    fn several_lines_are_taken_away_from_the_first_on() {
        let lines = |count| vec![String::new(); count];
        assert_eq!(away(&lines(0)), "\r\x1b[K");
        assert_eq!(away(&lines(1)), "\r\x1b[K");
        assert_eq!(away(&lines(3)), "\r\x1b[2A\x1b[J");
    }
}
