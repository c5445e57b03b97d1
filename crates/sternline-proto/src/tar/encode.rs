//! Writing an archive.

use bytes::{BufMut, BytesMut};
use thiserror::Error;

use super::block::{
    BLOCK, CHECKSUM, Field, GID, GNU_LONG_NAME, MAGIC, MODE, MTIME, NAME, PREFIX, SIZE, TYPE, UID, USTAR,
    checksums, padding,
};
use crate::text::escape_bytes;

/// What an archive says of a file beside its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The path, as bytes.
    pub name: Vec<u8>,
    /// The permission bits, without the type.
    pub mode: u32,
    /// The modification time, in seconds since 1970. Fractions are left out.
    pub mtime: i64,
}

/// A name that no archive can have, or that those who unpack it would take for something else.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("a tar archive cannot have a file of this name: \"{}\"", escape_bytes(.0))]
pub struct NameError(
    /// The name.
    pub Vec<u8>,
);

/// What one header can say of a size or time: eleven octal digits.
const LARGEST: u64 = 0o77_777_777_777;

impl Header {
    /// Appends a file to an archive. Owner and group are left to whoever unpacks it; a time before 1970 or after 2242
    /// becomes the nearest of these.
    ///
    /// A name that fits into no header goes ahead of it as GNU tar has it, because busybox does not read what pax says.
    ///
    /// # Errors
    /// [`NameError`] when the name is empty, absolute, ends with a slash, has a component `..`, or has a zero byte.
    pub fn encode(&self, content: &[u8], archive: &mut BytesMut) -> Result<(), NameError> {
        let name = self.name.as_slice();
        let leads_away = name.split(|byte| *byte == b'/').any(|part| part == b"..");
        if name.is_empty()
            || name.starts_with(b"/")
            || name.ends_with(b"/")
            || leads_away
            || name.contains(&0)
        {
            return Err(NameError(self.name.clone()));
        }
        archive.reserve(2 * BLOCK + content.len() + padding(content.len()));
        match split(name) {
            Some((prefix, rest)) => self.put_header(b'0', prefix, rest, content.len(), archive),
            None => {
                let announced = Self {
                    name: Vec::new(),
                    mode: 0o644,
                    mtime: 0,
                };
                announced.put_header(GNU_LONG_NAME, b"", b"././@LongLink", name.len() + 1, archive);
                archive.put_slice(name);
                archive.put_bytes(0, 1 + padding(name.len() + 1));
                // Whoever does not know that record sees the beginning.
                let (beginning, _) = name.split_at_checked(NAME.1).unwrap_or_default();
                self.put_header(b'0', b"", beginning, content.len(), archive);
            }
        }
        archive.put_slice(content);
        archive.put_bytes(0, padding(content.len()));
        Ok(())
    }

    fn put_header(&self, type_flag: u8, prefix: &[u8], name: &[u8], size: usize, archive: &mut BytesMut) {
        let mut block = [0; BLOCK];
        let mut put = |(start, _): Field, text: &[u8]| {
            if let Some(field) = block.get_mut(start..start + text.len()) {
                field.copy_from_slice(text);
            }
        };
        let mtime = u64::try_from(self.mtime).unwrap_or_default().min(LARGEST);
        put(NAME, name);
        put(MODE, format!("{:07o}\0", self.mode & 0o7777).as_bytes());
        put(UID, b"0000000\0");
        put(GID, b"0000000\0");
        put(SIZE, format!("{size:011o}\0").as_bytes());
        put(MTIME, format!("{mtime:011o}\0").as_bytes());
        put(TYPE, &[type_flag]);
        put(MAGIC, USTAR);
        put(PREFIX, prefix);
        let (sum, _) = checksums(&block);
        let (start, _) = CHECKSUM;
        if let Some(field) = block.get_mut(start..start + 8) {
            field.copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
        archive.put_slice(&block);
    }
}

/// Ends an archive.
pub fn finish(archive: &mut BytesMut) {
    archive.put_bytes(0, 2 * BLOCK);
}

/// Cuts a name at a slash so that both parts fit into a header.
fn split(name: &[u8]) -> Option<(&[u8], &[u8])> {
    if name.len() <= NAME.1 {
        return Some((b"", name));
    }
    let earliest = name.len().checked_sub(NAME.1 + 1)?;
    let slash = earliest + name.get(earliest..)?.iter().position(|byte| *byte == b'/')?;
    let (prefix, rest) = name.split_at_checked(slash)?;
    // An empty prefix says that there is none.
    (1..=PREFIX.1)
        .contains(&prefix.len())
        .then_some((prefix, rest.strip_prefix(b"/")?))
}
