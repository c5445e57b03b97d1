//! What a process knows of itself.

use std::error::Error;

/// Memory that this process holds at the moment, in KiB (proc_pid_status(5), VmRSS).
pub(super) fn resident_kib() -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_ascii_whitespace().next());
    Ok(number.ok_or("/proc/self/status has an unknown format")?.parse()?)
}
