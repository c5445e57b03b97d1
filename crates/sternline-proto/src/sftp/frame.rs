//! Packets in a stream of bytes: a length of four bytes, and that many bytes of packet (draft section 3).

use bytes::{BufMut, Bytes, BytesMut};

use super::error::FrameError;

/// The longest packet, without its length field: what OpenSSH's sftp-server and sftp accept, and enough for 255 KiB of
/// data.
pub const MAX_PACKET: usize = 256 * 1024;

const LENGTH_FIELD: usize = 4;

/// Cuts what arrives into packets, however it is split.
///
/// A packet that lies in one piece is a slice of it. One that is spread over several is put together in a buffer of its
/// exact size, so every byte is copied once at most. No more than one packet is ever kept.
#[derive(Debug, Default)]
pub struct Deframer {
    /// The length field of the packet that has begun, as far as it has come.
    header: BytesMut,
    /// The packet's length and beginning, once its length field is complete.
    packet: Option<(usize, BytesMut)>,
    failed: Option<FrameError>,
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
    pub fn take(&mut self, arrived: &mut Bytes) -> Result<Option<Bytes>, FrameError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let (length, mut begun) = match self.packet.take() {
            Some(packet) => packet,
            None => match self.length(arrived) {
                Ok(Some(length)) => (length, BytesMut::new()),
                Ok(None) => return Ok(None),
                Err(error) => {
                    self.failed = Some(error);
                    return Err(error);
                }
            },
        };
        let missing = length.saturating_sub(begun.len());
        if begun.is_empty() && arrived.len() >= missing {
            return Ok(Some(arrived.split_to(missing)));
        }
        if begun.is_empty() && !arrived.is_empty() {
            begun.reserve(length);
        }
        begun.extend_from_slice(&arrived.split_to(missing.min(arrived.len())));
        if begun.len() == length {
            return Ok(Some(begun.freeze()));
        }
        self.packet = Some((length, begun));
        Ok(None)
    }

    /// Whether the stream may end here, or a packet has begun.
    #[must_use]
    pub fn is_between_packets(&self) -> bool {
        self.header.is_empty() && self.packet.is_none()
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
