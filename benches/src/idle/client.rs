//! Sternline as the client of many hosts.

use std::error::Error;
use std::io::{BufRead, Write};
use std::sync::Arc;
use std::time::Instant;

use serde_json::json;
use sternline::auth::PrivateKey;
use sternline::config::Env;
use sternline::host_key::KnownHosts;
use sternline::{AuthConfig, Connection};
use tokio::runtime::Builder;
use tokio::task::JoinSet;

use super::measure::host;
use super::process::resident_kib;
use crate::cpu;

/// The first argument of the client's process.
pub(crate) const CLIENT: &str = "idle-client";

/// Connects to as many hosts as its arguments say, so many at once as they say, tells what that took, and keeps the
/// connections until its input ends. `benches/python/asyncssh_idle.py` does the same.
///
/// # Errors
/// When the arguments are wrong. A host that fails is counted.
pub(crate) fn client(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let [user, port, key, known_hosts, hosts, at_once] = arguments else {
        return Err("the client needs a user, a port, a key, a known_hosts file and two numbers".into());
    };
    let (hosts, at_once): (u32, usize) = (hosts.parse()?, at_once.parse()?);
    // Read once for all connections, as every program for many hosts would.
    let settings = Arc::new(Settings {
        user: user.clone(),
        port: port.parse()?,
        key: PrivateKey::parse(&std::fs::read(key)?, None)?,
        known_hosts: KnownHosts::load([known_hosts])?,
        env: Arc::new(Env::system()),
    });
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let memory_before = resident_kib()?;
        let (began, cpu_before) = (Instant::now(), cpu::own());
        let connections = open_all(&settings, hosts, at_once).await;
        let (seconds, cpu) = (began.elapsed().as_secs_f64(), cpu::own() - cpu_before);
        let state = json!({
            "succeeded": connections.len(),
            "seconds": seconds,
            "cpu_seconds": cpu.as_secs_f64(),
            "before_kib": memory_before,
            "resident_kib": resident_kib()?,
        });
        writeln!(std::io::stdout(), "{state}")?;
        // Whatever else the connections do, they do meanwhile.
        let ended = tokio::task::spawn_blocking(|| std::io::stdin().lock().lines().for_each(drop));
        ended.await?;
        Ok(())
    })
}

struct Settings {
    user: String,
    port: u16,
    key: PrivateKey,
    known_hosts: KnownHosts,
    env: Arc<Env>,
}

async fn open_all(settings: &Arc<Settings>, hosts: u32, at_once: usize) -> Vec<Connection> {
    let mut opening = JoinSet::new();
    let mut open_ones = Vec::new();
    for index in 0..hosts {
        if opening.len() >= at_once {
            open_ones.extend(opening.join_next().await.and_then(Result::ok).flatten());
        }
        let settings = Arc::clone(settings);
        opening.spawn(async move { open(&settings, index).await.ok() });
    }
    open_ones.extend(opening.join_all().await.into_iter().flatten());
    open_ones
}

async fn open(settings: &Settings, index: u32) -> sternline::Result<Connection> {
    let connection = Connection::builder(host(index).to_string())
        .username(settings.user.as_str())
        .port(settings.port)
        .env(Arc::clone(&settings.env))
        .known_hosts_parsed(settings.known_hosts.clone(), None)
        .auth([AuthConfig::key_data(settings.key.clone())])
        .connect()
        .await?;
    connection.exec("true").await?.success()?;
    Ok(connection)
}
