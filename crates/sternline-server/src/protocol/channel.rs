//! One command on one channel.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use russh::server::Handle;
use russh::{ChannelId, Disconnect, Sig};
use sternline_proto::text::escape;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::task::JoinSet;
use tracing::debug;

use crate::exec::{Commands, ExecRequest, ExitOutcome};
use crate::lifetime::Stop;
use crate::protocol::config::Protocol;

/// Completes when the client has closed the channel or the connection has ended.
pub(crate) type Closed = oneshot::Receiver<Infallible>;

/// What a running command needs beside its request.
pub(crate) struct Job {
    pub(crate) protocol: Arc<Protocol>,
    /// What runs it, and its name when that is a subsystem.
    pub(crate) runs: Commands,
    pub(crate) subsystem: Option<String>,
    pub(crate) client: Handle,
    pub(crate) channel: ChannelId,
    pub(crate) closed: Closed,
    pub(crate) stop: Stop,
    /// One of the connection's sessions.
    pub(crate) slot: OwnedSemaphorePermit,
}

impl Job {
    /// Runs the handler and tells the client how it ended. Ends early, the handler with it, when nobody listens.
    pub(crate) async fn run(mut self, request: ExecRequest) {
        let entry = self
            .protocol
            .log
            .started(&request.user, request.command.clone(), self.subsystem.take());
        let (peer, user) = (request.peer, escape(&request.user));
        // Not the command itself: people write secrets into commands.
        let bytes = request.command.as_ref().map(Bytes::len);
        debug!(%peer, user, bytes, "command started");
        // A task of its own, so that a handler's panic becomes an exit code instead of a channel that never closes.
        let mut handler = JoinSet::new();
        handler.spawn((self.runs)(request));
        let outcome = tokio::select! {
            ended = handler.join_next() => match ended {
                Some(Ok(outcome)) => Some(outcome),
                // It panicked. 255 is what ssh reports for failures of its own.
                _ => Some(ExitOutcome::Code(255)),
            },
            _ = &mut self.closed => None,
            () = self.stop.requested() => None,
        };
        handler.shutdown().await;
        debug!(%peer, user, ?outcome, "command ended");
        let Some(outcome) = outcome else { return };
        self.protocol.log.ended(entry, outcome.clone());
        // Before the client learns of it, or its next command might still find the session taken.
        drop(self.slot);
        tokio::select! {
            // It fails only when the connection is gone.
            _ = tell(&self.client, self.channel, outcome) => {}
            _ = &mut self.closed => {}
        }
    }
}

/// EOF, how it ended, close: the order in which sshd says it.
async fn tell(client: &Handle, channel: ChannelId, outcome: ExitOutcome) -> Result<(), ()> {
    if let ExitOutcome::ConnectionLost { message } = outcome {
        let lost = client.disconnect(Disconnect::ConnectionLost, message, String::new());
        return lost.await.map_err(|_| ());
    }
    client.eof(channel).await?;
    match outcome {
        ExitOutcome::NoStatus | ExitOutcome::ConnectionLost { .. } => {}
        ExitOutcome::Code(code) => client.exit_status_request(channel, code).await?,
        ExitOutcome::Signal {
            name,
            core_dumped,
            message,
        } => {
            let name = Sig::Custom(name);
            client
                .exit_signal_request(channel, name, core_dumped, message, String::new())
                .await?;
        }
    }
    client.close(channel).await
}
