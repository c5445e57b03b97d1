//! Composed commands, run by the shells that will read them: sh, bash, dash and zsh.
//!
//! A shell that is missing fails the test, with the name of its Debian package.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr)] // clippy knows only `#[test]` functions as tests

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::{io::Write as _, process};

use proptest::collection::vec;
use proptest::prelude::*;
use sternline_proto::command::{Command, Sudo};
use sternline_proto::quoting;
use tempfile::TempDir;

/// Each shell and the Debian package that holds it.
const SHELLS: [(&str, &str); 4] = [("sh", "dash"), ("bash", "bash"), ("dash", "dash"), ("zsh", "zsh")];

/// A directory of our own with an empty home and a `bin` first in `PATH`.
struct Place {
    root: TempDir,
}

impl Place {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        for name in ["bin", "home"] {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        Self { root }
    }

    fn home(&self) -> PathBuf {
        self.root.path().join("home")
    }

    /// Puts a script into `PATH`, before everything else.
    fn install(&self, name: &str, script: &str) {
        let path = self.root.path().join("bin").join(name);
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Runs a line as sshd does: `SHELL -c LINE`, in the home directory, standard input from `input`.
    fn run_with(&self, shell: &str, line: &[u8], input: &[u8]) -> Output {
        let mut child = process::Command::new(path_of(shell))
            .arg("-c")
            .arg(OsStr::from_bytes(line))
            .env_clear()
            .env(
                "PATH",
                format!(
                    "{}:/usr/sbin:/usr/bin:/sbin:/bin",
                    self.root.path().join("bin").display()
                ),
            )
            .env("HOME", self.home())
            .env("SHELL", path_of(shell))
            .env("CDPATH", "/usr:/")
            .current_dir(self.home())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that does not read its input may be gone already.
        let _ = child.stdin.take().unwrap().write_all(input);
        child.wait_with_output().unwrap()
    }

    fn run(&self, shell: &str, command: &Command) -> Output {
        self.run_with(shell, &command.to_line().unwrap(), b"")
    }

    /// What the command wrote, which must have ended well.
    fn output(&self, shell: &str, command: &Command) -> Vec<u8> {
        let output = self.run(shell, command);
        assert!(
            output.status.success(),
            "{shell}: {}: {output:?}",
            command.describe()
        );
        output.stdout
    }
}

fn path_of(shell: &str) -> PathBuf {
    let package = SHELLS.iter().find(|(name, _)| *name == shell).unwrap().1;
    let path = Path::new("/bin").join(shell);
    assert!(
        path.exists(),
        "{shell} is needed by this test and not installed: apt-get install {package}"
    );
    path
}

fn nul_ended(words: &[Vec<u8>]) -> Vec<u8> {
    words
        .iter()
        .flat_map(|word| word.iter().copied().chain([0]))
        .collect()
}

/// Words with many of the characters that shells obey, and any other byte but NUL.
fn word() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(1_u8.., 0..12),
        vec(
            prop::sample::select(b" '\"\\$`!*?[]{}()<>|&;#~=%^-+\n\t\r\x01\x7f\x80\xffa1".to_vec()),
            0..12
        ),
        "[-+~=#!%:]?[a-z]{0,4}".prop_map(String::into_bytes),
    ]
}

