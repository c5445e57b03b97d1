//! Secrets that are recognised by their own form, whatever stands around them.

use std::collections::BTreeSet;

use super::base64::base64;
use super::span::Span;

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

pub(super) fn run_length(bytes: &[u8], wanted: impl Fn(u8) -> bool) -> usize {
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

/// Whether a word has the mixture of characters that people put into passwords and machines into tokens.
pub(super) fn looks_random(word: &str) -> bool {
    let has = |wanted: fn(char) -> bool| word.chars().any(wanted);
    let letters = has(char::is_alphabetic);
    let symbols = has(|c| "!#$%^&*+=~?@".contains(c));
    let mixed = has(char::is_lowercase) && word.chars().skip(1).any(char::is_uppercase);
    word.chars().count() >= 6 && letters && (has(|c| c.is_ascii_digit()) || symbols || mixed)
}
