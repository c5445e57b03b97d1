//! What is known of the host, found out once.

use std::sync::Arc;
use std::time::Duration;

use sternline_proto::sandbox::{HostFacts, Unsuitable, parse_probe};
use tokio::sync::Mutex;

use crate::connection::Connection;
use crate::error::{Error, Result, SendState};
use crate::exec::{Command, ExecRequest, Exit};
use crate::sandbox::gather;
use crate::sandbox::look::{Look, PROBE_BYTES};
use crate::sandbox::refusal::unsuitable;

/// How long the look may take; it takes a tenth of a second.
const PATIENCE: Duration = Duration::from_secs(30);

/// The facts of one host, as long as no connection to it has died: after that it may be another one, or have been changed.
pub(super) struct Host {
    look: Look,
    known: Mutex<Option<Known>>,
}

struct Known {
    facts: Arc<HostFacts>,
    /// How many connections had died when it was found out.
    lost: u64,
}

impl Host {
    pub(super) fn new(look: Look) -> Self {
        Self {
            look,
            known: Mutex::default(),
        }
    }

    /// The facts, found out over this connection if need be. Who comes meanwhile waits for the same look. What makes a host
    /// unsuitable is not kept: it may have been mended.
    ///
    /// Cancel-safe: the next one who waits then looks.
    pub(super) async fn facts(&self, connection: &Connection, lost: u64) -> Result<Arc<HostFacts>> {
        let mut known = self.known.lock().await;
        if let Some(known) = known.as_ref().filter(|known| known.lost == lost) {
            return Ok(Arc::clone(&known.facts));
        }
        *known = None;
        let probe = self.look.command();
        let request = ExecRequest::new(Command::shell(probe.line))
            .stdin(probe.prefix)
            .shown_as("sandbox: look at the host".to_owned())
            .timeout(PATIENCE);
        // Whatever became of the look: nothing of the command was sent.
        let not_sent = |error: Error| error.with_sent(SendState::NotSent);
        let stream = connection.stream_exec(request).await.map_err(not_sent)?;
        let looked = gather::stream(stream, PROBE_BYTES).await;
        let facts = match looked.exit {
            _ if looked.overflowed => Err(Unsuitable::NotRun {
                output: format!("it wrote more than {PROBE_BYTES} bytes"),
            }),
            Exit::Failed(error) => return Err(not_sent(error)),
            _ => parse_probe(&String::from_utf8_lossy(&looked.output.stdout)),
        };
        let facts = Arc::new(facts.map_err(|why| connection.locate(unsuitable(&why)))?);
        *known = Some(Known {
            facts: Arc::clone(&facts),
            lost,
        });
        Ok(facts)
    }

    /// What is known may no longer hold.
    pub(super) fn forget(&self) {
        // Who looks just now finds out the present state anyway.
        if let Ok(mut known) = self.known.try_lock() {
            *known = None;
        }
    }
}
