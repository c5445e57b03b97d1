//! Names that come from elsewhere, and what they become here.

use std::collections::{HashMap, HashSet};

use thiserror::Error;

use crate::target::Target;
use crate::text::escape_bytes;

/// Whose rules a name has to obey: those of the machine where the file is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// Any bytes but `/` and NUL.
    Posix,
    /// Windows' rules: `\` separates as well, `:` leads to a drive or another stream of the file, some names are
    /// devices, and dots and spaces at the end are dropped.
    Windows,
}

impl Naming {
    /// The rules of the machine that this runs on.
    pub const HERE: Self = if cfg!(windows) { Self::Windows } else { Self::Posix };
}

/// A name that must not be used, because it would lead out of the directory that it is in, or to no file.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the name {} {problem}", escape_bytes(.name))]
pub struct UnsafeName {
    /// The name or path as given.
    pub name: Vec<u8>,
    /// What is wrong with it.
    pub problem: UnsafeProblem,
}

/// What is wrong with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum UnsafeProblem {
    /// Nothing.
    #[error("is empty")]
    Empty,
    /// `.` or `..`, or on Windows something that becomes one of them.
    #[error("stands for a directory above it, or for the directory itself")]
    Dots,
    /// It holds a separator.
    #[error("holds a separator of directories, so it is no name of one file")]
    Separator,
    /// It holds a NUL byte.
    #[error("holds a NUL byte, which no file system takes")]
    Nul,
    /// A path that begins at the root.
    #[error("begins at the root of the file system")]
    Absolute,
    /// Windows reads something else than a name there.
    #[error("means something else than a file to Windows")]
    Windows,
}

/// Checks that a name from a server or a stream is one entry of a directory and nothing else.
///
/// # Errors
/// [`UnsafeName`] if it is empty, `.` or `..`, or holds a slash or a NUL byte, and for what Windows would read as
/// something else, where its rules apply.
pub fn safe_name(name: &[u8], naming: Naming) -> Result<(), UnsafeName> {
    check(name, naming).map_err(|problem| UnsafeName {
        name: name.to_owned(),
        problem,
    })
}

fn check(name: &[u8], naming: Naming) -> Result<(), UnsafeProblem> {
    match name {
        b"" => return Err(UnsafeProblem::Empty),
        b"." | b".." => return Err(UnsafeProblem::Dots),
        _ => {}
    }
    if name.contains(&b'/') {
        return Err(UnsafeProblem::Separator);
    }
    if name.contains(&0) {
        return Err(UnsafeProblem::Nul);
    }
    match naming {
        Naming::Posix => Ok(()),
        Naming::Windows => check_windows(name),
    }
}

fn check_windows(name: &[u8]) -> Result<(), UnsafeProblem> {
    const DEVICES: &[&str] = &["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$"];
    const NUMBERED: &[&str] = &["COM", "LPT"];
    if name.contains(&b'\\') {
        return Err(UnsafeProblem::Separator);
    }
    let Ok(text) = str::from_utf8(name) else {
        return Err(UnsafeProblem::Windows);
    };
    let is_forbidden = |c: char| "<>:\"|?*".contains(c) || c < ' ';
    if text.ends_with(['.', ' ']) || text.contains(is_forbidden) {
        return Err(UnsafeProblem::Windows);
    }
    // An extension does not make another file of a device, and neither do spaces in front of it.
    let stem = text
        .split('.')
        .next()
        .unwrap_or_default()
        .trim_end()
        .to_uppercase();
    let is_numbered = NUMBERED.iter().any(|device| {
        let number = stem
            .strip_prefix(device)
            .map(|rest| rest.chars().collect::<Vec<_>>());
        matches!(number.as_deref(), Some(['0'..='9' | '¹' | '²' | '³']))
    });
    if DEVICES.contains(&stem.as_str()) || is_numbered {
        return Err(UnsafeProblem::Windows);
    }
    Ok(())
}

