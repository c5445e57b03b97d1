//! The line that starts a command in a guest.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE64;

use super::error::GuestError;

/// Which shell a guest's login shell is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum ShellKind {
    /// A POSIX shell: the one that `SHELL` names, with `-lc`.
    #[default]
    Sh,
    /// Windows PowerShell. The command's bytes pass through the `cmd.exe` before it unchanged. Windows gives a line
    /// 8191 bytes there, which is room for about 3000 characters of script.
    PowerShell,
    /// Windows' `cmd.exe`. Double quotes are doubled, and nothing else is: quoting for cmd.exe is the caller's.
    Cmd,
}

/// Whether a command goes through the guest's login shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum ShellMode {
    /// In the guest's login shell, which has read its profile.
    #[default]
    Login,
    /// As it is, in whatever the server starts commands with.
    Raw,
}

impl ShellKind {
    /// `sh`, `powershell` or `cmd`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sh => "sh",
            Self::PowerShell => "powershell",
            Self::Cmd => "cmd",
        }
    }
}

impl ShellMode {
    /// `login` or `raw`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Raw => "raw",
        }
    }
}

impl fmt::Display for ShellKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for ShellMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ShellKind {
    type Err = GuestError;

    fn from_str(text: &str) -> Result<Self, GuestError> {
        match text {
            "sh" => Ok(Self::Sh),
            "powershell" => Ok(Self::PowerShell),
            "cmd" => Ok(Self::Cmd),
            _ => Err(GuestError::UnknownKind),
        }
    }
}

impl FromStr for ShellMode {
    type Err = GuestError;

    fn from_str(text: &str) -> Result<Self, GuestError> {
        match text {
            "login" => Ok(Self::Login),
            "raw" => Ok(Self::Raw),
            _ => Err(GuestError::UnknownMode),
        }
    }
}

/// The line that runs a command in a guest.
///
/// `native_exit` has PowerShell end with the exit code of the last native program, which it makes 0 or 1 otherwise;
/// it means nothing to the other shells and in raw mode.
///
/// # Errors
/// When the command is blank or holds a NUL byte.
///
/// ```
/// use sternline_proto::guest::{ShellKind, ShellMode, wrap};
///
/// let line = wrap(ShellKind::Sh, ShellMode::Login, "echo it's $USER", false)?;
/// assert_eq!(line, r#"SHELL_BIN="${SHELL:-/bin/sh}"; exec "$SHELL_BIN" -lc 'echo it'"'"'s $USER'"#);
/// # Ok::<(), sternline_proto::guest::GuestError>(())
/// ```
pub fn wrap(
    kind: ShellKind,
    mode: ShellMode,
    command: &str,
    native_exit: bool,
) -> Result<String, GuestError> {
    if command.trim().is_empty() {
        return Err(GuestError::EmptyCommand);
    }
    if let Some(position) = command.find('\0') {
        return Err(GuestError::Nul { position });
    }
    Ok(match (mode, kind) {
        (ShellMode::Raw, _) => command.to_owned(),
        (ShellMode::Login, ShellKind::Sh) => format!("{LOGIN}{}", quote(command)),
        (ShellMode::Login, ShellKind::PowerShell) if native_exit => {
            encoded(&format!("{command}\nexit $LASTEXITCODE"))
        }
        (ShellMode::Login, ShellKind::PowerShell) => encoded(command),
        (ShellMode::Login, ShellKind::Cmd) => format!("cmd.exe /s /c \"{}\"", command.replace('"', "\"\"")),
    })
}

/// What precedes a command for a POSIX login shell.
const LOGIN: &str = r#"SHELL_BIN="${SHELL:-/bin/sh}"; exec "$SHELL_BIN" -lc "#;

/// One word for a POSIX shell as Python's `shlex.quote` writes it, for that is the form which callers know. Only a word that
/// begins with `=` is quoted here and not there: zsh reads the path of a program in it.
fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./-_".contains(c);
    match !word.is_empty() && !word.starts_with('=') && word.chars().all(plain) {
        true => word.to_owned(),
        false => quote_always(word),
    }
}

