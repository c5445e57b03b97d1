//! Secrets that are recognised by their own form, whatever stands around them.

use std::collections::BTreeSet;

use data_encoding::{BASE64, BASE64_NOPAD};

use super::span::Span;
use super::{REDACTED_BASE64, REDACTED_KEY};

/// How long a text in base64 is that is taken for a secret or for data that nobody reads.
const LONG: usize = 100;

/// How long the header of a JSON web token may be.
const LONGEST_HEADER: usize = 4096;

/// How the tokens of one issuer begin, and how many characters follow at least.
const PREFIXES: &[(&str, usize)] = &[
    // Forges and packages.
    ("ghp_", 16),
    ("gho_", 16),
    ("ghu_", 16),
    ("ghs_", 16),
    ("ghr_", 16),
    ("github_pat_", 20),
    ("glpat-", 16),
    ("gldt-", 16),
    ("glrt-", 16),
    ("glcbt-", 16),
    ("glptt-", 16),
    ("gloas-", 16),
    ("GR1348941", 16),
    ("ATBB", 24),
    ("ATATT3", 24),
    ("npm_", 30),
    ("pypi-AgE", 16),
    ("rubygems_", 32),
    ("dckr_pat_", 16),
    ("dckr_oat_", 16),
    // Clouds.
    ("AKIA", 16),
    ("ASIA", 16),
    ("AIza", 30),
    ("ya29.", 16),
    ("1//0", 30),
    ("GOCSPX-", 20),
    ("dop_v1_", 32),
    ("doo_v1_", 32),
    ("dor_v1_", 32),
    ("HRKU-", 20),
    ("hvs.", 16),
    ("hvb.", 16),
    ("hvr.", 16),
    ("atlasv1", 16),
    ("tskey-", 16),
    ("dapi", 32),
    ("LTAI", 16),
    ("fo1_", 30),
    ("FlyV1", 20),
    // Payments, messages and models.
    ("sk_live_", 10),
    ("sk_test_", 10),
    ("rk_live_", 10),
    ("rk_test_", 10),
    ("whsec_", 16),
    ("sq0atp-", 20),
    ("sq0csp-", 20),
    ("shpat_", 20),
    ("shpss_", 20),
    ("xoxa-", 10),
    ("xoxb-", 10),
    ("xoxc-", 10),
    ("xoxd-", 10),
    ("xoxe-", 10),
    ("xoxe.", 10),
    ("xoxo-", 10),
    ("xoxp-", 10),
    ("xoxr-", 10),
    ("xoxs-", 10),
    ("xapp-", 10),
    ("SG.", 30),
    ("xkeysib-", 30),
    ("sk-ant-", 16),
    ("sk-proj-", 16),
    ("sk-or-", 16),
    ("hf_", 20),
    ("gsk_", 30),
    ("nvapi-", 30),
    ("r8_", 30),
    ("lin_api_", 30),
    ("PMAK-", 20),
    ("glsa_", 20),
    ("NRAK-", 20),
    ("figd_", 20),
    ("secret_", 40),
    // Keys.
    ("AGE-SECRET-KEY-1", 20),
    ("AGE-PLUGIN-", 20),
    // The first bytes of an OpenSSH private key that has lost its frame.
    ("b3BlbnNzaC1rZXktdjE", 20),
];

