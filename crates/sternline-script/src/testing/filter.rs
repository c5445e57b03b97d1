//! Which tests of a file are run.

/// A choice of tests by their name: a part of it, or a pattern with `*` and `?` for all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter(String);

impl Filter {
    /// The filter that somebody has written.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Whether the test of this name is meant.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        if self.0.contains(['*', '?']) {
            let pattern: Vec<char> = self.0.chars().collect();
            let name: Vec<char> = name.chars().collect();
            pattern_matches(&pattern, &name)
        } else {
            name.contains(&self.0)
        }
    }
}

/// In a time that grows with the product of the lengths, whatever the pattern: only the last `*` is ever tried again.
fn pattern_matches(pattern: &[char], name: &[char]) -> bool {
    let (mut at, mut seen) = (0, 0);
    // Behind the last `*`, and what it stands for so far ends here.
    let mut again: Option<(usize, usize)> = None;
    while let Some(char) = name.get(seen) {
        match pattern.get(at) {
            Some('*') => {
                again = Some((at + 1, seen));
                at += 1;
            }
            Some(wanted) if *wanted == '?' || wanted == char => {
                at += 1;
                seen += 1;
            }
            _ => {
                let Some((behind, end)) = again else { return false };
                again = Some((behind, end + 1));
                at = behind;
                seen = end + 1;
            }
        }
    }
    pattern
        .get(at..)
        .unwrap_or_default()
        .iter()
        .all(|left| *left == '*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_word_is_a_part_of_the_name_and_a_pattern_is_all_of_it() {
        for (filter, name, meant) in [
            ("", "test_a", true),
            ("upload", "test_upload_twice", true),
            ("uploads", "test_upload", false),
            ("test_*", "test_a", true),
            ("*upload", "test_upload_twice", false),
            ("*up*ice", "test_upload_twice", true),
            ("test_?", "test_a", true),
            ("test_?", "test_ab", false),
            ("*", "test_a", true),
            ("?est_é", "test_é", true),
        ] {
            assert_eq!(Filter::new(filter).matches(name), meant, "{filter} {name}");
        }
    }

    proptest! {
        #[test]
        fn a_pattern_matches_as_the_plain_definition_says(pattern in "[ab*?]{0,8}", name in "[ab]{0,8}") {
            fn plain(pattern: &[u8], name: &[u8]) -> bool {
                match (pattern.split_first(), name.split_first()) {
                    (None, None) => true,
                    (Some((b'*', rest)), _) => {
                        plain(rest, name) || name.split_first().is_some_and(|(_, less)| plain(pattern, less))
                    }
                    (Some((wanted, rest)), Some((byte, less))) => {
                        (*wanted == b'?' || wanted == byte) && plain(rest, less)
                    }
                    _ => false,
                }
            }
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(
                pattern_matches(&chars(&pattern), &chars(&name)),
                plain(pattern.as_bytes(), name.as_bytes())
            );
        }
    }
}
