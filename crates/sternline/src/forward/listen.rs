//! Listening on this machine.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::task::Poll;
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use sternline_proto::forward::{BindAddress, ListenAddress};
use sternline_proto::text::escape;
use tokio::net::TcpListener;
#[cfg(unix)]
use tokio::net::UnixListener;

use super::join::LocalStream;
use crate::error::{Error, ErrorKind, Result};

/// Connections that the kernel completes before we take them; Linux allows no more unless told (listen(2), somaxconn).
const BACKLOG: i32 = 4096;

/// How often a free port is looked for that is free at every address of a forward.
const TRIES: usize = 20;

/// How long to wait when this process has no file descriptors left.
const OUT_OF_FILES: Duration = Duration::from_millis(50);

/// Where a forward listens on this machine.
pub(super) enum LocalListener {
    /// One socket for each address, all with the same port.
    Tcp { sockets: Vec<TcpListener>, port: u16 },
    #[cfg(unix)]
    Unix { socket: UnixListener, _path: SocketPath },
}

impl LocalListener {
    /// # Errors
    /// When an address cannot be listened on: none of them is then.
    pub(super) async fn open(listen: &ListenAddress) -> Result<Self> {
        let failed = |error: io::Error| cannot_listen(listen, &error);
        match listen {
            ListenAddress::Tcp { bind, port } => {
                let addresses = addresses(bind, *port).await.map_err(failed)?;
                let (sockets, port) = bind_all(&addresses, *port).map_err(failed)?;
                Ok(Self::Tcp { sockets, port })
            }
            #[cfg(unix)]
            ListenAddress::Unix { path } => {
                let path = Path::new(path);
                remove_stale(path).map_err(failed)?;
                let socket = bind_unix(path).map_err(failed)?;
                let _path = SocketPath(path.to_owned());
                Ok(Self::Unix { socket, _path })
            }
            #[cfg(not(unix))]
            ListenAddress::Unix { .. } => Err(failed(io::ErrorKind::Unsupported.into())),
        }
    }

    /// The port; 0 for a unix socket.
    pub(super) fn port(&self) -> u16 {
        match self {
            Self::Tcp { port, .. } => *port,
            #[cfg(unix)]
            Self::Unix { .. } => 0,
        }
    }

    /// The next connection, and who made it. Cancel-safe.
    ///
    /// A shortage of file descriptors passes when other connections end, so it is waited for.
    pub(super) async fn accept(&self) -> (LocalStream, Option<SocketAddr>) {
        let mut told = false;
        loop {
            match self.try_accept().await {
                Ok(accepted) => return accepted,
                // The client has already gone (accept(2)).
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    // Once for each wait: it may be long.
                    if !std::mem::replace(&mut told, true) {
                        tracing::warn!(%error, "cannot accept a connection to a forward at the moment");
                    }
                    tokio::time::sleep(OUT_OF_FILES).await;
                }
            }
        }
    }

    async fn try_accept(&self) -> io::Result<(LocalStream, Option<SocketAddr>)> {
        match self {
            Self::Tcp { sockets, .. } => {
                let accepted = poll_fn(|cx| {
                    for socket in sockets {
                        if let Poll::Ready(accepted) = socket.poll_accept(cx) {
                            return Poll::Ready(accepted);
                        }
                    }
                    Poll::Pending
                });
                let (stream, from) = accepted.await?;
                Ok((LocalStream::tcp(stream), Some(from)))
            }
            #[cfg(unix)]
            Self::Unix { socket, .. } => {
                let (stream, _) = socket.accept().await?;
                Ok((LocalStream::Unix(stream), None))
            }
        }
    }
}

/// What a bind address stands for. Loopback and all interfaces are both families, as far as this machine has them.
async fn addresses(bind: &BindAddress, port: u16) -> io::Result<Vec<SocketAddr>> {
    let both = |v4: Ipv4Addr, v6: Ipv6Addr| {
        vec![
            SocketAddr::new(IpAddr::V4(v4), port),
            SocketAddr::new(IpAddr::V6(v6), port),
        ]
    };
    match bind {
        BindAddress::Loopback => Ok(both(Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST)),
        BindAddress::All => Ok(both(Ipv4Addr::UNSPECIFIED, Ipv6Addr::UNSPECIFIED)),
        BindAddress::Address(name) => {
            let mut found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), port)).await?.collect();
            found.sort();
            found.dedup();
            Ok(found)
        }
    }
}

