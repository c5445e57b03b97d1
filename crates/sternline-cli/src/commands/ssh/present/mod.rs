//! Ways to show what hosts write and how they end.

mod directory;
mod groups;
mod json;
mod lines;
mod presenter;

pub(super) use directory::Directory;
pub(super) use groups::Groups;
pub(super) use json::Json;
pub(super) use lines::Lines;
pub(super) use presenter::Presenter;
