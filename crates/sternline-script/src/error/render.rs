//! An error as people see it.

use sternline::proto::text::{escape, escape_again};

use super::{Frame, ScriptError};

/// So many calls are shown of a long list, from its beginning and from its end.
const FIRST_CALLS: usize = 4;
const LAST_CALLS: usize = 8;

/// A longer line is cut on both sides.
const MAX_LINE: usize = 150;

const RED: &str = "1;31";
const BLUE: &str = "34";
const BOLD: &str = "1";

struct Page {
    text: String,
    colours: bool,
}

pub(super) fn render(error: &ScriptError, colours: bool) -> String {
    let mut page = Page {
        text: String::new(),
        colours,
    };
    page.block(&error.message, error.frames.last());
    page.traceback(&error.frames);
    page.hint(error.hint.as_deref());
    for other in &error.others {
        page.block(&other.message, Some(&other.place));
        page.hint(other.hint.as_deref());
    }
    page.text
}

impl Page {
    fn paint(&self, code: &str, text: &str) -> String {
        match self.colours {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn block(&mut self, message: &str, place: Option<&Frame>) {
        let mut lines = message.lines().map(escape_again);
        let first = lines.next().unwrap_or_default();
        let head = format!("{}: {}", self.paint(RED, "error"), self.paint(BOLD, &first));
        self.line(&head);
        for line in lines {
            self.line(&format!("  {line}"));
        }
        if let Some(place) = place {
            self.code(place);
        }
    }

    /// The place, and the line with what is meant of it.
    fn code(&mut self, place: &Frame) {
        let number = place.line.to_string();
        let margin = " ".repeat(number.len());
        let (arrow, bar) = (self.paint(BLUE, "-->"), self.paint(BLUE, "|"));
        self.line(&format!("{margin}{arrow} {}", at(place)));
        if place.text.is_empty() {
            return;
        }
        let (before, meant, after) = cut(place);
        let caret = self.paint(RED, &"^".repeat(meant.chars().count().max(1)));
        let number = self.paint(BLUE, &number);
        self.line(&format!("{margin} {bar}"));
        self.line(&format!("{number} {bar} {before}{meant}{after}"));
        let indent = " ".repeat(before.chars().count());
        self.line(&format!("{margin} {bar} {indent}{caret}"));
    }

    fn traceback(&mut self, frames: &[Frame]) {
        if frames.len() < 2 {
            return;
        }
        self.line("calls, the last one innermost:");
        let left_out = frames.len().saturating_sub(FIRST_CALLS + LAST_CALLS);
        for (index, frame) in frames.iter().enumerate() {
            if left_out > 1 && (FIRST_CALLS..FIRST_CALLS + left_out).contains(&index) {
                if index == FIRST_CALLS {
                    self.line(&format!("  ... {left_out} more ..."));
                }
                continue;
            }
            let function = match frame.function.as_str() {
                "" => "at the top level".to_owned(),
                function => format!("in {}", escape(function)),
            };
            self.line(&format!("  {}, {function}", at(frame)));
            let (before, meant, after) = cut(frame);
            self.line(format!("    {}", format!("{before}{meant}{after}").trim()).trim_end());
        }
    }

    fn hint(&mut self, hint: Option<&str>) {
        if let Some(hint) = hint {
            self.line(&format!("hint: {}", escape_again(hint)));
        }
    }
}

fn at(place: &Frame) -> String {
    format!("{}:{}:{}", escape(&place.file), place.line, place.column)
}

/// A line in three pieces, the middle one meant. Of a long line, what stands around it.
fn cut(place: &Frame) -> (String, String, String) {
    let chars: Vec<char> = place.text.chars().collect();
    let piece = |from: usize, to: usize| {
        let piece: String = chars.iter().skip(from).take(to.saturating_sub(from)).collect();
        escape_again(&piece)
    };
    let begin = place.column.saturating_sub(1).min(chars.len());
    let end = (begin + place.width).min(chars.len());
    if chars.len() <= MAX_LINE {
        return (piece(0, begin), piece(begin, end), piece(end, chars.len()));
    }
    let from = begin.saturating_sub(MAX_LINE / 3);
    let to = (from + MAX_LINE).min(chars.len());
    let (before, after) = (
        if from > 0 { "..." } else { "" },
        if to < chars.len() { "..." } else { "" },
    );
    let end = end.min(to);
    (
        format!("{before}{}", piece(from, begin)),
        piece(begin, end),
        format!("{}{after}", piece(end, to)),
    )
}

#[cfg(test)]
mod tests {
    use super::super::{ErrorKind, Frame, ScriptError};

    fn error(message: &str, frames: Vec<Frame>) -> ScriptError {
        ScriptError {
            kind: ErrorKind::Failed,
            message: message.to_owned(),
            hint: Some("do it otherwise".to_owned()),
            frames,
            others: Vec::new(),
        }
    }

    fn frame(function: &str, line: usize, column: usize, text: &str, width: usize) -> Frame {
        let text = text.to_owned();
        Frame {
            function: function.to_owned(),
            file: "a.star".to_owned(),
            line,
            column,
            text,
            width,
        }
    }

    #[test]
    fn an_error_shows_its_line_its_calls_and_a_hint() {
        let calls = vec![
            frame("", 12, 1, "deploy()", 8),
            frame("deploy", 3, 5, "    fail(\"no\")", 10),
        ];
        assert_eq!(
            error("no", calls).render(false),
            "error: no\n \
             --> a.star:3:5\n  \
             |\n\
             3 |     fail(\"no\")\n  \
             |     ^^^^^^^^^^\n\
             calls, the last one innermost:\n  \
             a.star:12:1, at the top level\n    \
             deploy()\n  \
             a.star:3:5, in deploy\n    \
             fail(\"no\")\n\
             hint: do it otherwise\n"
        );
    }

    #[test]
    fn what_a_host_wrote_cannot_move_the_cursor_and_keeps_its_lines() {
        let text = error("first\n\x1b[2Jsecond", Vec::new()).render(false);
        assert_eq!(text, "error: first\n  \\x1b[2Jsecond\nhint: do it otherwise\n");
    }

    #[test]
    fn a_long_line_is_cut_around_what_is_meant() {
        let line = format!("{}HERE{}", "a".repeat(400), "b".repeat(400));
        let text = error("no", vec![frame("", 1, 401, &line, 4)]).render(false);
        assert!(text.contains("...aaa") && text.contains("HEREbbb") && text.contains("bbb..."));
        assert!(text.lines().all(|line| line.chars().count() < 180));
    }

    #[test]
    fn a_long_list_of_calls_is_cut_in_its_middle() {
        let calls = (1..=500).map(|line| frame("f", line, 1, "f()", 3)).collect();
        let text = error("no", calls).render(false);
        assert!(text.contains("... 488 more ..."));
        assert!(text.contains("a.star:4:1") && !text.contains("a.star:5:1,"));
    }

    #[test]
    fn colours_are_for_those_who_ask() {
        assert!(!error("no", Vec::new()).render(false).contains('\x1b'));
        assert!(
            error("no", Vec::new())
                .render(true)
                .starts_with("\x1b[1;31merror\x1b[0m: ")
        );
    }
}
