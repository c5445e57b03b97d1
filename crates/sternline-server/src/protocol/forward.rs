//! Forwarded connections and ports of one SSH connection (RFC 4254 section 7).
//!
//! Each forwarded connection has a task that takes what its channel brings and never waits for the socket: the protocol
//! crate's loop would wait with it, and every other channel behind it. What the socket does not take is kept as a
//! command's unread input is. A connection that nobody reads even when that is full is cut.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use russh::server::{ChannelOpenHandle, Handle, Msg};
use russh::{Channel, ChannelMsg, ChannelOpenFailure, ChannelReadHalf};
use sternline_proto::text::escape;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader, copy_buf, split};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::debug;

use crate::door::Door;
use crate::forward::Forwarding;
use crate::lifetime::Alive;
use crate::stdin::{StdinSender, stdin};

/// Bytes moved at a time, one packet.
const CHUNK: usize = 32 * 1024;
/// How long a client may take to close a channel on which both directions have ended, before we do.
const CLOSING: Duration = Duration::from_millis(500);
/// The pause after an accept that failed, which it does when the process has no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What one client has forwarded. Dropping it ends all of it.
pub(crate) struct Forwards {
    forwarding: Arc<Forwarding>,
    tasks: JoinSet<()>,
    listeners: HashMap<Bound, Vec<Listener>>,
    alive: Alive,
}

/// What a client asked to listen on, in its own words: it gets them back with each connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Bound {
    Port(String, u32),
    Socket(String),
}

/// Where a client wants to be connected to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target<'a> {
    Port(&'a str, u32),
    Socket(&'a str),
}

/// A listening socket. Dropping it lets the port or the path go at once; its connections go on.
struct Listener {
    place: Place,
    _listening: oneshot::Sender<Infallible>,
}

enum Place {
    Port(Arc<Door>),
    #[cfg(unix)]
    Path(String),
}

impl Forwards {
    pub(crate) fn new(forwarding: Arc<Forwarding>, alive: Alive) -> Self {
        Self {
            forwarding,
            tasks: JoinSet::new(),
            listeners: HashMap::new(),
            alive,
        }
    }

    /// Answers a request to open a channel to `target`, once it is connected or cannot be.
    pub(crate) async fn open(&mut self, target: Target<'_>, channel: Channel<Msg>, reply: ChannelOpenHandle) {
        let allowed = match target {
            Target::Port(host, port) => self.forwarding.may_open(host, port),
            Target::Socket(_) => self.forwarding.may_open_socket(),
        };
        if !allowed {
            debug!(?target, "connection refused: not allowed");
            return reply.reject(ChannelOpenFailure::AdministrativelyProhibited).await;
        }
        match target {
            Target::Port(host, port) => {
                let host = host.to_owned();
                self.spawn(async move {
                    let connected = match u16::try_from(port) {
                        Ok(port) => TcpStream::connect((host.as_str(), port)).await,
                        Err(_) => Err(io::ErrorKind::InvalidInput.into()),
                    };
                    connect(connected, &escape(&host), channel, reply).await;
                });
            }
            #[cfg(unix)]
            Target::Socket(path) => {
                let path = path.to_owned();
                self.spawn(async move {
                    connect(UnixStream::connect(&path).await, &escape(&path), channel, reply).await;
                });
            }
            #[cfg(not(unix))]
            Target::Socket(_) => reply.reject(ChannelOpenFailure::ConnectFailed).await,
        }
    }

    /// Listens on a port for a client, and returns the port; `None` when that is not allowed or fails.
    pub(crate) fn listen(&mut self, address: &str, port: u32, client: &Handle) -> Option<u32> {
        let mut chosen = u16::try_from(port).ok()?;
        let mut doors = Vec::new();
        // Where a name stands for addresses of both families, one is enough, and all have the same port.
        for ip in self.forwarding.listen_on(address) {
            match Door::open(SocketAddr::new(ip, chosen)) {
                Ok(door) => {
                    chosen = door.addr().port();
                    doors.push(door);
                }
                Err(error) => debug!(%ip, port = chosen, %error, "cannot listen for a client"),
            }
        }
        if doors.is_empty() {
            return None;
        }
        let bound = Bound::Port(address.to_owned(), chosen.into());
        for door in doors.into_iter().map(Arc::new) {
            let (listening, stopped) = oneshot::channel();
            let place = Place::Port(door.clone());
            let accept = move || {
                let door = door.clone();
                async move { door.accept().await }
            };
            let (client, address) = (client.clone(), address.to_owned());
            let serve = move |(stream, peer)| {
                forward_tcp(client.clone(), address.clone(), chosen.into(), stream, peer)
            };
            self.spawn(serve_until(stopped, accept, serve));
            self.keep(bound.clone(), place, listening);
        }
        Some(chosen.into())
    }

    /// Listens on a unix socket for a client, which only this user can connect to; false when that is not allowed or
    /// fails.
    #[cfg(unix)]
    pub(crate) fn listen_socket(&mut self, path: &str, client: &Handle) -> bool {
        use std::os::unix::fs::PermissionsExt as _;

        if !self.forwarding.allowed {
            return false;
        }
        let listener = UnixListener::bind(path).and_then(|listener| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
            Ok(listener)
        });
        match listener {
            Ok(listener) => {
                let (listening, stopped) = oneshot::channel();
                let listener = Arc::new(listener);
                let accept = move || {
                    let listener = listener.clone();
                    async move { listener.accept().await }
                };
                let (client, of) = (client.clone(), path.to_owned());
                let serve = move |(stream, _)| forward_unix(client.clone(), of.clone(), stream);
                self.spawn(serve_until(stopped, accept, serve));
                self.keep(
                    Bound::Socket(path.to_owned()),
                    Place::Path(path.to_owned()),
                    listening,
                );
                true
            }
            Err(error) => {
                debug!(path = escape(path), %error, "cannot listen for a client");
                false
            }
        }
    }

    /// Stops listening; false when this was not listened on.
    pub(crate) fn cancel(&mut self, bound: &Bound) -> bool {
        self.listeners.remove(bound).is_some()
    }

    fn keep(&mut self, bound: Bound, place: Place, listening: oneshot::Sender<Infallible>) {
        debug!(?bound, "listening for a client");
        let listener = Listener {
            place,
            _listening: listening,
        };
        self.listeners.entry(bound).or_default().push(listener);
    }

    fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        while self.tasks.try_join_next().is_some() {}
        let alive = self.alive.clone();
        self.tasks.spawn(async move {
            task.await;
            drop(alive);
        });
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        match &self.place {
            Place::Port(door) => door.let_go(),
            #[cfg(unix)]
            Place::Path(path) => {
                // It fails when somebody else has removed it.
                let _ = std::fs::remove_file(path);
            }
        }
    }
}

