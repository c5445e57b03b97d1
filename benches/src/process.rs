//! A peer's processes, run to their end: how long they took, the processor's time, and their memory.

use std::error::Error;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use sternline_proto::text::escape;
use sternline_tests::processes;

use crate::cpu;
use crate::peer::Sample;

/// How often a process is looked at. The peak that the kernel tells only grows, so at most what happens in the last of these
/// moments is missed.
const LOOK: Duration = Duration::from_millis(2);

/// How much of what a failed process has said is told.
const SAID: usize = 300;

/// Runs the processes, each with the output of the one before as its input, until all have ended. The memory is that of the
/// first.
///
/// # Errors
/// When one does not start or fails, or not all have ended after `limit`; then whatever they have started is ended, too.
pub(crate) fn run(commands: Vec<Command>, limit: Duration) -> Result<Sample, Box<dyn Error>> {
    Ok(finish(commands, limit, Some(LOOK))?.0)
}

/// Runs one process whose memory is of no interest, as [`run`] does.
///
/// # Errors
/// As for [`run`].
pub(crate) fn run_one(command: Command, limit: Duration) -> Result<Sample, Box<dyn Error>> {
    Ok(finish(vec![command], limit, None)?.0)
}

/// Runs a script that prints its own figures when it has done its work: seconds, seconds of the processor. So the start of an
/// interpreter does not count. The memory is that of the whole process.
///
/// # Errors
/// As for [`run`], or when it prints anything else.
pub(crate) fn run_script(mut command: Command, limit: Duration) -> Result<Sample, Box<dyn Error>> {
    let mut printed = tempfile::tempfile()?;
    command.stdout(printed.try_clone()?);
    let (whole, _) = finish(vec![command], limit, Some(LOOK))?;
    let text = read_back(&mut printed)?;
    let figures: Vec<f64> = text.split_whitespace().flat_map(str::parse).collect();
    match figures.as_slice() {
        [seconds, cpu_seconds] => Ok(Sample {
            seconds: *seconds,
            cpu_seconds: *cpu_seconds,
            ..whole
        }),
        _ => Err(format!("instead of figures it printed {}", escape(&text)).into()),
    }
}

fn finish(
    commands: Vec<Command>,
    limit: Duration,
    look: Option<Duration>,
) -> Result<(Sample, File), Box<dyn Error>> {
    let mut said = tempfile::tempfile()?;
    let cpu_before = cpu::of_children()?;
    let started = Instant::now();
    let mut running: Vec<Child> = Vec::new();
    let last = commands.len().saturating_sub(1);
    for (number, mut command) in commands.into_iter().enumerate() {
        if number < last {
            command.stdout(Stdio::piped());
        }
        if let Some(before) = running.last_mut()
            && let Some(output) = before.stdout.take()
        {
            command.stdin(output);
        }
        let name = command.get_program().to_string_lossy().into_owned();
        let child = command.stderr(said.try_clone()?).spawn();
        running.push(child.map_err(|error| format!("{} does not start: {error}", escape(&name)))?);
    }
    let watched: Vec<u32> = running.iter().map(Child::id).collect();
    let (ended, end) = mpsc::channel::<()>();
    let watcher = std::thread::spawn(move || watch(&watched, &end, started + limit, look));
    let mut failed = None;
    for mut process in running {
        let status = process.wait()?;
        if !status.success() {
            failed = Some(status);
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    drop(ended);
    let watched = watcher.join().map_err(|_| "the watcher has failed")?;
    if watched.timed_out {
        return Err(format!("it had not ended after {} s", limit.as_secs()).into());
    }
    if let Some(status) = failed {
        let said = read_back(&mut said)?;
        let last = said.trim_end().lines().last().unwrap_or_default();
        let last: String = last.chars().take(SAID).collect();
        return Err(format!("it ended with {status}: {}", escape(&last)).into());
    }
    let sample = Sample {
        seconds,
        cpu_seconds: cpu::of_children()?.saturating_sub(cpu_before).as_secs_f64(),
        peak_mebibytes: look.map(|_| watched.peak_kibibytes as f64 / 1024.0),
        failed: 0,
    };
    Ok((sample, said))
}

#[derive(Debug, Default)]
struct Watched {
    peak_kibibytes: u64,
    timed_out: bool,
}

/// Looks at the first process's memory, and ends all of them when their time is over.
fn watch(pids: &[u32], end: &mpsc::Receiver<()>, limit: Instant, look: Option<Duration>) -> Watched {
    let mut watched = Watched::default();
    loop {
        let left = limit.saturating_duration_since(Instant::now());
        if left.is_zero() {
            watched.timed_out = true;
            for pid in pids {
                end_tree(*pid);
            }
            return watched;
        }
        match end.recv_timeout(look.unwrap_or(left).min(left)) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return watched,
        }
        if look.is_some() {
            let peak = pids.first().copied().and_then(peak_kibibytes);
            watched.peak_kibibytes = peak.unwrap_or_default().max(watched.peak_kibibytes);
        }
    }
}

/// Ends a process and all that it has started, itself first, so that nobody is left to start another.
fn end_tree(pid: u32) {
    for pid in processes::tree(pid).into_iter().rev() {
        if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

fn read_back(file: &mut File) -> Result<String, Box<dyn Error>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
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

    const LONG: Duration = Duration::from_secs(600);

    fn command(program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).stdout(Stdio::null());
        command
    }

    #[test]
    fn the_peak_is_found_among_the_other_lines() {
        let status = "Name:\tcp\nVmPeak:\t  900 kB\nVmHWM:\t   12345 kB\nVmRSS:\t 100 kB\n";
        assert_eq!(peak(status), Some(12345));
        assert_eq!(peak("Name:\tkthreadd\n"), None);
    }

    #[test]
    fn output_goes_on_as_input_and_a_failure_is_told() {
        let two = |last: &str| vec![command("echo", &["a"]), command("grep", &["-q", last])];
        assert!(run(two("a"), LONG).unwrap().seconds > 0.0);
        assert!(run(two("b"), LONG).is_err());
        assert!(run(vec![command("false", &[]), command("cat", &[])], LONG).is_err());
    }

    #[test]
    fn a_failed_process_is_quoted() {
        let error = run_one(command("sh", &["-c", "echo why >&2; exit 3"]), LONG).unwrap_err();
        assert_eq!(error.to_string(), "it ended with exit status: 3: why");
    }

    #[test]
    fn a_process_whose_time_is_over_is_ended_with_all_that_it_has_started() {
        let command = command("sh", &["-c", "sleep 600 & wait"]);
        let error = run_one(command, Duration::from_millis(50)).unwrap_err();
        assert!(error.to_string().contains("had not ended"), "{error}");
    }

    #[test]
    fn a_script_says_how_long_its_work_took() {
        let says = |text: &str| run_script(command("echo", &[text]), LONG);
        let sample = says("1.5 0.25").unwrap();
        assert_eq!((sample.seconds, sample.cpu_seconds), (1.5, 0.25));
        assert!(says("done").is_err());
    }
}
