//! Measures Sternline against its peers on one sshd: `cargo run --release -p sternline-benches --bin peers`.
//!
//! Every peer is a process of its own that lives through the whole session and is asked, in turn, for the same work.
//! What is compared are the ratios within one round, because a machine's speed changes from minute to minute.
//! `benches/README.md` says what is timed.

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;

mod cpu;
mod expect;
mod files;
mod forwards;
mod measure;
mod peer;
mod report;
mod statistics;
mod worker;

use measure::{Plan, Server};

const USAGE: &str = "usage: peers [--quick] [--json] [--stream | --forwards | --files | --expect] [--ciphers LIST]

  --quick   a few commands only: shows that everything works, its figures mean nothing
  --json    one JSON object instead of tables
  --stream  measures a long output too
  --forwards
            measures local forwards instead
  --files   measures transfers by `sternline cp` instead, which has to be built, too
  --expect  measures waiting for output against only reading it instead
  --ciphers LIST
            the only ciphers that the server offers, as for ssh's -c; without it each peer has its favourite, but for
            files all have aes128-gcm@openssh.com

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
    if let Some((first, rest)) = arguments.split_first() {
        match first.as_str() {
            worker::ARGUMENT => return worker::run(rest),
            forwards::FORWARD => return forwards::forward(rest),
            forwards::TARGET => return forwards::target(),
            forwards::LOAD => return forwards::load(rest),
            expect::READ => return expect::read(rest),
            _ => {}
        }
    }
    let (mut quick, mut json, mut ciphers) = (false, false, None);
    let (mut stream, mut forwards, mut files, mut expect) = (false, false, false, false);
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--quick" => quick = true,
            "--json" => json = true,
            "--stream" => stream = true,
            "--forwards" => forwards = true,
            "--files" => files = true,
            "--expect" => expect = true,
            "--ciphers" => ciphers = Some(rest.next().ok_or("--ciphers needs a list")?.as_str()),
            _ => return Err(format!("unknown argument {argument}\n\n{USAGE}").into()),
        }
    }
    if files {
        ciphers = ciphers.or(Some("aes128-gcm@openssh.com"));
    }
    let server = Server::start(ciphers)?;
    let report = if files {
        files::run(&server, quick)?
    } else if expect {
        expect::run(&server, quick)?
    } else if forwards {
        forwards::run(&server, quick)?
    } else {
        let plan = if quick { Plan::quick() } else { Plan::full() };
        measure::run(&server, &plan, stream)?
    };
    let text = if json {
        format!("{:#}\n", report.json())
    } else {
        report.text()
    };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}
