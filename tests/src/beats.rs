//! A link that counts round trips instead of taking time: what is on its way arrives in beats, half a round trip each.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

/// For how long both ends have to be silent before what they have said arrives. A party that only needs longer to think,
/// and has not been heard of meanwhile, delays the beat; one that says half of it and then thinks makes it two.
const QUIET: Duration = Duration::from_millis(100);

/// A proxy in front of a server. Of several connections only one may be busy at a time.
///
/// What each end sends is held until both are silent; then all of it arrives at once, both ways. So the number of beats
/// until something is there is the number of half round trips that it takes on a long link, however slow the machine is.
/// What a server logs meanwhile tells what each beat was for.
#[derive(Debug)]
pub struct Beats {
    addr: SocketAddr,
    shared: Arc<Shared>,
    task: AbortHandle,
}

/// What arrived with one beat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beat {
    /// Half round trips since the beginning. A new connection begins with the two that TCP takes.
    pub half_trips: u32,
    /// How many bytes arrived at the server.
    pub to_server: usize,
    /// How many bytes arrived at the client.
    pub to_client: usize,
    /// What the server logged from then until the next beat.
    pub log: String,
}

#[derive(Debug)]
struct Shared {
    beats: Mutex<Counted>,
    /// Counts the silences.
    silences: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Counted {
    list: Vec<Beat>,
    half_trips: u32,
    /// How much of the log is known.
    logged: usize,
}

impl Beat {
    /// The messages that sshd got with this beat or because of it, by their numbers (RFC 4250 section 4.1.2); the log has to be that
    /// of `LogLevel DEBUG3`.
    #[must_use]
    pub fn received(&self) -> Vec<u8> {
        self.messages("receive packet: type ")
    }

    /// The messages that sshd sent because of this beat.
    #[must_use]
    pub fn sent(&self) -> Vec<u8> {
        self.messages("send packet: type ")
    }

    fn messages(&self, what: &str) -> Vec<u8> {
        let lines = self.log.lines().filter_map(|line| line.split_once(what));
        lines
            .filter_map(|(_, rest)| rest.split_ascii_whitespace().next()?.parse().ok())
            .collect()
    }
}

impl Beats {
    /// Listens on a free port of 127.0.0.1 for connections to `upstream`. `log` gives the server's log so far.
    ///
    /// # Panics
    /// When the system gives no port, and outside a tokio runtime.
    pub async fn start(upstream: SocketAddr, log: impl Fn() -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            beats: Mutex::default(),
            silences: watch::Sender::new(0),
        });
        let sharing = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            let log = Arc::new(log);
            while let Ok((client, _)) = listener.accept().await {
                let (sharing, log) = (Arc::clone(&sharing), Arc::clone(&log));
                // A connection that breaks has ended, which is all there is to it.
                connections.spawn(async move { sharing.pass(client, upstream, &*log).await });
            }
        });
        Self {
            addr,
            shared,
            task: task.abort_handle(),
        }
    }

    /// The address that clients connect to.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Waits until both ends have been silent for a while, and begins to count anew.
    ///
    /// # Panics
    /// Never: what it waits for lives as long as this.
    pub async fn begin(&self) {
        self.settle().await;
        let mut beats = self.shared.beats.lock().unwrap();
        beats.half_trips = 0;
        beats.list.clear();
    }

    /// Waits until both ends have been silent for a while, and gives all beats since the beginning.
    ///
    /// # Panics
    /// Never: what it waits for lives as long as this.
    pub async fn since_the_beginning(&self) -> Vec<Beat> {
        self.settle().await;
        self.shared.beats.lock().unwrap().list.clone()
    }

    async fn settle(&self) {
        let mut silences = self.shared.silences.subscribe();
        let now = *silences.borrow();
        // The one that is under way has begun before.
        silences.wait_for(|count| *count >= now + 3).await.unwrap();
    }
}

impl Drop for Beats {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    async fn pass(
        &self,
        mut client: TcpStream,
        upstream: SocketAddr,
        log: &(impl Fn() -> String + Send + Sync),
    ) -> io::Result<()> {
        client.set_nodelay(true)?;
        {
            let mut beats = self.beats.lock().unwrap();
            beats.list.clear();
            beats.half_trips = 2;
            beats.logged = log().len();
        }
        // The server learns of the connection with the client's first words, half a round trip after the client does.
        let mut to_server = Vec::new();
        while let Ok(read) = timeout(QUIET, client.read_buf(&mut to_server)).await {
            if read? == 0 {
                return Ok(());
            }
        }
        let mut server = TcpStream::connect(upstream).await?;
        server.set_nodelay(true)?;
        let mut to_client = Vec::new();
        loop {
            self.beat(&to_server, &to_client);
            server.write_all(&to_server).await?;
            client.write_all(&to_client).await?;
            to_server.clear();
            to_client.clear();
            while to_server.is_empty() && to_client.is_empty() {
                loop {
                    let either = async {
                        tokio::select! {
                            read = client.read_buf(&mut to_server) => read,
                            read = server.read_buf(&mut to_client) => read,
                        }
                    };
                    match timeout(QUIET, either).await {
                        Ok(Ok(0)) => {
                            server.write_all(&to_server).await?;
                            return client.write_all(&to_client).await;
                        }
                        Ok(read) => read?,
                        Err(_) => break,
                    };
                }
                self.silence(&log());
            }
        }
    }

    fn beat(&self, to_server: &[u8], to_client: &[u8]) {
        let mut beats = self.beats.lock().unwrap();
        beats.half_trips += 1;
        let half_trips = beats.half_trips;
        beats.list.push(Beat {
            half_trips,
            to_server: to_server.len(),
            to_client: to_client.len(),
            log: String::new(),
        });
    }

    fn silence(&self, log: &str) {
        let mut beats = self.beats.lock().unwrap();
        let news = log.get(beats.logged..).unwrap_or_default().to_owned();
        beats.logged = log.len();
        if let Some(last) = beats.list.last_mut() {
            last.log.push_str(&news);
        }
        drop(beats);
        self.silences.send_modify(|count| *count += 1);
    }
}
