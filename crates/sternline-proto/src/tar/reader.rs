//! Reading an archive as it comes.

use bytes::{Buf as _, Bytes, BytesMut};

use super::block::{
    BLOCK, CHECKSUM, GNU_LONG_NAME, MAGIC, MODE, MTIME, NAME, PREFIX, SIZE, TYPE, USTAR, checksums, field,
    number, padding, text,
};
use super::encode::Header;
use super::error::TarError;
use super::pax::Extended;

/// How long a record about the next member may be: names, and what some tars tell of access rights.
const RECORD_LIMIT: usize = 1024 * 1024;

/// How many such records there may be ahead of one member.
const RECORDS: usize = 8;

/// How many zeros there may be behind the end: tars fill up to the size of a tape's block.
const TRAILER_LIMIT: usize = 1024 * 1024;

/// One member of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// What is known of it. The name is what the archive says: whoever uses it as a path has to look at it first.
    pub header: Header,
    /// What it is.
    pub content: Content,
}

/// What a member is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A file with this content.
    File(Bytes),
    /// A file with holes, stored in a form that is not read here.
    Sparse,
    /// A file that stands in the archive under another name already.
    HardLink,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A device, a pipe, or what only some tars know.
    Other,
}

/// Takes an archive apart, however it is split. It keeps one member at most, so memory is bounded by its limit.
#[derive(Debug)]
pub struct Reader {
    limit: usize,
    arrived: BytesMut,
    ahead: Ahead,
    /// How many bytes behind the end have come.
    trailer: Option<usize>,
    failed: Option<TarError>,
}

/// What records have said of the next member.
#[derive(Debug, Default)]
struct Ahead {
    records: usize,
    long_name: Option<Vec<u8>>,
    extended: Extended,
}

