//! `sternline wait`: come back when a host accepts logins.

use std::io::{IsTerminal, Write as _};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sternline::connection::ReadinessPolicy;
use sternline::{Error, ErrorKind};

use crate::connect::{ConnectOptions, Connector, ask_password, parse_any_duration, parse_host};
use crate::exit;
use crate::ui::report::time;
use crate::ui::{Failure, Signals, Ui};

/// The name and version of the JSON object. It changes when a field changes its meaning or goes.
const SCHEMA: &str = "sternline.wait/1";

const NOTES: &str = "\
It connects as `sternline ssh` would, again and again: until the name resolves, the port is open, an SSH server answers, \
and the login succeeds. A closed port is looked at five times a second, everything else is tried once a second. \
What waiting does not mend ends it at once: a private key that cannot be used, a host key that is not trusted, no \
algorithm in common, and a refused login, unless --auth-grace says that the host may still be setting up its accounts.

Exit status: 0 when the host is ready; 124 when --timeout passed, with the last real reason on standard error; 255 when \
waiting would not help; 130 or 143 for Ctrl-C or SIGTERM; 2 when the command line makes no sense.

JSON, one object: schema (sternline.wait/1), host, ready, attempts, duration_ms, error.";

/// Wait until a host accepts logins
#[derive(Debug, clap::Args)]
#[command(
    after_help = NOTES,
    mut_arg("timeout", |arg| arg.help("How long to wait for all of it, such as 5m [default: 60s]")),
    mut_arg("connect_timeout", |arg| arg.help("How long each attempt may take, such as 5s [default: 30s]")),
)]
pub(crate) struct Args {
    /// The host: [user@]host[:port]
    host: String,

    /// For how long after the first refused login to try further ones, such as 30s
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = parse_any_duration)]
    auth_grace: Duration,

    #[command(flatten)]
    pub(crate) connect: ConnectOptions,
}

pub(crate) async fn run(args: Args, ui: &Ui) -> Result<ExitCode, Failure> {
    let target = parse_host(&args.host, "wait watches", &args.connect.hosts, ui)?;
    let mut settings = Connector::new(&args.connect, true, ui)?.settings(&target)?;
    let default = ReadinessPolicy::default();
    let policy = ReadinessPolicy {
        timeout: args.connect.timeout.unwrap_or(default.timeout),
        auth_grace: args.auth_grace,
    };
    let mut signals =
        Signals::new().map_err(|error| Failure::local(format!("cannot listen to signals: {error}")))?;
    let hosts = std::slice::from_mut(&mut settings);
    ask_password(&args.connect, hosts, false, &mut signals).await?;
    let host = target.to_string();
    let begun = Instant::now();
    let mut progress = Progress::new(ui);
    let builder = settings.builder();
    let waiting = builder.connect_when_ready(policy, |reason| progress.failed(&host, reason));
    // Ctrl-C at a question must not leave the terminal without its echo.
    let outcome = tokio::select! {
        signal = signals.next() => return Err(Failure::interrupted(signal)),
        outcome = waiting => outcome,
    };
    let took = begun.elapsed();
    let (attempts, error) = match outcome {
        Ok(connection) => {
            connection.close().await;
            (progress.failures + 1, None)
        }
        Err(error) => (progress.failures, Some(error)),
    };
    if args.connect.json {
        let line = format!("{}\n", json(&host, attempts, took, error.as_ref()));
        std::io::stdout()
            .write_all(line.as_bytes())
            .map_err(|error| Failure::output(&error))?;
    }
    match error {
        None => {
            let times = if attempts == 1 { "attempt" } else { "attempts" };
            ui.line(&format!(
                "{host} is ready after {} ({attempts} {times})",
                time(took)
            ));
            Ok(ExitCode::SUCCESS)
        }
        // An attempt that is only too late is made again: this is the end of all of them.
        Some(error) if error.kind() == &ErrorKind::ConnectionTimeout => {
            Err(Failure::from(error).with_status(exit::TIMED_OUT))
        }
        Some(error) => Err(error.into()),
    }
}

/// What is heard of the attempts; shown to a person at a terminal.
struct Progress<'a> {
    ui: &'a Ui,
    shown: bool,
    failures: u32,
    last: String,
}

impl<'a> Progress<'a> {
    fn new(ui: &'a Ui) -> Self {
        Self {
            ui,
            shown: std::io::stderr().is_terminal(),
            failures: 0,
            last: String::new(),
        }
    }

    /// Tells a reason when it is another one than before.
    fn failed(&mut self, host: &str, reason: &Error) {
        self.failures += 1;
        let reason = Failure::from(reason).headline();
        if self.shown && reason != self.last {
            self.ui.line(&format!("waiting for {host}: {reason}"));
        }
        self.last = reason;
    }
}

fn json(host: &str, attempts: u32, took: Duration, error: Option<&Error>) -> Value {
    json!({
        "schema": SCHEMA,
        "host": host,
        "ready": error.is_none(),
        "attempts": attempts,
        "duration_ms": (took.as_secs_f64() * 1_000_000.0).round() / 1000.0,
        "error": error.map(|error| error.to_dict()),
    })
}
