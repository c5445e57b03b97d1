//! Windows: the standard paths, and `%NAME%` in paths.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Env;
use super::env::Account;

/// The variables that name the home directory, in the order in which they are asked.
pub(super) const HOME_VARIABLES: &[&str] = &["USERPROFILE", "HOME"];

pub(super) fn account(vars: &BTreeMap<String, String>) -> Account {
    Account {
        user: vars.get("USERNAME").cloned(),
        home: None,
    }
}

/// There are no numbers of users.
pub(super) fn user_id() -> Option<u32> {
    None
}

pub(super) fn local_host(vars: &BTreeMap<String, String>) -> Option<String> {
    vars.get("COMPUTERNAME").cloned()
}

/// Access control lists are not looked at; a profile directory is closed to other users by default.
pub(super) fn others_may_write(_: &std::fs::Metadata) -> Option<String> {
    None
}

/// The pipe of the OpenSSH agent that comes with Windows, if it runs.
pub(super) fn default_agent_socket() -> Option<PathBuf> {
    let pipe = PathBuf::from(r"\\.\pipe\openssh-ssh-agent");
    pipe.exists().then_some(pipe)
}

/// The directory for temporary files is on a disk anyway.
pub(super) fn disk_temp_dir() -> Option<PathBuf> {
    None
}

pub(super) fn system_ssh_dir(env: &Env) -> PathBuf {
    PathBuf::from(
        env.vars
            .get("ProgramData")
            .map_or(r"C:\ProgramData", String::as_str),
    )
    .join("ssh")
}

pub(super) fn is_readable(path: &Path) -> bool {
    if path.is_dir() {
        path.read_dir().is_ok()
    } else {
        std::fs::File::open(path).is_ok()
    }
}

/// Access control lists are not looked at; a profile directory is closed to other users by default.
pub(super) fn others_may_read(_: &std::fs::Metadata) -> bool {
    false
}

/// Access control lists are not looked at; a profile directory is closed to other users by default.
pub(super) fn others_may_write(_: &std::fs::Metadata) -> Option<String> {
    None
}

pub(super) fn permission_bits(_: &std::fs::Metadata) -> Option<u32> {
    None
}

/// What is a program is told by its extension, and no inventory has such a one.
pub(super) fn may_be_executed(_: &std::fs::Metadata) -> bool {
    false
}

/// Paths of MAX_PATH characters and more need a special form that many programs do not understand.
pub(super) fn is_too_long(path: &Path) -> bool {
    path.as_os_str().len() >= 260
}

/// Replaces `%NAME%` by the variable; the name of one that is not set is the error.
pub(super) fn expand_percent(env: &Env, text: &str) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        match after.split_once('%') {
            Some((name, behind)) if !name.is_empty() => {
                out.push_str(env.vars.get(name).ok_or_else(|| name.to_owned())?);
                rest = behind;
            }
            _ => {
                out.push('%');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    Ok(out)
}
