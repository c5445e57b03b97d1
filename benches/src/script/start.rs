//! How long the program takes until a script has run that does nothing.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::results::{Quantity, Row, Session, Wanted, Work};
use crate::suite::Bench;
use crate::turns::{Peer, Rounds, Values, in_turns};

const EMPTY: &str = "sternline run, empty script";
const VERSION: &str = "sternline --version";

/// How long each may take for all rounds.
const BUDGET: Duration = Duration::from_secs(15);

/// Measures both in turn.
///
/// # Errors
/// When the script cannot be written.
pub(crate) fn run(bench: &mut Bench) -> Result<(), Box<dyn Error>> {
    let starts = bench.amount(50, 1);
    let folder = tempfile::tempdir()?;
    let script = folder.path().join("empty.star");
    fs::write(&script, "")?;
    let home = folder.path();
    let empty = Peer {
        row: Row::ours(EMPTY),
        turn: Box::new(|| {
            measure(starts, home, |command| {
                command.arg("run").arg(&script);
            })
        }),
    };
    let version = Peer {
        row: Row::ours(VERSION),
        turn: Box::new(|| {
            measure(starts, home, |command| {
                command.arg("--version");
            })
        }),
    };
    let rounds = Rounds {
        warm_up: !bench.quick(),
        ..bench.rounds(10, BUDGET)
    };
    let rows = in_turns(vec![empty, version], rounds);
    bench.done(Work {
        name: "script-start".to_owned(),
        title: "Start of a script".to_owned(),
        timed: format!(
            "The program from its start to its end, {starts} times one after another: with `run` and an empty script, and with \
             `--version`, which does nothing but start."
        ),
        quantities: vec![Quantity::new("time", "time for each start", "ms")],
        rows,
        wanted: vec![Wanted::share(EMPTY, "time", VERSION, 3.0)],
        session: Session::default(),
    })
}

fn measure(starts: u32, home: &Path, arguments: impl Fn(&mut Command)) -> Result<Values, Box<dyn Error>> {
    let started = Instant::now();
    for _ in 0..starts {
        let mut command = Command::new(sternline_tests::cli::program());
        arguments(&mut command);
        let status = command
            .env("HOME", home)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()?;
        if !status.success() {
            return Err(format!("it ended with {status}").into());
        }
    }
    Ok(vec![(
        "time",
        started.elapsed().as_secs_f64() * 1000.0 / f64::from(starts),
    )])
}
