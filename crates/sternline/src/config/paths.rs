//! Where SSH keeps its files, and paths as people write them.

use std::path::{Path, PathBuf};

use sternline_proto::text::escape;
use thiserror::Error;

use super::{Env, platform};

/// The private keys that are looked for in the SSH directory, in the order in which they are offered: the smallest
/// and fastest signatures first. Security keys (`id_ed25519_sk`) sign only through the agent and are not among them.
const DEFAULT_KEYS: [&str; 3] = ["id_ed25519", "id_ecdsa", "id_rsa"];

/// What is wrong with a path.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PathProblem {
    /// The path is empty or blank.
    #[error("the path is empty")]
    Empty,
    /// The path starts with `~`, and no home directory is known.
    #[error("{0} cannot be resolved: the home directory is not known, set HOME")]
    NoHome(String),
    /// The path starts with `~user`, which is not supported.
    #[error("{0} cannot be resolved: write the home directory of another user in full")]
    OtherUser(String),
    /// The path names an environment variable that is not set.
    #[error("{path} cannot be resolved: the environment variable {name} is not set")]
    UnsetVariable {
        /// The path as it was given.
        path: String,
        /// The variable.
        name: String,
    },
    /// Nothing is there.
    #[error("{description} does not exist: {path}")]
    Missing {
        /// What the path was meant to be, such as `key file`.
        description: String,
        /// The path.
        path: String,
    },
    /// Something is there that may not be read.
    #[error("{description} is not readable: {path}")]
    Unreadable {
        /// What the path was meant to be.
        description: String,
        /// The path.
        path: String,
    },
    /// The path is longer than the platform takes.
    #[error("{description} exceeds Windows MAX_PATH (260 characters): {path}")]
    TooLong {
        /// What the path was meant to be.
        description: String,
        /// The path.
        path: String,
    },
}

/// Whether this is Windows.
#[must_use]
pub fn is_windows() -> bool {
    cfg!(windows)
}

/// The user's SSH directory, `~/.ssh`; `None` when no home directory is known.
#[must_use]
pub fn ssh_dir(env: &Env) -> Option<PathBuf> {
    env.home.as_ref().map(|home| home.join(".ssh"))
}

/// The user's `known_hosts` file, where new host keys are recorded.
#[must_use]
pub fn known_hosts_path(env: &Env) -> Option<PathBuf> {
    ssh_dir(env).map(|dir| dir.join("known_hosts"))
}

/// The system's `ssh_known_hosts` file, which is only read.
#[must_use]
pub fn system_known_hosts_path(env: &Env) -> PathBuf {
    platform::system_ssh_dir(env).join("ssh_known_hosts")
}

/// Resolves a leading `~` and the environment variables `$NAME` and `${NAME}`, on Windows also `%NAME%`. A `$` that
/// starts no name stays. A path that is not Unicode is taken as it is.
///
/// # Errors
/// When the path is blank, names a variable that is not set, or starts with `~user`.
pub fn expand_path(env: &Env, path: impl AsRef<Path>) -> Result<PathBuf, PathProblem> {
    let path = path.as_ref();
    let Some(text) = path.to_str() else {
        return Ok(path.to_owned());
    };
    if text.trim().is_empty() {
        return Err(PathProblem::Empty);
    }
    let unset = |name: String| PathProblem::UnsetVariable {
        path: escape(text),
        name: escape(&name),
    };
    let (home, rest) = match text.strip_prefix('~') {
        None => (None, text),
        Some(rest) if rest.is_empty() || rest.starts_with(std::path::is_separator) => {
            let home = env
                .home
                .clone()
                .ok_or_else(|| PathProblem::NoHome(escape(text)))?;
            (Some(home), rest.trim_start_matches(std::path::is_separator))
        }
        Some(_) => return Err(PathProblem::OtherUser(escape(text))),
    };
    let rest = platform::expand_percent(env, rest).map_err(unset)?;
    let rest = expand_dollar(env, &rest).map_err(unset)?;
    Ok(match home {
        Some(home) if rest.is_empty() => home,
        Some(home) => home.join(rest),
        None => PathBuf::from(rest),
    })
}

/// Replaces `$NAME` and `${NAME}`; the name of a variable that is not set is the error.
fn expand_dollar(env: &Env, text: &str) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let (name, behind) = match after.strip_prefix('{').and_then(|braced| braced.split_once('}')) {
            Some((name, behind)) => (name, behind),
            None => after.split_at(after.find(|c| !is_name_char(c)).unwrap_or(after.len())),
        };
        let is_name = !name.is_empty()
            && name.chars().all(is_name_char)
            && !name.starts_with(|c: char| c.is_ascii_digit());
        if is_name {
            out.push_str(env.vars.get(name).ok_or_else(|| name.to_owned())?);
            rest = behind;
        } else {
            out.push('$');
            rest = after;
        }
    }
    out.push_str(rest);
    Ok(out)
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Checks that something readable is at the path. `description` says what it was meant to be, such as `key file`.
///
/// # Errors
/// What is wrong, in words that fit into a message.
pub fn validate_path(path: &Path, description: &str) -> Result<(), PathProblem> {
    let description = description.to_owned();
    let shown = escape(&path.display().to_string());
    if platform::is_too_long(path) {
        return Err(PathProblem::TooLong {
            description,
            path: shown,
        });
    }
    if !path.exists() {
        return Err(PathProblem::Missing {
            description,
            path: shown,
        });
    }
    if !platform::is_readable(path) {
        return Err(PathProblem::Unreadable {
            description,
            path: shown,
        });
    }
    Ok(())
}

