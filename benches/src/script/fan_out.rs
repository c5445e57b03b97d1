//! `ssh.config(...).exec` on many hosts, against the same with the library.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::fan_out::{Behind, Hosts, LIBRARY};
use crate::process;
use crate::results::{Quantity, Row, Session, Wanted, Work};
use crate::suite::Bench;
use crate::turns::{Peer, Rounds, in_turns};
use crate::worker::Target;

const SCRIPT: &str = "sternline run";
const THE_LIBRARY: &str = "sternline, library";

/// How many hosts are worked on at once by either: the default of both.
const AT_ONCE: u32 = 64;

/// How long each may take for all rounds.
const BUDGET: Duration = Duration::from_secs(60);

/// Measures both in turn.
///
/// # Errors
/// When there is no server.
pub(crate) fn run(bench: &mut Bench) -> Result<(), Box<dyn Error>> {
    let count = bench.amount(200, 3);
    let rows = if bench.all_of_loopback() {
        measure(bench, count)?
    } else {
        let reason = "only root can make a network in which all of 127.0.0.0/8 is one server's";
        [SCRIPT, THE_LIBRARY]
            .map(|peer| Row::not_run(peer, reason))
            .into()
    };
    bench.done(Work {
        name: "script-200".to_owned(),
        title: format!("`true` on {count} hosts, by a script"),
        timed: format!(
            "A connection to each of {count} addresses of 127.0.0.0/8, and `true` on it, {AT_ONCE} hosts at once; behind all of them \
             is one real sshd. `sternline run` is the whole program, from its start to its end, with a script that calls \
             `ssh.config(...).exec` and looks at each result. `sternline, library` does the same in Rust, and is timed from before the \
             first connection until the last one is closed."
        ),
        quantities: vec![
            Quantity::new("time", "time for all hosts", "s"),
            Quantity::new("cpu", "client CPU for each host", "ms"),
        ],
        rows,
        wanted: vec![Wanted::share(SCRIPT, "time", THE_LIBRARY, 1.1)],
        session: Session::default(),
    })
}

fn measure(bench: &Bench, count: u32) -> Result<Vec<Row>, Box<dyn Error>> {
    let hosts = Hosts::new(count)?;
    let behind = Behind::sshd()?;
    let target = behind.target()?;
    let script = hosts.file("fan_out.star");
    fs::write(&script, text(&hosts, &target)?)?;
    let limit = bench.limit();
    let values = |seconds: f64, cpu_seconds: f64| {
        vec![
            ("time", seconds),
            ("cpu", cpu_seconds * 1000.0 / f64::from(count)),
        ]
    };
    let row = |name: &str| Row {
        settings: format!("{AT_ONCE} at once"),
        ..Row::ours(name)
    };
    let by_script = Peer {
        row: row(SCRIPT),
        turn: Box::new(|| {
            behind.calm_down();
            let sample = process::run_one(in_home(run_script(&script), &hosts), limit)?;
            Ok(values(sample.seconds, sample.cpu_seconds))
        }),
    };
    let by_library = Peer {
        row: row(THE_LIBRARY),
        turn: Box::new(|| {
            behind.calm_down();
            let mut command = Command::new(std::env::current_exe()?);
            command
                .arg(LIBRARY)
                .args(target.arguments())
                .arg(hosts.list())
                .arg(AT_ONCE.to_string());
            let sample = process::run_script(in_home(command, &hosts), limit)?;
            Ok(values(sample.seconds, sample.cpu_seconds))
        }),
    };
    let rounds = Rounds {
        warm_up: !bench.quick(),
        ..bench.rounds(10, BUDGET)
    };
    Ok(in_turns(vec![by_script, by_library], rounds))
}

fn run_script(script: &Path) -> Command {
    let mut command = Command::new(sternline_tests::cli::program());
    command.arg("run").arg(script);
    command
}

/// With an empty home directory, so that nobody's files are read, and without input and output.
fn in_home(mut command: Command, hosts: &Hosts) -> Command {
    command
        .env("HOME", hosts.home())
        .env_remove("SSH_AUTH_SOCK")
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}

fn text(hosts: &Hosts, target: &Target) -> Result<String, Box<dyn Error>> {
    let quoted = |path: &PathBuf| serde_json::to_string(&path.to_string_lossy());
    Ok(format!(
        "client = ssh.config(\n    hosts=[\"{}\"],\n    user=\"{}\",\n    port={},\n    key={},\n    known_hosts_file={},\n    \
         max_parallel={AT_ONCE},\n    max_retries=0,\n)\n\
         results = client.exec(\"true\")\nassert(len(results) == {} and all([r.ok for r in results]))\n",
        hosts.range(),
        target.user,
        target.port,
        quoted(&target.key)?,
        quoted(&target.known_hosts)?,
        hosts.count,
    ))
}
