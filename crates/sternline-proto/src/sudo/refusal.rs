//! Why sudo did not start the command.

use std::fmt;

/// What kept sudo from starting a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SudoRefusal {
    /// The password is wrong. It was given once, and not again.
    PasswordRefused,
    /// The user is not in the sudoers file.
    NotInSudoers,
    /// The user may run other commands, or on other hosts, but not this one here.
    NotAllowed,
    /// sudo insists on a terminal (`requiretty`).
    TerminalRequired,
    /// The server has no sudo where the login's `PATH` leads.
    Missing,
    /// Something other than a password was asked for, such as a one-time code.
    Question,
    /// sudo neither asked nor started the command.
    Silent,
    /// Anything else; sudo's own words say what.
    Other,
}

/// What sudo says in English, and what it means. The first that fits counts.
const WORDS: [(&str, SudoRefusal); 10] = [
    ("you must have a tty to run sudo", SudoRefusal::TerminalRequired),
    ("a terminal is required", SudoRefusal::TerminalRequired),
    ("is not in the sudoers file", SudoRefusal::NotInSudoers),
    ("is not allowed to execute", SudoRefusal::NotAllowed),
    ("is not allowed to run sudo", SudoRefusal::NotAllowed),
    ("may not run sudo", SudoRefusal::NotAllowed),
    ("afraid i can't do that", SudoRefusal::NotAllowed),
    ("incorrect password attempt", SudoRefusal::PasswordRefused),
    ("incorrect authentication attempt", SudoRefusal::PasswordRefused),
    ("no password was provided", SudoRefusal::PasswordRefused),
];

/// The exit status by which a shell, or env(1), says that there is no such command.
const NO_SUCH_COMMAND: u32 = 127;

impl SudoRefusal {
    /// Reads the reason from what sudo said and how it ended. `was_asked` says whether it had asked for the password.
    #[must_use]
    pub fn read(said: &str, code: Option<u32>, was_asked: bool) -> Self {
        let lower = said.to_ascii_lowercase();
        if let Some((_, refusal)) = WORDS.iter().find(|(words, _)| lower.contains(words)) {
            return *refusal;
        }
        match code {
            Some(NO_SUCH_COMMAND) if !was_asked => Self::Missing,
            _ => Self::Other,
        }
    }

    /// The name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PasswordRefused => "password_refused",
            Self::NotInSudoers => "not_in_sudoers",
            Self::NotAllowed => "not_allowed",
            Self::TerminalRequired => "terminal_required",
            Self::Missing => "sudo_missing",
            Self::Question => "question",
            Self::Silent => "silent",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for SudoRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_is_told_from_the_others() {
        use SudoRefusal::{Missing, NotAllowed, NotInSudoers, Other, PasswordRefused, TerminalRequired};
        for (said, code, asked, expected) in [
            (
                "sudo: sorry, you must have a tty to run sudo\n",
                1,
                false,
                TerminalRequired,
            ),
            (
                "bob is not in the sudoers file.\nThis incident has been reported to the administrator.\n",
                1,
                true,
                NotInSudoers,
            ),
            (
                "Sorry, user bob is not allowed to execute '/usr/bin/sh -c id' as root on web.\n",
                1,
                true,
                NotAllowed,
            ),
            ("Sorry, user bob may not run sudo on web.\n", 1, true, NotAllowed),
            ("sudo: 1 incorrect password attempt\n", 1, true, PasswordRefused),
            (
                "sudo: no password was provided\nsudo: 1 incorrect password attempt\n",
                1,
                true,
                PasswordRefused,
            ),
            (
                "sudo: Maximum 3 incorrect authentication attempts\n",
                1,
                true,
                PasswordRefused,
            ),
            ("env: 'sudo': No such file or directory\n", 127, false, Missing),
            ("sudo: unknown user nosuchuser\n", 1, false, Other),
            (
                "sudo: account validation failure, is your account locked?\n",
                1,
                true,
                Other,
            ),
            ("", 0, false, Other),
        ] {
            assert_eq!(SudoRefusal::read(said, Some(code), asked), expected, "{said}");
        }
    }
}
