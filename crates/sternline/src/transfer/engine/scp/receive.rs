//! The content of a file as it comes out of a conversation: a reader that knows an end from a break.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use sternline_proto::scp::Record;
use sternline_proto::text::escape_bytes;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::mpsc;

use super::super::run::Run;
use crate::error::Result;
use crate::transfer::scp::Dialog;

/// How many pieces may wait to be written.
const WAITING: usize = 8;

/// How much is received for nobody so that the next file can be had.
const WASTED: u64 = 64 << 20;

/// Gives what is sent at its other end.
pub(super) struct Received {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    piece: Bytes,
}

/// The other end. Dropping it is the end of the file.
pub(super) type Feed = mpsc::Sender<io::Result<Bytes>>;

pub(super) fn pipe() -> (Feed, Received) {
    let (feed, pieces) = mpsc::channel(WAITING);
    let piece = Bytes::new();
    (feed, Received { pieces, piece })
}

impl AsyncRead for Received {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // An empty read would be the end.
        while self.piece.is_empty() {
            match ready!(self.pieces.poll_recv(cx)) {
                Some(piece) => self.piece = piece?,
                None => return Poll::Ready(Ok(())),
            }
        }
        let length = self.piece.len().min(out.remaining());
        out.put_slice(self.piece.get(..length).unwrap_or_default());
        self.piece.advance(length);
        Poll::Ready(Ok(()))
    }
}

/// Moves the content of a file from a conversation to whoever writes it. `None` takes all of it for nobody.
///
/// The last piece is held back until the server has said that the file was complete, so that nobody takes it for whole before.
///
/// # Errors
/// When the conversation cannot go on. What is wrong with this file alone is told to the writer.
pub(super) async fn feed(run: &Run, dialog: &mut Dialog, size: u64, to: Option<Feed>) -> Result<()> {
    let fed = content(run, dialog, size, to.as_ref()).await;
    let (told, result) = match fed {
        Ok(Ok(last)) => (Ok(last), Ok(())),
        Ok(Err(said)) => (Err(said), Ok(())),
        Err(error) => (Err(error.to_string()), Err(error)),
    };
    if let Some(to) = to {
        // Whoever is not there any more knows of something worse.
        let _ = to.send(told.map_err(io::Error::other)).await;
    }
    result
}

/// All but the last piece, which it gives; or what the server says is wrong with the file.
async fn content(
    run: &Run,
    dialog: &mut Dialog,
    size: u64,
    mut to: Option<&Feed>,
) -> Result<std::result::Result<Bytes, String>> {
    let mut last = Bytes::new();
    let mut left = size;
    while left > 0 {
        let piece = dialog.content(left).await?;
        left -= piece.len() as u64;
        run.report.moved();
        let piece = std::mem::replace(&mut last, piece);
        if let Some(feed) = to
            && feed.send(Ok(piece)).await.is_err()
        {
            to = None;
            if left > WASTED {
                let what = "the file could not be kept, and the rest is too much to receive in vain";
                return Err(dialog
                    .violation(what)
                    .with_hint("see what went wrong with the file"));
            }
        }
    }
    match dialog.record().await? {
        Some(Record::Ok) => Ok(Ok(last)),
        Some(Record::Warning(said)) => {
            let said = escape_bytes(said.trim_ascii());
            Ok(Err(format!("the server says: {said}")))
        }
        Some(Record::Fatal(said)) => Err(dialog.given_up(&said)),
        Some(_) => Err(dialog.violation("the server does not say whether the file was complete")),
        None => Err(dialog.cut_short()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt as _;

    #[tokio::test]
    async fn pieces_come_out_in_order_and_a_break_is_no_end() {
        let (feed, mut received) = pipe();
        for piece in ["ab", "", "cde"] {
            feed.send(Ok(Bytes::from_static(piece.as_bytes()))).await.unwrap();
        }
        feed.send(Err(io::Error::other("cut"))).await.unwrap();
        drop(feed);
        let mut text = [0; 5];
        received.read_exact(&mut text[..1]).await.unwrap();
        received.read_exact(&mut text[1..]).await.unwrap();
        assert_eq!(&text, b"abcde");
        assert_eq!(received.read(&mut text).await.unwrap_err().to_string(), "cut");
    }
}
