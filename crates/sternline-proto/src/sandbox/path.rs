//! Paths on the host and in the sandbox: always with `/`, whatever system composes the command.

/// The path without doubled slashes, dots and a slash at its end.
///
/// # Errors
/// Why it is none that can be mounted.
pub(super) fn normal(path: &str) -> Result<String, String> {
    if path.is_empty() {
        return Err("must be a non-empty string".to_owned());
    }
    if !path.starts_with('/') {
        return Err(format!("must be absolute: {path}"));
    }
    if path.chars().any(char::is_control) {
        return Err("must not hold control characters".to_owned());
    }
    let mut whole = String::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => return Err(format!("must not hold ..: {path}")),
            part => {
                whole.push('/');
                whole.push_str(part);
            }
        }
    }
    if whole.is_empty() {
        whole.push('/');
    }
    Ok(whole)
}

/// What follows `ancestor` in `path`, which is the same or below it: empty, or with a slash in front.
pub(super) fn below<'a>(path: &'a str, ancestor: &str) -> Option<&'a str> {
    if ancestor == "/" {
        return Some(if path == "/" { "" } else { path });
    }
    let rest = path.strip_prefix(ancestor)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

/// `rest`, as [`below`] gives it, under another directory.
pub(super) fn under(directory: &str, rest: &str) -> String {
    match (directory, rest) {
        ("/", "") => "/".to_owned(),
        ("/", rest) => rest.to_owned(),
        (directory, rest) => format!("{directory}{rest}"),
    }
}

/// The directory that it is in, and its name there.
pub(super) fn split(path: &str) -> Option<(&str, &str)> {
    let (directory, name) = path.rsplit_once('/')?;
    Some((if directory.is_empty() { "/" } else { directory }, name))
}

/// Where a symbolic link leads, without looking at any other link on the way; `None` where that is above the root.
pub(super) fn link_target(link: &str, text: &str) -> Option<String> {
    let from = if text.starts_with('/') {
        "/"
    } else {
        split(link)?.0
    };
    let mut parts: Vec<&str> = from.split('/').filter(|part| !part.is_empty()).collect();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(format!("/{}", parts.join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_written_in_one_way_only() {
        for (path, whole) in [
            ("/", "/"),
            ("//", "/"),
            ("/usr/", "/usr"),
            ("/usr/./bin//ls", "/usr/bin/ls"),
            ("/a b", "/a b"),
        ] {
            assert_eq!(normal(path).as_deref(), Ok(whole), "{path}");
        }
        for path in ["", "usr", "~/x", "./x", "/a/../b", "/..", "/a\nb", "/a\0"] {
            assert!(normal(path).is_err(), "{path:?}");
        }
    }

    #[test]
    fn a_path_is_below_another_by_whole_names() {
        assert_eq!(below("/usr/bin", "/usr"), Some("/bin"));
        assert_eq!(below("/usr", "/usr"), Some(""));
        assert_eq!(below("/usrx", "/usr"), None);
        assert_eq!(below("/usr", "/"), Some("/usr"));
        assert_eq!(below("/", "/"), Some(""));
        assert_eq!(under("/mnt", "/bin"), "/mnt/bin");
        assert_eq!(under("/", "/bin"), "/bin");
        assert_eq!(under("/", ""), "/");
    }

    #[test]
    fn links_lead_somewhere_or_above_the_root() {
        for (link, text, target) in [
            ("/bin", "usr/bin", Some("/usr/bin")),
            ("/usr/sbin", "bin", Some("/usr/bin")),
            ("/usr/sbin", "../bin/", Some("/bin")),
            ("/lib", "/usr/lib", Some("/usr/lib")),
            ("/bin", "../x", None),
        ] {
            assert_eq!(link_target(link, text).as_deref(), target, "{link} -> {text}");
        }
    }
}
