//! Answering like a recorded host: a bug report becomes a test.
//!
//! A bundle of evidence whose commands were recorded (`sternline ssh --evidence FILE --record-output`) holds what a host
//! answered. A server that is given it answers the same commands with the same bytes and the same ends, and keeps a list of
//! the commands that it lacks.
//!
//! ```
//! use sternline_server::replay::Replay;
//! use sternline_server::{Credential, Server};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let bundle = r#"{"version": "1.0", "commands": [{"command": "df /", "started_ms": 0, "duration_ms": 8,
//!     "stdout": "Filesystem 1K-blocks\n", "exit_code": 0}]}"#;
//! let replay = Replay::from_text(bundle)?;
//! let server = Server::builder()
//!     .user("deploy", Credential::password("secret"))
//!     .replay(replay.clone())
//!     .bind()
//!     .await?;
//!
//! // What a report is about can now be run against server.addr(), as often as it takes.
//! assert!(replay.missing().is_empty());
//! # Ok(())
//! # }
//! ```
//!
//! The server calls itself what the recorded one did, and shows its banner. Its host key is its own, for the recorded one is
//! not in the bundle, and so are its algorithms and who may log in.

mod answer;
mod book;
mod note;
mod session;

pub(crate) use answer::answer;
pub use note::ReplayNote;
pub use session::{Replay, ReplayError};
pub use sternline_proto::evidence::{RecordedInput, Recording, RecordingError};
