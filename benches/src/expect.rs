//! Waiting for output against only reading it: the same command, each way in a process of its own.

use std::error::Error;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sternline::exec::StreamData;
use sternline::{AutomationEngine, Connection, ExecRequest, ExpectPattern};
use tokio::runtime::Builder;

use crate::cpu;
use crate::files::peak_kibibytes;
use crate::measure::Server;
use crate::peer::Sample;
use crate::report::{Measured, Report, Rounds};
use crate::worker::{Target, connect};

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

/// Measures all ways in turn, in rounds as everywhere.
///
/// # Errors
/// When a process fails, or the pattern is not found.
pub(crate) fn run(server: &Server, quick: bool) -> Result<Report, Box<dyn Error>> {
    let (rounds, mebibytes) = if quick { (2, 1) } else { (11, 100) };
    let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); WAYS.len()];
    for round in 0..rounds {
        for (way, samples) in WAYS.iter().zip(&mut samples) {
            let sample = ask(server, *way, mebibytes)?;
            if round > 0 {
                samples.push(sample);
            }
        }
    }
    let ways = WAYS.iter().zip(samples);
    let peers =
        ways.map(|(way, samples)| Rounds::new(way.name(), env!("CARGO_PKG_VERSION"), &samples, mebibytes));
    Ok(Report {
        ours: &["reading"],
        rounds: rounds - 1,
        measured: vec![Measured {
            name: "expect",
            unit: "MiB of output",
            count: mebibytes,
            peers: peers.collect(),
        }],
        left_out: Vec::new(),
    })
}

fn ask(server: &Server, way: Way, mebibytes: u32) -> Result<Sample, Box<dyn Error>> {
    let output = Command::new(std::env::current_exe()?)
        .args([READ, way.name(), &mebibytes.to_string()])
        .args(server.arguments())
        .stderr(Stdio::inherit())
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let figures: Vec<f64> = text.split_whitespace().flat_map(str::parse).collect();
    match figures.as_slice() {
        [seconds, cpu_seconds, peak] if output.status.success() => Ok(Sample {
            seconds: *seconds,
            cpu_seconds: *cpu_seconds,
            peak_mebibytes: Some(*peak / 1024.0),
            failed: 0,
        }),
        _ => Err(format!("{}: the process ended with {}", way.name(), output.status).into()),
    }
}

/// Takes the output in one way, and prints the seconds, those of the processor, and the peak of memory in KiB.
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
    let peak = peak_kibibytes(std::process::id()).unwrap_or_default();
    writeln!(
        std::io::stdout(),
        "{} {} {peak}",
        time.as_secs_f64(),
        cpu.as_secs_f64()
    )?;
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
