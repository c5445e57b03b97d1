//! Runs that are written, and what is read of them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;
use sternline_proto::redact::Redactor;

use crate::history::{Filter, History, Limits};
use crate::record::{End, HostError, HostRecord, NewHost, NewRun, Outcome, Run, State};
use crate::recorder::Recorder;
use crate::stream::StreamRecord;
use crate::{HistoryError, RunRef};

fn new_run(command: &str, hosts: usize) -> NewRun {
    NewRun {
        verb: "ssh".into(),
        command: command.into(),
        command_line: format!("sternline ssh h {command}"),
        options: json!({ "parallel": 64 }).as_object().unwrap().clone(),
        user: "ann".into(),
        machine: "laptop".into(),
        version: "1.2.3".into(),
        records_output: true,
        begun_ms: 1_700_000_000_000,
        hosts: (0..hosts)
            .map(|number| NewHost {
                name: format!("h{number}"),
                target: format!("ann@h{number}:22"),
            })
            .collect(),
    }
}

fn stream(text: &[u8]) -> Option<StreamRecord> {
    let mut stream = StreamRecord::new(true);
    stream.push(text);
    Some(stream)
}

fn record(index: usize, outcome: Outcome) -> HostRecord {
    HostRecord {
        index,
        outcome,
        exit_code: None,
        signal: None,
        error: None,
        skipped: None,
        duration: Duration::from_millis(1500),
        attempts: 1,
        stdout: None,
        stderr: None,
    }
}

/// Writes a whole run on which every host wrote this.
fn written(history: &mut History, command: &str, output: &[u8]) {
    let mut writing = history.begin(&new_run(command, 1), Redactor::new()).unwrap();
    let mut record = record(0, Outcome::Ok);
    record.stdout = stream(output);
    history.add(&mut writing, &[record]).unwrap();
    history.end(&writing, End::Finished, 1_700_000_001_000).unwrap();
}

fn latest(history: &History) -> Run {
    history.run(&RunRef::Last(0)).unwrap()
}

/// Everything that the files of the history hold.
fn raw(folder: &Path) -> Vec<u8> {
    let files = std::fs::read_dir(folder).unwrap();
    files
        .flat_map(|file| std::fs::read(file.unwrap().path()).unwrap())
        .collect()
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|part| part == text.as_bytes())
}

fn home() -> (tempfile::TempDir, PathBuf) {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("history");
    (home, folder)
}

#[test]
fn what_was_written_of_a_run_is_read_again() {
    let (_home, folder) = home();
    let mut history = History::open(&folder, Limits::default()).unwrap();
    let mut writing = history.begin(&new_run("uptime", 4), Redactor::new()).unwrap();
    let run = latest(&history);
    assert_eq!(
        (run.state, run.unknown(), run.duration()),
        (State::Unfinished, 4, None)
    );
    let failed = HostRecord {
        exit_code: Some(3),
        stdout: stream(b"up 3 days\n"),
        stderr: stream(b"\xff"),
        ..record(0, Outcome::Failed)
    };
    let error = HostError {
        error_type: "ConnectionRefused".into(),
        message: "connection refused".into(),
        phase: Some("tcp".into()),
        sent: "not_sent".into(),
    };
    let refused = HostRecord {
        error: Some(error.clone()),
        attempts: 3,
        ..record(2, Outcome::Failed)
    };
    let skipped = HostRecord {
        skipped: Some("canary".into()),
        ..record(3, Outcome::Skipped)
    };
    history.add(&mut writing, &[failed, refused]).unwrap();
    // A second result for a host changes nothing.
    history
        .add(
            &mut writing,
            &[record(1, Outcome::Ok), skipped, record(2, Outcome::Ok)],
        )
        .unwrap();
    history
        .end(&writing, End::Interrupted, 1_700_000_002_500)
        .unwrap();

    drop(history);
    let history = History::find(&folder).unwrap().unwrap();
    let run = latest(&history);
    assert_eq!((run.verb.as_str(), run.command.as_str()), ("ssh", "uptime"));
    assert_eq!(
        (run.user.as_str(), run.machine.as_str(), run.version.as_str()),
        ("ann", "laptop", "1.2.3")
    );
    assert_eq!(
        (run.hosts, run.ok, run.failed, run.skipped, run.unknown()),
        (4, 1, 2, 1, 0)
    );
    assert_eq!(
        (run.state, run.duration()),
        (State::Interrupted, Some(Duration::from_millis(2500)))
    );
    assert_eq!(run.options["parallel"], 64);
    let hosts = history.hosts(&run).unwrap();
    assert_eq!(hosts[0].exit_code, Some(3));
    assert_eq!(hosts[0].stdout.as_ref().unwrap().bytes, 10);
    assert_eq!(hosts[0].duration, Some(Duration::from_millis(1500)));
    assert_eq!((hosts[2].error.as_ref(), hosts[2].attempts), (Some(&error), 3));
    assert_eq!(hosts[3].skipped.as_deref(), Some("canary"));
    let [stdout, stderr] = history.output(&run, &hosts[0]).unwrap();
    assert_eq!(stdout.unwrap().data, b"up 3 days\n");
    assert_eq!(stderr.unwrap().data, b"\xff");
    let to_do = history.failed_hosts(&run).unwrap();
    let targets: Vec<&str> = to_do.iter().map(|host| host.target.as_str()).collect();
    assert_eq!(targets, ["ann@h0:22", "ann@h2:22", "ann@h3:22"]);
}

