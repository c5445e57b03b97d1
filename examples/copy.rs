//! Copies a directory to a server and shows how it goes: files as they arrive, then the sum.
//!
//!     cargo run --example copy -- ./site deploy@web-1 /srv/www

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example talks to a person"
)]

use std::process::ExitCode;

use sternline::transfer::{FileOutcome, Filter, TransferEvent};
use sternline::{Connection, Transfer};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [source, host, target] = arguments.as_slice() else {
        eprintln!("usage: copy SOURCE [USER@]HOST[:PORT] TARGET");
        return ExitCode::from(2);
    };
    match run(source, host, target).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}\nhint: {}", error.hint());
            ExitCode::FAILURE
        }
    }
}

async fn run(source: &str, host: &str, target: &str) -> sternline::Result<()> {
    let connection = Connection::builder(host).connect().await?;
    let filter = Filter::new().exclude(".git/").map_err(invalid)?;
    // `source/.` means what is in the directory, so that the target becomes its copy.
    let transfer = Transfer::upload(format!("{source}/."), target)
        .recursive(true)
        .preserve(true)
        .skip_unchanged(true)
        .filter(filter)
        .on_event(|event| {
            if let TransferEvent::Ended { result, .. } = event
                && matches!(result.outcome, FileOutcome::Copied)
            {
                println!("{}", String::from_utf8_lossy(&result.dst));
            }
        });
    // Files that failed are in the result, each with its reason; `success` makes an error of the first one.
    let result = connection.transfer(transfer).await.success()?;
    println!(
        "{} copied, {} left as they were, {} bytes",
        result.copied, result.skipped, result.bytes
    );
    connection.close().await;
    Ok(())
}

fn invalid(error: sternline::transfer::PatternError) -> sternline::Error {
    sternline::Error::new(sternline::ErrorKind::Invalid, error.to_string())
}
