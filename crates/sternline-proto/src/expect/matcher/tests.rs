//! What is found, however the output is cut.

use proptest::prelude::*;

use super::*;
use crate::expect::{IntoPattern, PatternType};

fn regex(pattern: &str) -> ExpectPattern {
    ExpectPattern::regex(pattern).unwrap()
}

fn literal(text: &str) -> ExpectPattern {
    ExpectPattern::literal(text).unwrap()
}

/// What one search finds in output that comes in these pieces and then ends: which pattern, what text, and what is left.
fn found(patterns: &[ExpectPattern], pieces: &[&str], limit: usize) -> Option<(usize, String, String)> {
    let mut matcher = Matcher::new(limit);
    let mut search = matcher.begin(patterns.to_vec());
    let mut found = matcher.find(&mut search);
    let mut pieces = pieces.iter();
    while found.is_none()
        && let Some(piece) = pieces.next()
    {
        found = matcher.push(&mut search, piece);
    }
    let found = found.or_else(|| matcher.settle(&mut search))?;
    let pattern = found.place;
    let text = matcher.consume(&found).match_text;
    let rest: String = pieces.copied().collect();
    Some((pattern, text, format!("{}{rest}", matcher.remaining())))
}

#[test]
fn the_same_prompt_twice_means_two_prompts() {
    let mut matcher = Matcher::default();
    matcher.append("Password: ");
    let mut search = matcher.begin(vec![literal("Password: ")]);
    let first = matcher.find(&mut search).unwrap();
    let consumed = matcher.consume(&first);
    assert_eq!(
        (consumed.match_text.as_str(), consumed.buffer.as_str()),
        ("Password: ", "Password: ")
    );
    let mut search = matcher.begin(vec![literal("Password: ")]);
    assert_eq!(matcher.find(&mut search), None);
    assert!(!matcher.is_pending(&mut search));
    assert!(matcher.used().ends_with("Password: "));
    let second = matcher.push(&mut search, "\nSorry.\nPassword: more").unwrap();
    assert_eq!(matcher.consume(&second).buffer, "\nSorry.\nPassword: ");
    assert_eq!(matcher.remaining(), "more");
}

#[test]
fn the_first_match_in_the_output_wins_then_the_first_pattern() {
    for (patterns, output, winner) in [
        (vec![literal("b"), literal("a")], "xaxb", 1),
        (vec![literal("ab"), literal("b")], "ab", 0),
        (vec![literal("b"), literal("ab")], "ab", 0),
        (vec![literal("abc"), literal("b")], "abc", 1),
        (vec![regex("a.*z"), literal("b")], "abz\n", 1),
        (vec![regex(r"\d+"), literal("7\n")], "37\n", 0),
        (vec![literal("7\n"), regex(r"\d+")], "37\n", 0),
        (
            vec![regex("(?i)FAILED"), regex("ok|done")],
            "it is done, not failed",
            1,
        ),
        (vec![regex("never"), literal("x"), regex("y")], "....y...x", 2),
    ] {
        let pieces: Vec<String> = output.chars().map(String::from).collect();
        let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
        for pieces in [&[output][..], &pieces] {
            let (pattern, ..) = found(&patterns, pieces, 100).unwrap();
            assert_eq!(pattern, winner, "{patterns:?} in {output:?}");
        }
    }
}

#[test]
fn a_match_that_may_grow_waits_for_what_follows_or_for_silence() {
    let mut matcher = Matcher::default();
    let mut search = matcher.begin(vec![regex(r"port (\d+)")]);
    assert_eq!(matcher.push(&mut search, "port 33"), None);
    assert!(matcher.is_pending(&mut search));
    let found = matcher.push(&mut search, "06\n").unwrap();
    assert_eq!(matcher.consume(&found).groups, [Some("3306".to_owned())]);

    let mut search = matcher.begin(vec![regex(r"\$ $")]);
    assert_eq!(matcher.push(&mut search, "cost: $ 5\n$ "), None);
    let found = matcher.settle(&mut search).unwrap();
    assert_eq!(matcher.consume(&found).buffer, "\ncost: $ 5\n$ ");
}

#[test]
fn a_match_that_cannot_grow_does_not_wait() {
    for pattern in [
        "> ",
        r"\w+> ",
        "(?i)password: ?",
        r"(?m)^\w+\n",
        "a*?b",
        "(foo|bar)!",
        r"\bfoo ",
    ] {
        let output = match pattern {
            "(?i)password: ?" => "PASSWORD: ",
            r"(?m)^\w+\n" => "x y\nline\n",
            "a*?b" => "aaab",
            "(foo|bar)!" => "xbar!",
            r"\bfoo " => "a foo ",
            _ => "mysql> ",
        };
        let mut matcher = Matcher::default();
        let mut search = matcher.begin(vec![regex(pattern)]);
        let found = matcher.push(&mut search, output);
        assert_eq!(
            found.map(|found| found.end),
            Some(output.len() as u64),
            "{pattern}"
        );
    }
}

