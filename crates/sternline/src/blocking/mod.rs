//! The same without `async`: every call returns when it is done.
//!
//! Settings, requests and results are those of the rest of the library. What waits has a namesake here: [`Connection`],
//! [`Supervisor`], [`Fleet`] and what comes from them, with the same methods. Each method is described where it is
//! asynchronous, and what differs is said here.
//!
//! ```no_run
//! use std::time::Duration;
//! use sternline::blocking::Connection;
//! use sternline::{AuthConfig, ExecRequest};
//!
//! # fn example() -> sternline::Result<()> {
//! let settings = Connection::builder("alice@example.com").auth([AuthConfig::agent()]);
//! let connection = Connection::connect(settings)?;
//! let uptime = connection.exec(ExecRequest::from("uptime").timeout(Duration::from_secs(10)))?;
//! print!("{}", uptime.success()?.stdout_text());
//! # Ok(()) }
//! ```
//!
//! **Threads.** Each [`Connection::connect`], [`Supervisor::start`], [`Fleet::new`], [`GuestClient::new`] and
//! [`SandboxExecutor::new`] starts one thread, which does the work of that handle and of all that comes from it. Handles may be cloned and used by any number of threads at once.
//!
//! **Waiting.** A call waits for as long as its request allows: see
//! [`ExecRequest::timeout`](crate::ExecRequest::timeout) and [`Deadlines`](crate::Deadlines). What has no limit of its own takes one here.
//!
//! **Dropping.** When the last handle of a connection or supervisor is dropped, it is closed: commands that were dropped are ended on their hosts
//! first. That is waited for, for six seconds at most, and goes on in the background otherwise.
//!
//! **In an async runtime** a call would hold up whatever else runs on its thread, so it is refused with
//! [`ErrorKind::Invalid`](crate::ErrorKind::Invalid), before anything was done. It is welcome in `tokio::task::spawn_blocking`. Iterators, which
//! cannot refuse, wait all the same, and end at once on the handle's own thread; what is dropped there is closed in the background.
//!
//! **Callbacks**, such as listeners of events, are called on the caller's thread or on the handle's. They must not call
//! back into blocking methods, which are refused there too. For a person's answers, which take their time, there is [`prompter()`]; for
//! input and output of your own that may block, [`reader()`] and [`writer()`].

#[macro_use]
mod macros;

mod connection;
mod direct;
mod expect;
mod fleet;
mod forward;
mod guest;
mod io;
mod output;
mod prompt;
mod run;
mod runtime;
mod sandbox;
mod sftp;
mod shell_session;
mod stdin;
mod stdout;
mod stream;
mod supervisor;

pub use connection::Connection;
pub use direct::DirectStream;
pub use expect::AutomationEngine;
pub use fleet::{Fleet, OpenFleet};
pub use forward::{ForwardHandle, ForwardManager};
pub use guest::{GuestClient, GuestEnvironment};
pub use io::{reader, writer};
pub use output::{Outcome, Output, OutputReader};
pub use prompt::{Prompter, prompter};
pub use run::{Completed, FleetRun, FleetTransfer};
pub use sandbox::SandboxExecutor;
pub use sftp::{Listing, RemoteFile, Sftp};
pub use shell_session::ShellSession;
pub use stdin::StdinWriter;
pub use stdout::StdoutReader;
pub use stream::StreamExec;
pub use supervisor::Supervisor;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_may_be_used_and_sent_by_any_thread() {
        fn shared<T: Send + Sync>() {}
        shared::<Connection>();
        shared::<Supervisor>();
        shared::<Fleet>();
        shared::<OpenFleet>();
        shared::<ForwardManager>();
        shared::<ForwardHandle>();
        shared::<Sftp>();
        shared::<RemoteFile>();
        shared::<StdinWriter>();
        shared::<DirectStream>();
        shared::<Outcome>();
        shared::<GuestClient>();
        shared::<SandboxExecutor>();
        shared::<ShellSession>();
        fn sent<T: Send>() {}
        sent::<StreamExec>();
        sent::<AutomationEngine>();
        sent::<FleetRun>();
        sent::<FleetTransfer>();
        sent::<Listing>();
    }
}
