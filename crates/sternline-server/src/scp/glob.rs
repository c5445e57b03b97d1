//! Patterns in the paths of `scp -f`, which a server's shell expands: `scp -O host:'*.log' .` counts on it.

use bytes::Bytes;

use super::serve::join;
use crate::files::{FileTree, Links};

/// Stands before a byte that is a wildcard, which quoted ones are not. No path holds it.
pub(super) const WILD: u8 = 0;
/// Entries of a directory that are read at a time.
const ENTRIES: usize = 100;

/// One step of a pattern.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    /// `*`
    Any,
    /// `?`
    One,
    /// `[a-c]` and `[!a-c]`: ranges, and whether they are meant.
    Set(Vec<(u8, u8)>, bool),
    Byte(u8),
}

/// The paths that a pattern stands for, sorted by name in each directory; or the pattern itself, as a shell has it, when
/// there are none.
pub(super) fn expand(tree: &dyn FileTree, pattern: &[u8]) -> Vec<Bytes> {
    if !pattern.contains(&WILD) {
        return vec![Bytes::copy_from_slice(pattern)];
    }
    let start: &[u8] = if pattern.starts_with(b"/") { b"/" } else { b"." };
    let mut found = vec![start.to_vec()];
    for component in pattern
        .split(|&byte| byte == b'/')
        .filter(|part| !part.is_empty())
    {
        let mut next = Vec::new();
        for dir in found {
            if component.contains(&WILD) {
                next.extend(
                    matching(tree, &dir, &parts(component))
                        .into_iter()
                        .map(|name| join(&dir, &name)),
                );
            } else {
                next.push(join(&dir, component));
            }
        }
        found = next;
    }
    found.retain(|path| tree.stat(path, Links::Keep).is_ok());
    if found.is_empty() {
        found.push(literal(pattern));
    }
    found.into_iter().map(Bytes::from).collect()
}

/// The pattern without its marks.
pub(super) fn literal(pattern: &[u8]) -> Vec<u8> {
    pattern.iter().copied().filter(|&byte| byte != WILD).collect()
}

/// The names in a directory that match. What cannot be read has none.
fn matching(tree: &dyn FileTree, dir: &[u8], parts: &[Part]) -> Vec<Bytes> {
    let mut names = Vec::new();
    if let Ok(mut open) = tree.open_dir(dir) {
        while let Ok(entries) = open.next(ENTRIES)
            && !entries.is_empty()
        {
            names.extend(
                entries
                    .into_iter()
                    .map(|(name, _)| name)
                    .filter(|name| matches(parts, name)),
            );
        }
    }
    names.sort();
    names
}

fn parts(component: &[u8]) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = component;
    loop {
        let (part, after) = match rest {
            [WILD, b'*', after @ ..] => (Part::Any, after),
            [WILD, b'?', after @ ..] => (Part::One, after),
            // A bracket that nothing closes is one.
            [WILD, b'[', after @ ..] => set(after).unwrap_or((Part::Byte(b'['), after)),
            [byte, after @ ..] => (Part::Byte(*byte), after),
            [] => return parts,
        };
        parts.push(part);
        rest = after;
    }
}

/// What stands behind an opening bracket: the set, and what follows its closing one.
fn set(rest: &[u8]) -> Option<(Part, &[u8])> {
    let (meant, mut rest) = match rest {
        [b'!' | b'^', after @ ..] => (false, after),
        _ => (true, rest),
    };
    let mut ranges = Vec::new();
    loop {
        rest = match rest {
            [WILD, after @ ..] => after,
            // As the first one it stands for itself.
            [b']', after @ ..] if !ranges.is_empty() => return Some((Part::Set(ranges, meant), after)),
            [from, b'-', to, after @ ..] if *to != b']' => {
                ranges.push((*from, *to));
                after
            }
            [byte, after @ ..] => {
                ranges.push((*byte, *byte));
                after
            }
            [] => return None,
        };
    }
}

