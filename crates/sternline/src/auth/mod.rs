//! Who we are to a server: an ordered plan of attempts, and each attempt on one connection.
//!
//! [`AuthConfig`] says what may be tried. `prepare` reads the key files and lists the agent's keys while the key
//! exchange runs, `plan` decides purely what comes next, `authenticate` does it.

mod authenticate;
mod config;
mod describe;
mod interactive;
mod key_file;
mod plan;
mod prepare;
mod report;
#[cfg(test)]
mod tests;

pub(crate) use authenticate::{AuthRequest, authenticate};
pub use config::{AuthConfig, AuthMethod};
pub use plan::Wire;
pub(crate) use plan::{DEFAULT_MAX_REFUSALS, MAX_QUESTIONS};
pub use prepare::{AgentKey, agent_keys};
pub(crate) use prepare::{Credentials, check_key_file, prepare};

pub use crate::config::paths::agent_available;
pub use crate::transport::certificate::{CertificateParseError, UserCertificate};
pub use crate::transport::keys::{KeyParseError, PrivateKey};
