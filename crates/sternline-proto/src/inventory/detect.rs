//! Which format a file is in.

/// A format of inventories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Ours.
    Toml,
    /// Ansible's INI.
    Ini,
    /// Ansible's YAML, and JSON with it.
    Yaml,
}

/// The format that the extension tells (`.toml`, `.ini`, `.yml`, `.yaml`, `.json`), else that the first line with content looks
/// like. Our TOML has to be named so, for its tables look like sections of INI.
#[must_use]
pub fn detect(path: &str, text: &str) -> Format {
    let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
    let extension = name
        .rsplit_once('.')
        .map(|(_, extension)| extension.to_ascii_lowercase());
    match extension.as_deref() {
        Some("toml") => return Format::Toml,
        Some("ini") => return Format::Ini,
        Some("yml" | "yaml" | "json") => return Format::Yaml,
        _ => {}
    }
    let first = text
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty() && !line.starts_with(['#', ';']));
    let is_yaml = first.is_some_and(|line| {
        let key = line.split_once(" #").map_or(line, |(key, _)| key.trim_end());
        line.starts_with("---") || line.starts_with(['{', '%']) || key.ends_with(':') || is_field(line)
    });
    if is_yaml { Format::Yaml } else { Format::Ini }
}

/// `key: value`, which no host of INI is.
fn is_field(line: &str) -> bool {
    line.split_once(": ")
        .is_some_and(|(key, _)| !key.contains([' ', '=', '[']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_decides_else_the_content() {
        for (path, text, format) in [
            ("a/hosts.toml", "", Format::Toml),
            ("a/hosts.INI", "---", Format::Ini),
            ("a/hosts.yaml", "[web]", Format::Yaml),
            ("a.json", "", Format::Yaml),
            ("a.b/hosts", "# x\n\n---\nall:\n", Format::Yaml),
            ("hosts", "all:\n  hosts:\n", Format::Yaml),
            ("hosts", "all: # x\n  hosts:\n", Format::Yaml),
            ("hosts", "plugin: aws_ec2\n", Format::Yaml),
            ("hosts", "{\"all\": {}}", Format::Yaml),
            ("hosts", "web:2222 x=1\n", Format::Ini),
            ("hosts", "[web]\na\n", Format::Ini),
            ("hosts.example.com", "a\n", Format::Ini),
            ("hosts", "", Format::Ini),
        ] {
            assert_eq!(detect(path, text), format, "{path} {text}");
        }
    }
}
