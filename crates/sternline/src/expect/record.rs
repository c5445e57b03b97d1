//! What is recorded of a dialogue.

use serde_json::Map;
use sternline_proto::expect::ExpectResult;

use crate::evidence::{Stream, Transcript};
use crate::secret::Secret;

/// Writes a transcript. Output that comes in many small pieces is recorded as one, so that a secret is recognised
/// although it comes letter by letter.
pub(super) struct Recorder {
    pub(super) transcript: Transcript,
    secrets: Vec<Secret>,
    output: String,
    stream: Stream,
    /// When the first of it came.
    since: f64,
}

/// How long output is gathered, in milliseconds, and up to what size.
const LONGEST: f64 = 50.0;
const LARGEST: usize = 16 * 1024;

impl Recorder {
    pub(super) fn new() -> Self {
        Self {
            transcript: Transcript::new(),
            secrets: Vec::new(),
            output: String::new(),
            stream: Stream::Stdout,
            since: 0.0,
        }
    }

    /// Output that came at a moment.
    pub(super) fn output(&mut self, text: &str, stream: Stream, at: f64) {
        if text.is_empty() {
            return;
        }
        if self.stream != stream {
            self.end();
        } else if self.output.len() + text.len() > LARGEST || at - self.since > LONGEST {
            self.flush();
        }
        if self.output.is_empty() {
            self.since = at;
        }
        self.stream = stream;
        self.output.push_str(text);
    }

    pub(super) fn expect(&mut self, result: &ExpectResult) {
        self.flush();
        self.transcript.add_expect(result);
    }

    pub(super) fn send(&mut self, text: &str, key: Option<&str>) {
        self.flush();
        let metadata = key.map(|key| {
            let mut metadata = Map::new();
            metadata.insert("key".to_owned(), key.into());
            metadata
        });
        self.transcript.add_send(text, metadata);
    }

    pub(super) fn send_secret(&mut self, secret: &Secret) {
        self.flush();
        self.transcript.add_secret_send(secret);
        self.secrets.push(secret.clone());
    }

    /// Records what was gathered, but for an end that may be the beginning of a secret.
    pub(super) fn flush(&mut self) {
        let kept = self.secrets.iter().map(|secret| begun(&self.output, secret));
        let kept = kept.max().unwrap_or_default();
        let rest = self.output.split_off(self.output.len() - kept);
        self.end();
        self.output = rest;
    }

    /// Records all that was gathered.
    pub(super) fn end(&mut self) {
        if !self.output.is_empty() {
            let text = std::mem::take(&mut self.output);
            self.transcript.add_output_at(self.since, text, self.stream);
        }
    }
}

/// The length of the longest end of a text with which the secret begins, without being complete.
fn begun(text: &str, secret: &Secret) -> usize {
    let secret = secret.expose();
    let ends = secret.char_indices().map(|(at, _)| at).skip(1);
    ends.filter(|&at| secret.get(..at).is_some_and(|begun| text.ends_with(begun)))
        .max()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_comes_letter_by_letter_is_masked() {
        let mut recorder = Recorder::new();
        recorder.send_secret(&Secret::from("hunter2"));
        for (at, letter) in (0_u32..).zip(["you typed h", "u", "n", "ter", "2", "!"]) {
            recorder.output(letter, Stream::Stdout, f64::from(at) * 1000.0);
        }
        recorder.flush();
        let text: String = recorder
            .transcript
            .iter()
            .map(|entry| entry.content.as_str())
            .collect();
        assert_eq!(text, "[REDACTED]you typed [REDACTED]!");
    }

    #[test]
    fn small_pieces_become_one_entry_and_streams_stay_apart() {
        let mut recorder = Recorder::new();
        for at in 0_u32..10 {
            recorder.output("x", Stream::Stdout, f64::from(at));
        }
        recorder.output("e", Stream::Stderr, 10.0);
        recorder.output("y", Stream::Stdout, 11.0);
        recorder.output("z", Stream::Stdout, 500.0);
        recorder.end();
        let contents: Vec<(&str, f64)> = recorder
            .transcript
            .iter()
            .map(|entry| (entry.content.as_str(), entry.timestamp_ms))
            .collect();
        assert_eq!(
            contents,
            [("xxxxxxxxxx", 0.0), ("e", 10.0), ("y", 11.0), ("z", 500.0)]
        );
    }
}
