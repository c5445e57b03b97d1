//! One connection, and the SFTP channels on it.

use std::sync::Arc;
use std::time::Duration;

use sternline_proto::files::{Direction, channels, depth};
use tokio::sync::OnceCell;
use tokio::time::timeout;

use crate::connection::Connection;
use crate::error::{Error, Result};
use crate::transfer::renewal::was_lost;
use crate::transfer::sftp::Sftp;
use crate::transfer::shell::{RemoteShell, Tools, probe};

/// What may be on its way at once on the shortest way, in bytes, over all files and channels.
const LEAST_IN_FLIGHT: u128 = 24 * 1024 * 1024;

/// What may be on its way at once at most.
const MOST_IN_FLIGHT: u128 = 64 * 1024 * 1024;

/// How many channels there may be beside the first one.
const FURTHER: usize = 7;

/// How long the server's shell is waited for, which only makes things faster or better.
const PATIENCE: Duration = Duration::from_secs(5);

/// One connection, with the SFTP channels on it that everybody shares who works with a place.
#[derive(Debug)]
pub(super) struct Line {
    sftp: Sftp,
    /// Channels beside that one, opened when a file is first large enough for them.
    further: [OnceCell<Sftp>; FURTHER],
    /// What the server's shell has, once somebody has asked; `None` without a shell.
    tools: OnceCell<Option<Tools>>,
}

impl Line {
    pub(super) async fn open(connection: &Connection) -> Result<Arc<Self>> {
        let sftp = connection.sftp().await?;
        sftp.bound_in_flight(bound(sftp.round_trip()));
        Ok(Arc::new(Self {
            sftp,
            further: Default::default(),
            tools: OnceCell::new(),
        }))
    }

    /// The channel for everything but the content of large files.
    pub(super) fn sftp(&self) -> &Sftp {
        &self.sftp
    }

    /// Whether an operation has failed because the connection was lost, and for no reason of its own.
    pub(super) fn was_lost(&self, error: &Error) -> bool {
        was_lost(self.sftp.connection(), error)
    }

    /// What can be done by commands.
    pub(super) async fn tools(&self) -> Result<Option<&Tools>> {
        let probing = || async {
            // A server that grants one session only has given it to SFTP.
            let probed = timeout(PATIENCE, probe(self.sftp.connection())).await;
            Ok(match probed.ok().transpose()? {
                Some(RemoteShell::Posix(tools)) => Some(tools),
                Some(RemoteShell::None(_)) | None => None,
            })
        };
        self.tools.get_or_try_init(probing).await.map(Option::as_ref)
    }

    /// How many reads fill the way.
    pub(super) fn reads_at_once(&self) -> usize {
        depth(self.sftp.round_trip(), self.chunk())
    }

    /// What one request may carry in either direction.
    pub(super) fn chunk(&self) -> usize {
        let sizes = self.sftp.sizes();
        sizes.read.min(sizes.write)
    }

    /// How many channels beside the first one a file of this size is worth.
    pub(super) fn further_for(&self, direction: Direction, size: u64) -> usize {
        channels(direction, self.sftp.round_trip(), size).saturating_sub(1)
    }

    /// A channel beside the first one, opened once for all who ask for this one. `None` where the connection's sessions are
    /// in use, or the server grants no more of them.
    pub(super) async fn further(&self, which: usize) -> Option<&Sftp> {
        let opening = || async { self.sftp.beside().await.ok_or(()) };
        self.further.get(which)?.get_or_try_init(opening).await.ok()
    }
}

/// What fills a way at 1.3 GB/s, so that memory is only used where it is of use.
fn bound(round_trip: Duration) -> usize {
    let fills = round_trip.as_micros().saturating_mul(1300);
    usize::try_from(fills.clamp(LEAST_IN_FLIGHT, MOST_IN_FLIGHT)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn less_is_on_its_way_where_the_way_is_short() {
        const MIB: usize = 1024 * 1024;
        for (millis, expected) in [(0, 24 * MIB), (1, 24 * MIB), (30, 39_000_000), (52, 64 * MIB)] {
            assert_eq!(bound(Duration::from_millis(millis)), expected, "{millis} ms");
        }
        assert_eq!(bound(Duration::MAX), 64 * MIB);
    }
}
