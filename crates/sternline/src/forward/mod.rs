//! Forwards: ports and sockets at one end of a connection that lead to the other one (RFC 4254 section 7).

mod handle;
mod join;
mod listen;
mod local;
mod manager;
mod remote;
mod report;
mod socks;
mod source;
mod supervised;

pub use handle::ForwardHandle;
pub use manager::ForwardManager;
pub use sternline_proto::forward::{
    BindAddress, ConnectAddress, ForwardIntent, ForwardType, ListenAddress, Side,
};