#[test]
fn assertions_see_what_stands_around() {
    for (pattern, output, expected) in [
        ("^b", "ab", None),
        ("^a", "ab", Some("a")),
        ("(?m)^b", "a\nb", Some("b")),
        ("(?m)a$", "ab a\n", Some("a")),
        (r"(?Rm)a$", "ab a\r\n", Some("a")),
        (r"\bis\b", "this is", Some("is")),
        (r"\Bis", "is this", Some("is")),
        (r"a$|ab", "abc", Some("ab")),
        (r"a$|a", "ab", Some("a")),
        (r"(?m)^$", "a\n\nb", Some("")),
        // Inside of a character there is no boundary of words, nor anything else.
        (r"\B", "aéa", None),
    ] {
        let pieces: Vec<String> = output.chars().map(String::from).collect();
        let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
        for pieces in [&[output][..], &pieces] {
            let text = found(&[regex(pattern)], pieces, 100).map(|(_, text, _)| text);
            assert_eq!(text.as_deref(), expected, "{pattern} in {output:?}");
        }
    }
}

#[test]
fn the_beginning_is_where_the_match_before_ended_and_not_where_output_was_dropped() {
    let mut matcher = Matcher::new(16);
    matcher.append("one:");
    let mut search = matcher.begin(vec![literal(":")]);
    let colon = matcher.find(&mut search).unwrap();
    matcher.consume(&colon);
    let mut search = matcher.begin(vec![regex("^two")]);
    let two = matcher.push(&mut search, "two").unwrap();
    matcher.consume(&two);
    matcher.append(&"x".repeat(40));
    assert_eq!((matcher.remaining().len(), matcher.dropped()), (16, 24));
    let mut search = matcher.begin(vec![regex("^x")]);
    assert_eq!(matcher.find(&mut search), None);
    assert_eq!(matcher.settle(&mut search), None);
}

#[test]
fn memory_is_bounded_and_a_match_is_no_longer_than_that() {
    let mut matcher = Matcher::new(1000);
    let mut search = matcher.begin(vec![regex("(?s)begin.*?end"), literal("never")]);
    assert_eq!(matcher.push(&mut search, "begin"), None);
    for _ in 0..1000 {
        assert_eq!(matcher.push(&mut search, &"x".repeat(100)), None);
        assert!(matcher.buffer.len() < 2 * 1000 + 200);
    }
    assert_eq!(matcher.push(&mut search, "end"), None, "it would be too long");
    let found = matcher.push(&mut search, "begin end").unwrap();
    assert_eq!(matcher.consume(&found).match_text, "begin end");
}

#[test]
fn a_pattern_with_more_states_than_there_is_room_for_is_still_found() {
    // Which of the last letters were an a makes 2^19 states, more than the table takes.
    let pattern = regex("a[ab]{18}c");
    let mut random = 12345_u32;
    let mut text: String = (0..80_000)
        .map(|_| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if random >> 31 == 0 { 'a' } else { 'b' }
        })
        .collect();
    text.push_str("abbbbbbbbbbbbbbbbbbc");
    let half = text.len() / 2;
    let (first, second) = text.split_at(half);
    let (_, found, rest) = found(std::slice::from_ref(&pattern), &[first, second], 1000).unwrap();
    assert_eq!(found, pattern.find(&text).unwrap().text);
    assert_eq!(rest, "");
}

/// Patterns that meet all ways of ending, and an alphabet in which they often match.
fn patterns() -> impl Strategy<Value = Vec<ExpectPattern>> {
    let texts = [
        "a",
        "ab",
        "aba",
        "b\n",
        "é",
        "a+",
        "a*?b",
        "(a|ab)(c|bc)?",
        "[^a]+a",
        r"a\b",
        r"\bab",
        "(?m)^b",
        "(?m)a$",
        "b$",
        "^a",
        "(?s)a.*b",
        "a.*?b",
        "ba{2,3}",
        "(?i)AB|é+",
        r"\w+\n",
        "(b|a)+c",
        "a$|ab",
        r"\Ba",
    ];
    let pattern = (prop::sample::select(texts.to_vec()), any::<bool>()).prop_map(|(text, as_regex)| {
        let pattern_type = if as_regex {
            PatternType::Regex
        } else {
            PatternType::Literal
        };
        ExpectPattern::new(text, pattern_type).unwrap()
    });
    prop::collection::vec(pattern, 1..4)
}

