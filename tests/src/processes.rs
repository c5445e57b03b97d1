//! Looking at this machine's processes, to see that nothing is left running.

use std::fs;
use std::time::{Duration, Instant};

/// A process as `/proc` shows it.
#[derive(Debug, Clone)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// Its parent's id.
    pub parent: u32,
    /// Its arguments, joined by blanks.
    pub command: String,
    /// When it started, in clock ticks since this machine did.
    pub started: u64,
    /// Whether it has ended and only waits to be reaped.
    pub zombie: bool,
}

/// All processes of this machine.
#[must_use]
pub fn all() -> Vec<Process> {
    let mut processes = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // It may end while it is being looked at.
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else {
            continue;
        };
        let fields: Vec<&str> = stat
            .rsplit_once(") ")
            .map_or("", |(_, rest)| rest)
            .split(' ')
            .collect();
        let (Some(state), Some(parent)) = (fields.first(), fields.get(1).and_then(|ppid| ppid.parse().ok()))
        else {
            continue;
        };
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command)
            .replace('\0', " ")
            .trim_end()
            .to_owned();
        processes.push(Process {
            pid,
            parent,
            command,
            started: fields.get(19).and_then(|ticks| ticks.parse().ok()).unwrap_or(0),
            zombie: *state == "Z",
        });
    }
    processes
}

/// The living processes whose arguments contain `text`, and which are not older than this one: what another run of
/// the tests left behind is not to be blamed on this one.
///
/// # Panics
/// When this process cannot see itself.
#[must_use]
pub fn containing(text: &str) -> Vec<Process> {
    let processes = all();
    let own = processes
        .iter()
        .find(|process| process.pid == std::process::id())
        .unwrap()
        .clone();
    processes
        .into_iter()
        .filter(|process| process.pid != own.pid && process.started >= own.started)
        .filter(|process| !process.zombie && process.command.contains(text))
        .collect()
}

/// A process and everything below it, children first.
#[must_use]
pub fn tree(root: u32) -> Vec<u32> {
    let processes = all();
    let mut found = vec![root];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        found.extend(
            processes
                .iter()
                .filter(|process| process.parent == parent)
                .map(|process| process.pid),
        );
        next += 1;
    }
    found.reverse();
    found
}

/// Looks again and again until `condition` holds, or fails after twenty seconds. Other tasks go on meanwhile.
///
/// # Panics
/// When the condition does not come to hold.
pub async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let give_up = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < give_up, "this did not come to pass: {what}");
        tokio::task::yield_now().await;
    }
}

/// As [`eventually`], outside of any runtime.
///
/// # Panics
/// When the condition does not come to hold.
pub fn eventually_here(what: &str, mut condition: impl FnMut() -> bool) {
    let give_up = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < give_up, "this did not come to pass: {what}");
        std::thread::yield_now();
    }
}
