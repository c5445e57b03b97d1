//! A listening port that can be closed for a while and stays ours.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::Notify;

/// Connections that may wait to be accepted. The system may allow fewer.
const BACKLOG: i32 = 4096;

#[derive(Debug)]
pub(crate) struct Door {
    addr: SocketAddr,
    state: Mutex<State>,
    changed: Notify,
    runtime: Handle,
}

#[derive(Debug)]
enum State {
    Open(TcpListener),
    /// Bound, so that nobody else gets the port, and not listening, so that the system refuses connections.
    Closed(Socket),
    /// The port is let go.
    Gone,
}

impl Door {
    /// Listens on `addr`; port 0 takes any free one.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub(crate) fn open(addr: SocketAddr) -> io::Result<Self> {
        let listener = listen(bind(addr)?)?;
        Ok(Self {
            addr: listener.local_addr()?,
            state: Mutex::new(State::Open(listener)),
            changed: Notify::new(),
            runtime: Handle::current(),
        })
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Waits for the next connection, over closing and opening again. Cancel-safe.
    pub(crate) async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        loop {
            let changed = self.changed.notified();
            let accepted = poll_fn(|cx| match &*self.lock() {
                State::Open(listener) => listener.poll_accept(cx),
                State::Closed(_) | State::Gone => Poll::Pending,
            });
            tokio::select! {
                accepted = accepted => return accepted,
                () = changed => {}
            }
        }
    }

    /// Refuses connections from now on, those that wait to be accepted too, and keeps the port.
    pub(crate) fn close(&self) -> io::Result<()> {
        let mut state = self.lock();
        if matches!(*state, State::Open(_)) {
            // The listener has to go first: its port cannot be bound beside it.
            *state = State::Gone;
            *state = State::Closed(bind_again(self.addr)?);
            self.changed.notify_waiters();
        }
        Ok(())
    }

    /// Listens again after [`Door::close`]. Does nothing when the port has been let go.
    pub(crate) fn reopen(&self) -> io::Result<()> {
        let mut state = self.lock();
        *state = match std::mem::replace(&mut *state, State::Gone) {
            State::Closed(socket) => {
                let _runtime = self.runtime.enter();
                State::Open(listen(socket)?)
            }
            other => other,
        };
        self.changed.notify_waiters();
        Ok(())
    }

    /// Lets the port go, for good.
    pub(crate) fn let_go(&self) {
        *self.lock() = State::Gone;
        self.changed.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Binds a port whose listener was closed just now. A process that another thread has forked holds a copy of the listener
/// until it calls exec, which is a matter of microseconds to milliseconds; until then the port counts as in use.
fn bind_again(addr: SocketAddr) -> io::Result<Socket> {
    const TRIES: u32 = 200;
    const PAUSE: Duration = Duration::from_millis(1);
    for _ in 0..TRIES {
        match bind(addr) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => std::thread::sleep(PAUSE),
            outcome => return outcome,
        }
    }
    bind(addr)
}

fn bind(addr: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    // Connections of an earlier listener may still be closing. On Windows the option means something else, and is not
    // needed for this.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&addr.into())?;
    Ok(socket)
}

fn listen(socket: Socket) -> io::Result<TcpListener> {
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_is_kept_although_a_forked_process_still_has_its_listener() {
        let door = Door::open(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        // What a child has between fork and exec.
        let copy = match &*door.lock() {
            State::Open(listener) => socket2::SockRef::from(listener).try_clone().unwrap(),
            other => panic!("{other:?}"),
        };
        let closing = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            drop(copy);
        });
        door.close().unwrap();
        closing.join().unwrap();
        assert!(TcpStream::connect(door.addr()).await.is_err());
        door.reopen().unwrap();
        assert!(TcpStream::connect(door.addr()).await.is_ok());
    }
}
