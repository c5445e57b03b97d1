//! What is taken down of one stream of a command's output.

use sha2::{Digest, Sha256};

/// How much more than the limit is held until the text was redacted, so that a secret that the limit would cut is still
/// recognised as a whole.
const MARGIN: usize = 4096;

/// The length and the hash of a stream while it comes, and its beginning if that is to be kept.
#[derive(Debug, Clone)]
pub struct StreamRecord {
    pub(crate) bytes: u64,
    pub(crate) hash: Sha256,
    /// `None` where no output is kept.
    pub(crate) kept: Option<Vec<u8>>,
}

impl StreamRecord {
    /// How many bytes of a stream are kept in the history.
    pub const LIMIT: usize = 1024 * 1024;

    /// A stream of which nothing has come. `keep` says whether its beginning is kept.
    #[must_use]
    pub fn new(keep: bool) -> Self {
        Self {
            bytes: 0,
            hash: Sha256::new(),
            kept: keep.then(Vec::new),
        }
    }

    /// Takes in what has come.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        self.hash.update(bytes);
        if let Some(kept) = &mut self.kept {
            let room = (Self::LIMIT + MARGIN).saturating_sub(kept.len());
            kept.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_a_stream_is_counted_and_only_its_beginning_is_kept() {
        let mut stream = StreamRecord::new(true);
        let mut nothing = StreamRecord::new(false);
        for _ in 0..5 {
            let piece = vec![b'x'; StreamRecord::LIMIT / 2];
            stream.push(&piece);
            nothing.push(&piece);
        }
        assert_eq!(stream.bytes, 5 * (StreamRecord::LIMIT as u64) / 2);
        assert_eq!(stream.kept.as_ref().unwrap().len(), StreamRecord::LIMIT + MARGIN);
        assert_eq!(nothing.kept, None);
        assert_eq!(stream.hash.finalize(), nothing.hash.finalize());
    }
}
