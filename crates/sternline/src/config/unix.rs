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
