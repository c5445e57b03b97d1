//! What a connection runs over where that is not the network itself.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};
use sternline_proto::quoting::quote_str;
use sternline_proto::redact::redact_string;
use sternline_proto::ssh_config::{Problem, ProxyTokens};
use sternline_proto::text::escape;

use super::jump::JumpHost;
use super::open::Destination;
use crate::config::Env;
use crate::deadline::Phase;
use crate::error::{Error, ErrorKind, Result};
use crate::transport::carried::Carried;
use crate::transport::link::Link;
use crate::transport::proxy_command::{Program, ProxyStream, start};

/// A command whose standard input and output lead to a host's SSH server (`ProxyCommand` in ssh_config(5)).
///
/// The tokens `%h` (what is connected to), `%n` and `%k` (the host as it was named), `%p` (the port), `%r` (who logs
/// in) and `%%` are replaced. The command has the environment of the connection. It is ended with the connection: by a
/// hangup, and by a kill one second later.
///
/// A text becomes a [`ProxyCommand::shell`].
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyCommand(Form);

#[derive(Clone, PartialEq, Eq)]
enum Form {
    Shell(String),
    Program(Vec<String>),
}

impl ProxyCommand {
    /// A command that the user's shell (`SHELL`, else `/bin/sh`) runs with `exec`, as ssh has it. Names that a shell
    /// would read more into than a name are refused before they are put in for tokens. The word `none` stands for no
    /// command.
    #[must_use]
    pub fn shell(text: impl Into<String>) -> Self {
        Self(Form::Shell(text.into()))
    }

    /// A program and its arguments, with no shell in between.
    #[must_use]
    pub fn program<A: Into<String>>(words: impl IntoIterator<Item = A>) -> Self {
        Self(Form::Program(words.into_iter().map(Into::into).collect()))
    }

    pub(super) fn is_none(&self) -> bool {
        matches!(&self.0, Form::Shell(text) if text.trim().eq_ignore_ascii_case("none"))
    }

    /// The command as it was given, for events.
    pub(super) fn written(&self) -> String {
        match &self.0 {
            Form::Shell(text) => text.clone(),
            Form::Program(words) => line(words),
        }
    }

    /// What is to be started for a host.
    fn program_for(
        &self,
        destination: &Destination,
        env: &Env,
        own_group: bool,
    ) -> std::result::Result<Program, Problem> {
        let tokens = ProxyTokens {
            host: &destination.address,
            name: &destination.host,
            known_as: destination.alias.as_deref().unwrap_or(&destination.host),
            port: destination.port,
            user: &destination.username,
        };
        let (shown, path, arguments) = match &self.0 {
            Form::Shell(text) => {
                let text = tokens.expand_for_shell(text)?;
                let (shell, arguments) = shell(env, &text);
                (text, shell, arguments)
            }
            Form::Program(words) => {
                let words: std::result::Result<Vec<String>, Problem> =
                    words.iter().map(|word| tokens.expand(word)).collect();
                let words = words?;
                let shown = line(&words);
                let mut words = words.into_iter();
                (shown, words.next().unwrap_or_default(), words.collect())
            }
        };
        Ok(Program {
            path,
            arguments,
            vars: env.vars.clone(),
            shown,
            own_group,
        })
    }

    /// Starts the command. Where a person may be asked something, it shares the terminal with us, as it does with ssh.
    pub(super) fn start(
        &self,
        destination: &Destination,
        env: &Env,
        asks: bool,
        link: &Arc<Link>,
    ) -> Result<Carried<ProxyStream>> {
        let program = self.program_for(destination, env, !asks).map_err(|problem| {
            Error::new(
                ErrorKind::Invalid,
                format!("cannot run the proxy command: {problem}"),
            )
            .in_phase(Phase::Proxy)
            .with_hint("correct the command or the name, or leave the token out")
        })?;
        start(program, link)
    }
}

