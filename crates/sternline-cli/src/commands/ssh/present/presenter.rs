//! Whatever way is chosen, it is told what happens and gives what is to be written.

use bytes::Bytes;
use sternline::exec::OutputStream;
use sternline::fleet::{FleetEvent, Outcome};

use super::{Directory, Groups, Json, Lines};
use crate::ui::{Failure, Output, Sink};

/// One of the ways to show a run.
#[derive(Debug)]
pub(in crate::commands::ssh) enum Presenter {
    Lines(Lines),
    Json(Json),
    Groups(Groups),
    Directory(Directory),
}

impl Presenter {
    /// Takes what a host has written. Not cancel-safe, like [`Presenter::whole`] and [`Presenter::next`].
    pub(in crate::commands::ssh) async fn add(
        &mut self,
        index: usize,
        stream: OutputStream,
        bytes: Bytes,
    ) -> Result<(), Failure> {
        let event = |bytes| FleetEvent::Lines { index, stream, bytes };
        match self {
            Self::Lines(lines) => lines.add(index, stream, &bytes),
            Self::Json(json) => {
                json.collector.add(event(bytes)).await;
            }
            Self::Groups(groups) => {
                groups.collector.add(event(bytes)).await;
            }
            Self::Directory(directory) => directory.add(index, stream, bytes),
        }
        Ok(())
    }

    /// The outcome of a host with its output, where that is kept: if not all of it could be, that is a failure.
    pub(in crate::commands::ssh) async fn whole(
        &mut self,
        index: usize,
        outcome: Outcome,
    ) -> Option<Outcome> {
        let collector = match self {
            Self::Json(json) => &mut json.collector,
            Self::Groups(groups) => &mut groups.collector,
            Self::Lines(_) | Self::Directory(_) => return Some(outcome),
        };
        let whole = collector.add(FleetEvent::Done { index, outcome }).await;
        whole.map(|(_, outcome)| outcome)
    }

    /// Takes what became of a host.
    pub(in crate::commands::ssh) fn done(&mut self, index: usize, outcome: Outcome) -> Result<(), Failure> {
        match self {
            Self::Lines(_) => {}
            Self::Json(json) => json.done(index, outcome),
            Self::Groups(groups) => groups.done(index, outcome),
            Self::Directory(directory) => directory.done(index, outcome.ok(), outcome.result.is_ok()),
        }
        Ok(())
    }

    /// What is to be written next, if there is anything now.
    pub(in crate::commands::ssh) async fn next(&mut self) -> Result<Option<(Sink, Bytes)>, Failure> {
        match self {
            Self::Lines(lines) => Ok(lines.next()),
            Self::Json(json) => json.next().await,
            Self::Groups(_) => Ok(None),
            Self::Directory(directory) => Ok(directory.next()),
        }
    }

    /// Writes what can only be written when all hosts have ended, and waits until everything was written.
    pub(in crate::commands::ssh) async fn finish(&mut self, output: &Output) -> Result<(), Failure> {
        if let Self::Groups(groups) = self {
            groups.finish(output).await?;
        }
        Ok(output.finish().await?)
    }

    /// Whether somebody waits for it after the run was cancelled: what is shown as it comes is of no use then.
    pub(in crate::commands::ssh) fn outlives_a_cancel(&self) -> bool {
        !matches!(self, Self::Lines(_))
    }
}
