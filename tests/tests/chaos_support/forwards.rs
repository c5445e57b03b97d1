//! A local, a remote and a dynamic forward, and what goes through them.

use std::io;
use std::time::Duration;

use sternline::forward::ForwardHandle;
use sternline::{ConnectionState, Supervisor};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long a forward may take to carry something, the return of a lost connection included.
const PATIENCE: Duration = Duration::from_secs(45);

pub(crate) struct Forwards {
    target: u16,
    local: ForwardHandle,
    remote: ForwardHandle,
    dynamic: ForwardHandle,
    ports: [u16; 3],
}

/// Answers every connection with what it was sent, once the client has said all.
pub(crate) async fn echo() -> (u16, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        let mut clients = JoinSet::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            clients.spawn(async move {
                let mut said = Vec::new();
                if stream.read_to_end(&mut said).await.is_ok() {
                    let _ = stream.write_all(&said).await;
                }
            });
            while clients.try_join_next().is_some() {}
        }
    });
    (port, serving)
}

/// What a conversation says before the blow, and what after it.
const FIRST: &[u8] = &[b'1'; 256 * 1024];
const LAST: &[u8] = b"that is all";

/// A conversation that was begun before the blow.
pub(crate) struct Begun {
    way: &'static str,
    stream: TcpStream,
}

impl Forwards {
    pub(crate) async fn open(supervisor: &Supervisor, target: u16) -> Self {
        let local = supervisor.forward_local(0, "127.0.0.1", target).await.unwrap();
        let remote = supervisor.forward_remote(0, "127.0.0.1", target).await.unwrap();
        let dynamic = supervisor.forward_dynamic(0).await.unwrap();
        let ports = [&local, &remote, &dynamic].map(|forward| forward.local_port());
        Self {
            target,
            local,
            remote,
            dynamic,
            ports,
        }
    }

    /// Begins a conversation through each.
    pub(crate) async fn begin(&self) -> Vec<Begun> {
        let mut begun = Vec::new();
        for way in ["local", "remote", "dynamic"] {
            let mut stream = self.connect(way).await.unwrap();
            stream.write_all(FIRST).await.unwrap();
            begun.push(Begun { way, stream });
        }
        begun
    }

    /// All three carry something, on the ports and under the handles that they had from the start.
    pub(crate) async fn carry(&self, supervisor: &Supervisor) {
        for way in ["local", "dynamic", "remote"] {
            let carried = timeout(PATIENCE, self.carries(way, supervisor)).await;
            carried.unwrap_or_else(|_| panic!("the {way} forward does not carry again: {self:?}"));
        }
        let handles = [&self.local, &self.remote, &self.dynamic];
        assert_eq!(handles.map(|forward| forward.local_port()), self.ports);
        assert_eq!(supervisor.forward_manager().active_forwards().len(), 3);
    }

    /// Only another loss of the connection is a reason to fail.
    async fn carries(&self, way: &str, supervisor: &Supervisor) {
        loop {
            while way == "remote" && !self.remote.is_active() {
                tokio::task::yield_now().await;
            }
            let before = supervisor.reconnection_count();
            let question = format!("{way} {before}");
            match self.says(way, &question).await {
                Ok(answer) => return assert_eq!(answer, question, "through the {way} forward"),
                Err(error) => {
                    let lost = supervisor.state() != ConnectionState::Connected
                        || !supervisor.is_connected()
                        || supervisor.reconnection_count() != before;
                    assert!(lost, "the {way} forward failed on a good connection: {error}");
                    supervisor.wait_connected(None).await;
                }
            }
        }
    }

    async fn says(&self, way: &str, text: &str) -> io::Result<String> {
        let mut stream = self.connect(way).await?;
        stream.write_all(text.as_bytes()).await?;
        stream.shutdown().await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        if answer.is_empty() && way == "remote" {
            // The listener is the server's, which closes what it cannot pass on.
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(answer)
    }

    async fn connect(&self, way: &str) -> io::Result<TcpStream> {
        let [local, remote, dynamic] = self.ports;
        let port = match way {
            "local" => local,
            "remote" => remote,
            _ => dynamic,
        };
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        if way == "dynamic" {
            // SOCKS 5 without authentication (RFC 1928).
            stream.write_all(&[5, 1, 0]).await?;
            let [high, low] = self.target.to_be_bytes();
            stream.write_all(&[5, 1, 0, 1, 127, 0, 0, 1, high, low]).await?;
            let mut replies = [0; 2 + 10];
            stream.read_exact(&mut replies).await?;
            if replies[3] != 0 {
                return Err(io::Error::other(format!("SOCKS reply {}", replies[3])));
            }
        }
        Ok(stream)
    }
}

impl Begun {
    /// Ends the conversation: with the whole answer, or with an error, but neither never nor with a part of it.
    pub(crate) async fn finish(mut self) {
        let finishing = async {
            self.stream.write_all(LAST).await?;
            self.stream.shutdown().await?;
            let mut answer = Vec::new();
            self.stream.read_to_end(&mut answer).await.map(|_| answer)
        };
        let answer: io::Result<Vec<u8>> = timeout(PATIENCE, finishing)
            .await
            .unwrap_or_else(|_| panic!("a conversation through the {} forward hangs", self.way));
        match answer {
            Ok(answer) if answer == [FIRST, LAST].concat() => {}
            // The server's socket, which it closes as it likes.
            Ok(answer) if answer.is_empty() && self.way == "remote" => {}
            Ok(answer) => panic!(
                "a conversation through the {} forward ended after {} bytes as if it were whole",
                self.way,
                answer.len()
            ),
            Err(_) => {}
        }
    }
}

impl std::fmt::Debug for Forwards {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all = [&self.local, &self.remote, &self.dynamic];
        f.debug_list()
            .entries(all.map(|forward| (forward, forward.last_error())))
            .finish()
    }
}
