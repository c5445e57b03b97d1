//! Byte streams to what the server can reach (RFC 4254 section 7.2).

use std::net::SocketAddr;

use sternline_proto::forward::ConnectAddress;
use sternline_proto::text::escape;
use tokio::io::{AsyncRead, AsyncWrite};

use super::handle::Connection;
use crate::deadline::Phase;
use crate::error::{Error, ErrorKind, Result, SendState};
use crate::transport::channel::Channel;
use crate::transport::relay::{self, ChannelStream};
use crate::transport::session::{OpenError, OpenFailure};

impl Connection {
    /// Has the server connect to something. `originator` is who asked; it only ends up in the server's log.
    ///
    /// Cancel-safe: a channel that opens too late is closed again. No deadline: the caller sets one.
    pub(crate) async fn open_direct(
        &self,
        to: ConnectAddress,
        originator: Option<SocketAddr>,
    ) -> Result<Channel, DirectError> {
        let sessions = self.sessions();
        let opening = sessions
            .session()
            .open_direct(to.clone(), originator, sessions.spill_to());
        opening.await.map_err(|error| match error {
            OpenError::Refused(failure) => DirectError {
                error: self.locate(refused(&to, failure)),
                refused: Some(failure),
            },
            OpenError::Lost(error) => DirectError {
                error: self.locate(error.in_phase(Phase::Channel)),
                refused: None,
            },
        })
    }

    /// Has the server connect to a host and port, by a name or address as the server understands it, and gives the byte
    /// stream to there (`direct-tcpip`, RFC 4254 section 7.2; `ssh -W`). Shutting its writing side down sends an end of
    /// file. It ends with the connection, and does not keep it open. When the connection is lost, reading fails instead of
    /// coming to an end, so that what was cut short cannot be taken for all there was.
    ///
    /// Cancel-safe: a stream that opens too late is closed again. There is no deadline: wrap it in one.
    ///
    /// # Errors
    /// When the server refuses, or cannot connect; the hint tells which.
    pub async fn direct_tcpip(
        &self,
        host: &str,
        port: u16,
    ) -> Result<impl AsyncRead + AsyncWrite + Unpin + Send + use<> + 'static> {
        let host = host.to_owned();
        self.direct_stream(ConnectAddress::Tcp { host, port }).await
    }

    /// The same for a unix socket on the server (`direct-streamlocal@openssh.com`).
    ///
    /// # Errors
    /// As [`Connection::direct_tcpip`].
    pub async fn direct_streamlocal(
        &self,
        path: &str,
    ) -> Result<impl AsyncRead + AsyncWrite + Unpin + Send + use<> + 'static> {
        self.direct_stream(ConnectAddress::Unix {
            path: path.to_owned(),
        })
        .await
    }

    async fn direct_stream(&self, to: ConnectAddress) -> Result<ChannelStream> {
        match self.open_direct(to, None).await {
            Ok(channel) => Ok(relay::stream(channel)),
            Err(failed) => Err(failed.error),
        }
    }
}

/// Why the server did not connect us to something.
#[derive(Debug)]
pub(crate) struct DirectError {
    pub(crate) error: Error,
    /// The server's reason, where it gave one; the connection was lost otherwise.
    pub(crate) refused: Option<OpenFailure>,
}

fn refused(to: &ConnectAddress, failure: OpenFailure) -> Error {
    let to = match to {
        ConnectAddress::Tcp { host, port } => format!("{} port {port}", escape(host)),
        ConnectAddress::Unix { path } => format!("the socket {}", escape(path)),
    };
    let hint = match failure {
        OpenFailure::AdministrativelyProhibited => {
            "the server's configuration forbids it: see AllowTcpForwarding, AllowStreamLocalForwarding and PermitOpen"
        }
        OpenFailure::ConnectFailed => {
            "check the name and port as the server sees them, and that something listens there"
        }
        OpenFailure::UnknownChannelType => "the server has no forwarding",
        OpenFailure::ResourceShortage | OpenFailure::Other => "see the server's log",
    };
    Error::new(
        ErrorKind::Channel,
        format!("the server did not connect to {to}: {}", failure.as_str()),
    )
    .in_phase(Phase::Channel)
    .with_sent(SendState::NotSent)
    .with_hint(hint)
}
