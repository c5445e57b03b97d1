//! Comma lists of targets.

use std::collections::HashSet;

use super::address::{Parts, Target};
use super::error::TargetError;
use super::range::expand;

/// The most targets that one list may name. A mistyped range such as `[1-10000000000]` is an error, not an
/// allocation.
pub const MAX_TARGETS: usize = 100_000;

/// The targets that a list names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetList {
    /// Each target once, at the place where it was named first.
    pub targets: Vec<Target>,
    /// Targets that were named again, in order, so that a caller can say what was dropped.
    pub duplicates: Vec<Target>,
}

/// Reads a comma list of targets, of which each may hold ranges: `a,bob@b:2222,web-[01-03,7].example.com`.
///
/// `[01-20]` counts from 01 to 20 and keeps the zeros, `[1-3,7]` is 1, 2, 3 and 7, and several ranges in one name make
/// every combination, the last varying fastest. Commas inside brackets belong to the range. Two targets are the same
/// when user, host and port are the same as written.
///
/// # Errors
/// The first thing in the list that is no target; [`TargetError::TooMany`] beyond [`MAX_TARGETS`].
pub fn parse_targets(text: &str) -> Result<TargetList, TargetError> {
    let mut list = TargetList {
        targets: Vec::new(),
        duplicates: Vec::new(),
    };
    let mut seen = HashSet::new();
    let mut room = MAX_TARGETS;
    for item in split_outside_brackets(text)? {
        let parts = Parts::split(item)?;
        let hosts = if parts.has_range() {
            expand(parts.host, room)?
        } else {
            vec![parts.host.to_owned()]
        };
        room = room
            .checked_sub(hosts.len())
            .ok_or(TargetError::TooMany { limit: MAX_TARGETS })?;
        for host in hosts {
            let target = parts.target(&host)?;
            if seen.insert(target.clone()) {
                list.targets.push(target);
            } else {
                list.duplicates.push(target);
            }
        }
    }
    Ok(list)
}

fn split_outside_brackets(text: &str) -> Result<Vec<&str>, TargetError> {
    let mut inside = false;
    let mut balanced = true;
    let items = text
        .split(|c| {
            match c {
                '[' => {
                    balanced &= !inside;
                    inside = true;
                }
                ']' => {
                    balanced &= inside;
                    inside = false;
                }
                _ => {}
            }
            c == ',' && !inside
        })
        .collect();
    if balanced && !inside {
        Ok(items)
    } else {
        Err(TargetError::Brackets {
            text: text.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::NamePart;
    use proptest::prelude::*;

    fn names(text: &str) -> Vec<String> {
        let list = parse_targets(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        list.targets.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn ranges_are_written_out() {
        for (text, expected) in [
            ("a,b", "a b"),
            (
                "web-[01-03].example.com",
                "web-01.example.com web-02.example.com web-03.example.com",
            ),
            ("web-[1-3,7]", "web-1 web-2 web-3 web-7"),
            ("n[8-11]", "n8 n9 n10 n11"),
            ("n[08-11]", "n08 n09 n10 n11"),
            ("n[098-101]", "n098 n099 n100 n101"),
            ("r[1-2]n[1-2]", "r1n1 r1n2 r2n1 r2n2"),
            ("[1-2].example.com:22", "1.example.com:22 2.example.com:22"),
            (
                "bob@web-[1-2]:2222,[::1]:22,::1",
                "bob@web-1:2222 bob@web-2:2222 [::1]:22 ::1",
            ),
            ("n[5]", "n5"),
            ("n[0-1]", "n0 n1"),
            ("n[7,007]", "n7 n007"),
        ] {
            assert_eq!(names(text).join(" "), expected, "{text}");
        }
    }

    #[test]
    fn a_target_named_twice_stays_where_it_was_first() {
        let list = parse_targets("b,a,b,web-[1-2],web-1,b:22").unwrap();
        let text = |targets: &[Target]| {
            targets
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(text(&list.targets), "b a web-1 web-2 b:22");
        assert_eq!(text(&list.duplicates), "b web-1");
    }

    #[test]
    fn a_broken_list_is_refused_with_a_precise_error() {
        let range = |text: &str| TargetError::Range {
            text: text.to_owned(),
        };
        let brackets = |text: &str| TargetError::Brackets {
            text: text.to_owned(),
        };
        let reversed = |start: &str, end: &str| TargetError::ReversedRange {
            start: start.to_owned(),
            end: end.to_owned(),
        };
        for (text, error) in [
            ("", TargetError::Empty { part: NamePart::Host }),
            ("a,,b", TargetError::Empty { part: NamePart::Host }),
            ("a,", TargetError::Empty { part: NamePart::Host }),
            ("web-[", brackets("web-[")),
            ("web-[1-2", brackets("web-[1-2")),
            ("web-1]", brackets("web-1]")),
            ("web-[1-[2]]", brackets("web-[1-[2]]")),
            ("web-[]", range("")),
            ("web-[a-c]", range("a-c")),
            ("web-[1-]", range("1-")),
            ("web-[1-2-3]", range("1-2-3")),
            ("web-[1,,2]", range("1,,2")),
            ("web-[1-03]", range("1-03")),
            ("web-[9999999999999999999]", range("9999999999999999999")),
            ("web-[20-01]", reversed("20", "01")),
            ("web-[1-100001]", TargetError::TooMany { limit: MAX_TARGETS }),
            ("n[1-1000]n[1-1000]", TargetError::TooMany { limit: MAX_TARGETS }),
            (
                "n[0-999999999999999999]n[0-999999999999999999]",
                TargetError::TooMany { limit: MAX_TARGETS },
            ),
            ("a,n[1-100000]", TargetError::TooMany { limit: MAX_TARGETS }),
            (
                "-[1-2]",
                TargetError::LeadingDash {
                    part: NamePart::Host,
                    text: "-1".to_owned(),
                },
            ),
        ] {
            assert_eq!(parse_targets(text), Err(error), "{text}");
        }
    }

    #[test]
    fn the_largest_list_is_accepted() {
        assert_eq!(parse_targets("n[1-100000]").unwrap().targets.len(), MAX_TARGETS);
    }

    proptest! {
        #[test]
        fn a_list_of_targets_reads_back(hosts in proptest::collection::vec("[a-z][a-z0-9.-]{0,8}(:[1-9][0-9]{0,3})?", 1..20)) {
            let list = parse_targets(&hosts.join(",")).unwrap();
            let mut seen = HashSet::new();
            let expected: Vec<_> = hosts.iter().filter(|host| seen.insert(*host)).cloned().collect();
            prop_assert_eq!(list.targets.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
            prop_assert_eq!(list.targets.len() + list.duplicates.len(), hosts.len());
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[a-c0-9@:,.\\[\\]-]{0,24}") {
            let _ = parse_targets(&text);
        }

        #[test]
        fn a_range_counts_from_first_to_last(first in 0_u64..500, more in 0_u64..300, width in 1_usize..5) {
            let last = first + more;
            let list = parse_targets(&format!("n[{first:0width$}-{last:0width$}]")).unwrap();
            let expected: Vec<_> = (first..=last).map(|n| format!("n{n:0width$}")).collect();
            prop_assert_eq!(list.targets.iter().map(|t| t.host().to_owned()).collect::<Vec<_>>(), expected);
        }
    }
}
