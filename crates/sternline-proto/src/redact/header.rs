//! Credentials in HTTP headers.

use super::base64::is_basic_credential;
use super::text::Scan;
use super::token::looks_random;

impl Scan<'_> {
    /// `Bearer x`, `Basic x` and other schemes: the scheme stays, the rest of the line goes.
    pub(super) fn credentials(&mut self, start: usize) -> bool {
        let scheme_end = self
            .text
            .skip(start, |b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        let value = self.text.skip(scheme_end, |b| b == b' ');
        // These have fields in quotes.
        let scheme = self.text.slice(start, scheme_end).to_ascii_lowercase();
        let has_quotes = matches!(scheme.as_str(), "digest" | "oauth" | "hawk" | "signature");
        let end = self.text.skip(value, |b| {
            !b"\r\n".contains(&b) && (has_quotes || !b"\"'".contains(&b))
        });
        let is_scheme = scheme_end > start && value > scheme_end && end > value;
        if is_scheme {
            self.replace(value, end);
        }
        is_scheme
    }

    /// `Bearer x` and `Basic x` without the header's name.
    pub(super) fn bare_credential(&mut self, name: &str, end: usize) -> bool {
        let next = self.text.blanks(end);
        if next == end || !(name.eq_ignore_ascii_case("bearer") || name.eq_ignore_ascii_case("basic")) {
            return false;
        }
        let word_end = self
            .text
            .skip(next, |b| !b.is_ascii_whitespace() && !b"\"'\\,;)".contains(&b));
        let word = self.text.slice(next, word_end);
        // What a server says of itself in `WWW-Authenticate`.
        let is_challenge = ["realm=", "error=", "scope="]
            .iter()
            .any(|field| word.starts_with(field));
        if is_challenge {
            return false;
        }
        let is_credential = match name.eq_ignore_ascii_case("bearer") {
            true => word.len() >= 16 || looks_random(word),
            false => is_basic_credential(word),
        };
        if is_credential {
            self.replace(next, word_end);
        }
        is_credential
    }

    /// The whole of a cookie header: `Cookie: a=b; c=d`.
    pub(super) fn cookies(&mut self, start: usize, end: usize) -> bool {
        if !self.text.from(end).starts_with(": ") {
            return false;
        }
        let quote = self.text.before(start).filter(|byte| b"\"'".contains(byte));
        let from = self.text.blanks(end + 1);
        let to = self
            .text
            .skip(from, |byte| !b"\r\n".contains(&byte) && Some(byte) != quote);
        let is_header = self.text.slice(from, to).contains('=');
        if is_header {
            self.replace(from, to);
        }
        is_header
    }
}
