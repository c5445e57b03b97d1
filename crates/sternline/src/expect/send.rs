//! What is sent to the program.

use sternline_proto::expect::Key;
use sternline_proto::text::escape;
use zeroize::Zeroizing;

use super::engine::AutomationEngine;
use super::source::Input;
use super::step::RespondAction;
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;

impl AutomationEngine {
    /// Sends a text, and a line feed after it if `add_newline` says so. Not cancel-safe: a part may have been sent.
    ///
    /// # Errors
    /// When the command was started without an input, the input was closed, or the command has ended.
    pub async fn send(&mut self, text: impl AsRef<str>, add_newline: bool) -> Result<()> {
        self.respond(&RespondAction::new(text.as_ref()).add_newline(add_newline))
            .await
    }

    /// Sends a text and a line feed: [`AutomationEngine::send`].
    ///
    /// # Errors
    /// As [`AutomationEngine::send`].
    pub async fn send_line(&mut self, text: impl AsRef<str>) -> Result<()> {
        self.send(text, true).await
    }

    /// Sends a secret and a line feed. It is recorded nowhere, and masked wherever the program shows it.
    ///
    /// # Errors
    /// As [`AutomationEngine::send`].
    pub async fn send_secret(&mut self, secret: &Secret) -> Result<()> {
        self.respond(&RespondAction::from(secret)).await
    }

    /// Sends what a response says: [`AutomationEngine::send`].
    ///
    /// # Errors
    /// As [`AutomationEngine::send`].
    pub async fn respond(&mut self, response: &RespondAction) -> Result<()> {
        // Sized at once, so that no copy of a secret is left where it grew from.
        let mut text = Zeroizing::new(String::with_capacity(response.text().len() + 1));
        text.push_str(response.text());
        if response.has_newline() {
            text.push('\n');
        }
        match response.as_secret() {
            Some(secret) => self.recorder.send_secret(secret),
            None => self.recorder.send(&text, None),
        }
        self.write(text.as_bytes()).await
    }

    /// Sends a control character, such as `c` for ^C, which a terminal turns into an interrupt.
    ///
    /// # Errors
    /// As [`AutomationEngine::send`], and [`ErrorKind::Invalid`] for a character that has no control character: only
    /// letters and ``@[\]^_?`` have.
    pub async fn send_control(&mut self, character: char) -> Result<()> {
        let upper = character.to_ascii_uppercase();
        let byte = match upper {
            '@'..='_' => upper as u8 & 0x1f,
            '?' => 0x7f,
            _ => {
                let shown = escape(&character.to_string());
                let message = format!("\"{shown}\" has no control character");
                return Err(Error::new(ErrorKind::Invalid, message));
            }
        };
        self.recorder
            .send(&char::from(byte).to_string(), Some(&format!("^{upper}")));
        self.write(&[byte]).await
    }

    /// Sends what a key sends that is no character of its own, in the mode that the program has asked for. Full-screen
    /// programs want [`Key::Enter`] where others take a line feed.
    ///
    /// # Errors
    /// As [`AutomationEngine::send`].
    pub async fn send_key(&mut self, key: Key) -> Result<()> {
        let sequence = key.sequence(self.cursor_keys.is_application());
        self.recorder.send(&sequence, Some(&format!("{key:?}")));
        self.write(sequence.as_bytes()).await
    }

    /// Tells the program that its input is at its end. In a terminal this is ^D, which counts at the beginning of a line
    /// that is being read: wait for the prompt before. Without a terminal the input is closed, and nothing more can be sent.
    ///
    /// # Errors
    /// As [`AutomationEngine::send`].
    pub async fn send_eof(&mut self) -> Result<()> {
        if self.output.has_terminal() {
            return self.send_control('d').await;
        }
        self.recorder.send("", Some("EOF"));
        let closed = self.input.close().await;
        closed.map_err(|error| self.output.locate(error))
    }

    /// Tells the program the new size of its terminal, in characters.
    ///
    /// # Errors
    /// When it has ended, or what is sent does not go to a command's own input.
    pub async fn resize(&mut self, columns: u32, rows: u32) -> Result<()> {
        let resized = self.input.resize(columns, rows).await;
        resized.map_err(|error| self.output.locate(error))
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        // The channel may still take what nobody reads any more.
        let written = match (&self.input, &self.ended) {
            (Input::Command(_), Some(_)) => Err(ended()),
            _ => self.input.write(bytes).await,
        };
        written.map_err(|error| self.output.locate(error))
    }
}

fn ended() -> Error {
    Error::new(
        ErrorKind::Channel,
        "the command has ended and reads nothing any more",
    )
}
