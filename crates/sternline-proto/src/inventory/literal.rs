//! Python's literals, which Ansible's INI takes for values: `22`, `True`, `'a b'`, `['a', 'b']`, `{'a': 1}`.
//!
//! What is no literal is a text as it stands, so everything that is odd enough may be one: only what people write is read.

use super::value::Value;

/// How deep lists may be nested; beyond it the text is taken for a text.
const MAX_DEPTH: usize = 32;

/// The value that a text stands for: itself, where it is no literal.
pub(super) fn value(text: &str) -> Value {
    let mut reader = Reader {
        rest: text.trim_start_matches([' ', '\t']),
        depth: 0,
    };
    let literal = reader.top();
    literal.unwrap_or_else(|| text.into())
}

struct Reader<'a> {
    rest: &'a str,
    depth: usize,
}

impl Reader<'_> {
    /// A value, or several with commas between them, which are a list; behind it a comment at most.
    fn top(&mut self) -> Option<Value> {
        let first = self.value()?;
        self.blank();
        let value = match self.take(',') {
            true => {
                let mut items = vec![first];
                loop {
                    self.blank();
                    if self.rest.is_empty() || self.rest.starts_with('#') {
                        break;
                    }
                    items.push(self.value()?);
                    self.blank();
                    if !self.take(',') {
                        break;
                    }
                }
                Value::Array(items)
            }
            false => first,
        };
        self.blank();
        let is_comment = self.rest.starts_with('#') && !self.rest.contains('\n');
        (self.rest.is_empty() || is_comment).then_some(value)
    }

    fn value(&mut self) -> Option<Value> {
        self.blank();
        match self.rest.chars().next()? {
            '[' => self.items('[', ']').map(|(items, _)| Value::Array(items)),
            '(' => {
                let (items, has_comma) = self.items('(', ')')?;
                match <[Value; 1]>::try_from(items) {
                    Ok([only]) if !has_comma => Some(only),
                    Ok(only) => Some(Value::Array(only.into())),
                    Err(items) => Some(Value::Array(items)),
                }
            }
            '{' => self.fields(),
            '\'' | '"' | 'r' | 'R' | 'u' | 'U' | 'b' | 'B' => self.texts(),
            '0'..='9' | '.' | '+' | '-' => self.number(),
            _ => self.word(),
        }
    }

    fn word(&mut self) -> Option<Value> {
        let end = self
            .rest
            .find(|c: char| !c.is_alphanumeric() && c != '_')
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        match word {
            "True" => Some(true.into()),
            "False" => Some(false.into()),
            "None" => Some(Value::Null),
            _ => None,
        }
    }

    /// What stands between brackets, and whether there is a comma in it.
    fn items(&mut self, open: char, close: char) -> Option<(Vec<Value>, bool)> {
        self.enter(open)?;
        let (mut items, mut has_comma) = (Vec::new(), false);
        loop {
            self.blank_lines();
            if self.take(close) {
                break;
            }
            items.push(self.value()?);
            self.blank_lines();
            if self.take(',') {
                has_comma = true;
            } else if self.take(close) {
                break;
            } else {
                return None;
            }
        }
        self.depth -= 1;
        Some((items, has_comma))
    }

    /// A dictionary or a set, which becomes a list.
    fn fields(&mut self) -> Option<Value> {
        self.enter('{')?;
        let (mut fields, mut items) = (serde_json::Map::new(), Vec::new());
        loop {
            self.blank_lines();
            if self.take('}') {
                break;
            }
            let key = self.value()?;
            self.blank_lines();
            if self.take(':') {
                self.blank_lines();
                let value = self.value()?;
                fields.insert(key_text(&key)?, value);
            } else {
                items.push(key);
            }
            self.blank_lines();
            if !self.take(',') && !self.rest.starts_with('}') {
                return None;
            }
        }
        self.depth -= 1;
        match (fields.is_empty(), items.is_empty()) {
            (_, true) => Some(Value::Object(fields)),
            (true, false) => Some(Value::Array(items)),
            (false, false) => None,
        }
    }

    fn enter(&mut self, open: char) -> Option<()> {
        self.depth += 1;
        (self.take(open) && self.depth <= MAX_DEPTH).then_some(())
    }

    /// Quoted texts, which are one where they stand beside each other.
    fn texts(&mut self) -> Option<Value> {
        let mut all = self.text()?;
        loop {
            self.blank();
            match self.rest.chars().next() {
                Some('\'' | '"') => all.push_str(&self.text()?),
                _ => return Some(all.into()),
            }
        }
    }

    fn text(&mut self) -> Option<String> {
        let quote_at = self.rest.find(['\'', '"'])?;
        let (prefix, rest) = self.rest.split_at(quote_at);
        let is_raw = match prefix.to_ascii_lowercase().as_str() {
            "" | "u" | "b" => false,
            "r" | "br" | "rb" => true,
            _ => return None,
        };
        let quote = rest.chars().next()?;
        let triple: String = [quote; 3].iter().collect();
        let (end, rest) = match rest.strip_prefix(&triple) {
            Some(inside) => (triple, inside),
            None => (quote.to_string(), rest.get(1..)?),
        };
        self.rest = rest;
        let mut out = String::new();
        loop {
            if let Some(rest) = self.rest.strip_prefix(&end) {
                self.rest = rest;
                return Some(out);
            }
            let c = self.next()?;
            match c {
                '\\' if is_raw => {
                    out.push('\\');
                    out.push(self.next()?);
                }
                '\\' => self.escape(&mut out)?,
                '\n' if end.len() == 1 => return None,
                c => out.push(c),
            }
        }
    }

    fn escape(&mut self, out: &mut String) -> Option<()> {
        let c = self.next()?;
        let digits = match c {
            '\n' => return Some(()),
            '\\' | '\'' | '"' => {
                out.push(c);
                return Some(());
            }
            'a' => '\x07',
            'b' => '\x08',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\x0b',
            'x' => return self.code(2, 16, out),
            'u' => return self.code(4, 16, out),
            'U' => return self.code(8, 16, out),
            'N' => return None,
            '0'..='7' => {
                let more = self
                    .rest
                    .chars()
                    .take(2)
                    .take_while(|c| ('0'..='7').contains(c))
                    .count();
                let digits: String = std::iter::once(c).chain(self.rest.chars().take(more)).collect();
                self.rest = self.rest.get(more..)?;
                out.push(char::from_u32(u32::from_str_radix(&digits, 8).ok()?)?);
                return Some(());
            }
            other => {
                out.push('\\');
                other
            }
        };
        out.push(digits);
        Some(())
    }

    fn code(&mut self, length: usize, radix: u32, out: &mut String) -> Option<()> {
        let digits = self
            .rest
            .get(..length)
            .filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
        out.push(char::from_u32(u32::from_str_radix(digits, radix).ok()?)?);
        self.rest = self.rest.get(length..)?;
        Some(())
    }

    fn number(&mut self) -> Option<Value> {
        // More than one sign is no literal.
        let is_negative = self.take('-');
        if !is_negative {
            self.take('+');
        }
        self.blank();
        let mut previous = ' ';
        let end = self.rest.find(|c: char| {
            let is_exponent = matches!(previous, 'e' | 'E') && matches!(c, '+' | '-');
            previous = c;
            !(c.is_alphanumeric() || matches!(c, '_' | '.') || is_exponent)
        });
        let (digits, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        number(digits, is_negative)
    }

    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let c = chars.next()?;
        self.rest = chars.as_str();
        Some(c)
    }

    fn take(&mut self, c: char) -> bool {
        match self.rest.strip_prefix(c) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn blank(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\x0c']);
    }

    fn blank_lines(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\x0c', '\n', '\r']);
    }
}

