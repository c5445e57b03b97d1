//! The texts that end a command's output.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;

/// The text that ends the output of one command: made anew for each.
///
/// The shell is told it in two halves, so that no trace of what it does (`set -x`, `set -v`) looks like it.
#[derive(Clone, PartialEq, Eq)]
pub struct Marker(String);

impl Marker {
    /// From random bytes of a cryptographic source. Twelve of them are 16 letters, digits, `-` and `_`.
    #[must_use]
    pub fn new(random: [u8; 12]) -> Self {
        Self(BASE64URL_NOPAD.encode(&random))
    }

    /// The text as it ends the output.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Two words that a shell has to put together.
    pub(super) fn halves(&self) -> (&str, &str) {
        self.0.split_at(self.0.len() / 2)
    }
}

/// Whoever knows it before the command has ended could end its output.
impl fmt::Debug for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Marker")
    }
}
