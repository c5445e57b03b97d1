//! One line of a configuration: a keyword and its values.

/// A line taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// The keyword as written.
    pub(super) keyword: String,
    /// What follows it, separated and without quotes.
    pub(super) values: Vec<String>,
    /// What follows it, as written: a command is left to a shell.
    pub(super) text: &'a str,
}

/// Takes a line apart. Nothing for a blank line or a comment.
///
/// The keyword ends at white space or `=`. Values are separated by spaces and tabs and may stand, in whole or in part,
/// between single or double quotes; a backslash keeps a quote, a backslash, or (outside quotes) a space. A `#` at the
/// start of a value begins a comment.
///
/// # Errors
/// When a quote is not closed.
pub(super) fn split(line: &str) -> Result<Option<Line<'_>>, UnclosedQuote> {
    let is_blank = |c: char| matches!(c, ' ' | '\t' | '\r' | '\n' | '\x0c');
    let line = line.trim_matches(is_blank);
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    // ssh takes `=user bob` for `user bob`, and a keyword may stand between double quotes.
    let line = line
        .strip_prefix('=')
        .unwrap_or(line)
        .trim_start_matches(is_blank);
    let (keyword, rest) = match line.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"').ok_or(UnclosedQuote)?,
        None => line.split_at(line.find(|c| is_blank(c) || c == '=').unwrap_or(line.len())),
    };
    let rest = rest.trim_start_matches(is_blank);
    let rest = rest.strip_prefix('=').unwrap_or(rest);
    Ok(Some(Line {
        keyword: keyword.to_owned(),
        values: values(rest)?,
        text: rest.trim_start_matches(|c| is_blank(c) || c == '='),
    }))
}

/// A quote without its partner.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct UnclosedQuote;

fn values(text: &str) -> Result<Vec<String>, UnclosedQuote> {
    let mut values = Vec::new();
    let mut chars = text.chars().peekable();
    loop {
        while chars.next_if(|&c| c == ' ' || c == '\t').is_some() {}
        match chars.peek() {
            None | Some('#') => return Ok(values),
            Some(_) => {}
        }
        let mut value = String::new();
        let mut quote = None;
        while let Some(&c) = chars.peek() {
            if quote.is_none() && (c == ' ' || c == '\t') {
                break;
            }
            chars.next();
            match c {
                '\\' => {
                    let kept = |&next: &char| "'\"\\".contains(next) || (quote.is_none() && next == ' ');
                    value.push(chars.next_if(kept).unwrap_or('\\'));
                }
                _ if quote == Some(c) => quote = None,
                '\'' | '"' if quote.is_none() => quote = Some(c),
                _ => value.push(c),
            }
        }
        if quote.is_some() {
            return Err(UnclosedQuote);
        }
        values.push(value);
    }
}

/// The words of a text the way ssh takes a `Match` line apart: at white space, with at most one `=` between two words, and
/// with double quotes only. `None` stands for a quote that is not closed, and ends the list.
pub(super) fn delimited(text: &str) -> impl Iterator<Item = Option<String>> {
    let is_blank = |c: char| matches!(c, ' ' | '\t' | '\r' | '\n');
    let mut rest = text.trim_matches(is_blank);
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (word, delimiter) = rest.split_at(
            rest.find(|c| is_blank(c) || c == '"' || c == '=')
                .unwrap_or(rest.len()),
        );
        if let Some(quoted) = delimiter.strip_prefix('"') {
            let Some((inside, after)) = quoted.split_once('"') else {
                rest = "";
                return Some(None);
            };
            rest = after.trim_start_matches(is_blank);
            return Some(Some(format!("{word}{inside}")));
        }
        let after = delimiter.trim_start_matches(is_blank);
        rest = after
            .strip_prefix('=')
            .unwrap_or(after)
            .trim_start_matches(is_blank);
        Some(Some(word.to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_line_is_a_keyword_and_its_values() {
        for (line, keyword, expected) in [
            ("User bob", "User", &["bob"][..]),
            ("  User=bob\r", "User", &["bob"]),
            ("user = bob=x", "user", &["bob=x"]),
            ("=user bob", "user", &["bob"]),
            ("\"user\" bob", "user", &["bob"]),
            ("Host a  b\t!c", "Host", &["a", "b", "!c"]),
            ("File \"/a b\" c'd e'f", "File", &["/a b", "cd ef"]),
            ("File a\\ b \\\" \\x '\\''", "File", &["a b", "\"", "\\x", "'"]),
            ("Port 22 # comment", "Port", &["22"]),
            ("Port 22#x", "Port", &["22#x"]),
            ("User \"#x\"", "User", &["#x"]),
            ("User", "User", &[]),
            ("User \"\"", "User", &[""]),
        ] {
            let line = split(line).unwrap().unwrap();
            assert_eq!(
                (
                    line.keyword.as_str(),
                    line.values.iter().map(String::as_str).collect::<Vec<_>>()
                ),
                (keyword, expected.to_vec())
            );
        }
        for blank in ["", "  ", "# x", " \t# x", "\r"] {
            assert_eq!(split(blank), Ok(None));
        }
        assert_eq!(split("User \"a"), Err(UnclosedQuote));
    }

    #[test]
    fn words_of_a_match_line_end_at_blanks_quotes_and_one_equals_sign() {
        for (text, expected) in [
            ("host web", &["host", "web"][..]),
            ("host=web  user = \"a b\" x", &["host", "web", "user", "a b", "x"]),
            ("host \"a\"b", &["host", "a", "b"]),
            ("host==web", &["host", "", "web"]),
            ("host 'a b'", &["host", "'a", "b'"]),
            ("  ", &[]),
        ] {
            let words: Vec<_> = delimited(text).map(Option::unwrap).collect();
            assert_eq!(words, expected, "{text}");
        }
        assert_eq!(
            delimited("host \"a").collect::<Vec<_>>(),
            [Some("host".to_owned()), None]
        );
    }

    #[test]
    fn a_command_keeps_its_quotes_and_its_comment() {
        for line in ["x nc '%h'  # y ", "x = nc '%h'  # y", "x==nc '%h'  # y\r"] {
            assert_eq!(split(line).unwrap().unwrap().text, "nc '%h'  # y", "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_line_is_split_or_refused(line in any::<String>()) {
            let _ = split(&line);
        }

        #[test]
        fn quoted_values_come_back(values in proptest::collection::vec("[a-z '\"\\\\#=]{0,6}", 1..5)) {
            let quoted: Vec<_> =
                values.iter().map(|v| format!("\"{}\"", v.replace('\\', "\\\\").replace('"', "\\\""))).collect();
            let line = format!("x {}", quoted.join(" "));
            prop_assert_eq!(split(&line).unwrap().unwrap().values, values);
        }
    }
}
