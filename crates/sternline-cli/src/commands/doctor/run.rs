//! From options to a report.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use super::finding::examine;
use super::show::show;
use crate::connect::{ConnectOptions, Connector, ask_password, parse_host};
use crate::exit;
use crate::ui::report::Report;
use crate::ui::{Failure, Signals, Ui};

const NOTES: &str = "\
It connects as `sternline ssh` would, asks the server for the login methods that it offers, and runs the command `true`. \
Standard output has one line for each phase: whether it went well, how long it took, and what was found.

Exit status: 0 when all is well; 255 when a phase failed, with the reason and what to try on standard error.";

/// How long `true` may take, unless `--timeout` says otherwise.
const PATIENCE: Duration = Duration::from_secs(10);

/// Show each phase of a connection, and how to mend what fails.
#[derive(Debug, clap::Args)]
#[command(after_help = NOTES)]
pub(crate) struct Args {
    /// The host: [user@]host[:port]
    host: String,

    #[command(flatten)]
    pub(crate) connect: ConnectOptions,
}

pub(crate) async fn run(args: Args, ui: &Ui) -> Result<ExitCode, Failure> {
    let target = parse_host(&args.host, "doctor examines", &args.connect.hosts, ui)?;
    let mut settings = Connector::new(&args.connect, true, ui)?.settings(&target)?;
    let patience = args.connect.timeout.unwrap_or(PATIENCE);
    let mut signals =
        Signals::new().map_err(|error| Failure::local(format!("cannot listen to signals: {error}")))?;
    let hosts = std::slice::from_mut(&mut settings);
    ask_password(&args.connect, hosts, false, &mut signals).await?;
    // Ctrl-C at a question must not leave the terminal without its echo.
    let finding = tokio::select! {
        signal = signals.next() => return Err(Failure::interrupted(signal)),
        finding = examine(settings.builder(), patience) => finding,
    };

    if args.connect.json {
        let line = format!(
            "{}\n",
            finding.to_json(&settings.target().to_string(), &settings.origins)
        );
        std::io::stdout()
            .write_all(line.as_bytes())
            .map_err(|error| Failure::output(&error))?;
    } else {
        let report = Report::new();
        report.heading(&settings.target().to_string())?;
        if !settings.origins.is_empty() {
            report.row(&[("", 4), ("config", 8), ("", 9)], &settings.origins)?;
        }
        show(&report, &finding)?;
    }
    match &finding.error {
        None => Ok(ExitCode::SUCCESS),
        Some(error) => Err(Failure::from(error).with_status(exit::CONNECTION)),
    }
}
