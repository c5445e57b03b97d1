//! A client for the guest of a virtual machine monitor: it waits for the guest to boot, keeps one connection to it,
//! runs commands, moves files, and sets variables.
//!
//! ```no_run
//! # async fn example() -> sternline::Result<()> {
//! use std::time::Duration;
//! use sternline::guest::{GuestClient, GuestCommand};
//!
//! let guest = GuestClient::builder("172.16.0.2").key_path("~/.ssh/guest_key").build()?;
//! guest.wait_for_ssh(Duration::from_secs(60), Duration::from_millis(100)).await?;
//!
//! let kernel = guest.run("uname -r").await?;
//! println!("{} ({:?})", kernel.output(), kernel.exit_code);
//!
//! let build = GuestCommand::new("make -C /src").timeout(Duration::from_secs(600));
//! assert!(guest.run(build).await?.ok());
//! guest.close().await;
//! # Ok(()) }
//! ```

mod builder;
mod client;
mod command;
mod environment;
mod files;
mod host_key;
mod pace;
mod readiness;
mod received;
mod run;

pub use builder::{GuestClientBuilder, WAIT_INTERVAL, WAIT_TIMEOUT};
pub use client::GuestClient;
pub use command::{CommandResult, GuestCommand, RUN_TIMEOUT};
pub use environment::{EnvValue, GuestEnvironment};
pub use sternline_proto::guest::{GuestError, ShellKind, ShellMode};
