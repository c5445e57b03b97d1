//! Dynamic forwards: each client says by SOCKS where it wants to go.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use sternline_proto::forward::ConnectAddress;
use sternline_proto::socks::{Handshake, MAX_BUFFERED, ReplyCode, Request, Step};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::time::timeout;

use super::join::LocalStream;
use super::local::open;
use super::source::Source;
use crate::transport::link::Link;
use crate::transport::listener::Incoming;
use crate::transport::relay::{self, ByteStream};
use crate::transport::session::OpenFailure;

/// How long a client may take to say where it wants to go.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(30);

/// Asks the client, has the server connect, answers, and joins.
pub(super) async fn lead(mut stream: LocalStream, from: Option<SocketAddr>, source: &Source) {
    let Some((request, early)) = ask(stream.io()).await else {
        return;
    };
    let opened = tokio::select! {
        biased;
        opened = open(source, target(&request), from) => opened,
        // Nobody is left to open it for.
        () = stream.was_reset() => return,
    };
    match opened {
        Ok(channel) => {
            if answer(stream.io(), &request, ReplyCode::Succeeded).await {
                stream.join(channel, early).await;
            }
        }
        Err(error) => {
            let code = of_refusal(error.and_then(|error| error.refused));
            answer(stream.io(), &request, code).await;
        }
    }
}

/// The same for a client at the server: this side connects.
pub(super) async fn lead_remote(incoming: Incoming, link: &Link) {
    let mut client = relay::stream(incoming.accept().await);
    let Some((request, early)) = ask(&mut client).await else {
        return;
    };
    let to = target(&request);
    let connected = tokio::select! {
        connected = LocalStream::connect(&to) => connected,
        _ = link.ended() => return,
    };
    match connected {
        Ok(mut stream) => {
            let there = stream.io();
            if answer(&mut client, &request, ReplyCode::Succeeded).await
                && there.write_all(&early).await.is_ok()
                && copy_bidirectional(&mut client, there).await.is_err()
            {
                stream.reset();
            }
        }
        Err(error) => {
            answer(&mut client, &request, of_io(&error)).await;
        }
    }
}

fn target(request: &Request) -> ConnectAddress {
    ConnectAddress::Tcp {
        host: request.host().to_owned(),
        port: request.port(),
    }
}

/// The client's request, and what it sent behind it. `None` when it went away, or was sent away.
async fn ask<S: ByteStream + ?Sized>(stream: &mut S) -> Option<(Request, Vec<u8>)> {
    timeout(HANDSHAKE_LIMIT, handshake(stream)).await.ok().flatten()
}

async fn handshake<S: ByteStream + ?Sized>(stream: &mut S) -> Option<(Request, Vec<u8>)> {
    let mut handshake = Handshake::new();
    let mut buffer = [0; MAX_BUFFERED];
    loop {
        let count = stream.read(&mut buffer).await.ok().filter(|count| *count > 0)?;
        let bytes = buffer.get(..count)?;
        match handshake.feed(bytes) {
            Ok(Step::More {
                handshake: next,
                reply,
            }) => {
                stream.write_all(&reply).await.ok()?;
                handshake = next;
            }
            Ok(Step::Request {
                request,
                reply,
                consumed,
            }) => {
                stream.write_all(&reply).await.ok()?;
                return Some((request, bytes.get(consumed..)?.to_vec()));
            }
            Err(refusal) => {
                tracing::debug!(error = %refusal.error, "a SOCKS client was sent away");
                let _ = stream.write_all(&refusal.reply).await;
                return None;
            }
        }
    }
}

/// Whether the answer could be given.
async fn answer<S: ByteStream + ?Sized>(stream: &mut S, request: &Request, code: ReplyCode) -> bool {
    stream.write_all(&request.reply(code)).await.is_ok()
}

/// What a client is told about a server's refusal. `None` is a lost connection.
fn of_refusal(refused: Option<OpenFailure>) -> ReplyCode {
    match refused {
        // sshd does not say why: a refusal is the most common reason.
        Some(OpenFailure::ConnectFailed) => ReplyCode::ConnectionRefused,
        Some(OpenFailure::AdministrativelyProhibited) => ReplyCode::NotAllowed,
        Some(OpenFailure::UnknownChannelType | OpenFailure::ResourceShortage | OpenFailure::Other) | None => {
            ReplyCode::GeneralFailure
        }
    }
}

/// What a client is told when connecting on this side failed.
fn of_io(error: &io::Error) -> ReplyCode {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => ReplyCode::ConnectionRefused,
        io::ErrorKind::NetworkUnreachable => ReplyCode::NetworkUnreachable,
        io::ErrorKind::HostUnreachable => ReplyCode::HostUnreachable,
        io::ErrorKind::TimedOut => ReplyCode::TtlExpired,
        _ => ReplyCode::GeneralFailure,
    }
}
