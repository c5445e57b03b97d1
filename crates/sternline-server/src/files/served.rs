//! What the protocols serve, and whom they tell.

use std::sync::Arc;

use super::log::FileLog;
use super::tree::FileTree;
use crate::fault::FileFaults;

#[derive(Debug)]
pub(crate) struct Served {
    /// Behind its faults.
    pub(crate) tree: Arc<dyn FileTree>,
    pub(crate) log: FileLog,
    pub(crate) faults: Arc<FileFaults>,
}
