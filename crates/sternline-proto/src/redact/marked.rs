//! Values that are known to be secret, wherever they turn up.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::Value;
use zeroize::Zeroizing;

use super::bytes::redact_bytes;
use super::forms::{Views, base64_cores, is_base64};
use super::json::{redact_text, walk};
use super::search::Searcher;
use super::span::Span;
use super::{REDACTED, REDACTED_BASE64, REDACTED_KEY};

/// A filter that knows some secrets by their value, and takes them out of texts and JSON on top of what
/// [`redact_string`](super::redact_string) and [`redact_secrets`](super::redact_secrets) recognise.
///
/// A marked value is found as it is; escaped as JSON, C, Rust or a URL have it, several times over too; quoted for a POSIX
/// shell; and in base64 of either alphabet, wherever it begins there, wrapped in lines or not. Of a base64 text with a
/// secret in it nothing stays. Of a value of several lines each line is found, too.
///
/// Short values are found in many texts that have nothing to do with them: one of less than six bytes is found only
/// where letters or digits stand on neither side of it, and one of less than four is not looked for at all.
///
/// Clones share what is marked, and may be used at the same time. The values are overwritten in memory when they are
/// forgotten with the last clone. With nothing marked there is nothing to pay; otherwise it takes time linear in the text.
#[derive(Clone, Default)]
pub struct Redactor {
    marked: Arc<RwLock<Arc<Marked>>>,
}

/// The marked values of one moment.
#[derive(Default)]
pub(super) struct Marked {
    values: Vec<Arc<Zeroizing<Vec<u8>>>>,
    needles: Vec<Kind>,
    searcher: Searcher,
}

/// How an occurrence is to be understood.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The value itself, wherever it stands.
    Value,
    /// The value itself, between other things than letters and digits.
    Word,
    /// Its certain characters in a base64 text.
    Base64,
}

impl Redactor {
    /// How many bytes a value has at least that is looked for at all.
    pub const SHORTEST: usize = 4;
    /// How many bytes a value has at least that is looked for inside words, too.
    pub const SHORTEST_IN_WORDS: usize = 6;

    /// A filter without marked values.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes this value for a secret from now on. Marking it again, an empty or a very short value, or one that is a
    /// part of what stands in the place of secrets, does nothing.
    pub fn mark(&self, secret: impl AsRef<[u8]>) {
        let secret = secret.as_ref();
        let lines = secret
            .split(|byte| b"\r\n".contains(byte))
            .map(<[u8]>::trim_ascii);
        let lines = lines.filter(|line| line.len() >= Self::SHORTEST_IN_WORDS);
        let mut marked = self.marked.write().unwrap_or_else(PoisonError::into_inner);
        let fresh: Vec<_> = std::iter::once(secret.trim_ascii())
            .chain(lines)
            .filter(|value| value.len() >= Self::SHORTEST && !is_placeholder(value))
            .filter(|value| !marked.values.iter().any(|known| known.as_slice() == *value))
            .map(|value| Arc::new(Zeroizing::new(value.to_vec())))
            .collect();
        if !fresh.is_empty() {
            *marked = Arc::new(Marked::new(marked.values.iter().cloned().chain(fresh).collect()));
        }
    }

    /// Whether nothing is marked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.marked().values.is_empty()
    }

    /// The text without marked values, and without what [`redact_string`](super::redact_string) takes away.
    #[must_use]
    pub fn redact_string<'a>(&self, text: &'a str) -> Cow<'a, str> {
        redact_text(text, &self.marked())
    }

    /// [`Redactor::redact_string`] for bytes, which may be no text.
    #[must_use]
    pub fn redact_bytes(&self, bytes: &[u8]) -> Vec<u8> {
        redact_bytes(bytes, |text| self.redact_string(text).into_owned())
    }

    /// The data without marked values in its keys and values, and without what
    /// [`redact_secrets`](super::redact_secrets) takes away. Keys that become the same are numbered.
    #[must_use]
    pub fn redact_secrets(&self, data: &Value) -> Value {
        walk(data, false, &self.marked())
    }

    fn marked(&self) -> Arc<Marked> {
        Arc::clone(&self.marked.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// How many values are marked, and none of them.
impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redactor({} marked)", self.marked().values.len())
    }
}

fn is_placeholder(value: &[u8]) -> bool {
    [REDACTED, REDACTED_KEY, REDACTED_BASE64]
        .iter()
        .any(|placeholder| {
            let mut parts = placeholder.as_bytes().windows(value.len());
            parts.any(|part| part == value)
        })
}

