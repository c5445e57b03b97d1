//! The background task that owns a supervised connection: the state says what to do, and what comes of it leads to the
//! next state.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sternline_proto::backoff::RetryPolicy;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::events;
use super::handle::{Parts, Supervisor, SupervisorStatus};
use super::history::History;
use super::surroundings::{Seen, Surroundings};
use crate::connection::open::emitter;
use crate::connection::state::{Cause, ConnectionState, Failure, Input, Machine, Move, Wait};
use crate::connection::{Connection, ConnectionBuilder};
use crate::error::{DisconnectReason, Error, ErrorKind};
use crate::event::{Emitter, EventType};
use crate::transport::link::LostReason;

/// How long a connection must last for the delays between attempts to begin anew.
const STEADY: Duration = Duration::from_secs(10);

/// Starts the task, with the first attempt already under way.
pub(super) fn launch(
    settings: ConnectionBuilder,
    policy: RetryPolicy,
    surroundings: Arc<dyn Surroundings>,
) -> Supervisor {
    let machine = Machine::new(policy.max_retries);
    let (status, published) = watch::channel(SupervisorStatus::new(machine.state()));
    let (connections, current) = watch::channel(None);
    let (closing, asked_to_close) = watch::channel(false);
    let (finished, end) = watch::channel(());
    let history = History::default();
    // Where the event log cannot be opened, the connection itself fails, and says so.
    let emitter = emitter(&settings).unwrap_or_default();
    let supervisor = Supervisor::new(Parts {
        max_retries: policy.max_retries,
        emitter: emitter.clone(),
        recorder: settings.evidence.clone(),
        collector: settings.collectors.first().cloned(),
        status: published,
        connections: current,
        history: history.clone(),
        closing,
        finished: end,
    });
    let seen = Seen::now(&*surroundings, None);
    let mut task = Task {
        settings,
        policy,
        surroundings,
        emitter,
        machine,
        status,
        connections: Some(connections),
        closing: asked_to_close,
        history,
        current: None,
        error: None,
        peer: None,
        seen,
        routed: None,
        delay: None,
    };
    task.take(Input::Start);
    tokio::spawn(async move {
        task.run().await;
        drop(finished);
    });
    supervisor
}

struct Task {
    settings: ConnectionBuilder,
    policy: RetryPolicy,
    surroundings: Arc<dyn Surroundings>,
    emitter: Emitter,
    machine: Machine,
    status: watch::Sender<SupervisorStatus>,
    /// Gone once there will be no connection any more.
    connections: Option<watch::Sender<Option<Connection>>>,
    /// True once the supervisor is to be closed; its sender is gone once nobody has a handle any more.
    closing: watch::Receiver<bool>,
    history: History,
    /// The connection, and since when.
    current: Option<(Connection, Instant)>,
    /// The latest failure.
    error: Option<Error>,
    /// Where the host was found the last time.
    peer: Option<SocketAddr>,
    /// The latest look at the surroundings.
    seen: Seen,
    /// How they were when the latest connection was made.
    routed: Option<Seen>,
    /// The wait before the next attempt; none where that waits for the network.
    delay: Option<Duration>,
}

impl Task {
    async fn run(&mut self) {
        loop {
            let input = match self.machine.state() {
                ConnectionState::Connecting => self.attempt().await,
                ConnectionState::Connected => self.watch().await,
                ConnectionState::Reconnecting => self.wait().await,
                ConnectionState::Failed => {
                    asked_to_close(&mut self.closing).await;
                    Input::Close
                }
                ConnectionState::Disconnected => break,
            };
            self.take(input);
        }
        if let Some((connection, _)) = self.current.take() {
            connection.close().await;
            self.history.ended(reason(&connection), None);
        }
    }

    /// One attempt to connect. It begins anew when its packets have been sent into a network that is no longer there.
    async fn attempt(&mut self) -> Input {
        loop {
            let short_before = self.surroundings.out_of_files();
            let outcome = tokio::select! {
                biased;
                () = asked_to_close(&mut self.closing) => return Input::Close,
                outcome = self.settings.clone().connect() => outcome,
                () = stirred(&*self.surroundings, self.peer, &mut self.seen) => continue,
            };
            match outcome {
                Ok(connection) => {
                    self.peer = connection.network_peer();
                    self.look();
                    self.routed = Some(self.seen);
                    self.history.began(&connection);
                    self.current = Some((connection, Instant::now()));
                    return Input::Connected;
                }
                Err(error) => {
                    self.look();
                    let route_lost = self.routed.is_some_and(|then| then.route_lost(&self.seen));
                    let short = short_before || self.surroundings.out_of_files();
                    let failure = Failure::of(error.kind(), route_lost, short);
                    self.error = Some(error);
                    return Input::AttemptFailed(failure);
                }
            }
        }
    }

