//! An SSH automation engine: verified connections, commands that always end, events for everything.

pub mod auth;
pub mod blocking;
pub mod config;
pub mod connection;
pub mod deadline;
pub mod error;
pub mod event;
pub mod evidence;
pub mod exec;
pub mod expect;
pub mod fleet;
pub mod forward;
pub mod guest;
pub mod host_key;
pub mod prompt;
pub mod sandbox;
pub mod secret;
pub mod shell_session;
pub mod transfer;
mod transport;

pub use auth::{AuthConfig, AuthMethod};
pub use connection::{
    Connection, ConnectionBuilder, ConnectionState, KeepaliveConfig, ProgressWatchdog, RetryPolicy,
    Supervisor,
};
pub use deadline::{Deadlines, Phase};
pub use error::{DisconnectReason, Error, ErrorKind, Result, SendState};
pub use event::{Event, EventCollector, EventType};
pub use evidence::{EvidenceBundle, Transcript};
pub use exec::{Command, ExecRequest, ExecResult, RetryOnDisconnect, StreamEvent, StreamExec};
pub use expect::{AutomationEngine, ExpectPattern, ExpectResult};
pub use fleet::Fleet;
pub use forward::{ForwardHandle, ForwardIntent, ForwardManager, ForwardType};
pub use guest::GuestClient;
pub use host_key::HostKeyPolicy;
pub use secret::{Secret, SharedSecret};
pub use shell_session::ShellSession;
pub use sternline_proto as proto;
pub use transfer::{Sftp, Transfer, TransferResult};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
