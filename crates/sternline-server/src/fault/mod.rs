//! Faults by name: a link that fails as it is told, in front of any server.
//!
//! A [`FaultProxy`] stands on loopback between a client and a server of any kind. It passes everything on until a
//! [`Fault`] is set, and counts what it passes, so that a test can wait for what it would otherwise sleep for. The
//! embedded server has the same layer in front of itself: [`crate::Server::faults`].
//!
//! ```
//! use sternline_server::Server;
//! use sternline_server::fault::{Fault, FaultProxy};
//! use tokio::io::AsyncReadExt as _;
//! use tokio::net::TcpStream;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = Server::builder().bind().await?;
//! let proxy = FaultProxy::start(server.addr()).await?;
//!
//! // A client that connects here sees the server. After 4 bytes it does not any more.
//! let faults = proxy.faults();
//! faults.set("drop-after:4".parse::<Fault>()?);
//! let mut client = TcpStream::connect(proxy.addr()).await?;
//! let mut seen = Vec::new();
//! client.read_to_end(&mut seen).await?;
//! assert_eq!(seen, b"SSH-");
//! assert_eq!(faults.until(|counters| counters.open == 0).await.fired, 1);
//!
//! faults.heal();
//! # Ok(())
//! # }
//! ```

mod condition;
pub(crate) mod control;
mod files;
mod name;
mod plan;
mod proxy;
pub(crate) mod relay;
mod server;

pub use control::{Counters, Faults};
pub use files::FileFault;
pub(crate) use files::{Cut, FileFaults};
pub use name::{Direction, Fault, FaultNameError};
pub use plan::FaultPlan;
pub use proxy::FaultProxy;
pub(crate) use server::Refusals;
pub use server::{ChannelRefusal, ServerFault};
