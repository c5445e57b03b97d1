//! Base64: what is long, and what is public although it is.

use std::collections::BTreeMap;

use data_encoding::{BASE64, BASE64_NOPAD};

use super::span::Span;
use super::token::run_length;
use super::{REDACTED_BASE64, REDACTED_KEY};

/// How long a text in base64 is that is taken for a secret or for data that nobody reads.
const LONG: usize = 100;

/// A run of base64: taken away where it is long, or where it is the other half of an access key of AWS.
pub(super) fn base64(text: &str, from: usize, mut to: usize, near_aws: bool, found: &mut Vec<Span>) {
    let length = to - from;
    if near_aws && length == 40 {
        found.push(Span::new(from, to));
    }
    if length < LONG {
        return;
    }
    let run = text.get(from..to).unwrap_or_default();
    let with = match meaning(run, text.get(..from).unwrap_or_default()) {
        Meaning::Public => return,
        Meaning::PrivateKey => REDACTED_KEY,
        Meaning::Unknown => REDACTED_BASE64,
    };
    to += run_length(text.as_bytes().get(to..).unwrap_or_default(), |byte| byte == b'=').min(2);
    found.push(Span { from, to, with });
}

enum Meaning {
    Public,
    PrivateKey,
    Unknown,
}

fn meaning(run: &str, before: &str) -> Meaning {
    let before = match before.len().checked_sub(128) {
        Some(far) => before.get(far..).unwrap_or_default(),
        None => before,
    };
    let frame = before
        .trim_end_matches(['\\', 'n', 'r', '\n', '\r', ' '])
        .strip_suffix("-----");
    let label = frame.and_then(|frame| frame.rsplit("-----BEGIN ").next());
    if label.is_some_and(is_public_label) || is_public_text(run) {
        return Meaning::Public;
    }
    // A file in base64, as Kubernetes has them.
    let decoded = decode(run);
    if decoded.starts_with(b"-----BEGIN ") {
        let text = String::from_utf8_lossy(&decoded);
        if text.contains("PRIVATE KEY") {
            return Meaning::PrivateKey;
        }
        let label = text
            .strip_prefix("-----BEGIN ")
            .and_then(|rest| rest.split_once("-----"));
        return match label {
            Some((label, _)) if is_public_label(label) => Meaning::Public,
            _ => Meaning::Unknown,
        };
    }
    match is_public_key(&decoded) || is_public_der(&decoded) {
        true => Meaning::Public,
        false => Meaning::Unknown,
    }
}

pub(super) fn is_public_label(label: &str) -> bool {
    let public = ["CERTIFICATE", "PUBLIC KEY", "SIGNATURE", "X509 CRL", "PARAMETERS"];
    label.len() <= 64 && !label.contains("PRIVATE") && public.iter().any(|word| label.contains(word))
}

/// What is no base64 although it has only characters of it: a digest, a path, a drawn line, a sequence.
fn is_public_text(run: &str) -> bool {
    let bytes = run.as_bytes();
    // SHA-512 in hexadecimal digits.
    if bytes.len() == 128 && bytes.iter().all(u8::is_ascii_hexdigit) {
        return true;
    }
    let mut frequencies = BTreeMap::new();
    for byte in bytes {
        *frequencies.entry(byte).or_insert(0_usize) += 1;
    }
    let most = frequencies.values().max().copied().unwrap_or_default();
    if frequencies.len() < 10 || most * 4 > bytes.len() {
        return true;
    }
    let count = |wanted: fn(&u8) -> bool| bytes.iter().filter(|byte| wanted(byte)).count();
    let slashes = count(|byte| *byte == b'/');
    let capitals = count(u8::is_ascii_uppercase);
    !bytes.contains(&b'+') && slashes * 16 >= bytes.len() && capitals * 4 < bytes.len()
}

/// As much as can be decoded: padding may be missing, and so may the end.
fn decode(run: &str) -> Vec<u8> {
    let whole = run.len() - run.len() % 4;
    let (head, tail) = run.split_at_checked(whole).unwrap_or((run, ""));
    let mut decoded = BASE64.decode(head.as_bytes()).unwrap_or_default();
    // The last characters may have bits that mean nothing.
    decoded.extend(BASE64_NOPAD.decode(tail.as_bytes()).unwrap_or_default());
    decoded
}

