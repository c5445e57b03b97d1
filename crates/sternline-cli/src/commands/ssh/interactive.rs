//! A command or shell in a terminal of its own, joined to ours.

use std::future::pending;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use sternline::StreamExec;
use sternline::exec::StdinWriter;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::escape::{Escapes, HELP, Typed};
use super::output::{Ended, copy};
use crate::history::Recording;
use crate::ui::{Failure, Output, Signals, terminal};

/// Joins the terminals until the other side ends, `~.` is typed, or a signal comes. Ours is then as it was before.
pub(super) async fn relay(
    mut stream: StreamExec,
    recording: &mut Recording,
    signals: &mut Signals,
) -> Result<Ended, Failure> {
    let unusable = |error: io::Error| Failure::local(format!("cannot use the terminal: {error}"));
    let Some(writer) = stream.take_stdin().map(Arc::new) else {
        return Err(Failure::local("the session takes no input"));
    };
    let resized = signal(SignalKind::window_change()).map_err(unusable)?;
    let _raw = terminal::raw(io::stdin()).map_err(unusable)?;

    let (typed, to_send) = mpsc::unbounded_channel();
    let (disconnect, disconnected) = oneshot::channel();
    // Ends both tasks when this function is left.
    let mut tasks = JoinSet::new();
    tasks.spawn(read(typed, disconnect));
    tasks.spawn(send(to_send, Arc::clone(&writer)));

    let output = Output::start()?;
    let copied = async {
        let exit = copy(&mut stream, &output, recording).await?;
        output.finish().await.map(|()| exit)
    };
    tokio::select! {
        outcome = copied => Ok(match outcome {
            Ok(exit) => Ended::Exit(exit),
            Err(why) => Ended::Unwritten { why, exit: None },
        }),
        Ok(()) = disconnected => Ok(Ended::Disconnected),
        signal = signals.next() => Ok(Ended::Interrupted { signal, exit: None }),
        () = follow_size(resized, &writer) => Ok(Ended::Disconnected),
    }
}

/// Reads the keyboard. Never waits for the other side, so that `~.` is seen even when that has stopped listening.
async fn read(typed: mpsc::UnboundedSender<Bytes>, disconnect: oneshot::Sender<()>) {
    let mut keyboard = tokio::io::stdin();
    let mut escapes = Escapes::new();
    let mut chunk = vec![0; 4096];
    loop {
        // The end of the input is a terminal that has gone away.
        let read = keyboard.read(&mut chunk).await.unwrap_or_default();
        let bytes = chunk.get(..read).unwrap_or_default();
        if bytes.is_empty() {
            break;
        }
        for found in escapes.read(bytes) {
            match found {
                Typed::Send(bytes) => {
                    let _ = typed.send(bytes.into());
                }
                Typed::Help => {
                    let mut screen = tokio::io::stderr();
                    let _ = screen.write_all(HELP.as_bytes()).await;
                    let _ = screen.flush().await;
                }
                Typed::Disconnect => {
                    let _ = disconnect.send(());
                    return;
                }
            }
        }
    }
    let _ = disconnect.send(());
}

async fn send(mut typed: mpsc::UnboundedReceiver<Bytes>, writer: Arc<StdinWriter>) {
    while let Some(bytes) = typed.recv().await {
        if writer.write(bytes).await.is_err() {
            return;
        }
    }
}

/// Tells the other side whenever our terminal has changed its size. Never ends.
async fn follow_size(mut resized: Signal, writer: &StdinWriter) {
    while resized.recv().await.is_some() {
        if let Some((columns, rows)) = terminal::size(io::stdin()) {
            let _ = writer.resize(columns, rows).await;
        }
    }
    pending().await
}
