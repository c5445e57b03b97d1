//! The local side of a forwarded connection, whatever it is made of.

use std::io::{self, Cursor};
use std::time::Duration;

use sternline_proto::forward::ConnectAddress;
use tokio::io::{AsyncReadExt, Chain, Interest, Ready};
use tokio::net::{TcpStream, tcp};
#[cfg(unix)]
use tokio::net::{UnixStream, unix};
use tokio::time::timeout;

use crate::transport::channel::Channel;
use crate::transport::relay::{ByteStream, Relayed, Source, relay};

/// How long connecting to a target on this side may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(30);

/// A connection on this machine.
pub(super) enum LocalStream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

impl LocalStream {
    /// Every message of a user is to go on at once: Nagle's algorithm would hold small ones back.
    pub(super) fn tcp(stream: TcpStream) -> Self {
        // Only speed is at stake.
        let _ = stream.set_nodelay(true);
        Self::Tcp(stream)
    }

    /// Connects to what a forward leads to on this side. All addresses of a name are tried.
    pub(super) async fn connect(to: &ConnectAddress) -> io::Result<Self> {
        let connecting = async {
            match to {
                ConnectAddress::Tcp { host, port } => {
                    TcpStream::connect((host.as_str(), *port)).await.map(Self::tcp)
                }
                #[cfg(unix)]
                ConnectAddress::Unix { path } => UnixStream::connect(path).await.map(Self::Unix),
                #[cfg(not(unix))]
                ConnectAddress::Unix { .. } => Err(io::ErrorKind::Unsupported.into()),
            }
        };
        timeout(CONNECT_LIMIT, connecting)
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// The bytes, whatever it is.
    pub(super) fn io(&mut self) -> &mut dyn ByteStream {
        match self {
            Self::Tcp(stream) => stream,
            #[cfg(unix)]
            Self::Unix(stream) => stream,
        }
    }

    /// Ends when the other end has reset it. Of a unix socket that cannot be seen.
    pub(super) async fn was_reset(&self) {
        match self {
            Self::Tcp(stream) => failed(|| stream.ready(Interest::ERROR)).await,
            #[cfg(unix)]
            Self::Unix(_) => std::future::pending().await,
        }
    }

    /// Joins it with a channel until both have ended. `early` was read from it before.
    pub(super) async fn join(mut self, channel: Channel, early: Vec<u8>) {
        let early = Cursor::new(early);
        let relayed = match &mut self {
            Self::Tcp(stream) => {
                let (reader, mut writer) = stream.split();
                relay(channel, &mut early.chain(reader), &mut writer).await
            }
            #[cfg(unix)]
            Self::Unix(stream) => {
                let (reader, mut writer) = stream.split();
                relay(channel, &mut early.chain(reader), &mut writer).await
            }
        };
        if relayed == Relayed::Broken {
            self.reset();
        }
    }

    /// Ends it so that its other end cannot take it for a stream that had come to its end.
    pub(super) fn reset(self) {
        if let Self::Tcp(stream) = &self {
            // Without lingering, closing sends a reset (socket(7), SO_LINGER).
            let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
        }
    }
}

/// Waits for the error that a reset leaves on a socket.
async fn failed<F: Future<Output = io::Result<Ready>>>(mut ready: impl FnMut() -> F) {
    while ready().await.is_ok_and(|ready| !ready.is_error()) {}
}

impl Source for Chain<Cursor<Vec<u8>>, tcp::ReadHalf<'_>> {
    async fn was_reset(&self) {
        failed(|| self.get_ref().1.ready(Interest::ERROR)).await;
    }
}

#[cfg(unix)]
impl Source for Chain<Cursor<Vec<u8>>, unix::ReadHalf<'_>> {}
