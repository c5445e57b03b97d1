//! Words as a POSIX shell cuts them, the way Python's shlex does.

/// Cuts a text into words. With `comments`, a `#` outside quotes ends the line, even in the middle of a word.
///
/// # Errors
/// What is not closed.
pub(super) fn split(text: &str, comments: bool) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\r' | '\n' => words.extend(word.take()),
            '#' if comments => {
                words.extend(word.take());
                while chars.next_if(|c| *c != '\n').is_some() {}
            }
            '\\' => {
                let escaped = chars.next().ok_or("a backslash stands at the end")?;
                word.get_or_insert_default().push(escaped);
            }
            '\'' | '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next().ok_or("a quote is not closed")? {
                        end if end == c => break,
                        '\\' if c == '"' => {
                            let kept = chars.next_if(|next| matches!(next, '"' | '\\'));
                            word.push(kept.unwrap_or('\\'));
                        }
                        other => word.push(other),
                    }
                }
            }
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_are_those_of_a_shell() {
        for (text, comments, expected) in [
            ("a  b\tc", true, &["a", "b", "c"][..]),
            ("a='b c' d=\"e f\"", true, &["a=b c", "d=e f"]),
            ("a=\"'1'\"", true, &["a='1'"]),
            ("a#b c", true, &["a"]),
            ("a#b c", false, &["a#b", "c"]),
            ("a='#' # x", true, &["a=#"]),
            ("a\\ b \\'", true, &["a b", "'"]),
            ("\"a\\x\\\"\\\\\"", true, &["a\\x\"\\"]),
            ("'' a", true, &["", "a"]),
            ("'a\\'", true, &["a\\"]),
            ("", true, &[]),
        ] {
            assert_eq!(split(text, comments).unwrap(), expected, "{text}");
        }
        for text in ["'a", "\"a", "a\\", "\"a\\\""] {
            assert!(split(text, true).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn quoted_words_come_back(words in proptest::collection::vec("[^\0]{0,8}", 0..5)) {
            let quoted: Vec<_> = words.iter().map(|word| crate::quoting::quote_str(word).unwrap()).collect();
            prop_assert_eq!(split(&quoted.join(" "), true).unwrap(), words);
        }
    }
}