/// The components of a path inside a stream, such as a tar archive's: relative, each of them a [`safe_name`].
///
/// `./a//b/` is `a` and `b`; nothing at all comes out for `.` and `./`, the root of what the stream holds.
///
/// # Errors
/// [`UnsafeName`] if the path is empty, begins with a slash, or has a component that [`safe_name`] refuses, such as
/// `..`, wherever it leads.
pub fn safe_relative(path: &[u8], naming: Naming) -> Result<Vec<&[u8]>, UnsafeName> {
    let refuse = |problem| UnsafeName {
        name: path.to_owned(),
        problem,
    };
    match path.first() {
        None => return Err(refuse(UnsafeProblem::Empty)),
        Some(b'/') => return Err(refuse(UnsafeProblem::Absolute)),
        Some(_) => {}
    }
    let components = path
        .split(|byte| *byte == b'/')
        .filter(|component| !matches!(*component, b"" | b"."));
    components
        .map(|component| match check(component, naming) {
            Ok(()) => Ok(component),
            Err(problem) => Err(refuse(problem)),
        })
        .collect()
}

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
    fn names_that_lead_elsewhere_are_refused() {
        use UnsafeProblem::{Dots, Empty, Nul, Separator, Windows};
        for (name, posix, windows) in [
            (&b"a"[..], None, None),
            (b"-rf", None, None),
            (b"...x", None, None),
            (b"\xff\n", None, Some(Windows)),
            (b"a b", None, None),
            (b"console", None, None),
            (b"com10", None, None),
            (b"", Some(Empty), Some(Empty)),
            (b".", Some(Dots), Some(Dots)),
            (b"..", Some(Dots), Some(Dots)),
            (b"a/b", Some(Separator), Some(Separator)),
            (b"/", Some(Separator), Some(Separator)),
            (b"../x", Some(Separator), Some(Separator)),
            (b"a\0", Some(Nul), Some(Nul)),
            (b"..\\x", None, Some(Separator)),
            (b"c:", None, Some(Windows)),
            (b"a:stream", None, Some(Windows)),
            (b"...", None, Some(Windows)),
            (b".. ", None, Some(Windows)),
            (b"a.", None, Some(Windows)),
            (b"nul", None, Some(Windows)),
            (b"Com1.txt", None, Some(Windows)),
            (b"aux .txt", None, Some(Windows)),
            ("lpt²".as_bytes(), None, Some(Windows)),
            (b"a?", None, Some(Windows)),
            (b"a\n", None, Some(Windows)),
        ] {
            for (naming, problem) in [(Naming::Posix, posix), (Naming::Windows, windows)] {
                let found = safe_name(name, naming).err().map(|error| error.problem);
                assert_eq!(found, problem, "{} {naming:?}", escape_bytes(name));
            }
        }
        let error = safe_name(b"\x1b/", Naming::Posix).unwrap_err().to_string();
        assert!(error.starts_with("the name \\x1b/ holds a separator"), "{error}");
    }

    #[test]
    fn paths_in_a_stream_are_taken_apart_or_refused() {
        use UnsafeProblem::{Absolute, Dots, Empty, Nul};
        for (path, components) in [
            ("a", Ok(&["a"][..])),
            ("./a//b/", Ok(&["a", "b"])),
            ("a/./b", Ok(&["a", "b"])),
            (".", Ok(&[])),
            ("./", Ok(&[])),
            ("...", Ok(&["..."])),
            ("", Err(Empty)),
            ("/", Err(Absolute)),
            ("/etc/passwd", Err(Absolute)),
            ("..", Err(Dots)),
            ("a/../b", Err(Dots)),
            ("a/..", Err(Dots)),
            ("./../a", Err(Dots)),
            ("a/\0", Err(Nul)),
        ] {
            let found = safe_relative(path.as_bytes(), Naming::Posix).map_err(|error| error.problem);
            let components = components.map(|list| list.iter().map(|c| c.as_bytes()).collect::<Vec<_>>());
            assert_eq!(found, components, "{path}");
        }
        for path in ["a\\b", "c:/x", "a/nul"] {
            assert!(safe_relative(path.as_bytes(), Naming::Windows).is_err(), "{path}");
        }
    }

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
                prop_assert!(safe_name(&file, Naming::Posix).is_ok());
            }
        }

        #[test]
        fn a_safe_path_never_leaves_its_root(path in prop_oneof![any::<Vec<u8>>(), "[./a]{0,12}".prop_map(String::into_bytes)]) {
            if let Ok(components) = safe_relative(&path, Naming::Posix) {
                for component in components {
                    prop_assert!(safe_name(component, Naming::Posix).is_ok());
                }
            }
        }
    }
}
