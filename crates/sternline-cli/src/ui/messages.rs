//! Messages on standard error. Standard output is for data only.

use std::io::IsTerminal;

use super::failure::Failure;
use super::status_line::write_above;

/// How and how much to tell people. Everything goes to standard error, and what comes from a peer or a file must be
/// escaped by whoever puts it into a message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ui {
    quiet: bool,
    verbose: u8,
    colour: bool,
}

const RED: &str = "\x1b[1;31m";
const YELLOW: &str = "\x1b[1;33m";
const CYAN: &str = "\x1b[1;36m";

impl Ui {
    /// Colours are used only on a terminal, and not where `NO_COLOR` is set.
    pub(crate) fn new(quiet: bool, verbose: u8) -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self {
            quiet,
            verbose,
            colour: !refused && std::io::stderr().is_terminal(),
        }
    }

    /// Whether `-q` was given.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Whether `-v` was given.
    pub(crate) fn is_verbose(&self) -> bool {
        self.verbose > 0
    }

    /// Two lines: what happened and in which phase; what to try.
    pub(crate) fn error(&self, failure: &Failure) {
        if !failure.is_silent() {
            self.labelled(RED, "error", &failure.headline());
            self.hint(failure.hint());
        }
    }

    /// What to try next.
    pub(crate) fn hint(&self, text: &str) {
        self.labelled(CYAN, "hint", text);
    }

    /// Something worth knowing that stops nothing. Silenced by `-q`.
    pub(crate) fn warning(&self, text: &str) {
        if !self.quiet {
            self.labelled(YELLOW, "warning", text);
        }
    }

    /// A line of a report, such as a summary. Silenced by `-q`.
    pub(crate) fn line(&self, text: &str) {
        if !self.quiet {
            write_above(text);
        }
    }

    /// A host that failed, in the report of several. Not silenced: it is an error.
    pub(crate) fn failed_host(&self, text: &str) {
        self.labelled(RED, "failed", text);
    }

    /// A detail that only `-v` shows.
    pub(crate) fn note(&self, text: &str) {
        if self.verbose > 0 {
            write_above(text);
        }
    }

    fn labelled(&self, colour: &str, label: &str, text: &str) {
        if self.colour {
            write_above(&format!("{colour}{label}:\x1b[0m {text}"));
        } else {
            write_above(&format!("{label}: {text}"));
        }
    }
}
