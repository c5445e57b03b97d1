//! Shows the output of a command as it comes, and ends the command, on the server too, after some lines.
//!
//!     cargo run --example stream -- deploy@web-1 'while :; do date; sleep 1; done' 3

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example talks to a person"
)]

use std::process::ExitCode;

use sternline::Connection;
use sternline::exec::{Exit, StreamData};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [target, command, lines] = arguments.as_slice() else {
        eprintln!("usage: stream [USER@]HOST[:PORT] COMMAND LINES");
        return ExitCode::from(2);
    };
    match follow(target, command, lines.parse().unwrap_or(10)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("stream: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn follow(target: &str, command: &str, lines: usize) -> sternline::Result<()> {
    let connection = Connection::builder(target).connect().await?;
    let mut stream = connection.stream_exec(command).await?;
    let mut seen = 0;
    while let Some(event) = stream.next().await {
        match event.data {
            StreamData::Stdout(bytes) => {
                print!("{}", String::from_utf8_lossy(&bytes));
                seen += bytes.iter().filter(|byte| **byte == b'\n').count();
                if seen >= lines {
                    // From here on the remote process is being ended. Its exit is still to come.
                    stream.cancel();
                }
            }
            StreamData::Stderr(bytes) => eprint!("{}", String::from_utf8_lossy(&bytes)),
            // Always the last event: the command ended by itself, was cancelled, or something went wrong.
            StreamData::Exit(Exit::Status(status)) => println!("-- ended with {status}"),
            StreamData::Exit(Exit::Cancelled(remote)) => println!("-- cancelled: {remote}"),
            StreamData::Exit(Exit::Failed(error)) => return Err(error),
        }
    }
    connection.close().await;
    Ok(())
}
