//! A transcript as a film of the terminal.

use std::io;
use std::path::Path;

use serde_json::json;

use super::entry::{InteractionType, TranscriptEntry};
use super::private_file::write_private;
use super::transcript::Transcript;

impl Transcript {
    /// The dialogue as an asciicast, version 2, which asciinema and its kin play: a header, then a line for each output
    /// (`o`) and each input (`i`) with its time. Redacted; a secret that was sent is no input.
    ///
    /// Where no line ends with a carriage return and a line feed the output does not come from a terminal, and its line
    /// ends are made those of one.
    #[must_use]
    pub fn to_asciicast(&self, columns: u32, rows: u32) -> String {
        let is_output = |entry: &&TranscriptEntry| entry.interaction_type == InteractionType::Output;
        let from_terminal = self
            .iter()
            .filter(is_output)
            .any(|entry| entry.content.contains("\r\n"));
        let header = json!({
            "version": 2,
            "width": columns,
            "height": rows,
            "timestamp": (self.start_ms() / 1000.0).floor().max(0.0) as u64,
            "env": { "TERM": "xterm" },
        });
        let mut cast = format!("{header}\n");
        let mut latest = 0.0_f64;
        for entry in self {
            let code = match entry.interaction_type {
                InteractionType::Output => "o",
                InteractionType::Send if !entry.metadata.contains_key("secret") => "i",
                InteractionType::Send | InteractionType::Expect | InteractionType::Timeout => continue,
            };
            if entry.content.is_empty() {
                continue;
            }
            // Output is recorded with the time at which it came, and what was sent meanwhile may stand before it.
            latest = latest.max((entry.timestamp_ms - self.start_ms()) / 1000.0);
            let mut text = self.redacted(&entry.content);
            if code == "o" && !from_terminal {
                text = text.replace('\n', "\r\n");
            }
            let seconds = (latest * 1e6).round() / 1e6;
            cast.push_str(&format!("{}\n", json!([seconds, code, text])));
        }
        cast
    }

    /// Writes [`Transcript::to_asciicast`] to a file, as [`Transcript::to_file`] does.
    ///
    /// # Errors
    /// What the operating system answers.
    pub fn to_asciicast_file(&self, path: impl AsRef<Path>, columns: u32, rows: u32) -> io::Result<()> {
        write_private(path.as_ref(), self.to_asciicast(columns, rows).as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::evidence::Stream;
    use crate::secret::Secret;

    fn lines(transcript: &Transcript) -> Vec<Value> {
        let cast = transcript.to_asciicast(80, 24);
        cast.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[test]
    fn outputs_and_inputs_come_in_order_and_secrets_not_at_all() {
        let mut transcript = Transcript::from_entries(1_700_000_000_500.0, Vec::new());
        transcript.add_output_at(1_700_000_000_750.0, "Password: \r\n".to_owned(), Stream::Stdout);
        transcript.add_secret_send(&Secret::from("hunter2"));
        transcript.add_send("ls\n", None);
        transcript.add_output_at(1_700_000_000_900.0, "é token=abc123\n".to_owned(), Stream::Stdout);
        let lines = lines(&transcript);
        assert_eq!(
            lines[0],
            json!({"version": 2, "width": 80, "height": 24, "timestamp": 1_700_000_000_u64, "env": {"TERM": "xterm"}})
        );
        assert_eq!(lines[1], json!([0.25, "o", "Password: \r\n"]));
        assert_eq!((&lines[2][1], &lines[2][2]), (&json!("i"), &json!("ls\n")));
        assert_eq!(lines[3][2], json!("é token=[REDACTED]\n"));
        let times: Vec<f64> = lines[1..].iter().map(|line| line[0].as_f64().unwrap()).collect();
        assert!(times.is_sorted(), "{times:?}");
        assert_eq!(lines.len(), 4);
    }

    #[test]
    fn output_without_a_terminal_gets_the_line_ends_of_one() {
        let mut transcript = Transcript::new();
        transcript.add_output("one\ntwo\n", Stream::Stdout);
        assert_eq!(lines(&transcript)[1][2], json!("one\r\ntwo\r\n"));
    }
}
