//! Each client in turn, against a server of its own.

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use sternline_tests::sshd::keygen;

use super::client::CLIENT;
use super::server::SERVER;
use crate::results::{Quantity, Row, Session, Wanted, Work};
use crate::suite::{Bench, missing};
use crate::turns::{self, Values, in_turns};

pub(super) const USER: &str = "bench";

/// How many hosts are being connected to at once.
const AT_ONCE: u32 = 100;

/// How long a client may take for all rounds.
const BUDGET: Duration = Duration::from_secs(120);

const OURS: &str = "sternline";
const THEIRS: &str = "asyncssh";

/// The address of a host.
pub(super) fn host(index: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 1, 0, 1)) + index)
}

/// Measures both clients.
///
/// # Errors
/// When no key can be made.
pub(crate) fn run(bench: &mut Bench) -> Result<(), Box<dyn Error>> {
    let hosts = bench.amount(10_000, 10);
    let rows = if bench.all_of_loopback() {
        let folder = tempfile::tempdir()?;
        keygen(&folder.path().join("user"), "ed25519");
        measure(bench, folder.path(), hosts)
    } else {
        let reason = "only root can make a network in which all of 127.0.0.0/8 is one server's";
        [OURS, THEIRS].map(|peer| Row::not_run(peer, reason)).into()
    };
    bench.done(Work {
        name: "idle".to_owned(),
        title: format!("{hosts} connections kept open"),
        timed: format!(
            "A connection to each of {hosts} addresses of 127.0.0.0/8 and `true` on it, {AT_ONCE} hosts at once, behind an embedded \
             server in a process of its own. All connections stay open. Timed until the last `true` has succeeded. Memory is what \
             the process holds then more than before (VmRSS), the server's likewise. Both clients read key and known_hosts once."
        ),
        quantities: vec![
            Quantity::new("memory", "memory for each connection", "KiB"),
            Quantity::new("cpu", "client CPU for each host", "ms"),
            Quantity::new("time", "time for all", "s"),
            Quantity::new("server", "memory of the server for each connection", "KiB"),
        ],
        rows,
        wanted: vec![
            Wanted::value(OURS, "memory", 80.0),
            Wanted::share(OURS, "cpu", THEIRS, 0.3),
        ],
        session: Session::default(),
    })
}

fn measure(bench: &Bench, folder: &Path, hosts: u32) -> Vec<Row> {
    let settings = format!("{AT_ONCE} at once");
    let ours = Row {
        settings: settings.clone(),
        ..Row::ours(OURS)
    };
    let theirs = match bench.python_version(THEIRS) {
        Some(version) => Row {
            settings,
            ..Row::new(THEIRS, &version)
        },
        None => missing(THEIRS, THEIRS),
    };
    let one = turns::Peer {
        row: ours,
        turn: Box::new(|| {
            let mut command = Command::new(std::env::current_exe()?);
            command.arg(CLIENT);
            turn(command, folder, hosts)
        }),
    };
    let other = turns::Peer {
        row: theirs,
        turn: Box::new(|| turn(bench.python_script("asyncssh_idle.py"), folder, hosts)),
    };
    in_turns(vec![one, other], bench.rounds(3, BUDGET))
}

fn turn(mut client: Command, folder: &Path, hosts: u32) -> Result<Values, Box<dyn Error>> {
    let mut command = Command::new(std::env::current_exe()?);
    let mut server = Process::start(command.arg(SERVER).arg(folder.join("user.pub")))?;
    let listening = server.line()?;
    let (port, host_key) = listening
        .split_once(' ')
        .ok_or("the server does not start; its message stands above")?;
    let known_hosts = folder.join("known_hosts");
    std::fs::write(&known_hosts, format!("[127.*]:{port} {host_key}\n"))?;
    client
        .args([USER, port])
        .arg(folder.join("user"))
        .arg(known_hosts);
    let mut client = Process::start(client.args([hosts.to_string(), AT_ONCE.to_string()]))?;
    let client_says: Value = serde_json::from_str(&client.line()?)?;
    let server_says: Value = serde_json::from_str(&server.ask()?)?;
    let number = |from: &Value, name: &str| {
        let value = from.get(name).and_then(Value::as_f64);
        value.ok_or(format!("a process does not say its {name}"))
    };
    let succeeded = number(&client_says, "succeeded")?;
    let each = f64::from(hosts);
    if succeeded < each {
        return Err(format!("only {succeeded} of {hosts} hosts have succeeded").into());
    }
    let memory = |of: &Value| -> Result<f64, String> {
        Ok((number(of, "resident_kib")? - number(of, "before_kib")?) / each)
    };
    Ok(vec![
        ("memory", memory(&client_says)?),
        ("cpu", number(&client_says, "cpu_seconds")? * 1000.0 / each),
        ("time", number(&client_says, "seconds")?),
        ("server", memory(&server_says)?),
    ])
}

/// A process that answers in lines. Dropping it ends it.
struct Process {
    process: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Process {
    fn start(command: &mut Command) -> Result<Self, Box<dyn Error>> {
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (Some(input), Some(output)) = (process.stdin.take(), process.stdout.take()) else {
            return Err("a process has no standard streams".into());
        };
        Ok(Self {
            process,
            input: Some(input),
            output: BufReader::new(output),
        })
    }

    fn ask(&mut self) -> Result<String, Box<dyn Error>> {
        if let Some(input) = &mut self.input {
            writeln!(input)?;
        }
        self.line()
    }

    fn line(&mut self) -> Result<String, Box<dyn Error>> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            return Err("a process has ended; its message stands above".into());
        }
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The end of its input ends it.
        self.input = None;
        let _ = self.process.wait();
    }
}
