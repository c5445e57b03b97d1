//! Putting the output of each host together.

use std::collections::HashMap;
use std::sync::Arc;

use super::kept::Growing;
use super::store::{OutputLimits, Store};
use crate::error::SendState;
use crate::exec::OutputStream;
use crate::fleet::outcome::{FleetEvent, Outcome};

/// Takes the events of a [`FleetRun`](crate::fleet::FleetRun) and gives outcomes with their output.
///
/// However many hosts there are and however much they write, memory and open files stay bounded: see [`OutputLimits`].
///
/// ```no_run
/// # async fn example(fleet: sternline::Fleet) -> sternline::Result<()> {
/// use sternline::ExecRequest;
/// use sternline::fleet::Collector;
///
/// let mut run = fleet.start(|_host| ExecRequest::from("dmesg"))?;
/// let mut collector = Collector::default();
/// while let Some(event) = run.next().await {
///     if let Some((_index, outcome)) = collector.add(event).await {
///         println!("{}: {} bytes", outcome.host, outcome.stdout.len());
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Collector {
    store: Arc<Store>,
    growing: HashMap<usize, Both>,
}

/// The two streams of a host.
#[derive(Debug)]
struct Both {
    stdout: Growing,
    stderr: Growing,
}

impl Default for Collector {
    fn default() -> Self {
        Self::new(OutputLimits::default())
    }
}

impl Collector {
    /// One that has nothing yet.
    #[must_use]
    pub fn new(limits: OutputLimits) -> Self {
        Self {
            store: Store::new(limits),
            growing: HashMap::new(),
        }
    }

    /// Takes an event. At a host's end it gives the host's place in the list, and the outcome with its output.
    ///
    /// Not cancel-safe: what this event brought may be lost, and the outcome is an error then.
    pub async fn add(&mut self, event: FleetEvent) -> Option<(usize, Outcome)> {
        match event {
            FleetEvent::Started { .. } => None,
            FleetEvent::Lines { index, stream, bytes } => {
                let store = &self.store;
                let both = self.growing.entry(index).or_insert_with(|| Both {
                    stdout: Growing::new(store),
                    stderr: Growing::new(store),
                });
                match stream {
                    OutputStream::Stdout => both.stdout.push(&bytes).await,
                    OutputStream::Stderr => both.stderr.push(&bytes).await,
                }
                None
            }
            FleetEvent::Done { index, mut outcome } => {
                if let Some(both) = self.growing.remove(&index) {
                    let (stdout, stdout_failed) = both.stdout.finish().await;
                    let (stderr, stderr_failed) = both.stderr.finish().await;
                    (outcome.stdout, outcome.stderr) = (stdout, stderr);
                    // Why a command failed is more important than what it wrote before.
                    if let (Ok(result), Some(lost)) = (&outcome.result, stdout_failed.or(stderr_failed)) {
                        let ended = format!(
                            "the command ended with {}, but not all of its output is kept",
                            result.status
                        );
                        outcome.result = Err(lost.within(&ended).with_sent(SendState::Ran));
                    }
                }
                Some((index, outcome))
            }
        }
    }
}
