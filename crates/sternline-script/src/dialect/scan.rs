//! One pass over a script's text before it is parsed: `assert` gets its other name, and what nests too deep is found.
//!
//! The pass tells code from strings and comments exactly as the crate's lexer does, and looks into the braces of f-strings.
//! Where the lexer would fail, it stops and leaves the rest as it is: the parser then says what is wrong.

use std::borrow::Cow;

use super::assert_word::{ALIAS, WORD};

/// What the pass found.
pub(super) struct Scan<'t> {
    pub(super) text: Cow<'t, str>,
    /// How deep brackets lie in one another at most, and where.
    pub(super) deepest: Most,
    /// How many operators, calls and members one expression has at most, and where.
    pub(super) longest: Most,
    /// How many digits a number has at most, and where.
    pub(super) digits: Most,
}

#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Most {
    pub(super) levels: usize,
    pub(super) at: usize,
}

impl Most {
    fn see(&mut self, levels: usize, at: usize) {
        if levels > self.levels {
            *self = Self { levels, at };
        }
    }
}

pub(super) fn scan(text: &str) -> Scan<'_> {
    let mut scanner = Scanner::new(text);
    while scanner.step().is_some() {}
    let Scanner {
        found,
        deepest,
        longest,
        digits,
        ..
    } = scanner;
    let renamed = match found.is_empty() {
        true => Cow::Borrowed(text),
        false => Cow::Owned(rename(text, &found)),
    };
    Scan {
        text: renamed,
        deepest,
        longest,
        digits,
    }
}

fn rename(text: &str, found: &[usize]) -> String {
    let mut renamed = String::with_capacity(text.len());
    let mut done = 0;
    for at in found {
        renamed.push_str(text.get(done..*at).unwrap_or_default());
        renamed.push_str(ALIAS);
        done = at + WORD.len();
    }
    renamed.push_str(text.get(done..).unwrap_or_default());
    renamed
}

struct Scanner<'t> {
    bytes: &'t [u8],
    at: usize,
    /// The f-strings that are open, the innermost last.
    open: Vec<FString>,
    brackets: usize,
    /// How many parts the expression has so far.
    parts: usize,
    /// How many `elif` there are, each of which lies in the one before.
    elifs: usize,
    /// Where the word stands that gets another name.
    found: Vec<usize>,
    deepest: Most,
    longest: Most,
    digits: Most,
}

/// An f-string: its text, while no brace is open, or the code in one.
struct FString {
    quote: u8,
    triple: bool,
    braces: usize,
    parens: usize,
    squares: usize,
}

