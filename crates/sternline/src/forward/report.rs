//! What is told of a forward: FORWARD events.

use serde_json::{Map, Value};
use sternline_proto::forward::{ConnectAddress, ForwardIntent, ListenAddress, Side};

use crate::event::{Emitter, EventType};

/// Emits a FORWARD event with the keys of its intent, and the given ones.
pub(super) fn forward(emitter: &Emitter, intent: &ForwardIntent, status: &str, more: &[(&str, Value)]) {
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    put("status", status.into());
    put("forward_type", intent.forward_type().as_str().into());
    for (name, host) in [
        ("local_host", intent.local_host()),
        ("remote_host", intent.remote_host()),
    ] {
        if let Some(host) = host {
            put(name, host.into());
        }
    }
    for (name, port) in [
        ("local_port", intent.local_port()),
        ("remote_port", intent.remote_port()),
    ] {
        if let Some(port) = port {
            put(name, port.into());
        }
    }
    let (listens, connects) = match intent.listener {
        Side::Local => ("local_path", "remote_path"),
        Side::Remote => ("remote_path", "local_path"),
    };
    if let ListenAddress::Unix { path } = &intent.listen {
        put(listens, path.as_str().into());
    }
    if let Some(ConnectAddress::Unix { path }) = &intent.connect {
        put(connects, path.as_str().into());
    }
    for (name, value) in more {
        put(name, value.clone());
    }
    emitter.emit(EventType::Forward, fields.into());
}
