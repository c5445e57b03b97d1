//! Commands that answer sudo, composed for and run by the login shells that will read them, with a sudo that tells what it
//! was given.
//!
//! A shell that is missing fails the test, with the name of its Debian package.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic)] // clippy knows only `#[test]` functions as tests

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{self, Output, Stdio};

use sternline_proto::command::{Command, Sudo};
use sternline_proto::sudo::{SudoDialog, SudoMarkers, SudoStep};
use tempfile::TempDir;

/// Each login shell, its arguments, and the Debian package that holds it.
const SHELLS: [(&str, &str); 6] = [
    ("/bin/sh", "dash"),
    ("/bin/bash", "bash"),
    ("/bin/zsh", "zsh"),
    ("/usr/bin/fish", "fish"),
    ("/usr/bin/tcsh", "tcsh"),
    ("/usr/bin/mksh", "mksh"),
];

/// Asks as sudo does, unless a file says that it need not, and hands on what sudo does by default.
const SUDO: &str = r#"#!/bin/sh
to=root
if [ "$1" = -u ]; then to=$2; shift 2; fi
[ "$1 $2 $4" = "-S -p --" ] || { echo "sudo: unexpected $*" >&2; exit 90; }
[ "$LC_ALL" = C ] || { echo "sudo: kein Englisch" >&2; exit 91; }
prompt=$3; shift 4
if [ ! -e "$HOME/trusted" ]; then
  printf %s "$prompt" >&2
  read -r password
  [ "$password" = 'pa ss\word' ] || { echo 'Sorry, try again.' >&2; printf %s "$prompt" >&2; exit 1; }
fi
exec env -i PATH="$PATH" HOME="$HOME" SHELL=/bin/sh LC_ALL="$LC_ALL" SUDO_TO="$to" "$@"
"#;

fn home() -> TempDir {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("sudo");
    fs::write(&path, SUDO).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    home
}

fn markers() -> SudoMarkers {
    SudoMarkers::new(std::array::from_fn(|index| index as u8))
}

/// Runs a command as sshd does: `SHELL -c LINE`.
fn run(home: &Path, shell: &str, lc_all: Option<&str>, command: &Command, input: &[u8]) -> Output {
    let line = command.to_line_with(&markers()).unwrap();
    let mut process = process::Command::new(shell);
    process
        .arg("-c")
        .arg(OsStr::from_bytes(&line))
        .env_clear()
        .env("PATH", format!("{}:/usr/bin:/bin", home.display()))
        .env("HOME", home)
        .envs(lc_all.map(|value| ("LC_ALL", value)))
        .current_dir(home)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = process
        .spawn()
        .unwrap_or_else(|error| panic!("{shell}: {error}: see SHELLS for its package"));
    // A command that does not read its input may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

fn steps(output: &Output) -> Vec<SudoStep> {
    let mut dialog = SudoDialog::new(&markers());
    let mut steps = dialog.read(&output.stderr);
    steps.extend(dialog.finish());
    steps
}

#[test]
fn every_login_shell_lets_sudo_ask_and_the_command_have_its_input() {
    let report =
        r#"printf '%s|' "$SUDO_TO" "${PWD##*/}" "$A" "${LC_ALL-unset}" "$0" $#; cat; echo err >&2; exit 7"#;
    let home = home();
    for (shell, package) in SHELLS {
        assert!(
            Path::new(shell).exists(),
            "{shell} is missing: apt-get install {package}"
        );
        for lc_all in [None, Some("C.UTF-8"), Some("C"), Some("POSIX"), Some("")] {
            let plain = Command::shell(report).sudo(Sudo::Password);
            let dressed = plain.clone().as_user("deploy").cwd("/usr/share").env("A", "it's");
            let there = home.path().file_name().unwrap().to_str().unwrap();
            let language = lc_all.unwrap_or("unset");
            // csh has no way to write a line's end inside quotes.
            let commands = if shell.ends_with("csh") {
                &[plain][..]
            } else {
                &[plain, dressed]
            };
            for (command, expected) in commands.iter().zip([
                format!("root|{there}||{language}|sh|0|in\nput"),
                format!("deploy|share|it's|{language}|sh|0|in\nput"),
            ]) {
                let output = run(home.path(), shell, lc_all, command, b"pa ss\\word\nin\nput");
                assert_eq!(
                    String::from_utf8_lossy(&output.stdout),
                    expected,
                    "{shell}: {output:?}"
                );
                assert_eq!(
                    steps(&output),
                    [
                        SudoStep::Prompt,
                        SudoStep::Started,
                        SudoStep::Output(b"err\n".to_vec())
                    ],
                    "{shell}"
                );
                assert_eq!(output.status.code(), Some(7), "{shell}");
            }
        }
    }
}

#[test]
fn where_nothing_is_asked_the_start_is_told_all_the_same() {
    let home = home();
    fs::write(home.path().join("trusted"), "").unwrap();
    for (shell, _) in SHELLS {
        let command = Command::program("cat").sudo(Sudo::Password);
        let output = run(home.path(), shell, None, &command, b"input");
        assert_eq!(output.stdout, b"input", "{shell}: {output:?}");
        assert_eq!(steps(&output), [SudoStep::Started], "{shell}");
    }
}

#[test]
fn a_second_prompt_is_seen_as_one() {
    let home = home();
    for (shell, _) in SHELLS {
        let command = Command::shell("touch never").sudo(Sudo::Password);
        let output = run(home.path(), shell, None, &command, b"wrong\n");
        assert_eq!(
            steps(&output),
            [
                SudoStep::Prompt,
                SudoStep::Output(b"Sorry, try again.\n".to_vec()),
                SudoStep::PromptAgain
            ],
            "{shell}"
        );
        assert!(!home.path().join("never").exists());
    }
}

#[test]
fn a_shell_that_shows_what_it_runs_shows_no_marker() {
    let home = home();
    fs::write(home.path().join("trusted"), "").unwrap();
    for option in ["-x", "-v"] {
        let line = Command::shell("echo ran")
            .sudo(Sudo::Password)
            .to_line_with(&markers())
            .unwrap();
        let output = process::Command::new("/bin/bash")
            .arg(option)
            .arg("-c")
            .arg(OsStr::from_bytes(&line))
            .env("PATH", format!("{}:/usr/bin:/bin", home.path().display()))
            .env("HOME", home.path())
            // Every bash below shows what it runs too.
            .env("SHELLOPTS", if option == "-x" { "xtrace" } else { "verbose" })
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let steps = steps(&output);
        assert!(!steps.contains(&SudoStep::Prompt), "{steps:?}");
        assert!(steps.contains(&SudoStep::Started), "{steps:?}");
        assert!(
            String::from_utf8_lossy(&output.stderr).contains("exec sh -c"),
            "{output:?}"
        );
        assert_eq!(output.stdout, b"ran\n");
    }
}