#[test]
fn runs_are_found_by_what_is_asked_for() {
    let (_home, folder) = home();
    let mut history = History::open(&folder, Limits::default()).unwrap();
    for (number, hosts) in [(0, 1), (1, 2), (2, 3)] {
        let mut run = new_run(&number.to_string(), hosts);
        run.begun_ms += number * 1000;
        let mut writing = history.begin(&run, Redactor::new()).unwrap();
        if number != 1 {
            let records: Vec<_> = (0..hosts).map(|index| record(index, Outcome::Ok)).collect();
            history.add(&mut writing, &records).unwrap();
        }
    }
    let found = |filter: Filter| -> Vec<String> {
        let runs = history.list(&filter).unwrap();
        runs.into_iter().map(|run| run.command).collect()
    };
    let all = Filter::default();
    assert_eq!(found(all.clone()), ["2", "1", "0"]);
    assert_eq!(
        found(Filter {
            limit: Some(2),
            ..all.clone()
        }),
        ["2", "1"]
    );
    assert_eq!(
        found(Filter {
            failed: true,
            ..all.clone()
        }),
        ["1"]
    );
    assert_eq!(
        found(Filter {
            since_ms: Some(1_700_000_001_000),
            ..all.clone()
        }),
        ["2", "1"]
    );
    for host in ["h1", "ann@h1:22"] {
        let filter = Filter {
            host: Some(host.into()),
            ..all.clone()
        };
        assert_eq!(found(filter), ["2", "1"], "{host}");
    }
    assert!(
        found(Filter {
            host: Some("' OR 1".into()),
            ..all
        })
        .is_empty()
    );
    assert_eq!(history.run(&RunRef::Last(2)).unwrap().command, "0");
    assert!(matches!(history.run(&RunRef::Last(3)), Err(HistoryError::NoSuchRun(name)) if name == "last~3"));
    let first = history.run(&RunRef::Last(2)).unwrap();
    assert_eq!(history.run(&first.id.as_str().parse().unwrap()).unwrap(), first);
    // All of them began in the same minutes.
    let ambiguous = history.run(&first.id.as_str()[..3].parse().unwrap());
    assert!(matches!(ambiguous, Err(HistoryError::Ambiguous { count: 3, .. })));
    assert!(matches!(
        history.run(&"zzzz".parse().unwrap()),
        Err(HistoryError::NoSuchRun(_))
    ));
}