/// The same in quotes in any case.
pub(super) fn quote_always(word: &str) -> String {
    format!("'{}'", word.replace('\'', r#"'"'"'"#))
}

/// PowerShell takes a script as base64 of UTF-16 in little-endian order.
pub(super) fn encoded(script: &str) -> String {
    let units: Vec<u8> = script.encode_utf16().flat_map(u16::to_le_bytes).collect();
    format!(
        "powershell.exe -NoProfile -EncodedCommand {}",
        BASE64.encode(&units)
    )
}

/// What the line of [`probe_line`] writes where it is read.
pub const MARK: &str = "sternline-reads-this";

/// A line like those of [`ShellKind::Sh`] whose command writes [`MARK`].
#[must_use]
pub fn probe_line() -> String {
    format!("{LOGIN}{}", quote(&format!("echo {MARK}")))
}

/// Whether it looks as if the account's shell could not read a line of [`ShellKind::Sh`]: fish and the C shells
/// cannot, and say so each in its own way, fish even with exit status 0. A command may write the same, so look with
/// [`probe_line`] before you say so.
#[must_use]
pub fn is_unread(exit_code: Option<u32>, stdout: &[u8], stderr: &[u8]) -> bool {
    let said = String::from_utf8_lossy(stderr);
    let said = said.trim();
    let fish = said.contains("fish:") && said.contains("SHELL_BIN");
    let csh = exit_code == Some(1) && said.lines().any(|line| line.starts_with("Bad : modifier in $"));
    stdout.is_empty() && (fish || csh)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_are_those_that_callers_know_byte_for_byte() {
        use ShellKind::{Cmd, PowerShell, Sh};
        use ShellMode::{Login, Raw};
        const SH: &str = r#"SHELL_BIN="${SHELL:-/bin/sh}"; exec "$SHELL_BIN" -lc "#;
        const PS: &str = "powershell.exe -NoProfile -EncodedCommand ";
        for (kind, mode, native, command, head, rest) in [
            (Sh, Login, false, "uptime", SH, "uptime"),
            (Sh, Login, true, "uptime", SH, "uptime"),
            (Sh, Login, false, "echo hello", SH, "'echo hello'"),
            (Sh, Login, false, "a\nb", SH, "'a\nb'"),
            (Sh, Login, false, "~/x", SH, "'~/x'"),
            (
                Sh,
                Login,
                false,
                r"printf 'a\n' $X",
                SH,
                r#"'printf '"'"'a\n'"'"' $X'"#,
            ),
            (Sh, Login, false, "grün", SH, "'grün'"),
            (Sh, Login, false, "==", SH, "'=='"),
            (
                PowerShell,
                Login,
                false,
                "Get-Date",
                PS,
                "RwBlAHQALQBEAGEAdABlAA==",
            ),
            (PowerShell, Login, false, "é€𝄞", PS, "6QCsIDTYHt0="),
            // "a" and a line of its own, so that a comment at the end of the command hides nothing.
            (
                PowerShell,
                Login,
                true,
                "a",
                PS,
                "YQAKAGUAeABpAHQAIAAkAEwAQQBTAFQARQBYAEkAVABDAE8ARABFAA==",
            ),
            (Cmd, Login, false, "dir", r#"cmd.exe /s /c "#, r#""dir""#),
            (
                Cmd,
                Login,
                true,
                r#"type "C:\a b" & ver"#,
                "cmd.exe /s /c ",
                r#""type ""C:\a b"" & ver""#,
            ),
            (Sh, Raw, false, "it's \"$X\"", "", "it's \"$X\""),
            (PowerShell, Raw, true, "Get-Date", "", "Get-Date"),
            (Cmd, Raw, false, "dir \"x\"", "", "dir \"x\""),
        ] {
            let line = wrap(kind, mode, command, native).unwrap();
            assert_eq!(line, format!("{head}{rest}"), "{kind} {mode} {command:?}");
        }
    }

    #[test]
    fn a_command_that_is_blank_or_holds_a_nul_is_refused_in_every_mode() {
        for kind in [ShellKind::Sh, ShellKind::PowerShell, ShellKind::Cmd] {
            for mode in [ShellMode::Login, ShellMode::Raw] {
                for blank in ["", "  ", "\n\t"] {
                    let error = wrap(kind, mode, blank, false).unwrap_err();
                    assert_eq!(error.to_string(), "command cannot be empty");
                }
                assert_eq!(
                    wrap(kind, mode, "ab\0c", false),
                    Err(GuestError::Nul { position: 2 })
                );
            }
        }
    }

    #[test]
    fn names_of_kinds_and_modes_are_read_as_they_are_written_and_nothing_else_is() {
        for kind in [ShellKind::Sh, ShellKind::PowerShell, ShellKind::Cmd] {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        for mode in [ShellMode::Login, ShellMode::Raw] {
            assert_eq!(mode.to_string().parse(), Ok(mode));
        }
        assert_eq!(
            "Login".parse::<ShellMode>().unwrap_err().to_string(),
            "shell must be 'login' or 'raw'"
        );
        assert_eq!(
            "bash".parse::<ShellKind>().unwrap_err().to_string(),
            "shell_kind must be 'sh', 'powershell' or 'cmd'"
        );
    }

    #[test]
    fn what_fish_and_the_c_shells_say_is_known_and_what_commands_say_is_not_taken_for_it() {
        let fish =
            "fish: Unsupported use of '='. In fish, please use 'set SHELL_BIN \"${SHELL:-/bin/sh}\"'.\n";
        for (code, stdout, stderr, unread) in [
            (Some(127), "", fish, true),
            (Some(0), "", fish, true),
            (Some(1), "", "Bad : modifier in $ '-'.\n", true),
            (Some(1), "", "stty: no terminal\nBad : modifier in $ (-).\n", true),
            (Some(0), "out", fish, false),
            (Some(1), "", "fish: Unknown command\n", false),
            (Some(2), "", "Bad : modifier in $ '-'.\n", false),
            (Some(0), "", "", false),
            (None, "", "", false),
        ] {
            assert_eq!(
                is_unread(code, stdout.as_bytes(), stderr.as_bytes()),
                unread,
                "{code:?} {stderr:?}"
            );
        }
    }
}
