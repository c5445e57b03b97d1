//! What happens during a transfer, told as it happens.

use std::sync::Arc;

use super::result::FileResult;

/// Something that happened during a transfer.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum TransferEvent {
    /// How much there is to copy, as far as it was counted: see [`Transfer::totals`](super::Transfer::totals).
    Found {
        /// Files.
        files: u64,
        /// Their bytes.
        bytes: u64,
        /// Whether that is all.
        complete: bool,
    },
    /// A file is being copied. Told once more of the same file where a lost connection took with it what was moved: it then
    /// begins anew.
    Started {
        /// Tells this file from others that are being copied at the same time.
        file: u64,
        /// The path on the sending side.
        src: Arc<[u8]>,
        /// The path on the receiving side.
        dst: Arc<[u8]>,
        /// How large it is; not known of a stream.
        size: Option<u64>,
    },
    /// A part of a file has arrived.
    Progress {
        /// Which file.
        file: u64,
        /// How many bytes of it have been moved since the last such event.
        bytes: u64,
    },
    /// A file, directory or link is done with.
    Ended {
        /// Which file, where it was started: small files, directories and what is left out are only told here.
        file: Option<u64>,
        /// What became of it.
        result: FileResult,
    },
}