fn line(words: &[String]) -> String {
    // What cannot be quoted cannot be run either.
    let quoted = words
        .iter()
        .map(|word| quote_str(word).unwrap_or_else(|_| escape(word)));
    quoted.collect::<Vec<_>>().join(" ")
}

#[cfg(not(windows))]
fn shell(env: &Env, text: &str) -> (String, Vec<String>) {
    let configured = env.vars.get("SHELL").filter(|shell| !shell.is_empty());
    let shell = configured.map_or("/bin/sh", String::as_str);
    (shell.to_owned(), vec!["-c".to_owned(), format!("exec {text}")])
}

#[cfg(windows)]
fn shell(_: &Env, text: &str) -> (String, Vec<String>) {
    ("cmd.exe".to_owned(), vec!["/C".to_owned(), text.to_owned()])
}

impl From<&str> for ProxyCommand {
    fn from(text: &str) -> Self {
        Self::shell(text)
    }
}

impl From<String> for ProxyCommand {
    fn from(text: String) -> Self {
        Self::shell(text)
    }
}

/// Masks what looks like a secret.
impl fmt::Debug for ProxyCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProxyCommand({:?})", redact_string(&self.written()))
    }
}

/// The one or the other.
#[derive(Clone)]
pub(super) enum Via {
    /// Through this host, and whatever it is reached through itself.
    Jump(JumpHost),
    /// Over a command.
    Command(ProxyCommand),
}

impl Via {
    /// The facts that events and errors have of it: `proxy_jump` or `proxy_command`.
    pub(super) fn facts(&self) -> Map<String, Value> {
        let (name, value) = match self {
            Self::Jump(jump) => ("proxy_jump", jump.to_string()),
            Self::Command(command) => ("proxy_command", redact_string(&command.written()).into_owned()),
        };
        Map::from_iter([(name.to_owned(), value.into())])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn destination(username: &str) -> Destination {
        Destination {
            host: "web".to_owned(),
            address: "10.0.0.5".to_owned(),
            port: 2222,
            known_as: ("10.0.0.5".to_owned(), 2222),
            alias: None,
            username: username.to_owned(),
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_text_is_run_by_the_users_shell_and_words_are_run_as_they_are() {
        let mut env = Env::default();
        env.vars.insert("SHELL".into(), "/bin/zsh".into());
        let command = ProxyCommand::from("nc '%h' %p");
        let program = command.program_for(&destination("alice"), &env, true).unwrap();
        assert_eq!(
            (program.path.as_str(), program.arguments.join("|").as_str()),
            ("/bin/zsh", "-c|exec nc '10.0.0.5' 2222")
        );
        let words = ProxyCommand::program(["/bin/connect", "%r of %n", "%h:%p"]);
        let program = words
            .program_for(&destination("CORP\\alice"), &env, true)
            .unwrap();
        assert_eq!(
            (program.path.as_str(), program.arguments.join("|").as_str()),
            ("/bin/connect", "CORP\\alice of web|10.0.0.5:2222")
        );
        let program = words.program_for(&destination("alice"), &env, true).unwrap();
        assert_eq!(program.shown, "/bin/connect 'alice of web' 10.0.0.5:2222");
    }

    #[test]
    fn a_user_whose_name_a_shell_would_read_is_refused() {
        let command = ProxyCommand::from("nc %r %h");
        let refused = command.program_for(&destination("CORP\\alice"), &Env::default(), true);
        assert!(matches!(refused, Err(Problem::ShellToken { .. })));
    }

    #[test]
    fn only_the_word_none_is_no_command_and_secrets_are_not_shown() {
        assert!(ProxyCommand::from(" None ").is_none());
        assert!(!ProxyCommand::from("nonesuch").is_none());
        assert!(!ProxyCommand::program(["none"]).is_none());
        let command = ProxyCommand::from("connect --password=hunter2 %h");
        for shown in [
            format!("{command:?}"),
            Value::Object(Via::Command(command).facts()).to_string(),
        ] {
            assert!(shown.contains("connect") && !shown.contains("hunter2"), "{shown}");
        }
    }
}
