//! What has been typed so far, seen without evaluating it: what is open in it, and what may follow.

/// Whether what has been typed can be evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputState {
    /// It is whole, right or wrong.
    Whole,
    /// A bracket, a string or a line that ends with a backslash is open: nothing else than more lines makes sense.
    Open,
    /// It holds a block, such as a `def`, that may go on in the next line. A person ends it with an empty line, a file with the
    /// next line that is not indented.
    Block,
}

/// Whether what has been typed can be evaluated: all of its lines, without the end of the last one.
#[must_use]
pub fn input_state(text: &str) -> InputState {
    let scan = Scan::of(text);
    if scan.is_open() {
        InputState::Open
    } else if scan.block {
        InputState::Block
    } else {
        InputState::Whole
    }
}

/// Whether a line stands outside of the block before it: it is not indented, and no `else` of it.
#[must_use]
pub fn ends_block(line: &str) -> bool {
    let word = line
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .next()
        .unwrap_or_default();
    !line.trim().is_empty() && !line.starts_with([' ', '\t', '#']) && word != "else" && word != "elif"
}

/// A text's structure, as far as it can be told without parsing it: it need not be whole or right.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// The brackets that are open at its end, and where they stand.
    pub(super) brackets: Vec<(char, usize)>,
    /// It ends inside of a string.
    pub(super) in_string: bool,
    /// It ends inside of a comment.
    pub(super) in_comment: bool,
    /// That string goes on over the ends of lines.
    triple: bool,
    /// It ends with a backslash outside of strings and comments.
    backslash: bool,
    /// A line of it has opened a block.
    block: bool,
}

impl Scan {
    pub(super) fn of(text: &str) -> Self {
        let mut scan = Self::default();
        let mut rest = text.char_indices().peekable();
        let mut quote: Option<char> = None;
        // The last thing on the line that is neither blank nor comment.
        let mut last = ' ';
        while let Some((at, c)) = rest.next() {
            if let Some(end) = quote {
                match c {
                    '\\' => {
                        rest.next();
                    }
                    '\n' if !scan.triple => quote = None,
                    _ if c == end && !scan.triple => quote = None,
                    _ if c == end
                        && text
                            .get(at + 1..)
                            .is_some_and(|after| starts_with_twice(after, end)) =>
                    {
                        rest.next();
                        rest.next();
                        quote = None;
                    }
                    _ => {}
                }
                continue;
            }
            if scan.in_comment && c != '\n' {
                continue;
            }
            match c {
                '\n' => {
                    scan.block |= scan.ends_with_colon(last);
                    scan.in_comment = false;
                    last = ' ';
                }
                '#' => scan.in_comment = true,
                '"' | '\'' => {
                    scan.triple = text
                        .get(at + 1..)
                        .is_some_and(|after| starts_with_twice(after, c));
                    if scan.triple {
                        rest.next();
                        rest.next();
                    }
                    quote = Some(c);
                    last = c;
                }
                '(' | '[' | '{' => {
                    scan.brackets.push((c, at));
                    last = c;
                }
                ')' | ']' | '}' => {
                    scan.brackets.pop();
                    last = c;
                }
                '\\' => {
                    // What it stands before is a part of the line.
                    scan.backslash = rest.peek().is_none();
                    if rest.next_if(|(_, next)| *next == '\n').is_none() {
                        last = c;
                    }
                }
                _ if c.is_whitespace() => {}
                _ => last = c,
            }
        }
        scan.in_string = quote.is_some();
        scan.block |= !scan.in_string && scan.ends_with_colon(last);
        scan
    }

    fn ends_with_colon(&self, last: char) -> bool {
        last == ':' && self.brackets.is_empty()
    }

    fn is_open(&self) -> bool {
        !self.brackets.is_empty() || self.backslash || (self.in_string && self.triple)
    }
}

fn starts_with_twice(text: &str, c: char) -> bool {
    let mut rest = text.chars();
    rest.next() == Some(c) && rest.next() == Some(c)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_text_is_whole_unless_something_in_it_is_open() {
        for text in [
            "",
            "1 + 1",
            "x = [1, 2]\n",
            "print(')')",
            "print(\"(\") # [",
            "'it\\'s'",
            "'''a\nb'''",
            "a = \"\"",
            "'never closed",
            "a)",
            "x = {1: 2}",
            "x[1:]",
            "lambda x: x",
            "a \\\n + b",
            "'a\\\\'",
            "# if x:",
            "'if x:'",
        ] {
            assert_eq!(input_state(text), InputState::Whole, "{text:?}");
        }
        for text in [
            "print(",
            "x = [1,\n",
            "f(')'",
            "{'a': [1, 2)",
            "'''a\nb",
            "\"\"\"it's\"",
            "r'''\\'''",
            "a = 1 + \\",
            "def f(x,",
            "if f([\n  1\n]",
            "def f():\n    '''doc\n\n",
        ] {
            assert_eq!(input_state(text), InputState::Open, "{text:?}");
        }
    }

    #[test]
    fn a_block_may_go_on() {
        for text in [
            "def f():",
            "def f(): # why",
            "def f():\n    return 1",
            "if x:\n    a()\nelse:",
            "for x in [\n  1,\n]:\n    print(x)\n",
            "if a \\\n   and b:",
        ] {
            assert_eq!(input_state(text), InputState::Block, "{text:?}");
        }
        assert_eq!(input_state("def f(): return 1"), InputState::Whole);
    }

    #[test]
    fn a_block_of_a_file_ends_with_the_next_line_that_is_not_indented() {
        for line in ["x = 1", "f()", "elsewhere()", "def g():"] {
            assert!(ends_block(line), "{line}");
        }
        for line in ["", "   ", "  x = 1", "\tx", "else:", "elif x:", "# note"] {
            assert!(!ends_block(line), "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[a:\\\\\"'#()\\[\\]{} \né]{0,40}") {
            let _ = input_state(&text);
        }

        #[test]
        fn what_is_whole_stays_whole_in_brackets(text in "[a-z +]{0,10}") {
            prop_assert_eq!(input_state(&format!("({text}")), InputState::Open);
            prop_assert_eq!(input_state(&format!("({text})")), InputState::Whole);
            prop_assert_eq!(input_state(&format!("'''{text}")), InputState::Open);
        }
    }
}
