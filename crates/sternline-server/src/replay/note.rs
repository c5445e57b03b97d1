//! What a replay cannot do, or does otherwise than it was recorded.

use std::fmt;

use sternline_proto::evidence::{RecordedInput, RecordedOutput};
use sternline_proto::text::escape;

/// Something that is worth knowing about an answer. `Display` gives a line for people, with foreign text escaped.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplayNote {
    /// The recording has no such command. It was answered with exit status 127.
    Missing {
        /// The command, as text; empty for an interactive shell.
        command: String,
    },
    /// The command was given something else to read than when it was recorded. It was answered all the same.
    OtherInput {
        /// The command.
        command: String,
        /// What it read then.
        recorded: RecordedInput,
        /// What it read now, up to where it ended.
        given: RecordedInput,
    },
    /// The command wrote more than was recorded. It was answered with the first part.
    Truncated {
        /// The command.
        command: String,
        /// The stream that was cut, `stdout` or `stderr`.
        stream: &'static str,
        /// The number of bytes that are there.
        kept: u64,
        /// The number of bytes that it wrote.
        written: u64,
    },
    /// The command had no end that the client learnt of. Where the connection was lost it is cut again, otherwise the command
    /// goes on until the client ends it.
    Unfinished {
        /// The command.
        command: String,
        /// Why, as it was recorded.
        error: String,
    },
}

impl ReplayNote {
    /// The command that it is about, as text; empty for an interactive shell.
    #[must_use]
    pub fn command(&self) -> &str {
        match self {
            Self::Missing { command }
            | Self::OtherInput { command, .. }
            | Self::Truncated { command, .. }
            | Self::Unfinished { command, .. } => command,
        }
    }

    /// Says that output was cut, if it was.
    pub(super) fn truncated(command: &str, stream: &'static str, output: &RecordedOutput) -> Option<Self> {
        output.is_truncated().then(|| Self::Truncated {
            command: command.to_owned(),
            stream,
            kept: output.data.len() as u64,
            written: output.bytes,
        })
    }
}

impl fmt::Display for ReplayNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let command = shown(self.command());
        match self {
            Self::Missing { .. } => write!(f, "not in the recording: {command}"),
            Self::OtherInput { recorded, given, .. } => write!(
                f,
                "other input than recorded, {} bytes instead of {}{}: {command}",
                given.bytes,
                recorded.bytes,
                if given.bytes == recorded.bytes {
                    " of another content"
                } else {
                    ""
                },
            ),
            Self::Truncated {
                stream,
                kept,
                written,
                ..
            } => write!(
                f,
                "only the first {kept} of {written} bytes of {stream} were recorded: {command}"
            ),
            Self::Unfinished { error, .. } => {
                write!(f, "recorded without an end ({}): {command}", escape(error))
            }
        }
    }
}

/// A command on one line, or what stands for none.
pub(super) fn shown(command: &str) -> String {
    if command.is_empty() {
        "(interactive shell)".to_owned()
    } else {
        escape(command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_note_is_one_line_that_no_terminal_obeys() {
        let command = "printf '\x1b[2J'\n".to_owned();
        let read = |bytes| RecordedInput { bytes, sha256: None };
        for (note, line) in [
            (
                ReplayNote::Missing {
                    command: command.clone(),
                },
                r"not in the recording: printf '\x1b[2J'\n",
            ),
            (
                ReplayNote::Missing {
                    command: String::new(),
                },
                "not in the recording: (interactive shell)",
            ),
            (
                ReplayNote::OtherInput {
                    command: "cat".into(),
                    recorded: read(3),
                    given: read(4),
                },
                "other input than recorded, 4 bytes instead of 3: cat",
            ),
            (
                ReplayNote::OtherInput {
                    command: "cat".into(),
                    recorded: read(3),
                    given: read(3),
                },
                "other input than recorded, 3 bytes instead of 3 of another content: cat",
            ),
            (
                ReplayNote::Truncated {
                    command: "cat".into(),
                    stream: "stderr",
                    kept: 1,
                    written: 9,
                },
                "only the first 1 of 9 bytes of stderr were recorded: cat",
            ),
            (
                ReplayNote::Unfinished {
                    command: "cat".into(),
                    error: "lost\x07".into(),
                },
                r"recorded without an end (lost\x07): cat",
            ),
        ] {
            assert_eq!(note.to_string(), line);
        }
    }
}
