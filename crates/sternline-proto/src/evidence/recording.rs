//! What a server needs of a bundle to answer as the recorded host did.

use serde_json::{Map, Value};
use thiserror::Error;

use super::command::{RecordedCommand, RecordedCommandError};
use super::document::{BundleTextError, Place, RecordKind, read_bundle};

/// A host, as a bundle has it: who it says it is, and what it answered.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Recording {
    /// The commands, in the order in which they were started.
    pub commands: Vec<RecordedCommand>,
    /// The server's identification line (RFC 4253 section 4.2), escaped.
    pub server_version: Option<String>,
    /// What the server showed before the login (RFC 4252 section 5.4).
    pub banner: Option<String>,
    /// Who was logged in.
    pub username: Option<String>,
}

/// Why a text gives no [`Recording`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RecordingError {
    /// It is no bundle.
    #[error(transparent)]
    Text(#[from] BundleTextError),
    /// A command in it cannot be used.
    #[error("{place}: {source}")]
    Command {
        /// Where it stands.
        place: Place,
        /// What is wrong with it.
        source: RecordedCommandError,
    },
}

impl Recording {
    /// Reads the text of a bundle, as JSON or as JSON lines. Only what stands in a [`Recording`] has to make sense.
    ///
    /// # Errors
    /// When it is no bundle, or a command in it lacks something.
    pub fn from_text(text: &str) -> Result<Self, RecordingError> {
        let mut recording = Self::default();
        for record in read_bundle(text)? {
            match record.kind {
                RecordKind::Header => {
                    recording.server_version = inner_text(&record.fields, "algorithms", "server_version");
                    recording.username = inner_text(&record.fields, "host_info", "username");
                }
                RecordKind::Event => {
                    let banner = inner_text(&record.fields, "data", "auth_banner");
                    recording.banner = banner.map(|text| unescape(&text)).or(recording.banner);
                }
                RecordKind::Command => {
                    let command = RecordedCommand::from_dict(&record.fields);
                    recording
                        .commands
                        .push(command.map_err(|source| RecordingError::Command {
                            place: record.place,
                            source,
                        })?);
                }
                RecordKind::TranscriptEntry => {}
            }
        }
        recording
            .commands
            .sort_by(|one, other| one.started_ms.total_cmp(&other.started_ms));
        Ok(recording)
    }

    /// The server's identification line as it is sent, without its end; `None` where none is known, or it is not one that
    /// a server may send: version 2 of the protocol, printable ASCII, at most 253 bytes (RFC 4253 section 4.2).
    #[must_use]
    pub fn identification(&self) -> Option<String> {
        let line = unescape(self.server_version.as_deref()?);
        let printable = line.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        let of_version_2 = line.starts_with("SSH-2.0-") || line.starts_with("SSH-1.99-");
        (printable && of_version_2 && line.len() <= 253).then_some(line)
    }
}

/// The text of which this is what [`escape`](crate::text::escape) has made. What it does not make stays as it is.
fn unescape(escaped: &str) -> String {
    let mut text = String::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some((before, sequence)) = rest.split_once('\\') {
        text.push_str(before);
        let (c, after) = match sequence.chars().next() {
            Some('n') => (Some('\n'), sequence.get(1..)),
            Some('r') => (Some('\r'), sequence.get(1..)),
            Some('t') => (Some('\t'), sequence.get(1..)),
            Some('\\') => (Some('\\'), sequence.get(1..)),
            Some('x') => (sequence.get(1..3).and_then(character), sequence.get(3..)),
            Some('u') => {
                let digits = sequence.strip_prefix("u{").and_then(|rest| rest.split_once('}'));
                (
                    digits.and_then(|(digits, _)| character(digits)),
                    digits.map(|(_, after)| after),
                )
            }
            _ => (None, None),
        };
        rest = match (c, after) {
            (Some(c), Some(after)) => {
                text.push(c);
                after
            }
            _ => {
                text.push('\\');
                sequence
            }
        };
    }
    text.push_str(rest);
    text
}

/// The character with this number in hexadecimal digits.
fn character(digits: &str) -> Option<char> {
    let hexadecimal = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = u32::from_str_radix(digits, 16).ok().filter(|_| hexadecimal);
    char::from_u32(number?)
}

