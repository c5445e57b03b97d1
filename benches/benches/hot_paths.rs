//! The hot paths by themselves, to follow from one change to the next: `cargo bench -p sternline-benches`. A test run runs
//! each once.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "criterion's macros are not documented, and a benchmark that cannot go on has to fail"
)]

use std::fmt::Write;
use std::hint::black_box;
use std::thread::JoinHandle;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use futures_util::future::try_join_all;
use sternline::exec::StreamData;
use sternline::host_key::KnownHosts;
use sternline::transfer::OpenFlags;
use sternline::{Connection, Sftp};
use sternline_proto::expect::{ExpectPattern, Matcher};
use sternline_proto::known_hosts::KnownHostsIndex;
use sternline_proto::redact::redact_string;
use sternline_server::{Credential, Reply, Server, VirtualFiles};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

const MEBIBYTE: usize = 1024 * 1024;

/// How much a command writes, and how long the file is.
const LENGTH: usize = 4 * MEBIBYTE;

/// What a request of SFTP reads.
const PIECE: usize = 255 * 1024;

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// The embedded server on a thread of its own, and a connection to it on ours.
struct Peers {
    client: Runtime,
    connection: Connection,
    end: Option<oneshot::Sender<()>>,
    server: Option<JoinHandle<()>>,
}

impl Peers {
    fn start() -> Self {
        let (started, address) = std::sync::mpsc::channel();
        let (end, ended) = oneshot::channel::<()>();
        let server = std::thread::spawn(move || {
            runtime().block_on(async {
                let files = VirtualFiles::new();
                files.add_file("/file", vec![7; LENGTH], 0o644).unwrap();
                let server = Server::builder()
                    .user("bench", Credential::password("secret"))
                    .command("zeros", Reply::stdout(vec![0; LENGTH]))
                    .files(files)
                    .bind()
                    .await
                    .unwrap();
                started.send((server.port(), server.known_hosts_line())).unwrap();
                // An error means that the other side has gone, which is the end as well.
                let _ = ended.await;
            });
        });
        let (port, line) = address.recv().unwrap();
        let known_hosts = KnownHosts::from_bytes("known_hosts", line.as_bytes());
        let client = runtime();
        let connection = Connection::builder(format!("bench@127.0.0.1:{port}"))
            .known_hosts_parsed(known_hosts, None)
            .password("secret")
            .connect();
        let connection = client.block_on(connection).unwrap();
        Self {
            client,
            connection,
            end: Some(end),
            server: Some(server),
        }
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        self.client.block_on(self.connection.close());
        self.end = None;
        if let Some(server) = self.server.take() {
            let _ = server.join();
        }
    }
}

/// A command's output, through the channel's pump to its reader.
fn channel_pump(criterion: &mut Criterion) {
    let peers = Peers::start();
    let mut group = criterion.benchmark_group("channel pump");
    group.throughput(Throughput::Bytes(LENGTH as u64)).sample_size(20);
    group.bench_function("4 MiB of output", |bencher| {
        bencher.iter(|| {
            let read = peers.client.block_on(async {
                let mut output = peers.connection.stream_exec("zeros").await.unwrap();
                let mut read = 0;
                while let Some(event) = output.next().await {
                    if let StreamData::Stdout(bytes) = event.data {
                        read += bytes.len();
                    }
                }
                read
            });
            assert_eq!(read, LENGTH);
        });
    });
    group.finish();
}

async fn read_all(sftp: &Sftp) -> usize {
    let file = sftp.open("/file", OpenFlags::READ, None).await.unwrap();
    let offsets = (0..LENGTH as u64).step_by(PIECE);
    let pieces = try_join_all(offsets.map(|offset| file.read_at(offset, PIECE)))
        .await
        .unwrap();
    file.close().await.unwrap();
    pieces.iter().map(|piece| piece.len()).sum()
}

