//! What is decided about files that are moved: which of them, under which temporary name, to where, with which mode, and
//! which way.

mod filter;
mod mode;
mod name;
mod operand;
mod partial;
mod unchanged;
mod way;

pub use filter::{Filter, PatternError, PatternProblem};
pub use mode::{FinalMode, Mode, ModeError, ModeProblem};
pub use name::{
    Naming, UnsafeName, UnsafeProblem, base_name, host_names, host_target, safe_name, safe_relative,
};
pub use operand::{Operand, OperandError, OperandProblem};
pub use partial::{PARTIAL_RANDOM, is_partial, is_partial_of, partial_name};
pub use unchanged::{Look, is_unchanged};
pub use way::{Direction, FILES_AT_ONCE, Facts, NoWay, Way, channels, choose, depth};
