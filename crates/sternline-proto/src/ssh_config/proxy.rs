//! `ProxyJump` and `ProxyCommand`.

use super::error::Problem;
use super::options::{Proxy, Source, Sourced};
use super::token::expand;
use crate::target::Target;

/// What the `%` tokens in a `ProxyCommand` stand for (section TOKENS of ssh_config(5)).
#[derive(Debug, Clone, Copy)]
pub struct ProxyTokens<'a> {
    /// `%h`: what is connected to, `HostName`.
    pub host: &'a str,
    /// `%n`: the host as it was named.
    pub name: &'a str,
    /// `%k`: `HostKeyAlias`, else the host as it was named.
    pub known_as: &'a str,
    /// `%p`.
    pub port: u16,
    /// `%r`: who logs in.
    pub user: &'a str,
}

impl ProxyTokens<'_> {
    /// Replaces the tokens in an argument that no shell reads.
    ///
    /// # Errors
    /// [`Problem::Token`] for an unknown one.
    pub fn expand(&self, text: &str) -> Result<String, Problem> {
        expand(text, |c| self.value(c), None)
    }

    /// Replaces the tokens in a command for a shell. Names are put in as they are, for the command's author may have
    /// put quotes round them or none: so a name is refused that a shell would not take for a part of a word, whatever
    /// surrounds it (CVE-2023-51385 tells what happens otherwise).
    ///
    /// # Errors
    /// [`Problem::Token`] and [`Problem::ShellToken`].
    pub fn expand_for_shell(&self, text: &str) -> Result<String, Problem> {
        let mut refused = None;
        let token = |c| {
            let value = self.value(c)?;
            if let Some(character) = value.chars().find(|&c| !is_plain(c)) {
                refused.get_or_insert_with(|| Problem::ShellToken {
                    token: format!("%{c}"),
                    value: value.clone(),
                    character,
                });
            }
            Some(value)
        };
        let expanded = expand(text, token, None)?;
        match refused {
            Some(problem) => Err(problem),
            None => Ok(expanded),
        }
    }

    pub(super) fn value(&self, token: char) -> Option<String> {
        match token {
            'h' => Some(self.host.to_owned()),
            'n' => Some(self.name.to_owned()),
            'k' => Some(self.known_as.to_owned()),
            'p' => Some(self.port.to_string()),
            'r' => Some(self.user.to_owned()),
            _ => None,
        }
    }
}

/// A part of a word for every shell. Of what `check_host` and `check_user` let through, this leaves out `\`, `!`, `^`,
/// `=`, `~` and `#`, each of which some shell obeys somewhere.
fn is_plain(c: char) -> bool {
    if c.is_ascii() {
        c.is_ascii_alphanumeric() || "-_.+@:%".contains(c)
    } else {
        !c.is_whitespace() && !c.is_control()
    }
}

/// The two options as they were found. They are kept apart, because `none` of one does not say the same about the other
/// as a value does.
#[derive(Debug, Default)]
pub(super) struct Proxies {
    /// `None` inside stands for `none`.
    jump: Option<Sourced<Option<String>>>,
    command: Option<Sourced<Option<String>>>,
}

impl Proxies {
    /// `ProxyJump`: counts unless either was given, be it as `none`.
    pub(super) fn jump(&mut self, text: &str, source: &Source) {
        if self.jump.is_none() && self.command.is_none() {
            self.jump = Some(value(text, source));
        }
    }

    /// `ProxyCommand`: counts unless it was given, or a jump host was.
    pub(super) fn command(&mut self, text: &str, source: &Source) {
        let jumps = self.jump.as_ref().is_some_and(|jump| jump.value.is_some());
        if self.command.is_none() && !jumps {
            self.command = Some(value(text, source));
        }
    }