#[test]
fn the_oldest_runs_go_where_there_are_too_many() {
    let (_home, folder) = home();
    let limits = Limits {
        runs: 3,
        ..Limits::default()
    };
    let mut history = History::open(&folder, limits).unwrap();
    for number in 0..10 {
        written(&mut history, &number.to_string(), b"x");
    }
    let runs = history.list(&Filter::default()).unwrap();
    let kept: Vec<&str> = runs.iter().map(|run| run.command.as_str()).collect();
    assert_eq!(kept, ["9", "8", "7"]);
    let count = |table: &str| -> i64 {
        let sql = format!("SELECT count(*) FROM {table}");
        history.connection.query_row(&sql, [], |row| row.get(0)).unwrap()
    };
    assert_eq!(
        (count("host"), count("output")),
        (3, 3),
        "nothing stays of the others"
    );
}

#[test]
fn the_oldest_runs_go_where_they_take_too_much_and_the_file_gets_smaller() {
    let (_home, folder) = home();
    let mut history = History::open(&folder, Limits::default()).unwrap();
    let size = || std::fs::metadata(folder.join("history.db")).unwrap().len();
    for number in 0..6 {
        written(&mut history, &number.to_string(), &vec![b'x'; 500_000]);
    }
    history.give_back().unwrap();
    assert!(size() > 3_000_000, "{}", size());
    history.limits.bytes = 1_200_000;
    written(&mut history, "6", &vec![b'x'; 500_000]);
    let runs = history.list(&Filter::default()).unwrap();
    let kept: Vec<&str> = runs.iter().map(|run| run.command.as_str()).collect();
    assert_eq!(kept, ["6", "5"]);
    assert!(size() < 1_300_000, "{}", size());
    // The latest run stays whatever it takes.
    history.limits.bytes = 1;
    written(&mut history, "7", &vec![b'x'; 500_000]);
    assert_eq!(history.list(&Filter::default()).unwrap().len(), 1);
}

#[test]
fn output_is_kept_up_to_the_limit_of_a_stream_and_that_of_a_run() {
    let (_home, folder) = home();
    let limits = Limits {
        output_of_run: 2_000_000,
        ..Limits::default()
    };
    let mut history = History::open(&folder, limits).unwrap();
    let mut writing = history.begin(&new_run("cat", 3), Redactor::new()).unwrap();
    let long = vec![b'x'; StreamRecord::LIMIT + 1];
    let records: Vec<_> = (0..3)
        .map(|index| HostRecord {
            stdout: stream(&long),
            stderr: stream(b"short"),
            ..record(index, Outcome::Ok)
        })
        .collect();
    history.add(&mut writing, &records).unwrap();
    let run = latest(&history);
    let kept: Vec<_> = history
        .hosts(&run)
        .unwrap()
        .iter()
        .map(|host| {
            assert_eq!(host.stdout.as_ref().unwrap().bytes, long.len() as u64);
            let [stdout, stderr] = history.output(&run, host).unwrap().map(Option::unwrap);
            (stdout.data.len(), stdout.cut, stderr.data.len(), stderr.cut)
        })
        .collect();
    let rest = 2_000_000 - StreamRecord::LIMIT - 5;
    assert_eq!(
        kept,
        [
            (StreamRecord::LIMIT, true, 5, false),
            (rest, true, 0, true),
            (0, true, 0, true)
        ]
    );
}

#[test]
fn a_secret_is_nowhere_in_the_files() {
    let (_home, folder) = home();
    let redactor = Redactor::new();
    redactor.mark("Zq81-marked");
    let mut history = History::open(&folder, Limits::default()).unwrap();
    let mut run = new_run("curl -u ann:hunter2pw https://h; echo Zq81-marked", 3);
    run.options = json!({ "env": "TOKEN=hunter2pw", "note": "Zq81-marked" })
        .as_object()
        .unwrap()
        .clone();
    let mut writing = history.begin(&run, redactor).unwrap();
    // The limit cuts this one through its middle.
    let mut at_the_end = vec![b'.'; StreamRecord::LIMIT - 6];
    at_the_end.extend_from_slice(b"\nZq81-marked and so on");
    let error = HostError {
        error_type: "Local".into(),
        message: "it said Zq81-marked, password=hunter2pw".into(),
        phase: None,
        sent: "ran".into(),
    };
    let records = [
        HostRecord {
            stdout: stream(b"password=hunter2pw\nZq81-marked\n"),
            ..record(0, Outcome::Ok)
        },
        HostRecord {
            stdout: stream(&at_the_end),
            stderr: stream(b"\xffZq81-marked\xff"),
            ..record(1, Outcome::Ok)
        },
        HostRecord {
            error: Some(error),
            ..record(2, Outcome::Failed)
        },
    ];
    history.add(&mut writing, &records).unwrap();
    history.end(&writing, End::Finished, 1).unwrap();
    let bytes = raw(&folder);
    assert!(holds(&bytes, "[REDACTED]") && holds(&bytes, "it said"));
    for secret in ["hunter2pw", "Zq81-marked", "Zq81"] {
        assert!(!holds(&bytes, secret), "{secret}");
    }
}

