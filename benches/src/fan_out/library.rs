//! Sternline's library as a program uses it.

use std::error::Error;
use std::io::Write;
use std::time::Instant;

use sternline::host_key::KnownHosts;
use sternline::{AuthConfig, Fleet};

use crate::cpu;
use crate::worker::Target;

/// The first argument of a process that runs `true` on many hosts with Sternline's library.
pub(crate) const LIBRARY: &str = "fan-out-library";

/// Runs `true` on all hosts and prints the seconds that it took, and those of the processor.
///
/// # Errors
/// When the arguments are not a target, a file of addresses and a number, or a host fails.
pub(crate) fn library(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let [target @ .., hosts, at_once] = arguments else {
        return Err("a fan-out needs a file of hosts and how many at once".into());
    };
    let target = Target::parse(target)?;
    let hosts = std::fs::read_to_string(hosts)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (started, before) = (Instant::now(), cpu::own());
    let known_hosts = KnownHosts::from_bytes("known_hosts", &std::fs::read(&target.known_hosts)?);
    let fleet = Fleet::new(hosts.lines())
        .parallel(at_once.parse()?)
        .configure(move |_, builder| {
            builder
                .username(target.user.clone())
                .port(target.port)
                .known_hosts_parsed(known_hosts.clone(), None)
                .auth([AuthConfig::key(&target.key)])
        });
    let outcomes = runtime.block_on(fleet.exec("true"))?;
    let (seconds, cpu) = (started.elapsed(), cpu::own().saturating_sub(before));
    if let Some(failed) = outcomes.iter().find(|outcome| !outcome.ok()) {
        return Err(format!("{}: {:?}", failed.host, failed.result).into());
    }
    writeln!(
        std::io::stdout(),
        "{} {}",
        seconds.as_secs_f64(),
        cpu.as_secs_f64()
    )?;
    Ok(())
}
