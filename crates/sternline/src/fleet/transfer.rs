//! Files to and from several hosts.

use std::pin::pin;

use sternline_proto::files::host_names;
use sternline_proto::target::Target as Host;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::builder::Fleet;
use super::drive::{Asked, Control, drive};
use super::outcome::interrupted;
use super::rules::Skipped;
use super::run::FleetCanceller;
use super::way::Way;
use crate::config::Env;
use crate::deadline::Phase;
use crate::error::{Error, ErrorKind, Result, seconds};
use crate::transfer::{LocalFiles, Source, Target, Transfer, TransferCanceller, TransferResult};

impl Fleet {
    /// Copies a file of this machine to all hosts, with the defaults of [`Transfer::upload`].
    ///
    /// # Errors
    /// As [`Fleet::transfer`].
    pub async fn upload(
        &self,
        source: impl Into<Source>,
        target: impl Into<Target>,
    ) -> Result<Vec<TransferResult>> {
        self.transfer(Transfer::upload(source, target)).await
    }

    /// Copies a file of all hosts to this machine, with the defaults of [`Transfer::download`].
    ///
    /// # Errors
    /// As [`Fleet::transfer`].
    pub async fn download(
        &self,
        source: impl Into<Source>,
        target: impl Into<Target>,
    ) -> Result<Vec<TransferResult>> {
        self.transfer(Transfer::download(source, target)).await
    }

    /// Moves files to or from all hosts, and waits for the last one. The results stand in the order of the hosts.
    ///
    /// What is sent to several hosts is read once, as far as they keep up with each other. What comes from several hosts
    /// gets names that end in `.HOST`: `app.log.web-1`, or an entry per host where the target is a directory.
    ///
    /// ```no_run
    /// # async fn example() -> sternline::Result<()> {
    /// use sternline::{Fleet, Transfer};
    ///
    /// let fleet = Fleet::new(["web-1", "web-2"]);
    /// for result in fleet.transfer(Transfer::upload("nginx.conf", "/etc/nginx/nginx.conf").mode(0o644)).await? {
    ///     println!("{}: {} bytes", result.host, result.bytes);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When there are no hosts, or a share of them is none; nothing was done then. What goes wrong on a host is in its result.
    pub async fn transfer(&self, transfer: Transfer) -> Result<Vec<TransferResult>> {
        let mut results: Vec<Option<TransferResult>> = self.targets.iter().map(|_| None).collect();
        let request = transfer.clone();
        let mut run = self.start_transfer(move |_| request.clone())?;
        while let Some((index, result)) = run.next().await {
            if let Some(slot) = results.get_mut(index) {
                *slot = Some(result);
            }
        }
        let results = results.into_iter().zip(self.targets.iter());
        Ok(results
            .map(|(result, host)| {
                result.unwrap_or_else(|| TransferResult::failed(host, &transfer, interrupted()))
            })
            .collect())
    }

    /// Starts moving files to or from all hosts, and gives each host's result when it is there. `request` is called with
    /// each host's place in the list once its turn has come; its sources are the same for all.
    ///
    /// Must be called in a tokio runtime.
    ///
    /// # Errors
    /// As [`Fleet::transfer`].
    pub fn start_transfer(
        &self,
        request: impl Fn(usize) -> Transfer + Send + 'static,
    ) -> Result<FleetTransfer> {
        let plan = self.plan()?;
        let (results, receiver) = mpsc::channel(self.targets.len());
        let (control, pace) = (Control::new(), self.pace());
        let several = self.targets.len() > 1;
        let names = several.then(|| names(&self.targets));
        let local = LocalFiles::default().shared(self.targets.len(), Env::system().temp_dir);
        let (fleet, asked) = (self.clone(), control.clone());
        let work = move |index, skipped: Option<Skipped>| {
            let mut transfer = request(index);
            if let Some(name) = names.as_ref().and_then(|names| names.get(index)?.as_ref()) {
                transfer = transfer.named_after(name);
            }
            let one = One {
                host: fleet.target(index).to_owned(),
                transfer,
                local: local.clone(),
            };
            // It is made for this alone.
            let way = skipped
                .is_none()
                .then(|| fleet.way(index, &asked, &pace, |builder| builder.bulk_data()));
            let results = results.clone();
            async move {
                let result = match (way, skipped) {
                    (Some(way), _) => one.run(way).await,
                    (None, skipped) => {
                        let mut result = one.failed(skipped.map_or_else(interrupted, Skipped::error));
                        result.attempts = 0;
                        result
                    }
                };
                let ok = result.ok();
                // Nobody listens any more: then nobody wants to know.
                let _ = results.send((index, result)).await;
                ok
            }
        };
        let driver = tokio::spawn(drive(plan, control.clone(), self.deadline, work));
        Ok(FleetTransfer {
            results: receiver,
            control,
            driver,
        })
    }
}