impl Marked {
    fn new(values: Vec<Arc<Zeroizing<Vec<u8>>>>) -> Self {
        let mut needles: Vec<(Kind, Zeroizing<Vec<u8>>)> = Vec::new();
        for value in &values {
            let kind = match value.len() < Redactor::SHORTEST_IN_WORDS {
                true => Kind::Word,
                false => Kind::Value,
            };
            needles.push((kind, Zeroizing::clone(value)));
            needles.extend(base64_cores(value).into_iter().map(|core| (Kind::Base64, core)));
        }
        Self {
            searcher: Searcher::new(needles.iter().map(|(_, needle)| needle.as_slice())),
            needles: needles.iter().map(|(kind, _)| *kind).collect(),
            values,
        }
    }

    /// Whether this is a marked value and nothing else.
    pub(super) fn is_value(&self, bytes: &[u8]) -> bool {
        self.values.iter().any(|value| value.as_slice() == bytes)
    }

    /// Where marked values stand, in whatever form.
    pub(super) fn spans(&self, text: &str) -> Vec<Span> {
        let mut found = Vec::new();
        if self.values.is_empty() {
            return found;
        }
        let views = Views::of(text.as_bytes());
        for (number, view) in views.iter() {
            let bytes = &*view.bytes;
            // How far a base64 text has been taken away already.
            let mut taken = 0;
            self.searcher.search(bytes, |needle, mut from, mut to| {
                match self.needles.get(needle) {
                    Some(Kind::Base64) if from < taken => return,
                    Some(Kind::Base64) => {
                        (from, to) = base64_around(bytes, from, to);
                        taken = to;
                    }
                    Some(Kind::Word) if !is_word(bytes, from, to) => return,
                    _ => {}
                }
                found.push(Span::new(views.origin(number, from), views.origin(number, to)));
            });
        }
        found
    }
}

fn base64_around(bytes: &[u8], from: usize, to: usize) -> (usize, usize) {
    let before = bytes.get(..from).unwrap_or_default();
    let behind = bytes.get(to..).unwrap_or_default();
    let before = before.iter().rev().take_while(|byte| is_base64(**byte));
    let behind = behind.iter().take_while(|byte| is_base64(**byte));
    (from - before.count(), to + behind.count())
}

