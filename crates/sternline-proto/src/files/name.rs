//! The names that copies get.

use std::collections::{HashMap, HashSet};

use crate::target::Target;

/// The last component of a path, which is the name that a copy of it gets: `b` for `a/b/`.
///
/// `None` where a path has no name of its own: `/`, `.`, `a/..`, and nothing at all, which on a server is the home
/// directory.
#[must_use]
pub fn base_name(path: &[u8]) -> Option<&[u8]> {
    let is_slash = |byte: &u8| *byte == b'/';
    let name = path.rsplit(is_slash).find(|component| !component.is_empty())?;
    (!matches!(name, b"." | b"..")).then_some(name)
}

/// Where a copy from one of several hosts goes, so that the copies do not overwrite one another.
///
/// What is made at the target has `.HOST` at the end of its name, with `host` from [`host_names`]:
///
/// | target | source | copy |
/// |---|---|---|
/// | `app.log` | file | `app.log.web-1` |
/// | `etc`, which does not exist | directory | `etc.web-1`, a directory |
/// | `logs/`, or a directory that exists | `/var/log/app.log` | `logs/app.log.web-1` |
/// | the same | `/etc`, a directory | `logs/etc.web-1`, a directory |
/// | the same | `.`, `/` or the home directory, which have no name | `logs/web-1`, a directory |
///
/// `into_directory` says that the target is a directory, or has to become one because it ends with a slash.
#[must_use]
pub fn host_target(target: &[u8], into_directory: bool, source: &[u8], host: &str) -> Vec<u8> {
    let mut path = target.to_owned();
    if into_directory {
        if !matches!(path.last(), None | Some(b'/')) {
            path.push(b'/');
        }
        match base_name(source) {
            Some(name) => path.extend_from_slice(name),
            None => return [path.as_slice(), host.as_bytes()].concat(),
        }
    }
    path.push(b'.');
    path.extend_from_slice(host.as_bytes());
    path
}

/// A name for each host that can stand in a file name on any system, different for each of them, in their order.
///
/// It is the host's name as given, without user and port. Where hosts differ only in those, they stand in it:
/// `bob@web_2222`. A host that is named again gets a number: `web`, `web-2`. Names that differ in case only count as
/// the same, because they are on some file systems. Characters that mean something in a path or to scp, such as the
/// colons of an IPv6 address, become `_`.
#[must_use]
pub fn host_names(hosts: &[Target]) -> Vec<String> {
    let plain: Vec<String> = hosts.iter().map(|target| file_safe(target.host())).collect();
    let mut count: HashMap<String, usize> = HashMap::new();
    for name in &plain {
        *count.entry(name.to_lowercase()).or_default() += 1;
    }
    let mut named: Vec<String> = hosts
        .iter()
        .zip(plain)
        .map(|(target, name)| {
            if count.get(&name.to_lowercase()) == Some(&1) {
                return name;
            }
            let user = target.user().map(|user| format!("{user}@")).unwrap_or_default();
            let port = target.port().map(|port| format!("_{port}")).unwrap_or_default();
            file_safe(&format!("{user}{}{port}", target.host()))
        })
        .collect();
    // The first of each name keeps it, and the numbers avoid all of those.
    let mut taken: HashSet<String> = named.iter().map(|name| name.to_lowercase()).collect();
    let mut seen = HashSet::new();
    for name in &mut named {
        if seen.insert(name.to_lowercase()) {
            continue;
        }
        let numbered = (2_u64..)
            .map(|number| format!("{name}-{number}"))
            .find(|numbered| taken.insert(numbered.to_lowercase()));
        if let Some(numbered) = numbered {
            *name = numbered;
        }
    }
    named
}

fn file_safe(text: &str) -> String {
    let is_harmless = |c: char| c.is_alphanumeric() || "-_.+@".contains(c);
    let mut name: String = text
        .chars()
        .map(|c| if is_harmless(c) { c } else { '_' })
        .collect();
    // Neither `..` nor a hidden file.
    if name.starts_with('.') {
        name.replace_range(..1, "_");
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::parse_targets;
    use proptest::prelude::*;

    #[test]
    fn the_name_of_a_copy_is_the_last_component() {
        for (path, name) in [
            ("a", Some("a")),
            ("/a/b", Some("b")),
            ("a/b//", Some("b")),
            ("~", Some("~")),
            ("/", None),
            ("", None),
            (".", None),
            ("./", None),
            ("a/.", None),
            ("a/..", None),
        ] {
            assert_eq!(base_name(path.as_bytes()), name.map(str::as_bytes), "{path}");
        }
    }

    #[test]
    fn a_copy_from_one_of_several_hosts_carries_its_name() {
        for (target, into_directory, source, path) in [
            ("app.log", false, "/var/log/app.log", "app.log.web-1"),
            ("/tmp/etc", false, "/etc", "/tmp/etc.web-1"),
            ("logs", true, "/var/log/app.log", "logs/app.log.web-1"),
            ("./logs/", true, "/var/log/app.log", "./logs/app.log.web-1"),
            ("logs/", true, "/etc/", "logs/etc.web-1"),
            ("logs", true, "/", "logs/web-1"),
            ("logs", true, "", "logs/web-1"),
            ("logs", true, "dir/.", "logs/web-1"),
            ("/", true, "a", "/a.web-1"),
            ("", true, "a", "a.web-1"),
            (".", true, "a", "./a.web-1"),
        ] {
            let found = host_target(target.as_bytes(), into_directory, source.as_bytes(), "web-1");
            assert_eq!(String::from_utf8(found).unwrap(), path, "{target} {source}");
        }
    }

    #[test]
    fn hosts_get_names_that_differ() {
        for (hosts, names) in [
            ("web-[1-3]", "web-1 web-2 web-3"),
            ("bob@web:2222,db", "web db"),
            ("web:22,web:2222", "web_22 web_2222"),
            ("web,bob@web,bob@web:2222", "web bob@web bob@web_2222"),
            ("CORP\\al@web,web", "CORP_al@web web"),
            ("[fe80::1%eth0]:22,::1", "fe80__1_eth0 __1"),
            ("Web,web", "Web web-2"),
            ("Web,web,web-2", "Web web-3 web-2"),
            ("web:1,web_1,web", "web_1 web_1-2 web"),
            ("bücher.example", "bücher.example"),
            ("..,.,a", "_. _ a"),
        ] {
            let list = parse_targets(hosts).unwrap();
            assert_eq!(host_names(&list.targets).join(" "), names, "{hosts}");
        }
        let twice = vec![Target::new("web").unwrap(); 3];
        assert_eq!(host_names(&twice), ["web", "web-2", "web-3"]);
    }

    proptest! {
        #[test]
        fn no_host_gets_an_unsafe_name_or_that_of_another(
            hosts in proptest::collection::vec(
                prop_oneof!["[aAb](-[23])?", "[ab]@[ab]:[12]", "[a1]::1", any::<String>()], 1..12,
            ),
        ) {
            let hosts: Vec<Target> = hosts.iter().filter_map(|text| text.parse().ok()).collect();
            let names = host_names(&hosts);
            prop_assert_eq!(names.len(), hosts.len());
            let different: HashSet<String> = names.iter().map(|name| name.to_lowercase()).collect();
            prop_assert_eq!(different.len(), names.len());
            for name in &names {
                let file = host_target(b"f", false, b"", name);
                prop_assert!(!file.contains(&b'/') && !file.contains(&0) && !name.starts_with('.'));
            }
        }
    }
}
