//! What went wrong with a file, in words.

use std::io;

use sternline::proto::text::escape;

/// `open config.yaml: no such file or directory`. The path is as the script wrote it.
pub(crate) fn problem(verb: &str, path: &str, error: &io::Error) -> anyhow::Error {
    anyhow::anyhow!("{verb} {}: {}", escape(path), reason(error))
}

/// The system's words, without its number.
pub(crate) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let text = match text.rfind(" (os error ") {
        Some(end) => text.get(..end).unwrap_or(&text),
        None => &text,
    };
    let mut chars = text.chars();
    match (chars.next(), text.chars().nth(1)) {
        // Not of a name such as EOF.
        (Some(first), Some(second)) if second.is_lowercase() || second == ' ' => {
            first.to_lowercase().chain(chars).collect()
        }
        _ => text.to_owned(),
    }
}
