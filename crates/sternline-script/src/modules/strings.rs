//! The module `strings`: what strings have no methods for.

use starlark::environment::GlobalsBuilder;
use starlark::starlark_module;

use super::fmt::format::{Arg, format};

/// The longest text that is filled up to a width.
const MAX_WIDTH: u32 = 1_000_000;

/// Adds the module.
pub(crate) fn register(builder: &mut GlobalsBuilder) {
    builder.namespace("strings", functions);
}

/// How many characters are missing up to a width, and the one that fills them.
fn missing(function: &str, s: &str, width: u32, fillchar: &str) -> anyhow::Result<(usize, char)> {
    let mut chars = fillchar.chars();
    let (Some(fill), None) = (chars.next(), chars.next()) else {
        anyhow::bail!("strings.{function}: fillchar is one character, and not {fillchar:?}");
    };
    if width > MAX_WIDTH {
        anyhow::bail!("strings.{function}: a width of {width} is too much");
    }
    let width = usize::try_from(width)?;
    Ok((width.saturating_sub(s.chars().count()), fill))
}

fn fill(count: usize, with: char) -> String {
    std::iter::repeat_n(with, count).collect()
}

/// What a text in quotes stands for, as Go reads it.
fn unquote(s: &str) -> anyhow::Result<String> {
    let wrong = || anyhow::anyhow!("strings.unquote: {s:?} is no text in quotes");
    let mark = s
        .chars()
        .next()
        .filter(|mark| matches!(mark, '"' | '`' | '\''))
        .ok_or_else(wrong)?;
    let inside = s
        .strip_prefix(mark)
        .and_then(|rest| rest.strip_suffix(mark))
        .ok_or_else(wrong)?;
    if mark == '`' {
        return if inside.contains('`') {
            Err(wrong())
        } else {
            Ok(inside.to_owned())
        };
    }
    let mut out = String::new();
    let mut chars = inside.chars();
    while let Some(c) = chars.next() {
        if c == mark || c == '\n' {
            return Err(wrong());
        }
        if c != '\\' {
            out.push(c);
            continue;
        }
        let escaped = chars.next().ok_or_else(wrong)?;
        let mut code = |digits: usize, radix: u32, first: Option<char>| {
            let rest = digits.saturating_sub(usize::from(first.is_some()));
            let read: String = first.into_iter().chain(chars.by_ref().take(rest)).collect();
            let is_whole = read.len() == digits && read.chars().all(|c| c.is_digit(radix));
            let code = u32::from_str_radix(&read, radix).ok().filter(|_| is_whole);
            code.and_then(char::from_u32)
        };
        let c = match escaped {
            'a' => '\x07',
            'b' => '\x08',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\x0b',
            'x' => code(2, 16, None).ok_or_else(wrong)?,
            'u' => code(4, 16, None).ok_or_else(wrong)?,
            'U' => code(8, 16, None).ok_or_else(wrong)?,
            digit @ '0'..='7' => code(3, 8, Some(digit)).ok_or_else(wrong)?,
            c if c == '\\' || c == mark => c,
            _ => return Err(wrong()),
        };
        out.push(c);
    }
    Ok(out)
}

#[starlark_module]
fn functions(builder: &mut GlobalsBuilder) {
    /// The string with fill behind it, up to a width in characters.
    fn ljust(s: &str, width: u32, #[starlark(default = " ")] fillchar: &str) -> anyhow::Result<String> {
        let (count, with) = missing("ljust", s, width, fillchar)?;
        Ok(format!("{s}{}", fill(count, with)))
    }

    /// The string with fill in front of it, up to a width in characters.
    fn rjust(s: &str, width: u32, #[starlark(default = " ")] fillchar: &str) -> anyhow::Result<String> {
        let (count, with) = missing("rjust", s, width, fillchar)?;
        Ok(format!("{}{s}", fill(count, with)))
    }

    /// The string with fill on both sides, up to a width in characters.
    fn center(s: &str, width: u32, #[starlark(default = " ")] fillchar: &str) -> anyhow::Result<String> {
        let (count, with) = missing("center", s, width, fillchar)?;
        Ok(format!(
            "{}{s}{}",
            fill(count / 2, with),
            fill(count.div_ceil(2), with)
        ))
    }

    /// A tuple of what stands before a separator, what stands behind it, and whether it is there.
    fn cut(s: &str, sep: &str) -> anyhow::Result<(String, String, bool)> {
        Ok(match s.split_once(sep) {
            Some((before, after)) => (before.to_owned(), after.to_owned(), true),
            None => (s.to_owned(), String::new(), false),
        })
    }

    /// Whether two strings are the same but for upper and lower case.
    fn equal(a: &str, b: &str) -> anyhow::Result<bool> {
        Ok(a.to_lowercase() == b.to_lowercase())
    }

    /// Whether any of some characters is in a string.
    fn has_any(s: &str, chars: &str) -> anyhow::Result<bool> {
        Ok(s.contains(|c| chars.contains(c)))
    }

    /// The string in quotes, with escapes for what does not show.
    fn quote(s: &str) -> anyhow::Result<String> {
        Ok(format("%q", &[Arg::Str(s.to_owned())]))
    }

    /// What a string in quotes stands for. An error if it is none.
    fn unquote(s: &str) -> anyhow::Result<String> {
        unquote(s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_no_text_in_quotes_is_an_error() {
        for text in [
            "",
            "a",
            "\"a",
            "\"",
            "\"a\"b\"",
            "\"\\q\"",
            "\"\\x1\"",
            "\"\\ud800\"",
            "`a`b`",
        ] {
            assert!(unquote(text).is_err(), "{text}");
        }
        assert_eq!(unquote("`a\\n`").unwrap(), "a\\n");
        assert_eq!(unquote("\"\\101\\u00e4\"").unwrap(), "Aä");
    }

    proptest! {
        #[test]
        fn what_was_quoted_comes_back(text in any::<String>()) {
            prop_assert_eq!(unquote(&format("%q", &[Arg::Str(text.clone())])).unwrap(), text);
        }
    }
}
