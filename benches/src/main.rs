//! Measures Sternline against its peers on one sshd: `cargo run --release -p sternline-benches --bin peers`.
//!
//! Every peer is a process of its own that lives through the whole session and is asked, in turn, for the same work.
//! What is compared are the ratios within one round, because a machine's speed changes from minute to minute.
//! `benches/README.md` says what is timed.

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;

mod cpu;
mod measure;
mod peer;
mod report;
mod statistics;
mod worker;

use measure::{Plan, Server};

const USAGE: &str = "usage: peers [--quick] [--json] [--stream]

  --quick   a few commands only: shows that everything works, its figures mean nothing
  --json    one JSON object instead of tables
  --stream  measures a long output too

The Python peers run in python3, or in what STERNLINE_TEST_PYTHON names.";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "peers: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some((first, rest)) = arguments.split_first()
        && first == worker::ARGUMENT
    {
        return worker::run(rest);
    }
    let (mut plan, mut json, mut stream) = (Plan::full(), false, false);
    for argument in &arguments {
        match argument.as_str() {
            "--quick" => plan = Plan::quick(),
            "--json" => json = true,
            "--stream" => stream = true,
            _ => return Err(format!("unknown argument {argument}\n\n{USAGE}").into()),
        }
    }
    let server = Server::start()?;
    let report = measure::run(&server, &plan, stream)?;
    let text = if json {
        format!("{:#}\n", report.json())
    } else {
        report.text()
    };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}
