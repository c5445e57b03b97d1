//! Keeping secrets out of logs, events and evidence.
//!
//! Two things are taken away. Values that were marked as secret are found wherever they stand and however they are
//! written; see [`Redactor`]. Everything else is recognised by its surroundings or its form: the name in front of a value,
//! the option of a tool, the place in a URL, the frame of a private key, the prefix of a token. A secret that was not
//! marked and stands alone in a text looks like any other word and stays; the first protection is not to put it there.
//! When it is unclear where a secret ends, too much is taken away rather than too little.
//!
//! `text` goes through a text once and leaves each thing that it meets to a module of its own: `field` the values of
//! names, `words` command lines with `line` and the table in `tool`, `header`, `block` and `token` what they are called.
//! All of them only note spans, which `span` replaces. `marked` finds its values with `search` in the readings of a text that
//! `forms` makes.

mod base64;
mod block;
mod bytes;
mod field;
mod forms;
mod header;
mod json;
mod line;
mod marked;
mod name;
mod search;
mod span;
mod text;
mod token;
mod tool;
mod value;
mod words;

pub use bytes::redact_bytes;
pub use json::redact_secrets;
pub use marked::Redactor;
pub use text::redact_string;

/// What stands in the place of a secret value.
pub const REDACTED: &str = "[REDACTED]";

/// What stands in the place of a long text in base64.
pub const REDACTED_BASE64: &str = "[REDACTED BASE64]";

/// What stands in the place of a private key.
pub const REDACTED_KEY: &str = "[REDACTED PRIVATE KEY]";
