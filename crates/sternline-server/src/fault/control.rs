//! The control of a link's faults, and its counters.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::net::TcpStream;
use tokio::sync::watch;
use tracing::{debug, warn};

use crate::door::Door;
use crate::fault::condition::{Condition, Ending, Step};
use crate::fault::name::{Direction, Fault};

/// The faults of one link, and what has passed it. Cheap to clone: all clones control the same link.
///
/// A fault replaces the one before it. It is in force when the method returns: of the data that was on its way, at most
/// what a single write had taken still passes.
#[derive(Debug, Clone)]
pub struct Faults(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    door: Door,
    links: Mutex<Links>,
    counters: watch::Sender<Counters>,
}

#[derive(Debug, Default)]
struct Links {
    /// What new connections get.
    next: Option<Fault>,
    open: Vec<Weak<watch::Sender<Condition>>>,
}

/// What has happened on a link since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Counters {
    /// Connections that were accepted.
    pub connections: u64,
    /// Those of them that have not ended yet.
    pub open: u64,
    /// Bytes that were written to clients.
    pub to_client: u64,
    /// Bytes that were written to the server.
    pub to_server: u64,
    /// How often a fault took effect, each connection counted by itself: the end of a connection, a flipped bit, and for
    /// one that lasts its beginning.
    pub fired: u64,
}

/// One connection of a link.
#[derive(Debug)]
pub(crate) struct Link {
    condition: Arc<watch::Sender<Condition>>,
    faults: Faults,
}

impl Faults {
    pub(crate) fn new(door: Door) -> Self {
        Self(Arc::new(Inner {
            door,
            links: Mutex::default(),
            counters: watch::Sender::default(),
        }))
    }

    /// Gives `fault` to the connections that are open and, unless it is a moment ([`Fault::Drop`], [`Fault::Reset`]), to
    /// all that come until [`Faults::heal`].
    pub fn set(&self, fault: Fault) {
        let moment = matches!(fault, Fault::Drop | Fault::Reset);
        self.change(Some(fault), Some((!moment).then_some(fault)));
    }

    /// Gives `fault` to the connections that are open, and leaves later ones as they would be.
    pub fn set_open(&self, fault: Fault) {
        let mut links = self.links();
        self.change_open(&mut links, Some(fault));
    }

    /// Gives `fault` to all connections that come until [`Faults::heal`], and leaves the open ones as they are.
    /// [`Fault::Drop`] and [`Fault::Reset`] end them as soon as they have been accepted.
    pub fn set_next(&self, fault: Fault) {
        let mut links = self.links();
        self.change_next(&mut links, Some(fault));
    }

    /// Takes all faults away. What was stalled goes on; what was in a black hole is reset.
    pub fn heal(&self) {
        self.change(None, Some(None));
    }

    /// What has happened so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        *self.0.counters.borrow()
    }

    /// Waits until the counters are as `wanted` says, and returns them. Has no time limit of its own. Cancel-safe.
    ///
    /// ```no_run
    /// # async fn example(faults: &sternline_server::fault::Faults) {
    /// // Until the client has come back a second time.
    /// faults.until(|counters| counters.connections == 2).await;
    /// # }
    /// ```
    pub async fn until(&self, wanted: impl FnMut(&Counters) -> bool) -> Counters {
        let mut counters = self.0.counters.subscribe();
        match counters.wait_for(wanted).await {
            Ok(counters) => *counters,
            // The sender lives as long as this.
            Err(_) => self.counters(),
        }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.0.door.addr()
    }

    pub(crate) fn door(&self) -> &Door {
        &self.0.door
    }

    /// Listens again after the door was closed, unless that is the present fault.
    pub(crate) fn reopen(&self) -> io::Result<()> {
        let links = self.links();
        match links.next {
            Some(Fault::Refuse) => Ok(()),
            _ => self.0.door.reopen(),
        }
    }

    /// Waits for the next connection. Cancel-safe.
    pub(crate) async fn accept(&self) -> io::Result<(TcpStream, SocketAddr, Link)> {
        let (stream, peer) = self.0.door.accept().await?;
        Ok((stream, peer, self.link()))
    }

    fn link(&self) -> Link {
        let mut links = self.links();
        let mut condition = Condition::default();
        let fired = condition.set(links.next);
        let condition = Arc::new(watch::Sender::new(condition));
        links.open.retain(|link| link.strong_count() > 0);
        links.open.push(Arc::downgrade(&condition));
        self.0.counters.send_modify(|counters| {
            counters.connections += 1;
            counters.open += 1;
            counters.fired += u64::from(fired);
        });
        Link {
            condition,
            faults: self.clone(),
        }
    }

    fn change(&self, open: Option<Fault>, next: Option<Option<Fault>>) {
        let mut links = self.links();
        if let Some(next) = next {
            self.change_next(&mut links, next);
        }
        self.change_open(&mut links, open);
    }

    fn change_next(&self, links: &mut Links, fault: Option<Fault>) {
        debug!(addr = %self.addr(), ?fault, "fault for new connections");
        links.next = fault;
        let door = match fault {
            Some(Fault::Refuse) => self.0.door.close(),
            _ => self.0.door.reopen(),
        };
        if let Err(error) = door {
            warn!(addr = %self.addr(), %error, "the port was lost while it was closed");
        }
    }

    fn change_open(&self, links: &mut Links, fault: Option<Fault>) {
        debug!(addr = %self.addr(), ?fault, "fault for open connections");
        let mut fired = 0;
        for link in links.open.iter().filter_map(Weak::upgrade) {
            link.send_modify(|condition| fired += u64::from(condition.set(fault)));
        }
        if fired > 0 {
            self.0.counters.send_modify(|counters| counters.fired += fired);
        }
    }

    fn links(&self) -> MutexGuard<'_, Links> {
        self.0.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Link {
    /// Sees every change of the condition.
    pub(super) fn watch(&self) -> watch::Receiver<Condition> {
        self.condition.subscribe()
    }

    /// Waits until the connection has to end. Cancel-safe.
    pub(super) async fn ending(&self) -> Ending {
        let mut changes = self.watch();
        match changes.wait_for(|condition| condition.ending.is_some()).await {
            Ok(condition) => condition.ending.unwrap_or(Ending::Close),
            // The sender lives as long as this.
            Err(_) => Ending::Close,
        }
    }

    pub(super) fn step(&self, direction: Direction, data: &[u8]) -> Step {
        let mut step = Step::Hold;
        self.condition.send_if_modified(|condition| {
            step = condition.step(direction, data);
            // Counting is nothing that the other direction waits for.
            false
        });
        step
    }

    pub(super) fn passed(&self, direction: Direction, count: usize, fired: bool) {
        self.faults.0.counters.send_modify(|counters| {
            match direction {
                Direction::ToClient => counters.to_client += count as u64,
                Direction::ToServer => counters.to_server += count as u64,
            }
            counters.fired += u64::from(fired);
        });
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.faults.0.counters.send_modify(|counters| counters.open -= 1);
    }
}