/// A number without its sign.
fn number(digits: &str, is_negative: bool) -> Option<Value> {
    let has_good_underscores = !digits.starts_with('_')
        && !digits.ends_with('_')
        && !digits.contains("__")
        && !digits.contains("._")
        && !digits.contains("_.");
    if !has_good_underscores || !digits.bytes().any(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let plain: String = digits.chars().filter(|c| *c != '_').collect();
    let lower = plain.to_ascii_lowercase();
    let radix = [("0x", 16), ("0o", 8), ("0b", 2)]
        .into_iter()
        .find_map(|(prefix, radix)| Some((lower.strip_prefix(prefix)?, radix)));
    let integer = match radix {
        Some((digits, radix)) => {
            Some(i128::from_str_radix(digits.strip_prefix(['+', '-']).map_or(digits, |_| ""), radix).ok()?)
        }
        None if plain.bytes().all(|b| b.is_ascii_digit()) => {
            // 022 is no number to Python, but 00 is.
            let is_padded = plain.len() > 1 && plain.starts_with('0') && plain.bytes().any(|b| b != b'0');
            if is_padded {
                return None;
            }
            Some(plain.parse::<i128>().ok()?)
        }
        None => None,
    };
    if let Some(integer) = integer {
        let signed = if is_negative { -integer } else { integer };
        return match i64::try_from(signed) {
            Ok(number) => Some(number.into()),
            Err(_) => Some(u64::try_from(signed).ok()?.into()),
        };
    }
    let is_float = plain.bytes().all(|b| b.is_ascii_digit() || b".eE+-".contains(&b));
    if !is_float || plain.starts_with(['e', 'E']) {
        return None;
    }
    let float: f64 = plain.parse().ok()?;
    serde_json::Number::from_f64(if is_negative { -float } else { float }).map(Value::Number)
}

/// What a key is called in JSON.
fn key_text(key: &Value) -> Option<String> {
    match key {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(true) => Some("true".to_owned()),
        Value::Bool(false) => Some("false".to_owned()),
        Value::Null => Some("null".to_owned()),
        Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn what_python_reads_as_a_literal_is_one() {
        for (text, expected) in [
            ("22", json!(22)),
            (" -5", json!(-5)),
            ("1_000", json!(1000)),
            ("0x1f", json!(31)),
            ("0o17", json!(15)),
            ("00", json!(0)),
            ("1.5", json!(1.5)),
            ("1e3", json!(1000.0)),
            (".5", json!(0.5)),
            ("True", json!(true)),
            ("None", json!(null)),
            ("'a b'", json!("a b")),
            ("\"03#pa33\"", json!("03#pa33")),
            ("'a' \"b\"", json!("ab")),
            ("r'a\\n'", json!("a\\n")),
            ("'a\\n\\x41\\u00e9\\101\\q'", json!("a\nA\u{e9}A\\q")),
            ("'''a'b'''", json!("a'b")),
            ("['a', 1, [None]]", json!(["a", 1, [null]])),
            ("('a',)", json!(["a"])),
            ("('a')", json!("a")),
            ("()", json!([])),
            ("{'a': {'b': 1}, 2: 'x'}", json!({"a": {"b": 1}, "2": "x"})),
            ("{'a'}", json!(["a"])),
            ("1, 2", json!([1, 2])),
            ("1,", json!([1])),
            ("5 # five", json!(5)),
        ] {
            assert_eq!(value(text), expected, "{text}");
        }
    }

    #[test]
    fn everything_else_is_the_text_as_it_stands() {
        for text in [
            "",
            "web",
            "true",
            "no",
            "022",
            "10.0.0.5",
            "2001:db8::1",
            "a,b",
            "1 2",
            "['a'",
            "{'a':}",
            "'a",
            "x'a'",
            "{{ x }}",
            "5 apples",
            "-",
            "~/key",
            "0x",
            "1__0",
            "_1",
            "foo # c",
            "-o Port=22",
            "u",
            "b",
            "e5",
            "1e",
            ".",
            "inf",
            "--",
            "--1",
            "-+1",
        ] {
            assert_eq!(value(text), json!(text), "{text}");
        }
        let deep = "[".repeat(10_000) + &"]".repeat(10_000);
        assert_eq!(value(&deep), json!(deep));
    }

    proptest! {
        #[test]
        fn any_text_has_a_value(text in "[\\[\\](){}'\"a-c0-9.,:#\\\\ eEx_+-]{0,24}") {
            let _ = value(&text);
        }

        #[test]
        fn lists_of_texts_come_back(items in proptest::collection::vec("[a-z \"#,\\[{]{0,6}", 0..6)) {
            let text = format!("[{}]", items.iter().map(|item| format!("'{item}'")).collect::<Vec<_>>().join(", "));
            prop_assert_eq!(value(&text), json!(items));
        }
    }
}
