#![allow(dead_code)] // Remote forwards, which follow, use it.

//! Where the server listens for us, and what comes in there (RFC 4254 section 7.1 and 7.2).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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

/// Connections that were let in and that nobody has taken yet. The server is told to turn further ones away.
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
    accepted: mpsc::Sender<Channel>,
}

impl Entry {
    fn awaits_its_port(&self) -> bool {
        matches!(self.bind, Bind::Tcp { port: 0, .. })
    }
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
        let (sender, accepted) = mpsc::channel(BACKLOG);
        let mut state = self.lock();
        let id = state.next;
        state.next += 1;
        state.entries.push(Entry {
            id,
            bind,
            spill_to,
            accepted: sender,
        });
        Expected {
            registration: Registration {
                listeners: Arc::clone(self),
                id,
            },
            accepted,
        }
    }

    /// Lets a channel in where somebody listens for it, and turns it away otherwise.
    pub(super) async fn offer(&self, offer: Offer) {
        let taker = {
            let mut state = self.lock();
            match state.taker(&offer.at) {
                None if state.entries.iter().any(Entry::awaits_its_port) && state.early.len() < EARLY => {
                    state.early.push(offer);
                    return;
                }
                taker => taker,
            }
        };
        if let Some((accepted, spill_to)) = taker {
            let_in(offer, &accepted, spill_to).await;
        }
    }
}

impl State {
    /// Who listens there. Servers differ in how they write the address, so the port decides where it is enough.
    fn taker(&self, at: &Bind) -> Option<(mpsc::Sender<Channel>, SpillTo)> {
        let found = self.entries.iter().find(|entry| entry.bind == *at).or_else(|| {
            let Bind::Tcp { port: came_in, .. } = at else {
                return None;
            };
            let mut same_port = self
                .entries
                .iter()
                .filter(|entry| matches!(&entry.bind, Bind::Tcp { port, .. } if port == came_in));
            let first = same_port.next()?;
            same_port.next().is_none().then_some(first)
        })?;
        Some((found.accepted.clone(), found.spill_to.clone()))
    }
}

async fn let_in(offer: Offer, accepted: &mpsc::Sender<Channel>, spill_to: SpillTo) {
    if let Ok(place) = accepted.try_reserve() {
        offer.reply.accept().await;
        place.send(Channel::start(offer.channel, spill_to, Box::new(())));
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
    registration: Registration,
    accepted: mpsc::Receiver<Channel>,
}

impl Expected {
    /// The server listens, on this port.
    pub(super) async fn established(self, port: u16, handle: Arc<Handle<ClientHandler>>) -> Listener {
        let id = self.registration.id;
        let (bind, claimed, taker) = {
            let mut state = self.registration.listeners.lock();
            let mut bind = Bind::Unix { path: String::new() };
            if let Some(entry) = state.entries.iter_mut().find(|entry| entry.id == id) {
                if let Bind::Tcp { port: bound, .. } = &mut entry.bind {
                    *bound = port;
                }
                bind = entry.bind.clone();
            }
            let early = std::mem::take(&mut state.early);
            let (claimed, others): (Vec<_>, Vec<_>) = early
                .into_iter()
                .partition(|offer| matches!(&offer.at, Bind::Tcp { port: came_in, .. } if *came_in == port));
            state.early = others;
            let taker = state.taker(&bind);
            (bind, claimed, taker)
        };
        if let Some((accepted, spill_to)) = taker {
            for offer in claimed {
                let_in(offer, &accepted, spill_to.clone()).await;
            }
        }
        Listener {
            bind,
            accepted: self.accepted,
            handle,
            _registration: self.registration,
        }
    }
}

/// A place where the server listens for us. Dropping it tells the server to stop, without waiting for its answer.
pub(crate) struct Listener {
    bind: Bind,
    accepted: mpsc::Receiver<Channel>,
    handle: Arc<Handle<ClientHandler>>,
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
    pub(crate) async fn accept(&mut self) -> Option<Channel> {
        self.accepted.recv().await
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let (handle, bind) = (Arc::clone(&self.handle), self.bind.clone());
        // Outside a runtime everything ends anyway.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let _ = match bind {
                    Bind::Tcp { address, port } => handle.cancel_tcpip_forward(address, port.into()).await,
                    Bind::Unix { path } => handle.cancel_streamlocal_forward(path).await,
                };
            });
        }
    }
}
