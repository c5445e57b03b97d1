//! The pure half of Sternline: bytes and strings in, decisions out.
//!
//! Nothing here touches a socket, a file, a clock, the environment or an async runtime, so every decision can be
//! tested with a table. The `sternline` crate turns these decisions into effects.

pub mod backoff;
pub mod command;
pub mod evidence;
pub mod expect;
pub mod files;
pub mod forward;
pub mod framing;
pub mod guest;
pub mod inventory;
pub mod key;
pub mod known_hosts;
pub mod quoting;
pub mod redact;
pub mod remote_process;
pub mod sandbox;
pub mod scp;
pub mod script;
pub mod sftp;
pub mod socks;
pub mod ssh_config;
pub mod sudo;
pub mod tar;
pub mod target;
pub mod text;
