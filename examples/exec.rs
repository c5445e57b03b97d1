//! Runs one command on one host, and ends with its exit status.
//!
//!     cargo run --example exec -- deploy@web-1 'uname -sr'

#![allow(clippy::print_stderr, reason = "an example talks to a person")]

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use sternline::Connection;
use sternline::exec::ExecRequest;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [target, command] = arguments.as_slice() else {
        eprintln!("usage: exec [USER@]HOST[:PORT] COMMAND");
        return ExitCode::from(2);
    };
    match run(target, command).await {
        Ok(status) => status,
        Err(error) => {
            // What happened, and what to try: every error has both.
            eprintln!("exec: {error}");
            eprintln!("hint: {}", error.hint());
            ExitCode::from(255)
        }
    }
}

async fn run(target: &str, command: &str) -> sternline::Result<ExitCode> {
    // Without further settings: your known_hosts decides, then your agent and your keys are offered.
    let connection = Connection::builder(target).connect().await?;
    let request = ExecRequest::from(command).timeout(Duration::from_secs(60));
    let result = connection.exec(request).await?;
    connection.close().await;

    // Output is bytes, because a command may write anything. A pipe that nobody reads any more is no error of ours.
    let _ = std::io::stdout().write_all(&result.stdout);
    let _ = std::io::stderr().write_all(&result.stderr);
    Ok(ExitCode::from(
        u8::try_from(result.status.shell_code()).unwrap_or(255),
    ))
}
