//! Tests that cannot run here say so, with how to run them: the test command lists them at its end.

use std::io::Write;

/// Notes that something was not tested, and how to test it.
///
/// # Panics
/// When the note cannot be written: a test must not be left out silently.
pub fn left_out(what: &str, how: &str) {
    let line = format!("LEFT OUT: {what} ({how})\n");
    match std::env::var_os("STERNLINE_LEFT_OUT") {
        Some(path) => {
            let mut file = std::fs::File::options()
                .create(true)
                .append(true)
                .open(path)
                .unwrap();
            file.write_all(line.as_bytes()).unwrap();
        }
        None => std::io::stderr().write_all(line.as_bytes()).unwrap(),
    }
}
