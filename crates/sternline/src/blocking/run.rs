//! Runs of a fleet, as they go on.

use std::fmt;

use super::connection::Keep;
use super::output::Outcome;
use super::runtime::Runtime;
use crate::error::Result;
use crate::fleet::{
    Collector, FleetCanceller, FleetEvent, FleetRun as Asynchronous, FleetTransfer as AsynchronousTransfer,
};
use crate::transfer::TransferResult;

/// [`FleetRun`](crate::fleet::FleetRun), for callers that wait: an iterator over its events. Or take the outcomes, host by
/// host with [`FleetRun::completed`], or all with [`FleetRun::outcomes`].
///
/// Dropping it ends the commands on their hosts, and waits for that, for six seconds at most.
pub struct FleetRun {
    /// `None` once somebody else has it.
    inner: Option<Asynchronous>,
    canceller: FleetCanceller,
    runtime: Runtime,
    keep: Keep,
}

impl FleetRun {
    pub(super) fn new(inner: Asynchronous, runtime: &Runtime, keep: Keep) -> Self {
        Self {
            canceller: inner.canceller(),
            inner: Some(inner),
            runtime: runtime.clone(),
            keep,
        }
    }

    /// Waits for the end, and gives the outcomes in the order of the hosts, with their output.
    ///
    /// # Errors
    /// Only within an async runtime; the run is ended then.
    pub fn outcomes(mut self) -> Result<Vec<Outcome>> {
        let runtime = self.runtime.clone();
        let outcomes = runtime.run(async {
            match self.inner.take() {
                Some(run) => run.outcomes().await,
                None => Vec::new(),
            }
        })?;
        let outcomes = outcomes.into_iter();
        Ok(outcomes.map(|outcome| Outcome::new(outcome, &runtime)).collect())
    }

    /// The outcomes in the order in which the hosts are done, with their output and each host's place in the list.
    #[must_use]
    pub fn completed(self) -> Completed {
        let limits = self.inner.as_ref().map(Asynchronous::output_limits);
        Completed {
            collector: Collector::new(limits.unwrap_or_default()),
            run: self,
        }
    }

    /// Begins no further host: see [`FleetRun::stop`](crate::fleet::FleetRun::stop).
    pub fn stop(&self) {
        self.canceller.stop();
    }

    /// Asks for the end: see [`FleetRun::cancel`](crate::fleet::FleetRun::cancel).
    pub fn cancel(&self) {
        self.canceller.cancel();
    }

    /// A handle that can do so from another thread.
    #[must_use]
    pub fn canceller(&self) -> FleetCanceller {
        self.canceller.clone()
    }
}

impl Iterator for FleetRun {
    type Item = FleetEvent;

    fn next(&mut self) -> Option<FleetEvent> {
        self.runtime.block(self.inner.as_mut()?.next()).ok()?
    }
}

impl Drop for FleetRun {
    fn drop(&mut self) {
        if let Some(mut run) = self.inner.take() {
            let keep = self.keep.clone();
            self.runtime.finish(async move {
                run.cancel();
                while run.next().await.is_some() {}
                drop(keep);
            });
        }
    }
}

impl fmt::Debug for FleetRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FleetRun").field(&self.inner).finish()
    }
}

/// The outcomes of a run as the hosts are done; see [`FleetRun::completed`].
#[derive(Debug)]
pub struct Completed {
    collector: Collector,
    run: FleetRun,
}

impl Completed {
    /// See [`FleetRun::stop`].
    pub fn stop(&self) {
        self.run.stop();
    }

    /// See [`FleetRun::cancel`].
    pub fn cancel(&self) {
        self.run.cancel();
    }
}

impl Iterator for Completed {
    type Item = (usize, Outcome);

    fn next(&mut self) -> Option<(usize, Outcome)> {
        let runtime = self.run.runtime.clone();
        let run = self.run.inner.as_mut()?;
        let done = runtime.block(async {
            loop {
                if let Some(done) = self.collector.add(run.next().await?).await {
                    return Some(done);
                }
            }
        });
        let (index, outcome) = done.ok()??;
        Some((index, Outcome::new(outcome, &runtime)))
    }
}

/// [`FleetTransfer`](crate::fleet::FleetTransfer), for callers that wait: an iterator over the results as they come, with
/// each host's place in the list.
///
/// Dropping it ends the transfers, and waits for that, for six seconds at most.
pub struct FleetTransfer {
    inner: Option<AsynchronousTransfer>,
    canceller: FleetCanceller,
    runtime: Runtime,
    keep: Keep,
}

impl FleetTransfer {
    pub(super) fn new(inner: AsynchronousTransfer, runtime: &Runtime, keep: Keep) -> Self {
        Self {
            canceller: inner.canceller(),
            inner: Some(inner),
            runtime: runtime.clone(),
            keep,
        }
    }

    /// Begins no further host: see [`FleetTransfer::stop`](crate::fleet::FleetTransfer::stop).
    pub fn stop(&self) {
        self.canceller.stop();
    }

    /// Asks for the end: see [`FleetTransfer::cancel`](crate::fleet::FleetTransfer::cancel).
    pub fn cancel(&self) {
        self.canceller.cancel();
    }

    /// A handle that can do so from another thread.
    #[must_use]
    pub fn canceller(&self) -> FleetCanceller {
        self.canceller.clone()
    }
}

impl Iterator for FleetTransfer {
    type Item = (usize, TransferResult);

    fn next(&mut self) -> Option<(usize, TransferResult)> {
        self.runtime.block(self.inner.as_mut()?.next()).ok()?
    }
}

impl Drop for FleetTransfer {
    fn drop(&mut self) {
        if let Some(mut run) = self.inner.take() {
            let keep = self.keep.clone();
            self.runtime.finish(async move {
                run.cancel();
                while run.next().await.is_some() {}
                drop(keep);
            });
        }
    }
}

impl fmt::Debug for FleetTransfer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FleetTransfer").field(&self.inner).finish()
    }
}