fn inner_text(fields: &Map<String, Value>, object: &str, name: &str) -> Option<String> {
    let text = fields.get(object)?.get(name)?.as_str()?;
    Some(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::escape;
    use proptest::prelude::*;
    use serde_json::json;

    fn command(line: &str, started_ms: f64) -> Value {
        json!({"command": line, "started_ms": started_ms, "duration_ms": 1.0, "stdout": line, "exit_code": 0})
    }

    #[test]
    fn both_forms_give_the_host_and_its_commands_in_the_order_of_their_start() {
        let algorithms = json!({"server_version": "SSH-2.0-OpenSSH_9.2"});
        let host_info = json!({"host": "web", "port": 22, "username": "ann"});
        let event = json!({"event_type": "AUTH", "timestamp": 1.0, "data": {"auth_banner": "No\\nentry."}});
        let object = json!({
            "version": "1.0", "algorithms": algorithms, "host_info": host_info, "events": [event],
            "commands": [command("second", 2.0), command("first", 1.0)],
        });
        let mut lines = [
            json!({"type": "bundle_header", "version": "1.0", "algorithms": algorithms, "host_info": host_info}),
            event,
            command("second", 2.0),
            command("first", 1.0),
        ];
        for (line, kind) in lines.iter_mut().skip(1).zip(["event", "command", "command"]) {
            line["type"] = kind.into();
        }
        for text in [
            object.to_string(),
            format!("{object:#}"),
            lines.each_ref().map(Value::to_string).join("\n"),
        ] {
            let recording = Recording::from_text(&text).unwrap();
            let commands: Vec<_> = recording
                .commands
                .iter()
                .map(|command| &*command.command)
                .collect();
            assert_eq!(commands, ["first", "second"]);
            assert_eq!(recording.server_version.as_deref(), Some("SSH-2.0-OpenSSH_9.2"));
            assert_eq!(recording.username.as_deref(), Some("ann"));
            assert_eq!(recording.banner.as_deref(), Some("No\nentry."));
        }
    }

    #[test]
    fn a_bundle_that_knows_next_to_nothing_is_a_recording_too() {
        assert_eq!(
            Recording::from_text(r#"{"version": "1.0"}"#),
            Ok(Recording::default())
        );
        let text =
            r#"{"version": "1.0", "algorithms": 1, "host_info": {"username": 2}, "events": [{"data": []}]}"#;
        assert_eq!(Recording::from_text(text), Ok(Recording::default()));
    }

    #[test]
    fn only_what_a_server_may_send_is_an_identification() {
        let long = format!("SSH-2.0-{}", "a".repeat(246));
        for (version, sent) in [
            (
                "SSH-2.0-OpenSSH_9.2p1 Debian-2",
                Some("SSH-2.0-OpenSSH_9.2p1 Debian-2"),
            ),
            ("SSH-1.99-Cisco-1.25", Some("SSH-1.99-Cisco-1.25")),
            (r"SSH-2.0-a\\b", Some(r"SSH-2.0-a\b")),
            (r"SSH-2.0-a\x1b[31m", None),
            ("SSH-2.0-naïve", None),
            ("SSH-2.0-a\nb", None),
            ("SSH-1.5-old", None),
            ("", None),
            (&long, None),
        ] {
            let recording = Recording {
                server_version: Some(version.to_owned()),
                ..Recording::default()
            };
            assert_eq!(recording.identification().as_deref(), sent, "{version}");
        }
        assert_eq!(Recording::default().identification(), None);
    }

    #[test]
    fn what_is_no_escape_sequence_stays_as_it_is() {
        for text in [
            "\\",
            "a\\q",
            "\\x1",
            "\\xzz",
            "\\xä",
            "\\u{",
            "\\u{}",
            "\\u{d800}",
            "\\u{+41}",
            "\\u41",
        ] {
            assert_eq!(unescape(text), text);
        }
    }

    proptest! {
        #[test]
        fn what_was_escaped_comes_back(text in any::<String>(), more in "[\\\\nrtxu{}0-9a-fä]{0,12}") {
            prop_assert_eq!(unescape(&escape(&text)), text.clone());
            prop_assert_eq!(unescape(&escape(&more)), more.clone());
            let _ = unescape(&more);
        }
    }

    #[test]
    fn a_command_that_lacks_something_is_named_by_its_place() {
        let text = r#"{"version": "1.0", "commands": [{"command": "id"}]}"#;
        let error = Recording::from_text(text).unwrap_err();
        assert_eq!(
            error.to_string(),
            "commands[0]: the recorded command has no usable \"started_ms\""
        );
        assert!(Recording::from_text("nonsense").is_err());
    }
}
