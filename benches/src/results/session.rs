//! Where and when something was measured.

use std::fs;
use std::process::Command;

use serde::{Deserialize, Serialize};

/// The machine, the day and the source. Nothing in it names the machine itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// The day, in UTC: `2026-11-29`.
    pub date: String,
    /// Sternline's commit, with `+` behind it if the source was changed since.
    pub commit: String,
    /// The processor, how many of its cores, and the memory.
    pub machine: String,
    /// The kernel.
    pub system: String,
    /// How this was measured: `full`, or `quick`, whose figures mean nothing.
    pub mode: String,
}

impl Session {
    /// This one.
    #[must_use]
    pub fn now(quick: bool) -> Self {
        let changed = said("git", &["status", "--porcelain", "--untracked-files=no"]);
        let commit = said("git", &["rev-parse", "--short=7", "HEAD"]);
        Self {
            date: said("date", &["-u", "+%Y-%m-%d"]),
            commit: if changed.is_empty() { commit } else { commit + "+" },
            machine: machine(
                &fs::read_to_string("/proc/cpuinfo").unwrap_or_default(),
                &fs::read_to_string("/proc/meminfo").unwrap_or_default(),
            ),
            system: release(&said("uname", &["-sr"])),
            mode: if quick { "quick" } else { "full" }.to_owned(),
        }
    }
}

/// What a program prints, in the folder of this crate; empty if it cannot be run.
fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output();
    let text = output.map_or_else(|_| Vec::new(), |output| output.stdout);
    String::from_utf8_lossy(&text).trim_end().to_owned()
}

/// From the texts of proc(5).
fn machine(processors: &str, memory: &str) -> String {
    let value = |line: &str| line.split_once(':').map(|(_, value)| value.trim().to_owned());
    let models: Vec<String> = processors
        .lines()
        .filter(|line| line.starts_with("model name"))
        .filter_map(value)
        .collect();
    let virtual_machine = processors
        .lines()
        .any(|line| line.starts_with("flags") && line.contains(" hypervisor"));
    let kibibytes: Option<u64> = memory
        .lines()
        .find(|line| line.starts_with("MemTotal:"))
        .and_then(|line| line.split_ascii_whitespace().nth(1)?.parse().ok());
    let gibibytes = kibibytes.unwrap_or_default().div_ceil(1024 * 1024);
    format!(
        "{} cores ({}), {gibibytes} GiB of memory{}",
        models.len(),
        models.first().map_or("an unknown processor", String::as_str),
        if virtual_machine {
            ", a virtual machine"
        } else {
            ""
        },
    )
}

/// `Linux 6.18.44-rt` without what a distribution or a provider has put behind the version.
fn release(text: &str) -> String {
    text.split('-').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_described_without_its_name() {
        let processors = "processor\t: 0\nmodel name\t: Fast 9\nflags\t\t: fpu hypervisor aes\n\
                          processor\t: 1\nmodel name\t: Fast 9\n";
        assert_eq!(
            machine(processors, "MemTotal:       24600000 kB\nMemFree: 1 kB\n"),
            "2 cores (Fast 9), 24 GiB of memory, a virtual machine"
        );
        assert_eq!(release("Linux 6.18.44-vendor-7"), "Linux 6.18.44");
    }
}
