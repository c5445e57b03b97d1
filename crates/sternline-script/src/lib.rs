//! Starlark scripts that work on hosts over SSH: the language, the modules that scripts find, and what runs their tests.

mod batch;
mod blocking;
mod callback;
mod context;
mod data;
mod dialect;
mod duration;
mod error;
mod evaluate;
mod glob;
mod load;
mod modules;
mod outcome;
mod permissions;
mod reference;
mod repl;
#[cfg(test)]
mod scratch;
mod session;
mod ssh;
mod stop;
pub mod testing;
mod validate;
mod variables;
mod wait;

pub use error::{ErrorKind, Frame, ScriptError};
pub use evaluate::{Ended, Source, run};
pub use permissions::{Denied, Operation, Permissions, PermissionsError, Roots};
pub use reference::reference;
pub use repl::{Completion, InputState, Repl, Reply, ends_block, input_state};
pub use session::{Output, Session, SessionBuilder};
pub use stop::{Stop, Why};
pub use validate::{Finding, validate};
pub use variables::{ENVIRONMENT, Layer, VariableError, Variables};
