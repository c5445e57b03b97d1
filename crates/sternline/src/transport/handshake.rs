//! From a byte stream to a connection that is ready for authentication.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use russh::client;
use sternline_proto::known_hosts::HostKeyOffer;
use sternline_proto::text::escape;
use tokio::io::{AsyncRead, AsyncWrite};

use super::algorithms::{AlgorithmChoice, preferred};
use super::handler::ClientHandler;
use super::link::{AbortOnDrop, Link};
use super::listener::Listeners;
use super::session::Session;
use super::socket::watch;
use crate::deadline::Phase;
use crate::error::{Error, ErrorKind, Result};

/// Decides whether the server's key is trusted; may ask a person. It is asked once: an exchange of new keys keeps the host
/// key.
pub(crate) type HostKeyCheck =
    Box<dyn FnOnce(HostKeyOffer) -> Pin<Box<dyn Future<Output = Result<()>> + Send>> + Send>;

/// What the handshake needs beside a stream.
pub(crate) struct Handshake {
    /// Types of key that known_hosts holds for the host.
    pub(crate) known_key_types: Vec<String>,
    /// Whether known_hosts trusts an authority for the host.
    pub(crate) certificates: bool,
    pub(crate) algorithms: AlgorithmChoice,
    pub(crate) check: HostKeyCheck,
}

/// A connection whose server is known and which awaits authentication. Dropping it ends the connection.
pub(crate) struct Login {
    pub(super) handle: client::Handle<ClientHandler>,
    pub(super) link: Arc<Link>,
    listeners: Arc<Listeners>,
    pub(super) rsa_hash: Option<Option<russh::keys::HashAlg>>,
    abort: AbortOnDrop,
}

impl Login {
    /// The authenticated connection.
    pub(crate) fn into_session(self) -> Session {
        Session::new(self.handle, self.link, self.listeners, self.abort)
    }
}

/// The window of a channel: what the server may send before it hears of it. The crate re-opens it below half, so this is
/// 32 MiB on their way, 600 MB/s at a round trip of 50 ms. It bounds no memory here, whatever its size: it re-opens when
/// data arrives, not when it is read.
const WINDOW: u32 = 64 * 1024 * 1024;

/// Messages a channel may hold before the session loop waits. Its pump empties it all the time; this only has to
/// bridge the moments in which the pump writes to disk.
const CHANNEL_MESSAGES: usize = 256;

/// Exchanges identifications and keys, and has the host key checked.
pub(crate) async fn handshake<S>(stream: S, link: Arc<Link>, request: Handshake) -> Result<Login>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    link.clock.enter(Phase::Banner);
    let abort = AbortOnDrop(Arc::clone(&link));
    let config = client::Config {
        client_id: russh::SshId::Standard(concat!("SSH-2.0-Sternline_", env!("CARGO_PKG_VERSION")).into()),
        preferred: preferred(
            &request.known_key_types,
            request.certificates,
            &request.algorithms,
        ),
        window_size: WINDOW,
        channel_buffer_size: CHANNEL_MESSAGES,
        ..client::Config::default()
    };
    let listeners = Arc::<Listeners>::default();
    let handler = ClientHandler {
        link: Arc::clone(&link),
        listeners: Arc::clone(&listeners),
        check: Some(request.check),
    };
    let handle = client::connect_stream(Arc::new(config), watch(stream, &link), handler)
        .await
        .map_err(|error| failed(&link, &error))?;
    link.clock.enter(Phase::Auth);
    Ok(Login {
        handle,
        link,
        listeners,
        rsa_hash: None,
        abort,
    })
}

/// The error of a handshake that failed: what our own callbacks know is more precise than what the crate says.
fn failed(link: &Link, error: &russh::Error) -> Error {
    if let Some(refusal) = link.take_refusal() {
        return refusal;
    }
    let phase = link.clock.phase();
    if let Some(reason) = link.carrier_lost() {
        return reason.to_error().in_phase(phase);
    }
    if let Some(what) = link.take_not_ssh() {
        return Error::new(
            ErrorKind::Connection,
            format!("this is not an SSH server: it sent {what}"),
        )
        .in_phase(phase)
        .with_hint("check the port: something else listens there");
    }
    if phase == Phase::Banner && link.is_busy() {
        return Error::new(
            ErrorKind::Connection,
            "the server takes no more connections at the moment: too many have not logged in yet",
        )
        .in_phase(phase)
        .with_extra("server_busy", true)
        .with_hint(
            "try again in a moment, make fewer connections at once, or raise MaxStartups in its sshd_config",
        );
    }
    let closed = || {
        let hint = if phase == Phase::Banner {
            "it may be overloaded (MaxStartups), or refuse this address (see its log)"
        } else {
            "see the server's log for the reason"
        };
        Error::new(
            ErrorKind::Connection,
            format!("the server closed the connection while {}", phase.describe()),
        )
        .with_hint(hint)
    };
    let protocol = || {
        Error::new(
            ErrorKind::Connection,
            format!("the server broke the SSH protocol while {}", phase.describe()),
        )
        .with_hint("it is damaged or no SSH server, or something between changes the data")
    };
    let error = match error {
        russh::Error::NoCommonAlgo { kind, ours, theirs } => {
            let kind = match kind {
                russh::AlgorithmKind::Kex => "key exchange",
                russh::AlgorithmKind::Key => "host key",
                russh::AlgorithmKind::Cipher => "cipher",
                russh::AlgorithmKind::Compression => "compression",
                russh::AlgorithmKind::Mac => "MAC",
            };
            let theirs: Vec<String> = theirs.iter().map(|name| escape(name)).collect();
            Error::new(
                ErrorKind::NoMutualKex,
                format!(
                    "no {kind} algorithm in common: we offer {}; the server offers {}",
                    ours.join(", "),
                    theirs.join(", "),
                ),
            )
            .with_extra("algorithm_kind", kind)
            .with_extra("algorithms_ours", ours.clone())
            .with_extra("algorithms_theirs", theirs)
            .with_hint("update the server; what only old algorithms can reach is refused here on purpose")
        }
        russh::Error::IO(error)
            if matches!(
                error.kind(),
                io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
            ) =>
        {
            closed()
        }
        russh::Error::IO(error) => Error::new(
            ErrorKind::Connection,
            format!("the connection was lost while {}", phase.describe()),
        )
        .with_source_text(error),
        russh::Error::HUP | russh::Error::Disconnect => closed(),
        other => protocol().with_source_text(other),
    };
    error.in_phase(phase)
}
