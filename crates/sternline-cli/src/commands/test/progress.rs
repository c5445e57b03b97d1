//! What is shown while tests are run.

use std::sync::Arc;

use serde_json::Value;
use sternline::proto::text::escape;
use sternline_script::testing::{TestEvent, json_case, json_file, text_case, text_file};

use crate::script::Written;
use crate::ui::Colour;

const RED: &str = "1;31";
const GREEN: &str = "32";
const YELLOW: &str = "33";

/// How what happens is told on standard output.
#[derive(Debug, Clone)]
pub(super) struct Progress {
    pub(super) written: Arc<Written>,
    pub(super) json: bool,
    /// Whether each test is told, and not only each file.
    pub(super) verbose: bool,
    /// Whether tests of several files may be run at the same time, so that their lines must not mix.
    pub(super) parallel: bool,
}

impl Progress {
    pub(super) fn tell(&self, event: &TestEvent<'_>) {
        if self.json {
            match event {
                TestEvent::Case { path, case } => self.object(&json_case(path, case)),
                TestEvent::Ended(file) => self.object(&json_file(file)),
                _ => {}
            }
            return;
        }
        match event {
            TestEvent::Begun { path } if self.verbose && !self.parallel => self.written.line(&escape(path)),
            TestEvent::Case { case, .. } if self.verbose && !self.parallel => {
                self.written.line(&format!("  {}", coloured(&text_case(case))));
            }
            TestEvent::Ended(file) => {
                self.written.line(&coloured(&text_file(file)));
                if self.verbose && self.parallel {
                    for case in &file.cases {
                        self.written.line(&format!("  {}", coloured(&text_case(case))));
                    }
                }
            }
            _ => {}
        }
    }

    pub(super) fn object(&self, object: &Value) {
        self.written.line(&object.to_string());
    }
}

/// The line with its first word in a colour that says good or bad.
pub(super) fn coloured(line: &str) -> String {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let style = match word {
        "ok" => GREEN,
        "FAIL" => RED,
        "skip" => YELLOW,
        _ => return line.to_owned(),
    };
    format!("{} {rest}", Colour::of_stdout().styled(style, word))
}
