//! Whether an SSH server answers, without logging in.

use std::sync::Arc;

use super::builder::ConnectionBuilder;
use super::open::destination;
use super::reach::{on_this_way, reach};
use crate::deadline::PhaseClock;
use crate::error::Result;
use crate::transport::greeting::greeting;
use crate::transport::link::Link;

impl ConnectionBuilder {
    /// Goes as far as a server's first message, and hangs up. The server is told nothing but what this side calls itself.
    /// Cancel-safe.
    ///
    /// # Errors
    /// As [`ConnectionBuilder::connect`], as far as it goes.
    pub(crate) async fn probe(&self) -> Result<()> {
        let env = self.environment();
        let destination = destination(self, &env)?;
        let link = Arc::new(Link::new(PhaseClock::start(self.first_phase())));
        let work = Box::pin(async {
            let reached = reach(self, &env, &destination, &link).await?;
            // The jump host has to stay until the server was seen.
            let _jump = reached.jump;
            greeting(reached.stream, &link).await
        });
        link.clock.guard(&self.deadlines, work).await.map_err(|error| {
            on_this_way(error, self).at(&destination.host, destination.port, &destination.username)
        })
    }
}
