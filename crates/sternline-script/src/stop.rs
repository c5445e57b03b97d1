//! Ending a script from outside: a person's Ctrl-C, or a time limit.

use std::fmt;
use std::time::Duration;

use tokio::sync::watch;

/// Why a script has to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// A person asked for it with Ctrl-C, or something else did.
    Interrupted,
    /// The signal TERM asked for it.
    Terminated,
    /// It took longer than it may.
    TimedOut(Duration),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interrupted => f.write_str("interrupted"),
            Self::Terminated => f.write_str("terminated"),
            Self::TimedOut(limit) => write!(f, "the script took longer than {limit:?}"),
        }
    }
}

/// Tells a script to end, wherever it is: in a loop of its own, or waiting for a host. Clones are the same.
#[derive(Debug, Clone)]
pub struct Stop(watch::Sender<Option<Why>>);

impl Default for Stop {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl Stop {
    /// Has the script end. The first reason stays.
    pub fn stop(&self, why: Why) {
        self.0.send_if_modified(|now| {
            let first = now.is_none();
            now.get_or_insert(why);
            first
        });
    }

    /// Why it had to end, which is forgotten: for what follows an end, such as deferred functions and the next line of a REPL.
    pub fn take(&self) -> Option<Why> {
        self.0.send_replace(None)
    }

    /// Why it has to end, if it has to.
    #[must_use]
    pub fn why(&self) -> Option<Why> {
        *self.0.borrow()
    }

    /// Waits until it has to end. Cancel-safe.
    pub async fn stopped(&self) -> Why {
        let mut watched = self.0.subscribe();
        match watched.wait_for(Option::is_some).await {
            Ok(why) => why.unwrap_or(Why::Interrupted),
            // Not while `self` is there, for it sends.
            Err(_) => Why::Interrupted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_stays_until_it_is_taken() {
        let stop = Stop::default();
        let same = stop.clone();
        assert_eq!(stop.why(), None);
        stop.stop(Why::TimedOut(Duration::from_secs(2)));
        stop.stop(Why::Interrupted);
        assert_eq!(same.why(), Some(Why::TimedOut(Duration::from_secs(2))));
        assert_eq!(same.take(), Some(Why::TimedOut(Duration::from_secs(2))));
        assert_eq!((stop.why(), stop.take()), (None, None));
    }
}
