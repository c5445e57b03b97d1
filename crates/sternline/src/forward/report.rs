//! What is told of a forward: FORWARD events.

use serde_json::{Map, Value};
use sternline_proto::forward::{BindAddress, ConnectAddress, ForwardIntent, ListenAddress, Side};

use crate::event::{Emitter, EventType};

/// Emits a FORWARD event with the keys of its intent, and the given ones.
pub(super) fn forward(emitter: &Emitter, intent: &ForwardIntent, status: &str, more: &[(&str, Value)]) {
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    put("status", status.into());
    put("forward_type", intent.forward_type().as_str().into());
    // "Local" and "remote" are the two ends of the SSH connection, whichever of them listens.
    let (listens, connects) = match intent.listener {
        Side::Local => ("local", "remote"),
        Side::Remote => ("remote", "local"),
    };
    match &intent.listen {
        ListenAddress::Tcp { bind, port } => {
            let host = match bind {
                BindAddress::Loopback => "localhost",
                BindAddress::All => "*",
                BindAddress::Address(address) => address,
            };
            put(&format!("{listens}_host"), host.into());
            put(&format!("{listens}_port"), (*port).into());
        }
        ListenAddress::Unix { path } => {
            put(&format!("{listens}_path"), path.as_str().into());
        }
    }
    match &intent.connect {
        Some(ConnectAddress::Tcp { host, port }) => {
            put(&format!("{connects}_host"), host.as_str().into());
            put(&format!("{connects}_port"), (*port).into());
        }
        Some(ConnectAddress::Unix { path }) => {
            put(&format!("{connects}_path"), path.as_str().into());
        }
        None => {}
    }
    for (name, value) in more {
        put(name, value.clone());
    }
    emitter.emit(EventType::Forward, fields.into());
}
