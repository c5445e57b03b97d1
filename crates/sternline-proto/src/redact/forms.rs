//! The forms in which a text may hold a secret: as it is, escaped, quoted, or in base64.
//!
//! Escaping is undone rather than done: encoders differ in what they escape, but all that they write reads back as the
//! secret. So a text is looked at in several views, each of them decoded once more. Base64 is done to the secret,
//! as it has one outcome for each of the three places that a byte may have in a group.

use std::borrow::Cow;

use data_encoding::BASE64_NOPAD;
use zeroize::Zeroizing;

/// How many views of one text there are at most, and how many of one that is longer than [`LONG`].
const MOST_VIEWS: usize = 48;
const FEW_VIEWS: usize = 12;
const LONG: usize = 1024 * 1024;
/// How often escapes inside escapes are undone.
const DEEPEST: usize = 4;

/// A text after some decoding.
pub(super) struct View<'a> {
    pub(super) bytes: Cow<'a, [u8]>,
    /// The view that was decoded, and where something was: the place here and the place there, from which on both go on
    /// alike.
    decoded: Option<(usize, Vec<(usize, usize)>)>,
    depth: usize,
}

/// All views of a text, itself first. Linear in the text: there is a limit to their number.
pub(super) struct Views<'a>(Vec<View<'a>>);

impl<'a> Views<'a> {
    pub(super) fn of(text: &'a [u8]) -> Self {
        let mut views = vec![View {
            bytes: Cow::Borrowed(text),
            decoded: None,
            depth: 0,
        }];
        let most = if text.len() > LONG { FEW_VIEWS } else { MOST_VIEWS };
        let mut next = 0;
        while let Some(view) = views.get(next).filter(|view| view.depth < DEEPEST) {
            let decoded = DECODERS.iter().filter_map(|decoder| decode(view, next, decoder));
            for decoded in decoded.collect::<Vec<_>>() {
                // What two decoders do in one order they mostly do in the other one as well.
                if views.len() < most && !views.iter().any(|view| view.bytes == decoded.bytes) {
                    views.push(decoded);
                }
            }
            next += 1;
            if views.len() == most {
                break;
            }
        }
        Self(views)
    }

    /// The views with their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &View<'a>)> {
        self.0.iter().enumerate()
    }

    /// The place in the text where a place in a view begins.
    pub(super) fn origin(&self, view: usize, at: usize) -> usize {
        let Some((parent, breaks)) = self.0.get(view).and_then(|view| view.decoded.as_ref()) else {
            return at;
        };
        let before = breaks.partition_point(|(here, _)| *here <= at);
        let there = match before.checked_sub(1).and_then(|last| breaks.get(last)) {
            Some((here, there)) => there + (at - here),
            None => at,
        };
        self.origin(*parent, there)
    }
}

/// What is read at a place and how many bytes it took to write, or nothing to decode. The flag is the decoder's own.
type Step = fn(&[u8], &mut bool) -> Option<(Decoded, usize)>;

/// How one kind of writing is read.
struct Decoder {
    /// Without this byte there is nothing to decode.
    mark: u8,
    step: Step,
    /// How the flag begins.
    flag: bool,
}

const fn decoder(mark: u8, step: Step, flag: bool) -> Decoder {
    Decoder { mark, step, flag }
}

const DECODERS: [Decoder; 7] = [
    decoder(b'\\', backslash, false),
    decoder(b'%', percent, false),
    decoder(b'+', form, false),
    decoder(b'\'', junction, false),
    // An apostrophe somewhere before may have turned inside and outside round.
    decoder(b'\'', shell, false),
    decoder(b'\'', shell, true),
    decoder(b'\n', wrapped, false),
];

/// What was written: up to four bytes of one character, or nothing at all.
#[derive(Clone, Copy)]
struct Decoded {
    bytes: [u8; 4],
    length: usize,
}

impl Decoded {
    const NOTHING: Self = Self {
        bytes: [0; 4],
        length: 0,
    };

    fn byte(byte: u8) -> Self {
        Self {
            bytes: [byte, 0, 0, 0],
            length: 1,
        }
    }

    fn code(code: u32) -> Option<Self> {
        let mut bytes = [0; 4];
        let length = char::from_u32(code)?.encode_utf8(&mut bytes).len();
        Some(Self { bytes, length })
    }
}

