//! Both ends of the connections that go through a forward: a process that connects, and one that answers.

use std::error::Error;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// The first argument of the process that answers.
pub(crate) const TARGET: &str = "target";

/// The first argument of the process that connects.
pub(crate) const LOAD: &str = "load";

/// With a shorter queue the kernel would reset some of 1,000 connections that come at once, whoever forwards them.
const BACKLOG: u32 = 4096;

/// How much is read or written at once.
const CHUNK: u64 = 256 * 1024;

/// How long all connections of one call may take. A peer that loses some for good is no peer.
const LIMIT: Duration = Duration::from_secs(120);

/// What goes through a forward.
#[derive(Debug, Clone, Copy)]
pub(super) struct Traffic {
    pub(super) connections: u32,
    pub(super) at_once: u32,
    /// Bytes that each connection sends first, at least [`HEADER`].
    pub(super) request: u64,
    /// Bytes that it gets then, before the end.
    pub(super) answer: u64,
}

/// A request begins with its own length and that of the answer, both as eight bytes.
pub(super) const HEADER: u64 = 16;

/// What came of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outcome {
    /// From before the first connection until the last answer's end.
    pub(super) seconds: f64,
    /// Connections that were refused, reset or cut short. Each was tried anew at once, until it had its answer.
    pub(super) failed: u32,
}

impl Traffic {
    /// Has a process of its own send it to a port of this machine.
    pub(super) fn send(self, port: u16) -> Result<Outcome, Box<dyn Error>> {
        let output = Command::new(std::env::current_exe()?)
            .args([LOAD, &port.to_string()])
            .args([self.connections, self.at_once].map(|number| number.to_string()))
            .args([self.request, self.answer].map(|number| number.to_string()))
            .stderr(Stdio::inherit())
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        match text.trim_end().split_once(' ') {
            Some((seconds, failed)) if output.status.success() => Ok(Outcome {
                seconds: seconds.parse()?,
                failed: failed.parse()?,
            }),
            _ => Err("a connection through a forward did not get its answer; see above".into()),
        }
    }
}

/// Connects as [`Traffic`] says, and prints how long that took and how often it failed.
///
/// # Errors
/// When the arguments are not those of [`Traffic::send`], or not every connection has its answer in time.
pub(crate) fn load(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let [port, connections, at_once, request, answer] = arguments else {
        return Err("a load needs a port, connections, how many at once, and two lengths".into());
    };
    let port: u16 = port.parse()?;
    let traffic = Traffic {
        connections: connections.parse()?,
        at_once: at_once.parse()?,
        request: request.parse()?,
        answer: answer.parse()?,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let outcome = runtime
        .block_on(async { timeout(LIMIT, send_all(port, traffic)).await })
        .map_err(|_| format!("not all connections have their answers after {LIMIT:?}"))?;
    writeln!(io::stdout(), "{} {}", outcome.seconds, outcome.failed)?;
    Ok(())
}

async fn send_all(port: u16, traffic: Traffic) -> Outcome {
    let turns = Arc::new(Semaphore::new(traffic.at_once as usize));
    let mut running = JoinSet::new();
    let started = Instant::now();
    for _ in 0..traffic.connections {
        let turns = Arc::clone(&turns);
        running.spawn(async move {
            let _turn = turns.acquire().await;
            let mut failed = 0;
            while ask(port, traffic).await.is_err() {
                failed += 1;
                tokio::task::yield_now().await;
            }
            failed
        });
    }
    let failed = running.join_all().await.iter().sum();
    Outcome {
        seconds: started.elapsed().as_secs_f64(),
        failed,
    }
}

async fn ask(port: u16, traffic: Traffic) -> io::Result<()> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    stream.set_nodelay(true)?;
    let header = [traffic.request.to_be_bytes(), traffic.answer.to_be_bytes()].concat();
    if traffic.request <= CHUNK {
        let mut request = header;
        request.resize(usize::try_from(traffic.request).unwrap_or_default(), 0);
        stream.write_all(&request).await?;
    } else {
        stream.write_all(&header).await?;
        send_zeros(&mut stream, traffic.request.saturating_sub(HEADER)).await?;
    }
    take(&mut stream, traffic.answer).await?;
    match stream.read(&mut [0]).await? {
        0 => Ok(()),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Answers connections, on a port that it prints, until its input ends.
///
/// # Errors
/// When it cannot listen.
pub(crate) fn target() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let listener = socket.listen(BACKLOG)?;
        writeln!(io::stdout(), "{}", listener.local_addr()?.port())?;
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // Whoever asked notices that there is no answer.
                tokio::spawn(async { answer(stream).await.ok() });
            }
        });
        input_ended().await;
        Ok(())
    })
}

async fn answer(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let request = stream.read_u64().await?;
    let length = stream.read_u64().await?;
    take(&mut stream, request.saturating_sub(HEADER)).await?;
    send_zeros(&mut stream, length).await
}

async fn send_zeros(stream: &mut TcpStream, mut length: u64) -> io::Result<()> {
    let zeros = vec![0; usize::try_from(length.min(CHUNK)).unwrap_or_default()];
    while length > 0 {
        let chunk = usize::try_from(length).unwrap_or(usize::MAX).min(zeros.len());
        let written = stream.write(zeros.get(..chunk).unwrap_or_default()).await?;
        length -= written as u64;
    }
    Ok(())
}

/// Reads exactly so much.
async fn take(stream: &mut TcpStream, mut length: u64) -> io::Result<()> {
    let mut buffer = vec![0; usize::try_from(length.min(CHUNK)).unwrap_or_default()];
    while length > 0 {
        let chunk = usize::try_from(length).unwrap_or(usize::MAX).min(buffer.len());
        match stream.read(buffer.get_mut(..chunk).unwrap_or_default()).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => length -= read as u64,
        }
    }
    Ok(())
}

/// Waits for the end of this process's input, which is the end of the process that started it.
pub(crate) async fn input_ended() {
    let reading = tokio::task::spawn_blocking(|| io::stdin().read_to_end(&mut Vec::new()));
    let _ = reading.await;
}

/// The running process that answers. Dropping it ends it.
pub(super) struct Target {
    process: Child,
    pub(super) port: u16,
}

impl Target {
    pub(super) fn start() -> Result<Self, Box<dyn Error>> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg(TARGET)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        if let Some(said) = process.stdout.take() {
            BufReader::new(said).read_line(&mut line)?;
        }
        Ok(Self {
            process,
            port: line.trim_end().parse()?,
        })
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
