//! One `scp` on its channel.

use std::future::pending;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use sternline_proto::scp::Record;
use sternline_proto::text::escape_bytes;
use tokio::task::spawn_blocking;
use tracing::debug;

use super::command::{Direction, ScpCommand};
use super::peer::{Ending, Peer};
use super::{sink, source};
use crate::exec::{ExecRequest, ExitOutcome};
use crate::fault::Cut;
use crate::files::{FileAction, FileTree, Served};

/// What both directions work on.
pub(super) struct Files {
    served: Arc<Served>,
    user: String,
    /// Bytes of files that have passed.
    moved: u64,
}

impl Files {
    /// Does something with the files, off the runtime.
    pub(super) async fn off_the_runtime<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn FileTree) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let served = self.served.clone();
        // It fails only when the work panicked, or the runtime ends.
        spawn_blocking(move || work(served.tree.as_ref()))
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)))
    }

    /// What a fault makes of it when a file has been moved so far.
    pub(super) fn moved(&mut self, bytes: u64) -> Result<(), Ending> {
        self.moved += bytes;
        match self.served.faults.cut(self.moved) {
            Some(cut) => Err(Ending::Cut(cut)),
            None => Ok(()),
        }
    }

    /// Names that directories have by a fault.
    pub(super) fn false_names(&self) -> Vec<Bytes> {
        self.served.faults.names()
    }

    pub(super) fn tell(&self, path: &[u8], action: FileAction) {
        self.served
            .log
            .add(&self.user, Bytes::copy_from_slice(path), action);
    }
}

/// Receives or sends files, as the command says. It exits with 1 if anything failed, as scp does.
pub(crate) async fn serve(command: ScpCommand, request: ExecRequest, served: Arc<Served>) -> ExitOutcome {
    let ExecRequest {
        user,
        peer: from,
        stdin,
        stdout,
        alive,
        ..
    } = request;
    let mut peer = Peer::new(stdin, stdout);
    let mut files = Files {
        served,
        user,
        moved: 0,
    };
    let done = match command.direction {
        Direction::Sink => sink::receive(&mut peer, &mut files, &command).await,
        Direction::Source => source::send(&mut peer, &mut files, &command).await,
    };
    drop(alive);
    match done {
        Ok(()) if !peer.failed => ExitOutcome::SUCCESS,
        Ok(()) | Err(Ending::GaveUp) => ExitOutcome::Code(1),
        Err(Ending::Cut(Cut::Stall)) => pending().await,
        Err(Ending::Cut(Cut::Close)) => ExitOutcome::Code(1),
        Err(ending) => {
            debug!(peer = %from, %ending, "scp ended by the server");
            // Nobody is left to tell when that fails.
            let text = format!("scp: {ending}");
            let _ = peer.say(&Record::Fatal(text.into())).await;
            ExitOutcome::Code(1)
        }
    }
}

/// A path and what is wrong with it, in the words that the system has for it.
pub(super) fn describe(path: &[u8], error: &io::Error) -> String {
    let path = escape_bytes(path);
    match error.kind() {
        io::ErrorKind::NotFound => format!("{path}: No such file or directory"),
        io::ErrorKind::PermissionDenied => format!("{path}: Permission denied"),
        io::ErrorKind::NotADirectory => format!("{path}: Not a directory"),
        io::ErrorKind::StorageFull => format!("{path}: No space left on device"),
        _ => format!("{path}: {error}"),
    }
}

/// An entry of a directory as a path.
pub(super) fn join(dir: &[u8], name: &[u8]) -> Vec<u8> {
    match dir {
        [.., b'/'] => [dir, name].concat(),
        _ => [dir, b"/", name].concat(),
    }
}
