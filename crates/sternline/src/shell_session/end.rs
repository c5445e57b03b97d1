//! Ending a command before its time: the shell is kept if that is possible.

use std::pin::pin;
use std::time::Duration;

use sternline_proto::framing::FramedOutput;
use tokio::time::{Instant, sleep_until, timeout};

use super::run::{Next, Work};
use crate::connection::{Connection, OtherUser, RemoteEnd};

/// What came of it.
pub(super) struct Ended {
    pub(super) output: FramedOutput,
    /// `None` where there was nothing to end: the command had ended by itself.
    pub(super) remote: Option<RemoteEnd>,
}

/// How long the shell may take to say that the command has ended, once nothing is left of it.
const SETTLING: Duration = Duration::from_secs(1);

/// How long the server may take to close the channel of a shell that was ended.
const CLOSING: Duration = Duration::from_secs(1);

/// Ends a command and gives the turn back, with the shell if it could be kept.
pub(super) async fn end(
    connection: &Connection,
    mut work: Work,
    other: Option<OtherUser>,
    stalled: bool,
) -> Ended {
    let sessions = connection.sessions();
    if work.read_what_waits().await {
        return work.keep_shell(None);
    }
    if stalled && !sessions.lives_after_stall().await {
        let reason = "the server gives no sign of life".to_owned();
        return work.give_up_shell(RemoteEnd::MaySurvive(reason));
    }
    let (ids, order) = (work.shell.ids, work.shell.order);
    let asked = Instant::now();
    let remote = {
        let mut ending = pin!(sessions.end_under(ids, other.as_ref()));
        work.read_until_settled(&mut ending).await
    };
    if work.output.status().is_some() {
        return work.keep_shell(Some(remote));
    }
    // A server that has not said a word meanwhile would not do so a second time.
    if remote != RemoteEnd::Ended && sessions.session().link().last_heard() < asked {
        return work.give_up_shell(remote);
    }
    // It runs in the shell itself, or the shell has not heard all of it.
    let remote = sessions
        .end_remote(order, work.shell.channel.sender(), other.as_ref())
        .await;
    let _ = timeout(CLOSING, work.shell.channel.sender().ended()).await;
    work.give_up_shell(remote)
}

impl Work {
    /// Whether the command turns out to have ended.
    async fn read_what_waits(&mut self) -> bool {
        /// A command that goes on writing has not.
        const PIECES: usize = 4096;
        for _ in 0..PIECES {
            if !self.shell.channel.has_unread() {
                break;
            }
            let incoming = self.shell.channel.next().await;
            if let Some(Next::Ended(_)) = self.take(incoming) {
                return true;
            }
        }
        false
    }

    /// Goes on reading until the command was ended, and then until the shell has said so or it has taken too long.
    async fn read_until_settled(
        &mut self,
        ending: &mut (impl Future<Output = RemoteEnd> + Unpin),
    ) -> RemoteEnd {
        let mut remote = None;
        let mut until = None;
        let mut reading = true;
        loop {
            tokio::select! {
                ended = &mut *ending, if remote.is_none() => {
                    remote = Some(ended);
                    until = Some(Instant::now() + SETTLING);
                }
                () = reached(until) => reading = false,
                incoming = self.shell.channel.next(), if reading => {
                    reading = !matches!(self.take(incoming), Some(Next::Ended(_) | Next::Gone));
                }
            }
            if let (Some(remote), false) = (&remote, reading) {
                return remote.clone();
            }
        }
    }

    fn keep_shell(mut self, remote: Option<RemoteEnd>) -> Ended {
        self.state.shell = Some(self.shell);
        Ended {
            output: self.output,
            remote,
        }
    }

    fn give_up_shell(self, remote: RemoteEnd) -> Ended {
        Ended {
            output: self.output,
            remote: Some(remote),
        }
    }
}

async fn reached(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
