//! Bytes that are not put together before somebody needs them in one piece.

use std::fmt;

use bytes::{Bytes, BytesMut};

/// Bytes in the pieces in which they arrived.
///
/// What a server sends of a file comes in several messages of the connection. Whoever writes it to a file can do so piece
/// by piece: putting it together first cost a fifth of a download's user time. Two are equal when they hold the same
/// bytes, wherever these are divided.
#[derive(Clone, Default)]
pub struct Pieces {
    /// None of them is empty.
    pieces: Vec<Bytes>,
    length: usize,
}

impl Pieces {
    /// How many bytes there are in all.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there are no bytes at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The pieces in their order. None is empty.
    pub fn iter(&self) -> impl Iterator<Item = &Bytes> {
        self.pieces.iter()
    }

    /// The first byte.
    pub(super) fn first(&self) -> Option<u8> {
        self.pieces.first()?.first().copied()
    }

    /// Puts another piece behind those that are here, unless it is empty.
    pub fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.length += piece.len();
            self.pieces.push(piece);
        }
    }

    /// Takes a few bytes off the front, which are copied; `None`, and nothing is taken, when there are fewer.
    pub(super) fn take_front(&mut self, count: usize) -> Option<Bytes> {
        if count > self.length {
            return None;
        }
        let mut front = BytesMut::with_capacity(count);
        while front.len() < count {
            let piece = self.pieces.first_mut()?;
            front.extend_from_slice(&piece.split_to(piece.len().min(count - front.len())));
            if piece.is_empty() {
                self.pieces.remove(0);
            }
        }
        self.length -= count;
        Some(front.freeze())
    }

    /// Leaves out what is behind the first `length` bytes.
    pub(super) fn truncate(&mut self, length: usize) {
        let mut room = length;
        self.pieces.retain_mut(|piece| {
            piece.truncate(room);
            room -= piece.len();
            !piece.is_empty()
        });
        self.length = self.length.min(length);
    }
}

impl From<Bytes> for Pieces {
    fn from(bytes: Bytes) -> Self {
        let mut pieces = Self::default();
        pieces.push(bytes);
        pieces
    }
}

/// Copies, unless they are in one piece already.
impl From<Pieces> for Bytes {
    fn from(mut pieces: Pieces) -> Self {
        if pieces.pieces.len() <= 1 {
            return pieces.pieces.pop().unwrap_or_default();
        }
        let mut whole = BytesMut::with_capacity(pieces.length);
        for piece in &pieces.pieces {
            whole.extend_from_slice(piece);
        }
        whole.freeze()
    }
}

impl PartialEq for Pieces {
    fn eq(&self, other: &Self) -> bool {
        let bytes = |pieces: &Self| Bytes::from(pieces.clone());
        self.length == other.length && bytes(self) == bytes(other)
    }
}

impl Eq for Pieces {}

impl fmt::Debug for Pieces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Bytes::from(self.clone()).fmt(f)
    }
}
