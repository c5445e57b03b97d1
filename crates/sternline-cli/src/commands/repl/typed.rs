//! What is typed or piped in, cut into the inputs that are evaluated one after another.

use std::io::{BufRead, BufReader, Stdin};
use std::sync::mpsc;

use sternline_script::{InputState, ends_block, input_state};
use tokio::sync::mpsc as later;

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Typed {
    /// Something to evaluate.
    Input(String),
    /// A word behind a dot, for the program itself: `.vars`.
    Command(String),
    /// Nothing: what was begun is given up.
    Nothing,
    /// Nothing will come any more.
    End,
    /// Reading failed.
    Failed(String),
}

/// One line, without its end.
pub(super) enum Line {
    Text(String),
    /// Ctrl-C.
    Interrupted,
    End,
    Failed(String),
}

/// Where lines come from.
pub(super) trait Lines: Send + 'static {
    /// The next line. `begun` are those before it that belong to the same input.
    fn next(&mut self, begun: &str) -> Line;

    /// An input is whole.
    fn whole(&mut self, _input: &str) {}

    /// Whether a person types: who sees each answer, and ends a block with an empty line.
    fn is_person(&self) -> bool;
}

/// Standard input that is no terminal.
pub(super) struct Piped(BufReader<Stdin>);

impl Piped {
    pub(super) fn new() -> Self {
        Self(BufReader::new(std::io::stdin()))
    }
}

impl Lines for Piped {
    fn next(&mut self, _begun: &str) -> Line {
        let mut line = String::new();
        match self.0.read_line(&mut line) {
            Ok(0) => Line::End,
            Ok(_) => Line::Text(line.trim_end_matches(['\n', '\r']).to_owned()),
            Err(error) => Line::Failed(error.to_string()),
        }
    }

    fn is_person(&self) -> bool {
        false
    }
}

/// Inputs, read by a thread of its own when they are asked for: reading waits in a way that nothing interrupts.
pub(super) struct Inputs {
    ask: mpsc::Sender<()>,
    typed: later::UnboundedReceiver<Typed>,
}

impl Inputs {
    pub(super) fn start(lines: impl Lines) -> std::io::Result<Self> {
        let (ask, asked) = mpsc::channel();
        let (answer, typed) = later::unbounded_channel();
        std::thread::Builder::new()
            .name("input".to_owned())
            .spawn(move || {
                let mut reader = Reader::new(lines);
                while asked.recv().is_ok() && answer.send(reader.next()).is_ok() {}
            })?;
        Ok(Self { ask, typed })
    }

    /// Asks for the next one.
    pub(super) fn ask(&self) {
        // Where the thread has gone, the answer is that nothing comes.
        let _ = self.ask.send(());
    }

    /// What was asked for. Cancel-safe.
    pub(super) async fn next(&mut self) -> Typed {
        self.typed.recv().await.unwrap_or(Typed::End)
    }
}

struct Reader<L> {
    lines: L,
    /// A line that was read to see that it belongs to the next input.
    ahead: Option<String>,
}

impl<L: Lines> Reader<L> {
    fn new(lines: L) -> Self {
        Self { lines, ahead: None }
    }

    fn next(&mut self) -> Typed {
        let mut text = String::new();
        loop {
            let line = match self
                .ahead
                .take()
                .map_or_else(|| self.lines.next(&text), Line::Text)
            {
                Line::Text(line) => line,
                Line::Interrupted => return Typed::Nothing,
                Line::Failed(problem) => return Typed::Failed(problem),
                Line::End if text.is_empty() || self.lines.is_person() => return Typed::End,
                Line::End => return Typed::Input(text),
            };
            if text.is_empty() {
                if line.trim().is_empty() {
                    continue;
                }
                if let Some(command) = line.strip_prefix('.') {
                    return Typed::Command(command.trim().to_owned());
                }
            }
            let in_block = input_state(&text) == InputState::Block;
            if in_block && !self.lines.is_person() && ends_block(&line) {
                self.ahead = Some(line);
                return self.whole(text);
            }
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(&line);
            let ended = match input_state(&text) {
                InputState::Whole => true,
                InputState::Open => false,
                InputState::Block => in_block && self.lines.is_person() && line.trim().is_empty(),
            };
            if ended {
                return self.whole(text);
            }
        }
    }

    fn whole(&mut self, text: String) -> Typed {
        self.lines.whole(&text);
        Typed::Input(text)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    /// Lines that are there already.
    struct Given {
        lines: VecDeque<&'static str>,
        person: bool,
    }

    impl Lines for Given {
        fn next(&mut self, _begun: &str) -> Line {
            match self.lines.pop_front() {
                Some("^C") => Line::Interrupted,
                Some(line) => Line::Text(line.to_owned()),
                None => Line::End,
            }
        }

        fn is_person(&self) -> bool {
            self.person
        }
    }

    fn cut(lines: &[&'static str], person: bool) -> Vec<Typed> {
        let mut reader = Reader::new(Given {
            lines: lines.iter().copied().collect(),
            person,
        });
        let mut typed = Vec::new();
        loop {
            match reader.next() {
                Typed::End => return typed,
                next => typed.push(next),
            }
        }
    }

    fn inputs(texts: &[&str]) -> Vec<Typed> {
        texts
            .iter()
            .map(|text| Typed::Input((*text).to_owned()))
            .collect()
    }

    #[test]
    fn a_line_is_an_input_unless_something_in_it_is_open() {
        for person in [true, false] {
            assert_eq!(cut(&["x = 1", "", "x"], person), inputs(&["x = 1", "x"]));
            assert_eq!(cut(&["f(", "1", ")", "x"], person), inputs(&["f(\n1\n)", "x"]));
        }
        assert_eq!(
            cut(&["f(", "^C", "x"], true),
            [Typed::Nothing, Typed::Input("x".to_owned())]
        );
        assert_eq!(
            cut(&["  .vars", ".vars"], true)[1],
            Typed::Command("vars".to_owned())
        );
    }

    #[test]
    fn a_person_ends_a_block_with_an_empty_line() {
        let lines = ["def f():", "  return 1", "", "f()"];
        assert_eq!(cut(&lines, true), inputs(&["def f():\n  return 1\n", "f()"]));
        let lines = ["if x:", "  a()", "else:", "  b()", "  ", "c"];
        assert_eq!(
            cut(&lines, true),
            inputs(&["if x:\n  a()\nelse:\n  b()\n  ", "c"])
        );
    }

    #[test]
    fn a_block_of_a_file_ends_with_the_next_line_outside_of_it() {
        let lines = [
            "def f():",
            "  '''a",
            "b'''",
            "",
            "  return 1",
            "",
            "f()",
            "if x:",
            "  a()",
            "else:",
            "  b()",
        ];
        let expected = [
            "def f():\n  '''a\nb'''\n\n  return 1\n",
            "f()",
            "if x:\n  a()\nelse:\n  b()",
        ];
        assert_eq!(cut(&lines, false), inputs(&expected));
    }
}
