//! `sternline validate`: what is wrong with scripts, without running them.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};
use sternline::proto::text::{escape, escape_again};
use sternline_script::{Finding, Source, validate};

use crate::exit;
use crate::script;
use crate::ui::{Failure, Ui};

/// The name and version of the JSON objects. It changes when a field changes its meaning or goes.
const SCHEMA: &str = "sternline.validate/1";

const NOTES: &str = "\
Nothing is run, and no file is read but those that are named. What is looked at: the syntax; names that nothing has; members that a \
module, or a client from ssh.config, does not have; arguments that do not fit the parameters of a function. Names that end in \
_test.star, and scripts with functions named test_..., may use test servers.

Each finding is a line FILE:LINE:COLUMN: MESSAGE on standard output.

JSON, one object a line for each file: schema (sternline.validate/1), file, valid, and errors: line, column, width, message, hint.

Exit status: 0 nothing found; 1 something found; 2 a file cannot be read.";

/// Look for mistakes in scripts without running them
#[derive(Debug, clap::Args)]
#[command(after_help = NOTES)]
pub(crate) struct Args {
    /// Scripts; - is standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, ui: &Ui) -> Result<ExitCode, Failure> {
    let mut status = ExitCode::SUCCESS;
    let mut unreadable = false;
    for file in &args.files {
        let report = match script::read(file) {
            Ok(source) => Report::of(&source),
            Err(failure) => {
                unreadable = true;
                if !args.json {
                    ui.error(&failure);
                    continue;
                }
                Report::unreadable(file.to_string_lossy().into_owned(), &failure)
            }
        };
        if !report.findings.is_empty() {
            status = ExitCode::from(exit::FAILED);
        }
        let text = if args.json {
            format!("{}\n", report.json())
        } else {
            report.text()
        };
        std::io::stdout()
            .write_all(text.as_bytes())
            .map_err(|error| Failure::output(&error))?;
    }
    Ok(if unreadable {
        ExitCode::from(exit::USAGE)
    } else {
        status
    })
}

/// What is told of a file.
struct Report {
    file: String,
    findings: Vec<Finding>,
}

impl Report {
    fn of(source: &Source) -> Self {
        Self {
            file: source.name.clone(),
            findings: validate(&source.name, &source.text),
        }
    }

    fn unreadable(file: String, failure: &Failure) -> Self {
        let finding = Finding {
            message: failure.headline(),
            ..Finding::default()
        };
        Self {
            file,
            findings: vec![finding],
        }
    }

    fn text(&self) -> String {
        if self.findings.is_empty() {
            return format!("{}: ok\n", escape(&self.file));
        }
        let mut text = String::new();
        for finding in &self.findings {
            let place = &finding.place;
            let (line, column) = (place.line, place.column);
            text.push_str(&format!(
                "{}:{line}:{column}: {}\n",
                escape(&self.file),
                escape_again(&finding.message)
            ));
            if let Some(hint) = &finding.hint {
                text.push_str(&format!("    hint: {}\n", escape_again(hint)));
            }
        }
        text
    }

    fn json(&self) -> Value {
        let error = |finding: &Finding| {
            json!({
                "line": finding.place.line,
                "column": finding.place.column,
                "width": finding.place.width,
                "message": finding.message,
                "hint": finding.hint,
            })
        };
        json!({
            "schema": SCHEMA,
            "file": self.file,
            "valid": self.findings.is_empty(),
            "errors": self.findings.iter().map(error).collect::<Vec<_>>(),
        })
    }
}