#[test]
fn what_is_removed_is_gone_from_the_files() {
    let (_home, folder) = home();
    let mut history = History::open(&folder, Limits::default()).unwrap();
    for text in ["first-to-go", "stays", "second-to-go"] {
        written(
            &mut history,
            &format!("echo {text}"),
            &text.repeat(5000).into_bytes(),
        );
    }
    let first = history.run(&RunRef::Last(2)).unwrap();
    history.remove(&first).unwrap();
    assert!(!holds(&raw(&folder), "first-to-go"));
    assert!(holds(&raw(&folder), "stays"));
    assert_eq!(history.clear().unwrap(), 2);
    for text in ["stays", "second-to-go"] {
        assert!(!holds(&raw(&folder), text), "{text}");
    }
    assert!(history.list(&Filter::default()).unwrap().is_empty());
}

#[test]
fn hashes_are_equal_where_outputs_are_and_say_nothing_to_those_without_the_key() {
    let hashes = |folder: &Path| -> Vec<Vec<u8>> {
        let mut history = History::open(folder, Limits::default()).unwrap();
        for output in [&b"yes\n"[..], b"yes\n", b"no\n"] {
            written(&mut history, "ask", output);
        }
        let runs = history.list(&Filter::default()).unwrap();
        let hosts = runs.iter().map(|run| history.hosts(run).unwrap().remove(0));
        hosts.map(|host| host.stdout.unwrap().hash).collect()
    };
    let (_here, here) = home();
    let (_there, there) = home();
    let (here, there) = (hashes(&here), hashes(&there));
    assert_eq!(here[1], here[2]);
    assert_ne!(here[0], here[1]);
    assert_ne!(here[1], there[1]);
    use sha2::{Digest, Sha256};
    assert_ne!(here[1], Sha256::digest(b"yes\n").to_vec());
}

#[test]
fn a_damaged_database_is_moved_aside_and_a_new_one_begins() {
    for damage in ["no database", "", "deep"] {
        let (_home, folder) = home();
        let mut history = History::open(&folder, Limits::default()).unwrap();
        for number in 0..50 {
            written(&mut history, &number.to_string(), &[b'x'; 9000]);
        }
        history.give_back().unwrap();
        drop(history);
        let file = folder.join("history.db");
        let mut content = std::fs::read(&file).unwrap();
        match damage {
            // The first page tells of the format and stays; the tables are gone.
            "deep" => content[8192..].fill(0x5a),
            _ => content = damage.as_bytes().repeat(500),
        }
        std::fs::write(&file, content).unwrap();
        let recorder = Recorder::start(
            folder.clone(),
            Limits::default(),
            new_run("after", 1),
            Redactor::new(),
        );
        recorder.host(record(0, Outcome::Ok));
        let recorded = recorder.finish(End::Finished, Duration::from_secs(60)).unwrap();
        let aside: Vec<String> = std::fs::read_dir(&folder)
            .unwrap()
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.contains("damaged"))
            .collect();
        // An empty file is one that somebody was about to make.
        assert_eq!(
            aside.len(),
            usize::from(!damage.is_empty()),
            "{damage}: {aside:?}"
        );
        assert_eq!(recorded.set_aside.is_some(), !damage.is_empty(), "{damage}");
        let history = History::find(&folder).unwrap().unwrap();
        assert_eq!(
            (latest(&history).command.as_str(), latest(&history).ok),
            ("after", 1)
        );
    }
}