    /// What they come to.
    pub(super) fn settle(
        self,
        tokens: &ProxyTokens<'_>,
    ) -> Result<Option<Sourced<Proxy>>, (Source, Problem)> {
        let found = |option: Option<Sourced<Option<String>>>| {
            option.and_then(|Sourced { value, source }| Some((value?, source)))
        };
        if let Some((text, source)) = found(self.jump) {
            return match hops(&text, |c| tokens.value(c)) {
                Ok(hops) => Ok(Some(Sourced {
                    value: Proxy::Jump(hops),
                    source,
                })),
                Err(problem) => Err((source, problem)),
            };
        }
        let Some((text, source)) = found(self.command) else {
            return Ok(None);
        };
        match tokens.expand_for_shell(&text) {
            Ok(_) => Ok(Some(Sourced {
                value: Proxy::Command(text),
                source,
            })),
            Err(problem) => Err((source, problem)),
        }
    }
}

fn value(text: &str, source: &Source) -> Sourced<Option<String>> {
    Sourced {
        value: (!is_none(text)).then(|| text.to_owned()),
        source: source.clone(),
    }
}

/// Whether a text can be a `ProxyJump`.
pub(super) fn is_jump(text: &str) -> bool {
    // A token may stand for anything that is a part of a name; what it stood for is checked at the end.
    is_none(text) || hops(text, |_| Some("x".to_owned())).is_ok()
}

fn is_none(text: &str) -> bool {
    text.eq_ignore_ascii_case("none")
}

/// The hosts of a comma list, the nearest first.
fn hops(text: &str, token: impl Fn(char) -> Option<String>) -> Result<Vec<Target>, Problem> {
    text.split(',')
        .map(|hop| Ok(expand(hop, &token, None)?.parse()?))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TOKENS: ProxyTokens<'_> = ProxyTokens {
        host: "10.0.0.5",
        name: "web",
        known_as: "alias",
        port: 2222,
        user: "alice",
    };

    #[test]
    fn tokens_are_replaced_in_commands_and_arguments() {
        for expanded in [
            TOKENS.expand("%r@%n(%k) %h:%p 100%%"),
            TOKENS.expand_for_shell("%r@%n(%k) %h:%p 100%%"),
        ] {
            assert_eq!(expanded.unwrap(), "alice@web(alias) 10.0.0.5:2222 100%");
        }
        assert!(matches!(
            TOKENS.expand_for_shell("nc %x"),
            Err(Problem::Token { .. })
        ));
    }

    #[test]
    fn a_name_that_a_shell_would_read_more_into_is_kept_from_shells() {
        for user in [
            "CORP\\alice",
            "a!b",
            "a=b",
            "a~",
            "a#b",
            "$(id)",
            "a;b",
            "a b",
            "a\n",
            "`id`",
            "a'b",
        ] {
            let tokens = ProxyTokens { user, ..TOKENS };
            assert!(
                matches!(tokens.expand_for_shell("x %r"), Err(Problem::ShellToken { .. })),
                "{user}"
            );
            assert_eq!(tokens.expand_for_shell("x %h").unwrap(), "x 10.0.0.5");
            assert_eq!(tokens.expand("%r").unwrap(), user);
        }
        let zone = ProxyTokens {
            host: "fe80::1%eth0",
            user: "user@corp.example",
            ..TOKENS
        };
        assert_eq!(
            zone.expand_for_shell("nc %h %p %r").unwrap(),
            "nc fe80::1%eth0 2222 user@corp.example"
        );
    }

    proptest! {
        #[test]
        fn what_stands_for_a_token_is_one_word_to_a_shell(user in any::<String>()) {
            let tokens = ProxyTokens { user: &user, ..TOKENS };
            if let Ok(expanded) = tokens.expand_for_shell("%r") {
                let obeyed = |c: char| "\\'\"`$;&<>|(){}[]*?!#~^= \t\n\r\0".contains(c);
                prop_assert_eq!(expanded.find(obeyed), None);
            }
        }
    }
}
