//! Why a script ended early.

mod nearest;
mod place;
mod render;
mod wording;

use std::fmt;

use crate::modules::core::Exit;
use crate::modules::test::Skipped;
use crate::stop::Why;
use crate::validate::{Finding, parameters_of};
use crate::wait::Stopped;

pub(crate) use nearest::nearest;
pub use place::Frame;
pub(crate) use place::{code, place};
pub(crate) use wording::{MODULE, Worded, missing, too_many, unknown_parameters};

/// What kind of end it is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The text is no script.
    Syntax,
    /// A name that nothing has.
    UnknownName,
    /// `fail`, an assertion, or a function that could not do its work.
    Failed,
    /// It was told to end.
    Stopped(Why),
    /// The script could not be read.
    Unreadable,
}

/// Why a script ended early, and where.
///
/// Its `Display` is one line; [`ScriptError::render`] shows all of it.
#[derive(Debug, Clone)]
pub struct ScriptError {
    kind: ErrorKind,
    message: String,
    hint: Option<String>,
    /// The calls, outermost first; the last one is where it happened.
    frames: Vec<Frame>,
    /// What else is wrong with the text.
    others: Vec<Finding>,
}

impl ScriptError {
    pub(crate) fn unreadable(message: String) -> Self {
        Self {
            kind: ErrorKind::Unreadable,
            message,
            hint: None,
            frames: Vec::new(),
            others: Vec::new(),
        }
    }

    /// It was told to end where nothing of its own text failed: in a function that it has deferred.
    pub(crate) fn stopped(why: Why) -> Self {
        Self {
            kind: ErrorKind::Stopped(why),
            message: why.to_string(),
            hint: None,
            frames: Vec::new(),
            others: Vec::new(),
        }
    }

    pub(crate) fn from_starlark(error: &starlark::Error) -> Self {
        let mut frames = place::places(error);
        if let Some(LoadFailed(inner)) = native(error).and_then(|error| error.downcast_ref::<LoadFailed>()) {
            frames.extend(inner.frames.iter().cloned());
            return Self {
                frames,
                ..inner.clone()
            };
        }
        let kind = match error.kind() {
            starlark::ErrorKind::Parser(_) => ErrorKind::Syntax,
            starlark::ErrorKind::Scope(_) => ErrorKind::UnknownName,
            _ => stopped(error).map_or(ErrorKind::Failed, ErrorKind::Stopped),
        };
        let Worded { message, hint } = worded(error);
        Self {
            kind,
            message,
            hint,
            frames,
            others: Vec::new(),
        }
    }

    /// The same, of a script that was told to end: whatever it failed with then, that is why.
    #[must_use]
    pub(crate) fn because_of(mut self, why: Option<Why>) -> Self {
        if let Some(why) = why {
            self.message = why.to_string();
            self.kind = ErrorKind::Stopped(why);
        }
        self
    }

    /// All names that nothing has, where the crate has told one of them.
    #[must_use]
    pub(crate) fn with_unknown_names(mut self, mut names: Vec<Finding>) -> Self {
        if self.kind == ErrorKind::UnknownName && !names.is_empty() {
            let first = names.remove(0);
            self.message = first.message;
            self.hint = first.hint;
            self.frames = vec![first.place];
            self.others = names;
        }
        self
    }

    /// What kind of end it is.
    #[must_use]
    pub fn kind(&self) -> &ErrorKind {
        &self.kind
    }

    /// What is wrong, without the place. It may have several lines, and text of a remote host in it.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What may help.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The calls, outermost first; the last one is where it happened.
    #[must_use]
    pub fn frames(&self) -> &[Frame] {
        &self.frames
    }

    /// What else is wrong with the text: further names that nothing has.
    #[must_use]
    pub fn others(&self) -> &[Finding] {
        &self.others
    }

    /// All of it, for people: the message, the place with its line, the calls that led there, and a hint. Every line has its
    /// end. What could move a cursor is escaped. Colours are for a terminal that has them.
    #[must_use]
    pub fn render(&self, colours: bool) -> String {
        render::render(self, colours)
    }
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(frame) = self.frames.last() {
            write!(f, "{}:{}:{}: ", frame.file, frame.line, frame.column)?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for ScriptError {}

/// A file that was loaded has failed: what happened in there, for the error of the file that loads it.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.message)]
pub(crate) struct LoadFailed(pub(crate) ScriptError);

/// Whether it is the failure of a file that was loaded.
pub(crate) fn is_of_loaded(error: &starlark::Error) -> bool {
    native(error).is_some_and(|error| error.is::<LoadFailed>())
}

/// The message of an error with its causes, and without its place.
pub(crate) fn message(error: &starlark::Error) -> String {
    worded(error).message
}

fn worded(error: &starlark::Error) -> Worded {
    let mut message = error.without_diagnostic().to_string();
    let mut cause = error.kind().source();
    while let Some(next) = cause {
        let text = next.to_string();
        // Some errors tell their cause themselves.
        if !message.ends_with(&text) {
            message = format!("{message}: {text}");
        }
        cause = next.source();
    }
    let code = error.span().and_then(code);
    let source = error.span().map(|span| span.file.source());
    wording::reword(error.kind(), &message, code, &|path| parameters_of(path, source))
}

/// Whether an error ends the script whatever it does: it was told to, or has said so itself.
pub(crate) fn ends_the_script(error: &starlark::Error) -> bool {
    stopped(error).is_some() || exited(error).is_some()
}

/// The status that the script has given to `exit`.
pub(crate) fn exited(error: &starlark::Error) -> Option<i32> {
    native(error)
        .and_then(|error| error.downcast_ref::<Exit>())
        .map(|exit| exit.0)
}

/// Why a test is to be left out, if that is what it has said.
pub(crate) fn skipped(error: &starlark::Error) -> Option<&str> {
    native(error)
        .and_then(|error| error.downcast_ref::<Skipped>())
        .map(|skipped| skipped.0.as_str())
}

fn stopped(error: &starlark::Error) -> Option<Why> {
    let error = native(error)?;
    let told = error.downcast_ref::<Stopped>().map(|stopped| stopped.0);
    // What the crate says when it was told to end while it evaluates. Its own type for it is private.
    told.or_else(|| (error.to_string() == "Evaluation cancelled").then_some(Why::Interrupted))
}

fn native(error: &starlark::Error) -> Option<&anyhow::Error> {
    match error.kind() {
        starlark::ErrorKind::Native(error) | starlark::ErrorKind::Other(error) => Some(error),
        _ => None,
    }
}
