//! The names of files that are not complete yet.

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

/// How many random bytes [`partial_name`] takes.
pub const PARTIAL_RANDOM: usize = 16;

const ENDING: &[u8] = b".sternline-part";

/// The longest name on almost every file system, in bytes.
const MAX_NAME: usize = 255;

/// What is left for the target's name: a dot stands before it, and a dot, the random part and the ending after it.
const MAX_STEM: usize = MAX_NAME - 1 - 1 - PARTIAL_RANDOM - ENDING.len();

/// How much of a hash stands for the end of a name that is too long.
const HASH_DIGITS: usize = 16;

/// The longest name that stands in full. A character of UTF-8 is not cut in the middle, so a name that is cut can
/// come out three bytes shorter than [`MAX_STEM`]; being longer than this in any case, it is never another's in full.
const MAX_WHOLE: usize = MAX_STEM - 4;

/// The temporary name under which a file is written beside its target `name`, until it is complete:
/// `.NAME.RANDOM.sternline-part`.
///
/// RANDOM is 16 characters of `[a-z0-9]`, made from random bytes that the caller brings (82 bits of them). It makes
/// the name one that nobody can know beforehand, and two transfers to one target keep out of each other's way. The
/// name is never longer than 255 bytes: of a long NAME the beginning stands, and a hash of all of it.
#[must_use]
pub fn partial_name(name: &[u8], random: &[u8; PARTIAL_RANDOM]) -> Vec<u8> {
    const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let letters = random
        .iter()
        .filter_map(|byte| LETTERS.get(usize::from(*byte) % LETTERS.len()));
    let mut partial = beginning(name);
    partial.extend(letters);
    partial.extend_from_slice(ENDING);
    partial
}

/// Whether `candidate` is a temporary name for the target `name`, whatever its random part is.
#[must_use]
pub fn is_partial_of(candidate: &[u8], name: &[u8]) -> bool {
    without_random(candidate).is_some_and(|rest| rest == beginning(name))
}

/// Whether `candidate` is a temporary name for some target.
#[must_use]
pub fn is_partial(candidate: &[u8]) -> bool {
    without_random(candidate).is_some_and(|rest| matches!(rest, [b'.', _, .., b'.']))
}

/// What stands before the random part of a temporary name.
fn without_random(candidate: &[u8]) -> Option<&[u8]> {
    let rest = candidate.strip_suffix(ENDING)?;
    let (rest, random) = rest.split_at_checked(rest.len().checked_sub(PARTIAL_RANDOM)?)?;
    let is_random = random
        .iter()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    is_random.then_some(rest)
}

fn beginning(name: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(MAX_NAME);
    out.push(b'.');
    if name.len() <= MAX_WHOLE {
        out.extend_from_slice(name);
    } else {
        out.extend_from_slice(cut(name, MAX_STEM - 1 - HASH_DIGITS));
        out.push(b'~');
        let hash = HEXLOWER.encode(&Sha256::digest(name));
        out.extend(hash.bytes().take(HASH_DIGITS));
    }
    out.push(b'.');
    out
}

/// At most `length` bytes of the name. In UTF-8 they end with a whole character, for file systems that insist on it.
fn cut(name: &[u8], length: usize) -> &[u8] {
    let is_boundary = |end: &usize| str::from_utf8(name).is_ok_and(|text| text.is_char_boundary(*end));
    let end = (length.saturating_sub(3)..=length).rev().find(is_boundary);
    name.get(..end.unwrap_or(length)).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RANDOM: [u8; PARTIAL_RANDOM] = [0, 1, 25, 26, 35, 36, 61, 62, 71, 72, 255, 254, 7, 8, 9, 10];

    #[test]
    fn the_name_stands_between_a_dot_and_what_makes_it_unique() {
        for (name, partial) in [
            (&b"data"[..], &b".data.abz09az09adchijk.sternline-part"[..]),
            (b"-rf", b".-rf.abz09az09adchijk.sternline-part"),
            (b".profile", b"..profile.abz09az09adchijk.sternline-part"),
            (b"\xff\n", b".\xff\n.abz09az09adchijk.sternline-part"),
        ] {
            assert_eq!(partial_name(name, &RANDOM), partial);
            assert!(is_partial_of(partial, name) && is_partial(partial));
        }
    }

    #[test]
    fn a_long_name_is_cut_and_keeps_a_hash_of_all_of_it() {
        let whole = vec![b'x'; MAX_WHOLE];
        assert!(partial_name(&whole, &RANDOM).starts_with(&[b".".as_slice(), &whole, b"."].concat()));
        let (one, other) = ([b'x'; 255], [&[b'x'; 254][..], b"y"].concat());
        let partial = partial_name(&one, &RANDOM);
        assert_eq!(partial.len(), 255);
        assert!(is_partial_of(&partial, &one) && is_partial(&partial));
        assert!(!is_partial_of(&partial, &other));
    }

    #[test]
    fn a_long_name_is_not_cut_inside_a_character() {
        for shift in 0..4 {
            let name = "x".repeat(shift) + &"\u{1f5ff}".repeat(62);
            let partial = partial_name(name.as_bytes(), &RANDOM);
            assert!(
                partial.len() <= 255 && std::str::from_utf8(&partial).is_ok(),
                "{shift}"
            );
        }
    }

    #[test]
    fn a_name_that_looks_like_the_cut_form_of_another_is_told_from_it() {
        let long = [b'x'; 255];
        let partial = partial_name(&long, &RANDOM);
        let lookalike = &partial[1..1 + MAX_STEM];
        assert!(!is_partial_of(&partial, lookalike));
    }

    #[test]
    fn other_files_are_not_taken_for_partial_ones() {
        for candidate in [
            "",
            ".sternline-part",
            "data.abz09az09adchijk.sternline-part",
            ".data.abz09az09adchijk",
            ".data.abz09az09adchijk.sternline-part2",
            ".data.ABZ09AZ09ADCHIJK.sternline-part",
            ".data.abz09az09adchij.sternline-part",
            ".dataabz09az09adchijk.sternline-part",
            "..abz09az09adchijk.sternline-part",
            ".abz09az09adchijk.sternline-part",
        ] {
            assert!(!is_partial(candidate.as_bytes()), "{candidate}");
        }
        let partial = partial_name(b"data", &RANDOM);
        for name in ["dat", "data.", "", ".data", "Data"] {
            assert!(!is_partial_of(&partial, name.as_bytes()), "{name}");
        }
    }

    fn name() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            proptest::collection::vec(any::<u8>(), 1..=255),
            "[aé日\u{1f5ff}~.]{1,63}".prop_map(String::into_bytes),
            // Around the lengths at which the form changes.
            ("[a~]{210,225}").prop_map(String::into_bytes),
        ]
    }

    proptest! {
        #[test]
        fn a_partial_name_belongs_to_its_target_and_to_no_other(
            name in name(), other in name(), random: [u8; PARTIAL_RANDOM],
        ) {
            let partial = partial_name(&name, &random);
            prop_assert!(partial.len() <= 255);
            prop_assert!(is_partial(&partial) && is_partial_of(&partial, &name));
            prop_assert_eq!(is_partial_of(&partial, &other), name == other);
        }
    }
}
