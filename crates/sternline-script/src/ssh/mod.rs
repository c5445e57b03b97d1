//! The `ssh` module.

mod client;

pub(crate) use client::Client;

use starlark::environment::GlobalsBuilder;

use crate::outcome::with_try;

/// Adds the module `ssh`. Test servers and keys belong to it in test mode only.
pub(crate) fn register(builder: &mut GlobalsBuilder, _test_mode: bool) {
    builder.namespace("ssh", |builder| {
        with_try(builder, client::register);
    });
}