/// Serves what is accepted until it is stopped, and then lives until what was accepted has ended.
async fn serve_until<S, A, F>(
    mut stopped: oneshot::Receiver<Infallible>,
    accept: impl Fn() -> A,
    serve: impl Fn(S) -> F,
) where
    A: Future<Output = io::Result<S>>,
    F: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            Some(_) = connections.join_next() => {}
            accepted = accept() => match accepted {
                Ok(accepted) => {
                    connections.spawn(serve(accepted));
                }
                Err(error) => {
                    debug!(%error, "accept failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
    while connections.join_next().await.is_some() {}
}

/// Offers an accepted connection to the client, with the address in the words in which it asked for it.
async fn forward_tcp(client: Handle, address: String, port: u32, stream: TcpStream, peer: SocketAddr) {
    let (ip, from) = (peer.ip().to_canonical().to_string(), u32::from(peer.port()));
    match client.channel_open_forwarded_tcpip(address, port, ip, from).await {
        Ok(channel) => {
            let _ = stream.set_nodelay(true);
            carry(channel, stream).await;
        }
        Err(error) => {
            debug!(port, %error, "the client does not take a connection");
            // A reset, so that nobody takes it for a server that has nothing to say.
            let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
        }
    }
}

#[cfg(unix)]
async fn forward_unix(client: Handle, path: String, stream: UnixStream) {
    match client.channel_open_forwarded_streamlocal(path.as_str()).await {
        Ok(channel) => carry(channel, stream).await,
        Err(error) => debug!(path = escape(&path), %error, "the client does not take a connection"),
    }
}

async fn connect<S>(connected: io::Result<S>, target: &str, channel: Channel<Msg>, reply: ChannelOpenHandle)
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    match connected {
        Ok(stream) => {
            reply.accept().await;
            carry(channel, stream).await;
        }
        Err(error) => {
            debug!(target, %error, "a client's target cannot be connected to");
            reply.reject(ChannelOpenFailure::ConnectFailed).await;
        }
    }
}

/// Carries bytes between a channel and a socket until both directions have ended or one side is gone, and closes both.
async fn carry(channel: Channel<Msg>, stream: impl AsyncRead + AsyncWrite + Send + 'static) {
    let (from_client, to_client) = channel.split();
    let (from_socket, mut to_socket) = split(stream);
    let (sender, input) = stdin();
    let mut outward = JoinSet::new();
    outward.spawn(async move {
        let mut input = BufReader::with_capacity(CHUNK, input);
        // A socket that takes no more may still have something to say; what the client sends is dropped with `input`.
        if copy_buf(&mut input, &mut to_socket).await.is_ok() {
            let _ = to_socket.shutdown().await;
        }
    });
    let inward = async {
        let mut from_socket = BufReader::with_capacity(CHUNK, from_socket);
        let mut writer = to_client.make_writer();
        copy_buf(&mut from_socket, &mut writer).await?;
        to_client.eof().await.map_err(io::Error::other)
    };
    let both = async {
        let outward = async {
            outward.join_next().await;
            Ok(())
        };
        tokio::try_join!(outward, inward)
    };
    let closed = until_closed(from_client, sender);
    tokio::pin!(closed);
    let end = tokio::select! {
        end = &mut closed => end,
        ended = both => match ended {
            // The protocol crate forgets a channel only when the client closes it first, as most do.
            Ok(_) => timeout(CLOSING, closed).await.unwrap_or(End::Ours),
            Err(_) => End::Ours,
        }
    };
    match end {
        // It fails only when the connection is gone.
        End::Ours | End::Full => drop(to_client.close().await),
        // What the client sent before still arrives.
        End::Client => drop(outward.join_next().await),
        End::Lost => {}
    }
}

/// Why a forwarded connection ends.
enum End {
    Ours,
    /// The client has closed the channel.
    Client,
    /// The connection that the channel was on is gone.
    Lost,
    /// The socket takes nothing, and there is no more room for it.
    Full,
}

/// Puts what the client sends where the socket's writer finds it, and never waits for that.
async fn until_closed(mut from_client: ChannelReadHalf, input: StdinSender) -> End {
    while let Some(message) = from_client.wait().await {
        match message {
            ChannelMsg::Data { data } if input.is_full() => {
                debug!(
                    bytes = data.len(),
                    "a forwarded connection is cut, because nobody reads it"
                );
                return End::Full;
            }
            ChannelMsg::Data { data } => input.push(&data).await,
            ChannelMsg::Eof => input.end(),
            ChannelMsg::Close => return End::Client,
            _ => {}
        }
    }
    End::Lost
}
