//! The server's side of scp's old protocol: what `scp -O` and older programs run on a server, `scp -t` and `scp -f`.

mod command;
mod glob;
mod peer;
mod serve;
mod sink;
mod source;

pub(crate) use command::ScpCommand;
pub(crate) use serve::serve;
