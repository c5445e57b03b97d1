//! `sternline cp` where it meets pipes, devices, other users' homes and full disks: what it says, and that nothing is lost
//! silently.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as a test does"
)]

mod cli_support;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use cli_support::Setting;
use serde_json::Value;
use sternline_tests::cli::{Ended, program};
use sternline_tests::sshd::Settings;

/// A server, a directory here, which is the current one, and a directory on the server.
struct Ends {
    setting: Setting,
    here: PathBuf,
    there: PathBuf,
}

impl Ends {
    fn new() -> Self {
        Self::with(Settings::default())
    }

    fn with(settings: Settings) -> Self {
        let setting = Setting::new(settings.start());
        let (here, there) = (setting.sshd.path("here"), setting.sshd.path("there"));
        fs::create_dir(&here).unwrap();
        fs::create_dir(&there).unwrap();
        Self { setting, here, there }
    }

    fn host(&self) -> String {
        format!("{}@127.0.0.1", self.setting.sshd.user().name)
    }

    /// A path on the server as an operand.
    fn at(&self, path: &str) -> String {
        format!("{}:{}/{path}", self.host(), self.there.display())
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.setting.home.command("setsid");
        command
            .arg("--wait")
            .arg(program())
            .args(["cp", "-P", &self.setting.sshd.port().to_string()])
            .args(arguments)
            .current_dir(&self.here);
        command
    }

    fn cp(&self, arguments: &[&str]) -> Ended {
        Ended::from(self.command(arguments).output().unwrap())
    }

    fn cp_piped(&self, arguments: &[&str], input: &str) -> Ended {
        let mut command = self.command(arguments);
        let command = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        Ended::from(child.wait_with_output().unwrap())
    }
}

#[test]
fn what_does_not_say_its_size_is_refused_by_scp_and_not_sent_as_nothing() {
    let ends = Ends::new();
    for source in ["-", "/dev/stdin", "/proc/self/status"] {
        let ended = ends.cp_piped(&["-O", source, &ends.at("copy")], "through a pipe");
        assert_eq!(ended.status, 1, "{source}: {}", ended.stderr);
        assert!(
            ended.stderr.contains("does not say how long it is"),
            "{source}: {}",
            ended.stderr
        );
        assert!(!ends.there.join("copy").exists(), "{source}");
    }
    fs::write(ends.here.join("empty"), "").unwrap();
    assert_eq!(ends.cp(&["-O", "empty", &ends.at("empty")]).status, 0);
    assert_eq!(fs::read(ends.there.join("empty")).unwrap(), b"");
}

#[test]
fn a_warning_names_its_file_or_the_way_that_was_taken() {
    let ends = Ends::new();
    fs::write(ends.here.join("a"), "A").unwrap();
    fs::write(ends.there.join("b"), "B").unwrap();
    let ended = ends.cp(&[&ends.at("b"), "/dev/null"]);
    assert_eq!(
        (ended.status, ended.stderr.as_str()),
        (
            0,
            "warning: 127.0.0.1: /dev/null: is no regular file, so it was written in place\n"
        )
    );
    let ended = ends.cp(&["-O", "a", &ends.at("a")]);
    assert_eq!(ended.status, 0);
    assert!(
        ended
            .stderr
            .starts_with("warning: 127.0.0.1: scp writes in place"),
        "{}",
        ended.stderr
    );
    assert_eq!(ends.cp(&["-q", "-O", "a", &ends.at("a")]).stderr, "");
}

#[test]
fn the_home_of_another_user_is_found_as_scp_finds_it() {
    for settings in [
        Settings::default(),
        // Through the shell.
        Settings::default().option("Subsystem none /bin/false"),
    ] {
        let ends = Ends::with(settings);
        let user = &ends.setting.sshd.user().name;
        let home = format!("{}:~{user}", ends.host());
        // However deep it lies, the root is above it.
        let up = "/../../../../../../../..";
        let there = ends.there.display();
        fs::write(ends.here.join("a"), "A").unwrap();
        let ended = ends.cp(&["a", &format!("{home}{up}{there}/copy")]);
        assert_eq!((ended.status, ended.stderr.as_str()), (0, ""));
        let ended = ends.cp(&[&format!("{home}{up}{there}/copy"), "back"]);
        assert_eq!((ended.status, ended.stderr.as_str()), (0, ""));
        assert_eq!(fs::read(ends.here.join("back")).unwrap(), b"A");

        let ended = ends.cp(&["a", &format!("{}:~no-such-user/copy", ends.host())]);
        assert_eq!(ended.status, 1, "{}", ended.stderr);
        assert!(
            ended.stderr.contains("~no-such-user") && ended.stderr.contains("./~NAME"),
            "{}",
            ended.stderr
        );
    }
}

