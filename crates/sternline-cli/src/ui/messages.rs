//! Messages on standard error. Standard output is for data only.

use super::colour::Colour;
use super::failure::Failure;
use super::status_line::write_above;

/// How and how much to tell people. Everything goes to standard error, and what comes from a peer or a file must be
/// escaped by whoever puts it into a message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ui {
    quiet: bool,
    verbose: u8,
    colour: Colour,
}

const RED: &str = "1;31";
const YELLOW: &str = "1;33";
const CYAN: &str = "1;36";

impl Ui {
    pub(crate) fn new(quiet: bool, verbose: u8) -> Self {
        Self {
            quiet,
            verbose,
            colour: Colour::of_stderr(),
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

    /// Something that a script says. Not silenced: who has written it wants it said.
    #[cfg(feature = "script")]
    pub(crate) fn said(&self, text: &str) {
        write_above(text);
    }

    /// Whether messages have colours.
    #[cfg(feature = "script")]
    pub(crate) fn has_colours(&self) -> bool {
        self.colour.has_colours()
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

    /// Hosts on which nothing was begun. Not silenced either.
    pub(crate) fn not_begun(&self, text: &str) {
        self.labelled(YELLOW, "not begun", text);
    }

    /// A detail that only `-v` shows.
    pub(crate) fn note(&self, text: &str) {
        self.note_with(|| text.to_owned());
    }

    /// As [`Ui::note`], for a text that costs something to put together.
    pub(crate) fn note_with(&self, text: impl FnOnce() -> String) {
        if self.verbose > 0 {
            write_above(&text());
        }
    }

    fn labelled(&self, colour: &str, label: &str, text: &str) {
        write_above(&format!(
            "{} {text}",
            self.colour.styled(colour, &format!("{label}:"))
        ));
    }
}
