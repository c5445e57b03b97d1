//! The time limit of a call.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::error::{Error, ErrorKind, Result, seconds};

/// How long a call may take, from when it began.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    pub(super) began: Instant,
    /// `None` beyond what the clock can express.
    at: Option<Instant>,
    length: Duration,
}

impl Limit {
    pub(super) fn begin(length: Duration) -> Self {
        let began = Instant::now();
        Self {
            began,
            at: began.checked_add(length),
            length,
        }
    }

    /// How much time is left.
    pub(super) fn left(&self) -> Duration {
        self.at
            .map_or(Duration::MAX, |at| at.saturating_duration_since(Instant::now()))
    }

    /// Waits for something that comes before the command is sent, as long as there is time.
    pub(super) async fn keep<T>(&self, otherwise: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
        let Some(at) = self.at else {
            return work.await;
        };
        timeout_at(at, work).await.unwrap_or_else(|_| {
            Err(Error::new(
                ErrorKind::CommandTimeout,
                format!(
                    "the command did not start within {}: {otherwise}",
                    seconds(self.length)
                ),
            )
            .with_hint("raise the time limit, or find out why the host takes so long"))
        })
    }

    /// An error about what was left of the time also says how much there was.
    pub(super) fn in_all(&self, error: Error) -> Error {
        let all = seconds(self.length);
        let is_about_less = *error.kind() == ErrorKind::CommandTimeout
            && !error.to_string().contains(&format!("within {all}"));
        if is_about_less {
            error.within(&format!("the call had {all} in all"))
        } else {
            error
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_of_the_time_is_told_with_all_of_it() {
        let limit = Limit::begin(Duration::from_secs(2));
        let error = |kind, message: &str| limit.in_all(Error::new(kind, message)).to_string();
        assert_eq!(
            error(ErrorKind::CommandTimeout, "the command did not end within 1.8 s"),
            "the call had 2 s in all: the command did not end within 1.8 s"
        );
        for (kind, message) in [
            (ErrorKind::CommandTimeout, "the command did not end within 2 s"),
            (ErrorKind::OutputOverflow, "the command wrote more"),
        ] {
            assert_eq!(error(kind, message), message);
        }
    }
}
