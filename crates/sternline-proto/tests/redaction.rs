//! A corpus of secrets as tools write them, and of texts that only look like it.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::borrow::Cow;
use std::collections::BTreeSet;

use data_encoding::BASE64;
use proptest::prelude::*;
use proptest::strategy::BoxedStrategy;
use serde_json::{Value, json};
use sternline_proto::redact::{Redactor, redact_secrets, redact_string};

const SECRETS: &str = include_str!("redaction/secrets.tsv");
const INNOCENT: &str = include_str!("redaction/innocent.txt");

/// A secret's surroundings.
#[derive(Debug, Clone)]
struct Surroundings {
    tool: &'static str,
    kind: &'static str,
    before: String,
    after: String,
}

impl Surroundings {
    fn text(&self, secret: &str) -> String {
        [&self.before, secret, &self.after].concat()
    }
}

fn lines(file: &'static str) -> impl Iterator<Item = &'static str> {
    file.lines().filter(|line| !line.starts_with('#'))
}

fn unescaped(text: &str) -> String {
    let text = text
        .replace("\\\\", "\u{1}")
        .replace("\\n", "\n")
        .replace("\\t", "\t");
    text.replace('\u{1}', "\\")
}

fn corpus() -> Vec<Surroundings> {
    let read = |line: &'static str| {
        let mut columns = line.splitn(3, '\t');
        let (tool, kind, text) = (columns.next()?, columns.next()?, unescaped(columns.next()?));
        let (before, after) = text.split_once("@@")?;
        Some(Surroundings {
            tool,
            kind,
            before: before.to_owned(),
            after: after.to_owned(),
        })
    };
    lines(SECRETS)
        .map(|line| read(line).unwrap_or_else(|| panic!("{line}")))
        .collect()
}

/// A secret as its kind allows it.
fn secret(kind: &str) -> BoxedStrategy<String> {
    let text = |pattern: &'static str| pattern.boxed();
    match kind {
        // Without blanks, quotes and backslashes.
        "word" => text("[A-Za-z0-9][A-Za-z0-9!#%()*+./:=?@^_{}~,-]{5,20}[A-Za-z0-9]"),
        // In quotes of either kind.
        "any" => text("[A-Za-z0-9][A-Za-z0-9 !#%()*+./:=?@^_{}~,;|&-]{5,20}[A-Za-z0-9]"),
        // To the end of the line.
        "line" => text("[A-Za-z0-9][A-Za-z0-9 !#%()*+./:?@^_{}~,;|-]{5,20}[A-Za-z0-9]"),
        "url" => text("[A-Za-z0-9](%[2-7][0-9A-F]|[A-Za-z0-9._~-]){5,20}"),
        "token" => text("[A-Za-z0-9]{8,24}"),
        // What looks like a password wherever it stands.
        "mixed" => text("[A-Z][a-z]{2,4}[0-9]{2,4}[A-Za-z]{2,6}"),
        "tail" => text("[A-Z][a-z][0-9][A-Za-z0-9]{37}"),
        "crypt" => text("[a-z0-9]{8}\\$[A-Za-z0-9./]{5}[a-z][A-Z][0-9]{20}"),
        "digits" => text("[0-9]{4,8}"),
        "aws" => text("[A-Za-z0-9]{40}"),
        "basic" => "[a-z]{3,6}:[A-Za-z0-9]{8,12}"
            .prop_map(|text| BASE64.encode(text.as_bytes()))
            .boxed(),
        "base64" => proptest::collection::vec(any::<u8>(), 90..150)
            .prop_map(|bytes| BASE64.encode(&bytes))
            .boxed(),
        "lines" => proptest::collection::vec("[A-Za-z0-9+/]{64}", 1..4)
            .prop_map(|lines| lines.join("\n"))
            .boxed(),
        "jwt" => ("[A-Za-z0-9_-]{20}", "[A-Za-z0-9_-]{30}", "[A-Za-z0-9_-]{43}")
            .prop_map(|(header, payload, signature)| format!("eyJ{header}.eyJ{payload}.{signature}"))
            .boxed(),
        other => panic!("no such kind of secret: {other}"),
    }
}

/// The parts of a secret that nobody may read afterwards: any six characters of it in a row.
fn survivors<'a>(secret: &'a str, redacted: &str) -> Vec<&'a str> {
    let length = secret.len().min(6);
    let parts = (0..=secret.len() - length).filter_map(|at| secret.get(at..at + length));
    parts.filter(|part| redacted.contains(part)).collect()
}

/// A secret of this kind that is the same in each run.
fn sample(kind: &str) -> String {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    secret(kind).new_tree(&mut runner).unwrap().current()
}

#[test]
fn the_corpus_is_as_large_as_was_promised() {
    let corpus = corpus();
    let tools: BTreeSet<_> = corpus.iter().map(|row| row.tool).collect();
    let texts: BTreeSet<_> = corpus.iter().map(|row| row.text("@@")).collect();
    assert_eq!(texts.len(), corpus.len(), "no row stands there twice");
    assert!(
        texts.len() >= 150 && tools.len() >= 25,
        "{} {}",
        texts.len(),
        tools.len()
    );
    let innocent: BTreeSet<_> = lines(INNOCENT).collect();
    assert!(innocent.len() >= 150, "{}", innocent.len());
}

