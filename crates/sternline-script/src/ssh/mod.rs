//! The `ssh` module.

mod arguments;
mod client;
mod config;
mod connect;
mod connect_config;
mod dialogue;
mod exec;
mod failure;
mod forward;
mod hosts;
mod one;
mod permit;
mod result;
mod rules;
mod settings;
mod test_key;
mod test_server;
mod transfer;
mod work;

use starlark::environment::GlobalsBuilder;

pub(crate) use client::Client;
pub(crate) use dialogue::Dialogue;
pub(crate) use failure::HostsFailed;
pub(crate) use forward::Forward;
pub(crate) use result::{SshResult, SshTransferResult};
pub(crate) use test_key::{RunKeys, TestKey};
pub(crate) use test_server::{ServedFile, TestServer};

use crate::outcome::with_try;

/// Adds the module `ssh`. Test servers and keys belong to it in test mode only.
pub(crate) fn register(builder: &mut GlobalsBuilder, test_mode: bool) {
    builder.namespace("ssh", |builder| {
        with_try(builder, |builder| {
            config::register(builder);
            if test_mode {
                test_server::register(builder);
                test_key::register(builder);
            }
        });
    });
}