fn decode<'a>(view: &View<'a>, number: usize, decoder: &Decoder) -> Option<View<'a>> {
    if !view.bytes.contains(&decoder.mark) {
        return None;
    }
    let mut bytes = Vec::with_capacity(view.bytes.len());
    let mut breaks = Vec::new();
    let mut flag = decoder.flag;
    let mut at = 0;
    while let Some(&byte) = view.bytes.get(at) {
        let found = (decoder.step)(view.bytes.get(at..).unwrap_or_default(), &mut flag);
        match found {
            Some((decoded, length)) => {
                breaks.push((bytes.len(), at));
                bytes.extend_from_slice(decoded.bytes.get(..decoded.length).unwrap_or_default());
                at += length;
                breaks.push((bytes.len(), at));
            }
            None => {
                bytes.push(byte);
                at += 1;
            }
        }
    }
    (!breaks.is_empty()).then_some(View {
        bytes: Cow::Owned(bytes),
        decoded: Some((number, breaks)),
        depth: view.depth + 1,
    })
}

/// `\n`, `\"`, `\u00e9`, `\x1b`, `\033` and the like: JSON, C, Rust, Python, and a shell's single characters.
fn backslash(text: &[u8], _: &mut bool) -> Option<(Decoded, usize)> {
    if text.first() != Some(&b'\\') {
        return None;
    }
    let kind = *text.get(1)?;
    let simple = |byte| Some((Decoded::byte(byte), 2));
    match kind {
        b'n' => simple(b'\n'),
        b't' => simple(b'\t'),
        b'r' => simple(b'\r'),
        b'a' => simple(7),
        b'b' => simple(8),
        b'f' => simple(12),
        b'v' => simple(11),
        b'e' => simple(27),
        b'x' => {
            let (code, digits) = hexadecimal(text.get(2..)?, 2)?;
            Some((Decoded::byte(u8::try_from(code).ok()?), 2 + digits))
        }
        b'u' if text.get(2) == Some(&b'{') => {
            let (code, digits) = hexadecimal(text.get(3..)?, 6)?;
            (text.get(3 + digits) == Some(&b'}')).then_some((Decoded::code(code)?, 4 + digits))
        }
        b'u' | b'U' => {
            let length = if kind == b'u' { 4 } else { 8 };
            let unit = |at: usize| match hexadecimal(text.get(at..)?, length)? {
                (code, digits) if digits == length => Some(code),
                _ => None,
            };
            let high = unit(2)?;
            if !(0xd800..0xdc00).contains(&high) {
                return Some((Decoded::code(high)?, 2 + length));
            }
            let low = unit(8).filter(|_| text.get(6..8) == Some(br"\u"))?;
            let low = low.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
            Some((Decoded::code(0x1_0000 + ((high - 0xd800) << 10) + low)?, 12))
        }
        b'0'..=b'7' => {
            let digits = text.get(1..)?.iter().take(3);
            let digits: Vec<u32> = digits
                .take_while(|digit| (b'0'..=b'7').contains(digit))
                .map(|digit| u32::from(digit - b'0'))
                .collect();
            let code = digits.iter().fold(0, |code, digit| code * 8 + digit);
            Some((Decoded::byte(u8::try_from(code).ok()?), 1 + digits.len()))
        }
        // A line that goes on.
        b'\n' => Some((Decoded::NOTHING, 2)),
        other => simple(other),
    }
}

/// The value of up to `most` digits, and how many there are; `None` without any.
fn hexadecimal(text: &[u8], most: usize) -> Option<(u32, usize)> {
    let digits: Vec<u32> = text
        .iter()
        .take(most)
        .map_while(|&digit| char::from(digit).to_digit(16))
        .collect();
    let value = digits.iter().fold(0, |value, digit| value * 16 + digit);
    (!digits.is_empty()).then_some((value, digits.len()))
}

/// `%41` of URLs and forms.
fn percent(text: &[u8], _: &mut bool) -> Option<(Decoded, usize)> {
    if text.first() != Some(&b'%') {
        return None;
    }
    let (code, digits) = hexadecimal(text.get(1..)?, 2)?;
    (digits == 2).then_some((Decoded::byte(u8::try_from(code).ok()?), 3))
}

/// `+` for a space, as forms have it, and percent escapes with it.
fn form(text: &[u8], _: &mut bool) -> Option<(Decoded, usize)> {
    (text.first() == Some(&b'+')).then_some((Decoded::byte(b' '), 1))
}

/// Where a shell's single quotes are left for a quote in double ones: `'"'"'`.
fn junction(text: &[u8], _: &mut bool) -> Option<(Decoded, usize)> {
    match text {
        [b'\'', b'"', byte, b'"', b'\'', ..] => Some((Decoded::byte(*byte), 5)),
        _ => None,
    }
}