fn is_word(bytes: &[u8], from: usize, to: usize) -> bool {
    let joins = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || !byte.is_ascii());
    !joins(from.checked_sub(1).and_then(|before| bytes.get(before))) && !joins(bytes.get(to))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quoting::quote_str;
    use data_encoding::{BASE64, BASE64URL_NOPAD};
    use proptest::prelude::*;
    use serde_json::json;

    fn knowing(secrets: &[&str]) -> Redactor {
        let redactor = Redactor::new();
        for secret in secrets {
            redactor.mark(secret);
        }
        redactor
    }

    #[test]
    fn a_marked_value_is_masked_in_texts_keys_values_and_numbers() {
        let redactor = knowing(&["Tr0ub4dor", "123456"]);
        assert_eq!(redactor.redact_string("sent Tr0ub4dor!"), "sent [REDACTED]!");
        assert_eq!(
            redactor.redact_secrets(&json!({"Tr0ub4dor": 1, "a": ["x Tr0ub4dor", 123456, 1234567]})),
            json!({"[REDACTED]": 1, "a": ["x [REDACTED]", "[REDACTED]", 1234567]})
        );
        assert_eq!(
            redactor.redact_secrets(&json!({"Tr0ub4dor": 1, "123456": 2})),
            json!({"[REDACTED]": 1, "[REDACTED] (2)": 2})
        );
        assert!(matches!(redactor.redact_string("nothing here"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_base64_text_goes_as_a_whole_wrapped_or_not() {
        let redactor = knowing(&["Tr0ub4dor"]);
        let text = BASE64.encode(b"alice:Tr0ub4dor and then some more that follows on the next line of it");
        assert_eq!(
            redactor.redact_string(&format!("out: {text}.")),
            "out: [REDACTED]."
        );
        for break_at in 4..40 {
            let (head, tail) = text.split_at(break_at);
            let wrapped = redactor.redact_string(&format!("{head}\n{tail}")).into_owned();
            assert_eq!(wrapped, "[REDACTED]", "{break_at}");
        }
    }

    #[test]
    fn short_values_are_masked_as_words_and_shorter_ones_not_at_all() {
        let redactor = knowing(&["x", "abc", "open", "", "  ", "REDACTED"]);
        assert_eq!(
            redactor.redact_string("x abc, open openssh reopen \"open\""),
            "x abc, [REDACTED] openssh reopen \"[REDACTED]\""
        );
        assert_eq!(redactor.redact_string("[REDACTED]"), "[REDACTED]");
        assert_eq!(format!("{redactor:?}"), "Redactor(1 marked)");
    }

    #[test]
    fn each_line_of_a_value_is_masked_and_clones_share_what_is_marked() {
        let redactor = Redactor::new();
        let clone = redactor.clone();
        clone.mark("first line\nsecond line\n");
        assert_eq!(redactor.redact_string("got: second line."), "got: [REDACTED].");
        clone.mark("second line");
        assert_eq!(format!("{redactor:?}"), "Redactor(3 marked)");
    }

    #[test]
    fn what_a_pattern_would_cut_a_marked_value_covers_whole() {
        let redactor = knowing(&["two words, and more"]);
        assert_eq!(
            redactor.redact_string("x password=two words, and more."),
            "x password=[REDACTED]"
        );
    }

    /// All the ways in which this crate promises to find a marked value.
    fn forms(secret: &str, before: &str, after: &str) -> Vec<String> {
        let json = serde_json::to_string(secret).unwrap();
        let twice = serde_json::to_string(&json).unwrap();
        let inside = format!("{before}{secret}{after}");
        let percent = |all: bool| -> String {
            let bytes = secret.bytes().map(|byte| match byte {
                byte if byte.is_ascii_alphanumeric() && !all => char::from(byte).to_string(),
                byte => format!("%{byte:02x}"),
            });
            bytes.collect()
        };
        let quoted = quote_str(secret).unwrap();
        vec![
            inside.clone(),
            json.clone(),
            twice,
            format!("{json:?}"),
            secret.escape_default().to_string(),
            secret.escape_unicode().to_string(),
            crate::text::escape(secret),
            percent(true),
            percent(false),
            percent(false).replace("%20", "+"),
            percent(true).to_uppercase(),
            quoted.clone(),
            quote_str(&quoted).unwrap(),
            quote_str(&quote_str(&format!("x {quoted}")).unwrap()).unwrap(),
            serde_json::to_string(&quoted).unwrap(),
            BASE64.encode(inside.as_bytes()),
            BASE64URL_NOPAD.encode(inside.as_bytes()),
            serde_json::to_string(&BASE64.encode(inside.as_bytes())).unwrap(),
        ]
    }

    proptest! {
        #[test]
        fn no_form_of_a_marked_value_survives(
            secret in "[!-~]{2}[ -~]{4,18}[!-~]{2}|[!-~ä日😀]{6,12}", before in "[a-z:]{0,5}", after in "[a-z:]{0,5}", around in "[a-z ]{0,4}",
        ) {
            prop_assume!(!is_placeholder(secret.as_bytes()));
            let redactor = knowing(&[&secret]);
            for form in forms(&secret, &before, &after) {
                let text = format!("{around} {form} {around}");
                let redacted = redactor.redact_string(&text).into_owned();
                prop_assert!(redacted.contains(REDACTED), "{} -> {}", text, redacted);
                // Nothing is left of the secret, however it was written.
                prop_assert!(Marked::new(redactor.marked().values.clone()).spans(&redacted).is_empty(), "{}", redacted);
                prop_assert_eq!(redactor.redact_string(&redacted), redacted.as_str());
            }
        }

        #[test]
        fn a_text_without_a_marked_value_is_redacted_as_without_any(text in "[a-m '\\\\%+=\n]{0,60}") {
            let redactor = knowing(&["NOPQRSTUV"]);
            prop_assert_eq!(redactor.redact_string(&text), super::super::redact_string(&text));
        }
    }

    #[test]
    fn many_and_hostile_values_take_linear_time() {
        let redactor = knowing(&[&"a".repeat(500), &"ab".repeat(300), "aaaaaaaab", "'\\''\\\\"]);
        for unit in ["a", "ab", "\\", "'\\''", "%25", "YWFhYWFh", "a\n", "+"] {
            // Quadratic work on this much would take minutes.
            let _ = redactor.redact_string(&unit.repeat(100_000 / unit.len()));
        }
    }
}
