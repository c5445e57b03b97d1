//! Running a peer's processes, and watching how much memory they take.

use std::error::Error;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::cpu;
use crate::peer::Sample;

/// How often a process is looked at. The peak that the kernel tells only grows, so at most what happens in the last of these
/// moments is missed.
const LOOK: Duration = Duration::from_millis(2);

/// Runs the processes, each with the output of the one before as its input, until all have ended. The memory is that of the
/// first.
///
/// # Errors
/// When one does not start or fails.
pub(super) fn run(commands: Vec<Command>) -> Result<Sample, Box<dyn Error>> {
    let cpu_before = cpu::of_children()?;
    let started = Instant::now();
    let mut running: Vec<Child> = Vec::new();
    let last = commands.len() - 1;
    for (number, mut command) in commands.into_iter().enumerate() {
        if number < last {
            command.stdout(Stdio::piped());
        }
        if let Some(before) = running.last_mut()
            && let Some(output) = before.stdout.take()
        {
            command.stdin(output);
        }
        running.push(command.spawn()?);
    }
    let (ended, watched) = mpsc::channel::<()>();
    let first = running.first().map(Child::id);
    let watcher = std::thread::spawn(move || {
        let mut peak = 0;
        while let Err(RecvTimeoutError::Timeout) = watched.recv_timeout(LOOK) {
            peak = first.and_then(peak_kibibytes).unwrap_or_default().max(peak);
        }
        peak
    });
    let mut failed = None;
    for mut process in running {
        let status = process.wait()?;
        if !status.success() {
            failed = Some(status);
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    drop(ended);
    let peak = watcher.join().map_err(|_| "the watcher of memory has failed")?;
    if let Some(status) = failed {
        return Err(format!("a process ended with {status}; see its message above").into());
    }
    Ok(Sample {
        seconds,
        cpu_seconds: cpu::of_children()?.saturating_sub(cpu_before).as_secs_f64(),
        peak_mebibytes: Some(peak as f64 / 1024.0),
        failed: 0,
    })
}

/// The most memory that a process has had at once, as proc_pid_status(5) tells it.
pub(crate) fn peak_kibibytes(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    peak(&status)
}

fn peak(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_found_among_the_other_lines() {
        let status = "Name:\tcp\nVmPeak:\t  900 kB\nVmHWM:\t   12345 kB\nVmRSS:\t 100 kB\n";
        assert_eq!(peak(status), Some(12345));
        assert_eq!(peak("Name:\tkthreadd\n"), None);
    }

    #[test]
    fn output_goes_on_as_input_and_a_failure_is_told() {
        let command = |program: &str, arguments: &[&str]| {
            let mut command = Command::new(program);
            command.args(arguments).stdout(Stdio::null());
            command
        };
        let sample = run(vec![command("echo", &["a"]), command("grep", &["-q", "a"])]).unwrap();
        assert!(sample.seconds > 0.0);
        assert!(run(vec![command("echo", &["a"]), command("grep", &["-q", "b"])]).is_err());
        assert!(run(vec![command("false", &[]), command("cat", &[])]).is_err());
    }
}
