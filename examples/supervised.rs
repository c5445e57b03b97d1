//! Runs commands on one host, one after another, over a connection that is made again when it is lost.
//!
//!     cargo run --example supervised -- deploy@web-1 uptime 'sudo reboot' uptime

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example talks to a person"
)]

use std::process::ExitCode;
use std::time::Duration;

use sternline::exec::ExecRequest;
use sternline::{Connection, EventType, RetryPolicy, SendState, Supervisor};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (target, commands) = (arguments.next(), arguments.collect::<Vec<_>>());
    let Some(target) = target.filter(|_| !commands.is_empty()) else {
        eprintln!("usage: supervised [USER@]HOST[:PORT] COMMAND...");
        return ExitCode::from(2);
    };
    match run(&target, commands).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("supervised: {error}");
            eprintln!("hint: {}", error.hint());
            ExitCode::from(255)
        }
    }
}

async fn run(target: &str, commands: Vec<String>) -> sternline::Result<()> {
    // Everything about the connection itself is set as for any other; every change of state is an event.
    let settings = Connection::builder(target).on_event(|event| {
        if event.event_type == EventType::StateChange {
            let state = event.data.get("to_state").and_then(|state| state.as_str());
            eprintln!("-- {}", state.unwrap_or_default());
        }
    });
    let policy = RetryPolicy {
        max_retries: 5,
        base_delay: Duration::from_secs(2),
        ..RetryPolicy::default()
    };
    let supervisor = Supervisor::builder(settings).retry(policy).start().await?;

    for command in commands {
        // The limit holds for waiting for the connection, too.
        let request = ExecRequest::from(command.as_str()).timeout(Duration::from_secs(600));
        match supervisor.exec(request).await {
            Ok(result) => print!("{}", result.stdout_text()),
            // A command that was not sent is run on the next connection by itself. Whether to run one again that may
            // have done its work is for us to decide: see `ExecRequest::retry_on_disconnect`.
            Err(error) if error.kind().is_connection() && error.sent() != SendState::NotSent => {
                println!("{command}: may have run: {error}");
            }
            Err(error) => return Err(error),
        }
    }
    println!("reconnections: {}", supervisor.reconnection_count());
    supervisor.close().await;
    Ok(())
}
