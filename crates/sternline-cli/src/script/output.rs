//! Where a script's output goes.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use sternline_script::{Output, Stop, Why};

use crate::ui::{Failure, Stream, Ui};

/// The most bytes that a pipe takes without waiting once it is said to take any (pipe(7), PIPE_BUF).
const PIECE: usize = 4096;

/// Standard output, written to by the script's thread. A print comes back when its text was written, so that its order with
/// messages, and with what local processes write, is the script's own.
#[derive(Debug)]
pub(crate) struct Written {
    ui: Ui,
    stop: Stop,
    stdout: Mutex<Stdout>,
}

#[derive(Debug)]
struct Stdout {
    stream: Stream,
    /// Nobody reads it, or its disk is full. The script was told to end.
    failed: Option<io::Error>,
}

impl Written {
    /// When nothing more can be written, the script is told to end.
    pub(crate) fn new(stop: &Stop, ui: &Ui) -> Result<Self, Failure> {
        let stream = Stream::new(io::stdout()).map_err(|error| Failure::output(&error))?;
        Ok(Self {
            ui: *ui,
            stop: stop.clone(),
            stdout: Mutex::new(Stdout { stream, failed: None }),
        })
    }

    /// Why not all could be written.
    pub(crate) fn failed(&self) -> Option<Failure> {
        self.lock().failed.as_ref().map(Failure::output)
    }

    /// A line of our own on standard output, such as the value of an expression.
    pub(crate) fn line(&self, text: &str) {
        self.out(&format!("{text}\n"));
    }

    fn lock(&self) -> MutexGuard<'_, Stdout> {
        self.stdout.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what a reader takes. One that pauses must not keep a script that was told to end.
    fn write(&self, stdout: &mut Stdout, text: &str) -> io::Result<()> {
        for piece in text.as_bytes().chunks(PIECE) {
            while !stdout.stream.takes_more()? {
                if self.stop.why().is_some() {
                    return Ok(());
                }
            }
            stdout.stream.write(&[piece.to_vec().into()])?;
        }
        Ok(())
    }
}

impl Output for Written {
    fn out(&self, text: &str) {
        let mut stdout = self.lock();
        if stdout.failed.is_none()
            && let Err(error) = self.write(&mut stdout, text)
        {
            stdout.failed = Some(error);
            self.stop.stop(Why::Interrupted);
        }
    }

    fn message(&self, line: &str) {
        match line.strip_prefix("warning: ") {
            Some(warning) => self.ui.warning(warning),
            None => self.ui.said(line),
        }
    }
}
