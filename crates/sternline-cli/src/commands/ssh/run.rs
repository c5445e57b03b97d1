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
use sternline::exec::{Script, Stdin};
use sternline::proto::command::Sudo;
use sternline::proto::redact::{Redactor, redact_string};
use sternline::proto::sudo::SudoMarkers;
use sternline::proto::target::Target;
use sternline::proto::text::{escape, escape_bytes};
use sternline::{Command, ExecRequest, SharedSecret};

use super::args::{Args, RunOptions};
use super::present::{Directory, Groups, Json, Lines, Presenter};
use super::{one, several};
use crate::connect::{Connector, HostSettings, ask_password, labels, parse_hosts};
use crate::fleet::{confirm, only_failed};
use crate::history::{About, Recording, TypedPasswords, seconds};
use crate::limits;
use crate::ui::{Failure, Signals, Ui, terminal};

/// A command with its terminal and time limit.
#[derive(Debug, Clone)]
pub(super) struct Job {
    /// What is run, or what it would be if the script were a program there.
    pub(super) command: Command,
    pub(super) script: Option<Script>,
    pub(super) pty: Option<Pty>,
    pub(super) timeout: Option<Duration>,
    /// What to answer sudo.
    pub(super) password: Option<SharedSecret>,
}

impl Job {
    pub(super) fn request(&self, stdin: Stdin) -> ExecRequest {
        let mut request = match &self.script {
            // Its text is what the host reads.
            Some(script) => script.request(),
            None => ExecRequest::new(self.command.clone()).stdin(stdin),
        };
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

pub(crate) async fn run(mut args: Args, ui: &Ui) -> Result<ExitCode, Failure> {
    let mut targets = parse_hosts(&args.hosts, &args.connect.hosts, ui)?;
    // One host that is left over of several is shown as they were.
    let single = targets.len() == 1 && args.fleet.retry_failed.is_none();
    if let Some(run) = &args.fleet.retry_failed {
        targets = only_failed(targets, run)?;
    }
    let task = compose(&args)?;
    if task.is_none() && !single {
        return Err(
            Failure::usage("several hosts need a COMMAND: a shell is opened on one host only")
                .with_hint("add the command to run on all of them, or name a single host"),
        );
    }
    if task.is_none() && args.connect.json {
        return Err(Failure::usage("--json needs a COMMAND, a shell has no result")
            .with_hint("add the command to run, or leave --json out"));
    }
    // One host that was chosen from an inventory is a fleet's as well.
    let recorded = !single || args.connect.hosts.knows_any(&targets);
    if args.run.record_output {
        refuse_unrecorded(&args, recorded)?;
        args.connect.recorded.record_output();
    }
    let mut connector = Connector::new(&args.connect, single, ui)?;
    let mut hosts = targets
        .iter()
        .map(|target| connector.settings(target))
        .collect::<Result<Vec<_>, _>>()?;
    let mut signals =
        Signals::new().map_err(|error| Failure::local(format!("cannot listen to signals: {error}")))?;
    let sudo = task.as_ref().is_some_and(|(command, _)| command.answers_sudo());
    let labels = labels(&targets);
    if let Some((command, _)) = &task {
        let does = format!("Run `{}`", escape(&command.describe()));
        confirm(&does, &labels, args.fleet.yes, &mut signals, ui).await?;
    }
    let password = ask_password(&args.connect, &mut hosts, sudo, &mut signals).await?;

    let pty = wants_pty(&args.run, task.is_none(), ui).then(local_pty);
    let job = task.map(|(command, script)| Job {
        command,
        script,
        pty: pty.clone(),
        timeout: args.connect.timeout,
        password: password.filter(|_| sudo),
    });
    let presenter = presenter(&args, &targets, &labels)?;
    let record = |args: &Args, job: &Job| match recorded {
        true => Recording::begin(about(args, &targets, &hosts, job)),
        false => Recording::default(),
    };
    let mut recording = Recording::default();
    let outcome = match (job, hosts.as_slice()) {
        (Some(job), hosts) if presenter.is_some() || !single => {
            let input = match &args.run.stdin {
                Some(path) => Input::Bytes(read(path, "--stdin")?),
                None if single && !args.run.no_stdin => Input::Local,
                None => Input::Empty,
            };
            args.fleet.fit(targets.len(), limits::COMMAND, ui);
            recording = record(&args, &job);
            let run = several::Run {
                targets: &targets,
                presenter: presenter.unwrap_or_else(|| Presenter::Lines(Lines::new(&labels))),
                labels,
                hosts,
                job,
                input,
                options: &args.fleet,
                deadline: args.show.deadline,
                single,
                recording: &mut recording,
            };
            run.run(signals, ui).await
        }
        (job, [settings]) => {
            let input = match &args.run.stdin {
                Some(path) => one::Input::File(open(path)?),
                None if args.run.no_stdin || args.run.script.is_some() => one::Input::Empty,
                None => one::Input::Local,
            };
            recording = job.as_ref().map(|job| record(&args, job)).unwrap_or_default();
            let one = one::One {
                settings,
                job,
                pty,
                input,
                recording: &mut recording,
            };
            one.run(signals, ui).await
        }
        (_, _) => Err(Failure::usage("no host was named").with_hint("name at least one host")),
    };
    // Of a single host the failure is a result like any other.
    let whole = match &outcome {
        Ok(_) => true,
        Err(failure) => single && failure.signal().is_none(),
    };
    recording.finish(whole, ui);
    outcome
}

/// The way to show the run that was asked for; `None` where output is passed on as it comes.
fn presenter(args: &Args, targets: &[Target], labels: &[String]) -> Result<Option<Presenter>, Failure> {
    Ok(match &args.show.output_dir {
        Some(path) => Some(Presenter::Directory(Directory::create(path, targets)?)),
        None if args.connect.json => Some(Presenter::Json(Json::new(labels))),
        None if args.show.group_output => Some(Presenter::Groups(Groups::new(labels))),
        None => None,
    })
}

/// Refuses `--record-output` where there is nothing to record into. `recorded` says that the history has such runs.
fn refuse_unrecorded(args: &Args, recorded: bool) -> Result<(), Failure> {
    if args.connect.evidence.is_some() || (recorded && Recording::is_on()) {
        return Ok(());
    }
    let (what, hint) = match recorded {
        false => (
            "the history has no runs on a single host that no inventory (-I) names",
            "add --evidence FILE to record it there",
        ),
        true => (
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
        typed: TypedPasswords::of(targets),
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

/// The command as it was composed, with the script if it is one; `None` for a shell.
fn compose(args: &Args) -> Result<Option<(Command, Option<Script>)>, Failure> {
    let words = args.command.iter().map(|word| word.as_encoded_bytes());
    let (mut command, mut script) = match (&args.run.script, args.command.first()) {
        (Some(path), _) => {
            let program = Command::program(path.as_os_str().as_encoded_bytes());
            (program.args(words.clone()), Some(load_script(path)?.args(words)))
        }
        (None, None) => return Ok(None),
        (None, Some(first)) if first.as_encoded_bytes().starts_with(b"-") => {
            let shown = escape_bytes(first.as_encoded_bytes());
            return Err(Failure::usage(format!(
                "`{shown}` is not an option of sternline ssh, and no command begins with a dash"
            ))
            .with_hint("options stand before the command; see `sternline ssh --help`"));
        }
        (None, Some(_)) => (Command::shell(words.collect::<Vec<_>>().join(&b' ')), None),
    };
    if let Some(directory) = &args.run.cwd {
        let directory = directory.as_encoded_bytes();
        command = command.cwd(directory);
        script = script.map(|script| script.cwd(directory));
    }
    for variable in &args.run.env {
        let (name, value) = split_variable(variable)?;
        let is_secret = announces_secret(name);
        command = match is_secret {
            true => command.secret_env(name, value),
            false => command.env(name, value),
        };
        script = script.map(|script| match is_secret {
            true => script.secret_env(name, value),
            false => script.env(name, value),
        });
    }
    if args.run.sudo || args.run.as_user.is_some() {
        let sudo = match args.connect.ask_password {
            true => Sudo::Password,
            false => Sudo::NonInteractive,
        };
        command = command.sudo(sudo);
        script = script.map(|script| script.sudo(sudo));
    }
    if let Some(user) = &args.run.as_user {
        command = command.as_user(user);
        script = script.map(|script| script.as_user(user));
    }
    // Composed once before anything is connected, so that a mistake is told at once and only once.
    command
        .to_line_with(&SudoMarkers::new([0; 32]))
        .map_err(|error| {
            Failure::usage(error.to_string()).with_hint("correct the command or the options that compose it")
        })?;
    Ok(Some((command, script)))
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

fn load_script(path: &Path) -> Result<Script, Failure> {
    Script::new(read(path, "--script")?).map_err(|error| {
        Failure::usage(format!("cannot run {}: {error}", escape(&path.to_string_lossy()))).with_hint(
            "name a script with --script: a text, with the program that reads it behind #! in its first line",
        )
    })
}

fn open(path: &Path) -> Result<File, Failure> {
    File::open(path).map_err(|error| unreadable(path, "--stdin", &error))
}

fn read(path: &Path, option: &str) -> Result<Bytes, Failure> {
    std::fs::read(path)
        .map(Bytes::from)
        .map_err(|error| unreadable(path, option, &error))
}

fn unreadable(path: &Path, option: &str, error: &std::io::Error) -> Failure {
    Failure::usage(format!(
        "cannot read {}: {error}",
        escape(&path.to_string_lossy())
    ))
    .with_hint(format!(
        "name a file that exists and that you may read with {option}"
    ))
}

fn shown(text: &OsStr) -> String {
    escape_bytes(text.as_encoded_bytes())
}
