//! What a supervisor does about its surroundings, which no test can have for real: sleep, and networks that come and
//! go. The server and its link are real enough: `tests/tests/supervisor.rs` has the rest against sshd.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sternline_proto::backoff::RetryPolicy;
use sternline_server::fault::{Fault, FaultProxy};
use sternline_server::{Credential, Reply, Server};
use tokio::sync::watch;
use tokio::time::timeout;

use super::handle::Attached;
use super::surroundings::Surroundings;
use super::{Supervisor, SupervisorBuilder, SupervisorStatus};
use crate::auth::AuthConfig;
use crate::connection::{Connection, ConnectionState};
use crate::error::ErrorKind;
use crate::event::{EventCollector, EventType};

const HOUR: Duration = Duration::from_secs(3600);

/// A machine that sleeps and changes its network as it is told.
struct Machine {
    seconds: AtomicU64,
    source: Mutex<Option<IpAddr>>,
    /// Whether it keeps the addresses that it had before.
    keeps: AtomicBool,
    out_of_files: AtomicBool,
    looks: watch::Sender<u64>,
}

impl Machine {
    fn sleep_an_hour(&self) {
        self.seconds.fetch_add(3600, Ordering::Relaxed);
    }

    fn move_to(&self, source: Option<&str>) {
        *self.source.lock().unwrap() = source.map(|text| text.parse().unwrap());
    }

    /// Waits until the supervisor has looked several times more, and so has dealt with what there was to see.
    async fn looked_at(&self) {
        let mut looks = self.looks.subscribe();
        let enough = *looks.borrow() + 10;
        looks.wait_for(|looks| *looks >= enough).await.unwrap();
    }
}

impl Surroundings for Machine {
    fn tick(&self) -> Duration {
        Duration::from_millis(2)
    }

    fn clock(&self) -> Duration {
        self.looks.send_modify(|looks| *looks += 1);
        Duration::from_secs(self.seconds.load(Ordering::Relaxed))
    }

    fn source_for(&self, _: SocketAddr) -> Option<IpAddr> {
        *self.source.lock().unwrap()
    }

    fn has_address(&self, address: IpAddr) -> bool {
        self.keeps.load(Ordering::Relaxed) || *self.source.lock().unwrap() == Some(address)
    }

    fn out_of_files(&self) -> bool {
        self.out_of_files.load(Ordering::Relaxed)
    }
}

/// A server behind a link that fails as it is told, and the machine that uses it.
struct Bed {
    _server: Server,
    link: FaultProxy,
    machine: Arc<Machine>,
    events: EventCollector,
}

impl Bed {
    async fn new() -> Self {
        let server = Server::builder()
            .user("alice", Credential::password("secret"))
            .command("hello", Reply::stdout("hello\n"))
            .bind()
            .await
            .unwrap();
        let link = FaultProxy::start(server.addr()).await.unwrap();
        let machine = Machine {
            seconds: AtomicU64::new(0),
            source: Mutex::new(Some("10.0.0.5".parse().unwrap())),
            keeps: AtomicBool::new(true),
            out_of_files: AtomicBool::new(false),
            looks: watch::Sender::new(0),
        };
        Self {
            _server: server,
            link,
            machine: Arc::new(machine),
            events: EventCollector::new(),
        }
    }

    /// Retries that nobody lives to see.
    fn builder(&self, max_retries: u32) -> SupervisorBuilder {
        let settings = Connection::builder(format!("alice@{}", self.link.addr()))
            .danger_accept_any_host_key()
            .password("secret")
            .events(&self.events);
        let policy = RetryPolicy {
            max_retries,
            base_delay: HOUR,
            max_delay: 2 * HOUR,
            ..RetryPolicy::default()
        };
        Supervisor::builder(settings)
            .retry(policy)
            .surroundings(self.machine.clone())
    }

    /// Breaks the link, and lets nobody back.
    fn break_link(&self) {
        self.link.faults().set(Fault::Refuse);
        self.link.faults().set_open(Fault::Drop);
    }

    /// The values of a field in the STATE_CHANGE events that have it.
    fn told(&self, field: &str) -> Vec<String> {
        let events = self.events.by_type(EventType::StateChange);
        let values = events.iter().filter_map(|event| event.data.get(field));
        values
            .map(|value| value.to_string().trim_matches('"').to_owned())
            .collect()
    }
}

async fn until(supervisor: &Supervisor, wanted: impl FnMut(&SupervisorStatus) -> bool) -> SupervisorStatus {
    let mut status = supervisor.watch();
    let reached = timeout(Duration::from_secs(20), status.wait_for(wanted)).await;
    reached
        .unwrap_or_else(|_| panic!("{supervisor:?}"))
        .unwrap()
        .clone()
}

