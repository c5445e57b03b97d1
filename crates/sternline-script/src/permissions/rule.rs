//! One rule: `module.category`, `module.category(resource)` or `module.category(functions:resource)`.

use crate::glob::{Glob, GlobError};

use super::category::{ALL, Category, Kind};
use super::operation::{Resource, Side};

/// A rule about one category. A rule with `*` is several of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    /// As it was written.
    pub(super) text: String,
    pub(super) category: &'static Category,
    /// `None`: all of the category.
    functions: Option<Vec<String>>,
    pub(super) pattern: Pattern,
}

/// Which resources a rule is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pattern {
    Any,
    /// `what` is missing where all that is done on the host is meant.
    Host {
        host: Glob,
        what: Option<Glob>,
    },
    Transfer {
        host: Glob,
        sides: Sides,
    },
    /// As it was written: it means something only where the script runs.
    Path(String),
    Text(Glob),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sides {
    Any,
    Remote(Glob),
    Both { src: Glob, dst: Glob },
}

/// Whether a rule is meant to let through or to keep out. What is doubtful lets nothing through, and keeps out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    Allow,
    Deny,
}

/// What is wrong with a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum RuleError {
    #[error("write MODULE.CATEGORY, such as fs.read, or MODULE.CATEGORY(RESOURCE)")]
    Shape,
    #[error("nothing is called that: there are {}", categories())]
    Unknown,
    #[error("the `(` is not closed")]
    Open,
    #[error("it has no function {0:?}: there are {1}")]
    Function(String, String),
    #[error("a resource means something else in each category: name the category")]
    TooWide,
    #[error("write the host and what it is about as HOST:{0}, and `*` for any host")]
    NoHost(&'static str),
    #[error("the pattern {0:?} has {1}")]
    Glob(String, GlobError),
}

fn categories() -> String {
    ALL.map(|category| format!("{}.{}", category.module, category.name))
        .join(", ")
}

impl Rule {
    /// Reads a rule.
    pub(super) fn parse(text: &str) -> Result<Vec<Self>, RuleError> {
        let text = text.trim();
        let (name, inside) = match text.split_once('(') {
            Some((name, rest)) => (name.trim(), Some(rest.strip_suffix(')').ok_or(RuleError::Open)?)),
            None => (text, None),
        };
        let (module, category) = match name.split_once('.') {
            Some((module, category)) if !module.is_empty() && !category.is_empty() => (module, category),
            None if name == "*" => ("*", "*"),
            _ => return Err(RuleError::Shape),
        };
        let meant: Vec<&'static Category> = ALL
            .into_iter()
            .filter(|known| {
                (module == "*" || module == known.module) && (category == "*" || category == known.name)
            })
            .collect();
        if meant.is_empty() {
            return Err(RuleError::Unknown);
        }
        let one_kind = meant
            .iter()
            .all(|category| Some(category.kind) == meant.first().map(|first| first.kind));
        meant
            .into_iter()
            .map(|category| {
                let (functions, pattern) = match inside.map(str::trim) {
                    None | Some("") => (None, Pattern::Any),
                    Some("*" | "**") => (None, Pattern::Any),
                    Some(_) if !one_kind && module == "*" => return Err(RuleError::TooWide),
                    Some(inside) => split(category, inside)?,
                };
                Ok(Self {
                    text: text.to_owned(),
                    category,
                    functions,
                    pattern,
                })
            })
            .collect()
    }

    pub(super) fn names_function(&self, function: &str) -> bool {
        self.functions
            .as_ref()
            .is_none_or(|functions| functions.iter().any(|name| name == function))
    }

    /// Whether it is about this resource, which is no path.
    pub(super) fn is_about(&self, resource: &Resource, effect: Effect) -> bool {
        match (&self.pattern, resource) {
            (Pattern::Any, _) => true,
            (Pattern::Host { host, .. } | Pattern::Transfer { host, .. }, Resource::Host(name)) => {
                let all_of_it = match &self.pattern {
                    Pattern::Host { what, .. } => what.as_ref().is_none_or(Glob::is_any),
                    Pattern::Transfer {
                        sides: Sides::Remote(remote),
                        ..
                    } => remote.is_any(),
                    pattern => matches!(
                        pattern,
                        Pattern::Transfer {
                            sides: Sides::Any,
                            ..
                        }
                    ),
                };
                (effect == Effect::Allow || all_of_it) && is_host(host, name)
            }
            (
                Pattern::Host { host, what },
                Resource::OnHost {
                    host: name,
                    what: text,
                },
            ) => is_host(host, name) && what.as_ref().is_none_or(|what| is_text(what, text, effect)),
            (
                Pattern::Transfer { host, sides },
                Resource::Transfer {
                    host: name,
                    src,
                    dst,
                    remote,
                },
            ) => {
                is_host(host, name)
                    && match (sides, remote) {
                        (Sides::Any, _) => true,
                        (
                            Sides::Both {
                                src: wanted_src,
                                dst: wanted_dst,
                            },
                            _,
                        ) => is_side(wanted_src, src, effect) && is_side(wanted_dst, dst, effect),
                        // The rule may have been meant for either side.
                        (Sides::Remote(wanted), _) if effect == Effect::Deny => {
                            is_side(wanted, src, effect) || is_side(wanted, dst, effect)
                        }
                        (Sides::Remote(wanted), Side::Src) => is_side(wanted, src, effect),
                        (Sides::Remote(wanted), Side::Dst) => is_side(wanted, dst, effect),
                    }
            }
            (Pattern::Text(wanted), Resource::Text(text)) => is_text(wanted, text, effect),
            // A rule with a resource says nothing of what has none, unless in doubt.
            (_, Resource::Nothing) => false,
            _ => false,
        }
    }
}