/// Where secrets of a known form stand. One pass, linear in time.
pub(super) fn spans(text: &str, found: &mut Vec<Span>) {
    let bytes = text.as_bytes();
    let mut run = 0;
    // The 40 characters that belong to an access key of AWS stand near it.
    let mut aws = 0;
    let mut dull = 0;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if at == 0 || bytes.get(at - 1) == Some(&b'\n') {
            found.extend(pgpass(bytes, at));
        }
        let joined = at.checked_sub(1).and_then(|before| bytes.get(before));
        if at >= dull && byte.is_ascii_alphanumeric() && !joined.is_some_and(u8::is_ascii_alphanumeric) {
            let rest = text.get(at..).unwrap_or_default();
            match token(rest) {
                Token::Secret(length) => {
                    if rest.starts_with("AKIA") || rest.starts_with("ASIA") {
                        aws = at + 256;
                    }
                    found.push(Span::new(at, at + length));
                    at += length;
                    run = at;
                    continue;
                }
                // The rest of it would be no token either, and is looked at only once.
                Token::Plain(length) => {
                    dull = at + length;
                }
                Token::Nothing => {}
            }
        }
        if byte == b'$'
            && let Some(length) = crypt_hash(bytes.get(at..).unwrap_or_default())
        {
            found.push(Span::new(at, at + length));
            at += length;
            run = at;
            continue;
        }
        if !is_standard(byte) {
            base64(text, run, at, at < aws, found);
            run = at + 1;
        }
        at += 1;
    }
    base64(text, run, at, at < aws, found);
}

fn is_standard(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/'
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-.".contains(&byte)
}

enum Token {
    /// A secret of this length.
    Secret(usize),
    /// It begins like one and is none, over this length.
    Plain(usize),
    Nothing,
}

/// What a text begins with.
fn token(rest: &str) -> Token {
    let bytes = rest.as_bytes();
    let first = bytes.first().copied().unwrap_or_default();
    let known = PREFIXES
        .iter()
        .filter(|(prefix, _)| prefix.as_bytes().first() == Some(&first));
    for (prefix, least) in known {
        if let Some(behind) = rest.strip_prefix(prefix) {
            let length = run_length(behind.as_bytes(), |byte| {
                is_token(byte) || b"+/=:".contains(&byte)
            });
            return match behind.get(..length).is_some_and(is_varied) {
                true if length >= *least => Token::Secret(prefix.len() + length),
                true => Token::Nothing,
                false => Token::Plain(prefix.len() + length),
            };
        }
    }
    let alphanumeric = |from: usize| {
        run_length(bytes.get(from..).unwrap_or_default(), |byte| {
            byte.is_ascii_alphanumeric()
        })
    };
    let length = match first {
        b'e' if rest.starts_with("eyJ") => json_web_token(rest),
        // OpenAI's older keys, and HashiCorp Vault's older tokens.
        b's' if rest.starts_with("sk-") => Some(3 + alphanumeric(3)).filter(|length| *length >= 35),
        b's' if rest.starts_with("s.") => Some(2 + alphanumeric(2)).filter(|length| *length == 26),
        b'0'..=b'9' => telegram(bytes),
        b'b' if rest.starts_with("bot") => {
            telegram(bytes.get(3..).unwrap_or_default()).map(|length| 3 + length)
        }
        b'h' => webhook(rest),
        _ => None,
    };
    length.map_or(Token::Nothing, Token::Secret)
}

