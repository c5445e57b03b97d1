//! Paths that a pattern fits, as glob(7) has it for `Include`. The `glob` crate would not do: it knows neither a backslash nor `[^a-z]`,
//! refuses a bracket without its end, and takes `**` for directories at any depth.

use std::path::{Path, PathBuf};

/// The paths that exist and fit, sorted. `*` and `?` leave a dot at the start of a name alone, `[a-z]` and `[!a-z]` stand
/// for one character, and a backslash takes away the meaning of what follows. A directory that cannot be read has nothing
/// in it.
pub(super) fn glob(pattern: &str) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for component in Path::new(pattern).components() {
        let name = component.as_os_str();
        let wild = name.to_str().filter(|name| name.contains(['*', '?', '[', '\\']));
        found = match wild {
            None => found.into_iter().map(|path| path.join(name)).collect(),
            Some(wild) => found.iter().flat_map(|path| matching(path, wild)).collect(),
        };
    }
    found.retain(|path| path.symlink_metadata().is_ok());
    found.sort();
    found
}

fn matching(directory: &Path, wild: &str) -> Vec<PathBuf> {
    let directory = if directory.as_os_str().is_empty() {
        Path::new(".")
    } else {
        directory
    };
    let Ok(entries) = std::fs::read_dir(directory) else {
        return Vec::new();
    };
    let parts = parts(wild);
    let hidden = parts.first() == Some(&Part::One('.'));
    entries
        .flatten()
        .filter(|entry| {
            let name = entry.file_name();
            let name: Vec<char> = name.to_string_lossy().chars().collect();
            (hidden || name.first() != Some(&'.')) && fits(&parts, &name)
        })
        .map(|entry| entry.path())
        .collect()
}

#[derive(Debug, PartialEq, Eq)]
enum Part {
    /// `*`
    Any,
    /// `?`
    AnyOne,
    One(char),
    /// Ranges of characters, and whether they are the ones that do not fit.
    Set {
        ranges: Vec<(char, char)>,
        negated: bool,
    },
}

fn parts(pattern: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = pattern.chars();
    while let Some(c) = rest.next() {
        parts.push(match c {
            '*' => Part::Any,
            '?' => Part::AnyOne,
            '\\' => Part::One(rest.next().unwrap_or('\\')),
            // Without its end it is a bracket like any other.
            '[' => match set(rest.as_str()) {
                Some((set, after)) => {
                    rest = after.chars();
                    set
                }
                None => Part::One('['),
            },
            c => Part::One(c),
        });
    }
    parts
}

/// The set that begins behind a bracket, and what follows it. A closing bracket that stands first belongs to the set.
fn set(text: &str) -> Option<(Part, &str)> {
    let inside = text.strip_prefix(['!', '^']);
    let (negated, inside) = (inside.is_some(), inside.unwrap_or(text));
    let mut ranges = Vec::new();
    let mut chars = inside.chars();
    loop {
        let first = match chars.next()? {
            ']' if !ranges.is_empty() => return Some((Part::Set { ranges, negated }, chars.as_str())),
            '\\' => chars.next()?,
            c => c,
        };
        let mut ahead = chars.clone();
        let last = match (ahead.next(), ahead.next()) {
            (Some('-'), Some(last)) if last != ']' => {
                chars = ahead;
                last
            }
            _ => first,
        };
        ranges.push((first, last));
    }
}

fn fits(parts: &[Part], name: &[char]) -> bool {
    match (parts.split_first(), name.split_first()) {
        (None, rest) => rest.is_none(),
        (Some((Part::Any, after)), _) => {
            (0..=name.len()).any(|taken| fits(after, name.get(taken..).unwrap_or_default()))
        }
        (Some((part, after)), Some((c, rest))) => part.fits(*c) && fits(after, rest),
        (Some(_), None) => false,
    }
}

impl Part {
    fn fits(&self, c: char) -> bool {
        match self {
            Self::Any | Self::AnyOne => true,
            Self::One(one) => *one == c,
            Self::Set { ranges, negated } => {
                ranges.iter().any(|(first, last)| (*first..=*last).contains(&c)) != *negated
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_fit_patterns_as_glob_has_it() {
        for (pattern, name, expected) in [
            ("*.conf", "a.conf", true),
            ("*.conf", "a.conf~", false),
            ("a?", "ab", true),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[^a-c]x", "dx", true),
            ("[]x]", "]", true),
            ("[a-]", "-", true),
            ("[a", "[a", true),
            ("\\*", "*", true),
            ("\\*", "x", false),
            ("*a*b*", "xxaxxbxx", true),
            ("", "", true),
        ] {
            let name: Vec<char> = name.chars().collect();
            assert_eq!(fits(&parts(pattern), &name), expected, "{pattern} {name:?}");
        }
    }

    #[test]
    fn only_paths_that_exist_are_found_in_order_and_hidden_ones_by_name_only() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.conf", "a.conf", ".hidden.conf", "c.txt"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let found = |pattern: &str| -> Vec<String> {
            let paths = glob(&format!("{}/{pattern}", folder.path().display()));
            paths
                .iter()
                .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
                .collect()
        };
        assert_eq!(found("*.conf"), ["a.conf", "b.conf"]);
        assert_eq!(found("[bc].*"), ["b.conf", "c.txt"]);
        assert_eq!(found(".*.conf"), [".hidden.conf"]);
        assert_eq!(found("c.txt"), ["c.txt"]);
        assert_eq!(found("missing"), Vec::<String>::new());
        assert_eq!(found("c.txt/*"), Vec::<String>::new());
    }

    proptest! {
        #[test]
        fn any_pattern_is_taken_and_a_plain_one_fits_itself(pattern in "[ab*?!^\\[\\]\\\\-]{0,8}", name in "[ab]{0,6}") {
            let name: Vec<char> = name.chars().collect();
            let _ = fits(&parts(&pattern), &name);
            let plain: String = name.iter().collect();
            prop_assert!(fits(&parts(&plain), &name));
        }
    }
}
