//! Secrets: overwritten when dropped, and absent from anything that is printed.

use std::fmt;

use bytes::Bytes;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

/// A password, passphrase or one-time code.
///
/// Its memory is overwritten when the last clone goes, and its `Debug` output is `[REDACTED]`. There is no
/// `Display` and no serialisation.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Takes ownership of the text. A caller that holds another copy is responsible for that one.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(SecretString::from(text.into()))
    }

    /// The text itself. Keep it no longer than the call that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// The secret and a line's end, to be sent. Its memory is overwritten once it was.
pub(crate) fn line_of(secret: &Secret) -> Bytes {
    let text = secret.expose();
    // As long as it has to be from the start, so that no copy is left behind by growing.
    let mut line = Zeroizing::new(Vec::with_capacity(text.len() + 1));
    line.extend_from_slice(text.as_bytes());
    line.push(b'\n');
    Bytes::from_owner(line)
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[REDACTED]")
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_never_shows_the_secret() {
        let secret = Secret::from("hunter2");
        assert_eq!(format!("{secret:?}"), "[REDACTED]");
        assert_eq!(secret.expose(), "hunter2");
        assert_eq!(line_of(&secret), "hunter2\n");
    }
}