/// Any regular expression of these parts.
fn expressions() -> impl Strategy<Value = ExpectPattern> {
    let leaves = [
        "a",
        "b",
        "c",
        "é",
        r"\n",
        ".",
        "[ab]",
        "[^a]",
        r"\w",
        r"\s",
        r"\b",
        r"\B",
        "^",
        "$",
        "(?m:^)",
        "(?m:$)",
        "(?Rm:$)",
        r"\b{start}",
        r"\b{end}",
        "",
        "(?i:A)",
        "(?s:.)",
    ];
    let leaf = prop::sample::select(leaves.to_vec()).prop_map(str::to_owned);
    let whole = leaf.prop_recursive(4, 24, 3, |part| {
        let repeat = prop::sample::select(vec!["*", "*?", "+", "+?", "?", "??", "{1,3}", "{2}"]);
        prop_oneof![
            prop::collection::vec(part.clone(), 1..4).prop_map(|parts| parts.concat()),
            prop::collection::vec(part.clone(), 1..4).prop_map(|parts| format!("({})", parts.join("|"))),
            (part, repeat).prop_map(|(part, repeat)| format!("(?:{part}){repeat}")),
        ]
    });
    whole.prop_filter_map("empty", |pattern| ExpectPattern::regex(pattern).ok())
}

fn pieces() -> impl Strategy<Value = Vec<String>> {
    let characters = prop::sample::select(vec!['a', 'b', 'c', '\n', ' ', 'é', '\r']);
    let piece =
        prop::collection::vec(characters, 0..6).prop_map(|characters| characters.into_iter().collect());
    prop::collection::vec(piece, 0..10)
}

proptest! {
    #[test]
    fn any_cut_gives_the_same_result(patterns in patterns(), pieces in pieces(), limit in 1usize..40) {
        let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
        let whole = pieces.concat();
        let once = found(&patterns, &[&whole], limit);
        prop_assert_eq!(&found(&patterns, &pieces, limit), &once);
        let single: Vec<String> = whole.chars().map(String::from).collect();
        let single: Vec<&str> = single.iter().map(String::as_str).collect();
        prop_assert_eq!(&found(&patterns, &single, limit), &once);
    }

    #[test]
    fn one_pattern_finds_what_it_finds_in_the_whole_text(patterns in patterns(), pieces in pieces()) {
        let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
        let whole = pieces.concat();
        for pattern in patterns {
            let expected = pattern.find(&whole).map(|found| found.text);
            let text = found(std::slice::from_ref(&pattern), &pieces, 1000).map(|(_, text, _)| text);
            prop_assert_eq!(text, expected, "{:?} in {:?}", pattern, whole);
        }
    }

    #[test]
    fn any_expression_is_found_as_in_the_whole_text(
        patterns in prop::collection::vec(expressions(), 1..3),
        pieces in pieces(),
        limit in 1usize..40,
    ) {
        let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
        let whole = pieces.concat();
        // What looks at the next character, and would be longer than the limit, may be found in part where a piece ends.
        let looks = |pattern: &ExpectPattern| ["$", r"\b", r"\B"].iter().any(|look| pattern.pattern().contains(look));
        let limit = if patterns.iter().any(looks) { 1000 } else { limit };
        prop_assert_eq!(found(&patterns, &pieces, limit), found(&patterns, &[&whole], limit), "{:?}", patterns);
        let expected = patterns[0].find(&whole).map(|found| found.text);
        let text = found(&patterns[..1], &pieces, 1000).map(|(_, text, _)| text);
        prop_assert_eq!(text, expected, "{:?} in {:?}", patterns[0], whole);
    }

    #[test]
    fn what_is_passed_over_for_want_of_a_needed_text_holds_no_match(
        before in expressions(),
        needed in prop::sample::select(vec!["a", "bc", "b a"]),
        after in expressions(),
        pieces in pieces(),
        limit in 1usize..12,
    ) {
        let pattern = format!("(?:{}){needed}(?:{})", before.pattern(), after.pattern());
        // No text stands in every match of this one, as far as can be seen, so that all of the output is read.
        let unfiltered = format!(r"{pattern}|[^\s\S]");
        let (Ok(pattern), Ok(unfiltered)) = (ExpectPattern::regex(pattern), ExpectPattern::regex(unfiltered)) else {
            return Ok(());
        };
        let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
        let text = |pattern| found(&[pattern], &pieces, limit).map(|(_, text, _)| text);
        prop_assert_eq!(text(pattern), text(unfiltered));
    }

    #[test]
    fn nothing_is_lost_between_matches(pieces in pieces()) {
        let mut matcher = Matcher::default();
        let mut seen = String::new();
        for piece in &pieces {
            matcher.append(piece);
            loop {
                let mut search = matcher.begin(vec!["\n".into_pattern().unwrap(), regex("b(c)?a")]);
                let Some(found) = matcher.find(&mut search) else { break };
                seen.push_str(&matcher.consume(&found).buffer);
            }
        }
        seen.push_str(&matcher.remaining());
        prop_assert_eq!(seen, pieces.concat());
    }
}
