//! The two words by which sudo's prompt and the beginning of the command are recognised.

use std::fmt;

use data_encoding::HEXLOWER;

/// What every prompt begins with.
const PROMPT: &str = "sudo-password-";

/// How many random bytes a marker has: nobody who does not see it guesses it.
const BYTES: usize = 16;

/// Two random words for one run of one command.
///
/// In the command line they stand as two halves with an empty pair of quotes between them. So a shell that shows what it runs, a
/// process list of the login shell, and a refusal that quotes the command never hold the whole word: only sudo's
/// prompt and the shell that starts the command do.
#[derive(Clone, PartialEq, Eq)]
pub struct SudoMarkers {
    prompt: Marker,
    ready: Marker,
}

/// A word in its two halves.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Marker {
    first: String,
    second: String,
}

impl SudoMarkers {
    /// Makes the words from 32 random bytes, which must be new for every command.
    #[must_use]
    pub fn new(random: [u8; 2 * BYTES]) -> Self {
        let (prompt, ready) = random.split_at(BYTES);
        Self {
            prompt: Marker::new(PROMPT, prompt, ":"),
            ready: Marker::new("sudo-started-", ready, "."),
        }
    }

    pub(super) fn prompt(&self) -> &Marker {
        &self.prompt
    }

    pub(super) fn ready(&self) -> &Marker {
        &self.ready
    }
}

impl Marker {
    fn new(name: &str, random: &[u8], end: &str) -> Self {
        let (first, second) = random.split_at(random.len() / 2);
        Self {
            first: format!("{name}{}", HEXLOWER.encode(first)),
            second: format!("{}{end}", HEXLOWER.encode(second)),
        }
    }

    /// What is printed.
    pub(super) fn text(&self) -> String {
        format!("{}{}", self.first, self.second)
    }

    /// A word of a shell's command line that comes to the same.
    pub(super) fn word(&self) -> String {
        format!("{}\"\"{}", self.first, self.second)
    }
}

/// The prompt of a command line that answers sudo, as sudo's own arguments hold it.
pub(crate) fn prompt_in_line(line: &[u8]) -> Option<String> {
    let line = String::from_utf8_lossy(line);
    let word = line.split(' ').skip_while(|word| *word != "-p").nth(1)?;
    word.starts_with(PROMPT).then(|| word.replace('"', ""))
}

/// Shows that they are markers, and not which.
impl fmt::Debug for SudoMarkers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SudoMarkers")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_words_are_made_of_the_random_bytes_and_differ() {
        let markers = SudoMarkers::new(std::array::from_fn(|index| index as u8));
        assert_eq!(
            markers.prompt().text(),
            "sudo-password-000102030405060708090a0b0c0d0e0f:"
        );
        assert_eq!(
            markers.ready().text(),
            "sudo-started-101112131415161718191a1b1c1d1e1f."
        );
        assert_ne!(markers, SudoMarkers::new([0; 32]));
    }

    #[test]
    fn a_word_of_the_command_line_is_never_the_marker_itself() {
        let markers = SudoMarkers::new([7; 32]);
        for marker in [markers.prompt(), markers.ready()] {
            assert!(!marker.word().contains(&marker.text()));
            assert_eq!(marker.word().replace("\"\"", ""), marker.text());
        }
    }

    #[test]
    fn the_prompt_is_found_in_a_command_line() {
        use crate::command::{Command, Sudo};
        let markers = SudoMarkers::new([7; 32]);
        let command = Command::shell("a 'b' -p c").as_user("bob").sudo(Sudo::Password);
        let line = command.to_line_with(&markers).unwrap();
        assert_eq!(prompt_in_line(&line), Some(markers.prompt().text()));
        for line in ["ssh -p 22", "-p", "sudo -n -- id", ""] {
            assert_eq!(prompt_in_line(line.as_bytes()), None, "{line}");
        }
    }
}
