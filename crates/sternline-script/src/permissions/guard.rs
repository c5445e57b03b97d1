//! The rules where a script runs: `check` is all that others ask.

use std::path::{Path, PathBuf};

use crate::glob::{Glob, at_slash, is_pattern, quote};

use super::category::{CONNECT, FORWARD, TRANSFER};
use super::operation::{Denied, Operation, Resource};
use super::resolve::{lexical, resolve};
use super::rule::{Effect, Pattern, Rule};

/// What the names in rules about files begin at.
#[derive(Debug, Clone, Default)]
pub struct Roots {
    /// Where relative names begin, and what `$CWD` is: the directory that the script began in, wherever it goes later.
    pub cwd: PathBuf,
    /// What `~` and `$HOME` are.
    pub home: Option<PathBuf>,
}

/// Rules, with the names of files in them made absolute.
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    allow: Vec<Placed>,
    deny: Vec<Placed>,
    by_default: bool,
}

#[derive(Debug, Clone)]
struct Placed {
    rule: Rule,
    /// For rules about files: as they are written, and with the links in them followed.
    named: Vec<Glob>,
    resolved: Vec<Glob>,
    /// The directories in which something lies that the latter mean: where one of them moves, it gets another name.
    above: Vec<Glob>,
}

impl Guard {
    pub(super) fn new(allow: &[Rule], deny: &[Rule], by_default: bool, roots: &Roots) -> Self {
        let place = |rules: &[Rule]| rules.iter().map(|rule| Placed::new(rule, roots)).collect();
        Self {
            allow: place(allow),
            deny: place(deny),
            by_default,
        }
    }

    /// Whether everything is allowed, so that nobody has to find out where names lead.
    pub(crate) fn allows_all(&self) -> bool {
        self.by_default && self.deny.is_empty()
    }

    /// Whether an operation is allowed: a rule that denies counts before one that allows, and both before the default.
    ///
    /// # Errors
    /// It is not.
    pub(crate) fn check(&self, operation: &Operation) -> Result<(), Denied> {
        self.check_denied(operation)?;
        if self.by_default || self.allow.iter().any(|placed| placed.allows(operation)) {
            return Ok(());
        }
        Err(Denied {
            operation: operation.to_string(),
            rule: None,
        })
    }

    /// Whether no rule denies an operation, whatever the others allow.
    ///
    /// # Errors
    /// One does.
    pub(crate) fn check_denied(&self, operation: &Operation) -> Result<(), Denied> {
        let refuses = |placed: &&Placed| placed.denies(operation) || placed.is_moved_by(operation);
        match self.deny.iter().find(refuses) {
            Some(placed) => Err(Denied {
                operation: operation.to_string(),
                rule: Some(placed.rule.text.clone()),
            }),
            None => Ok(()),
        }
    }
}

impl Placed {
    fn new(rule: &Rule, roots: &Roots) -> Self {
        let (named, above, resolved) = match &rule.pattern {
            Pattern::Path(text) => {
                let named = absolute(text, roots);
                let resolved = follow(&named);
                (globs(&named), above(&resolved), globs(&resolved))
            }
            _ => Default::default(),
        };
        Self {
            rule: rule.clone(),
            named,
            resolved,
            above,
        }
    }

    /// Whether what it is about would get another name, at which the rule would no longer see it, because a directory
    /// above moves.
    fn is_moved_by(&self, operation: &Operation) -> bool {
        let Resource::Path { resolved, .. } = &operation.resource else {
            return false;
        };
        matches!(operation.function, "move_to" | "rename")
            && self.above.iter().any(|glob| glob.matches(resolved, at_slash))
            // A file has nothing in it that would move along.
            && !Path::new(resolved).is_file()
    }

    fn denies(&self, operation: &Operation) -> bool {
        if self.rule.category != operation.category || !self.rule.names_function(operation.function) {
            return false;
        }
        match (&self.rule.pattern, &operation.resource) {
            (Pattern::Path(_), Resource::Path { named, resolved }) => self
                .named
                .iter()
                .chain(&self.resolved)
                .any(|glob| glob.matches(named, at_slash) || glob.matches(resolved, at_slash)),
            (_, resource) => self.rule.is_about(resource, Effect::Deny),
        }
    }

    fn allows(&self, operation: &Operation) -> bool {
        // Whoever may do something on a host may make a client for it.
        if matches!(operation.resource, Resource::Host(_)) {
            return [&CONNECT, &TRANSFER, &FORWARD].contains(&self.rule.category)
                && self.rule.is_about(&operation.resource, Effect::Allow);
        }
        if self.rule.category != operation.category || !self.rule.names_function(operation.function) {
            return false;
        }
        match (&self.rule.pattern, &operation.resource) {
            (Pattern::Path(_), Resource::Path { resolved, .. }) => {
                self.resolved.iter().any(|glob| glob.matches(resolved, at_slash))
            }
            (_, resource) => self.rule.is_about(resource, Effect::Allow),
        }
    }
}

/// A pattern with an absolute beginning. One that begins with `**` is for all directories.
fn absolute(text: &str, roots: &Roots) -> String {
    let begins = |word: &str| {
        text.strip_prefix(word)
            .filter(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let under = |root: &Path, rest: &str| format!("{}/{rest}", quote(&root.to_string_lossy()));
    if text.starts_with("**") {
        return text.to_owned();
    }
    let text = if let Some(rest) = begins("$CWD") {
        under(&roots.cwd, rest)
    } else if let Some(rest) = begins("$HOME").or_else(|| begins("~")) {
        match &roots.home {
            Some(home) => under(home, rest),
            // Without a home directory there is nothing in it.
            None => return String::new(),
        }
    } else if text.starts_with('/') {
        text.to_owned()
    } else {
        under(&roots.cwd, text)
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// The beginning of a pattern, as far as it is a plain name, with its links followed; and the pattern that begins so.
fn follow(pattern: &str) -> String {
    if !pattern.starts_with('/') {
        return pattern.to_owned();
    }
    let mut parts = pattern.split('/').skip(1).peekable();
    let mut known = PathBuf::from("/");
    while let Some(part) = parts.peek() {
        let literal = if is_pattern(part) {
            Glob::new(part).ok().and_then(|glob| glob.literal())
        } else {
            Some((*part).to_owned())
        };
        let Some(literal) = literal else { break };
        known.push(literal);
        parts.next();
    }
    let base = resolve(&lexical(&known)).to_string_lossy().into_owned();
    let mut out = quote(&base);
    for part in parts {
        if !out.ends_with('/') {
            out.push('/');
        }
        out.push_str(part);
    }
    out
}

/// The directories above what a pattern means, as patterns.
fn above(pattern: &str) -> Vec<Glob> {
    pattern
        .char_indices()
        .filter(|(place, c)| *c == '/' && *place > 0)
        .filter_map(|(place, _)| Glob::new(pattern.get(..place)?).ok())
        .collect()
}

/// `DIR/**` is the directory as well as all in it.
fn globs(pattern: &str) -> Vec<Glob> {
    let directory = pattern
        .strip_suffix("/**")
        .filter(|directory| !directory.is_empty());
    std::iter::once(pattern)
        .chain(directory)
        .filter(|pattern| !pattern.is_empty())
        .filter_map(|pattern| Glob::new(pattern).ok())
        .collect()
}
