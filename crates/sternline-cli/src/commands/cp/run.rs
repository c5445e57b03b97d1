//! From a plan to copies that are done.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sternline::connection::Connection;
use sternline::fleet::{FleetTransfer, Skipped};
use sternline::proto::quoting::quote_str;
use sternline::proto::redact::Redactor;
use sternline::proto::target::Target;
use sternline::proto::text::escape;
use sternline::transfer::TransferCanceller;
use sternline::{Error, Fleet, Transfer, TransferResult};
use tokio::sync::{OnceCell, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::args::Args;
use super::board::Board;
use super::plan::{Copy, Goal, Plan, plan};
use super::request::request;
use crate::connect::{Connector, HostSettings, ask_password, labels, parse_hosts, tell};
use crate::exit;
use crate::fleet::{Asked, Portion, Stops, confirm, only_failed};
use crate::history::{About, Recording, TypedPasswords, seconds};
use crate::limits;
use crate::ui::{Failure, Signals, Ui, status_line};

/// How often the progress is drawn.
const FRAME: Duration = Duration::from_millis(100);

/// A host, connected to when the first copy needs it.
struct Host {
    settings: HostSettings,
    connection: OnceCell<Result<Connection, Error>>,
}

/// What all copies share.
struct Work {
    args: Args,
    hosts: Vec<Host>,
    board: Arc<Board>,
    canceller: TransferCanceller,
    room: Semaphore,
    /// No further copy is begun, and why.
    stopped: watch::Sender<Option<Skipped>>,
    /// Copies whose turn has come.
    begun: AtomicUsize,
    ui: Ui,
}

pub(crate) async fn run(mut args: Args, ui: &Ui) -> Result<ExitCode, Failure> {
    let mut plan = plan(&args.files, |hosts| match args.connect.hosts.selects() {
        true => parse_hosts(hosts, &args.connect.hosts, ui).map(Some),
        false => Ok(None),
    })?;
    for duplicate in &plan.duplicates {
        ui.warning(&format!("{duplicate} is named twice and done once"));
    }
    if let Some(run) = &args.fleet.retry_failed {
        plan = again(plan, run)?;
    }
    let is_for_fleet = plan.is_for_fleet();
    if !is_for_fleet && plan.copies.len() > 1 {
        refuse_for_fleets(&args)?;
    }
    let subject = |host: Option<&Target>| host.map(Target::to_string).unwrap_or_default();
    let subjects: Vec<String> = plan.subjects().into_iter().map(subject).collect();
    let Plan { hosts, copies, .. } = plan;
    let to_stdout = copies.iter().any(|copy| copy.target == Goal::Stdout);
    if to_stdout && args.connect.json {
        return Err(Failure::usage("the files and --json both want standard output")
            .with_hint("name a file as the target, or leave --json out"));
    }
    let mut connector = Connector::new(&args.connect, hosts.len() == 1, ui)?;
    let settings = hosts.iter().map(|host| connector.settings(host));
    let mut settings = settings.collect::<Result<Vec<_>, _>>()?;
    let mut signals =
        Signals::new().map_err(|error| Failure::local(format!("cannot listen to signals: {error}")))?;

    let labels = labels(&hosts);
    if !args.copy.dry_run {
        let does = format!("Copy with `cp {}`", escape(&operands(&args)));
        confirm(&does, &labels, args.fleet.yes, &mut signals, ui).await?;
    }
    ask_password(&args.connect, &mut settings, false, &mut signals).await?;

    // Whatever else writes to the terminal would be drawn over.
    let is_shared = args.connect.json || (to_stdout && std::io::stdout().is_terminal());
    let draws = !is_shared && !ui.is_quiet() && status_line::possible();
    let names = names(&copies, &labels);
    let canceller = TransferCanceller::new();
    let recording = match copies.len() {
        // One that is left over of several belongs to them, and one host of an inventory is a fleet's as well.
        0 | 1 if args.fleet.retry_failed.is_none() && !args.connect.hosts.knows_any(&hosts) => {
            Recording::default()
        }
        // Nothing is done, and the last run stays the one to be done again.
        _ if args.copy.dry_run => Recording::default(),
        _ => {
            let copies = names.iter().cloned().zip(subjects).collect();
            Recording::begin(about(&args, copies, &settings))
        }
    };
    let board = Board::new(
        names,
        args.connect.json,
        args.copy.dry_run,
        draws,
        canceller.clone(),
        recording,
        *ui,
    );
    let timeout = args.connect.timeout;
    args.fleet.fit(settings.len(), limits::COPY, ui);
    let work = Arc::new(Work {
        hosts: settings
            .into_iter()
            .map(|settings| Host {
                settings,
                connection: OnceCell::new(),
            })
            .collect(),
        room: Semaphore::new(args.fleet.forks.get().min(Semaphore::MAX_PERMITS)),
        args,
        board: Arc::new(board),
        canceller,
        stopped: watch::Sender::new(None),
        begun: AtomicUsize::new(0),
        ui: *ui,
    });
    let several = copies.len() > 1;
    let count = copies.len();
    let mut running = JoinSet::new();
    if is_for_fleet {
        let run = Arc::clone(&work).start(&copies)?;
        let work = Arc::clone(&work);
        running.spawn(async move { work.follow(run).await });
    } else {
        for (index, copy) in copies.into_iter().enumerate() {
            let work = Arc::clone(&work);
            running.spawn(async move { work.copy(index, copy).await });
        }
    }
    let stopped = work.watch(&mut running, count, &mut signals, timeout).await;
    running.abort_all();
    if draws {
        status_line::clear();
    }
    work.close().await;
    work.board.recorded(stopped.is_none());
    match stopped {
        Some(failure) => {
            if several {
                // Only what it tells is of interest.
                let _ = work.board.finish();
            }
            Err(failure)
        }
        None => work.board.finish(),
    }
}

/// Leaves only the copies whose hosts did not succeed in an earlier run.
fn again(plan: Plan, run: &str) -> Result<Plan, Failure> {
    let subjects = plan.subjects();
    let left = only_failed(subjects.iter().flatten().copied().cloned().collect(), run)?;
    let left: HashSet<Target> = left.into_iter().collect();
    let is_left: Vec<bool> = subjects
        .iter()
        .map(|host| host.is_some_and(|host| left.contains(host)))
        .collect();
    let mut is_left = is_left.into_iter();
    let mut plan = plan;
    plan.copies.retain(|_| is_left.next().unwrap_or_default());
    Ok(plan)
}

/// Refuses options that only a fleet has.
fn refuse_for_fleets(args: &Args) -> Result<(), Failure> {
    let fleet = &args.fleet;
    let given = [
        ("--batch", fleet.batch.is_some()),
        ("--canary", fleet.canary.is_some()),
        ("--retries", fleet.retries.is_some()),
        ("--host-timeout", fleet.host_timeout.is_some()),
        (
            "--max-failures with a share",
            matches!(fleet.max_failures, Some(Portion::Share(_))),
        ),
    ];
    match given.iter().find(|(_, given)| *given) {
        Some((option, _)) => Err(Failure::usage(format!(
            "{option} is for copies between this machine and several hosts"
        ))
        .with_hint("leave it out, or copy what is the same for several hosts by a call of its own")),
        None => Ok(()),
    }
}

/// The operands as they are written on a command line.
fn operands(args: &Args) -> String {
    let word = |file: &OsString| {
        let file = file.to_string_lossy();
        quote_str(&file).unwrap_or_else(|_| file.into_owned())
    };
    args.files.iter().map(word).collect::<Vec<_>>().join(" ")
}

/// What each copy is called: by the host that it is with, or by both.
fn names(copies: &[Copy], labels: &[String]) -> Vec<String> {
    let label = |place: Option<usize>| place.and_then(|index| labels.get(index));
    let name = |copy: &Copy| match (label(copy.from), label(copy.to)) {
        (Some(from), Some(to)) => format!("{from} -> {to}"),
        (Some(host), None) | (None, Some(host)) => host.clone(),
        (None, None) => String::new(),
    };
    copies.iter().map(name).collect()
}

/// What the history is told of a run: what each copy is called, and the host that it is about.
fn about(args: &Args, copies: Vec<(String, String)>, settings: &[HostSettings]) -> About {
    let redactor = Redactor::new();
    if let Some(password) = settings.iter().find_map(HostSettings::password) {
        redactor.mark(password.secret().expose());
    }
    About {
        verb: "cp",
        command: operands(args),
        options: args.connect.timeout.map(seconds).into_iter().collect(),
        hosts: copies,
        output: false,
        typed: TypedPasswords::of(settings.iter().map(HostSettings::target)),
        redactor,
    }
}

impl Work {
    /// Waits for all copies, draws how far they are, and ends them when that is asked for: then it says why.
    async fn watch(
        &self,
        running: &mut JoinSet<()>,
        copies: usize,
        signals: &mut Signals,
        timeout: Option<Duration>,
    ) -> Option<Failure> {
        let begun = Instant::now();
        let mut stops = Stops::default();
        let mut frames = interval(FRAME);
        frames.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let limit = async {
            match timeout {
                Some(limit) => sleep(limit).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(limit);
        let mut stopped = None;
        let mut expired = false;
        loop {
            tokio::select! {
                ended = running.join_next() => match ended {
                    Some(_) => {}
                    None => return stopped,
                },
                _ = frames.tick() => self.board.draw(begun.elapsed()),
                () = &mut limit, if !expired => {
                    expired = true;
                    stopped.get_or_insert_with(|| too_long(timeout.unwrap_or_default()));
                    stops.cancelled();
                    self.stop(Skipped::Deadline);
                    self.canceller.cancel();
                }
                signal = signals.next() => {
                    let has_more = self.stopped.borrow().is_none() && self.begun.load(Ordering::Relaxed) < copies;
                    let asked = stops.next(signal, has_more);
                    let failure = Failure::interrupted(signal);
                    self.stop(Skipped::Stopped);
                    status_line::hurry(true);
                    match asked {
                        Asked::Stop => {
                            self.ui.line("no further copy is begun; Ctrl-C again ends those that are on their way");
                            status_line::hurry(false);
                        }
                        Asked::Cancel => self.canceller.cancel(),
                        // What is incomplete is being removed. Whoever asks again does not want to wait for it.
                        Asked::Leave => return Some(failure),
                    }
                    stopped.get_or_insert(failure);
                }
            }
        }
    }

    /// Begins no further copy.
    fn stop(&self, why: Skipped) {
        self.stopped
            .send_if_modified(|stopped| stopped.is_none() && stopped.replace(why).is_none());
    }

    /// Between this machine and several hosts: what is sent to all of them is read once.
    fn start(self: Arc<Self>, copies: &[Copy]) -> Result<FleetTransfer, Failure> {
        let requests: Vec<Transfer> = match copies.first() {
            // One and the same is shared.
            Some(first) if first.from.is_none() => vec![request(first, &self.args); copies.len()],
            _ => copies.iter().map(|copy| request(copy, &self.args)).collect(),
        };
        let hosts = copies
            .iter()
            .filter_map(|copy| self.hosts.get(copy.to.or(copy.from)?));
        let settings: Vec<(String, HostSettings)> = hosts
            .map(|host| (host.settings.target().to_string(), host.settings.clone()))
            .collect();
        let fleet = Fleet::new(settings.iter().map(|(name, _)| name));
        let settings: HashMap<String, HostSettings> = settings.into_iter().collect();
        let fleet = fleet.configure(move |host, builder| match settings.get(host) {
            Some(settings) => settings.apply(builder),
            None => builder,
        });
        let fleet = self.args.fleet.apply(fleet);
        Ok(fleet.start_transfer(move |index| {
            self.begun.fetch_add(1, Ordering::Relaxed);
            let transfer = requests.get(index).or(requests.first()).cloned();
            self.watched(index, transfer.unwrap_or_else(|| Transfer::upload("", "")))
        })?)
    }

    async fn follow(&self, mut run: FleetTransfer) {
        let mut stopped = self.stopped.subscribe();
        loop {
            tokio::select! {
                result = run.next() => match result {
                    Some((index, result)) => self.board.ended(index, &result),
                    None => return,
                },
                Ok(()) = stopped.changed() => run.stop(),
            }
        }
    }

    /// The request, with the board told of whatever happens, and an end when everything ends.
    fn watched(&self, index: usize, transfer: Transfer) -> Transfer {
        let board = Arc::clone(&self.board);
        transfer
            .totals(self.board.draws())
            .cancelled_by(&self.canceller)
            .on_event(move |event| board.event(index, event))
    }

    async fn copy(&self, index: usize, copy: Copy) {
        let Ok(_room) = self.room.acquire().await else {
            return;
        };
        let stopped = *self.stopped.borrow();
        if let Some(why) = stopped {
            self.board.not_begun(index, why);
            return;
        }
        self.begun.fetch_add(1, Ordering::Relaxed);
        match self.try_copy(index, &copy).await {
            Ok(Some(result)) => self.board.ended(index, &result),
            Ok(None) => {}
            Err(error) => self.board.failed(index, &error),
        }
        if let Some(Portion::Hosts(most)) = self.args.fleet.most_failures()
            && self.board.failures() >= most
        {
            self.stop(Skipped::Failures);
        }
    }

    /// Connects and copies; `None` for a copy between no hosts, which no plan has.
    async fn try_copy(&self, index: usize, copy: &Copy) -> Result<Option<TransferResult>, Error> {
        let (from, to) = tokio::join!(self.connected(copy.from), self.connected(copy.to));
        let (from, to) = (from?, to?);
        let transfer = self.watched(index, request(copy, &self.args));
        Ok(match (from, to) {
            (Some(from), Some(to)) => Some(from.transfer_to(to, transfer).await),
            (Some(connection), None) | (None, Some(connection)) => Some(connection.transfer(transfer).await),
            (None, None) => None,
        })
    }

    /// The connection to a host, made once; `None` for this machine.
    async fn connected(&self, place: Option<usize>) -> Result<Option<&Connection>, Error> {
        let Some(host) = place.and_then(|index| self.hosts.get(index)) else {
            return Ok(None);
        };
        let connect = || async {
            let connection = host.settings.builder().bulk_data().connect().await?;
            if self.hosts.len() == 1 {
                tell(&connection, &self.ui);
            }
            Ok(connection)
        };
        match host.connection.get_or_init(connect).await {
            Ok(connection) => Ok(Some(connection)),
            Err(error) => Err(error.clone()),
        }
    }

    async fn close(&self) {
        for host in &self.hosts {
            if let Some(Ok(connection)) = host.connection.get() {
                connection.close().await;
            }
        }
    }
}

fn too_long(limit: Duration) -> Failure {
    Failure::local(format!(
        "not everything was copied within {} s",
        limit.as_secs_f64()
    ))
    .with_hint("raise --timeout; what was not complete was removed, or is continued with --resume")
    .with_status(exit::TIMED_OUT)
}
