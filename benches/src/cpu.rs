//! Processor time of this process, and of other processes as `/proc/PID/stat` counts it.

use std::error::Error;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The time that this process has used, all threads together, in user and in kernel mode.
pub(crate) fn own() -> Duration {
    // A clock that counts up from 0 is never negative.
    clock_gettime(ClockId::ProcessCPUTime)
        .try_into()
        .unwrap_or_default()
}

/// The time of all children of this process that have ended.
///
/// The kernel measures precisely but tells in clock ticks, mostly 10 ms: take differences over much work.
pub(crate) fn of_children() -> Result<Duration, Box<dyn Error>> {
    // cutime and cstime.
    in_ticks("self", 13..15)
}

/// The time of a running process, in clock ticks too.
pub(crate) fn of_process(id: u32) -> Result<Duration, Box<dyn Error>> {
    // utime and stime.
    in_ticks(&id.to_string(), 11..13)
}

fn in_ticks(process: &str, fields: Range<usize>) -> Result<Duration, Box<dyn Error>> {
    let path = Path::new("/proc").join(process).join("stat");
    let stat = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let ticks = sum(&stat, fields).ok_or_else(|| format!("{} has an unknown format", path.display()))?;
    Ok(Duration::from_secs(ticks) / u32::try_from(rustix::param::clock_ticks_per_second())?)
}

/// The sum of some fields of proc_pid_stat(5), counted from the third one, the process's state.
fn sum(stat: &str, fields: Range<usize>) -> Option<u64> {
    // The second field is a name in parentheses, which may hold anything.
    let (_, rest) = stat.rsplit_once(") ")?;
    let values: Vec<&str> = rest.split_ascii_whitespace().collect();
    let values: Option<Vec<u64>> = values
        .get(fields)?
        .iter()
        .map(|value| value.parse().ok())
        .collect();
    Some(values?.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_a_name_with_blanks_and_parentheses() {
        let stat = "12 (a) b (c)) S 1 12 12 0 -1 4194560 90 80 0 0 100 20 3 4 20 0 1 0 77 1000";
        assert_eq!(sum(stat, 11..13), Some(120));
        assert_eq!(sum(stat, 13..15), Some(7));
        assert_eq!(sum("12 (a) S 1", 11..13), None);
    }

    #[test]
    fn work_takes_time() {
        let before = own();
        let since = std::time::Instant::now();
        while own() == before {
            assert!(since.elapsed() < Duration::from_secs(60));
        }
        assert!(of_process(std::process::id()).is_ok());
    }
}