/// The private keys that are used when none is configured, whether they exist or not: `id_ed25519`, `id_ecdsa`,
/// `id_rsa` in the SSH directory, in this order.
#[must_use]
pub fn default_key_paths(env: &Env) -> Vec<PathBuf> {
    ssh_dir(env)
        .map(|dir| DEFAULT_KEYS.iter().map(|name| dir.join(name)).collect())
        .unwrap_or_default()
}

/// Those of [`default_key_paths`] that are files and can be read.
#[must_use]
pub fn discover_keys(env: &Env) -> Vec<PathBuf> {
    default_key_paths(env)
        .into_iter()
        .filter(|path| path.is_file() && validate_path(path, "key file").is_ok())
        .collect()
}

/// Whether an SSH agent is configured and something is at the path where it should listen. Whether it answers is
/// only known once it is asked.
#[must_use]
pub fn agent_available(env: &Env) -> bool {
    env.agent_socket.as_ref().is_some_and(|socket| socket.exists())
}

/// The file's permissions as chmod(1) counts them; `None` where the system has others.
pub(crate) fn permission_bits(metadata: &std::fs::Metadata) -> Option<u32> {
    platform::permission_bits(metadata)
}

/// Whether the file is ours and other users have any access to it. As in `ssh`, the mode of somebody else's file,
/// such as a key that root placed there, is that owner's affair.
pub(crate) fn others_may_read(metadata: &std::fs::Metadata) -> bool {
    platform::others_may_read(metadata)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn env() -> Env {
        let mut env = Env {
            home: Some("/home/ann".into()),
            ..Env::default()
        };
        env.vars.insert("KEYS".into(), "/keys".into());
        env.vars.insert("N_1".into(), "one".into());
        env
    }

    #[test]
    fn a_leading_tilde_and_variables_are_resolved() {
        for (path, expanded) in [
            ("~", "/home/ann"),
            ("~/x", "/home/ann/x"),
            ("~//x", "/home/ann/x"),
            ("/a/~/b", "/a/~/b"),
            ("relative", "relative"),
            ("$KEYS/id", "/keys/id"),
            ("${KEYS}id", "/keysid"),
            ("~/$N_1-${N_1}", "/home/ann/one-one"),
            ("a$", "a$"),
            ("a$-b", "a$-b"),
            ("$1", "$1"),
            ("${bad name}", "${bad name}"),
            ("${open", "${open"),
        ] {
            assert_eq!(expand_path(&env(), path), Ok(PathBuf::from(expanded)), "{path}");
        }
    }

    #[test]
    fn a_path_that_cannot_be_resolved_says_why() {
        let homeless = Env::default();
        for (env, path, reason) in [
            (&env(), "", "the path is empty"),
            (&env(), " \t", "the path is empty"),
            (
                &env(),
                "~bob/x",
                "write the home directory of another user in full",
            ),
            (&env(), "$NOPE/x", "the environment variable NOPE is not set"),
            (&env(), "${NOPE}\x1b", "${NOPE}\\x1b cannot be resolved"),
            (&homeless, "~/x", "set HOME"),
        ] {
            let problem = expand_path(env, path).unwrap_err().to_string();
            assert!(problem.contains(reason), "{path}: {problem}");
        }
    }

    #[test]
    fn the_files_of_ssh_stand_in_its_directory() {
        let env = env();
        assert_eq!(ssh_dir(&env), Some("/home/ann/.ssh".into()));
        assert_eq!(known_hosts_path(&env), Some("/home/ann/.ssh/known_hosts".into()));
        assert_eq!(ssh_dir(&Env::default()), None);
        assert!(default_key_paths(&Env::default()).is_empty());
        assert!(system_known_hosts_path(&env).ends_with("ssh/ssh_known_hosts"));
        let names: Vec<_> = default_key_paths(&env)
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        assert_eq!(
            names,
            [
                "/home/ann/.ssh/id_ed25519",
                "/home/ann/.ssh/id_ecdsa",
                "/home/ann/.ssh/id_rsa"
            ]
        );
        assert_eq!(is_windows(), std::path::MAIN_SEPARATOR == '\\');
    }

    #[test]
    fn only_keys_that_are_files_are_discovered() {
        let home = tempfile::tempdir().unwrap();
        let env = Env {
            home: Some(home.path().into()),
            ..Env::default()
        };
        std::fs::create_dir_all(home.path().join(".ssh/id_ed25519")).unwrap();
        std::fs::write(home.path().join(".ssh/id_rsa"), "").unwrap();
        std::fs::write(home.path().join(".ssh/id_rsa.pub"), "").unwrap();
        assert_eq!(discover_keys(&env), [home.path().join(".ssh/id_rsa")]);
    }

    #[test]
    fn validation_tells_missing_from_present() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(validate_path(dir.path(), "directory"), Ok(()));
        let problem = validate_path(&dir.path().join("no\nthing"), "key file")
            .unwrap_err()
            .to_string();
        assert!(problem.starts_with("key file does not exist: "), "{problem}");
        assert!(problem.ends_with("/no\\nthing"), "{problem}");
    }

    #[test]
    fn an_agent_is_available_when_its_socket_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let mut env = Env::default();
        assert!(!agent_available(&env));
        env.agent_socket = Some(dir.path().join("agent"));
        assert!(!agent_available(&env));
        std::fs::write(dir.path().join("agent"), "").unwrap();
        assert!(agent_available(&env));
    }

    proptest! {
        #[test]
        fn paths_without_special_characters_stay_as_they_are(path in "[A-Za-z0-9_./ -]*[A-Za-z0-9_/]") {
            prop_assert_eq!(expand_path(&env(), &path), Ok(PathBuf::from(&path)));
        }

        #[test]
        fn any_text_is_expanded_or_refused_without_a_panic(path in any::<String>()) {
            let _ = expand_path(&env(), &path);
        }
    }
}
