//! Every command and script in README.md and the guides is run, as it stands there, and its output compared with what is shown.
//!
//! A `console` block holds commands behind `$ ` and their output; `...` stands for whatever comes there. The hosts of
//! the documents exist: `~/.ssh/config` of a fresh home leads to a server that is started for the test. A `sternline serve` is
//! ended once it listens. A `sh` block holds commands without output, each of which has to be known here. A `python` block is a
//! script, and begins with a comment that names the file which the commands find it in.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use sternline_tests::cli::Home;
use sternline_tests::sshd::keygen;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The blocks of a language, with the line where each begins.
fn blocks(text: &str, language: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut inside: Option<(usize, bool, String)> = None;
    for (index, line) in text.lines().enumerate() {
        match (&mut inside, line.strip_prefix("```")) {
            (None, Some(tag)) => inside = Some((index + 1, tag == language, String::new())),
            (Some((start, wanted, block)), Some(_)) => {
                if *wanted {
                    found.push((*start, std::mem::take(block)));
                }
                inside = None;
            }
            (Some((_, _, block)), None) => {
                block.push_str(line);
                block.push('\n');
            }
            (None, None) => {}
        }
    }
    found
}

/// The commands of a `console` block, each with the output that is shown for it.
fn commands(block: &str) -> Vec<(String, String)> {
    let mut commands: Vec<(String, String)> = Vec::new();
    for line in block.lines() {
        match (line.strip_prefix("$ "), commands.last_mut()) {
            (Some(command), _) => commands.push((command.to_owned(), String::new())),
            (None, Some((_, output))) => {
                output.push_str(line);
                output.push('\n');
            }
            (None, None) => panic!("output without a command: {line}"),
        }
    }
    commands
}

/// Whether the output is what is shown: `...` stands for anything, the rest has to be there in order.
fn fits(shown: &str, output: &str) -> bool {
    let pieces: Vec<&str> = shown.trim_end().split("...").collect();
    let mut rest = output.trim_end();
    for (index, piece) in pieces.iter().enumerate() {
        // A line of dots may stand for no line at all.
        let piece = if index == 0 {
            piece
        } else {
            piece.strip_prefix('\n').unwrap_or(piece)
        };
        match rest.find(piece) {
            Some(0) => rest = &rest[piece.len()..],
            Some(found) if index > 0 => rest = &rest[found + piece.len()..],
            _ => return false,
        }
    }
    rest.is_empty() || shown.trim_end().ends_with("...")
}

/// The site that the documents talk about: three hosts, all of them one `sternline serve` that runs real commands.
struct Site {
    home: Home,
    server: Child,
    /// Of the server's host key, as its administrator would tell it.
    fingerprint: String,
}

/// What the hosts' files are, for a document that only copies, and for one whose commands look at what was copied.
const APART: &str = ".files";
const WHERE_COMMANDS_RUN: &str = ".";

