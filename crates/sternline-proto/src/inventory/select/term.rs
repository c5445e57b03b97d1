//! Cutting a selection into its terms.

use crate::target::parse_targets;

/// What a term does with the hosts that it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    /// They are added.
    Add,
    /// `&`: only they stay.
    And,
    /// `!`: they go.
    Not,
}

/// The terms of a selection, which stand between commas or colons. Neither counts inside brackets, nor a colon that belongs to a
/// port or an IPv6 address. Terms are without white space round them.
#[must_use]
pub fn split_terms(text: &str) -> Vec<&str> {
    let mut terms = Vec::new();
    for item in split_outside(text, ',') {
        let (_, body) = sign(item);
        if is_target(body) {
            terms.push(item);
        } else {
            terms.extend(split_outside(item, ':'));
        }
    }
    terms
}

/// What a term does, and what follows the sign.
pub(super) fn sign(term: &str) -> (Sign, &str) {
    let (sign, body) = match (term.strip_prefix('&'), term.strip_prefix('!')) {
        (Some(body), _) => (Sign::And, body),
        (None, Some(body)) => (Sign::Not, body),
        (None, None) => (Sign::Add, term),
    };
    (sign, body.trim())
}

/// Whether a colon in it is a target's. One before the user's name is none: `web:!bob@web-1` does not log in on web-1 as
/// `web:!bob`.
fn is_target(text: &str) -> bool {
    let named = text.strip_prefix("ssh://").unwrap_or(text);
    let user = named.rsplit_once('@').map_or("", |(user, _)| user);
    text.contains(':') && !user.contains(':') && !text.starts_with('~') && parse_targets(text).is_ok()
}

/// Cuts where no bracket is open; in a regular expression, which begins with `~`, all kinds of brackets count.
fn split_outside(text: &str, separator: char) -> Vec<&str> {
    let mut items = Vec::new();
    let (mut begin, mut depth, mut is_escaped) = (0, 0_u32, false);
    let is_regex = |begin: usize| {
        let item = text.get(begin..).unwrap_or_default();
        sign(item.trim_start()).1.starts_with('~')
    };
    let mut regex = is_regex(0);
    for (at, c) in text.char_indices() {
        if std::mem::take(&mut is_escaped) {
            continue;
        }
        match c {
            '\\' if regex => is_escaped = true,
            '[' => depth += 1,
            '(' | '{' if regex => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            ')' | '}' if regex => depth = depth.saturating_sub(1),
            c if c == separator && depth == 0 => {
                items.push(text.get(begin..at).unwrap_or_default().trim());
                begin = at + c.len_utf8();
                regex = is_regex(begin);
            }
            _ => {}
        }
    }
    items.push(text.get(begin..).unwrap_or_default().trim());
    items
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn terms_stand_between_commas_or_colons() {
        for (text, expected) in [
            ("web", &["web"][..]),
            ("web:&prod:!canary", &["web", "&prod", "!canary"]),
            ("web, db:!canary", &["web", "db", "!canary"]),
            ("web-[1-3,7],db", &["web-[1-3,7]", "db"]),
            ("web[0:2]:db[1]", &["web[0:2]", "db[1]"]),
            ("web:2222", &["web:2222"]),
            ("bob@web:22,!db:2222", &["bob@web:22", "!db:2222"]),
            ("::1,[::1]:22,fe80::1%eth0", &["::1", "[::1]:22", "fe80::1%eth0"]),
            ("ssh://web:22,db", &["ssh://web:22", "db"]),
            ("ssh://bob@web:22", &["ssh://bob@web:22"]),
            ("web:!bob@web-1", &["web", "!bob@web-1"]),
            ("web:bob@[::1]", &["web", "bob@[::1]"]),
            ("~(?:a|b){1,2}:!~x[:,]y,c", &["~(?:a|b){1,2}", "!~x[:,]y", "c"]),
            ("~a\\(:b", &["~a\\(", "b"]),
            ("env=prod:&role=web", &["env=prod", "&role=web"]),
            ("a,,b", &["a", "", "b"]),
            ("", &[""]),
        ] {
            assert_eq!(split_terms(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn terms_hold_all_but_separators(text in "[a-c~!&,:\\[\\](){}@0-9\\\\]{0,16}") {
            let joined: String = split_terms(&text).concat();
            let bare = |text: &str| text.replace([',', ':'], "");
            prop_assert_eq!(bare(&joined), bare(&text));
        }
    }
}
