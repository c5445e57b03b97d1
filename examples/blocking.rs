//! Runs one command on one host without async: its output line by line, its input from here, and its exit status.
//!
//!     echo hello | cargo run --example blocking -- deploy@web-1 'tr a-z A-Z'

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example talks to a person"
)]

use std::io::BufRead as _;
use std::process::ExitCode;
use std::time::Duration;

use sternline::blocking::{self, Connection};
use sternline::exec::{ExecRequest, Stdin};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [target, command] = arguments.as_slice() else {
        eprintln!("usage: blocking [USER@]HOST[:PORT] COMMAND");
        return ExitCode::from(2);
    };
    match run(target, command) {
        Ok(status) => status,
        Err(error) => {
            eprintln!("blocking: {error}");
            ExitCode::from(255)
        }
    }
}

fn run(target: &str, command: &str) -> Result<ExitCode, Box<dyn std::error::Error>> {
    // The settings are those of any connection; there is no runtime to start.
    let settings = Connection::builder(target).connect_timeout(Duration::from_secs(10));
    let connection = Connection::connect(settings)?;

    // Whatever reads can be a command's input. The time limit holds for all of it.
    let stdin = Stdin::reader(blocking::reader(std::io::stdin()));
    let request = ExecRequest::from(command)
        .stdin(stdin)
        .timeout(Duration::from_secs(60));
    let mut stream = connection.stream_exec(request)?;
    for line in stream.stdout(std::io::stderr()).lines() {
        println!("{}", line?);
    }
    let status = stream.wait()?;

    // Dropping the last handle does the same.
    connection.close()?;
    Ok(ExitCode::from(u8::try_from(status.shell_code()).unwrap_or(255)))
}
