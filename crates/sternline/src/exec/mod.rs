//! Running commands: to their end, as a stream, or as an interactive shell.

mod ending;
mod item;
mod request;
mod result;
mod run;
mod script;
mod stdin;
mod stream;
mod sudo;
mod supervised;

pub use ending::Canceller;
pub(crate) use ending::Cause;
pub use item::{Exit, StreamData, StreamEvent};
pub use request::{ExecRequest, RetryOnDisconnect};
pub use result::{ExecResult, ExitStatus};
pub use script::Script;
pub use stdin::{Stdin, StdinWriter};
pub use stream::StreamExec;
pub(crate) use stream::error_fields;

pub use crate::connection::{Pty, RemoteEnd};
pub use crate::transport::channel::OutputStream;
pub use sternline_proto::command::{Command, Sudo};
pub use sternline_proto::script::ScriptError;
pub use sternline_proto::sudo::SudoRefusal;
