//! Paths as texts, without a look at the disk. They are written with slashes.

use crate::glob::{Glob, GlobError, at_slash};

/// The shortest text for the same path: without `.`, without `..` where it can be done without, and without empty parts.
pub(super) fn clean(path: &str) -> String {
    let is_absolute = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if is_absolute => {}
            part => parts.push(part),
        }
    }
    match (is_absolute, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}

/// One path below another, also where the second one begins with a slash.
pub(super) fn join(base: &str, below: &str) -> String {
    match (base.is_empty(), below.is_empty()) {
        (true, true) => String::new(),
        (true, false) => clean(below),
        (false, true) => clean(base),
        (false, false) => clean(&format!("{base}/{below}")),
    }
}

/// The last part: nothing of the root.
pub(super) fn name(path: &str) -> &str {
    let name = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    if name == "." { "" } else { name }
}

pub(super) fn parent(path: &str) -> String {
    let path = path.trim_end_matches('/');
    match path.rsplit_once('/') {
        Some(("", _)) => "/".to_owned(),
        Some((parent, _)) => clean(parent),
        None if path.is_empty() => "/".to_owned(),
        None => ".".to_owned(),
    }
}

/// The name before and from its last dot. A dot at its begin does not count.
pub(super) fn stem_and_suffix(path: &str) -> (&str, &str) {
    let name = name(path);
    match name.rfind('.') {
        Some(dot) if dot > 0 && dot + 1 < name.len() && name != ".." => name.split_at(dot),
        _ => (name, ""),
    }
}

pub(super) fn parts(path: &str) -> Vec<String> {
    let root = path.starts_with('/').then(|| "/".to_owned());
    root.into_iter()
        .chain(
            path.split('/')
                .filter(|part| !part.is_empty() && *part != ".")
                .map(str::to_owned),
        )
        .collect()
}

/// What leads from a directory to a path in it.
pub(super) fn relative_to(path: &str, directory: &str) -> Option<String> {
    let (path, directory) = (clean(path), clean(directory));
    if path == directory {
        return Some(".".to_owned());
    }
    match directory.as_str() {
        "." if !path.starts_with('/') && path != ".." && !path.starts_with("../") => Some(path),
        "/" => path.strip_prefix('/').map(str::to_owned),
        _ => path
            .strip_prefix(&directory)?
            .strip_prefix('/')
            .map(str::to_owned),
    }
}

/// Whether a pattern is the whole path, or, where it does not begin with a slash, its end.
pub(super) fn matches(path: &str, pattern: &str) -> Result<bool, GlobError> {
    let glob = Glob::new(pattern)?;
    let path = clean(path);
    if glob.matches(&path, at_slash) {
        return Ok(true);
    }
    if pattern.starts_with('/') {
        return Ok(false);
    }
    Ok(path
        .match_indices('/')
        .filter_map(|(slash, _)| path.get(slash + 1..))
        .any(|end| glob.matches(end, at_slash)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_path_has_its_shortest_form() {
        for (path, shortest) in [
            ("a//b/./c/", "a/b/c"),
            ("/a/../../b", "/b"),
            ("../../a", "../../a"),
            ("a/..", "."),
            ("", "."),
            ("/", "/"),
        ] {
            assert_eq!(clean(path), shortest, "{path}");
        }
    }

    #[test]
    fn a_path_has_parts() {
        for (path, name_is, parent_is, stem, suffix) in [
            (
                "/home/alice/report.md",
                "report.md",
                "/home/alice",
                "report",
                ".md",
            ),
            ("report", "report", ".", "report", ""),
            ("a/.profile", ".profile", "a", ".profile", ""),
            ("a/b.tar.gz", "b.tar.gz", "a", "b.tar", ".gz"),
            ("a/b.", "b.", "a", "b.", ""),
            ("/a", "a", "/", "a", ""),
            ("/", "", "/", "", ""),
            ("a/b/", "b", "a", "b", ""),
        ] {
            assert_eq!(
                (name(path), parent(path).as_str()),
                (name_is, parent_is),
                "{path}"
            );
            assert_eq!(stem_and_suffix(path), (stem, suffix), "{path}");
        }
        assert_eq!(parts("/home/alice"), ["/", "home", "alice"]);
        assert_eq!(parts("a/./b"), ["a", "b"]);
    }

    #[test]
    fn joining_stays_below_the_first_path() {
        assert_eq!(join("/a", "b/c"), "/a/b/c");
        assert_eq!(join("/a", "/b"), "/a/b");
        assert_eq!(join("a", ".."), ".");
        assert_eq!(join("", "b"), "b");
    }

    #[test]
    fn a_path_is_told_from_a_directory_around_it() {
        assert_eq!(relative_to("/a/b/c", "/a").as_deref(), Some("b/c"));
        assert_eq!(relative_to("/a/b", "/a/b/").as_deref(), Some("."));
        assert_eq!(relative_to("/ab", "/a"), None);
        assert_eq!(relative_to("/a", "/").as_deref(), Some("a"));
        assert_eq!(relative_to("a/b", ".").as_deref(), Some("a/b"));
        assert_eq!(relative_to("../a", "."), None);
    }

    #[test]
    fn a_relative_pattern_matches_the_end_of_a_path() {
        for (path, pattern, is_match) in [
            ("/a/b.md", "*.md", true),
            ("/a/b.md", "a/*.md", true),
            ("/a/b.md", "/*.md", false),
            ("/a/b.md", "/**/*.md", true),
            ("/a/b.md", "*.txt", false),
        ] {
            assert_eq!(matches(path, pattern), Ok(is_match), "{path} {pattern}");
        }
    }

    proptest! {
        #[test]
        fn a_shortest_form_is_its_own(path in "[a./]{0,12}") {
            let once = clean(&path);
            prop_assert_eq!(clean(&once), once);
        }

        #[test]
        fn what_was_joined_comes_apart_again(base in "/[a-c]{1,3}(/[a-c]{1,3}){0,2}", below in "[a-c]{1,3}(/[a-c]{1,3}){0,2}") {
            prop_assert_eq!(relative_to(&join(&base, &below), &base), Some(below));
        }
    }
}
