//! `sternline sandbox run`.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sternline::exec::Stdin;
use sternline::proto::sandbox::{Refusal, check_allowed};
use sternline::sandbox::{
    DEFAULT_TIMEOUT, ProcessResult, SandboxExecutor, SandboxProfile, SandboxRequest, Side,
};
use tokio::io::AsyncReadExt;
use tokio::task::JoinSet;

use super::args::RunArgs;
use super::place::{Place, Places};
use super::present;
use crate::exit;
use crate::ui::{Failure, Output, Signals, Sink, Ui};

type Outcome = sternline::Result<ProcessResult>;

pub(super) async fn run(args: RunArgs, ui: &Ui) -> Result<ExitCode, Failure> {
    let mut signals =
        Signals::new().map_err(|error| Failure::local(format!("cannot listen to signals: {error}")))?;
    let named = args.hosts.as_deref();
    let Places { list, profile } =
        Places::find(named, args.profile.as_deref(), &args.connect, &mut signals, ui).await?;
    check_allowed(&profile, &args.argv).map_err(|refusal| refused(&refusal))?;
    let input = input(args.stdin, list.len(), &mut signals).await?;
    let executors: Vec<Arc<dyn SandboxExecutor>> =
        list.iter().map(|place| Arc::clone(&place.executor)).collect();
    let outcome = {
        let mut run = Run {
            profile: Arc::new(profile),
            argv: args.argv,
            input,
            timeout: args.connect.timeout.unwrap_or(DEFAULT_TIMEOUT),
            forks: args.forks.get(),
            single: list.len() == 1,
            json: args.connect.json,
            output: Output::start()?,
            ok: 0,
            failed: Vec::new(),
            only: None,
            ui: *ui,
        };
        tokio::select! {
            signal = signals.next() => Err(Failure::interrupted(signal)),
            outcome = run.all(list) => outcome,
        }
    };
    // Ends what still runs, and waits for that; whoever does not want to wait asks a second time.
    tokio::select! {
        _ = signals.next() => {}
        () = clean_up(&executors) => {}
    }
    outcome
}

/// Ends what runs in these executors and closes them, all at once.
pub(super) async fn clean_up(executors: &[Arc<dyn SandboxExecutor>]) {
    let mut closing = JoinSet::new();
    for executor in executors {
        let executor = Arc::clone(executor);
        closing.spawn(async move { executor.cleanup().await });
    }
    while closing.join_next().await.is_some() {}
}

/// Why the profile does not let it be run; nothing was connected to.
pub(super) fn refused(refusal: &Refusal) -> Failure {
    let status = match refusal {
        Refusal::NotAllowed { .. } | Refusal::ArgumentNotAllowed { .. } => exit::NOT_ALLOWED,
        Refusal::EmptyCommand
        | Refusal::Nul { .. }
        | Refusal::WordTooLong { .. }
        | Refusal::TooLong { .. } => exit::USAGE,
        _ => exit::NO_SANDBOX,
    };
    Failure::usage(refusal.to_string())
        .with_hint(refusal.hint())
        .with_status(status)
}

/// Where the commands' input comes from.
enum Input {
    Empty,
    /// Our own, as it comes: there is one host to give it to.
    Live,
    Bytes(Bytes),
}

async fn input(wanted: bool, hosts: usize, signals: &mut Signals) -> Result<Input, Failure> {
    match (wanted, hosts) {
        (false, _) => Ok(Input::Empty),
        (true, 1) => Ok(Input::Live),
        (true, _) => {
            let mut bytes = Vec::new();
            let mut stdin = tokio::io::stdin();
            let read = tokio::select! {
                signal = signals.next() => return Err(Failure::interrupted(signal)),
                read = stdin.read_to_end(&mut bytes) => read,
            };
            read.map_err(|error| Failure::local(format!("cannot read standard input: {error}")))?;
            Ok(Input::Bytes(bytes.into()))
        }
    }
}

