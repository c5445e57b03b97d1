//! `~`, `%` tokens and `${NAME}` in values.

use data_encoding::HEXLOWER;
use sha1::{Digest, Sha1};

use super::error::Problem;
use super::proxy::ProxyTokens;
use super::query::Env;

/// What the `%` tokens in a path stand for (section TOKENS of ssh_config(5)).
pub(super) struct Tokens<'a> {
    pub(super) proxy: ProxyTokens<'a>,
    pub(super) home: Option<&'a str>,
    pub(super) local_user: &'a str,
    pub(super) env: &'a dyn Env,
}

impl Tokens<'_> {
    pub(super) fn value(&self, token: char) -> Option<String> {
        match token {
            'd' => self.home.map(str::to_owned),
            'i' => self.env.user_id().map(|id| id.to_string()),
            'l' => self.env.local_host(),
            'L' => self.env.local_host().map(|name| {
                let short = name.split_once('.').map(|(short, _)| short.to_owned());
                short.unwrap_or(name)
            }),
            'u' => Some(self.local_user.to_owned()),
            'C' => {
                let ProxyTokens { host, port, user, .. } = self.proxy;
                let text = format!("{}{host}{port}{user}", self.env.local_host()?);
                Some(HEXLOWER.encode(&Sha1::digest(text)))
            }
            other => self.proxy.value(other),
        }
    }
}

/// Finds the value of an environment variable.
pub(super) type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Replaces `%%`, and each `%c` that `token` knows. With `variable`, `${NAME}` too.
pub(super) fn expand(
    text: &str,
    mut token: impl FnMut(char) -> Option<String>,
    variable: Option<Variables<'_>>,
) -> Result<String, Problem> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['%', '$']) {
        let (before, found) = rest.split_at(at);
        out.push_str(before);
        let name = found.strip_prefix("${").and_then(|after| after.split_once('}'));
        rest = match (found.strip_prefix('%'), name, variable) {
            (Some(after), _, _) => {
                let c = after.chars().next();
                let value = match c {
                    Some('%') => Some("%".to_owned()),
                    Some(c) => token(c),
                    None => None,
                };
                let unknown = || Problem::Token {
                    token: format!("%{}", c.map(String::from).unwrap_or_default()),
                    text: text.to_owned(),
                };
                out.push_str(&value.ok_or_else(unknown)?);
                after.get(c.map_or(0, char::len_utf8)..).unwrap_or_default()
            }
            (None, Some((name, after)), Some(variable)) => {
                out.push_str(&variable(name).ok_or_else(|| Problem::Variable {
                    name: name.to_owned(),
                })?);
                after
            }
            _ => {
                out.push('$');
                found.get(1..).unwrap_or_default()
            }
        };
    }
    out.push_str(rest);
    Ok(out)
}

/// Replaces `~` at the start of a path by the home directory.
pub(super) fn expand_home(path: &str, home: Option<&str>) -> Result<String, Problem> {
    let Some(rest) = path.strip_prefix('~') else {
        return Ok(path.to_owned());
    };
    match home {
        Some(home) if rest.is_empty() || rest.starts_with('/') => Ok(format!("{home}{rest}")),
        _ => Err(Problem::Home {
            path: path.to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_and_variables_are_replaced_once() {
        let token = |c| (c == 'h').then(|| "%h${X}".to_owned());
        let variable = |name: &str| (name == "X").then(|| "%h".to_owned());
        assert_eq!(expand("a%h%%b", token, None), Ok("a%h${X}%b".to_owned()));
        assert_eq!(expand("${X}$X$", token, Some(&variable)), Ok("%h$X$".to_owned()));
        assert_eq!(expand("${X}", token, None), Ok("${X}".to_owned()));
        let unknown = |token: &str, text: &str| {
            Err(Problem::Token {
                token: token.to_owned(),
                text: text.to_owned(),
            })
        };
        assert_eq!(expand("%x", token, None), unknown("%x", "%x"));
        assert_eq!(expand("a%é", token, None), unknown("%é", "a%é"));
        assert_eq!(expand("a%", token, None), unknown("%", "a%"));
        assert_eq!(
            expand("${Y}", token, Some(&variable)),
            Err(Problem::Variable { name: "Y".to_owned() })
        );
    }

    #[test]
    fn a_tilde_is_only_our_own_home() {
        assert_eq!(expand_home("~/x", Some("/h")), Ok("/h/x".to_owned()));
        assert_eq!(expand_home("~", Some("/h")), Ok("/h".to_owned()));
        assert_eq!(expand_home("/a~", None), Ok("/a~".to_owned()));
        assert!(expand_home("~bob/x", Some("/h")).is_err());
        assert!(expand_home("~/x", None).is_err());
    }
}
