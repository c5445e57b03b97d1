//! Keeping secrets out of logs, events and evidence.
//!
//! What is recognised is recognised by its surroundings: the name in front of a value, the frame of a private key, the
//! place in a URL. A secret that stands alone in a text looks like any other word and stays; the first protection is
//! not to put it there. When it is unclear where a secret ends, too much is taken away rather than too little.

mod block;
mod forms;
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

pub use json::redact_secrets;
pub use marked::Redactor;
pub use text::redact_string;

/// What stands in the place of a secret value.
pub const REDACTED: &str = "[REDACTED]";

/// What stands in the place of a long text in base64.
pub const REDACTED_BASE64: &str = "[REDACTED BASE64]";

/// What stands in the place of a private key.
pub const REDACTED_KEY: &str = "[REDACTED PRIVATE KEY]";
