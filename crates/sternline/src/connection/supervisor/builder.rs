//! The settings of a supervisor, and its start.

use std::sync::Arc;

use sternline_proto::backoff::RetryPolicy;

use super::handle::Supervisor;
use super::surroundings::{Surroundings, System};
use super::task;
use crate::connection::ConnectionBuilder;
use crate::error::{Error, ErrorKind, Result};

/// What is to be supervised, and how often it is tried again; see [`Supervisor::builder`].
#[must_use]
pub struct SupervisorBuilder {
    settings: ConnectionBuilder,
    retry: RetryPolicy,
    surroundings: Arc<dyn Surroundings>,
}

impl SupervisorBuilder {
    pub(super) fn new(settings: ConnectionBuilder) -> Self {
        Self {
            settings,
            retry: RetryPolicy::default(),
            surroundings: Arc::new(System),
        }
    }

    /// How often a connection that cannot be made is tried again, and after which delays. Default
    /// [`RetryPolicy::default`]: three times, after 1, 2 and 4 seconds and a little.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    #[cfg(test)]
    pub(super) fn surroundings(mut self, surroundings: Arc<dyn Surroundings>) -> Self {
        self.surroundings = surroundings;
        self
    }

    /// Connects, and tries again as the policy says. Cancel-safe: dropping the future closes what was opened.
    ///
    /// # Errors
    /// What made the last attempt fail; `connect_attempts` in its context says how many were made. Only network errors
    /// are tried again. Before the first connection a missing network is one of them: it looks like a wrong name.
    pub async fn start(self) -> Result<Supervisor> {
        let supervisor = self.launch()?;
        if supervisor.wait_connected(None).await {
            Ok(supervisor)
        } else {
            Err(supervisor.refusal())
        }
    }

    /// Begins to connect in the background, and gives the handle at once, so that the first attempts can be watched
    /// too. Has to be called within a tokio runtime, as [`SupervisorBuilder::start`].
    ///
    /// # Errors
    /// When the retry policy makes no sense.
    pub fn launch(self) -> Result<Supervisor> {
        self.retry.check().map_err(|error| {
            Error::new(
                ErrorKind::Invalid,
                format!("the retry policy is not usable: {error}"),
            )
        })?;
        Ok(task::launch(
            watched(self.settings),
            self.retry,
            self.surroundings,
        ))
    }
}

/// Without probes a connection that has died silently would never be missed.
fn watched(mut settings: ConnectionBuilder) -> ConnectionBuilder {
    settings.keepalive.get_or_insert_default();
    settings
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::connection::KeepaliveConfig;

    #[test]
    fn keepalive_is_on_unless_it_was_set_otherwise() {
        let unset = watched(ConnectionBuilder::from("h"));
        assert_eq!(unset.keepalive, Some(KeepaliveConfig::default()));
        let own = KeepaliveConfig {
            interval: Duration::from_secs(5),
            ..KeepaliveConfig::default()
        };
        let set = watched(ConnectionBuilder::from("h").keepalive(own));
        assert_eq!(set.keepalive, Some(own));
    }

    #[test]
    fn the_retry_policy_is_the_default_one_unless_another_is_given() {
        assert_eq!(Supervisor::builder("h").retry, RetryPolicy::default());
        let policy = RetryPolicy {
            max_retries: 7,
            ..RetryPolicy::default()
        };
        assert_eq!(Supervisor::builder("h").retry(policy.clone()).retry, policy);
    }

    #[tokio::test]
    async fn a_policy_that_makes_no_sense_is_refused_before_anything_is_tried() {
        let policy = RetryPolicy {
            base_delay: Duration::ZERO,
            ..RetryPolicy::default()
        };
        let error = Supervisor::builder("h").retry(policy).start().await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Invalid);
        assert!(error.to_string().contains("base_delay"), "{error}");
    }
}
