//! The byte stream under the protocol: prompt acknowledgements, a look at the identification line, signs of life, and an
//! off switch.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use sternline_proto::text::escape_bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::futures::OwnedNotified;

use super::buffered::Buffered;
use super::link::Link;

/// So many bytes are a sign of life even where they do not complete a packet: a large one takes its time on a slow link.
/// An answer to a probe is much smaller.
const PART_OF_A_PACKET: usize = 4096;

/// A TCP connection that acknowledges packets at once.
///
/// Until sshd sets TCP_NODELAY on its side, its Nagle algorithm waits for our acknowledgement, which Linux delays by
/// 40 ms. It sets it for the first command, so never on a connection that only forwards. TCP_QUICKACK prevents the delay,
/// but the kernel clears it again on its own, hence once per read.
#[derive(Debug)]
pub(crate) struct TcpSocket {
    stream: TcpStream,
}

impl TcpSocket {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream }
    }

    /// Whether Nagle's algorithm is off.
    #[cfg(test)]
    pub(super) fn sends_at_once(&self) -> bool {
        self.stream.nodelay().unwrap()
    }

    fn acknowledge_at_once(&self) {
        // Only speed is at stake if it fails.
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let _ = socket2::SockRef::from(&self.stream).set_tcp_quickack(true);
    }
}

impl AsyncRead for TcpSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let outcome = ready!(pin!(&mut self.stream).poll_read(cx, buf));
        // A sender whose data fills the buffer does not wait for us.
        if buf.remaining() > 0 {
            self.acknowledge_at_once();
        }
        Poll::Ready(outcome)
    }
}

impl AsyncWrite for TcpSocket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        pin!(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(&mut self.stream).poll_shutdown(cx)
    }
}

/// Any byte stream, watched: tells the link what the server calls itself and when it gave a sign of life, and ends when
/// the link is aborted.
///
/// The protocol crate's own task does not notice that nobody waits for a handshake any more; a read that fails is
/// what ends it. While it waits for a server that takes nothing, it reads nothing either; so a write fails too when
/// the link is aborted.
pub(super) struct Watched<S> {
    stream: S,
    link: Arc<Link>,
    aborted: Pin<Box<OwnedNotified>>,
    identification: Option<Identification>,
    /// Whether anything has arrived beyond the identification.
    begun: bool,
    /// Bytes that have arrived since the last sign of life.
    part: usize,
    /// Whether the last write found no room.
    full: bool,
}

