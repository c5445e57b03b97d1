//! From data to a text of YAML, in block style, as a person would write it.

use std::fmt::Write as _;

use serde_json::Map;

use super::scalar::is_ambiguous;
use crate::data::Data;

/// The longest text that may be a key on its line.
const MAX_KEY: usize = 1000;

/// One document, with its line end.
pub(super) fn encode(data: &Data) -> String {
    let mut out = String::new();
    match data {
        Data::Object(fields) if !fields.is_empty() => map(&mut out, fields, 0, true),
        Data::Array(items) if !items.is_empty() => list(&mut out, items, 0, true),
        _ => {
            value(&mut out, data, 0);
            out.push('\n');
        }
    }
    out
}

/// Several documents.
pub(super) fn encode_all(documents: &[Data]) -> String {
    let documents: Vec<String> = documents.iter().map(encode).collect();
    documents.join("---\n")
}

/// `is_begun`: the first line is indented already.
fn map(out: &mut String, fields: &Map<String, Data>, indent: usize, is_begun: bool) {
    let mut is_begun = is_begun;
    for (name, item) in fields {
        if !is_begun {
            pad(out, indent);
        }
        is_begun = false;
        let name = text(name, None);
        if name.len() > MAX_KEY {
            let _ = write!(out, "? {name}\n{:indent$}", "");
        } else {
            out.push_str(&name);
        }
        out.push(':');
        nested(out, item, indent);
    }
}

fn list(out: &mut String, items: &[Data], indent: usize, is_begun: bool) {
    let mut is_begun = is_begun;
    for item in items {
        if !is_begun {
            pad(out, indent);
        }
        is_begun = false;
        out.push('-');
        match item {
            Data::Object(fields) if !fields.is_empty() => {
                out.push(' ');
                map(out, fields, indent + 2, true);
            }
            Data::Array(items) if !items.is_empty() => {
                out.push(' ');
                list(out, items, indent + 2, true);
            }
            _ => nested(out, item, indent),
        }
    }
}

/// What stands behind a colon or a dash.
fn nested(out: &mut String, item: &Data, indent: usize) {
    match item {
        Data::Object(fields) if !fields.is_empty() => {
            out.push('\n');
            map(out, fields, indent + 2, false);
        }
        Data::Array(items) if !items.is_empty() => {
            out.push('\n');
            list(out, items, indent + 2, false);
        }
        _ => {
            out.push(' ');
            value(out, item, indent);
            out.push('\n');
        }
    }
}

fn value(out: &mut String, data: &Data, indent: usize) {
    match data {
        Data::String(content) => out.push_str(&text(content, Some(indent))),
        Data::Object(_) => out.push_str("{}"),
        Data::Array(_) => out.push_str("[]"),
        Data::Null | Data::Bool(_) | Data::Number(_) => out.push_str(&data.to_string()),
    }
}

/// A text, without quotes if it may be. Where lines are allowed, `block` is the indentation around it.
fn text(content: &str, block: Option<usize>) -> String {
    if is_plain(content) {
        return content.to_owned();
    }
    match block {
        Some(indent) if may_be_block(content) => as_block(content, indent + 2),
        _ => quoted(content),
    }
}

/// Whether it reads as the same text without quotes.
fn is_plain(text: &str) -> bool {
    let Some(first) = text.chars().next() else {
        return false;
    };
    let begins_well = match first {
        '-' | '?' | ':' => text
            .chars()
            .nth(1)
            .is_some_and(|next| !next.is_whitespace() && !",[]{}".contains(next)),
        _ => !",[]{}#&*!|>'\"%@`".contains(first),
    };
    begins_well
        && !is_ambiguous(text)
        && text.trim() == text
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.ends_with(':')
        && !text.starts_with("---")
        && !text.starts_with("...")
        && text.chars().all(is_harmless)
}

/// Whether it may stand in lines of its own, as they are.
fn may_be_block(text: &str) -> bool {
    let first = text.split('\n').find(|line| !line.is_empty());
    text.contains('\n')
        && first.is_some_and(|line| !line.starts_with([' ', '\t']))
        && text
            .split('\n')
            .all(|line| line.chars().all(is_harmless) && !line.ends_with([' ', '\t']))
}

