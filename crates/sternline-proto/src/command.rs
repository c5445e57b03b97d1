//! What to run on the remote side, composed into the one string that SSH carries (RFC 4254 section 6.5).
//!
//! A server hands that string to the account's shell. [`Command::shell`] is text for this shell and is sent exactly as
//! it is; [`Command::program`] is an argv, quoted so that the program receives the same words. A working directory,
//! variables, another user and a login shell are put round either, always in this order from the outside in:
//!
//! ```text
//! sudo -u USER -n -- sh -c '...'          the layers below run as the target user; with a password, see `sudo`
//! exec "${SHELL:-/bin/sh}" -lc '...'      a login shell, which has read its profile
//! cd DIR || exit                          a directory that the target user can enter, or nothing is run
//! export NAME=VALUE || exit               after sudo has cleared the environment, and after the profile
//! the command
//! ```
//!
//! Layers that are not asked for leave nothing behind. Standard input is never touched: it belongs to the command.

use std::fmt;

use thiserror::Error;

use crate::quoting::{QuoteError, join, quote};
use crate::redact::{REDACTED, redact_string};
use crate::sudo::{SudoMarkers, sudo_line};
use crate::target::{TargetError, check_user};
use crate::text::escape;

/// How to become another user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sudo {
    /// `sudo -n`: fail at once instead of asking for a password.
    NonInteractive,
    /// `sudo -S`: whoever runs the command answers the question for the password, if sudo asks.
    ///
    /// The command always runs in an `sh` of the target user's, which says when it has started: see
    /// [`sudo`](crate::sudo). A sudoers rule has to allow that shell.
    Password,
}

/// A command for the remote side. Plain data: nothing is checked before [`Command::to_line`].
///
/// ```
/// use sternline_proto::command::{Command, Sudo};
///
/// assert_eq!(Command::shell("make && make install").to_line()?, b"make && make install");
/// assert_eq!(Command::program("touch").arg("two words").to_line()?, b"touch 'two words'");
///
/// let command = Command::shell("ls | wc -l").cwd("/srv").sudo(Sudo::NonInteractive);
/// assert_eq!(command.to_line()?, b"sudo -n -- sh -c 'cd /srv || exit\nls | wc -l'");
/// # Ok::<(), sternline_proto::command::CommandError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Command {
    head: Head,
    args: Vec<Vec<u8>>,
    cwd: Option<Vec<u8>>,
    env: Vec<(String, Vec<u8>)>,
    /// The names of the variables whose values are secret.
    secret_env: Vec<String>,
    sudo: Option<Sudo>,
    user: Option<String>,
    login: bool,
}

/// Shows the description, without what looks like a secret in it.
impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Command")
            .field(&redact_string(&self.describe()))
            .finish()
    }
}

/// What a command line starts with, and whether it is quoted.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Head {
    Shell(Vec<u8>),
    Program(Vec<u8>),
}

/// What becomes of sudo where it may ask for a password.
#[derive(Clone, Copy)]
enum SudoLine<'a> {
    Refused,
    Shown,
    Sent(&'a SudoMarkers),
}

