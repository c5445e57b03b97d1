//! Writes `docs/benchmarks.md`, its plots and the README's table from `docs/benchmarks/results.json`:
//! `cargo run -p sternline-benches --bin page`.

use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    match sternline_benches::page::write() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "page: {error}");
            ExitCode::FAILURE
        }
    }
}
