//! Runs one command on several hosts at once and prints the answers in the order of the hosts.
//!
//!     cargo run --example many_hosts -- 'uname -sr' deploy@web-1 deploy@web-2

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example talks to a person"
)]

use std::process::ExitCode;
use std::time::Duration;

use sternline::Connection;
use sternline::exec::{ExecRequest, ExecResult};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().unwrap_or_default();
    let targets: Vec<String> = arguments.collect();
    if targets.is_empty() {
        eprintln!("usage: many_hosts COMMAND [USER@]HOST[:PORT]...");
        return ExitCode::from(2);
    }

    // One task for each host. A few hundred are no problem; for thousands, bound them with a semaphore.
    let running: Vec<_> = targets
        .iter()
        .map(|target| tokio::spawn(run(target.clone(), command.clone())))
        .collect();

    let mut failed = 0;
    for (target, task) in targets.iter().zip(running) {
        match task.await {
            Ok(Ok(result)) if result.ok() => print!("{target}: {}", result.stdout_text()),
            Ok(Ok(result)) => {
                failed += 1;
                println!("{target}: {}", result.status);
            }
            Ok(Err(error)) => {
                failed += 1;
                println!("{target}: {error}");
            }
            Err(panic) => {
                failed += 1;
                println!("{target}: {panic}");
            }
        }
    }
    ExitCode::from(u8::from(failed > 0))
}

async fn run(target: String, command: String) -> sternline::Result<ExecResult> {
    let connection = Connection::builder(target).connect().await?;
    let result = connection
        .exec(ExecRequest::from(command).timeout(Duration::from_secs(30)))
        .await?;
    connection.close().await;
    Ok(result)
}
