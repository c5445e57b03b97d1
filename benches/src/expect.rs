//! Waiting for output against only reading it: the same command, each way in a process of its own.

use std::error::Error;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sternline::exec::StreamData;
use sternline::{AutomationEngine, Connection, ExecRequest, ExpectPattern};
use tokio::runtime::Builder;

use crate::measure::Server;
use crate::results::{Quantity, Row, Session, Wanted, Work};
use crate::suite::Bench;
use crate::turns::{self, Values, in_turns};
use crate::worker::{Target, connect};
use crate::{cpu, process};

/// How long a way may take for all rounds.
const BUDGET: Duration = Duration::from_secs(30);

/// The first argument of a process that reads or waits.
pub(crate) const READ: &str = "read-output";

/// How the output is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Read, and looked at no further.
    Reading,
    /// Until a text as it stands, which comes at the end.
    Literal,
    /// Until a regular expression that begins with a text.
    Regex,
    /// Until a regular expression that may begin anywhere.
    Word,
    /// Until the first of five patterns.
    Five,
    /// Until a text, without the control sequences of the output.
    Filtered,
    /// Each line by itself.
    Lines,
}

const WAYS: [Way; 7] = [
    Way::Reading,
    Way::Literal,
    Way::Regex,
    Way::Word,
    Way::Five,
    Way::Filtered,
    Way::Lines,
];

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Reading => "reading",
            Self::Literal => "literal",
            Self::Regex => "regex, begins with a text",
            Self::Word => "regex, begins with \\w+",
            Self::Five => "five patterns at once",
            Self::Filtered => "control sequences ignored",
            Self::Lines => "a match in each line",
        }
    }
}

/// Measures all ways in turn.
///
/// # Errors
/// When there is no server.
pub(crate) fn run(bench: &mut Bench) -> Result<(), Box<dyn Error>> {
    let server = Server::start(None)?;
    let mebibytes = bench.amount(100, 1);
    let peers = WAYS.map(|way| turns::Peer {
        // All are ours, and what they are compared with is reading.
        row: Row {
            ours: way == Way::Reading,
            ..Row::ours(way.name())
        },
        turn: Box::new({
            let (server, bench) = (&server, &*bench);
            move || ask(server, way, mebibytes, bench)
        }),
    });
    let rows = in_turns(peers.into(), bench.rounds(5, BUDGET));
    let reading = Way::Reading.name();
    let others = WAYS
        .iter()
        .filter(|way| !matches!(way, Way::Reading | Way::Lines));
    bench.done(Work {
        name: "expect".to_owned(),
        title: "Waiting for output".to_owned(),
        timed: format!(
            "{mebibytes} MiB of lines from `yes`, with what is waited for at the end: a text, `ready now: (\\d+)\\n`, `\\w+ ready`, for \
             which every byte has to be looked at, two texts and three regular expressions at once, a text in output that passes \
             the filter of control sequences, or every line feed by itself. Timed from the start of the command, on an open \
             connection, until its exit status. Each way is Sternline's; what is compared is reading the same output without \
             looking at it."
        ),
        quantities: vec![
            Quantity::new("time", "time", "s"),
            Quantity::new("cpu", "client CPU", "s"),
            Quantity::new("memory", "peak memory", "MiB"),
        ],
        rows,
        wanted: others.map(|way| Wanted::share(way.name(), "time", reading, 2.0)).collect(),
        session: Session::default(),
    })
}

fn ask(server: &Server, way: Way, mebibytes: u32, bench: &Bench) -> Result<Values, Box<dyn Error>> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args([READ, way.name(), &mebibytes.to_string()])
        .args(server.arguments())
        .stdin(Stdio::null());
    let sample = process::run_script(command, bench.limit())?;
    Ok(vec![
        ("time", sample.seconds),
        ("cpu", sample.cpu_seconds),
        ("memory", sample.peak_mebibytes.unwrap_or_default()),
    ])
}

/// Takes the output in one way, and prints the seconds and those of the processor.
///
/// # Errors
/// When the arguments are wrong, or anything fails.
pub(crate) fn read(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let [way, mebibytes, target @ ..] = arguments else {
        return Err("a process that reads needs a way and a size".into());
    };
    let way = WAYS.into_iter().find(|known| known.name() == way);
    let way = way.ok_or("there is no such way to read")?;
    let target = Target::parse(target)?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let (time, cpu) = runtime.block_on(take(&target, way, mebibytes.parse()?))?;
    writeln!(std::io::stdout(), "{} {}", time.as_secs_f64(), cpu.as_secs_f64())?;
    Ok(())
}

async fn take(target: &Target, way: Way, mebibytes: u32) -> Result<(Duration, Duration), Box<dyn Error>> {
    let connection = connect(target).await?;
    let command = format!(
        "yes 'The quick brown fox jumps over the lazy dog, 1234567890 times.' | head -c {mebibytes}M; \
         printf '\\neverything is ready now: 42\\n'"
    );
    let (started, cpu) = (Instant::now(), cpu::own());
    match way {
        Way::Reading => read_all(&connection, &command).await?,
        _ => wait_for(&connection, &command, way).await?,
    }
    let took = (started.elapsed(), cpu::own().saturating_sub(cpu));
    connection.close().await;
    Ok(took)
}

async fn read_all(connection: &Connection, command: &str) -> Result<(), Box<dyn Error>> {
    let mut stream = connection.stream_exec(command).await?;
    let mut received = 0;
    while let Some(event) = stream.next().await {
        if let StreamData::Stdout(bytes) = event.data {
            received += bytes.len();
        }
    }
    if received == 0 {
        return Err("no output came".into());
    }
    Ok(())
}

async fn wait_for(connection: &Connection, command: &str, way: Way) -> Result<(), Box<dyn Error>> {
    const LIMIT: Duration = Duration::from_secs(600);
    let mut engine: AutomationEngine = connection.automate(ExecRequest::new(command)).await?;
    let found = match way {
        Way::Reading | Way::Literal => engine.expect("ready now", LIMIT).await?,
        Way::Regex => {
            engine
                .expect(ExpectPattern::regex(r"ready now: (\d+)\n"), LIMIT)
                .await?
        }
        Way::Word => engine.expect(ExpectPattern::regex(r"\w+ ready"), LIMIT).await?,
        Way::Five => {
            let patterns = [
                ExpectPattern::literal("ready now")?,
                ExpectPattern::regex("(?i)password[^:]*: ")?,
                ExpectPattern::regex(r"[Ee]rror \d+")?,
                ExpectPattern::literal("Permission denied")?,
                ExpectPattern::regex(r"\(yes/no\)\?")?,
            ];
            engine.expect_any(&patterns, LIMIT).await?
        }
        Way::Filtered => {
            engine = engine.ignore_control_sequences(true);
            engine.expect("ready now", LIMIT).await?
        }
        Way::Lines => {
            let patterns = [
                ExpectPattern::literal("ready now")?,
                ExpectPattern::literal("\n")?,
            ];
            loop {
                let found = engine.expect_any(&patterns, LIMIT).await?;
                if !found.matched || found.match_text != "\n" {
                    break found;
                }
            }
        }
    };
    if !found.matched {
        return Err("the output ended before the pattern came".into());
    }
    engine.expect_end(LIMIT).await?;
    Ok(())
}