impl Reader {
    /// A stream of which nothing has come. A member of more than `limit` bytes is an error.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            arrived: BytesMut::new(),
            ahead: Ahead::default(),
            trailer: None,
            failed: None,
        }
    }

    /// Takes what has come. It is kept until [`Reader::next`] gets to it.
    pub fn push(&mut self, bytes: Bytes) {
        if self.arrived.is_empty() {
            // No copy where nobody else has it.
            self.arrived = bytes.into();
        } else {
            self.arrived.extend_from_slice(&bytes);
        }
    }

    /// The next member, once all of it is here. `None`: more has to come, or the archive has ended.
    ///
    /// # Errors
    /// [`TarError`], and again for whatever comes after it.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator's None would be the end"
    )]
    pub fn next(&mut self) -> Result<Option<Member>, TarError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let next = self.advance();
        if let Err(error) = &next {
            self.failed = Some(error.clone());
        }
        next
    }

    /// Whether the archive has come to its end, marked as such.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.trailer.is_some() && self.failed.is_none()
    }

    fn advance(&mut self) -> Result<Option<Member>, TarError> {
        while self.trailer.is_none() {
            let Some(block) = self.arrived.first_chunk::<BLOCK>().copied() else {
                return Ok(None);
            };
            if block.iter().all(|byte| *byte == 0) {
                self.trailer = Some(0);
                break;
            }
            let (type_flag, size) = self.check(&block)?;
            let Some(data) = self.take(size) else {
                return Ok(None);
            };
            if !self.look_ahead(type_flag, &data)? {
                let ahead = std::mem::take(&mut self.ahead);
                return member(&block, type_flag, ahead, data).map(Some);
            }
        }
        let trailer = self.trailer.unwrap_or_default() + self.arrived.len();
        self.trailer = Some(trailer);
        self.arrived.clear();
        if trailer > TRAILER_LIMIT {
            return Err(TarError::Endless {
                what: "too much comes behind its end",
            });
        }
        Ok(None)
    }

    /// The type of a header that is one, and how many bytes follow it.
    fn check(&self, block: &[u8; BLOCK]) -> Result<(u8, usize), TarError> {
        let sum = number(block, CHECKSUM);
        let sums = checksums(block);
        if sum != Ok(sums.0) && sum != Ok(sums.1) {
            let start = block.get(..60).unwrap_or_default().to_vec();
            return Err(TarError::NoHeader { start });
        }
        let type_flag = field(block, TYPE).first().copied().unwrap_or_default();
        let mut size = u64::try_from(number(block, SIZE)?).map_err(|_| TarError::Malformed {
            what: "a size below zero",
        })?;
        let limit = match type_flag {
            GNU_LONG_NAME | b'K' | b'x' | b'g' => RECORD_LIMIT,
            b'1'..=b'6' if size != 0 => {
                return Err(TarError::Malformed {
                    what: "a size where there is no content",
                });
            }
            b'S' => {
                return Err(TarError::Malformed {
                    what: "a file with holes in GNU's old form, which is not read here",
                });
            }
            _ => {
                size = self.ahead.extended.size.unwrap_or(size);
                self.limit
            }
        };
        match usize::try_from(size) {
            Ok(size) if size <= limit => Ok((type_flag, size)),
            _ => Err(TarError::TooLarge {
                name: name(block, &self.ahead),
                size,
                limit,
            }),
        }
    }

    /// Takes a header and its data off, once all of it is here.
    fn take(&mut self, size: usize) -> Option<Bytes> {
        if self.arrived.len() < BLOCK + size + padding(size) {
            return None;
        }
        self.arrived.advance(BLOCK);
        let data = self.arrived.split_to(size).freeze();
        self.arrived.advance(padding(size));
        Some(data)
    }

    /// Whether it was a record about the next member.
    fn look_ahead(&mut self, type_flag: u8, data: &[u8]) -> Result<bool, TarError> {
        match type_flag {
            GNU_LONG_NAME => {
                let name = data.split(|byte| *byte == 0).next().unwrap_or_default();
                self.ahead.long_name = Some(name.to_vec());
            }
            b'x' => self.ahead.extended.read(data)?,
            b'g' => {
                let mut all = Extended::default();
                all.read(data)?;
                if !all.is_nothing() {
                    return Err(TarError::Malformed {
                        what: "it says of all members what only one can have",
                    });
                }
            }
            // The target of a link, which nobody asks for.
            b'K' => {}
            _ => return Ok(false),
        }
        self.ahead.records += 1;
        if self.ahead.records > RECORDS {
            return Err(TarError::Endless {
                what: "records about a member that does not come",
            });
        }
        Ok(true)
    }
}

fn member(block: &[u8; BLOCK], type_flag: u8, ahead: Ahead, data: Bytes) -> Result<Member, TarError> {
    let name = name(block, &ahead);
    if name.is_empty() || name.contains(&0) {
        return Err(TarError::Malformed {
            what: "a name that is empty or has a zero byte",
        });
    }
    let mode = number(block, MODE)? & 0o7777;
    let mtime = match ahead.extended.mtime {
        Some(mtime) => mtime,
        None => number(block, MTIME)?,
    };
    let content = match type_flag {
        // Before there was a type for them.
        b'0' | 0 if name.ends_with(b"/") => Content::Directory,
        b'0' | b'7' | 0 if ahead.extended.sparse => Content::Sparse,
        b'0' | b'7' | 0 => Content::File(data),
        b'1' => Content::HardLink,
        b'2' => Content::Symlink,
        b'5' => Content::Directory,
        _ => Content::Other,
    };
    Ok(Member {
        header: Header {
            name,
            mode: u32::try_from(mode).unwrap_or_default(),
            mtime,
        },
        content,
    })
}

fn name(block: &[u8; BLOCK], ahead: &Ahead) -> Vec<u8> {
    let said = ahead.extended.name().or(ahead.long_name.as_ref());
    if let Some(name) = said {
        return name.clone();
    }
    let (prefix, name) = (text(block, PREFIX), text(block, NAME));
    if prefix.is_empty() || field(block, MAGIC) != USTAR {
        return name.to_vec();
    }
    [prefix, b"/", name].concat()
}
