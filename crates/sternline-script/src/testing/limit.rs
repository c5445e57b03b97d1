//! How long a part of a test may take.

use std::future::pending;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::session::Session;
use crate::stop::{Stop, Why};

/// Stops the session's script after a time, or when somebody outside wants everything to end.
pub(super) struct Limit<'a> {
    session: &'a Session,
    watch: JoinHandle<()>,
}

impl<'a> Limit<'a> {
    pub(super) fn begin(session: &'a Session, time: Option<Duration>, outer: Option<&Stop>) -> Self {
        let (stop, outer) = (session.stop().clone(), outer.cloned());
        let watch = session.runtime().spawn(async move {
            let outside = async {
                match outer {
                    Some(outer) => outer.stopped().await,
                    None => pending().await,
                }
            };
            let late = async {
                match time {
                    Some(time) => {
                        tokio::time::sleep(time).await;
                        Why::TimedOut(time)
                    }
                    None => pending().await,
                }
            };
            let why = tokio::select! {
                why = outside => why,
                why = late => why,
            };
            stop.stop(why);
        });
        Self { session, watch }
    }

    /// Ends it, and says why the script was told to end, if it was. What follows is not told any more.
    pub(super) fn end(self) -> Option<Why> {
        self.watch.abort();
        // Once it has ended it stops nobody any more.
        let _ = self.session.runtime().block_on(self.watch);
        self.session.stop().take()
    }
}
