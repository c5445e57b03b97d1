//! The program itself. What it does with real peers is tried in the workspace's `tests/`, where this file's being here
//! makes sure that a test run has built it.

use std::process::Command;

#[test]
fn the_program_says_its_name_and_version() {
    let output = Command::new(env!("CARGO_BIN_EXE_sternline"))
        .arg("--version")
        .output()
        .expect("the program starts");
    let expected = format!("sternline {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
    assert!(output.status.success());
}
