//! The `ssh` module.

mod client;
mod test_key;
mod test_server;

pub(crate) use client::Client;

use starlark::environment::GlobalsBuilder;

use crate::outcome::with_try;

pub(crate) use test_key::{RunKeys, TestKey};
pub(crate) use test_server::{ServedFile, TestServer};

/// Adds the module `ssh`. Test servers and keys belong to it in test mode only.
pub(crate) fn register(builder: &mut GlobalsBuilder, test_mode: bool) {
    builder.namespace("ssh", |builder| {
        with_try(builder, |builder| {
            client::register(builder);
            if test_mode {
                test_server::register(builder);
                test_key::register(builder);
            }
        });
    });
}
