//! A program writes what it likes, in pieces of any size: nothing may panic, the split must not matter to what is found or
//! left, and no more is kept than the limit.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sternline_proto::expect::{ControlFilter, Decoder, ExpectPattern, Matcher, Nearest, PatternType};

const LIMIT: usize = 64;

/// All matches, with the output that each has used up, and what is left.
fn found<'a>(patterns: &[ExpectPattern], filter: bool, pieces: impl Iterator<Item = &'a [u8]>) -> Vec<(usize, String)> {
    let (mut decoder, mut control) = (Decoder::new(), ControlFilter::new());
    let mut texts: Vec<String> = Vec::new();
    for piece in pieces {
        let text = decoder.push(piece);
        if filter {
            let mut out = String::new();
            control.push(&text, &mut out);
            texts.push(out);
        } else {
            texts.push(text.into_owned());
        }
    }
    let mut last = decoder.finish().to_owned();
    if filter {
        let mut out = String::new();
        control.push(&last, &mut out);
        control.finish(&mut out);
        last = out;
    }
    texts.push(last);

    let mut matcher = Matcher::new(LIMIT);
    let mut all = Vec::new();
    let mut search = matcher.begin(patterns.to_vec());
    for text in &texts {
        let mut match_here = matcher.push(&mut search, text);
        while let Some(one) = match_here {
            let consumed = matcher.consume(&one);
            assert!(consumed.buffer.len() <= LIMIT * 3, "no more than is kept, and replaced bytes are three");
            let is_empty = one.start == one.end;
            all.push((one.place, consumed.match_text));
            search = matcher.begin(patterns.to_vec());
            if is_empty {
                // It would be found for ever.
                return all;
            }
            match_here = matcher.find(&mut search);
        }
    }
    if let Some(one) = matcher.settle(&mut search) {
        all.push((one.place, matcher.consume(&one).match_text));
    }
    let explained = Nearest::find(patterns, &matcher.remaining(), &matcher.used());
    if let Some(nearest) = explained {
        assert!(!nearest.to_string().chars().any(char::is_control));
    }
    all.push((usize::MAX, matcher.remaining().into_owned()));
    all
}

fuzz_target!(|input: (u8, bool, &str, &str, &[u8])| {
    let (size, filter, literal, regex, bytes) = input;
    // What a caller asks for is not foreign; it only must not take all day.
    if regex.len() > 40 {
        return;
    }
    let patterns = [
        ExpectPattern::new(literal, PatternType::Literal),
        ExpectPattern::new(regex, PatternType::Regex),
    ];
    let patterns: Vec<ExpectPattern> = patterns.into_iter().flatten().collect();
    if patterns.is_empty() {
        return;
    }
    let pieces = bytes.chunks(usize::from(size).max(1));
    assert_eq!(
        found(&patterns, filter, std::iter::once(bytes)),
        found(&patterns, filter, pieces)
    );
});
