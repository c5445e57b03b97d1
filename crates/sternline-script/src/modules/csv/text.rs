//! Tables as text, by RFC 4180. Pure.

/// How a text is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Format {
    pub(super) separator: char,
    /// Lines that begin with it are no rows.
    pub(super) comment: Option<char>,
}

/// Reads the rows of a text. Empty lines are none.
pub(super) fn parse(text: &str, format: Format) -> Result<Vec<Vec<String>>, String> {
    let mut rows = Vec::new();
    let mut row: Vec<String> = Vec::new();
    let mut chars = text.strip_prefix('\u{feff}').unwrap_or(text).chars().peekable();
    let mut line = 1;
    loop {
        if row.is_empty() {
            match chars.peek().copied() {
                None => return Ok(rows),
                Some('\n') => {
                    line += 1;
                    chars.next();
                    continue;
                }
                Some('\r') if is_line_end(&chars) => {
                    chars.next();
                    continue;
                }
                Some(c) if Some(c) == format.comment => {
                    while chars.next_if(|c| *c != '\n').is_some() {}
                    continue;
                }
                Some(_) => {}
            }
        }
        let field = if chars.next_if_eq(&'"').is_some() {
            quoted(&mut chars, &mut line)?
        } else {
            let mut field = String::new();
            while let Some(c) = chars.peek().copied() {
                if c == format.separator || c == '\n' || (c == '\r' && is_line_end(&chars)) {
                    break;
                }
                if c == '"' {
                    return Err(format!(
                        "line {line}: a quote in the middle of a field: put the field in quotes, and double the quote"
                    ));
                }
                field.push(c);
                chars.next();
            }
            field
        };
        row.push(field);
        if chars.peek() == Some(&'\r') && is_line_end(&chars) {
            chars.next();
        }
        match chars.next() {
            Some(c) if c == format.separator => {
                // The last field of the text may be an empty one.
                if chars.peek().is_none() {
                    row.push(String::new());
                    rows.push(std::mem::take(&mut row));
                }
            }
            Some('\n') => {
                line += 1;
                rows.push(std::mem::take(&mut row));
            }
            None => {
                rows.push(row);
                return Ok(rows);
            }
            Some(_) => {
                return Err(format!(
                    "line {line}: something stands behind the closing quote of a field"
                ));
            }
        }
    }
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

fn quoted(chars: &mut Chars<'_>, line: &mut usize) -> Result<String, String> {
    let begun = *line;
    let mut field = String::new();
    while let Some(c) = chars.next() {
        match c {
            '"' if chars.next_if_eq(&'"').is_some() => field.push('"'),
            '"' => return Ok(field),
            c => {
                *line += usize::from(c == '\n');
                field.push(c);
            }
        }
    }
    Err(format!(
        "line {begun}: a field begins with a quote and has none at its end"
    ))
}

/// Whether a carriage return belongs to the end of a line.
fn is_line_end(chars: &Chars<'_>) -> bool {
    let mut ahead = chars.clone();
    ahead.next();
    matches!(ahead.next(), Some('\n') | None)
}

/// Writes rows, a line each.
pub(super) fn write(rows: &[Vec<String>], separator: char) -> String {
    let mut out = String::new();
    for row in rows {
        for (index, field) in row.iter().enumerate() {
            if index > 0 {
                out.push(separator);
            }
            // A row of one empty field would be no row without quotes.
            let alone = row.len() == 1 && field.is_empty();
            let special = |c: char| c == separator || matches!(c, '"' | '\n' | '\r');
            if alone || field.contains(special) || field.starts_with([' ', '#', '\u{feff}']) {
                out.push('"');
                out.push_str(&field.replace('"', "\"\""));
                out.push('"');
            } else {
                out.push_str(field);
            }
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const COMMA: Format = Format {
        separator: ',',
        comment: None,
    };

    #[test]
    fn rows_are_read() {
        for (text, rows) in [
            ("a,b\n1,2\n", vec![vec!["a", "b"], vec!["1", "2"]]),
            ("a,b\r\n1,2\r\n", vec![vec!["a", "b"], vec!["1", "2"]]),
            ("\"a,\"\"b\"\"\nc\",d", vec![vec!["a,\"b\"\nc", "d"]]),
            ("\n\na,\n\n", vec![vec!["a", ""]]),
            ("a,", vec![vec!["a", ""]]),
            (",a", vec![vec!["", "a"]]),
            ("\"\"\n", vec![vec![""]]),
            ("", vec![]),
            ("a\rb,c", vec![vec!["a\rb", "c"]]),
        ] {
            assert_eq!(parse(text, COMMA).unwrap(), rows, "{text:?}");
        }
        let format = Format {
            separator: '\t',
            comment: Some('#'),
        };
        assert_eq!(parse("#x\na\tb,c\n#y", format).unwrap(), [["a", "b,c"]]);
    }

    #[test]
    fn a_broken_text_is_an_error_with_its_line() {
        for (text, part) in [
            ("a\n\"b", "line 2: a field begins"),
            ("a\"b", "line 1: a quote in the middle"),
            ("\"a\"b", "line 1: something stands"),
        ] {
            let error = parse(text, COMMA).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn what_was_written_reads_back(rows in prop::collection::vec(prop::collection::vec("[a,\"\n\r #]{0,5}", 1..4), 0..5)) {
            prop_assert_eq!(parse(&write(&rows, ','), COMMA).unwrap(), rows);
        }
    }
}
