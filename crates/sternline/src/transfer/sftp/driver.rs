//! The task behind a session: sends what is posted, delivers what is answered, and says why it has ended.

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use sternline_proto::sftp::{ClientPacket, Deframer, FrameError, Hello, ServerPacket, VERSION};
use sternline_proto::text::{escape, escape_bytes};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::session::Session;
use crate::connection::{Connection, Start};
use crate::deadline::Phase;
use crate::error::{Error, ErrorKind, Result, SendState};
use crate::transport::channel::{Channel, ChannelSender, Incoming, OutputStream};

/// Up to here small packets are sent together.
const BATCH: usize = 32 * 1024;

/// How much of what the server writes to its standard error is kept for an error's message.
const STDERR_KEPT: usize = 1024;

/// How long the server may take to close the channel after it or this side has said all.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);

/// Starts the server's `sftp` subsystem on a channel, and the task that serves it. Gives what the server has said of
/// itself.
pub(super) async fn start(
    connection: &Connection,
    channel: Channel,
    beside: Option<&Session>,
) -> Result<(Arc<Session>, Hello)> {
    let sessions = connection.sessions();
    let limit = sessions.open_limit();
    let starting = async {
        sessions
            .start(&channel, Start::Subsystem("sftp"), &[], None)
            .await?;
        let mut init = BytesMut::new();
        let packet = ClientPacket::Init(Hello::new(&[]));
        packet
            .encode(&mut init)
            .map_err(|error| violation(error.to_string()))?;
        // sshd opens the window when it has started the subsystem, and never if it has none: listen meanwhile.
        let sending = async {
            // If it fails the channel has ended, which is what the other one finds.
            let _ = channel.sender().data(init.freeze()).await;
            Ok(())
        };
        let mut input = Input::new(&channel, connection);
        let (hello, ()) = tokio::try_join!(input.hello(), sending)?;
        Ok((hello, input.into_rest()))
    };
    let (hello, rest) = match timeout(limit, starting).await {
        Ok(started) => started?,
        Err(_) => {
            return Err(Error::phase_timeout(Phase::Transfer, limit, false)
                .with_sent(SendState::MayHaveRun)
                .with_hint("the server accepts SFTP and then says nothing: see its log"));
        }
    };
    let (sender, queue) = mpsc::unbounded_channel();
    let session = Session::new(connection.clone(), sender, beside);
    tokio::spawn(drive(channel, rest, queue, Arc::downgrade(&session)));
    Ok((session, hello))
}

/// Until nobody uses the session any more, or it cannot go on.
async fn drive(channel: Channel, rest: Rest, queue: mpsc::UnboundedReceiver<Bytes>, session: Weak<Session>) {
    let Some(connection) = session.upgrade().map(|session| session.connection().clone()) else {
        return;
    };
    let mut input = Input {
        channel: &channel,
        connection: &connection,
        rest,
    };
    tokio::select! {
        error = input.deliver(&session) => {
            if let Some(session) = session.upgrade() {
                session.end(error);
            }
        }
        () = send(queue, channel.sender()) => {
            // Everything was sent. It is better that the server closes: its session is then known to be free.
            let _ = channel.sender().eof().await;
            let _ = timeout(CLOSE_PATIENCE, async { while channel.next().await.is_some() {} }).await;
        }
    }
}

/// Ends when there is nobody left who could post anything. A channel that has ended is the other direction's business.
async fn send(mut queue: mpsc::UnboundedReceiver<Bytes>, sender: &ChannelSender) {
    let mut batch = BytesMut::new();
    while let Some(packet) = queue.recv().await {
        let mut next = Some(packet);
        while let Some(packet) = next {
            if batch.len() + packet.len() > BATCH && !batch.is_empty() {
                give(sender, batch.split().freeze()).await;
            }
            if packet.len() > BATCH {
                give(sender, packet).await;
            } else {
                batch.extend_from_slice(&packet);
            }
            next = queue.try_recv().ok();
        }
        if !batch.is_empty() {
            give(sender, batch.split().freeze()).await;
        }
    }
}

async fn give(sender: &ChannelSender, bytes: Bytes) {
    if sender.data(bytes).await.is_err() {
        std::future::pending().await
    }
}

/// What was read and not used yet, and what is known of the server's end.
#[derive(Default)]
struct Rest {
    deframer: Deframer,
    arrived: Bytes,
    stderr: Vec<u8>,
    exit: Option<String>,
}

/// The packets that the server sends.
struct Input<'a> {
    channel: &'a Channel,
    connection: &'a Connection,
    rest: Rest,
}

impl<'a> Input<'a> {
    fn new(channel: &'a Channel, connection: &'a Connection) -> Self {
        Self {
            channel,
            connection,
            rest: Rest::default(),
        }
    }

    fn into_rest(self) -> Rest {
        self.rest
    }

