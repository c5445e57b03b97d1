//! What the chaos of transfers is made of.

mod content;
mod plan;

pub(crate) use content::{Content, contents, expect_whole};
pub(crate) use plan::{Blow, Driver, Round};