/// What stands in the parentheses: names of functions before the first colon, if that is what they are, and a resource.
fn split(category: &'static Category, inside: &str) -> Result<(Option<Vec<String>>, Pattern), RuleError> {
    let (before, after) = match inside.split_once(':') {
        Some((before, after)) => (before, Some(after)),
        None => (inside, None),
    };
    let names: Vec<&str> = before.split(',').map(str::trim).collect();
    let is_known = |name: &&str| category.functions.contains(name);
    if before.trim() == "*"
        && after.is_some()
        && category.kind != Kind::Host
        && category.kind != Kind::Transfer
    {
        return Ok((None, resource(category.kind, after.unwrap_or_default())?));
    }
    if names.iter().all(is_known) {
        let functions = names.into_iter().map(str::to_owned).collect();
        let pattern = match after.map(str::trim) {
            None | Some("" | "*" | "**") => Pattern::Any,
            Some(after) => resource(category.kind, after)?,
        };
        return Ok((Some(functions), pattern));
    }
    let looks_like_names = names
        .iter()
        .all(|name| !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '_'));
    let several = names.len() > 1 && names.iter().any(is_known);
    // A host may be called anything; a file or a command hardly begins like this.
    let no_host = after.is_some() && matches!(category.kind, Kind::Path | Kind::Text);
    if looks_like_names && (several || no_host) {
        let unknown = names.into_iter().find(|name| !is_known(name)).unwrap_or_default();
        return Err(RuleError::Function(
            unknown.to_owned(),
            category.functions.join(", "),
        ));
    }
    Ok((None, resource(category.kind, inside)?))
}

fn resource(kind: Kind, text: &str) -> Result<Pattern, RuleError> {
    let text = text.trim();
    if matches!(text, "*" | "**") {
        return Ok(Pattern::Any);
    }
    match kind {
        Kind::Path => {
            glob(text)?;
            Ok(Pattern::Path(text.to_owned()))
        }
        Kind::Text => Ok(Pattern::Text(glob(text)?)),
        Kind::Host => {
            let (host, what) = host(text, "COMMAND")?;
            let what = what.map(glob).transpose()?;
            Ok(Pattern::Host { host, what })
        }
        Kind::Transfer => {
            let (host, rest) = host(text, "REMOTE")?;
            let sides = match rest {
                None => Sides::Any,
                Some(rest) => match rest.split_once("->") {
                    Some((src, dst)) => Sides::Both {
                        src: glob(src)?,
                        dst: glob(dst)?,
                    },
                    None => Sides::Remote(glob(rest)?),
                },
            };
            Ok(Pattern::Transfer { host, sides })
        }
    }
}

/// `HOST`, `HOST:REST` or `[ADDRESS]:REST`. A rest that is any text at all is none.
fn host<'a>(text: &'a str, rest_is: &'static str) -> Result<(Glob, Option<&'a str>), RuleError> {
    let bracketed = text
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
        .filter(|(address, rest)| address.contains(':') && (rest.is_empty() || rest.starts_with(':')));
    let (host, rest) = match bracketed {
        Some((address, rest)) => (address, rest.strip_prefix(':')),
        None => match text.split_once(':') {
            Some((host, rest)) => (host, Some(rest)),
            None => (text, None),
        },
    };
    let rest = rest.map(str::trim).filter(|rest| *rest != "**");
    // `**reboot` was meant to be about a command.
    let about_more = rest.is_none() && host.contains("**") && host != "**";
    let no_name = host.is_empty() || host.contains(|c: char| c == '/' || c.is_whitespace());
    if about_more || no_name || rest == Some("") {
        return Err(RuleError::NoHost(rest_is));
    }
    Ok((glob(&host.to_ascii_lowercase())?, rest))
}

fn glob(text: &str) -> Result<Glob, RuleError> {
    Glob::new(text).map_err(|error| RuleError::Glob(text.to_owned(), error))
}

/// Hosts are the same in upper and lower case.
fn is_host(wanted: &Glob, name: &str) -> bool {
    wanted.matches(&name.to_ascii_lowercase(), crate::glob::nowhere)
}

/// In a rule that allows, `*` stops at `/` and at all by which a shell would go on to another command: who allows
/// `systemctl status *` does not mean `systemctl status x; reboot`. `**` stops at nothing.
fn is_text(wanted: &Glob, text: &str, effect: Effect) -> bool {
    match effect {
        Effect::Allow => wanted.matches(text, ends_a_word),
        Effect::Deny => wanted.matches(text, crate::glob::nowhere),
    }
}

fn ends_a_word(c: char) -> bool {
    matches!(
        c,
        '/' | ';' | '&' | '|' | '<' | '>' | '(' | ')' | '$' | '`' | '\\' | '\n' | '\r'
    )
}

/// A remote name with `..` in it may lead anywhere: no pattern allows it, and one that denies looks at both readings.
fn is_side(wanted: &Glob, name: &str, effect: Effect) -> bool {
    let plain = plain(name);
    match effect {
        Effect::Allow => {
            let climbs = name.split('/').any(|part| part == "..");
            !climbs && wanted.matches(&plain, crate::glob::at_slash)
        }
        Effect::Deny => {
            wanted.matches(name, crate::glob::at_slash) || wanted.matches(&plain, crate::glob::at_slash)
        }
    }
}

/// A name without empty parts, `.` and `..`.
fn plain(name: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let root = if name.starts_with('/') { "/" } else { "" };
    format!("{root}{}", parts.join("/"))
}