    /// Watches the connection until it ends, and looks after it when something has happened that it may not have
    /// survived.
    async fn watch(&mut self) -> Input {
        let Some((connection, since)) = self.current.clone() else {
            return Input::Lost { steady: true };
        };
        let error = loop {
            let looking_after = async {
                stirred(&*self.surroundings, self.peer, &mut self.seen).await;
                // Without a peer of its own the route is only a guess.
                let routed = self.routed.filter(|_| self.peer.is_some());
                if routed.is_some_and(|then| then.stranded(&*self.surroundings)) {
                    connection.fail("this machine has left the network in which the connection was made");
                } else {
                    connection.sessions().lives(away()).await;
                }
            };
            tokio::select! {
                biased;
                () = asked_to_close(&mut self.closing) => return Input::Close,
                error = connection.ended() => break error,
                () = looking_after => {}
            }
        };
        connection.farewell();
        self.history.ended(reason(&connection), Some(&error));
        self.error = Some(error);
        Input::Lost {
            steady: since.elapsed() >= STEADY,
        }
    }

    /// Waits until the next attempt is due. A machine that has woken, or a network that is back, makes it due at once.
    async fn wait(&mut self) -> Input {
        tokio::select! {
            biased;
            () = asked_to_close(&mut self.closing) => Input::Close,
            () = passed(self.delay) => Input::RetryDue,
            () = stirred(&*self.surroundings, self.peer, &mut self.seen) => Input::Stirred,
        }
    }

    fn look(&mut self) {
        self.seen = Seen::now(&*self.surroundings, self.peer);
    }

    /// Makes the move that the input leads to, and tells of it.
    fn take(&mut self, input: Input) {
        let Some(made) = self.machine.apply(input) else {
            return;
        };
        self.delay = match self.machine.wait() {
            _ if made.to != ConnectionState::Reconnecting => None,
            Wait::None => Some(Duration::ZERO),
            Wait::Backoff(attempt) => Some(self.policy.calculate_delay(attempt, random())),
            Wait::Network => None,
        };
        let attempts = match made.cause {
            Cause::Permanent { attempts } | Cause::Exhausted { attempts } => Some(attempts),
            _ => None,
        };
        if let Some(attempts) = attempts {
            let exhausted = matches!(made.cause, Cause::Exhausted { .. });
            self.error = self
                .error
                .take()
                .map(|error| given_up(error, attempts, exhausted));
        }
        self.tell(&made);
        if made.to != ConnectionState::Connected && made.to != ConnectionState::Disconnected {
            self.current = None;
        }
    }

    fn tell(&mut self, made: &Move) {
        let connection = self.current.as_ref().map(|(connection, _)| connection);
        let lost = connection.map_or(DisconnectReason::NetworkError, reason);
        let fields = events::fields(made, self.error.as_ref(), lost, self.delay);
        if made.cause == Cause::NoNetwork {
            tracing::warn!("there is no route into the network: waiting for one");
        }
        let connection = connection
            .filter(|_| made.to == ConnectionState::Connected)
            .cloned();
        let status = SupervisorStatus {
            state: made.to,
            connection: connection.clone(),
            reconnection_count: made.reconnections,
            failed_attempts: self.machine.attempts(),
            retry_at: self.delay.and_then(|delay| Instant::now().checked_add(delay)),
            last_error: self.error.clone(),
        };
        let ended = status.is_final();
        // Whoever is told of the event finds the new status, and whoever is woken by the status finds the event.
        self.status.send_if_modified(|published| {
            *published = status;
            false
        });
        self.emitter.emit(EventType::StateChange, fields);
        self.status.send_modify(|_| {});
        match &self.connections {
            Some(connections) if !ended => drop(connections.send_replace(connection)),
            _ => self.connections = None,
        }
    }
}

/// Why a connection is given up that did not survive what happened here.
fn away() -> LostReason {
    LostReason::of(
        ErrorKind::Connection,
        "the server gave no sign of life after this machine slept or changed its network",
    )
}

/// The last word: the same error, with how many attempts were made.
fn given_up(error: Error, attempts: u32, exhausted: bool) -> Error {
    let error = error.with_extra("connect_attempts", attempts);
    match (exhausted, attempts) {
        (false, _) => error,
        (true, 1) => error.within("gave up after 1 attempt"),
        (true, _) => error.within(&format!("gave up after {attempts} attempts")),
    }
}

fn reason(connection: &Connection) -> DisconnectReason {
    connection.disconnect_reason().unwrap_or(DisconnectReason::Normal)
}

/// Ends when the supervisor is to be closed, or nobody has a handle of it any more.
async fn asked_to_close(closing: &mut watch::Receiver<bool>) {
    let _ = closing.wait_for(|asked| *asked).await;
}

async fn passed(delay: Option<Duration>) {
    match delay {
        Some(delay) => sleep(delay).await,
        None => std::future::pending().await,
    }
}

/// Looks again and again, until something has happened. What was seen last is kept when this is dropped.
async fn stirred(surroundings: &dyn Surroundings, peer: Option<SocketAddr>, seen: &mut Seen) {
    let tick = surroundings.tick();
    loop {
        sleep(tick).await;
        let before = std::mem::replace(seen, Seen::now(surroundings, peer));
        if before.stirred(seen, tick) {
            return;
        }
    }
}

/// A number from 0 to 1 for the jitter of a delay; the middle where the system has no randomness to give.
fn random() -> f64 {
    let mut bytes = [0; 4];
    match getrandom::fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX),
        Err(_) => 0.5,
    }
}
