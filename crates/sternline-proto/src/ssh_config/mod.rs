//! OpenSSH's client configuration, ssh_config(5): files and `-o` options in, the settings for one host out.
//!
//! Nothing is read here: the caller hands over the text of the files, and an [`Env`] that answers for includes, the
//! home directory and environment variables. Every setting keeps the place it came from.
//!
//! What is not supported is never passed over in silence. An option that would change security or the way to the host
//! is an error when it applies to the host; other known options are listed in [`Options::ignored`]; an unknown word is
//! an error anywhere, as it is for ssh.

mod error;
mod keyword;
mod lexer;
mod options;
mod pattern;
mod proxy;
mod query;
mod resolve;
mod token;
mod value;

pub use error::{ConfigError, Problem};
pub use options::{IdentityAgent, Options, Proxy, Source, Sourced, StrictHostKeyChecking};
pub use pattern::fits as pattern_fits;
pub use proxy::ProxyTokens;
pub use query::{ConfigFile, Env, Query};
pub use resolve::resolve;