#[test]
fn standard_output_can_be_named_as_a_device() {
    let ends = Ends::new();
    fs::write(ends.there.join("a"), "to a pipe").unwrap();
    symlink("/proc/self/fd/1", ends.here.join("link")).unwrap();
    for target in ["/dev/stdout", "link"] {
        let ended = ends.cp(&["-q", &ends.at("a"), target]);
        assert_eq!(
            (ended.status, ended.stdout.as_str(), ended.stderr.as_str()),
            (0, "to a pipe", ""),
            "{target}"
        );
    }
}

#[test]
fn an_error_names_the_file_that_was_asked_for() {
    let ends = Ends::new();
    fs::write(ends.here.join("large"), vec![b'x'; 2 << 20]).unwrap();
    // The shell's limit on the size of files takes the part of a full disk.
    let limited = format!(
        "ulimit -f 1024; trap '' XFSZ; exec {} cp -P {} {} copy",
        program().display(),
        ends.setting.sshd.port(),
        ends.at("large")
    );
    fs::write(ends.there.join("large"), vec![b'x'; 2 << 20]).unwrap();
    let mut command = ends.setting.home.command("sh");
    let output = command.args(["-c", &limited]).current_dir(&ends.here).output();
    let ended = Ended::from(output.unwrap());
    assert_eq!(ended.status, 1, "{}", ended.stderr);
    assert!(
        ended
            .stderr
            .starts_with("failed: 127.0.0.1: cannot copy to copy: cannot write ./.copy."),
        "{}",
        ended.stderr
    );
    let mut left = fs::read_dir(&ends.here).unwrap();
    assert!(left.all(|entry| entry.unwrap().file_name() == "large"));
}

#[test]
fn what_makes_no_sense_is_told_with_the_option_or_operand_it_is() {
    let ends = Ends::new();
    let ended = ends.cp(&["--exclude", "[", "a", &ends.at("a")]);
    assert_eq!(ended.status, 2);
    assert!(
        ended
            .stderr
            .starts_with("error: invalid value '[' for '--exclude <PATTERN>': "),
        "{}",
        ended.stderr
    );
    let ended = ends.cp(&["", &ends.at("a")]);
    assert_eq!(ended.status, 2);
    assert!(
        ended.stderr.starts_with("error: an operand is empty: "),
        "{}",
        ended.stderr
    );
}

#[test]
fn json_says_of_each_file_whether_all_is_well() {
    let ends = Ends::new();
    fs::write(ends.here.join("a"), "A").unwrap();
    let ended = ends.cp(&["--json", "a", "missing", &ends.at("")]);
    assert_eq!(ended.status, 1);
    let lines = ended
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let lines: Vec<Value> = lines.collect();
    let said: Vec<_> = lines
        .iter()
        .map(|line| (line["event"].as_str().unwrap(), line["ok"].as_bool().unwrap()))
        .collect();
    assert_eq!(said, [("file", true), ("file", false), ("host", false)]);
}

#[test]
fn a_backslash_takes_its_meaning_from_what_follows_unless_a_name_has_it() {
    let ends = Ends::new();
    for name in ["a b", "c*", "cd", "e\\f"] {
        fs::write(ends.there.join(name), name).unwrap();
    }
    for (operand, name) in [
        ("a\\ b", "a b"),
        ("c\\*", "c*"),
        ("e\\f", "e\\f"),
        ("e\\\\f", "e\\f"),
    ] {
        let ended = ends.cp(&["-q", &ends.at(operand), "copy"]);
        assert_eq!((ended.status, ended.stderr.as_str()), (0, ""), "{operand}");
        assert_eq!(fs::read_to_string(ends.here.join("copy")).unwrap(), name);
    }
    let ended = ends.cp(&[&ends.at("no[pattern"), "copy"]);
    assert_eq!(ended.status, 1);
    assert!(
        ended.stderr.contains("/no[pattern on the server"),
        "{}",
        ended.stderr
    );
}
