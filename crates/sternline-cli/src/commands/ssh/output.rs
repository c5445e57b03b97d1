//! Passing a running command's output on, until it ends or somebody stops it.

use sternline::exec::{Exit, OutputStream, StreamData};
use sternline::{ErrorKind, StreamEvent, StreamExec};

use crate::history::Recording;
use crate::ui::{Failure, Output, Signals, Unwritten};

/// How the command came to an end.
pub(super) enum Ended {
    /// By itself, or by its time limit, or with its connection.
    Exit(Exit),
    /// A signal asked us to stop; the command was ended, unless that took too long for whoever asked.
    Interrupted { signal: u8, exit: Option<Exit> },
    /// Its output could not be written; the command was ended.
    Unwritten { why: Unwritten, exit: Option<Exit> },
    /// `~.` was typed.
    Disconnected,
}

/// Writes a command's output as it comes, byte for byte.
///
/// The first signal ends the remote process and waits until that is done; the second one leaves at once.
pub(super) async fn relay(
    mut stream: StreamExec,
    recording: &mut Recording,
    signals: &mut Signals,
) -> Result<Ended, Failure> {
    let output = Output::start()?;
    let stopped = tokio::select! {
        outcome = copy(&mut stream, &output, recording) => match outcome {
            Ok(exit) => return Ok(tokio::select! {
                finished = output.finish() => match finished {
                    Ok(()) => Ended::Exit(exit),
                    Err(why) => Ended::Unwritten { why, exit: Some(exit) },
                },
                signal = signals.next() => Ended::Interrupted { signal, exit: Some(exit) },
            }),
            Err(error) => Stop::Output(error),
        },
        signal = signals.next() => Stop::Signal(signal),
    };
    stream.cancel();
    let exit = tokio::select! {
        exit = drain(&mut stream) => Some(exit),
        _ = signals.next() => None,
    };
    Ok(match (stopped, exit) {
        // Its time was over before, and that says more than that nobody has read to the end.
        (Stop::Output(_), Some(exit)) if is_late(&exit) => Ended::Exit(exit),
        (Stop::Output(why), exit) => Ended::Unwritten { why, exit },
        (Stop::Signal(signal), exit) => Ended::Interrupted { signal, exit },
    })
}

fn is_late(exit: &Exit) -> bool {
    matches!(exit, Exit::Failed(error) if error.kind() == &ErrorKind::CommandTimeout)
}

enum Stop {
    Output(Unwritten),
    Signal(u8),
}

/// Hands over what comes until the exit. A reader of ours that pauses holds up no time limit.
pub(super) async fn copy(
    stream: &mut StreamExec,
    output: &Output,
    recording: &mut Recording,
) -> Result<Exit, Unwritten> {
    loop {
        let (from, bytes) = match next(stream).await {
            StreamData::Stdout(bytes) => (OutputStream::Stdout, bytes),
            StreamData::Stderr(bytes) => (OutputStream::Stderr, bytes),
            StreamData::Exit(exit) => return Ok(exit),
        };
        recording.output(0, from, &bytes);
        stream.meanwhile(output.write(from.into(), bytes)).await?;
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
