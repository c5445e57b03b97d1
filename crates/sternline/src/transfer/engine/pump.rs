//! Moving the content of one large file, with many parts of it on their way at once.

use bytes::Bytes;
use futures_util::stream::{FuturesOrdered, FuturesUnordered, StreamExt as _};
use sha2::{Digest as _, Sha256};
use sternline_proto::sftp::Pieces;

use super::content::Content;
use super::run::Run;
use crate::error::{Error, Result};
use crate::transfer::place::Writing;

/// What holes read as.
static ZEROS: [u8; 256 * 1024] = [0; 256 * 1024];

/// What is to be moved.
pub(super) struct Part<'a> {
    pub(super) content: &'a Content,
    /// From this byte on.
    pub(super) from: u64,
    /// Up to this one; to the end where that is not known.
    pub(super) to: Option<u64>,
    /// Whether parts that hold nothing but zeros may be left out where there is nothing yet.
    pub(super) leave_holes: bool,
    /// Whether it has holes that need not be read.
    pub(super) sparse: bool,
}

/// What was moved.
pub(super) struct Moved {
    /// Where it ended. Less than was asked for: the source has become shorter.
    pub(super) end: u64,
    /// Of what was moved, in order.
    pub(super) sha256: Option<Sha256>,
}

/// Reads ahead in order and writes what has arrived, until all is written.
///
/// Parts are read in order, so the digest costs no second look. Writes may overtake each other.
pub(super) async fn pump(
    run: &Run,
    file: u64,
    part: Part<'_>,
    writing: &Writing,
    digest: bool,
) -> Result<Moved> {
    let _turn = run.turn().await;
    let chunk = run.from.chunk().min(run.to.chunk());
    let in_order = matches!(part.content, Content::Stream { .. }) || part.to.is_none();
    let to = part.to.unwrap_or(u64::MAX);
    let mut next = part.from;
    let mut end = part.from;
    let mut sha256 = digest.then(Sha256::new);
    let mut reads = FuturesOrdered::new();
    let mut writes = FuturesUnordered::new();
    let mut ended = false;
    let chunk = chunk.min(ZEROS.len());
    // Up to here there is a hole, as far as that was asked.
    let mut data_at = 0;
    let mut hole_at_end = false;
    loop {
        // They grow while a file comes to be open on more channels.
        let reads_at_once = if in_order { 1 } else { part.content.depth() };
        let at_once = reads_at_once.max(writing.depth());
        run.make_room(at_once);
        while !ended && next < to && reads.len() < reads_at_once && reads.len() + writes.len() < at_once {
            let length = usize::try_from(to - next).unwrap_or(chunk).min(chunk);
            let offset = next;
            if part.sparse && next >= data_at {
                data_at = part.content.next_data(next).await?.unwrap_or(to);
            }
            let is_hole = data_at >= offset.saturating_add(length as u64);
            reads.push_back(async move {
                let room = run.room().await;
                let data = if is_hole {
                    Bytes::from_static(&ZEROS).slice(..length).into()
                } else {
                    part.content.read_at(offset, length).await?
                };
                Ok::<_, Error>((offset, length, data, room))
            });
            next = next.saturating_add(length as u64);
        }
        tokio::select! {
            biased;
            Some(written) = writes.next() => {
                let length: usize = written?;
                run.report.progress(file, length as u64);
            }
            Some(read) = reads.next() => {
                let (offset, length, data, room) = read?;
                if data.len() < length {
                    // What was asked for behind the end brings nothing.
                    ended = true;
                    reads = FuturesOrdered::new();
                }
                if !data.is_empty() {
                    run.pace(data.len()).await;
                    end = offset + data.len() as u64;
                    if let Some(sha256) = &mut sha256 {
                        data.iter().for_each(|piece| sha256.update(piece));
                    }
                    hole_at_end = part.leave_holes && is_zeros(&data);
                    if hole_at_end {
                        run.report.progress(file, data.len() as u64);
                    } else {
                        writes.push(async move {
                            let length = data.len();
                            writing.write_at(offset, data).await?;
                            drop(room);
                            Ok::<_, Error>(length)
                        });
                    }
                }
            }
            else => break,
        }
    }
    if hole_at_end {
        writing.set_length(end).await?;
    }
    Ok(Moved { end, sha256 })
}

/// Whether there is nothing but zero bytes.
fn is_zeros(data: &Pieces) -> bool {
    // Nearly all content ends at its first byte here.
    let is_zeros = |piece: &Bytes| {
        piece.first() == Some(&0) && piece.chunks(ZEROS.len()).all(|part| ZEROS.starts_with(part))
    };
    !data.is_empty() && data.iter().all(is_zeros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_are_told_from_everything_else() {
        let is_zeros = |data: &[u8]| {
            let halves = data.chunks(data.len().div_ceil(2).max(1));
            let mut pieces = Pieces::default();
            halves.for_each(|half| pieces.push(Bytes::copy_from_slice(half)));
            is_zeros(&pieces)
        };
        let mut data = vec![0; 1000];
        assert!(is_zeros(&data));
        for at in [0, 1, 500, 999] {
            data[at] = 1;
            assert!(!is_zeros(&data), "{at}");
            data[at] = 0;
        }
        assert!(!is_zeros(&[7; 10]));
        assert!(!is_zeros(&[]));
    }
}