impl Site {
    fn start(files: &str) -> Self {
        let home = Home::new();
        std::fs::create_dir(home.path().join(".ssh")).expect("a folder");
        keygen(&home.path().join(".ssh/id_ed25519"), "ed25519");
        // What its files are, beside the home of whoever follows the documents.
        std::fs::create_dir(home.path().join(APART)).expect("a folder");
        // The service that the hosts run: it obeys.
        let service = home.write(".bin/systemctl", "#!/bin/sh\nexit 0\n");
        std::fs::set_permissions(&service, std::os::unix::fs::PermissionsExt::from_mode(0o700))
            .expect("a mode");
        let arguments = [
            "serve",
            "--shell",
            "--files",
            files,
            "--allow-forwarding",
            "--user",
            "deploy",
            "--authorized-keys",
            ".ssh/id_ed25519.pub",
        ];
        let path = std::env::join_paths(
            [home.path().join(".bin")]
                .into_iter()
                .chain(std::env::split_paths(
                    &std::env::var_os("PATH").unwrap_or_default(),
                )),
        );
        let mut server = home
            .sternline(arguments)
            .env("PATH", path.expect("a path"))
            .stderr(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let said = introduction(&mut server);
        // The line to copy is: echo 'HOST TYPE KEY' > FILE
        let known = said.split('\'').nth(1).expect("a known_hosts line");
        let port = known
            .split(' ')
            .next()
            .and_then(|host| host.split(':').nth(1))
            .expect("a port");
        let fingerprint = said.split_whitespace().find(|word| word.starts_with("SHA256:"));
        home.write(".ssh/known_hosts", format!("{known}\n"));
        // web-3 is there too, but its key is not known.
        let config = format!(
            "Host web-1 web-2 db-1 bastion\n  HostName 127.0.0.1\nHost web-3\n  HostName localhost\nHost *\n  Port {port}\n"
        );
        home.write(".ssh/config", config);
        // The inventory that the guide shows.
        let guide = std::fs::read_to_string(root().join("docs/guide.md")).expect("the guide");
        let (_, inventory) = blocks(&guide, "toml").swap_remove(0);
        home.write("hosts.toml", inventory);
        Self {
            home,
            server,
            fingerprint: fingerprint.expect("a fingerprint").to_owned(),
        }
    }

    /// Runs a command of a `console` block.
    fn run(&self, command: &str) -> (String, Option<i32>) {
        if !command.starts_with("sternline serve") {
            return self.sh(command);
        }
        let mut bash = self.home.command("bash");
        let bash = bash
            .args(["-c", &format!("exec {command}")])
            .stderr(Stdio::piped());
        let mut server = bash.spawn().expect("bash starts");
        let mut lines = BufReader::new(server.stderr.take().expect("a pipe"));
        let mut said = until_it_listens(&mut lines);
        end(&server);
        lines.read_to_string(&mut said).expect("text");
        (said, server.wait().expect("an end").code())
    }

    /// Runs a command with `bash`, and gives all that it writes, in order, and its status.
    fn sh(&self, command: &str) -> (String, Option<i32>) {
        let script = format!("exec 2>&1\n{command}\n");
        let output = self
            .home
            .command("bash")
            .args(["-c", &script])
            .env("FINGERPRINT", &self.fingerprint)
            .output()
            .expect("bash starts");
        (
            String::from_utf8_lossy(&output.stdout).into_owned(),
            output.status.code(),
        )
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        end(&self.server);
        let _ = self.server.wait();
    }
}

/// Reads what a `sternline serve` says at its start; the rest is read and dropped behind it.
fn introduction(server: &mut Child) -> String {
    let mut lines = BufReader::new(server.stderr.take().expect("a pipe"));
    let said = until_it_listens(&mut lines);
    std::thread::spawn(move || lines.lines().for_each(drop));
    said
}

fn until_it_listens(lines: &mut impl BufRead) -> String {
    let mut said = String::new();
    while !said.contains("Ctrl-C ends the server") {
        let read = lines.read_line(&mut said).expect("text");
        assert!(read > 0, "it ended: {said}");
    }
    said
}

/// Asks a server to end. Not with Ctrl-C's signal, for that is left ignored where the tests were started so, in the background
/// of a script for instance.
fn end(server: &Child) {
    let pid = i32::try_from(server.id()).ok().and_then(Pid::from_raw);
    let _ = kill_process(pid.expect("a process"), Signal::TERM);
}

/// The scripts of a document: the name of each, and its text.
fn scripts(document: &str, text: &str) -> Vec<(String, String)> {
    let scripts = blocks(text, "python").into_iter().map(|(line, script)| {
        let name = script.lines().next().and_then(|first| first.strip_prefix("# "));
        let name = name.filter(|name| name.ends_with(".star"));
        let name =
            name.unwrap_or_else(|| panic!("{document}:{line}: a script without its name in the first line"));
        (name.to_owned(), script)
    });
    scripts.collect()
}

/// Runs each command of a document's `console` blocks.
fn try_console(document: &str, files: &str) {
    let text = std::fs::read_to_string(root().join(document)).expect("the document");
    let scripts = scripts(document, &text);
    let blocks = blocks(&text, "console");
    assert!(!blocks.is_empty(), "{document} shows no command");
    for (name, script) in &scripts {
        let runs = |text: &str| text.contains(name.as_str());
        let is_loaded = scripts
            .iter()
            .any(|(_, other)| other != script && other.contains(&format!("load(\"{name}\"")));
        assert!(
            is_loaded || blocks.iter().any(|(_, block)| runs(block)),
            "{document} shows {name} and does not run it"
        );
        assert!(script.len() > name.len() + 3, "{document}: {name} is empty");
    }
    for (line, block) in blocks {
        // Each block starts from the same state.
        let site = Site::start(files);
        for (name, script) in &scripts {
            site.home.write(name, script);
        }
        for (command, shown) in commands(&block) {
            let (output, status) = site.run(&command);
            let what = format!(
                "{document}:{line}: $ {command}\n-- shown:\n{shown}-- came:\n{output}-- status {status:?}"
            );
            assert!(fits(&shown, &output), "another output\n{what}");
            assert_eq!(status, Some(0), "it failed\n{what}");
        }
    }
}

#[test]
fn the_commands_of_the_readme_do_what_it_shows() {
    try_console("README.md", APART);
}

#[test]
fn the_commands_of_the_guide_do_what_it_shows() {
    try_console("docs/guide.md", APART);
}

#[test]
fn the_scripts_of_the_guide_to_scripts_do_what_it_shows() {
    try_console("docs/starlark.md", WHERE_COMMANDS_RUN);
}

#[test]
fn the_example_of_the_guide_to_tests_passes() {
    let text = std::fs::read_to_string(root().join("docs/starlark-testing.md")).expect("the guide");
    let home = Home::new();
    for (number, (_, script)) in blocks(&text, "python").into_iter().enumerate() {
        home.write(&format!("{number}_test.star"), script);
    }
    let ended = home.run(["test", "."]);
    assert_eq!(ended.status, 0, "{}{}", ended.stdout, ended.stderr);
}

#[test]
fn the_steps_of_the_readme_can_be_taken() {
    let text = std::fs::read_to_string(root().join("README.md")).expect("the readme");
    let home = Home::new();
    for (line, block) in blocks(&text, "sh") {
        for command in block.lines() {
            let at = format!("README.md:{line}: {command}");
            let words: Vec<&str> = command.split_whitespace().collect();
            match words.as_slice() {
                // What runs this test.
                ["scripts/test"] => assert!(is_executable(&root().join("scripts/test")), "{at}"),
                // Cargo runs the one default member's program; here it is run without being built once more.
                [
                    "cargo",
                    "run",
                    "--release",
                    "--no-default-features",
                    "--",
                    arguments @ ..,
                ] => {
                    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).expect("the manifest");
                    assert!(
                        manifest.contains("default-members = [\"crates/sternline-cli\"]"),
                        "{at}"
                    );
                    let ended = home.run(arguments);
                    assert_eq!(ended.status, 0, "{at}\n{}", ended.stderr);
                }
                ["cargo", "install", "--path", path] => {
                    let manifest = root().join(path).join("Cargo.toml");
                    let manifest = std::fs::read_to_string(manifest).expect("the manifest");
                    assert!(manifest.contains("name = \"sternline\""), "{at}");
                }
                ["sternline", "serve", ..] => serve(&home, command),
                _ => panic!("nobody knows how to try {at}"),
            }
        }
    }
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o111 != 0)
}

/// Starts a server by a command line, waits until it listens, and ends it.
fn serve(home: &Home, command: &str) {
    let mut bash = home.command("bash");
    let mut server = bash
        .args(["-c", &format!("exec {command}")])
        .stderr(Stdio::piped())
        .spawn()
        .expect("bash starts");
    introduction(&mut server);
    end(&server);
    assert_eq!(server.wait().expect("an end").code(), Some(0), "{command}");
}

#[test]
fn what_is_shown_fits_only_what_comes() {
    for (shown, output, expected) in [
        ("a\nb\n", "a\nb\n", true),
        ("a\n", "a\nb\n", false),
        ("b\n", "a\nb\n", false),
        ("a\n...\n", "a\nb\n", true),
        ("a\n...\nc\n", "a\nb\nc\n", true),
        ("a\n...\nc\n", "a\nc\n", true),
        ("a\n...\nc\n", "a\nb\n", false),
        ("{\"a\":...,\"b\":1}\n", "{\"a\":5,\"b\":1}\n", true),
        ("{\"a\":...,\"b\":1}\n", "{\"a\":5,\"b\":2}\n", false),
        ("...\n", "", true),
    ] {
        assert_eq!(fits(shown, output), expected, "{shown:?} {output:?}");
    }
}