/// Why a command cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CommandError {
    /// The shell text is blank, or the program's name is empty.
    #[error("the command is empty: name a program or give shell text")]
    Empty,
    /// A part of the command holds a NUL byte.
    #[error("the command cannot be sent: {0}")]
    Nul(#[from] QuoteError),
    /// The program's name begins with a dash.
    #[error("the program {} begins with a dash, which a shell would take for an option: write ./{}", escape(.name), escape(.name))]
    LeadingDash {
        /// The name as given, with other bytes than UTF-8 replaced.
        name: String,
    },
    /// The working directory is the empty string.
    #[error("the working directory is empty: leave it out to start in the login directory")]
    EmptyDirectory,
    /// A variable's name is not a letter or `_` followed by letters, digits and `_`.
    #[error("{} is not the name of an environment variable: use letters, digits and _", escape(.name))]
    EnvName {
        /// The name as given.
        name: String,
    },
    /// The user to become has a name that is refused.
    #[error("cannot run the command as another user: {0}")]
    User(#[from] TargetError),
    /// The command is to answer sudo, and there are no markers by which its question is known.
    #[error("a command that answers sudo needs markers: compose it with to_line_with")]
    NoMarkers,
}

impl Command {
    /// Text for the remote account's shell: pipes, `&&` and expansions work, and nothing is quoted.
    ///
    /// The text runs in the shell that the server starts, which is the account's own, and in `sh` under sudo.
    pub fn shell(text: impl Into<Vec<u8>>) -> Self {
        Self::new(Head::Shell(text.into()))
    }

    /// A program and its arguments, passed on byte by byte. A name without `/` is looked up in the remote `PATH`.
    ///
    /// With a directory, variables or a login shell round it, the shell replaces itself by the program, so that a
    /// signal that ends the program is reported as such.
    pub fn program(program: impl Into<Vec<u8>>) -> Self {
        Self::new(Head::Program(program.into()))
    }

    fn new(head: Head) -> Self {
        Self {
            head,
            args: Vec::new(),
            cwd: None,
            env: Vec::new(),
            secret_env: Vec::new(),
            sudo: None,
            user: None,
            login: false,
        }
    }

    /// Adds one argument, quoted. Behind shell text it stands after a space, as in `systemctl restart 'my unit'`.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<Vec<u8>>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds several arguments, see [`Command::arg`].
    #[must_use]
    pub fn args<I>(mut self, args: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<Vec<u8>>,
    {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Runs the command in this directory. Default: the directory that the server starts commands in, usually the
    /// account's home.
    ///
    /// A relative path starts there too, also under sudo. It is taken literally: no `~`, no `CDPATH`. When the target
    /// user cannot enter it, the shell says so on standard error and nothing is run.
    #[must_use]
    pub fn cwd(mut self, directory: impl Into<Vec<u8>>) -> Self {
        self.cwd = Some(directory.into());
        self
    }

    /// Sets an environment variable for the command; of two values for one name the later counts.
    ///
    /// The value becomes a part of the command line, which other users of the remote machine can read while it runs:
    /// give secrets on standard input. The shell's own special parameters (`UID`, `PPID` and the like) stay what the
    /// shell makes of them.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// As [`Command::env`], for a value that is masked wherever it turns up in events, logs, errors and evidence of the
    /// connection that runs the command, from then on. On the remote machine it is as readable as any other.
    #[must_use]
    pub fn secret_env(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        let name = name.into();
        self.secret_env.push(name.clone());
        self.env(name, value)
    }

    /// The values that [`Command::secret_env`] has set.
    pub fn secrets(&self) -> impl Iterator<Item = &[u8]> {
        let secret = self.env.iter().filter(|(name, _)| self.secret_env.contains(name));
        secret.map(|(_, value)| value.as_slice())
    }

    /// Sets several environment variables, see [`Command::env`].
    #[must_use]
    pub fn envs<I, N, V>(self, variables: I) -> Self
    where
        I: IntoIterator<Item = (N, V)>,
        N: Into<String>,
        V: Into<Vec<u8>>,
    {
        variables
            .into_iter()
            .fold(self, |command, (name, value)| command.env(name, value))
    }

    /// Runs the command through sudo(8), as root unless [`Command::as_user`] names somebody else.
    ///
    /// A program with neither directory, variables nor login shell is named to sudo directly, so that a sudoers rule
    /// for just this program applies. Anything else runs in one `sh` as the target user, and the rule has to allow that.
    #[must_use]
    pub fn sudo(mut self, sudo: Sudo) -> Self {
        self.sudo = Some(sudo);
        self
    }

    /// Runs the command as this user, through sudo; [`Sudo::NonInteractive`] unless [`Command::sudo`] says otherwise.
    #[must_use]
    pub fn as_user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// Runs the command in the account's login shell, which reads the profile first. Default: no shell is added.
    ///
    /// The shell is the one that `SHELL` names, under sudo the target user's, and `/bin/sh` where it is unset.
    #[must_use]
    pub fn login_shell(mut self) -> Self {
        self.login = true;
        self
    }

    /// The command as the one string that is sent to the server.
    ///
    /// # Errors
    /// When a part is empty, holds a NUL byte, or is a name that is refused; see [`CommandError`]. A command with
    /// [`Sudo::Password`] needs [`Command::to_line_with`].
    pub fn to_line(&self) -> Result<Vec<u8>, CommandError> {
        self.compose(SudoLine::Refused)
    }

    /// As [`Command::to_line`], with the markers by which the question of sudo is known. Without [`Sudo::Password`] they are
    /// not used.
    ///
    /// # Errors
    /// As [`Command::to_line`].
    pub fn to_line_with(&self, markers: &SudoMarkers) -> Result<Vec<u8>, CommandError> {
        self.compose(SudoLine::Sent(markers))
    }

    /// Whether sudo may ask for a password, which whoever runs the command has to answer.
    #[must_use]
    pub fn answers_sudo(&self) -> bool {
        self.sudo == Some(Sudo::Password)
    }

    /// Whether a directory, variables or a login shell are put round it, which a shell has to be changed for.
    #[must_use]
    pub fn has_surroundings(&self) -> bool {
        self.cwd.is_some() || !self.env.is_empty() || self.login
    }

    /// Shell text that is run as the same user by the same sudo; `None` for a command without sudo.
    #[must_use]
    pub fn as_same_user(&self, text: impl Into<Vec<u8>>) -> Option<Self> {
        if self.sudo.is_none() && self.user.is_none() {
            return None;
        }
        let mut other = Self::shell(text);
        (other.sudo, other.user) = (self.sudo, self.user.clone());
        Some(other)
    }

    fn compose(&self, with_password: SudoLine<'_>) -> Result<Vec<u8>, CommandError> {
        let mut script = Vec::new();
        if let Some(directory) = &self.cwd {
            script.extend_from_slice(b"cd ");
            script.extend(quote(&unambiguous_directory(directory)?)?);
            script.extend_from_slice(b" || exit\n");
        }
        for (name, value) in &self.env {
            if !is_env_name(name) {
                return Err(CommandError::EnvName { name: name.clone() });
            }
            script.extend_from_slice(b"export ");
            script.extend_from_slice(name.as_bytes());
            script.push(b'=');
            script.extend(quote(value)?);
            script.extend_from_slice(b" || exit\n");
        }
        let is_program = matches!(self.head, Head::Program(_));
        let stands_alone = script.is_empty() && !self.login;
        if is_program && !stands_alone {
            script.extend_from_slice(b"exec ");
        }
        self.push_command(&mut script)?;

        if self.login {
            script = in_shell(b"exec \"${SHELL:-/bin/sh}\" -lc ", &script)?;
        }
        let Some(options) = self.sudo_options()? else {
            return Ok(script);
        };
        let direct = is_program && stands_alone;
        let sudo = match (self.sudo.unwrap_or(Sudo::NonInteractive), with_password) {
            (Sudo::NonInteractive, _) => [b"sudo ".as_slice(), options.as_slice(), b"-n -- "].concat(),
            (Sudo::Password, SudoLine::Shown) => {
                [b"sudo ".as_slice(), options.as_slice(), b"-S -- "].concat()
            }
            (Sudo::Password, SudoLine::Refused) => return Err(CommandError::NoMarkers),
            (Sudo::Password, SudoLine::Sent(markers)) => {
                let body = match direct {
                    true => [b"exec ".as_slice(), &script].concat(),
                    false => in_shell(b"exec sh -c ", &script)?,
                };
                return Ok(sudo_line(&options, &body, markers)?);
            }
        };
        if direct {
            return Ok([sudo, script].concat());
        }
        in_shell(&[sudo.as_slice(), b"sh -c "].concat(), &script)
    }

    /// The command line as text for events and logs: other bytes than UTF-8 are replaced, control characters are kept.
    /// The values of variables are left out, because that is where secrets are handed over. What is put round a command
    /// that answers sudo is left out too: it is shown as `sudo -S -- ...`.
    ///
    /// A command that cannot be sent is described by what it starts with.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut shown = self.clone();
        for (_, value) in &mut shown.env {
            *value = REDACTED.into();
        }
        let (Head::Shell(head) | Head::Program(head)) = &self.head;
        String::from_utf8_lossy(&shown.compose(SudoLine::Shown).unwrap_or_else(|_| head.clone())).into_owned()
    }

    fn push_command(&self, line: &mut Vec<u8>) -> Result<(), CommandError> {
        match &self.head {
            Head::Shell(text) if text.trim_ascii().is_empty() => return Err(CommandError::Empty),
            Head::Shell(text) => {
                if let Some(position) = text.iter().position(|&byte| byte == 0) {
                    return Err(QuoteError { position }.into());
                }
                line.extend_from_slice(text);
            }
            Head::Program(program) if program.is_empty() => return Err(CommandError::Empty),
            // `sh -c -x` and `exec -x` read options, and `--` before it is not understood by every shell.
            Head::Program(program) if program.starts_with(b"-") => {
                return Err(CommandError::LeadingDash {
                    name: String::from_utf8_lossy(program).into_owned(),
                });
            }
            Head::Program(program) => line.extend(quote(program)?),
        }
        if !self.args.is_empty() {
            line.push(b' ');
            line.extend(join(&self.args)?);
        }
        Ok(())
    }

    /// `-u USER `, an empty text for root, or nothing where there is no sudo.
    fn sudo_options(&self) -> Result<Option<Vec<u8>>, CommandError> {
        if self.sudo.is_none() && self.user.is_none() {
            return Ok(None);
        }
        let mut options = Vec::new();
        if let Some(user) = &self.user {
            check_user(user)?;
            options.extend_from_slice(b"-u ");
            options.extend(quote(user.as_bytes())?);
            options.push(b' ');
        }
        Ok(Some(options))
    }
}

/// Shell text, as [`Command::shell`].
impl From<&str> for Command {
    fn from(text: &str) -> Self {
        Self::shell(text)
    }
}

/// Shell text, as [`Command::shell`].
impl From<String> for Command {
    fn from(text: String) -> Self {
        Self::shell(text)
    }
}

fn in_shell(shell: &[u8], script: &[u8]) -> Result<Vec<u8>, CommandError> {
    Ok([shell, &quote(script)?].concat())
}

/// A directory that `cd` can only read one way: `./` keeps it from searching `CDPATH`, from reading `-` as the previous
/// directory, and from taking another leading dash for an option.
fn unambiguous_directory(directory: &[u8]) -> Result<Vec<u8>, CommandError> {
    match directory.first() {
        None => Err(CommandError::EmptyDirectory),
        Some(b'/') => Ok(directory.to_vec()),
        Some(_) => Ok([b"./", directory].concat()),
    }
}

fn is_env_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::NamePart;

    fn line(command: &Command) -> String {
        String::from_utf8(command.to_line().unwrap()).unwrap()
    }

    #[test]
    fn shell_text_with_nothing_set_is_sent_exactly_as_it_is() {
        for text in [
            "whoami",
            " spaced \n",
            "a && b | c # comment",
            "cat <<E\nx\nE\n",
            "naïve $HOME `id`",
            "-x",
        ] {
            assert_eq!(line(&Command::shell(text)), text);
        }
        assert_eq!(
            Command::shell(b"\xff\xfe".as_slice()).to_line().unwrap(),
            b"\xff\xfe"
        );
    }

    #[test]
    fn each_layer_adds_just_its_own_text() {
        let text = || Command::shell("a && b");
        let argv = || Command::program("rm").args(["-r", "a b"]);
        for (command, expected) in [
            (argv(), "rm -r 'a b'"),
            (
                Command::shell("systemctl restart").arg("my unit"),
                "systemctl restart 'my unit'",
            ),
            (text().cwd("/srv"), "cd /srv || exit\na && b"),
            (argv().cwd("-"), "cd ./- || exit\nexec rm -r 'a b'"),
            (
                text().env("A", "1").env("B", "x y"),
                "export A=1 || exit\nexport B='x y' || exit\na && b",
            ),
            (text().sudo(Sudo::NonInteractive), "sudo -n -- sh -c 'a && b'"),
            (argv().sudo(Sudo::NonInteractive), "sudo -n -- rm -r 'a b'"),
            (argv().as_user("bob"), "sudo -u bob -n -- rm -r 'a b'"),
            (
                argv().as_user("CORP\\bob"),
                "sudo -u 'CORP'\\\\'bob' -n -- rm -r 'a b'",
            ),
            (
                text().sudo(Sudo::NonInteractive).as_user("bob"),
                "sudo -u bob -n -- sh -c 'a && b'",
            ),
            (text().login_shell(), "exec \"${SHELL:-/bin/sh}\" -lc 'a && b'"),
            (
                Command::program("id").login_shell(),
                "exec \"${SHELL:-/bin/sh}\" -lc 'exec id'",
            ),
            (
                Command::program("id")
                    .cwd("/")
                    .env("A", "1")
                    .sudo(Sudo::NonInteractive),
                "sudo -n -- sh -c 'cd / || exit\nexport A=1 || exit\nexec id'",
            ),
            (
                Command::shell("id").login_shell().as_user("bob"),
                "sudo -u bob -n -- sh -c 'exec \"${SHELL:-/bin/sh}\" -lc id'",
            ),
        ] {
            assert_eq!(line(&command), expected);
        }
    }

    #[test]
    fn what_cannot_be_sent_is_refused_with_a_precise_error() {
        let nul = |position| CommandError::Nul(QuoteError { position });
        let name = |name: &str| CommandError::EnvName {
            name: name.to_owned(),
        };
        let id = || Command::program("id");
        for (command, error) in [
            (Command::shell(""), CommandError::Empty),
            (Command::shell(" \n\t"), CommandError::Empty),
            (Command::program(""), CommandError::Empty),
            (
                Command::program("").sudo(Sudo::NonInteractive),
                CommandError::Empty,
            ),
            (Command::shell("a\0"), nul(1)),
            (Command::program("\0"), nul(0)),
            (id().arg("ab\0"), nul(2)),
            (id().cwd("/\0"), nul(1)),
            (id().env("A", "\0"), nul(0)),
            (
                Command::program("-x"),
                CommandError::LeadingDash {
                    name: "-x".to_owned(),
                },
            ),
            (id().cwd(""), CommandError::EmptyDirectory),
            (id().env("", "x"), name("")),
            (id().env("1A", "x"), name("1A")),
            (id().env("A B", "x"), name("A B")),
            (id().env("A;id", "x"), name("A;id")),
            (id().env("Ä", "x"), name("Ä")),
            (
                id().as_user(""),
                CommandError::User(TargetError::Empty { part: NamePart::User }),
            ),
        ] {
            assert_eq!(command.to_line(), Err(error), "{command:?}");
        }
        for user in ["-u", "a b", "a;id", "$(id)", "a\n", "a'b", "#0"] {
            assert!(
                matches!(id().as_user(user).to_line(), Err(CommandError::User(_))),
                "{user}"
            );
        }
    }

    #[test]
    fn a_command_that_answers_sudo_says_when_it_asks_and_when_it_has_started() {
        let markers = SudoMarkers::new(std::array::from_fn(|index| index as u8));
        let command = Command::shell("a && b").sudo(Sudo::Password).as_user("bob");
        assert!(command.answers_sudo());
        assert_eq!(command.to_line(), Err(CommandError::NoMarkers));
        assert_eq!(command.describe(), "sudo -u bob -S -- sh -c 'a && b'");
        let line = String::from_utf8(command.to_line_with(&markers).unwrap()).unwrap();
        let head = "exec sh -c 'set +x; exec env LC_ALL=C sudo -u bob -S -p sudo-password-0001020304050607\"\"08090a0b0c0d0e0f: -- sh -c ";
        assert!(line.starts_with(head), "{line}");
        assert!(!line.contains('\n'), "{line}");
        assert!(line.contains("printf %s sudo-started-"), "{line}");

        let program = Command::program("id").sudo(Sudo::Password);
        assert_eq!(program.describe(), "sudo -S -- id");
        let line = String::from_utf8(program.to_line_with(&markers).unwrap()).unwrap();
        assert!(line.contains(">&2; exec id"), "{line}");

        let other = command.cwd("/").env("A", "1").as_same_user("kill 1").unwrap();
        assert_eq!(other.describe(), "sudo -u bob -S -- sh -c 'kill 1'");
        assert_eq!(Command::shell("id").as_same_user("id"), None);

        let plain = Command::shell("id").sudo(Sudo::NonInteractive);
        assert_eq!(plain.to_line_with(&markers), plain.to_line());
        assert!(!plain.answers_sudo());
    }

    #[test]
    fn a_description_never_fails() {
        assert_eq!(Command::shell("whoami").describe(), "whoami");
        assert_eq!(
            Command::program("ls").arg(b"\xff".as_slice()).describe(),
            "ls '\u{fffd}'"
        );
        assert_eq!(Command::shell("ls").env("not a name", "x").describe(), "ls");
    }

    #[test]
    fn the_value_of_a_variable_is_never_shown() {
        let command = Command::shell("ls")
            .env("X", "hunter2")
            .sudo(Sudo::NonInteractive);
        assert!(!command.describe().contains("hunter2"), "{}", command.describe());
        assert!(!format!("{command:?}").contains("hunter2"), "{command:?}");
        assert!(command.describe().contains("export X="));
        let secret = Command::program("login").arg("--password=hunter2");
        assert!(!format!("{secret:?}").contains("hunter2"), "{secret:?}");
    }

    #[test]
    fn secret_variables_are_set_like_others_and_known_as_secrets() {
        let command = Command::shell("ls").env("A", "1").secret_env("B", "hunter2");
        assert_eq!(
            line(&command),
            line(&Command::shell("ls").env("A", "1").env("B", "hunter2"))
        );
        assert_eq!(command.secrets().collect::<Vec<_>>(), [b"hunter2"]);
    }

    #[test]
    fn messages_show_names_escaped_and_say_what_to_do() {
        let error = Command::program("-\x1b").to_line().unwrap_err().to_string();
        assert!(error.contains("write ./-\\x1b"), "{error}");
    }
}
