//! Several hosts, or output that is collected: a fleet, what it tells, and what a person at the terminal asks of it.

use std::collections::HashMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sternline::Fleet;
use sternline::fleet::{FleetEvent, FleetRun, Outcome};
use sternline::proto::target::Target;
use tokio::time::{MissedTickBehavior, interval};

use super::present::Presenter;
use super::run::{Input, Job};
use super::summary::Summary;
use crate::connect::HostSettings;
use crate::exit;
use crate::fleet::{Asked, FleetOptions, Progress, Stops};
use crate::history::Recording;
use crate::ui::{Failure, Output, Signals, Sink, Ui, Unwritten, status_line};

/// How often the progress is drawn.
const FRAME: Duration = Duration::from_millis(100);

pub(super) struct Run<'a> {
    pub(super) targets: &'a [Target],
    pub(super) labels: Vec<String>,
    pub(super) hosts: &'a [HostSettings],
    pub(super) job: Job,
    pub(super) input: Input,
    pub(super) options: &'a FleetOptions,
    pub(super) deadline: Option<Duration>,
    pub(super) presenter: Presenter,
    /// The status is that of the only host.
    pub(super) single: bool,
    pub(super) recording: &'a mut Recording,
}

impl Run<'_> {
    pub(super) async fn run(self, signals: Signals, ui: &Ui) -> Result<ExitCode, Failure> {
        let names: Vec<String> = self.targets.iter().map(Target::to_string).collect();
        let settings: HashMap<String, HostSettings> =
            names.iter().cloned().zip(self.hosts.iter().cloned()).collect();
        let fleet = Fleet::new(names).configure(move |host, builder| match settings.get(host) {
            Some(settings) => settings.apply(builder),
            None => builder,
        });
        let mut fleet = self.options.apply(fleet);
        if let Some(limit) = self.deadline {
            fleet = fleet.deadline(limit);
        }
        let (job, input) = (self.job, self.input);
        let run = fleet.start(move |_| job.request(input.open()))?;
        let mut watch = Watch {
            run,
            output: Output::start()?,
            begun: Instant::now(),
            draws: !self.single && !ui.is_quiet() && status_line::fits_output(),
            progress: Progress::new(self.labels.clone()),
            labels: self.labels,
            hosts: self.hosts,
            recording: self.recording,
            presenter: self.presenter,
            piece: None,
            summary: Summary::default(),
            stops: Stops::default(),
            stopped: None,
            discards: false,
            single: self.single,
            only: None,
            ui: *ui,
        };
        match watch.until_the_end(signals).await {
            Some(failure) => Err(failure),
            None => watch.finish(),
        }
    }
}

/// A run that is going on.
struct Watch<'a> {
    run: FleetRun,
    output: Output,
    begun: Instant,
    draws: bool,
    progress: Progress,
    labels: Vec<String>,
    hosts: &'a [HostSettings],
    recording: &'a mut Recording,
    presenter: Presenter,
    /// What is being handed to the output.
    piece: Option<(Sink, Bytes)>,
    summary: Summary,
    stops: Stops,
    /// Why it ends early.
    stopped: Option<Failure>,
    /// Nothing more is written.
    discards: bool,
    single: bool,
    /// What the status of a single host comes to.
    only: Option<Result<ExitCode, Failure>>,
    ui: Ui,
}

