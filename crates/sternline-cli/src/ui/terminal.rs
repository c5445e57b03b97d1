//! The local terminal: raw or without echo for a while, and always put back.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

/// The terminal's own state, while we have changed it. One process has one controlling terminal, and every way out
/// of the program has to find it: hence a static.
static CHANGED: Mutex<Option<(OwnedFd, Termios)>> = Mutex::new(None);

/// The terminal is in another state until this is dropped.
#[derive(Debug)]
pub(crate) struct Changed(());

impl Drop for Changed {
    fn drop(&mut self) {
        restore();
    }
}

/// Passes every key on as it is, to the other side's terminal.
pub(crate) fn raw(terminal: impl AsFd) -> io::Result<Changed> {
    change(terminal, Termios::make_raw)
}

/// Shows nothing of what is typed, for a secret.
pub(crate) fn without_echo(terminal: impl AsFd) -> io::Result<Changed> {
    change(terminal, |state| {
        state.local_modes.remove(LocalModes::ECHO);
        // The line still ends on the screen, or the next message would stand behind the question.
        state.local_modes.insert(LocalModes::ECHONL);
    })
}

fn change(terminal: impl AsFd, how: impl FnOnce(&mut Termios)) -> io::Result<Changed> {
    let terminal = terminal.as_fd().try_clone_to_owned()?;
    let before = tcgetattr(&terminal)?;
    let mut after = before.clone();
    how(&mut after);
    let mut changed = CHANGED.lock().unwrap_or_else(PoisonError::into_inner);
    tcsetattr(&terminal, OptionalActions::Drain, &after)?;
    // Of changes on top of one another, the first knows how it was.
    changed.get_or_insert((terminal, before));
    Ok(Changed(()))
}

/// Puts the terminal back, and says whether it had been changed.
pub(crate) fn restore() -> bool {
    let changed = CHANGED.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some((terminal, before)) = &changed {
        let _ = tcsetattr(terminal, OptionalActions::Drain, before);
    }
    changed.is_some()
}

/// Makes a panic put the terminal back before it says anything.
pub(crate) fn restore_on_panic() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        restore();
        tell(panic);
    }));
}

/// Columns and rows; `None` where it is not a terminal, or one that does not know its size.
pub(crate) fn size(terminal: impl AsFd) -> Option<(u32, u32)> {
    let size = tcgetwinsize(terminal).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then(|| (size.ws_col.into(), size.ws_row.into()))
}
