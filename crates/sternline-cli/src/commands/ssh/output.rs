//! Passing a running command's output on, until it ends or somebody stops it.

use sternline::exec::{Exit, StreamData};
use sternline::{ErrorKind, StreamEvent, StreamExec};

use crate::ui::{Failure, Output, Signals, Sink, Unwritten};

/// How the command came to an end.
pub(super) enum Ended {
    /// By itself, or by its time limit, or with its connection.
    Exit(Exit),
    /// A signal asked us to stop; the command was ended, unless that took too long for whoever asked.
    Interrupted { signal: u8, exit: Option<Exit> },
    /// `~.` was typed.
    Disconnected,
}

/// Writes a command's output as it comes, byte for byte.
///
/// The first signal ends the remote process and waits until that is done; the second one leaves at once.
pub(super) async fn relay(mut stream: StreamExec, signals: &mut Signals) -> Result<Ended, Failure> {
    let output = Output::start()?;
    let stopped = tokio::select! {
        outcome = copy(&mut stream, &output) => match outcome {
            Ok(exit) => return tokio::select! {
                finished = output.finish() => Ok(finished.map(|()| Ended::Exit(exit))?),
                signal = signals.next() => Ok(Ended::Interrupted { signal, exit: None }),
            },
            Err(error) => Stop::Output(error),
        },
        signal = signals.next() => Stop::Signal(signal),
    };
    stream.cancel();
    let exit = tokio::select! {
        exit = drain(&mut stream) => Some(exit),
        _ = signals.next() => None,
    };
    match (stopped, exit) {
        // Its time was over before, and that says more than that nobody has read to the end.
        (Stop::Output(_), Some(exit)) if is_late(&exit) => Ok(Ended::Exit(exit)),
        (Stop::Output(error), _) => Err(error.into()),
        (Stop::Signal(signal), exit) => Ok(Ended::Interrupted { signal, exit }),
    }
}

fn is_late(exit: &Exit) -> bool {
    matches!(exit, Exit::Failed(error) if error.kind() == &ErrorKind::CommandTimeout)
}

enum Stop {
    Output(Unwritten),
    Signal(u8),
}

/// Hands over what comes until the exit. A reader of ours that pauses holds up no time limit.
pub(super) async fn copy(stream: &mut StreamExec, output: &Output) -> Result<Exit, Unwritten> {
    loop {
        match next(stream).await {
            StreamData::Stdout(bytes) => stream.meanwhile(output.write(Sink::Stdout, bytes)).await?,
            StreamData::Stderr(bytes) => stream.meanwhile(output.write(Sink::Stderr, bytes)).await?,
            StreamData::Exit(exit) => return Ok(exit),
        }
    }
}

/// Waits for the exit; the output is dropped.
async fn drain(stream: &mut StreamExec) -> Exit {
    stream.discard_output();
    loop {
        if let StreamData::Exit(exit) = next(stream).await {
            return exit;
        }
    }
}

/// The next event of a stream that has not given its exit yet.
async fn next(stream: &mut StreamExec) -> StreamData {
    match stream.next().await {
        Some(StreamEvent { data, .. }) => data,
        // Never: the exit comes before the end.
        None => std::future::pending().await,
    }
}
