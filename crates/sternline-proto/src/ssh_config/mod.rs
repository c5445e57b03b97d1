//! OpenSSH's client configuration, ssh_config(5): files and `-o` options in, the settings for one host out.
//!
//! Nothing is read here: the caller hands over files that are parsed once for any number of hosts, and an [`Env`] that
//! answers for includes, the home directory and environment variables. Every setting keeps the place it came from.
//!
//! What is not supported is never passed over in silence. An option without which a connection would be less secure, or
//! lead elsewhere, is an error when it applies to the host; what is not obeyed otherwise is listed in
//! [`Options::ignored`], with what happens instead where that matters to security; an unknown word is an error
//! anywhere, as it is for ssh.

mod algorithms;
mod criteria;
mod error;
mod form;
mod keyword;
mod lexer;
mod line;
mod options;
mod pattern;
mod proxy;
mod query;
mod resolve;
mod shown;
mod token;
mod unsupported;
mod value;

pub use algorithms::AlgorithmList;
pub use error::{ConfigError, Problem};
pub use line::ConfigFile;
pub use options::{
    AddressFamily, IdentityAgent, Ignored, Options, Proxy, Source, Sourced, StrictHostKeyChecking,
};
pub use pattern::fits as pattern_fits;
pub use proxy::ProxyTokens;
pub use query::{Env, Query, RootFile};
pub use resolve::resolve;
pub use shown::Shown;
