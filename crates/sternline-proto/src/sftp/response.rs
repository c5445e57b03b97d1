//! What servers send (draft section 7).

use bytes::{Buf as _, BufMut, Bytes, BytesMut};

use super::attributes::Attributes;
use super::error::{FrameError, PacketError};
use super::frame::frame;
use super::hello::Hello;
use super::pieces::Pieces;
use super::status::Status;
use super::wire::{Fields, packet_type, put_string};

/// A packet from a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerPacket {
    /// The first packet, which answers INIT.
    Version(Hello),
    /// Every further packet.
    Response {
        /// The number of the request that it answers.
        id: u32,
        /// The answer.
        response: Response,
    },
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// How the request ended.
    Status(Status),
    /// An open file or directory: at most 256 bytes that mean nothing to the client.
    Handle(Bytes),
    /// What was read.
    Data(Pieces),
    /// Entries of a directory, or one path.
    Name(Vec<Entry>),
    /// The attributes of a file.
    Attributes(Attributes),
    /// The answer to an extended request, in a form of its own.
    Extended(Bytes),
}

/// A name in an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name of a directory's entry, or a path.
    pub name: Bytes,
    /// A line for people, as `ls -l` prints it. Its form is not specified: do not read anything from it.
    pub long_name: Bytes,
    /// The entry's attributes; a symbolic link's are its own.
    pub attributes: Attributes,
}

impl ServerPacket {
    /// Reads a packet that a [`Deframer`](super::Deframer) has cut. Whatever follows the last field is ignored. What was
    /// read of a file is not copied, and nothing else is if the packet lies in one piece.
    ///
    /// # Errors
    /// [`PacketError`] when it is none of a server's packets.
    pub fn decode(packet: impl Into<Pieces>) -> Result<Self, PacketError> {
        let packet = packet.into();
        if let Some((id, data)) = data(&packet) {
            let response = Response::Data(data);
            return Ok(Self::Response { id, response });
        }
        let mut fields = Fields::of_packet(packet.into())?;
        if fields.packet_type() == packet_type::VERSION {
            return Hello::decode(fields).map(Self::Version);
        }
        let id = fields.request_id()?;
        let response = Response::take(fields)?;
        Ok(Self::Response { id, response })
    }

    /// Appends the packet with its length field. What was read is copied once.
    ///
    /// # Errors
    /// [`FrameError::TooLong`], and nothing is appended, when it is longer than a client would take.
    pub fn encode(&self, out: &mut BytesMut) -> Result<(), FrameError> {
        match self {
            Self::Version(hello) => frame(out, packet_type::VERSION, |out| hello.put(out)),
            Self::Response { id, response } => frame(out, response.packet_type(), |out| {
                out.put_u32(*id);
                response.put(out);
            }),
        }
    }
}

/// The number and the content of a DATA packet; `None` for any other, and for one that is not whole.
fn data(packet: &Pieces) -> Option<(u32, Pieces)> {
    const HEADER: usize = 1 + 4 + 4;
    if packet.first() != Some(packet_type::DATA) || packet.len() < HEADER {
        return None;
    }
    let mut content = packet.clone();
    let mut header = content.take_front(HEADER)?;
    let (_type, id, length) = (header.get_u8(), header.get_u32(), header.get_u32());
    let length = usize::try_from(length).ok()?;
    if length > content.len() {
        return None;
    }
    content.truncate(length);
    Some((id, content))
}

impl Response {
    fn take(mut fields: Fields) -> Result<Self, PacketError> {
        use packet_type::*;
        let f = &mut fields;
        Ok(match f.packet_type() {
            STATUS => Self::Status(Status::take(f)?),
            HANDLE => Self::Handle(f.string()?),
            DATA => Self::Data(f.string()?.into()),
            NAME => {
                let mut entries = Vec::new();
                for _ in 0..f.u32()? {
                    entries.push(Entry {
                        name: f.string()?,
                        long_name: f.string()?,
                        attributes: Attributes::take(f)?,
                    });
                }
                Self::Name(entries)
            }
            ATTRS => Self::Attributes(Attributes::take(f)?),
            EXTENDED_REPLY => Self::Extended(fields.rest()),
            _ => return Err(f.unexpected()),
        })
    }

    fn packet_type(&self) -> u8 {
        match self {
            Self::Status(_) => packet_type::STATUS,
            Self::Handle(_) => packet_type::HANDLE,
            Self::Data(_) => packet_type::DATA,
            Self::Name(_) => packet_type::NAME,
            Self::Attributes(_) => packet_type::ATTRS,
            Self::Extended(_) => packet_type::EXTENDED_REPLY,
        }
    }

    fn put(&self, out: &mut BytesMut) {
        match self {
            Self::Status(status) => status.put(out),
            Self::Handle(handle) => put_string(out, handle),
            Self::Data(data) => {
                // In one step: growing twice would copy what is there already.
                out.reserve(data.len() + 4);
                out.put_u32(u32::try_from(data.len()).unwrap_or(u32::MAX));
                for piece in data.iter() {
                    out.put_slice(piece);
                }
            }
            Self::Name(entries) => {
                out.put_u32(u32::try_from(entries.len()).unwrap_or(u32::MAX));
                for entry in entries {
                    put_string(out, &entry.name);
                    put_string(out, &entry.long_name);
                    entry.attributes.put(out);
                }
            }
            Self::Attributes(attributes) => attributes.put(out),
            Self::Extended(body) => out.put_slice(body),
        }
    }
}
