//! The first packet of either side (draft section 4).

use bytes::{BufMut, Bytes, BytesMut};

use super::error::PacketError;
use super::extension::Extension;
use super::wire::{Fields, put_string};

/// The version of the protocol that is spoken here.
pub const VERSION: u32 = 3;

/// What INIT and VERSION say: a version, and extensions by name and version. The client's is the highest version that
/// it speaks, the server's the one that both speak. Clients announce no extensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// The version.
    pub version: u32,
    /// Names and versions of extensions, as they were sent.
    pub extensions: Vec<(Bytes, Bytes)>,
}

impl Hello {
    /// Version 3 with these extensions.
    #[must_use]
    pub fn new(extensions: &[Extension]) -> Self {
        let bytes = |text: &'static str| Bytes::from_static(text.as_bytes());
        Self {
            version: VERSION,
            extensions: extensions
                .iter()
                .map(|extension| (bytes(extension.name), bytes(extension.version)))
                .collect(),
        }
    }

    /// Whether the extension is offered, in the version that we know.
    #[must_use]
    pub fn offers(&self, extension: Extension) -> bool {
        self.extensions.iter().any(|(name, version)| {
            name == extension.name.as_bytes() && version == extension.version.as_bytes()
        })
    }

    pub(super) fn decode(mut fields: Fields) -> Result<Self, PacketError> {
        Ok(Self {
            version: fields.u32()?,
            extensions: fields.pairs_to_the_end()?,
        })
    }

    pub(super) fn put(&self, out: &mut BytesMut) {
        out.put_u32(self.version);
        for (name, version) in &self.extensions {
            put_string(out, name);
            put_string(out, version);
        }
    }
}
