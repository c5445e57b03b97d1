//! Connections that stay open for several runs.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinSet;

use super::builder::Fleet;
use super::drive::{Control, drive};
use super::outcome::{Outcome, interrupted};
use super::plan::Plan;
use super::rules::Rules;
use super::run::FleetRun;
use super::shells::Shells;
use super::transfer::FleetTransfer;
use crate::connection::Connection;
use crate::error::{Error, ErrorKind, Result};
use crate::exec::{Command, ExecRequest, Script};
use crate::transfer::{Transfer, TransferResult};

/// How many connections are left at once.
const CLOSING: usize = 256;

impl Fleet {
    /// Connects to all hosts, and keeps the connections for any number of runs: each then costs what its commands cost.
    ///
    /// The hosts begin in their order, as many at once as [`Fleet::parallel`] says; its deadlines and attempts hold for
    /// connecting, its batches, canary and limit on failures for the runs. A host that cannot be reached is an error in every run.
    ///
    /// Dropping the future leaves no connection open.
    ///
    /// ```no_run
    /// # async fn example() -> sternline::Result<()> {
    /// use sternline::Fleet;
    ///
    /// let open = Fleet::new(["web-1", "web-2"]).connect().await?;
    /// open.exec("systemctl stop app").await?;
    /// open.exec("systemctl start app").await?;
    /// open.close().await;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When there are no hosts.
    pub async fn connect(&self) -> Result<OpenFleet> {
        let rules = Rules {
            parallel: self.rules.parallel,
            ..Rules::default()
        };
        let plan = Plan::new(self.targets.len(), &rules)?;
        let made: Arc<Mutex<Vec<Result<Connection>>>> = Arc::new(Mutex::new(
            self.targets.iter().map(|_| Err(interrupted())).collect(),
        ));
        let (control, pace) = (Control::new(), self.pace());
        let (fleet, asked, making) = (self.clone(), control.clone(), Arc::clone(&made));
        let work = move |index, skipped: Option<super::rules::Skipped>| {
            let way = skipped
                .is_none()
                .then(|| fleet.way(index, &asked, &pace, |builder| builder));
            let making = Arc::clone(&making);
            async move {
                let connection = match (way, skipped) {
                    (Some(mut way), _) => way.connect().await,
                    (None, skipped) => Err(skipped.map_or_else(interrupted, |why| why.error())),
                };
                let ok = connection.is_ok();
                let mut making = making.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(slot) = making.get_mut(index) {
                    *slot = connection;
                }
                ok
            }
        };
        drive(plan, control, self.deadline, work).await;
        let made = std::mem::take(&mut *made.lock().unwrap_or_else(PoisonError::into_inner));
        let mut fleet = self.clone();
        fleet.kept = Some(made.into());
        // These connections are not those of another call.
        fleet.shells = self.shells.as_ref().map(|_| Shells::new(self.targets.len()));
        Ok(OpenFleet(fleet))
    }

    /// A connection to one host, by its place in the list: the kept one of [`Fleet::keep`] where it is open. Its deadlines and
    /// attempts hold as for a run.
    ///
    /// # Errors
    /// When it cannot be made, or there is no such host.
    pub async fn connection(&self, index: usize) -> Result<Connection> {
        if index >= self.targets.len() {
            let text = format!("the fleet has {} hosts, and no host {index}", self.targets.len());
            return Err(Error::new(ErrorKind::Invalid, text));
        }
        let control = Control::new();
        self.way(index, &control, &self.pace(), |builder| builder)
            .connect()
            .await
    }
}

/// A fleet whose connections are open; see [`Fleet::connect`]. Clones share them.
///
/// A connection that was lost is not made again: its host is an error from then on, which says whether the command was sent. Dropping the
/// last clone closes the connections in the background.
#[derive(Debug, Clone)]
pub struct OpenFleet(Fleet);

impl OpenFleet {
    /// As [`Fleet::exec`].
    ///
    /// # Errors
    /// As [`Fleet::exec`].
    pub async fn exec(&self, command: impl Into<Command>) -> Result<Vec<Outcome>> {
        self.0.exec(command).await
    }

    /// As [`Fleet::script`].
    ///
    /// # Errors
    /// As [`Fleet::exec`].
    pub async fn script(&self, script: &Script) -> Result<Vec<Outcome>> {
        self.0.script(script).await
    }

    /// As [`Fleet::start`].
    ///
    /// # Errors
    /// As [`Fleet::exec`].
    pub fn start(&self, request: impl Fn(&str) -> ExecRequest + Send + 'static) -> Result<FleetRun> {
        self.0.start(request)
    }

    /// As [`Fleet::transfer`].
    ///
    /// # Errors
    /// As [`Fleet::transfer`].
    pub async fn transfer(&self, transfer: Transfer) -> Result<Vec<TransferResult>> {
        self.0.transfer(transfer).await
    }

    /// As [`Fleet::start_transfer`].
    ///
    /// # Errors
    /// As [`Fleet::transfer`].
    pub fn start_transfer(
        &self,
        request: impl Fn(usize) -> Transfer + Send + 'static,
    ) -> Result<FleetTransfer> {
        self.0.start_transfer(request)
    }

    /// The connection to each host, or why there is none; in the order of the hosts.
    pub fn connections(&self) -> impl Iterator<Item = (&str, std::result::Result<&Connection, &Error>)> {
        let kept = self.0.kept.as_deref().unwrap_or_default();
        self.0
            .targets
            .iter()
            .zip(kept)
            .map(|(host, connection)| (host.as_str(), connection.as_ref()))
    }

    /// Ends all connections in good order, for all clones. Commands that are running lose theirs.
    pub async fn close(&self) {
        // Held across the waiting, the iterator would keep the future on one thread.
        let connections: Vec<_> = self
            .connections()
            .filter_map(|(_, open)| open.ok().cloned())
            .collect();
        close_all(connections).await;
    }
}

/// Ends connections in good order.
pub(super) async fn close_all(connections: impl IntoIterator<Item = Connection>) {
    let mut closing = JoinSet::new();
    for connection in connections {
        if closing.len() >= CLOSING {
            closing.join_next().await;
        }
        closing.spawn(async move { connection.close().await });
    }
    while closing.join_next().await.is_some() {}
}
