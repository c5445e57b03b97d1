//! Patterns as in the section PATTERNS of ssh_config(5).

/// Whether a pattern with `*` and `?` fits the whole text. Upper and lower case differ.
pub fn fits(pattern: &str, text: &str) -> bool {
    let (mut pattern, mut text) = (pattern.chars(), text.chars());
    // Where to go on after the last `*`, letting it take one more character.
    let mut retry = None;
    loop {
        let before = text.clone();
        match (pattern.next(), text.next()) {
            (None, None) => return true,
            (Some('*'), _) => {
                text = before;
                retry = Some((pattern.clone(), text.clone()));
            }
            (Some(want), Some(c)) if want == '?' || want == c => {}
            _ => {
                let Some((after_star, mut taken)) = retry else {
                    return false;
                };
                if taken.next().is_none() {
                    return false;
                }
                (pattern, text) = (after_star.clone(), taken.clone());
                retry = Some((after_star, taken));
            }
        }
    }
}

/// Whether a list of patterns fits: at least one does, and none that is negated by `!`.
pub(super) fn list_fits<'a>(patterns: impl IntoIterator<Item = &'a str>, text: &str) -> bool {
    let mut found = false;
    for pattern in patterns {
        match pattern.strip_prefix('!') {
            Some(negated) if fits(negated, text) => return false,
            Some(_) => {}
            None => found |= fits(pattern, text),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn stars_and_question_marks_stand_for_characters() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("*", "web", true),
            ("web", "WEB", false),
            ("w?b", "web", true),
            ("w?b", "wb", false),
            ("*.example.com", "a.b.example.com", true),
            ("*a*b*c", "xaxbxbxc", true),
            ("*a*b*c", "xaxbxbx", false),
            ("??", "é1", true),
            ("", "", true),
            ("", "x", false),
        ] {
            assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_negated_pattern_excludes_and_never_includes() {
        for (patterns, expected) in [
            (&["*", "!web"][..], false),
            (&["!web", "*"], false),
            (&["!db", "w*"], true),
            (&["!db"], false),
            (&[], false),
        ] {
            assert_eq!(
                list_fits(patterns.iter().copied(), "web"),
                expected,
                "{patterns:?}"
            );
        }
    }

    /// The definition, without regard to time.
    fn fits_by_definition(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, rest) => rest.is_none(),
            (Some((b'*', after)), _) => {
                (0..=text.len()).any(|taken| fits_by_definition(after, &text[taken..]))
            }
            (Some((want, after)), Some((c, rest))) => {
                (*want == b'?' || want == c) && fits_by_definition(after, rest)
            }
            (Some(_), None) => false,
        }
    }

    proptest! {
        #[test]
        fn fitting_follows_the_definition(pattern in "[ab*?]{0,8}", text in "[ab]{0,8}") {
            prop_assert_eq!(fits(&pattern, &text), fits_by_definition(pattern.as_bytes(), text.as_bytes()));
        }
    }
}
