//! `sternline evidence`: what a bundle tells, as a timeline, an explanation, a comparison or a page.

mod args;
mod diff;
mod explain;
mod head;
mod html;
mod show;

pub(crate) use args::{Args, run};
