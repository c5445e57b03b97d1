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

/// The number of the user of this process.
pub(super) fn user_id() -> Option<u32> {
    Some(rustix::process::getuid().as_raw())
}

/// The name of this machine as the system has it.
pub(super) fn local_host(_: &BTreeMap<String, String>) -> Option<String> {
    let name = rustix::system::uname();
    Some(name.nodename().to_str().ok()?.to_owned())
}

/// Who else could have written a file of configuration, if anybody. As for ssh: it belongs to us or root, and nobody else
/// may write to it; and as for Debian's ssh, a group does no harm whose only member is the user.
pub(super) fn others_may_write(metadata: &std::fs::Metadata) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let (owner, mode) = (metadata.uid(), metadata.mode());
    let shown = mode & 0o777;
    let us = rustix::process::getuid().as_raw();
    if owner != 0 && owner != us {
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
    match is_alone(&read("/etc/passwd"), &read("/etc/group"), us, group) {
        true => None,
        false => Some(format!("the group {group} may write to it (mode {shown:o})")),
    }
}

/// Whether the texts of passwd(5) and group(5) know of one member of the group, which is that user.
fn is_alone(passwd: &str, groups: &str, user: u32, group: u32) -> bool {
    // The name of the user, and of everybody whose first group it is.
    let mut name = None;
    let mut members = Vec::new();
    for line in passwd.lines() {
        let fields: Vec<&str> = line.split(':').collect();
        if let [account, _, uid, gid, ..] = fields.as_slice() {
            if uid.parse() == Ok(user) {
                name = name.or(Some(*account));
            }
            if gid.parse() == Ok(group) {
                members.push(*account);
            }
        }
    }
    for line in groups.lines() {
        let fields: Vec<&str> = line.split(':').collect();
        if let [_, _, gid, names] = fields.as_slice()
            && gid.parse() == Ok(group)
        {
            members.extend(names.split(',').filter(|name| !name.is_empty()));
        }
    }
    !members.is_empty() && members.iter().all(|member| Some(*member) == name)
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

/// The file's permissions (chmod(1)); `None` where there are none.
pub(super) fn permission_bits(metadata: &std::fs::Metadata) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    Some(metadata.permissions().mode() & 0o7777)
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
    fn a_group_is_harmless_only_when_the_user_is_its_only_member() {
        let passwd = "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\nbob:x:1001:1001::/home/bob:/bin/sh\n\
                      eve:x:1002:1001::/home/eve:/bin/sh\n";
        let groups = "ann:x:1000:\nbob:x:1001:\nteam:x:2000:ann,bob\n";
        assert!(is_alone(passwd, groups, 1000, 1000));
        assert!(is_alone(passwd, "ann:x:1000:ann\n", 1000, 1000));
        assert!(!is_alone(passwd, "ann:x:1000:bob\n", 1000, 1000));
        assert!(!is_alone(passwd, groups, 1001, 1001), "eve has the same group");
        assert!(!is_alone(passwd, groups, 1000, 2000));
        assert!(!is_alone(passwd, groups, 1000, 1001));
        assert!(!is_alone("", "", 1000, 1000), "nothing is known of it");
    }

    #[test]
    fn an_account_is_found_by_its_user_id() {
        let passwd = "# comment\nroot:x:0:0:root:/root:/bin/sh\nbroken\nann:x:1000:1000::/home/ann:/bin/sh\n";
        let account = account_in(passwd, 1000);
        assert_eq!(account.user.as_deref(), Some("ann"));
        assert_eq!(account.home.as_deref(), Some(Path::new("/home/ann")));
        assert!(account_in(passwd, 7).user.is_none());
    }
}
