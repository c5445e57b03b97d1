//! `assert` as a function.
//!
//! The crate's lexer reserves the word, so it is given another name of the same length before parsing, and all columns stay.
//! Whatever shows names or text of the script gives it its own name back.

use std::borrow::Cow;

/// What scripts write.
pub(crate) const WORD: &str = "assert";
/// What the crate sees. Nobody names anything so.
pub(crate) const ALIAS: &str = "asser7";

/// A text with the word's own name: a message, a line of the script, the name of a member.
pub(crate) fn restore(text: &str) -> Cow<'_, str> {
    if !text.contains(ALIAS) {
        return Cow::Borrowed(text);
    }
    let mut restored = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(ALIAS) {
        let (before, found) = rest.split_at(at);
        let after = found.get(ALIAS.len()..).unwrap_or_default();
        restored.push_str(before);
        let whole = !restored.ends_with(is_word) && !after.starts_with(is_word);
        restored.push_str(if whole { WORD } else { ALIAS });
        rest = after;
    }
    restored.push_str(rest);
    Cow::Owned(restored)
}

fn is_word(char: char) -> bool {
    char.is_ascii_alphanumeric() || char == '_'
}

#[cfg(test)]
mod tests {
    use super::restore;

    #[test]
    fn only_whole_words_get_their_name_back() {
        assert_eq!(restore("asser7(x)"), "assert(x)");
        assert_eq!(restore("test.asser7, `asser7`"), "test.assert, `assert`");
        assert_eq!(
            restore("asser7_equal my_asser7 asser77"),
            "asser7_equal my_asser7 asser77"
        );
        assert_eq!(restore("nothing of it"), "nothing of it");
    }
}