/// The hyphenated words of a sentence are no token, and neither is a row of one character.
fn is_varied(text: &str) -> bool {
    let distinct: BTreeSet<u8> = text.bytes().collect();
    distinct.len() >= 5
        && text
            .bytes()
            .any(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
}

fn run_length(bytes: &[u8], wanted: impl Fn(u8) -> bool) -> usize {
    bytes.iter().take_while(|byte| wanted(**byte)).count()
}

/// `eyJ....eyJ....signature` (RFC 7519), encrypted ones with five parts too.
fn json_web_token(rest: &str) -> Option<usize> {
    // What goes on for longer without a dot is none, and is not to be read again from each of its hyphens.
    let header = rest.as_bytes().iter().take(LONGEST_HEADER);
    header.into_iter().position(|byte| *byte == b'.')?;
    let length = run_length(rest.as_bytes(), is_token);
    let token = rest.get(..length)?.trim_end_matches('.');
    let mut parts = token.split('.');
    let header = parts.next().filter(|header| header.len() >= 10)?;
    let payload = parts.next().filter(|payload| payload.len() >= 4)?;
    (header.len() + payload.len() >= 20).then_some(token.len())
}

/// `123456789:AA...`, a bot's token.
fn telegram(bytes: &[u8]) -> Option<usize> {
    let digits = run_length(bytes.get(..11).unwrap_or(bytes), |byte| byte.is_ascii_digit());
    let behind = bytes.get(digits..)?.strip_prefix(b":AA")?;
    let length = run_length(behind, |byte| is_token(byte) && byte != b'.');
    (digits >= 8 && length >= 30).then_some(digits + 3 + length)
}

/// `host:port:database:user:password`, a line of PostgreSQL's password file.
fn pgpass(bytes: &[u8], start: usize) -> Option<Span> {
    const LONGEST: usize = 512;
    let line = bytes.get(start..bytes.len().min(start + LONGEST))?;
    let line = line.split(|byte| b"\r\n".contains(byte)).next()?;
    let mut fields = line.splitn(5, |byte| *byte == b':');
    let mut field = || fields.next().filter(|field| !field.is_empty());
    let (host, port, database, user, password) = (field()?, field()?, field()?, field()?, field()?);
    let is_plain = |field: &[u8]| !field.iter().any(u8::is_ascii_whitespace);
    let is_port = port == b"*" || (port.len() == 4 && (port.starts_with(b"54") || port.starts_with(b"64")));
    let is_line = is_port && [host, port, database, user].into_iter().all(is_plain);
    is_line.then_some(Span::new(start + line.len() - password.len(), start + line.len()))
}

/// URLs that are secrets themselves: whoever has one can post.
fn webhook(rest: &str) -> Option<usize> {
    let hosts = [
        "https://hooks.slack.com/",
        "https://discord.com/api/webhooks/",
        "https://discordapp.com/api/webhooks/",
    ];
    let prefix = hosts.iter().find(|host| rest.starts_with(**host))?;
    let length = run_length(rest.as_bytes().get(prefix.len()..)?, |byte| {
        is_token(byte) || byte == b'/'
    });
    (length >= 20).then_some(prefix.len() + length)
}

/// `$6$salt$hash` and others of crypt(5), which can be guessed at leisure.
fn crypt_hash(bytes: &[u8]) -> Option<usize> {
    const KINDS: &[&[u8]] = &[
        b"$1$",
        b"$5$",
        b"$6$",
        b"$7$",
        b"$y$",
        b"$gy$",
        b"$2a$",
        b"$2b$",
        b"$2y$",
        b"$apr1$",
        b"$argon2i$",
        b"$argon2d$",
        b"$argon2id$",
        b"$scrypt$",
        b"$pbkdf2",
    ];
    let kind = KINDS.iter().find(|kind| bytes.starts_with(kind))?;
    let length = run_length(bytes.get(kind.len()..)?, |byte| {
        byte.is_ascii_alphanumeric() || b"./$=,+-".contains(&byte)
    });
    (length >= 20).then_some(kind.len() + length)
}

/// A run of base64: taken away where it is long, or where it is the other half of an access key of AWS.
fn base64(text: &str, from: usize, mut to: usize, near_aws: bool, found: &mut Vec<Span>) {
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
    let distinct: BTreeSet<u8> = bytes.iter().copied().collect();
    if distinct.len() < 10 {
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

/// Whether a word has the mixture of characters that people put into passwords and machines into tokens.
pub(super) fn looks_random(word: &str) -> bool {
    let has = |wanted: fn(char) -> bool| word.chars().any(wanted);
    let letters = has(char::is_alphabetic);
    let symbols = has(|c| "!#$%^&*+=~?@".contains(c));
    let mixed = has(char::is_lowercase) && word.chars().skip(1).any(char::is_uppercase);
    word.chars().count() >= 6 && letters && (has(|c| c.is_ascii_digit()) || symbols || mixed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::span::apply;

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
