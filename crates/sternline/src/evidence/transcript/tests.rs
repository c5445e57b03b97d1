//! What a transcript keeps, masks and writes.

use super::*;
use serde_json::json;
use sternline_proto::expect::ExpectPattern;

fn dialogue() -> Transcript {
    let mut transcript = Transcript::new();
    transcript.add_output("Password: ", Stream::Stdout);
    transcript.add_secret_send(&Secret::from("hunter2"));
    transcript.add_send("ls\n", Some(json!({"n": 1}).as_object().unwrap().clone()));
    transcript.add_output("oops\n", Stream::Stderr);
    transcript
}

#[test]
fn a_transcript_comes_back_from_both_forms() {
    let transcript = dialogue();
    let dict = transcript.to_dict();
    let keys: Vec<&String> = dict.keys().collect();
    assert_eq!(keys, ["start_ms", "duration_ms", "entry_count", "entries"]);
    assert_eq!(Transcript::from_dict(&dict).unwrap(), transcript);
    let lines = transcript.to_jsonl();
    assert!(!lines.ends_with('\n'));
    assert_eq!(
        Transcript::from_jsonl(&lines).unwrap().entries(),
        transcript.entries()
    );
    assert_eq!(transcript.len(), 4);
    assert_eq!(transcript.iter().count(), transcript.len());
    assert_eq!((&transcript).into_iter().count(), transcript.len());
    assert!(transcript.duration_ms() >= 0.0 && !transcript.is_empty());
    assert!(Transcript::new().is_empty());
}

#[test]
fn what_was_waited_for_is_told_with_its_outcome() {
    let mut transcript = Transcript::new();
    let mut result = ExpectResult {
        matched: true,
        pattern: ExpectPattern::regex("(a+)").unwrap(),
        match_text: "aa".to_owned(),
        groups: vec![Some("aa".to_owned())],
        buffer: "xaa".to_owned(),
        duration_ms: 2.5,
        timed_out: false,
        nearest: None,
    };
    let entry = transcript.add_expect(&result);
    assert_eq!(
        (entry.interaction_type.as_str(), entry.content.as_str()),
        ("expect", "aa")
    );
    assert_eq!((entry.duration_ms, &entry.metadata), (2.5, &result.to_dict()));
    (result.matched, result.timed_out) = (false, true);
    let entry = transcript.add_expect(&result);
    assert_eq!(
        (entry.interaction_type.as_str(), entry.content.as_str()),
        ("timeout", "(a+)")
    );
}

#[test]
fn a_secret_is_masked_wherever_it_comes_back() {
    let mut transcript = dialogue();
    transcript.add_output("you typed hunter2!", Stream::Stdout);
    transcript.add_output("in base64: aHVudGVyMg==", Stream::Stdout);
    let metadata = json!({"groups": ["hunter2", null], "deep": {"text": "xhunter2x"}});
    transcript.add_send("hunter2", metadata.as_object().cloned());
    let text = Value::Object(transcript.danger_to_dict()).to_string();
    assert!(!text.contains("hunter2"), "{text}");
    assert!(text.contains("you typed [REDACTED]!"), "{text}");
    assert!(!transcript.to_jsonl().contains("aHVudGVyMg"));
    assert!(!transcript.to_asciicast(80, 24).contains("aHVudGVyMg"));
    assert!(!format!("{transcript:?}").contains("hunter2"));
}

#[test]
fn the_longer_of_two_secrets_is_masked_whole() {
    let mut transcript = Transcript::new();
    transcript.mark_secret(&Secret::from("abc"));
    transcript.mark_secret(&Secret::from("abcdef"));
    transcript.mark_secret(&Secret::from(""));
    assert_eq!(transcript.masked("abcdef abc ab"), "[REDACTED] [REDACTED] ab");
}

#[test]
fn what_looks_like_a_secret_is_masked_when_it_is_written() {
    let mut transcript = Transcript::new();
    transcript.add_output("export TOKEN=abc123 then", Stream::Stdout);
    assert!(!transcript.to_jsonl().contains("abc123"));
    assert!(!Value::Object(transcript.to_dict()).to_string().contains("abc123"));
}

#[test]
fn beyond_the_limit_the_beginning_and_the_end_remain() {
    let mut transcript = Transcript::new().limit(20_000);
    transcript.add_send("first", None);
    for number in 0..1000 {
        transcript.add_output(&format!("line {number} {}", "x".repeat(100)), Stream::Stdout);
        let weight: usize = transcript.iter().map(TranscriptEntry::weight).sum();
        assert_eq!(weight, transcript.size);
        assert!(weight <= 20_000);
    }
    let entries = transcript.entries();
    assert_eq!(entries.first().unwrap().content, "first");
    assert!(entries.last().unwrap().content.starts_with("line 999 "));
    let gaps: Vec<_> = entries
        .iter()
        .filter_map(|entry| entry.metadata.get("omitted_entries")?.as_u64())
        .collect();
    assert_eq!(gaps, [1002 - transcript.len() as u64]);
}

#[test]
fn one_long_text_keeps_its_end() {
    let mut transcript = Transcript::new().limit(400);
    let entry = transcript.add_output(&format!("{}é the end", "é".repeat(300)), Stream::Stdout);
    assert!(entry.content.len() <= 100 && entry.content.ends_with("é the end"));
    assert!(entry.metadata.get("omitted_bytes").unwrap().as_u64().unwrap() >= 500);
}

#[test]
fn a_file_is_for_its_owner_only_and_replaces_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/session.jsonl");
    let transcript = dialogue();
    for _ in 0..2 {
        transcript.to_file(&path).unwrap();
    }
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(
        Transcript::from_jsonl(&text).unwrap().entries(),
        transcript.entries()
    );
    assert_eq!(text.lines().count(), transcript.len());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
}