/// Many reads of one file on their way at once.
fn sftp_pipeline(criterion: &mut Criterion) {
    let peers = Peers::start();
    let sftp = peers.client.block_on(peers.connection.sftp()).unwrap();
    let mut group = criterion.benchmark_group("sftp pipeline");
    group.throughput(Throughput::Bytes(LENGTH as u64)).sample_size(20);
    group.bench_function("4 MiB read", |bencher| {
        bencher.iter(|| assert_eq!(peers.client.block_on(read_all(&sftp)), LENGTH));
    });
    group.finish();
}

fn log(length: usize) -> String {
    let mut text = String::new();
    for line in 0.. {
        if text.len() >= length {
            break;
        }
        writeln!(
            text,
            "2026-11-29T12:00:00Z web-{line} GET /index.html?page={line} took {line} ms, user=deploy"
        )
        .unwrap();
    }
    text
}

/// Output that does not hold what is waited for, in pieces as a channel brings them.
fn expect_matcher(criterion: &mut Criterion) {
    let text = log(MEBIBYTE);
    let mut group = criterion.benchmark_group("expect matcher");
    group
        .throughput(Throughput::Bytes(text.len() as u64))
        .sample_size(20);
    let literal = || vec![ExpectPattern::literal("ready now").unwrap()];
    let five = || {
        let mut patterns = literal();
        patterns.push(ExpectPattern::literal("Permission denied").unwrap());
        for pattern in ["(?i)password[^:]*: ", r"[Ee]rror \d+", r"\(yes/no\)\?"] {
            patterns.push(ExpectPattern::regex(pattern).unwrap());
        }
        patterns
    };
    let cases: [(&str, Vec<ExpectPattern>); 2] = [("one text", literal()), ("five patterns", five())];
    for (name, patterns) in cases {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut matcher = Matcher::new(Matcher::DEFAULT_LIMIT);
                let mut search = matcher.begin(patterns.clone());
                for piece in text.as_bytes().chunks(32 * 1024) {
                    let piece = std::str::from_utf8(piece).unwrap();
                    assert!(matcher.push(&mut search, piece).is_none());
                }
            });
        });
    }
    group.finish();
}

/// A host among ten thousand.
fn known_hosts_lookup(criterion: &mut Criterion) {
    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB";
    let mut text = String::from("*.wild.example ");
    text.push_str(KEY);
    text.push('\n');
    for host in 0..10_000 {
        writeln!(text, "web-{host},10.1.{}.{} {KEY}", host / 250, host % 250).unwrap();
    }
    let parsed = |text: &str| {
        let mut index = KnownHostsIndex::new();
        index.add_file("known_hosts", text.as_bytes());
        index
    };
    let index = parsed(&text);
    let mut group = criterion.benchmark_group("known_hosts lookup");
    group.sample_size(20);
    group.bench_function("one of 10,000", |bencher| {
        bencher.iter(|| {
            let lookup = index.lookup(black_box("web-7500"), 22);
            assert_eq!(lookup.entries().len(), 1);
        });
    });
    group.bench_function("parsing 10,000", |bencher| {
        bencher.iter(|| assert_eq!(parsed(&text).entries().len(), 10_001));
    });
    group.finish();
}

/// A text without a secret, and one with.
fn redaction(criterion: &mut Criterion) {
    let clean = log(64 * 1024);
    let secret = clean.replace("user=deploy", "password=hunter22");
    let mut group = criterion.benchmark_group("redaction");
    group
        .throughput(Throughput::Bytes(clean.len() as u64))
        .sample_size(20);
    for (name, text) in [
        ("64 KiB without a secret", &clean),
        ("64 KiB with one in each line", &secret),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| redact_string(black_box(text)).len())
        });
    }
    group.finish();
}

criterion_group!(
    hot_paths,
    channel_pump,
    sftp_pipeline,
    expect_matcher,
    known_hosts_lookup,
    redaction
);
criterion_main!(hot_paths);
