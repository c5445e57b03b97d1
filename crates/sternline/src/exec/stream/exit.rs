//! How a streamed command has ended, and what is not known about that.

use std::time::SystemTime;

use sternline_proto::text::escape;

use super::{StreamExec, Telling};
use crate::connection::RemoteEnd;
use crate::deadline::Phase;
use crate::error::{Error, ErrorKind, SendState};
use crate::event::unix_millis;
use crate::exec::item::{Exit, StreamData, StreamEvent};
use crate::exec::result::ExitStatus;

impl StreamExec {
    /// The one exit event.
    pub(super) fn exit(&mut self) -> StreamEvent {
        self.done = true;
        self.ending.stop_feeding();
        let exit = match (self.ending.take_cause(), self.refused, self.status.take()) {
            (Some(cause), _, status) => {
                let remote = self.ended.take().unwrap_or(RemoteEnd::Ended);
                cause.exit(remote, status, self.sent())
            }
            (None, true, _) => Exit::Failed(
                Error::new(ErrorKind::Channel, "the server refused to run the command")
                    .in_phase(Phase::Exec)
                    .with_hint("the account or key may be restricted (ForceCommand, a forwarding-only key)"),
            ),
            // Servers tell the status when the command exits, and its last output may still be on the way then.
            (None, false, Some(status)) if self.cut_off => Exit::Failed(self.incomplete(&status)),
            (None, false, Some(status)) => Exit::Status(status),
            (None, false, None) => Exit::Failed(self.vanished()),
        };
        let exit = match exit {
            Exit::Failed(error) => Exit::Failed(self.connection.locate(error)),
            exit => exit,
        };
        if self.telling == Telling::Here {
            self.report(Some(&exit));
            self.end_recording(Some(&exit));
        }
        StreamEvent {
            timestamp: unix_millis(SystemTime::now()),
            data: StreamData::Exit(exit),
        }
    }

    /// How far the command got, where nothing more is known.
    fn sent(&self) -> SendState {
        match self.confirmed {
            true => SendState::Ran,
            false => SendState::MayHaveRun,
        }
    }

    /// The connection was lost after the command had exited, but before all its output had arrived.
    fn incomplete(&self, status: &ExitStatus) -> Error {
        let ended = match status {
            ExitStatus::Code(code) => format!("status {code}"),
            ExitStatus::Signal { name, .. } => format!("signal {}", escape(name)),
        };
        let lost = self.sessions.session().link().lost();
        lost.within(&format!(
            "the command ended with {ended}, but some of its output may be missing"
        ))
        .with_hint(
            "the command has run: fetch what it wrote in another way, or run it again if that does no harm",
        )
        .in_phase(Phase::Exec)
        .with_sent(SendState::Ran)
    }

    /// The channel ended without a status.
    fn vanished(&self) -> Error {
        let link = self.sessions.session().link();
        let error = if link.has_ended() {
            link.lost().with_hint(if self.confirmed {
                "the command had started and may have finished or still run: check before you run it again"
            } else {
                "the command may or may not have started: check before you run it again"
            })
        } else {
            Error::new(
                ErrorKind::NoExitStatus,
                "the server closed the command's channel without an exit status",
            )
            .with_hint(
                "the server may have been stopped, or the command ended by something other than itself",
            )
        };
        error.in_phase(Phase::Exec).with_sent(self.sent())
    }
}
