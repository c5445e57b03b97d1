//! Unix: the user database and the standard paths.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rustix::fs::Access;

use super::Env;
use super::env::Account;

/// The variables that name the home directory, in the order in which they are asked.
pub(super) const HOME_VARIABLES: &[&str] = &["HOME"];

/// Who runs this process: the entry of its user id in `/etc/passwd`, as `ssh` does; where users are kept elsewhere,
/// `LOGNAME` or `USER`.
pub(super) fn account(vars: &BTreeMap<String, String>) -> Account {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let listed = account_in(&passwd, rustix::process::getuid().as_raw());
    let named = ["LOGNAME", "USER"]
        .iter()
        .find_map(|name| vars.get(*name))
        .filter(|name| !name.is_empty());
    Account {
        user: listed.user.or_else(|| named.cloned()),
        home: listed.home,
    }
}

/// The account of a user id in the text of a passwd file (passwd(5)).
fn account_in(passwd: &str, uid: u32) -> Account {
    passwd
        .lines()
        .find_map(|line| {
            let mut fields = line.split(':');
            let user = fields.next()?;
            let id: u32 = fields.nth(1)?.parse().ok()?;
            let home = fields.nth(2)?;
            (id == uid).then(|| Account {
                user: Some(user.to_owned()),
                home: Some(PathBuf::from(home)),
            })
        })
        .unwrap_or_default()
}

/// Who else could have written a file of configuration, if anybody. As for ssh: it belongs to us or root, and nobody else
/// may write to it; and as for Debian's ssh, a group does no harm whose only member is the file's owner.
pub(super) fn others_may_write(metadata: &std::fs::Metadata) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let (owner, mode) = (metadata.uid(), metadata.mode());
    let shown = mode & 0o777;
    if owner != 0 && owner != rustix::process::getuid().as_raw() {
        return Some(format!("it belongs to the user {owner}"));
    }
    if mode & 0o002 != 0 {
        return Some(format!("anybody may write to it (mode {shown:o})"));
    }
    if mode & 0o020 == 0 {
        return None;
    }
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let group = metadata.gid();
    match is_alone(&read("/etc/passwd"), &read("/etc/group"), owner, group) {
        true => None,
        false => Some(format!("the group {group} may write to it (mode {shown:o})")),
    }
}

/// Whether the texts of passwd(5) and group(5) know of one member of the group, which is that user.
fn is_alone(passwd: &str, groups: &str, user: u32, group: u32) -> bool {
    let mut members = Vec::new();
    for line in passwd.lines() {
        let fields: Vec<&str> = line.split(':').collect();
        if let [name, _, uid, gid, ..] = fields.as_slice() {
            let (uid, gid) = (uid.parse::<u32>(), gid.parse::<u32>());
            if gid == Ok(group) {
                members.push((Some(*name), uid == Ok(user)));
            }
        }
    }
    let owner = members
        .iter()
        .find(|(_, is_owner)| *is_owner)
        .and_then(|(name, _)| *name);
    for line in groups.lines() {
        let fields: Vec<&str> = line.split(':').collect();
        if let [_, _, gid, names] = fields.as_slice()
            && gid.parse() == Ok(group)
        {
            let others = names.split(',').filter(|name| !name.is_empty());
            members.extend(others.map(|name| (Some(name), Some(name) == owner)));
        }
    }
    owner.is_some() && members.iter().all(|(_, is_owner)| *is_owner)
}

/// There is no standard place for an agent: only the variable tells.
pub(super) fn default_agent_socket() -> Option<PathBuf> {
    None
}

/// `/var/tmp` survives a restart, so it is on a disk.
pub(super) fn disk_temp_dir() -> Option<PathBuf> {
    let path = PathBuf::from("/var/tmp");
    path.is_dir().then_some(path)
}

pub(super) fn system_ssh_dir(_: &Env) -> PathBuf {
    PathBuf::from("/etc/ssh")
}

/// Asks the system instead of opening the file, which would wait on a pipe.
pub(super) fn is_readable(path: &Path) -> bool {
    rustix::fs::access(path, Access::READ_OK).is_ok()
}

pub(super) fn others_may_read(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    metadata.uid() == rustix::process::getuid().as_raw() && metadata.mode() & 0o077 != 0
}

/// Whether the file is a program, as far as its mode tells.
pub(super) fn may_be_executed(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    metadata.mode() & 0o111 != 0
}

pub(super) fn is_too_long(_: &Path) -> bool {
    false
}

/// `%NAME%` means nothing here.
pub(super) fn expand_percent(_: &Env, text: &str) -> Result<String, String> {
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_its_user_id() {
        let passwd = "# comment\nroot:x:0:0:root:/root:/bin/sh\nbroken\nann:x:1000:1000::/home/ann:/bin/sh\n";
        let account = account_in(passwd, 1000);
        assert_eq!(account.user.as_deref(), Some("ann"));
        assert_eq!(account.home.as_deref(), Some(Path::new("/home/ann")));
        assert!(account_in(passwd, 7).user.is_none());
    }
}