impl Watch<'_> {
    /// Does what has to be done until all hosts have ended and everything was written; gives a reason to leave before that.
    async fn until_the_end(&mut self, mut signals: Signals) -> Option<Failure> {
        let mut frames = interval(FRAME);
        frames.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if self.piece.is_none() && !self.discards {
                match self.presenter.next().await {
                    Ok(piece) => self.piece = piece,
                    Err(failure) => self.give_up(failure),
                }
            }
            let writes = self.piece.is_some();
            tokio::select! {
                signal = signals.next() => {
                    if self.asked(signal) == Asked::Leave {
                        status_line::clear();
                        return Some(Failure::interrupted(signal));
                    }
                }
                _ = frames.tick(), if self.draws => self.draw(),
                written = write(&self.output, self.piece.clone()), if writes => {
                    self.piece = None;
                    if let Err(unwritten) = written {
                        self.give_up(unwritten.into());
                    }
                }
                event = self.run.next(), if !writes => match event {
                    Some(event) => self.event(event).await,
                    None => break,
                },
            }
        }
        if self.draws {
            status_line::clear();
        }
        if self.discards {
            return None;
        }
        tokio::select! {
            finished = self.presenter.finish(&self.output) => {
                if let Err(failure) = finished {
                    self.give_up(failure);
                }
                None
            }
            signal = signals.next() => {
                status_line::hurry(true);
                Some(Failure::interrupted(signal))
            }
        }
    }

    async fn event(&mut self, event: FleetEvent) {
        self.recording.event(&event);
        let shown = match event {
            FleetEvent::Started { index } => {
                self.progress.started(index, self.begun.elapsed());
                Ok(())
            }
            FleetEvent::Lines { index, stream, bytes } if !self.discards => {
                self.presenter.add(index, stream, bytes).await
            }
            FleetEvent::Done { index, outcome } if self.discards => {
                self.done(index, &outcome);
                Ok(())
            }
            FleetEvent::Done { index, outcome } => match self.presenter.whole(index, outcome).await {
                Some(outcome) => {
                    self.done(index, &outcome);
                    self.presenter.done(index, outcome)
                }
                None => Ok(()),
            },
            _ => Ok(()),
        };
        if let Err(failure) = shown {
            self.give_up(failure);
        }
    }

    fn done(&mut self, index: usize, outcome: &Outcome) {
        self.recording.done(index, outcome);
        let label = self.labels.get(index).map(String::as_str).unwrap_or_default();
        if let Some(settings) = self.hosts.get(index) {
            self.summary.add(index, label, settings, outcome);
        }
        self.progress.done(index, outcome.ok());
        if !self.single && outcome.skipped().is_none() {
            let how = match &outcome.result {
                Ok(result) if result.ok() => "ok".to_owned(),
                Ok(result) => result.status.to_string(),
                Err(error) => Failure::from(error).headline(),
            };
            self.ui.note(&format!(
                "{label}: {how} in {:.1} s",
                outcome.duration.as_secs_f64()
            ));
        }
        self.only = Some(match &outcome.result {
            Ok(result) => Ok(exit::from_remote(result.status.shell_code())),
            Err(error) => Err(error.into()),
        });
    }

    /// Does what a signal asks for, but for leaving.
    fn asked(&mut self, signal: u8) -> Asked {
        let asked = self.stops.next(signal, self.progress.has_more());
        match asked {
            Asked::Stop => {
                self.run.stop();
                self.progress.stopped();
                let running = self.progress.running();
                status_line::hurry(true);
                self.ui.line(&format!(
                    "no further host is begun, and {running} still run; Ctrl-C again ends them"
                ));
                status_line::hurry(false);
            }
            Asked::Cancel => {
                status_line::hurry(true);
                self.cancel();
            }
            Asked::Leave => status_line::hurry(true),
        }
        self.stopped.get_or_insert_with(|| Failure::interrupted(signal));
        asked
    }

    fn cancel(&mut self) {
        self.run.cancel();
        self.progress.stopped();
        if !self.presenter.outlives_a_cancel() {
            self.discard();
        }
    }

    fn discard(&mut self) {
        self.discards = true;
        self.piece = None;
        self.output.discard();
    }

    /// Ends everything for a reason of our own.
    fn give_up(&mut self, failure: Failure) {
        self.stopped.get_or_insert_with(|| {
            // The status says of several hosts only whether all went well.
            match !self.single && !failure.is_silent() {
                true => failure.with_status(exit::FAILED),
                false => failure,
            }
        });
        self.stops.cancelled();
        self.cancel();
        self.discard();
    }

    fn draw(&mut self) {
        let now = self.begun.elapsed();
        self.progress.tick(now);
        let (columns, rows) = status_line::room();
        status_line::draw(&self.progress.lines(now, columns, rows));
    }

    /// Tells what came of everything.
    fn finish(self) -> Result<ExitCode, Failure> {
        if self.single && self.stopped.is_none() {
            return self
                .only
                .unwrap_or_else(|| Err(Failure::connection("the host gave no result")));
        }
        if !self.single {
            let took = self.draws.then(|| self.begun.elapsed());
            let again = Recording::is_on().then_some(
                "add --retry-failed last to the same command to do it again on the hosts without success",
            );
            self.summary.show(&self.labels, took, again, &self.ui);
        }
        match self.stopped {
            Some(failure) => Err(failure),
            None if self.summary.all_ok() => Ok(ExitCode::SUCCESS),
            None => Ok(ExitCode::from(exit::FAILED)),
        }
    }
}

async fn write(output: &Output, piece: Option<(Sink, Bytes)>) -> Result<(), Unwritten> {
    match piece {
        Some((sink, bytes)) => output.write(sink, bytes).await,
        None => Ok(()),
    }
}
