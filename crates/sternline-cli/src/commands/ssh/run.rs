//! From options to a run.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use sternline::connection::Pty;
use sternline::exec::Stdin;
use sternline::proto::command::Sudo;
use sternline::proto::redact::{Redactor, redact_string};
use sternline::proto::sudo::SudoMarkers;
use sternline::proto::target::Target;
use sternline::proto::text::{escape, escape_bytes};
use sternline::{Command, ExecRequest, SharedSecret};

use super::args::{Args, RunOptions};
use super::{one, several};
use crate::connect::{Connector, HostSettings, ask_password, labels, parse_hosts};
use crate::history::{About, Recording, seconds};
use crate::ui::{Failure, Signals, Ui, terminal};

/// A command with its terminal and time limit.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) command: Command,
    pub(super) pty: Option<Pty>,
    pub(super) timeout: Option<Duration>,
    /// What to answer sudo.
    pub(super) password: Option<SharedSecret>,
}

impl Job {
    pub(super) fn request(&self, stdin: Stdin) -> ExecRequest {
        let mut request = ExecRequest::new(self.command.clone()).stdin(stdin);
        if let Some(pty) = &self.pty {
            request = request.pty(pty.clone());
        }
        if let Some(timeout) = self.timeout {
            request = request.timeout(timeout);
        }
        if let Some(password) = &self.password {
            request = request.sudo_password(password.clone());
        }
        request
    }
}

/// Where a command's input comes from.
#[derive(Debug, Clone)]
pub(super) enum Input {
    Empty,
    /// Our own standard input.
    Local,
    Bytes(Bytes),
}

impl Input {
    pub(super) fn open(&self) -> Stdin {
        match self {
            Self::Empty => Stdin::Empty,
            Self::Local => Stdin::reader(tokio::io::stdin()),
            Self::Bytes(bytes) => Stdin::Bytes(bytes.clone()),
        }
    }
}

pub(crate) async fn run(args: Args, ui: &Ui) -> Result<ExitCode, Failure> {
    let targets = parse_hosts(&args.hosts, &args.connect.hosts, ui)?;
    let single = targets.len() == 1;
    let command = compose(&args)?;
    if command.is_none() && !single {
        return Err(
            Failure::usage("several hosts need a COMMAND: a shell is opened on one host only")
                .with_hint("add the command to run on all of them, or name a single host"),
        );
    }
    if command.is_none() && args.connect.json {
        return Err(Failure::usage("--json needs a COMMAND, a shell has no result")
            .with_hint("add the command to run, or leave --json out"));
    }
    if args.run.record_output {
        refuse_unrecorded(&args, single)?;
        args.connect.recorded.record_output();
    }
    let mut connector = Connector::new(&args.connect, single, ui)?;
    let mut hosts = targets
        .iter()
        .map(|target| connector.settings(target))
        .collect::<Result<Vec<_>, _>>()?;
    let mut signals =
        Signals::new().map_err(|error| Failure::local(format!("cannot listen to signals: {error}")))?;
    let sudo = command.as_ref().is_some_and(Command::answers_sudo);
    let password = ask_password(&args.connect, &mut hosts, sudo, &mut signals).await?;

    let pty = wants_pty(&args.run, command.is_none(), ui).then(local_pty);
    let job = command.map(|command| Job {
        command,
        pty: pty.clone(),
        timeout: args.connect.timeout,
        password: password.filter(|_| sudo),
    });
    match (job, hosts.as_slice()) {
        (Some(job), hosts) if args.connect.json || !single => {
            let input = match &args.run.stdin {
                Some(path) => Input::Bytes(read(path)?),
                None if single && !args.run.no_stdin => Input::Local,
                None => Input::Empty,
            };
            let mut recording = match single {
                true => Recording::default(),
                false => Recording::begin(about(&args, &targets, hosts, &job)),
            };
            let run = several::Run {
                targets: &targets,
                hosts,
                job,
                input,
                json: args.connect.json,
                recording: &mut recording,
            };
            let outcome = run.run(signals, ui).await;
            recording.finish(outcome.is_ok(), ui);
            outcome
        }
        (job, [settings]) => {
            let input = match &args.run.stdin {
                Some(path) => one::Input::File(open(path)?),
                None if args.run.no_stdin => one::Input::Empty,
                None => one::Input::Local,
            };
            one::One {
                settings,
                job,
                pty,
                input,
            }
            .run(signals, ui)
            .await
        }
        (_, _) => Err(Failure::usage("no host was named").with_hint("name at least one host")),
    }
}

/// Refuses `--record-output` where there is nothing to record into.
fn refuse_unrecorded(args: &Args, single: bool) -> Result<(), Failure> {
    if args.connect.evidence.is_some() || (!single && Recording::is_on()) {
        return Ok(());
    }
    let (what, hint) = match single {
        true => (
            "the history has no runs on a single host",
            "add --evidence FILE to record it there",
        ),
        false => (
            "STERNLINE_HISTORY=off",
            "add --evidence FILE to record it there, or unset STERNLINE_HISTORY",
        ),
    };
    Err(Failure::usage(format!("there is nothing to record the output in: {what}")).with_hint(hint))
}