#[test]
fn a_database_of_a_newer_version_is_left_alone() {
    let (_home, folder) = home();
    let history = History::open(&folder, Limits::default()).unwrap();
    history
        .connection
        .pragma_update(None, "user_version", 99)
        .unwrap();
    drop(history);
    let before = std::fs::read(folder.join("history.db")).unwrap();
    for error in [
        History::open(&folder, Limits::default()).map(drop).unwrap_err(),
        History::find(&folder).map(drop).unwrap_err(),
    ] {
        assert!(
            matches!(
                error,
                HistoryError::Newer {
                    found: 99,
                    known: 1,
                    ..
                }
            ),
            "{error}"
        );
        assert!(error.hint().contains("newer version"));
    }
    assert_eq!(std::fs::read(folder.join("history.db")).unwrap(), before);
}

#[test]
fn a_run_that_another_process_removes_goes_on_without_a_trace() {
    let (_home, folder) = home();
    let mut history = History::open(&folder, Limits::default()).unwrap();
    let mut writing = history.begin(&new_run("long", 2), Redactor::new()).unwrap();
    let mut other = History::find(&folder).unwrap().unwrap();
    other.clear().unwrap();
    let with_output = HostRecord {
        stdout: stream(b"x"),
        ..record(0, Outcome::Ok)
    };
    history.add(&mut writing, &[with_output]).unwrap();
    history.end(&writing, End::Finished, 1).unwrap();
    assert!(!holds(&raw(&folder), "long"));
    let left: i64 = history
        .connection
        .query_row(
            "SELECT (SELECT count(*) FROM host) + (SELECT count(*) FROM output)",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(left, 0);
}

#[test]
fn ten_thousand_hosts_are_recorded_by_a_thread_that_nobody_waits_for() {
    let (_home, folder) = home();
    let recorder = Recorder::start(
        folder.clone(),
        Limits::default(),
        new_run("true", 10_000),
        Redactor::new(),
    );
    for index in 0..10_000 {
        let outcome = if index % 10 == 0 {
            Outcome::Failed
        } else {
            Outcome::Ok
        };
        recorder.host(HostRecord {
            stdout: stream(b"some words\n"),
            stderr: stream(b""),
            ..record(index, outcome)
        });
    }
    recorder.finish(End::Finished, Duration::from_secs(120)).unwrap();
    let history = History::find(&folder).unwrap().unwrap();
    let run = latest(&history);
    assert_eq!((run.ok, run.failed, run.unknown()), (9000, 1000, 0));
    assert_eq!(history.failed_hosts(&run).unwrap().len(), 1000);
}

#[test]
fn nothing_is_recorded_where_the_place_cannot_be_used_and_that_is_said_at_the_end() {
    let (home, _) = home();
    let file = home.path().join("file");
    std::fs::write(&file, "").unwrap();
    let recorder = Recorder::start(
        file.join("history"),
        Limits::default(),
        new_run("true", 1),
        Redactor::new(),
    );
    for _ in 0..10 {
        recorder.host(record(0, Outcome::Ok));
    }
    let error = recorder
        .finish(End::Finished, Duration::from_secs(60))
        .unwrap_err();
    assert!(matches!(error, HistoryError::Place { .. }), "{error}");
    assert!(error.hint().contains("STERNLINE_HISTORY"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn a_beginning_names_a_run_exactly_where_no_other_has_it(times in prop::collection::vec(0..1_u64 << 45, 1..8), length in 1..=14_usize) {
        let (_home, folder) = home();
        let mut history = History::open(&folder, Limits::default()).unwrap();
        for time in &times {
            history.begin(&NewRun { begun_ms: *time, ..new_run("x", 0) }, Redactor::new()).unwrap();
        }
        let runs = history.list(&Filter::default()).unwrap();
        for run in &runs {
            let prefix = &run.id.as_str()[..length];
            let same = runs.iter().filter(|run| run.id.as_str().starts_with(prefix)).count();
            match history.run(&prefix.parse().unwrap()) {
                Ok(found) => prop_assert!(same == 1 && found == *run),
                Err(HistoryError::Ambiguous { count, .. }) => prop_assert!(same > 1 && count == same),
                Err(error) => prop_assert!(false, "{}", error),
            }
        }
    }
}
