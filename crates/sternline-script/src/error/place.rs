//! Where something is in a script.

use starlark::codemap::FileSpan;

use crate::dialect::assert_word;

/// One call that was going on, or the place of the error itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frame {
    /// The function that the place is in, or nothing at the top level.
    pub function: String,
    /// The file, as it was named.
    pub file: String,
    /// The line, from 1; 0 where it is not known.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
    /// The line itself, without its end.
    pub text: String,
    /// How many columns are meant, of this line.
    pub width: usize,
}

/// The calls that led to an error, outermost first, and its own place last.
pub(crate) fn places(error: &starlark::Error) -> Vec<Frame> {
    let mut places: Vec<Frame> = Vec::new();
    let mut function = String::new();
    for call in &error.call_stack().frames {
        // What Rust calls has no place: its own calls have.
        if let Some(span) = &call.location {
            places.push(place(function, span));
        }
        function = assert_word::restore(&call.name).into_owned();
    }
    if let Some(span) = error.span() {
        let own = place(function, span);
        // A function of ours is in no file: the error stands where it was called, and that is told already.
        let told = places
            .last()
            .is_some_and(|last| (&last.file, last.line, last.column) == (&own.file, own.line, own.column));
        if !told {
            places.push(own);
        }
    }
    places
}

/// A piece of a script, in a function.
pub(crate) fn place(function: String, span: &FileSpan) -> Frame {
    let at = span.resolve_span();
    let text = span.file.source_line(at.begin.line);
    let end = match at.begin.line == at.end.line {
        true => at.end.column,
        false => text.trim_end().chars().count(),
    };
    Frame {
        function,
        file: span.filename().to_owned(),
        line: at.begin.line + 1,
        column: at.begin.column + 1,
        text: assert_word::restore(text.trim_end()).into_owned(),
        width: end.saturating_sub(at.begin.column).max(1),
    }
}

/// The piece itself, as the crate sees it.
pub(crate) fn code(span: &FileSpan) -> Option<&str> {
    let (begin, end) = (span.span.begin().get() as usize, span.span.end().get() as usize);
    span.file.source().get(begin..end)
}
