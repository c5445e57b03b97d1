//! The inputs of earlier times.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use sternline::config::Env;
use sternline::proto::redact::redact_string;

use crate::history::folder;

/// The most inputs that are kept.
pub(super) const ENTRIES: usize = 10_000;

/// The file, in the directory of the history of runs; `None` where none is wanted.
pub(super) fn file(env: &Env) -> Option<PathBuf> {
    Some(folder(env)?.join("repl"))
}

/// Makes its directory, for its owner only.
pub(super) fn prepare(file: &Path) -> std::io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Whether an input may be kept: nothing in it looks like a secret, and it does not begin with a blank, by which people say that they
/// do not want it kept.
pub(super) fn may_keep(input: &str) -> bool {
    !input.starts_with([' ', '\t']) && redact_string(input) == input
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_and_what_begins_with_a_blank_are_not_kept() {
        for input in ["x = 1", "ssh.config(hosts=['a'])", "def f():\n    return 1\n"] {
            assert!(may_keep(input), "{input}");
        }
        for input in [
            " x = 1",
            "ssh.config(hosts=['a'], password='hunter2secret')",
            "token = 'abcdefgh'",
        ] {
            assert!(!may_keep(input), "{input}");
        }
    }
}