/// Listens on all addresses, or on none. A port that the system chooses has to be free on each of them.
fn bind_all(addresses: &[SocketAddr], port: u16) -> io::Result<(Vec<TcpListener>, u16)> {
    let tries = if port == 0 { TRIES } else { 1 };
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for _ in 0..tries {
        match bind_once(addresses, port) {
            Ok(bound) => return Ok(bound),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn bind_once(addresses: &[SocketAddr], mut port: u16) -> io::Result<(Vec<TcpListener>, u16)> {
    let mut sockets = Vec::new();
    let mut missing = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match bind_tcp(SocketAddr::new(address.ip(), port)) {
            Ok(socket) => {
                port = socket.local_addr()?.port();
                sockets.push(socket);
            }
            // A machine without IPv6 still has its IPv4 loopback.
            Err(error) if is_missing_family(&error) && addresses.len() > 1 => missing = error,
            Err(error) => return Err(error),
        }
    }
    if sockets.is_empty() {
        return Err(missing);
    }
    Ok((sockets, port))
}

fn is_missing_family(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable
        || error.kind() == io::ErrorKind::Unsupported
        || error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
}

fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // Otherwise `::` would take the IPv4 port too, where that is what the system does by default.
        socket.set_only_v6(true)?;
    }
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}

/// Only its owner may connect (the mode is set before anybody can).
#[cfg(unix)]
fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    use std::os::unix::fs::PermissionsExt;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    UnixListener::from_std(socket.into())
}

/// Removes a socket on which nobody listens any more, as one that was killed leaves behind. Nothing else is touched.
#[cfg(unix)]
fn remove_stale(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::FileTypeExt;
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    if is_socket {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        // A listener whose backlog is full would have us wait (unix(7)).
        socket.set_nonblocking(true)?;
        let connected = socket.connect(&SockAddr::unix(path)?);
        if connected.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
            return std::fs::remove_file(path);
        }
    }
    Ok(())
}

/// Removes the socket's file when nobody listens on it any more.
pub(super) struct SocketPath(PathBuf);

impl Drop for SocketPath {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn cannot_listen(listen: &ListenAddress, error: &io::Error) -> Error {
    let place = match listen {
        ListenAddress::Tcp { bind, port } => {
            let host = match bind {
                BindAddress::Loopback => "localhost".to_owned(),
                BindAddress::All => "all interfaces".to_owned(),
                BindAddress::Address(name) => escape(name),
            };
            format!("{host} port {port}")
        }
        ListenAddress::Unix { path } => format!("the socket {}", escape(path)),
    };
    let hint = match (error.kind(), listen) {
        (io::ErrorKind::AddrInUse, ListenAddress::Tcp { .. }) => {
            "something listens there already: choose another one, or port 0 for any free port"
        }
        (_, ListenAddress::Unix { .. }) => {
            "check the path: its folder has to be there and writable, and nothing else may have this name"
        }
        (io::ErrorKind::PermissionDenied, _) => "ports below 1024 are for root: choose a higher one",
        _ => "check the bind address",
    };
    Error::new(ErrorKind::Local, format!("cannot listen on {place}: {error}"))
        .with_source_text(error)
        .with_hint(hint)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_socket_whose_listener_takes_nobody_at_the_moment_is_left_alone_without_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("busy");
        let listener = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        listener.bind(&SockAddr::unix(&path).unwrap()).unwrap();
        listener.listen(0).unwrap();
        let mut waiting = Vec::new();
        loop {
            let client = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
            client.set_nonblocking(true).unwrap();
            if client.connect(&SockAddr::unix(&path).unwrap()).is_err() {
                break;
            }
            waiting.push(client);
        }
        remove_stale(&path).unwrap();
        assert!(path.exists());
        drop((listener, waiting));
        remove_stale(&path).unwrap();
        assert!(!path.exists());
    }
}
