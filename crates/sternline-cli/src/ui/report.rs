//! Reports on standard output: headings, columns, times.

use std::io::Write;
use std::time::Duration;

use sternline::Phase;
use unicode_width::UnicodeWidthChar;

use super::colour::Colour;
use super::failure::Failure;
use super::terminal;

/// The width that reports are made for: that of the narrowest terminal that people use.
const WIDTH: usize = 80;

/// Between these a report follows the terminal: narrower nothing fits, wider lines are hard to read.
const FITTING: std::ops::RangeInclusive<usize> = 50..=160;

/// A report on standard output, with emphasis on a terminal only.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Report {
    colour: Colour,
    width: usize,
}

impl Report {
    pub(crate) fn new() -> Self {
        Self {
            colour: Colour::of_stdout(),
            width: WIDTH,
        }
    }

    /// A report as wide as the terminal is; `elsewhere` where standard output is none.
    pub(crate) fn fitting(elsewhere: usize) -> Self {
        let columns =
            terminal::size(std::io::stdout()).and_then(|(columns, _)| usize::try_from(columns).ok());
        Self {
            width: columns.map_or(elsewhere, |columns| {
                columns.clamp(*FITTING.start(), *FITTING.end())
            }),
            ..Self::new()
        }
    }

    /// Writes a line.
    pub(crate) fn line(&self, text: &str) -> Result<(), Failure> {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", text.trim_end())
            .and_then(|()| out.flush())
            .map_err(|error| Failure::output(&error))
    }

    /// Writes a heading with a blank line below it.
    pub(crate) fn heading(&self, text: &str) -> Result<(), Failure> {
        self.line(&self.bold(text))?;
        self.line("")
    }

    /// Writes some columns, each as wide as its width says, and a last one that is wrapped at its words and may have
    /// several paragraphs. Colours are up to the caller.
    pub(crate) fn row(&self, columns: &[(&str, usize)], last: &[String]) -> Result<(), Failure> {
        let mut indent = 0;
        let mut line = String::new();
        for (text, width) in columns {
            indent += width + 2;
            line.push_str(text);
            line.push_str(&" ".repeat((width + 2).saturating_sub(visible(text))));
        }
        let mut lines = last
            .iter()
            .flat_map(|text| wrapped(text, self.width.saturating_sub(indent)));
        line.push_str(&lines.next().unwrap_or_default());
        self.line(&line)?;
        lines.try_for_each(|text| self.line(&format!("{}{text}", " ".repeat(indent))))
    }

    pub(crate) fn bold(&self, text: &str) -> String {
        self.styled("1", text)
    }

    /// Something that went well. The text has to say so too.
    pub(crate) fn good(&self, text: &str) -> String {
        self.styled("32", text)
    }

    /// Something that did not. The text has to say so too.
    pub(crate) fn bad(&self, text: &str) -> String {
        self.styled("1;31", text)
    }

    /// Something that deserves a look. The text has to say so too.
    pub(crate) fn warning(&self, text: &str) -> String {
        self.styled("33", text)
    }

    /// Something that stands back.
    pub(crate) fn faint(&self, text: &str) -> String {
        self.styled("2", text)
    }

    fn styled(&self, code: &str, text: &str) -> String {
        self.colour.styled(code, text)
    }
}

/// Writes many lines to standard output at once.
pub(crate) fn write_lines(lines: impl IntoIterator<Item = String>) -> Result<(), Failure> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut lines = lines.into_iter();
    lines
        .try_for_each(|line| writeln!(out, "{line}"))
        .and_then(|()| out.flush())
        .map_err(|error| Failure::output(&error))
}

/// How many columns a text takes without its styles.
fn visible(text: &str) -> usize {
    let mut in_style = false;
    text.chars()
        .filter(|c| {
            let counts = !in_style && *c != '\x1b';
            in_style = *c == '\x1b' || in_style && *c != 'm';
            counts
        })
        .map(|c| c.width().unwrap_or_default())
        .sum()
}

/// Breaks a text at its blanks. A word that is too long gets a line of its own.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if visible(line) + 1 + visible(word) <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// A phase as people read it.
pub(crate) fn phase_name(phase: Phase) -> String {
    phase.to_string().replace('_', " ")
}

/// A time as people compare it: milliseconds below ten seconds, seconds from there on.
pub(crate) fn time(duration: Duration) -> String {
    let millis = duration.as_secs_f64() * 1000.0;
    if millis < 10_000.0 {
        format!("{millis:.1} ms")
    } else {
        format!("{:.1} s", millis / 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_wrapped_at_its_words_and_a_long_word_stands_alone() {
        assert_eq!(wrapped("aa bb cc", 5), ["aa bb", "cc"]);
        assert_eq!(wrapped("a toolongword b", 6), ["a", "toolongword", "b"]);
        assert_eq!(wrapped("", 5), [""]);
    }

    #[test]
    fn styles_take_no_columns() {
        assert_eq!(visible("\x1b[1;31mbad\x1b[0m"), 3);
        assert_eq!(wrapped("\x1b[1maa\x1b[0m bb", 5).len(), 1);
    }

    #[test]
    fn times_are_shown_in_the_unit_that_fits() {
        assert_eq!(time(Duration::from_micros(1234)), "1.2 ms");
        assert_eq!(time(Duration::from_secs(12)), "12.0 s");
    }
}
