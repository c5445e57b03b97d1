//! A person at a terminal: line editing, history, completion.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;

use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config, Context, Editor as Rustyline, Helper};
use sternline::proto::text::escape;
use sternline_script::Repl;
use tokio::runtime::Handle;

use super::history;
use super::typed::{Line, Lines};
use crate::ui::{Failure, Ui};

const PROMPT: &str = ">>> ";
const MORE: &str = "... ";

/// What Tab types where nothing stands before the cursor.
const INDENT: &str = "    ";

/// The terminal, as something that lines come from.
pub(super) struct Editor {
    line: Rustyline<Completing, FileHistory>,
    history: Option<PathBuf>,
    ui: Ui,
}

impl Editor {
    /// An editor with the inputs of earlier times. To be used on a thread outside of the runtime, which completion waits for.
    pub(super) fn new(repl: &Arc<Repl>, history: Option<PathBuf>, ui: &Ui) -> Result<Self, Failure> {
        let cannot = |error: ReadlineError| {
            Failure::local(format!("cannot edit lines on this terminal: {error}"))
                .with_hint("pipe the lines into it")
        };
        let config = Config::builder()
            .completion_type(CompletionType::List)
            .history_ignore_dups(true)
            .map_err(cannot)?
            .max_history_size(history::ENTRIES)
            .map_err(cannot)?
            .build();
        let mut line = Rustyline::with_history(config, FileHistory::with_config(config)).map_err(cannot)?;
        line.set_helper(Some(Completing {
            repl: Arc::clone(repl),
            runtime: Handle::current(),
            begun: String::new(),
        }));
        let mut editor = Self {
            line,
            history: None,
            ui: *ui,
        };
        if let Some(file) = history {
            let there = file.exists();
            let prepared = history::prepare(&file).map_err(ReadlineError::from);
            match prepared.and_then(|()| {
                if there {
                    editor.line.load_history(&file)
                } else {
                    Ok(())
                }
            }) {
                Ok(()) => editor.history = Some(file),
                Err(error) => editor.keeps_nothing(&file, &error),
            }
        }
        Ok(editor)
    }

    fn keeps_nothing(&self, file: &std::path::Path, error: &ReadlineError) {
        let file = escape(&file.to_string_lossy());
        self.ui.warning(&format!(
            "inputs are not kept for the next time, because of {file}: {error}"
        ));
    }
}

impl Lines for Editor {
    fn next(&mut self, begun: &str) -> Line {
        if let Some(helper) = self.line.helper_mut() {
            begun.clone_into(&mut helper.begun);
            if !begun.is_empty() {
                helper.begun.push('\n');
            }
        }
        match self.line.readline(if begun.is_empty() { PROMPT } else { MORE }) {
            Ok(line) => Line::Text(line),
            Err(ReadlineError::Interrupted) => Line::Interrupted,
            Err(ReadlineError::Eof) => Line::End,
            // A byte of another encoding ends the line, and not all that was typed before.
            Err(ReadlineError::Io(error)) if error.kind() == ErrorKind::InvalidData => {
                self.ui.warning("what was typed is no UTF-8, so it was left out");
                Line::Interrupted
            }
            Err(error) => Line::Failed(error.to_string()),
        }
    }

    fn whole(&mut self, input: &str) {
        if !history::may_keep(input) {
            return;
        }
        let added = self.line.add_history_entry(input.trim_end());
        let Some(file) = self.history.take() else { return };
        match added.and_then(|_| self.line.append_history(&file)) {
            Ok(()) => self.history = Some(file),
            Err(error) => self.keeps_nothing(&file, &error),
        }
    }

    fn is_person(&self) -> bool {
        true
    }
}

/// Completion by what the script knows at this moment.
struct Completing {
    repl: Arc<Repl>,
    runtime: Handle,
    /// The lines of the same input before the one that is edited.
    begun: String,
}

impl Completer for Completing {
    type Candidate = Pair;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let before = line.get(..at).unwrap_or_default();
        if before.trim().is_empty() {
            let indent = Pair {
                display: INDENT.to_owned(),
                replacement: INDENT.to_owned(),
            };
            return Ok((at, vec![indent]));
        }
        let completion = self
            .runtime
            .block_on(self.repl.complete(format!("{}{before}", self.begun)));
        let pairs = completion.words.into_iter().map(|word| Pair {
            display: word.clone(),
            replacement: word,
        });
        Ok((completion.start.saturating_sub(self.begun.len()), pairs.collect()))
    }
}

impl Hinter for Completing {
    type Hint = String;
}

impl Highlighter for Completing {}

impl Validator for Completing {}

impl Helper for Completing {}
