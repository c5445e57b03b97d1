//! Whether an SSH server is at the other end of a stream, without a handshake.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::handshake::failed;
use super::link::Link;
use super::socket::watch;
use crate::deadline::Phase;
use crate::error::Result;

/// What this side calls itself.
pub(super) const IDENTIFICATION: &str = concat!("SSH-2.0-Sternline_", env!("CARGO_PKG_VERSION"));

/// SSH_MSG_KEXINIT (RFC 4253 section 7.1), the first message of either side.
const KEXINIT: u8 = 20;

/// Where the number of the first message stands: behind its length and that of its padding (RFC 4253 section 6).
const MESSAGE_NUMBER: usize = 5;

/// Exchanges identifications and waits until the server begins with the key exchange. What answers on a port before the
/// server is up to it, a forwarder say, or a server that cannot go on yet, does not come that far.
pub(crate) async fn greeting<S>(stream: S, link: &Arc<Link>) -> Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    link.clock.enter(Phase::Banner);
    let exchange = async {
        let mut stream = watch(stream, link);
        let mut seen = Vec::new();
        while link.identification().is_none() {
            more(&mut stream, &mut seen).await?;
        }
        stream
            .write_all(format!("{IDENTIFICATION}\r\n").as_bytes())
            .await?;
        stream.flush().await?;
        loop {
            match after_identification(&seen).get(MESSAGE_NUMBER) {
                Some(&KEXINIT) => return Ok(()),
                Some(_) => return Err(io::ErrorKind::InvalidData.into()),
                None => more(&mut stream, &mut seen).await?,
            }
        }
    };
    let outcome: io::Result<()> = exchange.await;
    outcome.map_err(|error| failed(link, &russh::Error::IO(error)))
}

async fn more(stream: &mut (impl AsyncRead + Unpin), seen: &mut Vec<u8>) -> io::Result<()> {
    let mut chunk = [0; 1024];
    match stream.read(&mut chunk).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        length => {
            seen.extend_from_slice(chunk.get(..length).unwrap_or_default());
            Ok(())
        }
    }
}

/// What follows the line that begins with `SSH-`, among the lines that may precede it (RFC 4253 section 4.2).
fn after_identification(seen: &[u8]) -> &[u8] {
    let mut rest = seen;
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let (line, after) = rest.split_at(end + 1);
        rest = after;
        if line.starts_with(b"SSH-") {
            return rest;
        }
    }
    &[]
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;
    use crate::deadline::PhaseClock;

    async fn greeted(server: &[u8]) -> (Result<()>, Phase) {
        let (ours, mut theirs) = duplex(4096);
        theirs.write_all(server).await.unwrap();
        theirs.shutdown().await.unwrap();
        let link = Arc::new(Link::new(PhaseClock::start(Phase::Tcp)));
        let outcome = greeting(ours, &link).await;
        (outcome, link.clock.phase())
    }

    #[tokio::test]
    async fn a_server_is_one_that_names_itself_and_begins_with_the_key_exchange() {
        let kexinit = b"SSH-2.0-x\r\n\0\0\0\x0c\x04\x14rest";
        assert!(greeted(kexinit).await.0.is_ok());
        assert!(
            greeted(&[b"Welcome\r\n".as_slice(), kexinit].concat())
                .await
                .0
                .is_ok()
        );
        for (sent, phase, said) in [
            (b"".as_slice(), Phase::Banner, "closed the connection"),
            (b"SSH-2.0-x", Phase::Banner, "closed the connection"),
            (b"SSH-2.0-x\r\n", Phase::Kex, "closed the connection"),
            (
                b"SSH-2.0-x\r\n\0\0\0\x0c\x04",
                Phase::Kex,
                "closed the connection",
            ),
            (b"SSH-2.0-x\r\n\0\0\0\x0c\x04\x01rest", Phase::Kex, "lost"),
            (b"HTTP/1.1 400 Bad\r\n", Phase::Banner, "not an SSH server"),
            (b"SSH-1.5-old\r\n", Phase::Banner, "SSH 1"),
        ] {
            let (outcome, reached) = greeted(sent).await;
            let error = outcome.unwrap_err();
            assert!(error.to_string().contains(said), "{error}");
            assert_eq!((error.phase(), reached), (Some(phase), phase), "{error}");
        }
    }
}
