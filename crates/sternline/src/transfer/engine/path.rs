//! Paths as bytes, with `/` between their components.

/// The directory that a path is in; `.` for one without any, and the path itself for a root.
pub(super) fn parent(path: &[u8]) -> &[u8] {
    let path = without_slashes(path);
    match path.iter().rposition(|byte| *byte == b'/') {
        None => b".",
        Some(0) => b"/",
        Some(at) => without_slashes(path.get(..at).unwrap_or_default()),
    }
}

/// The last component; empty for `/`, `.`, `..` and nothing, which have no name of their own.
pub(super) fn name(path: &[u8]) -> &[u8] {
    let path = without_slashes(path);
    let name = match path.iter().rposition(|byte| *byte == b'/') {
        None => path,
        Some(at) => path.get(at + 1..).unwrap_or_default(),
    };
    if name == b"." || name == b".." { b"" } else { name }
}

pub(super) fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if name.is_empty() {
        return directory.to_vec();
    }
    if directory.is_empty() {
        return name.to_vec();
    }
    let mut path = directory.to_vec();
    if path.last() != Some(&b'/') {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

/// Without the slashes at its end, except for the root.
pub(super) fn without_slashes(path: &[u8]) -> &[u8] {
    let length = path
        .iter()
        .rposition(|byte| *byte != b'/')
        .map_or_else(|| path.len().min(1), |last| last + 1);
    path.get(..length).unwrap_or(path)
}

/// Whether a path speaks of what is in a directory: `dir/.`, or `.` itself.
pub(super) fn means_contents(path: &[u8]) -> bool {
    name(path).is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_taken_apart_and_put_together() {
        for (path, in_directory, called) in [
            ("a", ".", "a"),
            ("a/b", "a", "b"),
            ("a//b//", "a", "b"),
            ("/a", "/", "a"),
            ("/", "/", ""),
            ("///", "/", ""),
            (".", ".", ""),
            ("a/.", "a", ""),
            ("..", ".", ""),
            ("", ".", ""),
        ] {
            let path = path.as_bytes();
            assert_eq!(parent(path), in_directory.as_bytes(), "{path:?}");
            assert_eq!(name(path), called.as_bytes(), "{path:?}");
            assert_eq!(means_contents(path), called.is_empty());
        }
        for (directory, name, joined) in [
            ("a", "b", "a/b"),
            ("a/", "b", "a/b"),
            ("/", "b", "/b"),
            ("", "b", "b"),
            ("a", "", "a"),
        ] {
            assert_eq!(join(directory.as_bytes(), name.as_bytes()), joined.as_bytes());
        }
    }
}
