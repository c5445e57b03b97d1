//! Measures Sternline against its peers: `cargo run --release -p sternline-benches --bin peers`.

use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match sternline_benches::peers(&arguments) {
        Ok(status) => status,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "peers: {error}");
            ExitCode::FAILURE
        }
    }
}