impl<'t> Scanner<'t> {
    fn new(text: &'t str) -> Self {
        Self {
            bytes: text.as_bytes(),
            at: 0,
            open: Vec::new(),
            brackets: 0,
            parts: 0,
            elifs: 0,
            found: Vec::new(),
            deepest: Most::default(),
            longest: Most::default(),
            digits: Most::default(),
        }
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    /// Goes one token on. `None` is the end of the text, or what the lexer refuses.
    fn step(&mut self) -> Option<()> {
        if self.open.last().is_some_and(|string| string.braces == 0) {
            return self.text_of_f_string();
        }
        let byte = self.peek(0)?;
        match byte {
            b'#' => self.skip_while(|byte| byte != b'\n'),
            b'\'' | b'"' => return self.string(byte),
            b'0'..=b'9' => self.number(),
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => return self.word(),
            _ => self.symbol(byte),
        }
        Some(())
    }

    fn skip_while(&mut self, goes_on: impl Fn(u8) -> bool) {
        while self.peek(0).is_some_and(&goes_on) {
            self.at += 1;
        }
    }

    fn number(&mut self) {
        let begin = self.at;
        let radix = self.peek(1).map(|byte| byte.to_ascii_lowercase());
        let digits = self.peek(2);
        if self.peek(0) == Some(b'0')
            && radix == Some(b'x')
            && digits.is_some_and(|byte| byte.is_ascii_hexdigit())
        {
            self.at += 2;
            self.skip_while(|byte| byte.is_ascii_hexdigit());
        } else {
            self.skip_while(|byte| byte.is_ascii_digit());
        }
        self.digits.see(self.at - begin, begin);
    }

    fn word(&mut self) -> Option<()> {
        let start = self.at;
        self.skip_while(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let word = self.bytes.get(start..self.at)?;
        if let Some(quote @ (b'\'' | b'"')) = self.peek(0) {
            match word {
                b"r" | b"b" | b"br" | b"rb" => return self.string(quote),
                b"f" | b"fr" => return self.f_string(quote),
                _ => {}
            }
        }
        if word == WORD.as_bytes() && !self.is_assigned() {
            self.found.push(start);
        }
        match word {
            b"not" | b"and" | b"or" | b"in" | b"if" | b"else" | b"lambda" => self.part(start),
            b"elif" => {
                self.elifs += 1;
                self.longest.see(self.elifs, start);
            }
            _ => {}
        }
        Some(())
    }

    /// Whether a single `=` follows: the word is a name of the script's own there, or of a parameter. Such a name would be
    /// seen, as the key of a dict, so it stays reserved.
    fn is_assigned(&self) -> bool {
        let mut ahead = 0;
        while self.peek(ahead) == Some(b' ') {
            ahead += 1;
        }
        self.peek(ahead) == Some(b'=') && self.peek(ahead + 1) != Some(b'=')
    }

    fn symbol(&mut self, byte: u8) {
        let at = self.at;
        self.at += 1;
        match byte {
            b'(' | b'[' | b'{' => {
                self.brackets += 1;
                self.deepest.see(self.brackets, at);
                self.part(at);
                if let Some(string) = self.open.last_mut() {
                    match byte {
                        b'(' => string.parens += 1,
                        b'[' => string.squares += 1,
                        _ => string.braces += 1,
                    }
                }
            }
            b')' | b']' | b'}' => self.close(byte),
            b'\n' if self.brackets == 0 => self.parts = 0,
            b',' | b';' => self.parts = 0,
            b'+' | b'-' | b'*' | b'/' | b'%' | b'&' | b'|' | b'^' | b'~' | b'<' | b'>' | b'=' | b'!'
            | b'.' => self.part(at),
            _ => {}
        }
    }

    fn close(&mut self, byte: u8) {
        if let Some(string) = self.open.last_mut() {
            match byte {
                b')' => string.parens = string.parens.saturating_sub(1),
                b']' => string.squares = string.squares.saturating_sub(1),
                _ if string.braces == 1 && string.parens == 0 && string.squares == 0 => {
                    // The end of the f-string's code, whose brace was no bracket.
                    string.braces = 0;
                    return;
                }
                _ => string.braces = string.braces.saturating_sub(1),
            }
        }
        self.brackets = self.brackets.saturating_sub(1);
    }

    fn part(&mut self, at: usize) {
        self.parts += 1;
        self.longest.see(self.parts, at);
    }

    /// Whether the next bytes are this quote, three times.
    fn is_triple(&self, quote: u8) -> bool {
        (0..3).all(|ahead| self.peek(ahead) == Some(quote))
    }

    fn string(&mut self, quote: u8) -> Option<()> {
        let triple = self.is_triple(quote);
        self.at += if triple { 3 } else { 1 };
        loop {
            match self.peek(0)? {
                b'\\' => self.escape()?,
                b'\n' if !triple => return None,
                byte if byte == quote && !triple => break self.at += 1,
                byte if byte == quote && self.is_triple(quote) => break self.at += 3,
                _ => self.at += 1,
            }
        }
        Some(())
    }

    /// A backslash, with what it takes its meaning from: even in raw strings, where it keeps a quote from ending them.
    fn escape(&mut self) -> Option<()> {
        let is_windows_line = self.peek(1)? == b'\r' && self.peek(2) == Some(b'\n');
        self.at += if is_windows_line { 3 } else { 2 };
        Some(())
    }

    fn f_string(&mut self, quote: u8) -> Option<()> {
        let triple = self.is_triple(quote);
        self.at += if triple { 3 } else { 1 };
        self.open.push(FString {
            quote,
            triple,
            braces: 0,
            parens: 0,
            squares: 0,
        });
        Some(())
    }

    /// The text of the innermost f-string, to the next piece of code in it or to its end.
    fn text_of_f_string(&mut self) -> Option<()> {
        let (quote, triple) = self.open.last().map(|string| (string.quote, string.triple))?;
        loop {
            match self.peek(0)? {
                b'{' if self.peek(1) == Some(b'{') => self.at += 2,
                b'}' if self.peek(1) == Some(b'}') => self.at += 2,
                b'{' => {
                    self.at += 1;
                    if let Some(string) = self.open.last_mut() {
                        string.braces = 1;
                        string.parens = 0;
                        string.squares = 0;
                    }
                    return Some(());
                }
                b'}' => return None,
                b'\\' => self.escape()?,
                b'\n' if !triple => return None,
                byte if byte == quote && !triple => break self.at += 1,
                byte if byte == quote && self.is_triple(quote) => break self.at += 3,
                _ => self.at += 1,
            }
        }
        self.open.pop();
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use starlark::codemap::CodeMap;
    use starlark::syntax::Dialect;
    use starlark_syntax::lexer::{Lexer, Token};

    use super::super::assert_word::{ALIAS, WORD, restore};
    use super::scan;

    fn renamed(text: &str) -> String {
        scan(text).text.into_owned()
    }

    #[test]
    fn the_word_is_renamed_where_it_is_code() {
        assert_eq!(renamed("assert(x)"), "asser7(x)");
        assert_eq!(renamed("test.assert(x)"), "test.asser7(x)");
        assert_eq!(renamed("assert (x == 1)"), "asser7 (x == 1)");
        assert_eq!(renamed("f(assert)"), "f(asser7)");
        assert_eq!(renamed("a = {1: assert}"), "a = {1: asser7}");
    }

    #[test]
    fn it_stays_in_strings_comments_and_longer_names() {
        for text in [
            r#""assert(x)""#,
            r"'it\'s assert'",
            "# assert(x)",
            r"r'\' assert'",
            r#"b"assert""#,
            "'''a 'quoted' assert'''",
            "assert_equal(1, 2)",
            "my_assert(1)",
            "assert2(1)",
        ] {
            assert_eq!(renamed(text), text);
        }
    }

    #[test]
    fn it_is_renamed_in_the_code_of_an_f_string_and_stays_in_its_text() {
        for (text, expected) in [
            ("f'assert {assert(x)} assert'", "f'assert {asser7(x)} assert'"),
            ("f'{{assert}} {x}'; assert(y)", "f'{{assert}} {x}'; asser7(y)"),
            ("f'{ {1: assert}[1] }assert'", "f'{ {1: asser7}[1] }assert'"),
            (
                r#"f'{f"assert {assert(1)}"} assert'"#,
                r#"f'{f"assert {asser7(1)}"} assert'"#,
            ),
            (
                r#"f"""assert "{assert(1)}" assert""""#,
                r#"f"""assert "{asser7(1)}" assert""""#,
            ),
        ] {
            assert_eq!(renamed(text), expected);
        }
    }

    #[test]
    fn it_stays_reserved_as_a_name_of_the_script_s_own() {
        assert_eq!(renamed("assert = 1"), "assert = 1");
        assert_eq!(renamed("dict(assert=1)"), "dict(assert=1)");
        assert_eq!(renamed("assert == 1"), "asser7 == 1");
    }

    #[test]
    fn what_nests_deep_is_counted() {
        assert_eq!(scan("((([{x}])))").deepest.levels, 5);
        assert_eq!(scan("'((((('").deepest.levels, 0);
        assert_eq!(scan("f'{x}{(y)}'").deepest.levels, 1);
        assert_eq!(scan("a + b + c, d").longest.levels, 2);
    }

    /// What the crate's lexer says: an ordinary identifier in its place shows where the word is code.
    fn as_the_lexer_sees_it(text: &str) -> Option<String> {
        let text = text.replace(WORD, "assery");
        let map = CodeMap::new("x".to_owned(), text.clone());
        let mut expected = String::new();
        let mut done = 0;
        for token in Lexer::new(&text, &Dialect::Extended, map.clone()) {
            let (start, token, end) = token.ok()?;
            if matches!(token, Token::Identifier(name) if name == "assery") {
                expected.push_str(text.get(done..start)?);
                expected.push_str(ALIAS);
                done = end;
            }
        }
        expected.push_str(text.get(done..)?);
        Some(expected.replace("assery", WORD))
    }

    fn texts() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "assert", "assert", "assert(", ")", "x", " ", "\n", "'", "\"", "'''", "\"\"\"", "f'", "f\"",
            "fr'", "r'", "b\"", "{", "}", "{{", "}}", "[", "]", "\\", "\\'", "#", "0x1a", "1", "ä", "_", ".",
            "!r", "f\"\"\"", "fr\"",
        ]);
        prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn the_pass_sees_code_where_the_lexer_does(text in texts()) {
            if let Some(expected) = as_the_lexer_sees_it(&text) {
                prop_assert_eq!(renamed(&text), expected);
            }
        }

        #[test]
        fn columns_and_all_other_text_stay(text in "\\PC{0,60}|(assert|[a-z'\"{}\\\\# \n(]){0,30}") {
            let renamed = renamed(&text);
            prop_assert_eq!(renamed.len(), text.len());
            let lines = |text: &str| text.lines().map(str::len).collect::<Vec<_>>();
            prop_assert_eq!(lines(&renamed), lines(&text));
            prop_assert_eq!(restore(&renamed).into_owned(), text);
        }
    }
}
