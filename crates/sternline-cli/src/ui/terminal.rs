//! The local terminal: raw or without echo for a while, and always put back.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcdrain, tcgetattr, tcgetwinsize, tcsetattr,
};
use tokio::signal::unix::{SignalKind, signal};

/// The terminal's own state, while we have changed it. One process has one controlling terminal, and every way out
/// of the program has to find it: hence a static.
static CHANGED: Mutex<Option<State>> = Mutex::new(None);

struct State {
    terminal: OwnedFd,
    before: Termios,
    ours: Termios,
    /// What is asked, where that is why it was changed.
    question: String,
}

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
    change(terminal, "", Termios::make_raw)
}

/// Changes nothing, but remembers how the terminal was: for somebody else who changes it, and may be ended meanwhile.
#[cfg(feature = "script")]
pub(crate) fn remember(terminal: impl AsFd) -> io::Result<Changed> {
    change(terminal, "", |_| ())
}

/// What Ctrl-\ types while a secret is asked for.
pub(crate) const QUIT: char = '\x1c';

/// A special character that is switched off (`_POSIX_VDISABLE` of Linux).
const DISABLED: u8 = 0;

/// Asks for a secret, and shows nothing of what is typed. From then on this process leaves no core, for the secret would be in it.
pub(crate) fn without_echo(terminal: impl AsFd, question: &str) -> io::Result<Changed> {
    let maximum = getrlimit(Resource::Core).maximum;
    setrlimit(
        Resource::Core,
        Rlimit {
            current: Some(0),
            maximum,
        },
    )?;
    // Asked only once nothing is shown, so that not even a quick typist's first keys are.
    let changed = change(&terminal, question, |state| {
        state.local_modes.remove(LocalModes::ECHO);
        // The line still ends on the screen, or the next message would stand behind the question.
        state.local_modes.insert(LocalModes::ECHONL);
        // SIGQUIT would end us with the terminal left as it is now.
        if cfg!(target_os = "linux") {
            state.special_codes[SpecialCodeIndex::VQUIT] = DISABLED;
        }
    })?;
    rustix::io::write(terminal, question.as_bytes())?;
    Ok(changed)
}

fn change(terminal: impl AsFd, question: &str, how: impl FnOnce(&mut Termios)) -> io::Result<Changed> {
    let terminal = terminal.as_fd().try_clone_to_owned()?;
    // A job in the background is stopped here until it is brought to the front (tcdrain(3), SIGTTOU), and so does not take the
    // state in which the shell reads its own line for the one to begin with.
    tcdrain(&terminal)?;
    let before = tcgetattr(&terminal)?;
    let mut after = before.clone();
    how(&mut after);
    let mut changed = CHANGED.lock().unwrap_or_else(PoisonError::into_inner);
    tcsetattr(&terminal, OptionalActions::Drain, &after)?;
    // Of changes on top of one another, the first knows how it was.
    let state = changed.get_or_insert(State {
        terminal,
        before,
        ours: after.clone(),
        question: String::new(),
    });
    state.ours = after;
    question.clone_into(&mut state.question);
    Ok(Changed(()))
}

/// Puts the terminal back, and says whether it had been changed.
pub(crate) fn restore() -> bool {
    let changed = CHANGED.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(state) = &changed {
        let _ = tcsetattr(&state.terminal, OptionalActions::Drain, &state.before);
    }
    changed.is_some()
}

/// Changes the terminal again, and asks again, each time that we go on after having been stopped: a shell gives itself its own state back
/// meanwhile, in which a password would be shown. Never ends.
pub(crate) async fn keep_changed() {
    let Ok(mut resumed) = signal(SignalKind::from_raw(Signal::CONT.as_raw())) else {
        return std::future::pending().await;
    };
    while resumed.recv().await.is_some() {
        let changed = CHANGED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(state) = &*changed {
            let _ = tcsetattr(&state.terminal, OptionalActions::Now, &state.ours);
            let _ = rustix::io::write(&state.terminal, state.question.as_bytes());
        }
    }
}

/// Makes a panic put the terminal back before it says anything.
pub(crate) fn restore_on_panic() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        restore();
        // A script's thread makes an error of it.
        if std::thread::current().name() != Some("script") {
            tell(panic);
        }
    }));
}

/// Columns and rows; `None` where it is not a terminal, or one that does not know its size.
pub(crate) fn size(terminal: impl AsFd) -> Option<(u32, u32)> {
    let size = tcgetwinsize(terminal).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then(|| (size.ws_col.into(), size.ws_row.into()))
}
