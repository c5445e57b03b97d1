//! An SSH server to embed: in tests, demos and tools.
//!
//! It listens on loopback, nobody can log in until a user is added, and nothing real is run unless
//! [`ServerBuilder::real_shell`] is called.
//!
//! ```
//! use sternline_server::{Credential, Reply, Server};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = Server::builder()
//!     .user("deploy", Credential::password("secret"))
//!     .command("uname -r", Reply::stdout("6.1.0\n"))
//!     .command("false", Reply::new("", "", 1))
//!     .answer_with(|request| Reply::stdout(format!("{} ran {}\n", request.user, request.command_text())))
//!     .bind()
//!     .await?;
//!
//! // Any SSH client can now run commands: ssh -p PORT deploy@127.0.0.1 'uname -r'
//! assert!(server.addr().ip().is_loopback());
//! assert!(server.known_hosts_line().starts_with(&format!("[127.0.0.1]:{} ssh-ed25519 ", server.port())));
//! assert!(server.log().is_empty());
//! server.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! A handler gets the streams of its channel, as they are:
//!
//! ```
//! use sternline_server::{ExecRequest, ExitOutcome, Server};
//!
//! /// Answers each command with what it reads.
//! async fn cat(mut request: ExecRequest) -> ExitOutcome {
//!     match tokio::io::copy(&mut request.stdin, &mut request.stdout).await {
//!         Ok(_) => ExitOutcome::SUCCESS,
//!         Err(_) => ExitOutcome::Code(1),
//!     }
//! }
//!
//! let server = Server::builder().on_exec(cat);
//! ```
//!
//! Files are served over SFTP and SCP, and the program around the server sees what clients do to them:
//!
//! ```
//! use sternline_server::{Server, VirtualFiles};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let files = VirtualFiles::new();
//! files.add_file("/etc/motd", "Welcome.\n", 0o644)?;
//! let server = Server::builder().files(files.clone()).bind().await?;
//!
//! // A client may now do: sftp> put app.conf /etc/app.conf
//! assert!(files.file("/etc/app.conf").is_none());
//! assert!(server.file_log().is_empty());
//! # Ok(())
//! # }
//! ```
//!
//! It forwards ports and sockets once [`ServerBuilder::allow_forwarding`] is called, and fails as it is told:
//! [`Server::set_fault`] takes the faults of the module [`fault`] by name, and [`Server::restart`] starts it again on its
//! port.
//!
//! It answers like a recorded host, from a bundle of evidence: see the module [`replay`].
//!
//! OpenSSH's `ssh`, asyncssh and paramiko are tested against it. One thing to know about paramiko: its `Transport` asks
//! for the authentication service again before each further attempt on a connection, and waits. RFC 4252 does not
//! foresee that, and this server leaves it unanswered: give paramiko one credential to try, so `allow_agent=False` and
//! `look_for_keys=False` beside a password. And one about asyncssh: the draft of SFTP has a symbolic link's own path first, OpenSSH
//! has it last, and so has this server; asyncssh follows OpenSSH only where a server calls itself that.

mod builder;
mod credential;
mod door;
mod exec;
pub mod fault;
mod files;
mod forward;
mod lifetime;
mod log;
mod output;
mod protocol;
pub mod replay;
mod scp;
mod server;
mod sftp;
#[cfg(unix)]
mod shell;
mod stdin;

pub use builder::{BindError, ServerBuilder};
pub use credential::Credential;
pub use exec::{Control, ControlEvents, ExecRequest, ExitOutcome, Pty, Reply, WindowSize};
pub use files::{FileAction, FileEntry, VirtualFile, VirtualFiles};
pub use log::LogEntry;
pub use output::Output;
pub use protocol::key::{KeyPair, KeyTextError};
pub use server::Server;
pub use stdin::Stdin;