/// Single quotes and backslashes of a POSIX shell; the flag says whether a quote is open.
fn shell(text: &[u8], quoted: &mut bool) -> Option<(Decoded, usize)> {
    match text {
        [b'\'', ..] => {
            *quoted = !*quoted;
            Some((Decoded::NOTHING, 1))
        }
        [b'\\', byte, ..] if !*quoted => Some((Decoded::byte(*byte), 2)),
        _ => None,
    }
}

/// A line break inside base64, which many programs put there.
fn wrapped(text: &[u8], _: &mut bool) -> Option<(Decoded, usize)> {
    let (before, rest) = text.split_first()?;
    let length = match rest {
        [b'\n', ..] => 1,
        [b'\r', b'\n', ..] => 2,
        _ => return None,
    };
    let after = rest.get(length)?;
    (is_base64(*before) && is_base64(*after)).then_some((Decoded::byte(*before), 1 + length))
}

/// Either alphabet, and the padding.
pub(super) fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/-_=".contains(&byte)
}

/// The characters that a secret certainly has in base64, for each place in a group where it may begin and both
/// alphabets. The first and the last character may depend on the neighbours, and are left out then.
pub(super) fn base64_cores(secret: &[u8]) -> Vec<Zeroizing<Vec<u8>>> {
    let mut cores = Vec::new();
    for shift in 0..3usize {
        let shifted = Zeroizing::new([vec![0; shift], secret.to_vec()].concat());
        let encoded = Zeroizing::new(BASE64_NOPAD.encode(&shifted));
        let from = (shift * 8).div_ceil(6);
        let to = shifted.len() * 8 / 6;
        let Some(core) = encoded.as_bytes().get(from..to).filter(|core| core.len() >= 4) else {
            continue;
        };
        let standard = Zeroizing::new(core.to_vec());
        if core.iter().any(|byte| b"+/".contains(byte)) {
            let safe = core.iter().map(|byte| match byte {
                b'+' => b'-',
                b'/' => b'_',
                other => *other,
            });
            cores.push(Zeroizing::new(safe.collect()));
        }
        cores.push(standard);
    }
    cores
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seen(text: &str, wanted: &str) -> bool {
        Views::of(text.as_bytes()).iter().any(|(_, view)| {
            let bytes = view.bytes.windows(wanted.len());
            bytes.into_iter().any(|part| part == wanted.as_bytes())
        })
    }

    #[test]
    fn escapes_of_many_kinds_are_undone() {
        for (text, wanted) in [
            (r#"a\"b\\c\/d"#, r#"a"b\c/d"#),
            (r#"\\\"x\\\""#, r#""x""#),
            (r"p\u00e4ss\ud83d\ude00", "päss😀"),
            (r"p\u{e4}ss\x21\041", "päss!!"),
            ("p%C3%A4ss%2f%2F", "päss//"),
            ("two+words%21", "two words!"),
            (r"'it'\''s'", "it's"),
            (r#"'it'"'"'s'"#, "it's"),
            (r"'a'\\'b'", r"a\b"),
            (r"two\ words\!", "two words!"),
            ("d29y\r\nZHM=", "d29yZHM="),
            (r"%7B%22a%22%3A%22\u0041b\\nc%22", "\"Ab\nc"),
        ] {
            assert!(seen(text, wanted), "{text} holds {wanted}");
        }
    }

    #[test]
    fn places_in_a_view_lead_back_to_the_text() {
        let text = r"x\u0041y%42z";
        let views = Views::of(text.as_bytes());
        let (both, _) = views.iter().find(|(_, view)| &*view.bytes == b"xAyBz").unwrap();
        let origins: Vec<usize> = (0..=5).map(|at| views.origin(both, at)).collect();
        assert_eq!(origins, [0, 1, 7, 8, 11, 12]);
    }

    #[test]
    fn many_escapes_make_few_views() {
        let text = r"\\%25'\''+\n%5c".repeat(50);
        assert!(Views::of(text.as_bytes()).iter().count() <= MOST_VIEWS);
    }

    proptest! {
        #[test]
        fn base64_of_anything_around_a_secret_holds_one_of_its_cores(
            before in proptest::collection::vec(any::<u8>(), 0..7),
            secret in proptest::collection::vec(any::<u8>(), 5..20),
            after in proptest::collection::vec(any::<u8>(), 0..7),
        ) {
            let all = [before, secret.clone(), after].concat();
            let cores = base64_cores(&secret);
            for encoded in [data_encoding::BASE64.encode(&all), data_encoding::BASE64URL_NOPAD.encode(&all)] {
                let holds = |core: &Zeroizing<Vec<u8>>| {
                    encoded.as_bytes().windows(core.len()).any(|part| part == core.as_slice())
                };
                prop_assert!(cores.iter().any(holds), "{}", encoded);
            }
        }
    }
}