/// What is moved to or from one host.
struct One {
    host: String,
    transfer: Transfer,
    local: LocalFiles,
}

impl One {
    fn failed(&self, error: Error) -> TransferResult {
        TransferResult::failed(&self.host, &self.transfer, error)
    }

    /// Connects, moves the files, and says what became of it.
    async fn run(self, mut way: Way) -> TransferResult {
        let begun = Instant::now();
        let mut result = self.connect_and_move(&mut way).await;
        if result.error.as_ref().is_some_and(|error| way.was_lost(error)) {
            result = self.connect_and_move(&mut way).await;
        }
        self.host.clone_into(&mut result.host);
        result.duration = begun.elapsed();
        result.attempts = way.attempts;
        result
    }

    async fn connect_and_move(&self, way: &mut Way) -> TransferResult {
        let connection = tokio::select! {
            biased;
            error = self.transfer.until_cancelled() => Err(error),
            connection = way.connect() => connection,
        };
        let connection = match connection {
            Ok(connection) => connection,
            Err(error) => return self.failed(error),
        };
        let canceller = TransferCanceller::new();
        let transfer = self.transfer.clone().cancelled_by(&canceller);
        let mut moving = pin!(connection.transfer_with(self.local.clone(), transfer));
        let mut why: Option<Error> = None;
        let mut result = loop {
            tokio::select! {
                result = &mut moving => break result,
                error = self.ended(way), if why.is_none() => {
                    why = Some(error);
                    canceller.cancel();
                }
            }
        };
        way.leave(&connection).await;
        result.error = match (result.error.take(), why) {
            // It only says that somebody cancelled it.
            (Some(error), Some(why)) if error.kind() == &ErrorKind::Cancelled => {
                Some(connection.locate(why.in_phase(Phase::Transfer).with_sent(error.sent())))
            }
            (error, _) => error,
        };
        result
    }

    /// Waits until the transfer is to end before its time.
    async fn ended(&self, way: &mut Way) -> Error {
        let limit = way.time_left();
        let late = async {
            match limit {
                Some(left) => tokio::time::sleep(left).await,
                None => std::future::pending().await,
            }
        };
        let host_deadline = way.deadline;
        tokio::select! {
            error = self.transfer.until_cancelled() => error,
            error = way.ending.asked("while files were being moved") => error,
            () = late => Error::new(
                ErrorKind::CommandTimeout,
                format!("not everything was moved: the host had {} in all", seconds(host_deadline.unwrap_or_default())),
            )
            .with_hint("raise the host's deadline; what was not complete was removed, or can be gone on with"),
        }
    }
}

/// A name for each host, for files. One that makes no sense needs none: it cannot be connected to.
fn names(targets: &[String]) -> Vec<Option<String>> {
    let parsed: Vec<Option<Host>> = targets.iter().map(|target| target.parse().ok()).collect();
    let known: Vec<Host> = parsed.iter().flatten().cloned().collect();
    let mut names = host_names(&known).into_iter();
    parsed
        .iter()
        .map(|target| target.as_ref().and_then(|_| names.next()))
        .collect()
}

/// Transfers that were started. Dropping it ends them; what is incomplete is removed in the background.
#[derive(Debug)]
pub struct FleetTransfer {
    results: mpsc::Receiver<(usize, TransferResult)>,
    control: Control,
    driver: JoinHandle<()>,
}

impl FleetTransfer {
    /// The next result, with the host's place in the list; `None` after the last one. Cancel-safe.
    pub async fn next(&mut self) -> Option<(usize, TransferResult)> {
        self.results.recv().await
    }

    /// A handle that stops or cancels it from elsewhere.
    #[must_use]
    pub fn canceller(&self) -> FleetCanceller {
        FleetCanceller(self.control.clone())
    }

    /// Begins no further host; those that are running go on. The results of hosts that were not begun say so, see
    /// [`Skipped::of`].
    pub fn stop(&self) {
        self.control.ask(Asked::Stop);
    }

    /// As [`FleetTransfer::stop`], and ends those that are running: what is incomplete is removed, unless
    /// [`Transfer::resume`] is set.
    pub fn cancel(&self) {
        self.control.ask(Asked::Cancel);
    }
}

impl Drop for FleetTransfer {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
