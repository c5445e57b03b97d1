//! docs/reference/cli.md holds the help of every command, as the program gives it.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as a test does"
)]

use std::path::Path;

use sternline_tests::cli::Home;

const HEAD: &str = "\
# Command line reference

This page is the help of every command, as `sternline help COMMAND` prints it. `sternline man DIR` writes the same as manual
pages. A test compares this page with the program; `STERNLINE_WRITE=1 cargo test --test cli_reference` writes it anew.
";

/// How the help of the whole program begins. It lists its commands in groups of its own.
const FIRST: &str = "Run commands over SSH, on one host or many";

/// The help of a command, wrapped as for a page.
fn help(arguments: &[&str]) -> String {
    let home = Home::new();
    let ended = home
        .sternline(arguments)
        .arg("--help")
        .env("COLUMNS", "100")
        .output()
        .expect("it starts");
    assert!(
        ended.status.success(),
        "{}",
        String::from_utf8_lossy(&ended.stderr)
    );
    let text = String::from_utf8(ended.stdout).expect("text");
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n").trim_end().to_owned()
}

/// The commands that a help names, in its order: under `Commands:`, or in groups.
fn commands(help: &str) -> Vec<String> {
    let sections = help.split("\n\n").filter_map(|section| section.split_once(":\n"));
    let sections = sections.filter(|(heading, _)| {
        let is_heading = heading.chars().all(|c| c.is_alphabetic() || c == ' ');
        is_heading
            && !["Options", "Arguments"].contains(heading)
            && (*heading == "Commands" || help.starts_with(FIRST))
    });
    let lines = sections.flat_map(|(_, section)| section.lines());
    let names = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.filter_map(|line| line.split([' ', ',']).find(|word| !word.is_empty()));
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

/// A section for a command and for each below it.
fn section(page: &mut String, command: &[&str]) {
    let help = help(command);
    let title = [&["sternline"], command].concat().join(" ");
    page.push_str(&format!("\n## {title}\n\n```text\n{help}\n```\n"));
    for name in commands(&help) {
        section(page, &[command, &[&name]].concat());
    }
}

#[test]
fn the_reference_is_what_the_program_says() {
    let mut page = HEAD.to_owned();
    section(&mut page, &[]);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/cli.md");
    if std::env::var_os("STERNLINE_WRITE").is_some() {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(&path, &page).expect("the page");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        written, page,
        "write it anew: STERNLINE_WRITE=1 cargo test --test cli_reference"
    );
}
