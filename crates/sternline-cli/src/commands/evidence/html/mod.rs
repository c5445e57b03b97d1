//! `sternline evidence html`: one page that holds everything and loads nothing.

mod events;
mod markup;
mod overview;
mod page;
mod run;
mod session;
mod waterfall;

pub(super) use run::run;
