//! From settings to a byte stream that leads to the host's SSH server.

use std::sync::Arc;

use super::builder::ConnectionBuilder;
use super::handle::Connection;
use super::open::Destination;
use super::proxy::Via;
use crate::config::Env;
use crate::deadline::Phase;
use crate::error::{Error, ErrorKind, Result};
use crate::transport::dial::dial;
use crate::transport::link::Link;
use crate::transport::relay::ByteStream;

/// What leads to the server.
pub(super) struct Reached {
    pub(super) stream: Box<dyn ByteStream>,
    /// What the stream needs to go on.
    pub(super) jump: Option<Connection>,
}

/// Goes whatever way the settings name.
pub(super) async fn reach(
    builder: &ConnectionBuilder,
    env: &Env,
    destination: &Destination,
    link: &Arc<Link>,
) -> Result<Reached> {
    match &builder.via {
        None => {
            let stream = dial(
                &*builder.resolver,
                &destination.address,
                destination.port,
                builder.bind_address,
                link,
            )
            .await?;
            Ok(Reached {
                stream: Box::new(stream),
                jump: None,
            })
        }
        Some(Via::Jump(jump)) => {
            let (stream, jump) = jump.reach(destination, &link.clock, link).await?;
            Ok(Reached {
                stream: Box::new(stream),
                jump: Some(jump),
            })
        }
        Some(Via::Command(command)) => {
            let stream = command.start(destination, env, builder.prompter.is_some(), link)?;
            Ok(Reached {
                stream: Box::new(stream),
                jump: None,
            })
        }
    }
}

/// Adds to an error what the way has to do with it.
pub(super) fn on_this_way(error: Error, builder: &ConnectionBuilder) -> Error {
    let Some(via) = &builder.via else {
        return error;
    };
    let timed_out = *error.kind() == ErrorKind::ConnectionTimeout && error.context().hop.is_none();
    let error = match (via, error.phase()) {
        (Via::Jump(jump), Some(Phase::Proxy)) if timed_out => jump.too_slow(builder.deadlines.overall),
        (Via::Jump(jump), Some(Phase::Tcp)) if timed_out => error.with_hint(format!(
            "check the address and the port, and any firewall between {jump} and there"
        )),
        (Via::Command(_), Some(Phase::Banner)) if timed_out => error.with_hint(
            "the proxy command runs and has sent nothing: check where it leads, and whether it waits for an answer",
        ),
        _ => error,
    };
    via.facts()
        .into_iter()
        .fold(error, |error, (name, value)| error.with_extra(&name, value))
}
