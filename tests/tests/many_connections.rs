//! A thousand connections at once from one process, all kept open together; ten thousand with `STERNLINE_MANY_CONNECTIONS=10000`.

use std::sync::Arc;

use sternline::auth::PrivateKey;
use sternline::config::Env;
use sternline::host_key::KnownHosts;
use sternline::{AuthConfig, Connection};
use sternline_server::{Credential, Reply, Server};
use sternline_tests::left_out::left_out;
use tokio::task::JoinSet;

/// What an open connection may take in the client and in the server together, which are one process here: twice what
/// they take in a release build. A buffer too many for each of them is more.
const MOST_KIB: u64 = 400;

const AT_ONCE: usize = 64;

fn wanted() -> usize {
    match std::env::var("STERNLINE_MANY_CONNECTIONS") {
        Ok(number) => number.parse().unwrap(),
        Err(_) => 1000,
    }
}

/// How many connections both ends may have in one process.
fn allowed() -> usize {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
    let files = limit.current.unwrap_or(u64::MAX);
    usize::try_from(files.saturating_sub(200) / 2).unwrap_or(usize::MAX)
}

#[cfg(target_os = "linux")]
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    line.split_ascii_whitespace().next().unwrap().parse().unwrap()
}

/// Memory is only looked at where it can be.
#[cfg(not(target_os = "linux"))]
fn resident_kib() -> u64 {
    0
}

#[tokio::test]
async fn a_thousand_connections_stay_open_together_and_each_takes_little_memory() {
    let hosts = wanted().min(allowed());
    if hosts < wanted() {
        left_out(
            &format!("{} of {} connections at once", wanted() - hosts, wanted()),
            "raise the limit of open files: ulimit -n",
        );
    }
    let key = PrivateKey::generate().unwrap();
    let public = format!("{} {}", key.public().algorithm(), key.public().to_base64());
    let server = Server::builder()
        .user("ann", Credential::public_key(&public).unwrap())
        .command("true", Reply::stdout(""))
        .max_connections(hosts)
        .bind()
        .await
        .unwrap();
    let known_hosts = KnownHosts::from_bytes("known", server.known_hosts_line().as_bytes());
    let env = Arc::new(Env::system());
    let target = format!("ann@{}", server.addr());
    let before = resident_kib();
    let mut opening = JoinSet::new();
    let mut connections = Vec::new();
    for _ in 0..hosts {
        if opening.len() >= AT_ONCE {
            connections.push(opening.join_next().await.unwrap().unwrap());
        }
        let builder = Connection::builder(target.as_str())
            .env(Arc::clone(&env))
            .known_hosts_parsed(known_hosts.clone(), None)
            .auth([AuthConfig::key_data(key.clone())]);
        opening.spawn(async move {
            let connection = builder.connect().await.unwrap();
            connection.exec("true").await.unwrap().success().unwrap();
            connection
        });
    }
    connections.extend(opening.join_all().await);
    let each = resident_kib().saturating_sub(before) / hosts as u64;
    assert_eq!(connections.len(), hosts);
    assert_eq!(server.faults().counters().open, hosts as u64);
    assert!(
        each < MOST_KIB,
        "{each} KiB for each connection, both ends together"
    );

    // All of them are still there, and take another command.
    for connection in connections.iter().step_by(hosts.div_ceil(50)) {
        connection.exec("true").await.unwrap().success().unwrap();
    }
    assert!(connections.iter().all(Connection::is_connected));
}