/// An SSH public key or certificate begins with its algorithm (RFC 4253 section 6.6).
fn is_public_key(decoded: &[u8]) -> bool {
    let Some((&[0, 0, 0, length], rest)) = decoded.split_first_chunk() else {
        return false;
    };
    let name = rest.get(..usize::from(length)).unwrap_or_default();
    [
        &b"ssh-"[..],
        b"ecdsa-sha2-",
        b"sk-ssh-",
        b"sk-ecdsa-",
        b"rsa-sha2-",
    ]
    .iter()
    .any(|prefix| name.starts_with(prefix))
}

/// An X.509 certificate or a public key of it (RFC 5280): a sequence that begins with a sequence, where a private key
/// begins with a number.
fn is_public_der(decoded: &[u8]) -> bool {
    let sequence = |bytes: &'_ [u8]| -> Option<(usize, usize)> {
        match bytes {
            [0x30, length @ 0..=0x7f, ..] => Some((2, usize::from(*length))),
            [0x30, 0x81, length, ..] => Some((3, usize::from(*length))),
            [0x30, 0x82, high, low, ..] => Some((4, usize::from(*high) * 256 + usize::from(*low))),
            _ => None,
        }
    };
    // The password-based algorithms that private keys are encrypted with (RFC 8018).
    const ENCRYPTION: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01];
    let inner = sequence(decoded).and_then(|(header, length)| {
        let inner = decoded.get(header..)?;
        (inner.len().abs_diff(length) <= 2).then_some(inner)
    });
    let Some((header, _)) = inner.and_then(sequence) else {
        return false;
    };
    let body = inner.and_then(|inner| inner.get(header..)).unwrap_or_default();
    let algorithm = body.strip_prefix(&[0x06]).and_then(|object| object.get(1..));
    !algorithm.is_some_and(|id| {
        id.strip_prefix(ENCRYPTION)
            .is_some_and(|rest| matches!(rest.first(), Some(5 | 12)))
    })
}

/// `user:password` in base64, as HTTP's Basic scheme and Docker have it.
pub(super) fn is_basic_credential(text: &str) -> bool {
    let decoded = decode(text.trim_end_matches('='));
    text.len() >= 4
        && decoded.contains(&b':')
        && std::str::from_utf8(&decoded).is_ok_and(|text| !text.chars().any(char::is_control))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::span::apply;
    use crate::redact::token::spans;

    fn redacted(text: &str) -> String {
        let mut found = Vec::new();
        spans(text, &mut found);
        apply(text, found).into_owned()
    }

    #[test]
    fn long_base64_goes_unless_it_is_public() {
        let secret = BASE64.encode(&std::array::from_fn::<u8, 90, _>(|at| (at * 37 % 251) as u8));
        assert_eq!(redacted(&format!("a {secret} b")), "a [REDACTED BASE64] b");
        assert_eq!(redacted(&secret[..99]), &secret[..99]);
        let mut blob = vec![0, 0, 0, 7];
        blob.extend(b"ssh-rsa");
        blob.extend(std::array::from_fn::<u8, 120, _>(|at| (at * 37 % 251) as u8));
        let key = format!("ssh-rsa {} me", BASE64.encode(&blob));
        assert_eq!(redacted(&key), key);
        for (label, expected) in [
            ("PRIVATE KEY", "[REDACTED PRIVATE KEY]"),
            ("PGP MESSAGE", "[REDACTED BASE64]"),
        ] {
            let file = BASE64.encode(format!("-----BEGIN {label}-----\n{secret}\n").as_bytes());
            assert_eq!(redacted(&format!("data: {file}")), format!("data: {expected}"));
        }
        let file = BASE64.encode(format!("-----BEGIN CERTIFICATE-----\n{secret}\n").as_bytes());
        assert_eq!(redacted(&file), file);
    }

    #[test]
    fn certificates_are_told_from_keys_by_their_first_elements() {
        let body = [7; 80];
        let der = |head: &[u8]| {
            let length = u8::try_from(head.len() + body.len()).unwrap();
            [&[0x30, 0x81, length], head, &body[..]].concat()
        };
        let pbes2 = [
            0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0d,
        ];
        let rsa = [
            0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01,
        ];
        assert!(is_public_der(&der(&rsa)));
        assert!(is_public_der(&der(&[0x30, 0x40])));
        assert!(!is_public_der(&der(&[0x02, 0x01, 0x00])));
        assert!(!is_public_der(&der(&pbes2)));
        assert!(!is_public_der(&[]));
    }
}