/// Puts a stream under watch, with a read buffer.
pub(super) fn watch<S: AsyncRead + AsyncWrite + Unpin>(stream: S, link: &Arc<Link>) -> Watched<Buffered<S>> {
    Watched {
        stream: Buffered::new(stream),
        link: Arc::clone(link),
        aborted: Box::pin(Arc::clone(&link.abort).notified_owned()),
        identification: Some(Identification::default()),
        begun: false,
        part: 0,
        full: false,
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.fail_if_aborted(cx)?;
        let before = buf.filled().len();
        ready!(pin!(&mut self.stream).poll_read(cx, buf))?;
        let this = &mut *self;
        let arrived = buf.filled().get(before..).unwrap_or_default();
        // The protocol crate asks for exactly the next packet's head, or its rest. A damaged head makes it wait for more
        // than will ever come: what then trickles in, such as the answers to probes, is no sign of life.
        this.part += arrived.len();
        if buf.remaining() == 0 || this.part >= PART_OF_A_PACKET {
            this.link.hear();
            this.part = 0;
        }
        if this.identification.is_none() && !this.begun && !arrived.is_empty() {
            this.begun = true;
            this.link.has_begun();
        }
        if let Some(identification) = &mut this.identification {
            match identification.feed(arrived) {
                Ok(None) if identification.busy => this.link.set_busy(),
                Ok(None) => {}
                Ok(Some(line)) => {
                    this.link.set_identification(line);
                    this.identification = None;
                }
                Err(what) => {
                    this.link.set_not_ssh(what);
                    return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S> Watched<S> {
    fn fail_if_aborted(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.aborted.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::Error::new(
                io::ErrorKind::ConnectionAborted,
                "given up by this side",
            )),
            Poll::Pending => Ok(()),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.fail_if_aborted(cx)?;
        let written = pin!(&mut self.stream).poll_write(cx, buf);
        // Room where there was none: the other side has acknowledged something. On a slow link an upload may show no
        // other sign of life for a long time.
        if self.full && matches!(written, Poll::Ready(Ok(_))) {
            self.link.hear();
        }
        self.full = written.is_pending();
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(&mut self.stream).poll_shutdown(cx)
    }
}

/// Finds the identification line among the lines a server may send before it (RFC 4253 section 4.2).
#[derive(Debug, Default)]
struct Identification {
    line: Vec<u8>,
    lines_before: usize,
    /// The server has said that it takes no more connections for now.
    busy: bool,
}

impl Identification {
    /// RFC 4253 allows 255 bytes with the line ending.
    const MAX_LINE: usize = 255;
    const MAX_LINES_BEFORE: usize = 20;

    /// Takes the next bytes. `Ok(Some)` is the line; `Err` says what arrived instead of SSH, escaped.
    fn feed(&mut self, bytes: &[u8]) -> Result<Option<String>, String> {
        for byte in bytes {
            if *byte != b'\n' {
                self.line.push(*byte);
                if self.line.len() > Self::MAX_LINE || *byte == 0 {
                    return Err(self.excerpt());
                }
                continue;
            }
            let line = self.line.strip_suffix(b"\r").unwrap_or(&self.line);
            if line.starts_with(b"SSH-") {
                if !line.starts_with(b"SSH-2.0-") && !line.starts_with(b"SSH-1.99-") {
                    return Err(format!("{}, and SSH 1 is not spoken here", self.excerpt()));
                }
                return Ok(Some(String::from_utf8_lossy(line).into_owned()));
            }
            self.lines_before += 1;
            if self.lines_before > Self::MAX_LINES_BEFORE || line.starts_with(b"HTTP/") {
                return Err(self.excerpt());
            }
            // OpenSSH's sshd, before it hangs up: see MaxStartups in sshd_config(5).
            self.busy |= line == b"Exceeded MaxStartups";
            self.line.clear();
        }
        Ok(None)
    }

    fn excerpt(&self) -> String {
        let line = self.line.strip_suffix(b"\r").unwrap_or(&self.line);
        let shown = line.get(..60).unwrap_or(line);
        format!("\"{}\"", escape_bytes(shown))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_identification_is_found_behind_other_lines_and_in_pieces() {
        let mut identification = Identification::default();
        assert_eq!(identification.feed(b"Welcome\r\nSSH-2.0-Open"), Ok(None));
        assert_eq!(
            identification.feed(b"SSH_9.2 Debian\r\nrest"),
            Ok(Some("SSH-2.0-OpenSSH_9.2 Debian".into()))
        );
    }

    #[test]
    fn a_server_that_takes_no_more_connections_is_understood() {
        for (sent, busy) in [
            (&b"Exceeded MaxStartups\r\n"[..], true),
            (b"Exceeded MaxStartups", false),
            (b"Not allowed at this time\r\n", false),
        ] {
            let mut identification = Identification::default();
            assert_eq!(identification.feed(sent), Ok(None));
            assert_eq!(identification.busy, busy);
        }
    }

    #[test]
    fn what_is_not_ssh_is_quoted() {
        for (sent, shown) in [
            (
                &b"HTTP/1.1 400 Bad Request\r\n"[..],
                "\"HTTP/1.1 400 Bad Request\"",
            ),
            (b"\x16\x03\x01\x00", "\"\\x16\\x03\\x01\\x00\""),
            (b"SSH-1.5-old\n", "\"SSH-1.5-old\", and SSH 1 is not spoken here"),
        ] {
            assert_eq!(Identification::default().feed(sent), Err(shown.into()));
        }
        let endless = [b'x'; 300];
        assert!(Identification::default().feed(&endless).is_err());
        assert!(Identification::default().feed(&b"hello\n".repeat(21)).is_err());
    }
}
