//! The frames of keys.

/// A PEM block, or one that looks like it.
pub(super) struct Frame<'a> {
    pub(super) label: &'a str,
    pub(super) is_private: bool,
    /// Up to the end of its last line; for a private key without one, to the end of the text.
    pub(super) length: usize,
}

/// `-----BEGIN ... PRIVATE KEY-----` to the matching end, and public blocks likewise (RFC 7468). `---- BEGIN SSH2
/// ENCRYPTED PRIVATE KEY ----` as well. A public block whose end does not follow its body is none: it could hide
/// anything.
pub(super) fn pem(text: &str) -> Option<Frame<'_>> {
    let (dashes, rest) = match text.strip_prefix("-----BEGIN ") {
        Some(rest) => ("-----", rest),
        None => ("----", text.strip_prefix("---- BEGIN ")?),
    };
    let end = rest.find(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == ' '))?;
    let (label, body) = rest.split_at_checked(end)?;
    let label = label.trim_end();
    let begun = text.len() - body.len();
    if label.ends_with("PRIVATE KEY") || label.ends_with("PRIVATE KEY BLOCK") {
        let tail = match label.ends_with("BLOCK") {
            true => "PRIVATE KEY BLOCK-----",
            false if dashes.len() == 4 => "PRIVATE KEY ----",
            false => "PRIVATE KEY-----",
        };
        let length = body.find(tail).map_or(text.len(), |at| begun + at + tail.len());
        return Some(Frame {
            label,
            is_private: true,
            length,
        });
    }
    let content = body.strip_prefix(dashes)?;
    let is_body = |c: char| c.is_ascii_alphanumeric() || "+/=\\\n\r \t".contains(c);
    let close = content.trim_start_matches(is_body);
    let close = close
        .strip_prefix("-----END ")?
        .strip_prefix(label)?
        .strip_prefix(dashes)?;
    // Public text has no names in it, so `name=value` must not hide there.
    let content = content.get(..content.len() - close.len())?;
    let last = content.trim_end_matches('-').rfind("-----END ")?;
    let padding = content
        .get(..last)?
        .trim_end_matches(|c: char| "=\\nr\n\r \t".contains(c));
    (!padding.contains('=')).then_some(Frame {
        label,
        is_private: false,
        length: text.len() - close.len(),
    })
}

/// How long the private part of a PuTTY key is that begins with `Private-Lines:`: to the end of the line with its MAC,
/// or of the text.
pub(super) fn putty(text: &str) -> usize {
    let Some(mac) = ["Private-MAC: ", "Private-Hash: "].iter().find_map(|name| {
        let at = text.find(name)?;
        Some(at + name.len())
    }) else {
        return text.len();
    };
    let digits = text.get(mac..).unwrap_or_default();
    mac + digits.len() - digits.trim_start_matches(|c: char| c.is_ascii_hexdigit()).len()
}
