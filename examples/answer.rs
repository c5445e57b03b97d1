//! Runs a command in a terminal and answers one prompt with a secret, which is read from standard input.
//!
//!     echo 'the password' | cargo run --example answer -- deploy@web-1 'sudo -k id' 'password for deploy: '
//!
//! With a file name at the end, the session is recorded there for asciinema. The secret is in neither.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example talks to a person"
)]

use std::process::ExitCode;
use std::time::Duration;

use sternline::exec::{ExecRequest, ExitStatus, Pty};
use sternline::{Connection, Secret};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [target, command, prompt, record @ ..] = arguments.as_slice() else {
        eprintln!("usage: answer [USER@]HOST[:PORT] COMMAND PROMPT [RECORDING.cast] < SECRET");
        return ExitCode::from(2);
    };
    let mut secret = String::new();
    if let Err(error) = std::io::stdin().read_line(&mut secret) {
        eprintln!("answer: the secret cannot be read: {error}");
        return ExitCode::FAILURE;
    }
    let secret = Secret::new(secret.trim_end_matches('\n'));
    match answer(target, command, prompt, &secret, record.first()).await {
        Ok(status) => ExitCode::from(u8::try_from(status.shell_code()).unwrap_or(255)),
        Err(error) => {
            // Where the prompt did not come, this says what did, and what came nearest.
            eprintln!("answer: {error}");
            eprintln!("hint: {}", error.hint());
            ExitCode::FAILURE
        }
    }
}

async fn answer(
    target: &str,
    command: &str,
    prompt: &str,
    secret: &Secret,
    record: Option<&String>,
) -> sternline::Result<ExitStatus> {
    let connection = Connection::builder(target).connect().await?;
    let request = ExecRequest::new(command).pty(Pty::default());
    let mut program = connection.automate(request).await?.ignore_control_sequences(true);
    let asked = program.expect(prompt, Duration::from_secs(5)).await?;
    if asked.matched {
        program.send_secret(secret).await?;
    } else {
        println!("it did not ask:\n{}", asked.buffer);
    }
    let status = program.expect_end(Duration::from_secs(30)).await?;
    print!("{}", program.buffer());
    if let Some(path) = record
        && let Err(error) = program.transcript().to_asciicast_file(path, 80, 24)
    {
        eprintln!("answer: {path} cannot be written: {error}");
    }
    connection.close().await;
    // A command over SSH always says how it ended.
    Ok(status.unwrap_or(ExitStatus::Code(255)))
}
