//! Where the server listens for us, and what comes in there (RFC 4254 section 7.1 and 7.2).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use russh::ChannelOpenFailure;
use russh::client::{ChannelOpenHandle, Handle, Msg};
use tokio::sync::mpsc;

use super::channel::Channel;
use super::handler::ClientHandler;
use super::spill::SpillTo;

/// What the server is asked to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Bind {
    /// An address of the server as it understands it (RFC 4254 section 7.1: "" is all of them, "localhost" loopback) and
    /// a port, 0 for one that it chooses.
    Tcp { address: String, port: u16 },
    /// A unix socket (OpenSSH's PROTOCOL, section 2.4).
    Unix { path: String },
}

/// Connections that nobody has looked at yet. Further ones are turned away.
const BACKLOG: usize = 4096;

/// Channels that may wait for the answer that says which port they came in on.
const EARLY: usize = 64;

/// All listeners of one connection: shared with the protocol's callbacks.
#[derive(Default)]
pub(super) struct Listeners {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next: u64,
    entries: Vec<Entry>,
    early: Vec<Offer>,
}

struct Entry {
    id: u64,
    /// With port 0 until the server has said which one it chose.
    bind: Bind,
    spill_to: SpillTo,
    incoming: mpsc::Sender<Incoming>,
}

/// A channel that the server wants to open for something that connected to it.
pub(super) struct Offer {
    pub(super) at: Bind,
    pub(super) channel: russh::Channel<Msg>,
    /// Dropping it turns the channel away.
    pub(super) reply: ChannelOpenHandle,
}

impl Listeners {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To be called before the server is asked, for what comes in may overtake its answer.
    pub(super) fn expect(self: &Arc<Self>, bind: Bind, spill_to: SpillTo) -> Expected {
        let (sender, incoming) = mpsc::channel(BACKLOG);
        let mut state = self.lock();
        let id = state.next;
        state.next += 1;
        state.entries.push(Entry {
            id,
            bind: bind.clone(),
            spill_to,
            incoming: sender,
        });
        Expected {
            bind,
            registration: Registration {
                listeners: Arc::clone(self),
                id,
            },
            incoming,
        }
    }

    /// Hands a channel to whoever listens for it, and turns it away where nobody does.
    pub(super) fn offer(&self, offer: Offer) {
        let mut state = self.lock();
        match state.taker(&offer.at) {
            Some(taker) => taker.take(offer),
            None => {
                if state.entries.iter().any(Entry::awaits_its_port) && state.early.len() < EARLY {
                    state.early.push(offer);
                }
            }
        }
    }
}

impl State {
    /// Who listens there. Servers differ in how they write the address, so the port decides where it is enough.
    fn taker(&self, at: &Bind) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.bind == *at).or_else(|| {
            let Bind::Tcp { port: came_in, .. } = at else {
                return None;
            };
            let mut same_port = self
                .entries
                .iter()
                .filter(|entry| matches!(&entry.bind, Bind::Tcp { port, .. } if port == came_in));
            let first = same_port.next()?;
            same_port.next().is_none().then_some(first)
        })
    }
}

impl Entry {
    fn awaits_its_port(&self) -> bool {
        matches!(self.bind, Bind::Tcp { port: 0, .. })
    }

    /// Never waits: with a full backlog the offer is dropped, which turns it away.
    fn take(&self, offer: Offer) {
        let _ = self.incoming.try_send(Incoming {
            offer,
            spill_to: self.spill_to.clone(),
        });
    }
}

/// Something that connected to where the server listens for us, and waits for an answer. Dropping it turns it away.
pub(crate) struct Incoming {
    offer: Offer,
    spill_to: SpillTo,
}

impl Incoming {
    /// Lets it in.
    pub(crate) async fn accept(self) -> Channel {
        self.offer.reply.accept().await;
        Channel::start(self.offer.channel, self.spill_to, Box::new(()))
    }

    /// Turns it away because its target cannot be reached.
    pub(crate) async fn refuse(self) {
        self.offer.reply.reject(ChannelOpenFailure::ConnectFailed).await;
    }
}

/// A place in the list; dropping it leaves the list.
struct Registration {
    listeners: Arc<Listeners>,
    id: u64,
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut state = self.listeners.lock();
        state.entries.retain(|entry| entry.id != self.id);
        if !state.entries.iter().any(Entry::awaits_its_port) {
            let unclaimed = std::mem::take(&mut state.early);
            drop(state);
            drop(unclaimed);
        }
    }
}

/// A listener that the server has not confirmed yet.
pub(super) struct Expected {
    bind: Bind,
    registration: Registration,
    incoming: mpsc::Receiver<Incoming>,
}

impl Expected {
    /// The server listens, on this port.
    pub(super) fn established(self, port: u16, handle: Arc<Handle<ClientHandler>>) -> Listener {
        let mut bind = self.bind;
        if let Bind::Tcp { port: bound, .. } = &mut bind {
            *bound = port;
        }
        let mut state = self.registration.listeners.lock();
        if let Some(entry) = state
            .entries
            .iter_mut()
            .find(|entry| entry.id == self.registration.id)
        {
            entry.bind = bind.clone();
        }
        for offer in std::mem::take(&mut state.early) {
            match state.taker(&offer.at) {
                Some(taker) => taker.take(offer),
                None => state.early.push(offer),
            }
        }
        drop(state);
        Listener {
            bind,
            incoming: self.incoming,
            handle,
            told_to_stop: false,
            _registration: self.registration,
        }
    }
}

/// A place where the server listens for us. Dropping it tells the server to stop, without waiting for its answer.
pub(crate) struct Listener {
    bind: Bind,
    incoming: mpsc::Receiver<Incoming>,
    handle: Arc<Handle<ClientHandler>>,
    told_to_stop: bool,
    _registration: Registration,
}

impl Listener {
    /// The port that the server listens on; 0 for a unix socket.
    pub(crate) fn port(&self) -> u16 {
        match self.bind {
            Bind::Tcp { port, .. } => port,
            Bind::Unix { .. } => 0,
        }
    }

    /// The next connection that came in. Waits for ever once the link is lost: wait for that too. Cancel-safe.
    pub(crate) async fn accept(&mut self) -> Option<Incoming> {
        self.incoming.recv().await
    }

    /// Has the server stop listening, and waits until it has.
    pub(crate) async fn close(mut self) {
        self.told_to_stop = true;
        stop(Arc::clone(&self.handle), self.bind.clone()).await;
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // Outside a runtime everything ends anyway.
        if let (false, Ok(runtime)) = (self.told_to_stop, tokio::runtime::Handle::try_current()) {
            runtime.spawn(stop(Arc::clone(&self.handle), self.bind.clone()));
        }
    }
}

/// A server that does not know of it, or is gone, has stopped already.
async fn stop(handle: Arc<Handle<ClientHandler>>, bind: Bind) {
    let _ = match bind {
        Bind::Tcp { address, port } => handle.cancel_tcpip_forward(address, port.into()).await,
        Bind::Unix { path } => handle.cancel_streamlocal_forward(path).await,
    };
}
