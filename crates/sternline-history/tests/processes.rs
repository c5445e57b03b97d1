//! The history between processes: several that write at once, one that is killed, and what an umask leaves open.
//!
//! This program runs itself again as the other processes, which the usual test harness could not.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "what helps a test may fail as a test does"
)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sternline_history::{
    End, Filter, History, HistoryError, HostRecord, Limits, NewHost, NewRun, Outcome, Recorder, RunRef, State,
};
use sternline_proto::redact::Redactor;

const PROCESSES: usize = 8;
const RUNS: usize = 50;
const HOSTS: usize = 3;
const MANY: Limits = Limits {
    runs: 1_000_000,
    bytes: u64::MAX,
    output_of_run: 0,
};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .as_slice()
    {
        ["write-runs", folder, name] => write_runs(Path::new(folder), name),
        ["hang", folder] => hang(Path::new(folder)),
        _ => {
            let tests: [(&str, fn()); 3] = [
                (
                    "eight_processes_that_write_at_once_lose_nothing",
                    eight_processes_that_write_at_once_lose_nothing,
                ),
                (
                    "a_run_that_is_killed_is_unfinished_with_what_is_known",
                    a_run_that_is_killed_is_unfinished_with_what_is_known,
                ),
                (
                    "everything_is_private_whatever_the_umask",
                    everything_is_private_whatever_the_umask,
                ),
            ];
            for (name, test) in tests {
                test();
                println!("test {name} ... ok");
            }
        }
    }
}

fn run(command: &str, hosts: usize) -> NewRun {
    NewRun {
        verb: "ssh".to_owned(),
        command: command.to_owned(),
        begun_ms: 1_700_000_000_000,
        hosts: (0..hosts)
            .map(|number| NewHost {
                name: format!("h{number}"),
                target: format!("h{number}:22"),
            })
            .collect(),
        ..NewRun::default()
    }
}

fn ok(index: usize) -> HostRecord {
    HostRecord {
        index,
        outcome: Outcome::Ok,
        exit_code: Some(0),
        signal: None,
        error: None,
        skipped: None,
        duration: Duration::from_millis(1),
        attempts: 1,
        stdout: None,
        stderr: None,
    }
}

fn write_runs(folder: &Path, name: &str) {
    for number in 0..RUNS {
        let recorder = Recorder::start(
            folder.to_owned(),
            MANY,
            run(&format!("{name}-{number}"), HOSTS),
            Redactor::new(),
        );
        for index in 0..HOSTS {
            recorder.host(ok(index));
        }
        recorder.finish(End::Finished, Duration::from_secs(120)).unwrap();
    }
}

/// Records four of ten hosts, and then does nothing until it is killed.
fn hang(folder: &Path) {
    let recorder = Recorder::start(folder.to_owned(), MANY, run("hang", 10), Redactor::new());
    for index in 0..4 {
        recorder.host(ok(index));
    }
    std::io::stdin().read_line(&mut String::new()).unwrap();
    drop(recorder);
}

fn again(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(arguments);
    command
}

fn eight_processes_that_write_at_once_lose_nothing() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("history");
    let writers: Vec<Child> = (0..PROCESSES)
        .map(|number| {
            again(&["write-runs", folder.to_str().unwrap(), &number.to_string()])
                .spawn()
                .unwrap()
        })
        .collect();
    for mut writer in writers {
        assert!(writer.wait().unwrap().success());
    }
    let history = History::find(&folder).unwrap().unwrap();
    let runs = history.list(&Filter::default()).unwrap();
    let mut names: Vec<String> = runs.iter().map(|run| run.command.clone()).collect();
    names.sort();
    names.dedup();
    assert_eq!((runs.len(), names.len()), (PROCESSES * RUNS, PROCESSES * RUNS));
    for run in &runs {
        assert_eq!((run.state, run.ok), (State::Finished, HOSTS as u64), "{run:?}");
        let hosts = history.hosts(run).unwrap();
        assert!(hosts.iter().all(|host| host.outcome == Some(Outcome::Ok)));
    }
}

fn a_run_that_is_killed_is_unfinished_with_what_is_known() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("history");
    let mut process = again(&["hang", folder.to_str().unwrap()])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let give_up = Instant::now() + Duration::from_secs(60);
    let known = |folder: &PathBuf| {
        let history = History::find(folder).ok()??;
        let run = history.run(&RunRef::Last(0)).ok()?;
        Some(run.ok)
    };
    while known(&folder) != Some(4) {
        assert!(Instant::now() < give_up, "nothing was written");
        std::thread::yield_now();
    }
    let history = History::find(&folder).unwrap().unwrap();
    let run = history.run(&RunRef::Last(0)).unwrap();
    assert_eq!(run.state, State::Running);
    assert_eq!(
        history.list(&Filter::default()).unwrap(),
        std::slice::from_ref(&run)
    );
    let refused = history.failed_hosts(&run).unwrap_err();
    assert!(matches!(refused, HistoryError::GoingOn(_)), "{refused}");
    process.kill().unwrap();
    process.wait().unwrap();

    let run = history.run(&RunRef::Last(0)).unwrap();
    assert_eq!((run.state, run.ok, run.unknown()), (State::Unfinished, 4, 6));
    assert_eq!(run.duration(), None);
    let to_do = history.failed_hosts(&run).unwrap();
    let targets: Vec<&str> = to_do.iter().map(|host| host.target.as_str()).collect();
    assert_eq!(targets, ["h4:22", "h5:22", "h6:22", "h7:22", "h8:22", "h9:22"]);
    drop(history);
    write_runs(&folder, "after");
    let history = History::find(&folder).unwrap().unwrap();
    assert_eq!(history.list(&Filter::default()).unwrap().len(), 1 + RUNS);
    let signs = std::fs::read_dir(&folder)
        .unwrap()
        .map(|file| file.unwrap().file_name());
    assert_eq!(
        signs
            .filter(|name| name.to_string_lossy().contains("run-"))
            .count(),
        0
    );
}

#[cfg(unix)]
fn everything_is_private_whatever_the_umask() {
    use std::os::unix::fs::MetadataExt;

    for umask in ["000", "022", "077"] {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("state/history");
        let mut process = Command::new("sh")
            .args(["-c", &format!("umask {umask}; exec \"$@\""), "sh"])
            .arg(std::env::current_exe().unwrap())
            .arg("hang")
            .arg(&folder)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        // While it is open there is a write-ahead log beside it.
        let give_up = Instant::now() + Duration::from_secs(60);
        while std::fs::metadata(folder.join("history.db-wal")).map_or(true, |wal| wal.len() == 0) {
            assert!(Instant::now() < give_up, "nothing was written");
            std::thread::yield_now();
        }
        let mode = |path: &Path| path.symlink_metadata().unwrap().mode() & 0o7777;
        let files: Vec<PathBuf> = std::fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        process.kill().unwrap();
        process.wait().unwrap();
        assert!(files.len() >= 3, "{files:?}");
        assert_eq!(mode(&folder), 0o700, "umask {umask}");
        for file in files {
            assert_eq!(mode(&file), 0o600, "umask {umask}: {}", file.display());
        }
    }
}

#[cfg(not(unix))]
fn everything_is_private_whatever_the_umask() {}