async fn connected_again(supervisor: &Supervisor) {
    until(supervisor, |status| {
        status.reconnection_count == 1 && status.connection.is_some()
    })
    .await;
    assert_eq!(supervisor.exec("hello").await.unwrap().stdout_text(), "hello\n");
}

#[tokio::test]
async fn a_machine_that_wakes_connects_at_once_and_has_all_its_retries_again() {
    let bed = Bed::new().await;
    let supervisor = bed.builder(1).start().await.unwrap();
    bed.break_link();
    for attempts in 1..=3 {
        // Without its retry back, the second one would have been the last.
        until(&supervisor, |_| bed.told("attempt").len() == attempts).await;
        assert_eq!(supervisor.state(), ConnectionState::Reconnecting);
        if attempts == 3 {
            bed.link.faults().heal();
        }
        bed.machine.sleep_an_hour();
    }
    connected_again(&supervisor).await;
    assert_eq!(bed.told("attempt"), ["1", "1", "1"]);
}

#[tokio::test]
async fn another_network_makes_a_failed_connection_be_tried_at_once() {
    let bed = Bed::new().await;
    let supervisor = bed.builder(1).start().await.unwrap();
    bed.break_link();
    until(&supervisor, |status| status.failed_attempts == 1).await;
    bed.link.faults().heal();
    bed.machine.move_to(Some("192.168.7.7"));
    connected_again(&supervisor).await;
}

#[tokio::test]
async fn without_file_descriptors_it_does_not_give_up_for_a_file_that_cannot_be_opened() {
    let bed = Bed::new().await;
    let policy = RetryPolicy {
        max_retries: 1000,
        base_delay: Duration::from_millis(1),
        max_delay: Duration::from_millis(1),
        ..RetryPolicy::default()
    };
    let settings = Connection::builder(format!("alice@{}", bed.link.addr()))
        .danger_accept_any_host_key()
        .auth([AuthConfig::key("/nonexistent/key")])
        .events(&bed.events);
    bed.machine.out_of_files.store(true, Ordering::Relaxed);
    let supervisor = Supervisor::builder(settings)
        .retry(policy)
        .surroundings(bed.machine.clone())
        .launch()
        .unwrap();
    until(&supervisor, |status| status.failed_attempts > 1).await;
    bed.machine.out_of_files.store(false, Ordering::Relaxed);
    let failed = until(&supervisor, |status| status.state == ConnectionState::Failed).await;
    assert!(matches!(failed.last_error.unwrap().kind(), ErrorKind::KeyLoad(_)));
}

#[tokio::test]
async fn without_a_route_it_waits_for_the_network_and_spends_no_retry() {
    let bed = Bed::new().await;
    let supervisor = bed.builder(0).start().await.unwrap();
    bed.machine.move_to(None);
    bed.break_link();
    let waiting = until(&supervisor, |status| {
        status.state == ConnectionState::Reconnecting && status.retry_at.is_none()
    })
    .await;
    assert_eq!(waiting.failed_attempts, 0);
    bed.machine.looked_at().await;
    assert_eq!(supervisor.state(), ConnectionState::Reconnecting);
    assert_eq!(bed.told("reason"), ["network_error", "no_network"]);
    bed.link.faults().heal();
    bed.machine.move_to(Some("10.0.0.5"));
    connected_again(&supervisor).await;
    assert_eq!(bed.told("attempt"), [""; 0]);
}

#[tokio::test]
async fn before_the_first_connection_a_missing_network_is_an_error_like_any_other() {
    let bed = Bed::new().await;
    bed.machine.move_to(None);
    bed.link.faults().set(Fault::Refuse);
    let error = bed.builder(0).start().await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::ConnectionRefused);
    assert!(
        error.to_string().starts_with("gave up after 1 attempt: "),
        "{error}"
    );
}

#[tokio::test]
async fn a_link_that_died_in_the_machines_sleep_is_missed_when_it_wakes() {
    let bed = Bed::new().await;
    let supervisor = bed.builder(1).start().await.unwrap();
    bed.link.faults().set_open(Fault::BlackHole);
    bed.machine.sleep_an_hour();
    connected_again(&supervisor).await;
    let history = supervisor.history();
    let end = history[0].end.as_ref().unwrap();
    assert!(
        end.error
            .as_ref()
            .unwrap()
            .to_string()
            .contains("no sign of life"),
        "{end:?}"
    );
    assert_eq!(bed.told("reason"), ["network_error"]);
}