    /// The server's first packet.
    async fn hello(&mut self) -> Result<Hello> {
        match self.packet().await? {
            ServerPacket::Version(hello) if hello.version == VERSION => Ok(hello),
            ServerPacket::Version(hello) => Err(violation(format!(
                "the server speaks SFTP version {}, and only version {VERSION} is supported",
                hello.version
            ))),
            ServerPacket::Response { .. } => Err(violation("the server's first SFTP packet is no VERSION")),
        }
    }

    /// Delivers answers until that is impossible, and says why.
    async fn deliver(&mut self, session: &Weak<Session>) -> Error {
        loop {
            let packet = match self.packet().await {
                Ok(packet) => packet,
                Err(error) => return error,
            };
            let Some(session) = session.upgrade() else {
                // Nobody waits for anything; what was posted last is still being sent.
                continue;
            };
            match packet {
                ServerPacket::Response { id, response } => {
                    if !session.deliver(id, response) {
                        return violation(format!("the server answered a request {id} that was never made"));
                    }
                }
                ServerPacket::Version(_) => return violation("the server said its SFTP version twice"),
            }
        }
    }

    async fn packet(&mut self) -> Result<ServerPacket> {
        loop {
            match self.rest.deframer.take(&mut self.rest.arrived) {
                Ok(Some(packet)) => {
                    return ServerPacket::decode(packet)
                        .map_err(|error| violation(format!("the server violates SFTP: {error}")));
                }
                Ok(None) => self.arrive().await?,
                Err(error) => return Err(not_sftp(error)),
            }
        }
    }

    /// Waits for more bytes.
    async fn arrive(&mut self) -> Result<()> {
        let mut ending = false;
        loop {
            let next = self.channel.next();
            let incoming = if ending {
                timeout(CLOSE_PATIENCE, next).await.ok().flatten()
            } else {
                next.await
            };
            match incoming {
                Some(Incoming::Data {
                    stream: OutputStream::Stdout,
                    bytes,
                    ..
                }) => {
                    self.rest.arrived = bytes;
                    return Ok(());
                }
                Some(Incoming::Data { bytes, .. }) => {
                    let room = STDERR_KEPT.saturating_sub(self.rest.stderr.len());
                    self.rest.stderr.extend(bytes.iter().take(room));
                }
                Some(Incoming::Reply(true)) => {}
                Some(Incoming::Reply(false)) => return Err(no_subsystem()),
                Some(Incoming::ExitStatus(code)) => self.rest.exit = Some(format!("exit status {code}")),
                Some(Incoming::ExitSignal { name, .. }) => {
                    self.rest.exit = Some(format!("signal {}", escape(&name)));
                }
                Some(Incoming::Eof) => ending = true,
                Some(Incoming::Overflow(reason)) => {
                    return Err(Error::new(ErrorKind::OutputOverflow, reason).in_phase(Phase::Transfer));
                }
                None if self.channel.sender().was_lost() => {
                    let lost = self.connection.sessions().session().link().settled_loss().await;
                    return Err(lost.in_phase(Phase::Transfer));
                }
                None => return Err(ended(self.rest.exit.as_deref(), &self.rest.stderr)),
            }
        }
    }
}

/// The server's program has ended, or its channel.
fn ended(exit: Option<&str>, stderr: &[u8]) -> Error {
    let said = escape_bytes(stderr.trim_ascii());
    let message = format!(
        "the SFTP server on the other side ended ({}){}{said}",
        exit.unwrap_or("without an exit status"),
        if said.is_empty() { "" } else { ": " },
    );
    Error::new(ErrorKind::Channel, message)
        .in_phase(Phase::Transfer)
        .with_hint(match exit {
            // A shell's word for a program that is not there.
            Some("exit status 127") => {
                "the server's SFTP program is missing: install it there (openssh-sftp-server)"
            }
            _ => "see the server's log, and the Subsystem line of its configuration",
        })
}

fn no_subsystem() -> Error {
    Error::new(ErrorKind::Channel, "the server has no sftp subsystem")
        .in_phase(Phase::Transfer)
        .with_hint(
            "add `Subsystem sftp internal-sftp` to its sshd_config; the account or key may also be restricted (ForceCommand)",
        )
}

fn not_sftp(error: FrameError) -> Error {
    violation(format!("the server violates SFTP: {error}")).with_hint(
        "a forced command or a shell start-up file may print something where only SFTP may speak: make it silent there",
    )
}

fn violation(message: impl AsRef<str>) -> Error {
    Error::new(ErrorKind::Channel, message)
        .in_phase(Phase::Transfer)
        .with_hint("report it to whoever makes that server")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_the_servers_program_is_told_with_its_last_words() {
        for (exit, stderr, message, hint) in [
            (
                Some("exit status 127"),
                &b"ash: /usr/libexec/sftp-server: not found\n"[..],
                "(exit status 127): ash: /usr/libexec/sftp-server: not found",
                "is missing",
            ),
            (Some("signal KILL"), b"\x1b[2J", "(signal KILL): \\x1b[2J", "log"),
            (None, b"", "(without an exit status)", "log"),
        ] {
            let error = ended(exit, stderr);
            assert!(error.to_string().ends_with(message), "{error}");
            assert!(error.hint().contains(hint), "{}", error.hint());
        }
    }
}
