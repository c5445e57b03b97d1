//! What the protocols serve, and whom they tell.

use std::sync::Arc;

use super::log::FileLog;
use super::tree::FileTree;

#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) tree: Arc<dyn FileTree>,
    pub(crate) log: FileLog,
}