/// Whether a name is what the pattern means. A leading dot has to be written.
fn matches(parts: &[Part], name: &[u8]) -> bool {
    if name.starts_with(b".") && parts.first() != Some(&Part::Byte(b'.')) {
        return false;
    }
    let (mut part, mut at) = (0, 0);
    // Where to go on when this does not lead to the end: behind the last star, which then takes one byte more.
    let mut again: Option<(usize, usize)> = None;
    loop {
        let matched = match (parts.get(part), name.get(at)) {
            (None, None) => return true,
            (Some(Part::Any), _) => {
                again = Some((part, at));
                part += 1;
                continue;
            }
            (Some(Part::One), Some(_)) => true,
            (Some(Part::Byte(wanted)), Some(byte)) => wanted == byte,
            (Some(Part::Set(ranges, meant)), Some(byte)) => {
                ranges.iter().any(|(from, to)| (from..=to).contains(&byte)) == *meant
            }
            _ => false,
        };
        (part, at) = match (matched, again) {
            (true, _) => (part + 1, at + 1),
            (false, Some((star, from))) if from < name.len() => {
                again = Some((star, from + 1));
                (star + 1, from + 1)
            }
            (false, _) => return false,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::VirtualFiles;
    use proptest::prelude::*;

    /// A pattern with all its wildcards marked.
    fn marked(pattern: &str) -> Vec<u8> {
        let marks = |byte| match byte {
            b'*' | b'?' | b'[' => vec![WILD, byte],
            byte => vec![byte],
        };
        pattern.bytes().flat_map(marks).collect()
    }

    #[test]
    fn names_match_as_in_a_shell() {
        for (pattern, name, expected) in [
            ("*", "a", true),
            ("*", "", true),
            ("*", ".hidden", false),
            (".*", ".hidden", true),
            ("*.log", "a.log", true),
            ("*.log", "a.logs", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("[a-c]x", "bx", true),
            ("[a-c]x", "dx", false),
            ("[!a-c]x", "dx", true),
            ("[]]", "]", true),
            ("[a-]", "-", true),
            ("[*?]", "*", true),
            ("[", "[", true),
            ("[ab", "[ab", true),
            ("**a", "ba", true),
        ] {
            assert_eq!(
                matches(&parts(&marked(pattern)), name.as_bytes()),
                expected,
                "{pattern} {name}"
            );
        }
        assert!(!matches(&parts(b"*"), b"a") && matches(&parts(b"*"), b"*"));
    }

    #[test]
    fn a_pattern_stands_for_the_paths_that_are_there() {
        let files = VirtualFiles::new();
        for path in [
            "/a/1.log",
            "/a/2.log",
            "/a/.3.log",
            "/b/1.log",
            "/b/sub/x",
            "/c",
            "/odd*",
        ] {
            files.add_file(path, "", 0o644).unwrap();
        }
        for (pattern, paths) in [
            ("/a/*.log", &["/a/1.log", "/a/2.log"][..]),
            ("*/1.log", &["./a/1.log", "./b/1.log"]),
            ("/?/sub/*", &["/b/sub/x"]),
            ("/c", &["/c"]),
            ("/none*", &["/none*"]),
            ("/odd[*]", &["/odd*"]),
        ] {
            assert_eq!(expand(&files, &marked(pattern)), paths, "{pattern}");
        }
        assert_eq!(expand(&files, b"/odd*"), ["/odd*"]);
    }

    proptest! {
        #[test]
        fn every_name_matches_a_star_and_itself(name in "[a-c*?\\[\\]-]{1,12}", rest in "[a-c]{0,4}") {
            let pattern = [name.as_bytes(), &[WILD, b'*']].concat();
            let longer = format!("{name}{rest}");
            prop_assert!(matches(&parts(&pattern), longer.as_bytes()));
            prop_assert!(matches(&parts(name.as_bytes()), name.as_bytes()));
        }

        #[test]
        fn any_pattern_ends(pattern in "[ab*?\\[\\]!-]{0,20}", name in "[ab]{0,40}") {
            let _ = matches(&parts(&marked(&pattern)), name.as_bytes());
        }
    }
}
