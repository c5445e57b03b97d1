//! Supervisors for tests: how often they try, and waiting for what they come to.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::time::Duration;

use sternline::connection::SupervisorStatus;
use sternline::{ConnectionBuilder, ConnectionState, RetryPolicy, Supervisor};
use tokio::time::timeout;

pub(crate) const SOON: Duration = Duration::from_secs(20);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// Retries that follow one another quickly.
pub(crate) fn quick(max_retries: u32) -> RetryPolicy {
    RetryPolicy {
        max_retries,
        base_delay: Duration::from_millis(10),
        max_delay: Duration::from_millis(40),
        ..RetryPolicy::default()
    }
}

/// Retries that nobody lives to see.
pub(crate) fn slow() -> RetryPolicy {
    RetryPolicy {
        base_delay: HOUR,
        max_delay: HOUR,
        ..RetryPolicy::default()
    }
}

pub(crate) async fn start(settings: ConnectionBuilder, policy: RetryPolicy) -> Supervisor {
    Supervisor::builder(settings).retry(policy).start().await.unwrap()
}

pub(crate) async fn until(
    supervisor: &Supervisor,
    wanted: impl FnMut(&SupervisorStatus) -> bool,
) -> SupervisorStatus {
    let mut status = supervisor.watch();
    let reached = timeout(SOON, status.wait_for(wanted)).await;
    reached
        .unwrap_or_else(|_| panic!("{supervisor:?}"))
        .unwrap()
        .clone()
}

pub(crate) async fn reconnected(supervisor: &Supervisor, count: u32) {
    until(supervisor, |status| {
        status.reconnection_count == count && status.connection.is_some()
    })
    .await;
}

pub(crate) async fn state(supervisor: &Supervisor, wanted: ConnectionState) -> SupervisorStatus {
    until(supervisor, |status| status.state == wanted).await
}
