//! How many round trips the first output takes, counted on a link that knows nothing of time.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use sternline::{AuthConfig, Connection, ConnectionBuilder};
use sternline_tests::beats::{Beat, Beats};
use sternline_tests::sshd::{Settings, Sshd};

/// A party that pauses in the middle of what it has to say makes one beat two: then it is counted again. Fewer than there
/// are cannot be counted.
const TRIES: usize = 8;

struct Bench {
    sshd: Arc<Sshd>,
    link: Beats,
}

impl Bench {
    async fn start() -> Self {
        // Says which messages it gets and sends.
        let sshd = Arc::new(Settings::default().option("LogLevel DEBUG3").start());
        let upstream = SocketAddr::from((Ipv4Addr::LOCALHOST, sshd.port()));
        let logging = Arc::clone(&sshd);
        let link = Beats::start(upstream, move || logging.log()).await;
        Self { sshd, link }
    }

    fn builder(&self) -> ConnectionBuilder {
        let port = self.link.addr().port();
        let known_hosts = self.sshd.path("known_hosts_of_the_link");
        let line = self.sshd.known_hosts_line("ed25519");
        let (_, key) = line.split_once(' ').unwrap();
        std::fs::write(&known_hosts, format!("[127.0.0.1]:{port} {key}")).unwrap();
        Connection::builder(format!("{}@127.0.0.1:{port}", self.sshd.user().name)).known_hosts([known_hosts])
    }

    async fn connect(&self, auth: AuthConfig) -> Connection {
        self.builder().auth([auth]).connect().await.unwrap()
    }
}

async fn hello(connection: &Connection) {
    let result = connection.exec("echo hello").await.unwrap();
    assert_eq!(result.stdout_text(), "hello\n");
}

/// Half round trips until all of the output is there: it leaves the server before the exit status, which is a channel request. sshd
/// logs that, and no data.
fn until_output(beats: &[Beat]) -> u32 {
    let sent = beats.iter().find(|beat| beat.sent().contains(&98));
    sent.expect("an exit status").half_trips + 1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_connection_has_its_first_output_after_eight_round_trips_and_a_warm_one_after_one() {
    let bench = Bench::start().await;
    let mut cold = Vec::new();
    for _ in 0..TRIES {
        let connection = bench.connect(AuthConfig::key(bench.sshd.key())).await;
        hello(&connection).await;
        let beats = bench.link.since_the_beginning().await;
        cold.push(until_output(&beats));
        assert!(until_output(&beats) >= 16, "{beats:?}");
        if until_output(&beats) > 16 {
            continue;
        }
        let mut trips: Vec<(u32, Vec<u8>)> = beats
            .iter()
            .map(|beat| (beat.half_trips, beat.received()))
            .filter(|(half_trips, received)| *half_trips < 16 && !received.is_empty())
            .collect();
        if let Some((_, last)) = trips.last_mut() {
            // A task of its own opens the other session: it may be sent before the command or after it.
            last.sort_by_key(|message| *message != 90);
        }
        assert_eq!(
            trips,
            [
                // KEXINIT and the client's share of the exchange. Identifications were exchanged with the trip before.
                (5, vec![20, 30]),
                // NEWKEYS and the request for the authentication service.
                (7, vec![21, 5]),
                // Which key would be taken, and then its signature.
                (9, vec![50]),
                (11, vec![50]),
                // The session, then another one for the next command, the command, and the end of its input.
                (13, vec![90]),
                (15, vec![90, 98, 96]),
            ],
            "{beats:?}"
        );

        let mut warm = Vec::new();
        for _ in 0..TRIES {
            bench.link.begin().await;
            hello(&connection).await;
            let half_trips = until_output(&bench.link.since_the_beginning().await);
            warm.push(half_trips);
            if half_trips == 2 {
                return;
            }
        }
        panic!("warm commands took {warm:?} half round trips");
    }
    panic!("new connections took {cold:?} half round trips");
}
