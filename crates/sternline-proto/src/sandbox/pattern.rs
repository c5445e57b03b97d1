//! Patterns of shell-like globs: `*`, `?`, `[a-z]`, `[!a-z]`.

/// Whether `*`, `?` and sets may stand for a slash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slash {
    /// In arguments, which are any text.
    Plain,
    /// In names of programs: a pattern for one directory says nothing about those below it.
    Apart,
}

/// One step of a pattern: how many characters it has, and whether it takes this one. `None` for `*`.
fn step(pattern: &[char], c: Option<char>, slash: Slash) -> Option<(usize, bool)> {
    let free = |c: char| slash == Slash::Plain || c != '/';
    match pattern.first()? {
        '*' => None,
        '?' => Some((1, c.is_some_and(free))),
        '[' => match set(pattern) {
            Some((length, negated, members)) => {
                let is_member = |c: char| in_set(members, c) != negated;
                Some((length, c.is_some_and(|c| free(c) && is_member(c))))
            }
            None => Some((1, c == Some('['))),
        },
        literal => Some((1, c == Some(*literal))),
    }
}

/// The set at the start of a pattern: its length, whether it is negated, and what is between the brackets.
fn set(pattern: &[char]) -> Option<(usize, bool, &[char])> {
    let negated = pattern.get(1) == Some(&'!');
    let start = if negated { 2 } else { 1 };
    // A bracket that comes first is a member.
    let length = pattern.iter().skip(start + 1).position(|c| *c == ']')?;
    let end = start + 1 + length;
    Some((end + 1, negated, pattern.get(start..end)?))
}

fn in_set(mut members: &[char], c: char) -> bool {
    loop {
        members = match members {
            [] => return false,
            [from, '-', to, rest @ ..] => {
                if (*from..=*to).contains(&c) {
                    return true;
                }
                rest
            }
            [one, rest @ ..] => {
                if *one == c {
                    return true;
                }
                rest
            }
        };
    }
}

/// Whether the pattern stands for the whole text.
pub(super) fn matches(pattern: &str, text: &str, slash: Slash) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    let (mut p, mut t) = (0, 0);
    // Where the last star was, and how far it reaches so far.
    let mut star: Option<(usize, usize)> = None;
    loop {
        let rest = pattern.get(p..).unwrap_or_default();
        let c = text.get(t).copied();
        match step(rest, c, slash) {
            _ if rest.is_empty() && c.is_none() => return true,
            None if !rest.is_empty() => {
                star = Some((p, t));
                p += 1;
                continue;
            }
            Some((length, true)) => {
                p += length;
                t += 1;
                continue;
            }
            _ => {}
        }
        let Some((at, reach)) = star else { return false };
        match text.get(reach) {
            Some('/') if slash == Slash::Apart => return false,
            None => return false,
            Some(_) => {
                star = Some((at, reach + 1));
                (p, t) = (at + 1, reach + 1);
            }
        }
    }
}

/// Whether the pattern is just a name, without anything that stands for something else.
pub(super) fn is_literal(pattern: &str) -> bool {
    !pattern.contains(['*', '?', '['])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn patterns_stand_for_whole_texts() {
        for (pattern, text, expected) in [
            ("ls", "ls", true),
            ("ls", "lsof", false),
            ("ls", "/bin/ls", false),
            ("ls*", "lsof", true),
            ("*", "", true),
            ("?", "", false),
            ("a*b*c", "aXbXbc", true),
            ("a*b*c", "aXbXb", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]]", "]", true),
            ("[!]]", "]", false),
            ("[", "[", true),
            ("-exec*", "-execdir", true),
            ("/usr/bin/*", "/usr/bin/ls", true),
            ("/usr/bin/*", "/usr/bin/a/ls", false),
            ("/usr/bin/*", "/usr/bin/../../tmp/evil", false),
            ("/usr/*/ls", "/usr/bin/ls", true),
            ("/usr?bin", "/usr/bin", false),
            ("/usr[/]bin", "/usr/bin", false),
            ("/usr[!a]bin", "/usr/bin", false),
            ("*", "/bin/sh", false),
        ] {
            assert_eq!(matches(pattern, text, Slash::Apart), expected, "{pattern} {text}");
        }
        assert!(matches("*", "/bin/sh", Slash::Plain));
        assert!(matches("--file=*", "--file=/etc/x", Slash::Plain));
    }

    proptest! {
        #[test]
        fn a_text_without_signs_stands_for_itself_alone(text in "[a-z/.-]{0,12}", other in "[a-z/.-]{0,12}") {
            prop_assert!(matches(&text, &text, Slash::Apart));
            prop_assert_eq!(matches(&text, &other, Slash::Plain), text == other);
        }

        #[test]
        fn no_sign_stands_for_a_slash_in_names(pattern in "[a*?\\[\\]!-]{0,8}", text in "[a!-]{0,4}/[a!-]{0,4}") {
            prop_assert!(!matches(&pattern, &text, Slash::Apart));
        }

        #[test]
        fn matching_always_ends(pattern in "[ab*?\\[\\]!-]{0,24}", text in "[ab]{0,40}") {
            let _ = matches(&pattern, &text, Slash::Plain);
        }
    }
}
