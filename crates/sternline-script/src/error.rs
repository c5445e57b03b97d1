//! Why a script ended early.

use std::fmt;

use crate::modules::core::Exit;
use crate::stop::Why;
use crate::wait::Stopped;

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

/// One call that was going on, or the place of the error itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The function's name, or nothing at the top level.
    pub function: String,
    /// The file, as it was named.
    pub file: String,
    /// The line, from 1; 0 where it is not known.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
    /// The line itself, without its end.
    pub text: String,
    /// How many columns are meant.
    pub width: usize,
}

/// Why a script ended early, and where.
#[derive(Debug, Clone)]
pub struct ScriptError {
    kind: ErrorKind,
    message: String,
    /// The calls, outermost first; the last one is where it happened.
    frames: Vec<Frame>,
}

impl ScriptError {
    pub(crate) fn unreadable(message: String) -> Self {
        Self {
            kind: ErrorKind::Unreadable,
            message,
            frames: Vec::new(),
        }
    }

    pub(crate) fn from_starlark(error: &starlark::Error) -> Self {
        let kind = match error.kind() {
            starlark::ErrorKind::Parser(_) => ErrorKind::Syntax,
            starlark::ErrorKind::Scope(_) => ErrorKind::UnknownName,
            _ => stopped(error).map_or(ErrorKind::Failed, ErrorKind::Stopped),
        };
        let mut frames: Vec<Frame> = Vec::new();
        for frame in error.call_stack().clone().into_frames() {
            frames.push(place(frame.name.clone(), frame.location.as_ref()));
        }
        if let Some(span) = error.span() {
            frames.push(place(String::new(), Some(span)));
        }
        Self {
            kind,
            message: message(error),
            frames,
        }
    }

    /// What kind of end it is.
    #[must_use]
    pub fn kind(&self) -> &ErrorKind {
        &self.kind
    }

    /// What is wrong, without the place.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The calls, outermost first; the last one is where it happened.
    #[must_use]
    pub fn frames(&self) -> &[Frame] {
        &self.frames
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

/// The message of an error with its causes, and without its place.
pub(crate) fn message(error: &starlark::Error) -> String {
    let mut message = error.without_diagnostic().to_string();
    let mut cause = error.kind().source();
    while let Some(next) = cause {
        message = format!("{message}: {next}");
        cause = next.source();
    }
    message
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

fn stopped(error: &starlark::Error) -> Option<Why> {
    native(error)
        .and_then(|error| error.downcast_ref::<Stopped>())
        .map(|stopped| stopped.0)
}

fn native(error: &starlark::Error) -> Option<&anyhow::Error> {
    match error.kind() {
        starlark::ErrorKind::Native(error) | starlark::ErrorKind::Other(error) => Some(error),
        _ => None,
    }
}

fn place(function: String, span: Option<&starlark::codemap::FileSpan>) -> Frame {
    let Some(span) = span else {
        return Frame {
            function,
            file: String::new(),
            line: 0,
            column: 0,
            text: String::new(),
            width: 0,
        };
    };
    let at = span.resolve_span();
    let text = span.file.source_line(at.begin.line);
    let width = if at.begin.line == at.end.line {
        at.end.column.saturating_sub(at.begin.column)
    } else {
        text.chars().count().saturating_sub(at.begin.column)
    };
    Frame {
        function,
        file: span.filename().to_owned(),
        line: at.begin.line + 1,
        column: at.begin.column + 1,
        text: text.trim_end().to_owned(),
        width: width.max(1),
    }
}