/// What the history is told of a run.
fn about(args: &Args, targets: &[Target], hosts: &[HostSettings], job: &Job) -> About {
    let redactor = Redactor::new();
    job.command.secrets().for_each(|secret| redactor.mark(secret));
    // Of all hosts and of sudo it is the same one.
    if let Some(password) = hosts.iter().find_map(HostSettings::password) {
        redactor.mark(password.secret().expose());
    }
    let names = labels(targets).into_iter();
    About {
        verb: "ssh",
        command: job.command.describe(),
        options: job.timeout.map(seconds).into_iter().collect(),
        hosts: names.zip(targets.iter().map(Target::to_string)).collect(),
        output: args.run.record_output,
        redactor,
    }
}

/// Whether to ask for a terminal: for a shell unless it cannot be used or is not wanted, for a command if it is.
fn wants_pty(options: &RunOptions, is_shell: bool, ui: &Ui) -> bool {
    let local = std::io::stdin().is_terminal();
    if options.terminal == 1 && !local {
        ui.warning("no terminal is requested, because standard input is none; -tt asks for one all the same");
    }
    match options.terminal {
        _ if options.no_terminal => false,
        0 => is_shell && local && !options.no_stdin,
        1 => local,
        _ => true,
    }
}

/// A terminal like our own.
fn local_pty() -> Pty {
    let default = Pty::default();
    let (columns, rows) = terminal::size(std::io::stdin())
        .or_else(|| terminal::size(std::io::stdout()))
        .unwrap_or((default.columns, default.rows));
    Pty {
        term: std::env::var("TERM").unwrap_or(default.term),
        columns,
        rows,
    }
}

/// Whether a variable of this name holds a secret, which is then taken out wherever it is told.
fn announces_secret(name: &str) -> bool {
    matches!(redact_string(&format!("{name}=value")), Cow::Owned(_))
}

/// The command as it was composed; `None` for a shell.
fn compose(args: &Args) -> Result<Option<Command>, Failure> {
    let Some(first) = args.command.first() else {
        return Ok(None);
    };
    if first.as_encoded_bytes().starts_with(b"-") {
        let shown = escape_bytes(first.as_encoded_bytes());
        return Err(Failure::usage(format!(
            "`{shown}` is not an option of sternline ssh, and no command begins with a dash"
        ))
        .with_hint("options stand before the command; see `sternline ssh --help`"));
    }
    let words: Vec<&[u8]> = args.command.iter().map(|word| word.as_encoded_bytes()).collect();
    let mut command = Command::shell(words.join(&b' '));
    if let Some(directory) = &args.run.cwd {
        command = command.cwd(directory.as_encoded_bytes());
    }
    for variable in &args.run.env {
        let (name, value) = split_variable(variable)?;
        command = match announces_secret(name) {
            true => command.secret_env(name, value),
            false => command.env(name, value),
        };
    }
    if args.run.sudo || args.run.as_user.is_some() {
        command = command.sudo(match args.connect.ask_password {
            true => Sudo::Password,
            false => Sudo::NonInteractive,
        });
    }
    if let Some(user) = &args.run.as_user {
        command = command.as_user(user);
    }
    // Composed once before anything is connected, so that a mistake is told at once and only once.
    command
        .to_line_with(&SudoMarkers::new([0; 32]))
        .map_err(|error| {
            Failure::usage(error.to_string()).with_hint("correct the command or the options that compose it")
        })?;
    Ok(Some(command))
}

fn split_variable(variable: &OsString) -> Result<(&str, &[u8]), Failure> {
    let bytes = variable.as_encoded_bytes();
    let split = bytes.iter().position(|byte| *byte == b'=');
    split
        .and_then(|at| Some((bytes.get(..at)?, bytes.get(at + 1..)?)))
        .and_then(|(name, value)| Some((std::str::from_utf8(name).ok()?, value)))
        .ok_or_else(|| {
            Failure::usage(format!("`{}` does not set a variable", shown(variable)))
                .with_hint("write --env NAME=VALUE")
        })
}

fn open(path: &Path) -> Result<File, Failure> {
    File::open(path).map_err(|error| unreadable(path, &error))
}

fn read(path: &Path) -> Result<Bytes, Failure> {
    std::fs::read(path)
        .map(Bytes::from)
        .map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::usage(format!(
        "cannot read {}: {error}",
        escape(&path.to_string_lossy())
    ))
    .with_hint("name a file that exists and that you may read with --stdin")
}

fn shown(text: &OsStr) -> String {
    escape_bytes(text.as_encoded_bytes())
}
