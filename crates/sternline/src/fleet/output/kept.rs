//! The output of one stream of one host.

use std::fmt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use sha2::{Digest, Sha256};

use super::store::{PIECE, Store};
use crate::error::{Error, ErrorKind, Result};

/// What a command wrote to one of its streams, byte for byte: in memory, or in an unlinked file where there is much of it.
///
/// Reading a part that is in the file can fail. The room is given back when it is dropped.
#[derive(Default)]
pub struct Output {
    /// Where it is kept; `None` where nothing is.
    store: Option<Arc<Store>>,
    /// What comes first: full pieces of the file, of which the last may be shorter if nothing follows.
    pieces: Vec<u64>,
    /// How much is in the file.
    in_file: u64,
    /// What comes after that.
    rest: Bytes,
}

impl Output {
    /// How many bytes there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.in_file + self.rest.len() as u64
    }

    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a part of it is in a file.
    #[must_use]
    pub fn is_spilled(&self) -> bool {
        self.in_file > 0
    }

    /// Reads it from its beginning, in pieces.
    #[must_use]
    pub fn reader(&self) -> OutputReader<'_> {
        OutputReader {
            output: self,
            next: 0,
        }
    }

    /// All of it, in memory: mind [`Output::len`].
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn read_all(&self) -> Result<Bytes> {
        if !self.is_spilled() {
            return Ok(self.rest.clone());
        }
        let mut all = BytesMut::with_capacity(usize::try_from(self.len()).unwrap_or_default());
        let mut reader = self.reader();
        while let Some(bytes) = reader.next().await? {
            all.extend_from_slice(&bytes);
        }
        Ok(all.freeze())
    }

    /// All of it as text; what is not UTF-8 becomes U+FFFD.
    ///
    /// # Errors
    /// As [`Output::read_all`].
    pub async fn text(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&self.read_all().await?).into_owned())
    }

    /// The SHA-256 of it.
    ///
    /// # Errors
    /// As [`Output::read_all`].
    pub async fn sha256(&self) -> Result<[u8; 32]> {
        let mut hash = Sha256::new();
        let mut reader = self.reader();
        while let Some(bytes) = reader.next().await? {
            hash.update(&bytes);
        }
        Ok(hash.finalize().into())
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if let Some(store) = &self.store {
            store.in_memory(self.rest.len(), 0);
            store.give_back(&self.pieces);
        }
    }
}

/// Shows how much there is and where, for it may hold anything.
impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.is_spilled() { ", spilled" } else { "" };
        write!(f, "Output({}{place})", self.len())
    }
}

/// Reads an [`Output`].
#[derive(Debug)]
pub struct OutputReader<'a> {
    output: &'a Output,
    /// Pieces that were read; one more than there are, once all was.
    next: usize,
}

impl OutputReader<'_> {
    /// The next bytes, never none at all; `None` at the end. Cancel-safe.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        let output = self.output;
        if let (Some(piece), Some(store)) = (output.pieces.get(self.next), &output.store) {
            let before = self.next as u64 * PIECE as u64;
            let length = output.in_file.saturating_sub(before).min(PIECE as u64);
            let bytes = store
                .read(*piece, usize::try_from(length).unwrap_or(PIECE))
                .await?;
            self.next += 1;
            return Ok(Some(bytes));
        }
        if self.next > output.pieces.len() || output.rest.is_empty() {
            return Ok(None);
        }
        self.next += 1;
        Ok(Some(output.rest.clone()))
    }
}

/// An [`Output`] that is still growing.
#[derive(Debug)]
pub(super) struct Growing {
    store: Arc<Store>,
    pieces: Vec<u64>,
    in_file: u64,
    rest: BytesMut,
    /// Why some of it was lost. What comes after that is dropped.
    failed: Option<Error>,
}

impl Growing {
    pub(super) fn new(store: &Arc<Store>) -> Self {
        Self {
            store: Arc::clone(store),
            pieces: Vec::new(),
            in_file: 0,
            rest: BytesMut::new(),
            failed: None,
        }
    }

    /// Adds bytes. When this is dropped half-way the stream counts as failed.
    pub(super) async fn push(&mut self, bytes: &[u8]) {
        if self.failed.is_some() {
            return;
        }
        self.rest.extend_from_slice(bytes);
        self.store.in_memory(0, bytes.len());
        let is_over = self.rest.len() > self.store.limits.stream || self.store.memory_is_full();
        while is_over && self.rest.len() >= PIECE && self.failed.is_none() {
            self.spill(PIECE).await;
        }
    }

    async fn spill(&mut self, length: usize) {
        let bytes = self.rest.split_to(length).freeze();
        self.store.in_memory(length, 0);
        self.failed = Some(Error::new(
            ErrorKind::Local,
            "putting it into a file was interrupted",
        ));
        match self.store.write(bytes).await {
            Ok(piece) => {
                self.pieces.push(piece);
                self.in_file += length as u64;
                self.failed = None;
            }
            Err(error) => self.failed = Some(error),
        }
    }

