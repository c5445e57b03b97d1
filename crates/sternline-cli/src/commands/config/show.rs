//! `sternline config show`.

use std::io::Write as _;
use std::process::ExitCode;

use serde_json::{Value, json};
use sternline::proto::ssh_config::{Ignored, Source, Sourced};
use sternline::proto::text::escape;

use super::args::ShowArgs;
use super::rows::{Beside, Row, rows};
use crate::connect::{Connector, parse_host};
use crate::ui::report::Report;
use crate::ui::{Failure, Ui};

/// The name and version of the JSON object. It changes when a field changes its meaning or goes.
const SCHEMA: &str = "sternline.config/1";

/// How wide the options' names are.
const WIDTH: usize = 28;

pub(super) fn run(args: &ShowArgs, ui: &Ui) -> Result<ExitCode, Failure> {
    let target = parse_host(
        &args.host,
        "config shows the settings of",
        &args.connect.hosts,
        ui,
    )?;
    let (found, settings) = Connector::new(&args.connect, true, ui)?.explained(&target)?;
    let beside = Beside {
        options: &args.connect,
        env: settings.env(),
        algorithms: settings.algorithms(),
    };
    let rows = rows(&found, &beside);
    if args.connect.json {
        let object = json!({
            "schema": SCHEMA,
            "host": target.to_string(),
            "settings": rows.iter().map(setting).collect::<Vec<_>>(),
            "ignored": found.ignored.iter().map(ignored).collect::<Vec<_>>(),
        });
        let line = format!("{object}\n");
        std::io::stdout()
            .write_all(line.as_bytes())
            .map_err(|error| Failure::output(&error))?;
        return Ok(ExitCode::SUCCESS);
    }
    let report = Report::new();
    for Row {
        option,
        value,
        source,
    } in &rows
    {
        let source = source.as_ref().map_or("default".to_owned(), Source::to_string);
        report.line(&format!(
            "{option:<WIDTH$}  {value}  {}",
            report.faint(&format!("({source})"))
        ))?;
    }
    if ui.is_verbose() && !found.ignored.is_empty() {
        report.line("")?;
        report.heading("Not obeyed")?;
        for Sourced { value, source } in &found.ignored {
            let instead = value
                .instead
                .map_or(String::new(), |instead| format!(": {instead}"));
            let (option, given) = (escape(&value.keyword), escape(&value.value));
            report.line(&format!(
                "{option:<WIDTH$}  {given}  {}{instead}",
                report.faint(&format!("({source})"))
            ))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn setting(row: &Row) -> Value {
    json!({
        "option": row.option,
        "value": row.value,
        "source": row.source.as_ref().map_or(json!({ "kind": "default" }), place),
    })
}

fn ignored(ignored: &Sourced<Ignored>) -> Value {
    let Sourced { value, source } = ignored;
    json!({
        "option": escape(&value.keyword),
        "value": escape(&value.value),
        "source": place(source),
        "instead": value.instead,
    })
}

fn place(source: &Source) -> Value {
    match source {
        Source::CommandLine => json!({ "kind": "command_line" }),
        Source::File { path, line } => json!({ "kind": "file", "file": escape(path), "line": line }),
    }
}
