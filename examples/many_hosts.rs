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

use sternline::Fleet;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().unwrap_or_default();
    let targets: Vec<String> = arguments.collect();
    if targets.is_empty() {
        eprintln!("usage: many_hosts COMMAND [USER@]HOST[:PORT]...");
        return ExitCode::from(2);
    }

    // Each host gets a connection of its own; 16 are worked on at once, the others wait.
    let fleet = Fleet::new(targets)
        .parallel(16)
        .configure(|_host, builder| builder.connect_timeout(Duration::from_secs(10)));

    match run(&fleet, &command).await {
        Ok(failed) => ExitCode::from(u8::from(failed > 0)),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

/// Runs the command, and says on how many hosts it failed.
async fn run(fleet: &Fleet, command: &str) -> sternline::Result<usize> {
    let outcomes = fleet.exec(command).await?;
    let failed = outcomes.iter().filter(|outcome| !outcome.ok()).count();
    for outcome in &outcomes {
        // An error is about the connection or the time limit. A command that failed is a result.
        match &outcome.result {
            Ok(result) if result.ok() => print!("{}: {}", outcome.host, outcome.stdout.text().await?),
            Ok(result) => println!("{}: {}", outcome.host, result.status),
            Err(error) => println!("{}: {error}", outcome.host),
        }
    }
    println!("{} of {} succeeded", outcomes.len() - failed, outcomes.len());
    Ok(failed)
}
