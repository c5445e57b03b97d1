//! The names of users and groups on this machine, by what its files say.

use std::path::Path;

/// The name of a user, or its number where the machine's file has none for it.
pub(crate) fn user_name(uid: u32) -> String {
    name(Path::new("/etc/passwd"), uid)
}

/// The name of a group, or its number where the machine's file has none for it.
pub(crate) fn group_name(gid: u32) -> String {
    name(Path::new("/etc/group"), gid)
}

fn name(file: &Path, id: u32) -> String {
    std::fs::read(file)
        .ok()
        .and_then(|content| find(&String::from_utf8_lossy(&content), id))
        .unwrap_or_else(|| id.to_string())
}

/// Lines are `NAME:PASSWORD:NUMBER:...` in both files.
fn find(content: &str, id: u32) -> Option<String> {
    content.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let number: u32 = fields.nth(1)?.parse().ok()?;
        (number == id).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_by_its_number() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\n# note\nme:x:1000:1000::/home/me:/bin/sh\nbad:x:y\n";
        assert_eq!(find(passwd, 1000).as_deref(), Some("me"));
        assert_eq!(find(passwd, 7), None);
    }
}