    /// No more comes. Gives what there is, and why it is not all.
    pub(super) async fn finish(mut self) -> (Output, Option<Error>) {
        while self.failed.is_none() && !self.rest.is_empty() && self.store.memory_is_full() {
            self.spill(self.rest.len().min(PIECE)).await;
        }
        // As much room as it needs, and not as much as it might have needed.
        let rest = Bytes::copy_from_slice(&std::mem::take(&mut self.rest));
        let output = Output {
            store: Some(Arc::clone(&self.store)),
            pieces: std::mem::take(&mut self.pieces),
            in_file: std::mem::take(&mut self.in_file),
            rest,
        };
        (output, self.failed.take())
    }
}

impl Drop for Growing {
    fn drop(&mut self) {
        self.store.in_memory(self.rest.len(), 0);
        self.store.give_back(&self.pieces);
    }
}

#[cfg(test)]
mod tests {
    use super::super::store::OutputLimits;
    use super::*;
    use proptest::prelude::*;

    fn limits(stream: usize, memory: usize) -> OutputLimits {
        OutputLimits {
            stream,
            memory,
            ..OutputLimits::default()
        }
    }

    async fn kept(store: &Arc<Store>, chunks: &[Vec<u8>]) -> Output {
        let mut growing = Growing::new(store);
        for chunk in chunks {
            growing.push(chunk).await;
        }
        let (output, failed) = growing.finish().await;
        assert!(failed.is_none(), "{failed:?}");
        output
    }

    fn some(length: usize, seed: usize) -> Vec<u8> {
        (0..length)
            .map(|n| (n.wrapping_mul(31).wrapping_add(seed) >> 3) as u8)
            .collect()
    }

    #[tokio::test]
    async fn little_stays_in_memory_and_much_comes_back_from_the_file() {
        let store = Store::new(limits(100_000, usize::MAX));
        for (length, spilled) in [
            (0, false),
            (6, false),
            (100_000, false),
            (100_001, true),
            (1_000_000, true),
        ] {
            let bytes = some(length, 7);
            let output = kept(&store, std::slice::from_ref(&bytes)).await;
            assert_eq!((output.len(), output.is_spilled()), (length as u64, spilled));
            assert_eq!(output.read_all().await.unwrap(), bytes);
            let hash: [u8; 32] = Sha256::digest(&bytes).into();
            assert_eq!(output.sha256().await.unwrap(), hash);
        }
    }

    #[tokio::test]
    async fn all_together_stay_below_the_limit_in_memory_and_what_is_dropped_makes_room() {
        let store = Store::new(limits(usize::MAX, 1_000_000));
        let mut all = Vec::new();
        for n in 0..50 {
            all.push(kept(&store, &[some(100_000, n)]).await);
            assert!(store.in_memory_now() <= 1_000_000, "{}", store.in_memory_now());
        }
        assert!(!all[0].is_spilled() && all[49].is_spilled());
        for (n, output) in all.iter().enumerate() {
            assert_eq!(output.read_all().await.unwrap(), some(100_000, n));
        }
        let pieces = store.pieces();
        drop(all);
        assert_eq!(store.in_memory_now(), 0);
        let again: Vec<_> = [1, 2].map(|n| some(500_000, n)).to_vec();
        let (first, second) = (kept(&store, &again[..1]).await, kept(&store, &again[1..]).await);
        assert_eq!(first.read_all().await.unwrap(), again[0]);
        assert_eq!(second.read_all().await.unwrap(), again[1]);
        assert_eq!(store.pieces(), pieces, "room in the file is used again");
    }

    #[tokio::test]
    async fn over_the_limit_on_disk_what_came_before_is_kept_and_the_loss_is_told() {
        let store = Store::new(OutputLimits {
            disk: 3 * PIECE as u64,
            ..limits(0, 0)
        });
        let bytes = some(10 * PIECE, 1);
        let mut growing = Growing::new(&store);
        growing.push(&bytes).await;
        growing.push(b"more").await;
        let (output, failed) = growing.finish().await;
        assert_eq!(failed.unwrap().kind(), &ErrorKind::OutputOverflow);
        let read = output.read_all().await.unwrap();
        assert_eq!(&read[..3 * PIECE], &bytes[..3 * PIECE]);
    }

    #[tokio::test]
    async fn a_directory_that_takes_no_file_is_named() {
        let store = Store::new(OutputLimits {
            directory: "/nonexistent/dir".into(),
            ..limits(0, 0)
        });
        let mut growing = Growing::new(&store);
        growing.push(&some(PIECE, 1)).await;
        let (_, failed) = growing.finish().await;
        assert!(failed.unwrap().to_string().contains("/nonexistent/dir"));
    }

    proptest! {
        #[test]
        fn every_byte_comes_back_in_order_whatever_the_limits(
            lengths in prop::collection::vec(0_usize..100_000, 0..8),
            stream in 0_usize..200_000,
            memory in 0_usize..400_000,
        ) {
            let chunks: Vec<Vec<u8>> = lengths.iter().enumerate().map(|(n, length)| some(*length, n)).collect();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let store = Store::new(limits(stream, memory));
                let (first, second) = (kept(&store, &chunks).await, kept(&store, &chunks).await);
                prop_assert_eq!(first.read_all().await.unwrap(), chunks.concat());
                drop(first);
                prop_assert_eq!(second.read_all().await.unwrap(), chunks.concat());
                Ok(())
            })?;
        }
    }
}
