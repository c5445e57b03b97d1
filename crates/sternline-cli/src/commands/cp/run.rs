//! From a plan to copies that are done.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sternline::connection::Connection;
use sternline::proto::quoting::quote_str;
use sternline::proto::redact::Redactor;
use sternline::proto::target::Target;
use sternline::transfer::TransferCanceller;
use sternline::{Error, Fleet, Transfer, TransferResult};
use tokio::sync::{OnceCell, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::args::Args;
use super::board::Board;
use super::plan::{Copy, Goal, Plan, plan};
use super::request::request;
use crate::connect::{Connector, HostSettings, ask_password, labels, parse_hosts, tell};
use crate::exit;
use crate::history::{About, Recording, seconds};
use crate::ui::{Failure, Signals, Ui, status_line};

/// How many copies run at once.
const PARALLEL: usize = 64;

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
    ui: Ui,
}

pub(crate) async fn run(args: Args, ui: &Ui) -> Result<ExitCode, Failure> {
    let Plan {
        hosts,
        copies,
        duplicates,
    } = plan(&args.files, |hosts| match args.connect.hosts.selects() {
        true => parse_hosts(hosts, &args.connect.hosts, ui).map(Some),
        false => Ok(None),
    })?;
    for duplicate in &duplicates {
        ui.warning(&format!("{duplicate} is named twice and done once"));
    }
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

    ask_password(&args.connect, &mut settings, false, &mut signals).await?;

    // Whatever else writes to the terminal would be drawn over.
    let is_shared = args.connect.json || (to_stdout && std::io::stdout().is_terminal());
    let draws = !is_shared && !ui.is_quiet() && status_line::possible();
    let names = names(&copies, &labels(&hosts));
    let canceller = TransferCanceller::new();
    let recording = match copies.len() {
        0 | 1 => Recording::default(),
        _ => Recording::begin(about(&args, &hosts, &copies, &names, &settings)),
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
    let work = Arc::new(Work {
        hosts: settings
            .into_iter()
            .map(|settings| Host {
                settings,
                connection: OnceCell::new(),
            })
            .collect(),
        args,
        board: Arc::new(board),
        canceller,
        room: Semaphore::new(PARALLEL),
        ui: *ui,
    });
    let mut running = JoinSet::new();
    if copies.len() > 1 && copies.iter().all(|copy| copy.from.is_none()) {
        let work = Arc::clone(&work);
        running.spawn(async move { work.fan_out(&copies).await });
    } else {
        for (index, copy) in copies.into_iter().enumerate() {
            let work = Arc::clone(&work);
            running.spawn(async move { work.copy(index, copy).await });
        }
    }
    let stopped = work.watch(&mut running, &mut signals, timeout).await;
    running.abort_all();
    if draws {
        status_line::clear();
    }
    work.close().await;
    work.board.recorded(stopped.is_none());
    match stopped {
        Some(failure) => Err(failure),
        None => work.board.finish(),
    }
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

/// What the history is told of a run.
fn about(
    args: &Args,
    hosts: &[Target],
    copies: &[Copy],
    names: &[String],
    settings: &[HostSettings],
) -> About {
    let redactor = Redactor::new();
    if let Some(password) = settings.iter().find_map(HostSettings::password) {
        redactor.mark(password.secret().expose());
    }
    // What has come from one host to many is named by the many.
    let from_one = copies
        .iter()
        .all(|copy| Some(copy.from) == copies.first().map(|first| first.from));
    let target = |copy: &Copy| {
        let place = match from_one {
            true => copy.to.or(copy.from),
            false => copy.from.or(copy.to),
        };
        place.and_then(|index| hosts.get(index)).map(Target::to_string)
    };
    let operands = args.files.iter().map(|file| {
        let file = file.to_string_lossy();
        quote_str(&file).unwrap_or_else(|_| file.into_owned())
    });
    About {
        verb: "cp",
        command: operands.collect::<Vec<_>>().join(" "),
        options: args.connect.timeout.map(seconds).into_iter().collect(),
        hosts: names
            .iter()
            .cloned()
            .zip(copies.iter().map(|copy| target(copy).unwrap_or_default()))
            .collect(),
        output: false,
        redactor,
    }
}

impl Work {
    /// Waits for all copies, draws how far they are, and ends them when that is asked for: then it says why.
    async fn watch(
        &self,
        running: &mut JoinSet<()>,
        signals: &mut Signals,
        timeout: Option<Duration>,
    ) -> Option<Failure> {
        let begun = Instant::now();
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
        loop {
            tokio::select! {
                ended = running.join_next() => match ended {
                    Some(_) => {}
                    None => return stopped,
                },
                _ = frames.tick() => self.board.draw(begun.elapsed()),
                () = &mut limit, if stopped.is_none() => {
                    stopped = Some(too_long(timeout.unwrap_or_default()));
                    self.canceller.cancel();
                }
                signal = signals.next() => {
                    let failure = Failure::interrupted(signal);
                    // What is incomplete is being removed. Whoever asks a second time does not want to wait for it.
                    if stopped.is_some() {
                        return Some(failure);
                    }
                    stopped = Some(failure);
                    self.canceller.cancel();
                }
            }
        }
    }

    /// From this machine to several hosts, the same to each: it is read once.
    async fn fan_out(self: Arc<Self>, copies: &[Copy]) {
        let Some(first) = copies.first() else { return };
        let transfer = request(first, &self.args);
        let hosts = copies.iter().filter_map(|copy| self.hosts.get(copy.to?));
        let settings: Vec<(String, HostSettings)> = hosts
            .map(|host| (host.settings.target().to_string(), host.settings.clone()))
            .collect();
        let fleet = Fleet::new(settings.iter().map(|(name, _)| name)).parallel(PARALLEL);
        let settings: HashMap<String, HostSettings> = settings.into_iter().collect();
        let fleet = fleet.configure(move |host, builder| match settings.get(host) {
            Some(settings) => settings.apply(builder),
            None => builder,
        });
        let work = Arc::clone(&self);
        let started = fleet.start_transfer(move |index| work.watched(index, transfer.clone()));
        let mut run = match started {
            Ok(run) => run,
            Err(error) => {
                for index in 0..copies.len() {
                    self.board.failed(index, &error);
                }
                return;
            }
        };
        while let Some((index, result)) = run.next().await {
            self.board.ended(index, &result);
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
        match self.try_copy(index, &copy).await {
            Ok(Some(result)) => self.board.ended(index, &result),
            Ok(None) => {}
            Err(error) => self.board.failed(index, &error),
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