/// Runs a property a few times, with all four shells each time.
fn check<S: Strategy>(cases: u32, strategy: &S, test: impl Fn(&Place, &str, S::Value))
where
    S::Value: Clone,
{
    let place = Place::new();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        failure_persistence: None,
        max_shrink_iters: 50,
        ..ProptestConfig::with_cases(cases)
    });
    runner
        .run(strategy, |value| {
            for (shell, _) in SHELLS {
                test(&place, shell, value.clone());
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_program_receives_exactly_the_given_arguments() {
    check(40, &vec(word(), 1..40), |place, shell, args| {
        let command = Command::program("/usr/bin/printf")
            .arg("%s\\0")
            .args(args.clone());
        assert_eq!(place.output(shell, &command), nul_ended(&args), "{shell}");
    });
}

#[test]
fn every_single_byte_survives_at_every_place_in_a_word() {
    let place = Place::new();
    let words: Vec<Vec<u8>> = (1..=255)
        .flat_map(|b| {
            [
                vec![b],
                vec![b, b],
                vec![b'a', b, b'a'],
                vec![b, b'\''],
                vec![b, b'\\', b],
            ]
        })
        .collect();
    for (shell, _) in SHELLS {
        let mut line = b"/usr/bin/printf '%s\\0' ".to_vec();
        line.extend(quoting::join(&words).unwrap());
        let output = place.run_with(shell, &line, b"");
        assert_eq!(output.stdout, nul_ended(&words), "{shell}: {output:?}");
    }
}

#[test]
fn reserved_words_can_be_the_names_of_programs() {
    let place = Place::new();
    let names = [
        "if", "time", "for", "function", "select", "repeat", "coproc", "{", "!", "[[", "a=b", "~",
    ];
    for name in names {
        place.install(name, "#!/bin/sh\nprintf %s \"ran\"\n");
    }
    for (shell, _) in SHELLS {
        for name in names {
            assert_eq!(
                place.output(shell, &Command::program(name)),
                b"ran",
                "{shell} {name}"
            );
        }
    }
}

#[test]
fn any_directory_can_be_the_working_directory() {
    let name = word().prop_map(|mut name| {
        name.retain(|byte| *byte != b'/');
        name.extend_from_slice(b"-");
        name
    });
    check(20, &(name, any::<bool>()), |place, shell, (name, relative)| {
        let path = place.home().join(OsStr::from_bytes(&name));
        fs::create_dir_all(&path).unwrap();
        let cwd = if relative {
            name
        } else {
            path.as_os_str().as_bytes().to_vec()
        };
        let expected = fs::canonicalize(&path).unwrap();
        for command in [
            Command::program("/bin/pwd").arg("-P"),
            Command::shell("true && /bin/pwd -P"),
        ] {
            let stdout = place.output(shell, &command.cwd(cwd.clone()));
            assert_eq!(
                stdout.strip_suffix(b"\n").unwrap(),
                expected.as_os_str().as_bytes(),
                "{shell}"
            );
        }
    });
}

#[test]
fn directories_that_look_like_something_else_are_taken_literally() {
    let place = Place::new();
    // CDPATH holds `/`, so that a bare `bin` would lead to /bin.
    for name in ["-", "--", "-P", "+1", "~", "$HOME", "bin", "*"] {
        let path = place.home().join(name);
        fs::create_dir(&path).unwrap();
        let expected = format!("{}\n", fs::canonicalize(&path).unwrap().display());
        for (shell, _) in SHELLS {
            let stdout = place.output(shell, &Command::program("/bin/pwd").cwd(name));
            assert_eq!(String::from_utf8(stdout).unwrap(), expected, "{shell}");
        }
    }
}

#[test]
fn nothing_runs_when_the_directory_cannot_be_entered() {
    let place = Place::new();
    for (shell, _) in SHELLS {
        for command in [
            Command::shell("echo ran; true"),
            Command::program("echo").arg("ran"),
        ] {
            for command in [
                command.clone(),
                command.clone().env("A", "1"),
                command.login_shell(),
            ] {
                let output = place.run(shell, &command.cwd("/no such place"));
                assert!(
                    !output.status.success() && output.stdout.is_empty(),
                    "{shell}: {output:?}"
                );
                let message = String::from_utf8(output.stderr).unwrap();
                assert!(message.contains("/no such place"), "{shell}: {message}");
            }
        }
    }
}

#[test]
fn variables_arrive_byte_by_byte() {
    check(20, &vec(word(), 1..20), |place, shell, values| {
        let variables = values
            .iter()
            .enumerate()
            .map(|(i, value)| (format!("Var_{i}"), value.clone()));
        let references: Vec<_> = (0..values.len()).map(|i| format!("\"$Var_{i}\"")).collect();
        // One program reads its environment, one shell text expands the variables.
        let program = Command::program("/bin/sh")
            .args([
                "-c".to_owned(),
                format!("/usr/bin/printf '%s\\0' {}", references.join(" ")),
            ])
            .envs(variables.clone());
        let text =
            Command::shell(format!("/usr/bin/printf '%s\\0' {}", references.join(" "))).envs(variables);
        for command in [program, text] {
            assert_eq!(place.output(shell, &command), nul_ended(&values), "{shell}");
        }
    });
}

/// Stands in for sudo: checks `[-u USER] -n --`, forgets the environment, and starts in the same directory.
const FAKE_SUDO: &str = r#"#!/bin/sh
user=root
if [ "$1" = -u ]; then user=$2; shift 2; fi
[ "$1" = -n ] || { echo "sudo: no -n" >&2; exit 90; }
shift
[ "$1" = -- ] || { echo "sudo: no -- before $1" >&2; exit 91; }
shift
exec env -i PATH="$PATH" HOME="$HOME" SHELL="$SHELL" SUDO_TO="$user" "$@"
"#;

/// Every combination of the layers, with what is to be seen of each.
fn combinations() -> impl Iterator<Item = (bool, bool, bool, bool)> {
    (0..16).map(|bits| (bits & 1 != 0, bits & 2 != 0, bits & 4 != 0, bits & 8 != 0))
}

#[test]
fn in_any_combination_the_whole_command_sees_every_layer() {
    let place = Place::new();
    place.install("sudo", FAKE_SUDO);
    let directory = "dir with 'quotes' and\nbreak";
    fs::create_dir(place.home().join(directory)).unwrap();
    for profile in [".profile", ".bash_profile", ".zprofile"] {
        fs::write(
            place.home().join(profile),
            "PROFILE=read; export PROFILE; VALUE=from-profile; export VALUE\n",
        )
        .unwrap();
    }
    let report = r#"printf '%s|' "${PWD##*/}" "$VALUE" "$SUDO_TO" "$PROFILE""#;
    for (shell, _) in SHELLS {
        for (cwd, env, user, login) in combinations() {
            // Both halves of a compound text have to see the same.
            let mut text = Command::shell(format!("{report} && true | {report}"));
            let mut program = Command::program("sh").args(["-c", report]);
            for command in [&mut text, &mut program] {
                if cwd {
                    *command = command.clone().cwd(directory);
                }
                if env {
                    *command = command.clone().env("VALUE", "it's $HOME\n");
                }
                if user {
                    *command = command.clone().as_user("deploy");
                }
                if login {
                    *command = command.clone().login_shell();
                }
            }
            let expected = format!(
                "{}|{}|{}|{}|",
                if cwd { directory } else { "home" },
                if env {
                    "it's $HOME\n"
                } else if login {
                    "from-profile"
                } else {
                    ""
                },
                if user { "deploy" } else { "" },
                if login { "read" } else { "" },
            );
            let seen = |command| String::from_utf8(place.output(shell, command)).unwrap();
            assert_eq!(seen(&program), expected, "{shell}: {}", program.describe());
            assert_eq!(seen(&text), expected.repeat(2), "{shell}: {}", text.describe());
        }
    }
}

#[test]
fn standard_input_belongs_to_the_command() {
    let place = Place::new();
    place.install("sudo", FAKE_SUDO);
    for (shell, _) in SHELLS {
        let command = Command::program("cat")
            .cwd("/")
            .env("A", "1")
            .sudo(Sudo::NonInteractive)
            .login_shell();
        let output = place.run_with(shell, &command.to_line().unwrap(), b"typed\n");
        assert_eq!(output.stdout, b"typed\n", "{shell}: {output:?}");
    }
}

#[test]
fn the_exit_status_and_the_signal_of_the_command_come_through() {
    use std::os::unix::process::ExitStatusExt;
    let place = Place::new();
    place.install("sudo", FAKE_SUDO);
    for (shell, _) in SHELLS {
        for (cwd, env, user, login) in combinations() {
            let layers = |mut command: Command| {
                if cwd {
                    command = command.cwd("/");
                }
                if env {
                    command = command.env("A", "1");
                }
                if user {
                    command = command.as_user("deploy");
                }
                if login { command.login_shell() } else { command }
            };
            let status = place
                .run(shell, &layers(Command::program("sh").args(["-c", "exit 7"])))
                .status;
            assert_eq!(status.code(), Some(7), "{shell}");
            // In front of sudo, and of a program with no layer at all, some shells stay and report 128 plus the signal.
            if !user && (cwd || env || login) {
                let killed = layers(Command::program("sh").args(["-c", "kill -9 $$"]));
                assert_eq!(
                    place.run(shell, &killed).status.signal(),
                    Some(9),
                    "{shell}: {}",
                    killed.describe()
                );
            }
        }
    }
}

/// Says what this run does not cover: scripts/test collects these lines and prints them last.
fn left_out(what: &str) {
    let line = format!("LEFT OUT: {what}\n");
    match std::env::var_os("STERNLINE_LEFT_OUT") {
        Some(path) => {
            let file = fs::OpenOptions::new().append(true).create(true).open(path);
            file.unwrap().write_all(line.as_bytes()).unwrap();
        }
        None => eprint!("{line}"),
    }
}

/// The real sudo, where it is installed and this test may use it without a password.
#[test]
fn real_sudo_runs_the_whole_command_as_the_target_user() {
    let place = Place::new();
    let probe = process::Command::new("sudo")
        .args(["-n", "-u", "nobody", "--", "true"])
        .output();
    if !probe.is_ok_and(|output| output.status.success()) {
        left_out("sudo itself; run the tests as root, with sudo installed: apt-get install sudo");
        return;
    }
    let report = "id -un; pwd; printf '%s\\n' \"$VALUE\"";
    for (shell, _) in SHELLS {
        for command in [
            Command::shell(format!("true && {report} | cat")),
            Command::program("sh").args(["-c", report]),
        ] {
            let command = command
                .cwd("/usr/share")
                .env("VALUE", "a 'b' $c")
                .as_user("nobody");
            let seen = String::from_utf8(place.output(shell, &command)).unwrap();
            assert_eq!(seen, "nobody\n/usr/share\na 'b' $c\n", "{shell}");
        }
        let argv = Command::program("printf")
            .args(["%s.", "a b", "-n", "A=B", ""])
            .as_user("nobody");
        assert_eq!(place.output(shell, &argv), b"a b.-n.A=B..", "{shell}");
    }
}
