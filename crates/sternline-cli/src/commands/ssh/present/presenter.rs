//! Whatever way is chosen, it is told what happens and gives what is to be written.

use bytes::Bytes;
use sternline::fleet::FleetEvent;

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
    /// Takes what has happened. Not cancel-safe, like [`Presenter::next`].
    pub(in crate::commands::ssh) async fn add(&mut self, event: FleetEvent) -> Result<(), Failure> {
        match (self, event) {
            (Self::Lines(lines), FleetEvent::Lines { index, stream, bytes }) => {
                lines.add(index, stream, &bytes);
                Ok(())
            }
            (Self::Json(json), event) => {
                json.add(event).await;
                Ok(())
            }
            (Self::Groups(groups), event) => {
                groups.add(event).await;
                Ok(())
            }
            (Self::Directory(directory), FleetEvent::Lines { index, stream, bytes }) => {
                directory.add(index, stream, bytes)
            }
            (Self::Directory(directory), FleetEvent::Done { index, outcome }) => {
                directory.done(index, outcome.ok(), outcome.result.is_ok())
            }
            _ => Ok(()),
        }
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
