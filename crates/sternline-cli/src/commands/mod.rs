//! The subcommands.

pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod cp;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod evidence;
pub(crate) mod history;
pub(crate) mod hostkeys;
pub(crate) mod hosts;
pub(crate) mod man;
pub(crate) mod serve;
pub(crate) mod ssh;
pub(crate) mod tunnel;
pub(crate) mod wait;