#[test]
fn no_secret_of_the_corpus_survives() {
    let mut failed = Vec::new();
    for row in corpus() {
        let secret = sample(row.kind);
        let text = row.text(&secret);
        let redacted = redact_string(&text);
        if !survivors(&secret, &redacted).is_empty() {
            failed.push(format!("{}: {text}\n    -> {redacted}", row.tool));
        }
    }
    assert!(
        failed.is_empty(),
        "{} of them:\n{}",
        failed.len(),
        failed.join("\n")
    );
}

#[test]
fn no_secret_of_the_corpus_survives_in_structured_data() {
    for row in corpus() {
        let secret = sample(row.kind);
        let text = row.text(&secret);
        let data = json!({ "command": text, "list": [text, 1], "nested": { "deep": [{ "said": text }] } });
        let redacted = redact_secrets(&data).to_string();
        assert_eq!(
            survivors(&secret, &redacted),
            Vec::<&str>::new(),
            "{}: {redacted}",
            row.tool
        );
    }
}

#[test]
fn the_tool_and_its_other_arguments_stay_readable() {
    for (text, expected) in [
        ("mysql -u root -phunter2 shop", "mysql -u root -p[REDACTED] shop"),
        (
            "curl -u alice:hunter2 https://x.org/",
            "curl -u alice:[REDACTED] https://x.org/",
        ),
        (
            "sshpass -p hunter2 ssh -p 22 web1",
            "sshpass -p [REDACTED] ssh -p 22 web1",
        ),
        (
            "PGPASSWORD=hunter2 psql -h db1",
            "PGPASSWORD=[REDACTED] psql -h db1",
        ),
        (
            "docker login -u a -p hunter2 && docker run -p 80:80 x",
            "docker login -u a -p [REDACTED] && docker run -p 80:80 x",
        ),
        (
            "postgres://app:hunter2@db1/shop",
            "postgres://app:[REDACTED]@db1/shop",
        ),
        (
            "smbclient //f/s -U alice%hunter2",
            "smbclient //f/s -U alice%[REDACTED]",
        ),
        (
            "https://x.org/?token=hunter2&page=2",
            "https://x.org/?token=[REDACTED]&page=2",
        ),
        (
            "openssl rsa -passin pass:hunter2 -out k",
            "openssl rsa -passin pass:[REDACTED] -out k",
        ),
        ("echo hunter2 | sudo -S id", "echo [REDACTED] | sudo -S id"),
        ("app --password 'two words' -v", "app --password '[REDACTED]' -v"),
        ("password: hunter2\nuser: bob", "password: [REDACTED]\nuser: bob"),
    ] {
        assert_eq!(redact_string(text), expected);
    }
}

#[test]
fn every_innocent_text_stays_as_it_is() {
    let mut failed = Vec::new();
    for line in lines(INNOCENT) {
        let text = unescaped(line);
        if let Cow::Owned(redacted) = redact_string(&text) {
            failed.push(format!("{text}\n    -> {redacted}"));
        }
        assert_eq!(redact_secrets(&json!({ "text": text })), json!({ "text": text }));
    }
    assert!(
        failed.is_empty(),
        "{} of them:\n{}",
        failed.len(),
        failed.join("\n")
    );
}

fn a_row() -> impl Strategy<Value = (Surroundings, String)> {
    proptest::sample::select(corpus()).prop_flat_map(|row| {
        let secret = secret(row.kind);
        (Just(row), secret)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_random_secret_survives_in_any_surroundings((row, secret) in a_row()) {
        let text = row.text(&secret);
        let redacted = redact_string(&text).into_owned();
        // A word of the surroundings may be a part of the secret by chance.
        let frame = row.text("");
        let left: Vec<_> = survivors(&secret, &redacted).into_iter().filter(|part| !frame.contains(part)).collect();
        prop_assert!(left.is_empty(), "{}: {} -> {} has {:?}", row.tool, text, redacted, left);
        prop_assert_eq!(redact_string(&redacted), redacted.as_str());
    }

    #[test]
    fn no_marked_secret_survives_in_any_surroundings((row, _) in a_row(), secret in "[ -~]{6,30}") {
        prop_assume!(secret.trim().len() >= Redactor::SHORTEST_IN_WORDS);
        let redactor = Redactor::new();
        redactor.mark(&secret);
        let text = row.text(&secret);
        let redacted = redactor.redact_string(&text).into_owned();
        prop_assert!(!redacted.contains(secret.trim()) || "[REDACTED]".contains(secret.trim()), "{} -> {}", text, redacted);
        let data = json!({ &text: { "argv": ["x", &text, &secret] } });
        let shown = redactor.redact_secrets(&data).to_string();
        let escaped = Value::from(secret.trim()).to_string();
        prop_assert!(!shown.contains(escaped.trim_matches('"')), "{}", shown);
    }

    #[test]
    fn an_innocent_text_stays_whatever_is_marked(line in proptest::sample::select(lines(INNOCENT).collect::<Vec<_>>())) {
        let redactor = Redactor::new();
        redactor.mark("Xq7vR2mKp9Zt");
        let text = unescaped(line);
        prop_assert_eq!(redactor.redact_string(&text), text.as_str());
    }
}