#[tokio::test]
async fn a_link_from_an_address_that_is_gone_is_made_again_without_asking() {
    let bed = Bed::new().await;
    let supervisor = bed.builder(1).start().await.unwrap();
    bed.link.faults().set_open(Fault::Stall);
    bed.machine.keeps.store(false, Ordering::Relaxed);
    bed.machine.move_to(Some("192.168.7.7"));
    connected_again(&supervisor).await;
    let lost = supervisor.last_error().unwrap().to_string();
    assert!(lost.contains("has left the network"), "{lost}");
}

#[tokio::test]
async fn a_link_that_survived_sleep_and_another_network_is_kept() {
    let bed = Bed::new().await;
    let supervisor = bed.builder(1).start().await.unwrap();
    bed.machine.sleep_an_hour();
    bed.machine.looked_at().await;
    bed.machine.move_to(None);
    bed.machine.looked_at().await;
    bed.machine.move_to(Some("192.168.7.7"));
    bed.machine.looked_at().await;
    assert!(supervisor.is_connected());
    assert_eq!(supervisor.reconnection_count(), 0);
}

#[tokio::test]
async fn an_attempt_that_was_under_way_when_the_machine_slept_begins_anew() {
    let bed = Bed::new().await;
    bed.link.faults().set_next(Fault::BlackHole);
    let supervisor = bed.builder(0).launch().unwrap();
    bed.link
        .faults()
        .until(|counters| counters.connections == 1)
        .await;
    // What was swallowed stays so, and the next one passes.
    bed.link.faults().set_next(Fault::Latency(Duration::ZERO));
    bed.machine.sleep_an_hour();
    assert!(supervisor.wait_connected(Some(Duration::from_secs(20))).await);
    assert_eq!(
        bed.told("to_state"),
        ["connecting", "connected"],
        "the one that was given up counts for nothing"
    );
}

#[tokio::test]
async fn a_link_that_breaks_at_once_again_is_waited_for() {
    let bed = Bed::new().await;
    let supervisor = bed.builder(1).start().await.unwrap();
    bed.link.faults().set_open(Fault::Drop);
    connected_again(&supervisor).await;
    bed.link.faults().set_open(Fault::Drop);
    let waiting = until(&supervisor, |status| status.retry_at.is_some()).await;
    let wait = waiting
        .retry_at
        .unwrap()
        .duration_since(tokio::time::Instant::now());
    assert!(wait > HOUR / 2, "{wait:?}");
    assert_eq!(waiting.failed_attempts, 0);
}

/// What a higher layer might attach.
struct Forwards {
    name: &'static str,
    closed: Arc<AtomicBool>,
}

impl Attached for Forwards {
    fn close(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async {
            tokio::task::yield_now().await;
            self.closed.store(true, Ordering::Relaxed);
        })
    }
}

#[tokio::test]
async fn a_higher_layer_finds_what_it_has_attached_and_it_is_closed_with_the_supervisor() {
    let bed = Bed::new().await;
    let supervisor = bed.builder(1).start().await.unwrap();
    let closed = Arc::new(AtomicBool::new(false));
    let attach = |supervisor: &Supervisor, name| {
        let closed = closed.clone();
        supervisor.attachment(move || Forwards { name, closed })
    };
    let first = attach(&supervisor, "first");
    assert_eq!(attach(&supervisor.clone(), "second").name, "first");
    supervisor.close().await;
    assert!(closed.load(Ordering::Relaxed));
    let gone = Arc::downgrade(&first);
    drop((first, supervisor));
    assert!(gone.upgrade().is_none(), "it goes with the last handle");
}

#[tokio::test]
async fn the_connection_of_each_moment_is_published_until_there_will_be_none() {
    let bed = Bed::new().await;
    let supervisor = bed.builder(0).start().await.unwrap();
    let mut connections = supervisor.connections();
    assert!(connections.borrow_and_update().is_some());
    bed.link.faults().set_open(Fault::Drop);
    connected_again(&supervisor).await;
    let second = connections.borrow_and_update().clone().unwrap();
    assert!(second.is_connected());
    bed.break_link();
    until(&supervisor, |status| status.retry_at.is_some()).await;
    bed.machine.sleep_an_hour();
    let ended = timeout(Duration::from_secs(20), async {
        while connections.changed().await.is_ok() {}
        connections.borrow().is_none()
    });
    assert!(ended.await.unwrap(), "it ends without a connection");
    assert_eq!(supervisor.state(), ConnectionState::Failed);
}