/// No control character, no line end of any kind, nothing invisible.
fn is_harmless(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

fn as_block(text: &str, indent: usize) -> String {
    let body = text.trim_end_matches('\n');
    let ends = text.len() - body.len();
    let mut out = String::from(match ends {
        0 => "|-",
        1 => "|",
        _ => "|+",
    });
    for line in body.split('\n') {
        out.push('\n');
        if !line.is_empty() {
            pad(&mut out, indent);
            out.push_str(line);
        }
    }
    // The line end behind the value is the text's first one.
    for _ in 1..ends {
        out.push('\n');
    }
    out
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if is_harmless(c) => out.push(c),
            c => {
                let _ = match u32::from(c) {
                    code @ ..=0xff => write!(out, "\\x{code:02x}"),
                    code @ ..=0xffff => write!(out, "\\u{code:04x}"),
                    code => write!(out, "\\U{code:08x}"),
                };
            }
        }
    }
    out.push('"');
    out
}

fn pad(out: &mut String, indent: usize) {
    out.extend(std::iter::repeat_n(' ', indent));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::decode::{decode, decode_all};
    use super::*;

    #[test]
    fn it_reads_as_a_person_would_write_it() {
        let data = json!({
            "name": "web-1",
            "port": 22,
            "on": true,
            "tags": ["a", "yes", "1.5"],
            "hosts": [{"a": 1, "b": []}, {"a": {}}],
            "text": "first\nsecond\n",
            "open": "first\n\nsecond",
            "none": null,
        });
        let text = concat!(
            "name: web-1\nport: 22\n\"on\": true\ntags:\n  - a\n  - \"yes\"\n  - \"1.5\"\n",
            "hosts:\n  - a: 1\n    b: []\n  - a: {}\ntext: |\n  first\n  second\n",
            "open: |-\n  first\n\n  second\nnone: null\n",
        );
        assert_eq!(encode(&data), text);
    }

    #[test]
    fn texts_that_would_mean_something_else_are_quoted() {
        for text in [
            "",
            " a",
            "a ",
            "- a",
            "-",
            "a: b",
            "a #b",
            "#a",
            "a:",
            "null",
            "yes",
            "1e3",
            "2024-01-01",
            "[a",
            "*a",
            "&a",
            "!a",
            "%a",
            "@a",
            "`a",
            "'a",
            "\"a",
            "|",
            ">",
            "---",
            "... a",
            "\u{85}",
            "\t",
            "a\u{0}b",
            "{{ x }}",
            "? a",
        ] {
            let shown = encode(&text.into());
            assert!(shown.starts_with('"'), "{text:?}: {shown}");
            assert_eq!(decode(&shown), Ok(text.into()), "{shown}");
        }
        for text in ["a", "a b", "a:b", "-a", "a#b", "http://x/y", "é", "1.2.3.4g"] {
            assert_eq!(encode(&text.into()), format!("{text}\n"));
        }
    }

    fn any_data() -> impl Strategy<Value = Data> {
        let text = prop_oneof![
            any::<String>(),
            "[ a-z:#\n\"'-]{0,12}",
            "(a|\n| |\t|b: |#|- ){0,8}",
            "[0-9:._eExo+-]{0,8}",
        ];
        let leaf = prop_oneof![
            Just(Data::Null),
            any::<bool>().prop_map(Data::from),
            any::<i64>().prop_map(Data::from),
            (-1e300..1e300f64).prop_map(Data::from),
            text.clone().prop_map(Data::from),
        ];
        leaf.prop_recursive(4, 32, 5, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Data::from),
                prop::collection::vec((text.clone(), inner), 0..5)
                    .prop_map(|fields| Data::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_reads_as_it_was(data in any_data()) {
            let text = encode(&data);
            prop_assert_eq!(decode(&text), Ok(data), "{}", text);
        }

        #[test]
        fn so_do_several_documents(documents in prop::collection::vec(any_data(), 1..4)) {
            let text = encode_all(&documents);
            prop_assert_eq!(decode_all(&text), Ok(documents), "{}", text);
        }

        #[test]
        fn no_text_makes_it_panic(text in any::<String>(), odd in "[ \n\t:#\\-\\[\\]{}&*!|>'\"%@a0]{0,60}") {
            let _ = decode(&text);
            let _ = decode_all(&odd);
        }
    }
}
