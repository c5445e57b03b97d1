//! What `sternline ssh` and `sternline cp` share where several hosts are concerned.

mod causes;
mod confirm;
mod names;
mod not_begun;
mod options;
mod progress;
mod retry;
mod stop;

pub(crate) use causes::Causes;
pub(crate) use confirm::confirm;
pub(crate) use names::folded_all;
pub(crate) use not_begun::NotBegun;
pub(crate) use options::{FleetOptions, Portion};
pub(crate) use progress::Progress;
pub(crate) use retry::only_failed;
pub(crate) use stop::{Asked, Stops};
