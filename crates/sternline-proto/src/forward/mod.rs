//! The forwards that ssh(1) takes with `-L`, `-R` and `-D`, as plain data.
//!
//! A field with a `/` in it is the path of a Unix socket. Square brackets hold an IPv6 address, or a path with a colon
//! in it; outside of them a backslash takes the next character's meaning away. Other than in ssh, a port is a number
//! and not the name of a service, a path is taken as it stands, without `%` tokens and variables, and every
//! listener may have port 0, for which the system chooses a free one.

mod error;
mod parse;
mod spec;

pub use error::{ForwardError, ForwardProblem};
pub use spec::{BindAddress, ConnectAddress, ForwardIntent, ForwardType, ListenAddress, Side};
