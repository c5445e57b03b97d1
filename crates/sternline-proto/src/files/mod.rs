//! What is decided about files that are moved: which of them, under which temporary name, to where, with which mode, and
//! which way.

mod filter;
mod mode;
mod name;
mod operand;
mod partial;
mod way;

pub use filter::{Filter, PatternError, PatternProblem};
pub use mode::{Mode, ModeError, ModeProblem};
pub use name::{base_name, host_names, host_target};
pub use operand::{Naming, Operand, OperandError, OperandProblem};
pub use partial::{PARTIAL_RANDOM, is_partial, is_partial_of, partial_name};
pub use way::{Direction, Facts, NoWay, Way, channels, choose, depth};
