//! The `test` module: assertions, and tests that are left out.

/// The test has called `skip`. The runner counts it as left out; elsewhere it is an error as any other, which `try_` catches.
#[derive(Debug, Clone, thiserror::Error)]
#[error("test skipped{}{0}", if .0.is_empty() { "" } else { ": " })]
#[allow(dead_code, reason = "the runner reads it")]
pub(crate) struct Skipped(pub(crate) String);
