//! The last line of the terminal: a status that is drawn over and over, and makes way for messages and questions.

use std::io::{IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::getpgrp;
use rustix::termios::tcgetpgrp;

use super::terminal;

/// Back to the start of the line, and away with what stands there (ECMA-48, EL).
const CLEAR: &str = "\r\x1b[K";

/// What stands on the last line. Everybody who writes to the terminal has to know: hence a static.
static LINE: Mutex<Line> = Mutex::new(Line {
    shown: String::new(),
    questions: 0,
});

struct Line {
    /// Empty while there is none.
    shown: String,
    questions: u32,
}

fn lock() -> MutexGuard<'static, Line> {
    LINE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether standard error is a terminal that can draw a line anew.
pub(crate) fn possible() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Draws the status, cut to the width of the terminal: of a line that wraps only the last part could be taken away. Nothing is
/// drawn over a question, or over what another job does on the terminal.
pub(crate) fn draw(text: &str) {
    let mut line = lock();
    if line.questions > 0 || !in_foreground() {
        line.shown.clear();
    } else if takes_more() {
        let width = terminal::size(std::io::stderr()).map_or(80, |(columns, _)| columns);
        line.shown = cut(text, width);
        write(&format!("{CLEAR}{}", line.shown));
    }
}

/// Takes the status away.
pub(crate) fn clear() {
    let mut line = lock();
    if !std::mem::take(&mut line.shown).is_empty() {
        write(CLEAR);
    }
}

/// Writes lines that stay, above the status. One write, so that lines of several processes on one terminal do not mix. With
/// standard error gone there is nobody left to tell.
pub(super) fn write_above(text: &str) {
    let line = lock();
    match line.shown.as_str() {
        "" => write(&format!("{text}\n")),
        shown => write(&format!("{CLEAR}{text}\n{shown}")),
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

/// The text without what a terminal of this width would show on a second line. The last column stays free: some terminals wrap
/// as soon as it is written to.
fn cut(text: &str, width: u32) -> String {
    let room = usize::try_from(width).unwrap_or(usize::MAX).saturating_sub(1);
    text.chars().take(room).collect()
}

fn write(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn a_status_never_reaches_the_last_column() {
        for (width, shown) in [(0, ""), (1, ""), (4, "web"), (5, "web:"), (80, "web: up")] {
            assert_eq!(cut("web: up", width), shown);
        }
    }
}
