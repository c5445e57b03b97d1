//! Packets in a stream of bytes: a length of four bytes, and that many bytes of packet (draft section 3).

use bytes::{BufMut, Bytes, BytesMut};

use super::error::FrameError;
use super::pieces::Pieces;

/// The longest packet, without its length field: what OpenSSH's sftp-server and sftp accept, and enough for 255 KiB of
/// data.
pub const MAX_PACKET: usize = 256 * 1024;

const LENGTH_FIELD: usize = 4;

/// What arrives in pieces smaller than this is put together after all: each of them costs memory of its own, and a server
/// decides how many there are.
const PIECE: usize = 8 * 1024;

/// Cuts what arrives into packets, however it is split.
///
/// A packet consists of slices of what arrived; only small ones of them are put together, so every byte is copied once at
/// most. No more than one packet is ever kept.
#[derive(Debug, Default)]
pub struct Deframer {
    /// The length field of the packet that has begun, as far as it has come.
    header: BytesMut,
    /// The packet that has begun, once its length field is complete.
    begun: Option<Begun>,
    failed: Option<FrameError>,
}

/// The beginning of a packet.
#[derive(Debug)]
struct Begun {
    /// How long the packet is going to be.
    length: usize,
    pieces: Pieces,
    /// Small pieces, behind those.
    small: BytesMut,
}

impl Begun {
    fn new(length: usize) -> Self {
        Self {
            length,
            pieces: Pieces::default(),
            small: BytesMut::new(),
        }
    }

    fn missing(&self) -> usize {
        self.length
            .saturating_sub(self.pieces.len())
            .saturating_sub(self.small.len())
    }

    fn push(&mut self, piece: Bytes) {
        if piece.len() < PIECE {
            self.small.extend_from_slice(&piece);
        } else {
            self.pieces.push(self.small.split().freeze());
            self.pieces.push(piece);
        }
    }

    fn end(mut self) -> Pieces {
        self.pieces.push(self.small.freeze());
        self.pieces
    }
}

impl Deframer {
    /// A stream of which nothing has arrived.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes off the front of what arrived, up to the end of a packet, and gives the packet without its length
    /// field. `None` means that all bytes were taken and the next packet is not complete: call it until then.
    ///
    /// # Errors
    /// [`FrameError`] when a length makes no sense, and again for whatever comes after it.
    pub fn take(&mut self, arrived: &mut Bytes) -> Result<Option<Pieces>, FrameError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let mut begun = match self.begun.take() {
            Some(begun) => begun,
            None => match self.length(arrived) {
                Ok(Some(length)) if arrived.len() >= length => {
                    return Ok(Some(arrived.split_to(length).into()));
                }
                Ok(Some(length)) => Begun::new(length),
                Ok(None) => return Ok(None),
                Err(error) => {
                    self.failed = Some(error);
                    return Err(error);
                }
            },
        };
        begun.push(arrived.split_to(begun.missing().min(arrived.len())));
        if begun.missing() == 0 {
            return Ok(Some(begun.end()));
        }
        self.begun = Some(begun);
        Ok(None)
    }

    /// Whether the stream may end here, or a packet has begun.
    #[must_use]
    pub fn is_between_packets(&self) -> bool {
        self.header.is_empty() && self.begun.is_none()
    }

    fn length(&mut self, arrived: &mut Bytes) -> Result<Option<usize>, FrameError> {
        let missing = LENGTH_FIELD.saturating_sub(self.header.len());
        self.header
            .extend_from_slice(&arrived.split_to(missing.min(arrived.len())));
        let Some(header) = self.header.first_chunk::<LENGTH_FIELD>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*header);
        self.header.clear();
        match usize::try_from(length) {
            Ok(0) => Err(FrameError::Empty),
            Ok(length) if length <= MAX_PACKET => Ok(Some(length)),
            _ => Err(FrameError::TooLong {
                length: length.into(),
            }),
        }
    }
}

/// Appends a packet and puts its length in front of it. A packet that is too long leaves nothing behind.
pub(super) fn frame(
    out: &mut BytesMut,
    packet_type: u8,
    body: impl FnOnce(&mut BytesMut),
) -> Result<(), FrameError> {
    let start = out.len();
    out.put_u32(0);
    out.put_u8(packet_type);
    body(out);
    let length = out.len() - start - LENGTH_FIELD;
    let field = u32::try_from(length).ok().filter(|_| length <= MAX_PACKET);
    match (field, out.get_mut(start..start + LENGTH_FIELD)) {
        (Some(field), Some(place)) => {
            place.copy_from_slice(&field.to_be_bytes());
            Ok(())
        }
        _ => {
            out.truncate(start);
            Err(FrameError::TooLong {
                length: length as u64,
            })
        }
    }
}
