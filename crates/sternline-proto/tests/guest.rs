//! Lines and files for guests, read by the shells that will read them: sh, bash, dash, zsh and busybox.
//!
//! A shell that is missing fails the test, with the name of its Debian package.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic)] // clippy knows only `#[test]` functions as tests

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use proptest::collection::btree_map;
use proptest::prelude::*;
use sternline_proto::guest::{
    MARK, ShellKind, ShellMode, Variables, is_unread, probe_line, render_file, wrap,
};

/// Each shell's program, the words before a line, and the Debian package that holds it.
const SHELLS: [(&str, &[&str], &str); 5] = [
    ("/bin/sh", &["-c"], "dash"),
    ("/bin/bash", &["-c"], "bash"),
    ("/bin/dash", &["-c"], "dash"),
    ("/bin/zsh", &["-c"], "zsh"),
    ("/bin/busybox", &["sh", "-c"], "busybox"),
];

/// `SHELL -c LINE`, as sshd runs it.
fn run((shell, words, package): &(&str, &[&str], &str), line: &str, login_shell: &Path) -> Output {
    assert!(
        Path::new(shell).exists(),
        "{shell} is needed by this test and not installed: apt-get install {package}"
    );
    Command::new(shell)
        .args(*words)
        .arg(line)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("SHELL", login_shell)
        .current_dir("/")
        .output()
        .unwrap()
}

/// Text with much that shells obey.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[^\u{0}]{0,30}",
        "['\"\\\\$`!*?\\[\\]{}()<>|&;#~=%^ \n\t\r-]{1,20}",
        "[a-z]{1,6}",
        // What needs no quotes elsewhere, and means something to zsh.
        "[=%:~]{1,2}[a-z]{0,3}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) })]

    #[test]
    fn a_login_shell_gets_the_command_as_it_was_written(command in text()) {
        prop_assume!(!command.trim().is_empty());
        // Of its arguments it makes one line; `-lc` is none of its options.
        let login_shell = Path::new("/bin/echo");
        let line = wrap(ShellKind::Sh, ShellMode::Login, &command, false).unwrap();
        for shell in &SHELLS {
            let output = run(shell, &line, login_shell);
            prop_assert_eq!(
                String::from_utf8(output.stdout).unwrap(),
                format!("-lc {command}\n"),
                "{:?}", shell
            );
        }
    }

    #[test]
    fn shells_that_read_the_file_have_the_variables_and_no_others(
        pairs in btree_map("[A-Z]V_[A-Z0-9_]{0,5}", text(), 1..5)
    ) {
        let variables: Variables = pairs
            .iter()
            .map(|(name, value)| (name.clone(), value.clone().into()))
            .collect();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sternline-env.sh");
        fs::write(&file, render_file(&variables).unwrap().as_bytes()).unwrap();
        let line = format!(". '{}'; exec env -0", file.display());
        for shell in &SHELLS {
            let output = run(shell, &line, Path::new("/bin/sh"));
            let said = String::from_utf8(output.stdout).unwrap();
            let found: Vec<(&str, &str)> = said
                .split_terminator('\0')
                .filter_map(|entry| entry.split_once('='))
                .filter(|(name, _)| !["PATH", "SHELL", "PWD", "OLDPWD", "SHLVL", "_", "HOME", "LOGNAME"].contains(name))
                .collect();
            let found: std::collections::BTreeMap<_, _> = found.into_iter().collect();
            let expected: std::collections::BTreeMap<_, _> =
                pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            prop_assert_eq!(found, expected, "{:?}", shell);
        }
    }
}

#[test]
fn fish_and_the_c_shell_cannot_read_the_line_and_that_is_known_by_what_they_say() {
    let command = wrap(ShellKind::Sh, ShellMode::Login, "echo hi", false).unwrap();
    for (shell, unread) in [("fish", true), ("tcsh", true), ("bash", false), ("zsh", false)] {
        for line in [&command, &probe_line()] {
            let output = Command::new(shell)
                .args(["-c", line])
                .env("SHELL", "/bin/sh")
                .env("HOME", "/")
                .output()
                .unwrap_or_else(|_| panic!("{shell} is needed by this test: apt-get install {shell}"));
            let code = output.status.code().and_then(|code| u32::try_from(code).ok());
            assert_eq!(
                is_unread(code, &output.stdout, &output.stderr),
                unread,
                "{shell}: {output:?}"
            );
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert_eq!(
                said.contains(MARK),
                !unread && line.contains(MARK),
                "{shell}: {said}"
            );
        }
    }
}
