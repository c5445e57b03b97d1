//! What a script may do: rules that allow and deny hosts, commands, local files and processes.
//!
//! A rule is `module.category`, or `module.category(resource)`, or `module.category(functions:resource)`:
//!
//! | category | resource |
//! |---|---|
//! | `ssh.connect` | `HOST` or `HOST:COMMAND` |
//! | `ssh.transfer` | `HOST`, `HOST:REMOTE` or `HOST:SRC->DST` |
//! | `ssh.forward` | `HOST` or `HOST:WHERE` |
//! | `fs.read`, `fs.write`, `fs.delete` | a path; relative ones begin where the script does, and `~`, `$HOME` and `$CWD` are known |
//! | `os.process` | a command |
//! | `os.env` | the name of a variable |
//!
//! `*` is any text without a slash, `**` any text at all. A rule that denies counts before one that allows, and both before the
//! default. Paths are compared after `..` and all links in them have been followed. In a rule that allows commands, `*` also stops
//! at `;`, `|` and the like; in one that denies them, at nothing.

mod category;
mod guard;
mod inline;
mod operation;
mod permit;
mod profile;
mod resolve;
mod rule;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use sternline::proto::text::escape;

pub(crate) use guard::Guard;
pub use guard::Roots;
pub(crate) use operation::Access;
pub use operation::{Denied, Operation};
pub(crate) use resolve::{lexical, resolve, resolve_parent};
use rule::{Effect, Rule, RuleError};

/// The sets of rules that need no file.
const BUILT_IN: [&str; 3] = ["allow-all", "strict", "deny-all"];

/// The rules for a script, as they were written. The default is to allow everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permissions {
    allow: Vec<Rule>,
    deny: Vec<Rule>,
    by_default: bool,
}

impl Default for Permissions {
    fn default() -> Self {
        Self::allow_all()
    }
}

/// Why no rules could be made of a text.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PermissionsError {
    /// A rule is none.
    #[error("permissions: the rule `{}`: {problem}", escape(.rule))]
    #[non_exhaustive]
    Rule {
        /// The rule.
        rule: String,
        /// What is wrong with it, and what may stand there.
        problem: String,
    },
    /// The text as a whole is none.
    #[error("permissions: {0}")]
    #[non_exhaustive]
    Syntax(String),
    /// Nothing has this name.
    #[error(
        "permissions: unknown profile \"{}\" (built-ins: {}; {})",
        escape(.name),
        BUILT_IN.join(", "),
        escape(.searched)
    )]
    #[non_exhaustive]
    UnknownProfile {
        /// The name.
        name: String,
        /// Where it was looked for, and what there is.
        searched: String,
    },
    /// A file is not readable, or none of profiles.
    #[error("permissions: {}: {}", escape(.file), escape(.reason))]
    #[non_exhaustive]
    File {
        /// The file, as it was named.
        file: String,
        /// What is wrong.
        reason: String,
    },
}

impl Permissions {
    /// Everything.
    #[must_use]
    pub fn allow_all() -> Self {
        Self {
            allow: Vec::new(),
            deny: Vec::new(),
            by_default: true,
        }
    }

    /// Nothing.
    #[must_use]
    pub fn deny_all() -> Self {
        Self {
            by_default: false,
            ..Self::allow_all()
        }
    }

    /// Files in the directory that the script begins in, and nothing else.
    fn strict() -> Result<Self, PermissionsError> {
        Self::inline("allow:fs.read($CWD/**),fs.write($CWD/**),fs.delete($CWD/**)")
    }

    /// Rules as `--permissions` takes them: `allow:RULE,RULE;deny:RULE`. The default is to deny, unless `default:allow` says
    /// otherwise.
    ///
    /// # Errors
    /// The text is none such, with what is wrong.
    pub fn inline(text: &str) -> Result<Self, PermissionsError> {
        inline::parse(text)
    }

    /// What is meant by the value of `--permissions` or of a script's first comment: the name of a built-in set, rules, a file of
    /// profiles with `#NAME` if there are several, or the name of a profile in one of the user's own files.
    ///
    /// # Errors
    /// It is none of these, or the file is not readable.
    pub fn find(value: &str, roots: &Roots, user_files: &[PathBuf]) -> Result<Self, PermissionsError> {
        let value = value.trim();
        match value {
            "allow-all" => return Ok(Self::allow_all()),
            "strict" => return Self::strict(),
            "deny-all" => return Ok(Self::deny_all()),
            _ => {}
        }
        if inline::looks_like(value) {
            return Self::inline(value);
        }
        let (file, profile) = match value.rsplit_once('#') {
            Some((file, profile)) => (file, Some(profile)),
            None => (value, None),
        };
        let ends = [".yaml", ".yml", ".toml"];
        if profile.is_some() || file.contains('/') || ends.iter().any(|end| file.ends_with(end)) {
            return profile::from_file(file, profile, roots);
        }
        profile::from_user_files(value, user_files)
    }

    /// The value of the comment `# permissions: VALUE` at the begin of a script: in its first 32 lines, and before its first
    /// statement.
    #[must_use]
    pub fn of_script(text: &str) -> Option<&str> {
        text.lines()
            .take(32)
            .map(str::trim)
            .take_while(|line| line.is_empty() || line.starts_with('#'))
            .find_map(|line| {
                // A slip of the shift key must not leave everything open.
                let (name, value) = line.trim_start_matches('#').split_once(':')?;
                name.trim().eq_ignore_ascii_case("permissions").then_some(value)
            })
            .map(str::trim)
            .filter(|value| !value.is_empty())
    }

    /// Where the user's own profiles are, by the environment: of Sternline, and as other tools for such scripts keep them.
    #[must_use]
    pub fn user_files(env: &sternline::config::Env) -> Vec<PathBuf> {
        let home = env.home.as_deref();
        let config = env
            .vars
            .get("XDG_CONFIG_HOME")
            .filter(|path| path.starts_with('/'))
            .map(PathBuf::from)
            .or_else(|| home.map(|home| home.join(".config")));
        let own = config.map(|config| config.join("sternline"));
        let mut files = Vec::new();
        if let Some(own) = own {
            files.push(own.join("permissions.toml"));
            files.push(own.join("permissions.yaml"));
        }
        files.extend(home.map(|home| home.join(".starkite/security.yaml")));
        files
    }

    /// The rules where a script runs.
    pub(crate) fn at(&self, roots: &Roots) -> Guard {
        Guard::new(&self.allow, &self.deny, self.by_default, roots)
    }

    fn add(&mut self, effect: Effect, text: &str) -> Result<(), PermissionsError> {
        let rules = Rule::parse(text).map_err(|problem: RuleError| PermissionsError::Rule {
            rule: text.trim().to_owned(),
            problem: problem.to_string(),
        })?;
        match effect {
            Effect::Allow => self.allow.extend(rules),
            Effect::Deny => self.deny.extend(rules),
        }
        Ok(())
    }
}
