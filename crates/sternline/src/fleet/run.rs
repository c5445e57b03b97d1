//! A command on all hosts.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::builder::Fleet;
use super::drive::{Asked, Control, drive};
use super::host::Host;
use super::outcome::{FleetEvent, Outcome};
use super::output::{Collector, OutputLimits};
use crate::connection::ConnectionBuilder;
use crate::error::Result;
use crate::exec::{Command, ExecRequest, Script};

/// Events that wait for [`FleetRun::next`]. When as many wait, the hosts' output is held back.
const WAITING: usize = 64;

impl Fleet {
    /// Runs a command on all hosts and waits for the last one. The outcomes stand in the order of the hosts.
    ///
    /// Output is kept in memory, and much of it in a file: see [`Fleet::output_limits`]. Dropping the future ends the commands
    /// in the background.
    ///
    /// # Errors
    /// When there are no hosts, or a share of them is none; nothing was done then. What goes wrong on a host is in its outcome.
    pub async fn exec(&self, command: impl Into<Command>) -> Result<Vec<Outcome>> {
        let command = command.into();
        let run = self.start(move |_| ExecRequest::new(command.clone()))?;
        Ok(run.outcomes().await)
    }

    /// Runs a script of this machine on all hosts, as [`Fleet::exec`] runs a command.
    ///
    /// # Errors
    /// As [`Fleet::exec`].
    pub async fn script(&self, script: &Script) -> Result<Vec<Outcome>> {
        let script = script.clone();
        Ok(self.start(move |_| script.request())?.outcomes().await)
    }

    /// Starts a command on all hosts and gives what happens as it happens. `request` is called with each host once
    /// its turn has come.
    ///
    /// Must be called in a tokio runtime, like everything else that connects.
    ///
    /// # Errors
    /// As [`Fleet::exec`].
    pub fn start(&self, request: impl Fn(&str) -> ExecRequest + Send + 'static) -> Result<FleetRun> {
        let plan = self.plan()?;
        let (events, receiver) = mpsc::channel(WAITING);
        let (control, pace) = (Control::new(), self.pace());
        let (fleet, asked) = (self.clone(), control.clone());
        let work = move |index, skipped: Option<super::rules::Skipped>| {
            let (events, any_status, shells) = (events.clone(), fleet.any_status, fleet.shells.clone());
            let name = fleet.target(index).to_owned();
            let begun = skipped.is_none().then(|| {
                let mut request = request(&name);
                if let Some(password) = &fleet.sudo_password {
                    request = request.sudo_password(password.clone());
                }
                (
                    request,
                    fleet.way(index, &asked, &pace, ConnectionBuilder::single_command),
                )
            });
            async move {
                match (begun, skipped) {
                    (Some((request, way)), _) => {
                        let host = Host {
                            index,
                            name,
                            events,
                            way,
                            any_status,
                            shells,
                        };
                        host.run(request).await
                    }
                    (None, skipped) => {
                        if let Some(why) = skipped {
                            let outcome = Outcome::new(&name, Err(why.error()));
                            let _ = events.send(FleetEvent::Done { index, outcome }).await;
                        }
                        false
                    }
                }
            }
        };
        let driver = tokio::spawn(drive(plan, control.clone(), self.deadline, work));
        Ok(FleetRun {
            targets: Arc::clone(&self.targets),
            output: self.output.clone(),
            events: receiver,
            control,
            driver,
        })
    }
}

/// Ends a [`FleetRun`] or a [`FleetTransfer`](super::FleetTransfer) from another task or thread.
#[derive(Debug, Clone)]
pub struct FleetCanceller(pub(super) Control);

impl FleetCanceller {
    /// Begins no further host; those that are running go on.
    pub fn stop(&self) {
        self.0.ask(Asked::Stop);
    }

    /// As [`FleetCanceller::stop`], and ends those that are running.
    pub fn cancel(&self) {
        self.0.ask(Asked::Cancel);
    }
}

/// A run that was started. Dropping it ends the commands in the background.
#[derive(Debug)]
pub struct FleetRun {
    targets: Arc<[String]>,
    output: OutputLimits,
    events: mpsc::Receiver<FleetEvent>,
    control: Control,
    driver: JoinHandle<()>,
}

impl FleetRun {
    /// The next event; `None` after the last host's [`FleetEvent::Done`]. Cancel-safe.
    ///
    /// A slow caller slows no host: what arrives meanwhile is kept as [`StreamExec`](crate::StreamExec) keeps it.
    pub async fn next(&mut self) -> Option<FleetEvent> {
        self.events.recv().await
    }

    /// Waits for the end, and gives the outcomes in the order of the hosts, with their output.
    pub async fn outcomes(mut self) -> Vec<Outcome> {
        let mut collector = Collector::new(self.output.clone());
        let mut outcomes: Vec<Option<Outcome>> = self.targets.iter().map(|_| None).collect();
        while let Some(event) = self.next().await {
            if let Some((index, outcome)) = collector.add(event).await
                && let Some(slot) = outcomes.get_mut(index)
            {
                *slot = Some(outcome);
            }
        }
        let outcomes = outcomes.into_iter().zip(self.targets.iter());
        outcomes
            .map(|(outcome, host)| outcome.unwrap_or_else(|| Outcome::lost(host)))
            .collect()
    }

    /// How much output [`FleetRun::outcomes`] keeps, and where: see [`Fleet::output_limits`].
    pub(crate) fn output_limits(&self) -> OutputLimits {
        self.output.clone()
    }

    /// A handle that stops or cancels this run from elsewhere.
    #[must_use]
    pub fn canceller(&self) -> FleetCanceller {
        FleetCanceller(self.control.clone())
    }

    /// Begins no further host; those that are running go on. Keep calling [`FleetRun::next`] until the end: hosts that were
    /// not begun have an outcome that says so, see [`Outcome::skipped`].
    pub fn stop(&self) {
        self.control.ask(Asked::Stop);
    }

    /// Asks for the end: as [`FleetRun::stop`], and running commands are ended on their hosts. Their outcomes are errors of
    /// kind [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled), which say how far they got.
    pub fn cancel(&self) {
        self.control.ask(Asked::Cancel);
    }
}

impl Drop for FleetRun {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