struct Run {
    profile: Arc<SandboxProfile>,
    argv: Vec<String>,
    input: Input,
    timeout: Duration,
    forks: usize,
    single: bool,
    json: bool,
    output: Output,
    ok: usize,
    /// What failed where, in words, and what to do about it.
    failed: Vec<(String, String)>,
    /// The end of the only host.
    only: Option<Result<ExitCode, Failure>>,
    ui: Ui,
}

impl Run {
    async fn all(&mut self, places: Vec<Place>) -> Result<ExitCode, Failure> {
        let mut waiting = places.into_iter();
        let mut running: JoinSet<(String, Outcome)> = JoinSet::new();
        loop {
            while running.len() < self.forks
                && let Some(place) = waiting.next()
            {
                let request = self.request();
                let profile = Arc::clone(&self.profile);
                running.spawn(async move { (place.label, place.executor.run(&profile, request).await) });
            }
            match running.join_next().await {
                None => break,
                Some(Ok((label, outcome))) => self.ended(&label, outcome).await?,
                Some(Err(error)) => return Err(Failure::local(format!("a run ended early: {error}"))),
            }
        }
        self.output.finish().await?;
        match self.only.take() {
            Some(outcome) => outcome,
            None => Ok(self.summary()),
        }
    }

    fn request(&self) -> SandboxRequest {
        let stdin = match &self.input {
            Input::Empty => Stdin::Empty,
            Input::Live => Stdin::reader(tokio::io::stdin()),
            Input::Bytes(bytes) => Stdin::Bytes(bytes.clone()),
        };
        SandboxRequest::new(self.argv.iter().cloned())
            .stdin(stdin)
            .timeout(self.timeout)
    }

    async fn ended(&mut self, label: &str, outcome: Outcome) -> Result<(), Failure> {
        if self.json {
            let line = format!("{}\n", present::json(label, self.profile.name(), &outcome));
            self.output.write(Sink::Stdout, line.into()).await?;
        } else {
            let prefix = (!self.single).then_some(label);
            let partial = outcome.as_ref().map_err(sternline::Error::partial_output);
            match partial {
                // The last line of what bubblewrap says is told as the error.
                Ok(result) if result.side == Side::Bubblewrap => {}
                Ok(result) => present::output(&self.output, prefix, &result.stdout, &result.stderr).await?,
                Err(Some(partial)) => {
                    present::output(&self.output, prefix, &partial.stdout, &partial.stderr).await?;
                }
                Err(None) => {}
            }
        }
        if self.single {
            self.only = Some(self.status(outcome));
            return Ok(());
        }
        match outcome.and_then(ProcessResult::success) {
            Ok(_) => self.ok += 1,
            Err(error) => {
                let failure = Failure::from(&error).on_host(label);
                self.failed.push((failure.headline(), error.hint().to_owned()));
            }
        }
        Ok(())
    }

    /// The status of the only host.
    fn status(&self, outcome: Outcome) -> Result<ExitCode, Failure> {
        let result = outcome?;
        if result.side == Side::Bubblewrap || result.timed_out {
            return match result.success() {
                Ok(_) => Ok(ExitCode::SUCCESS),
                Err(error) => Err(error.into()),
            };
        }
        if let Some(signal) = result.signal {
            self.ui
                .warning(&format!("the command was ended by the signal {signal}"));
        }
        Ok(exit::from_remote(result.returncode))
    }

    /// Tells what failed, and how many succeeded.
    fn summary(&self) -> ExitCode {
        let mut hints: Vec<&str> = Vec::new();
        for (line, hint) in &self.failed {
            self.ui.failed_host(line);
            if !hints.contains(&hint.as_str()) {
                hints.push(hint);
            }
        }
        for hint in hints.iter().take(5) {
            self.ui.hint(hint);
        }
        let (ok, failed) = (self.ok, self.failed.len());
        self.ui
            .line(&format!("{} hosts: {ok} ok, {failed} failed", ok + failed));
        match failed {
            0 => ExitCode::SUCCESS,
            _ => ExitCode::from(exit::FAILED),
        }
    }
}
