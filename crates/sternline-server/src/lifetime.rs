//! Who is still running, and when to stop.

use std::convert::Infallible;

use tokio::sync::{mpsc, watch};

/// Held by every task; once the last one is dropped, [`Everyone::gone`] returns.
#[derive(Debug, Clone)]
pub(crate) struct Alive {
    _token: mpsc::Sender<Infallible>,
}

/// The other end of [`Alive`].
#[derive(Debug)]
pub(crate) struct Everyone(mpsc::Receiver<Infallible>);

impl Everyone {
    pub(crate) fn new() -> (Alive, Self) {
        let (token, receiver) = mpsc::channel(1);
        (Alive { _token: token }, Self(receiver))
    }

    /// Waits until no [`Alive`] is left.
    pub(crate) async fn gone(&mut self) {
        while self.0.recv().await.is_some() {}
    }
}

/// Tells tasks that the server stops, which it also does when its last handle is dropped.
#[derive(Debug, Clone)]
pub(crate) struct Stop(watch::Receiver<bool>);

impl Stop {
    pub(crate) fn new() -> (watch::Sender<bool>, Self) {
        let (sender, receiver) = watch::channel(false);
        (sender, Self(receiver))
    }

    /// Waits until the server stops. Cancel-safe.
    pub(crate) async fn requested(&mut self) {
        // An error means that the sender is gone, and with it the server.
        let _ = self.0.wait_for(|stop| *stop).await;
    }
}
