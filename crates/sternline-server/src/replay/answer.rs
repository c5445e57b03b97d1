//! One command, answered as it was recorded.

use std::time::Duration;

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};
use sternline_proto::evidence::{RecordedCommand, RecordedInput};
use sternline_proto::remote_process;
use sternline_proto::sudo::SudoRequest;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, sleep_until};

use super::note::{ReplayNote, shown};
use super::session::Replay;
use crate::exec::{Control, ControlEvents, ExecRequest, ExitOutcome, Reply};
use crate::stdin::Stdin;

/// Bytes of input read at a time.
const CHUNK: usize = 32 * 1024;
/// What a shell says of a command that it does not know.
const NOT_FOUND: u32 = 127;

/// Answers the request from the recording, or says that it is not there.
pub(crate) async fn answer(mut request: ExecRequest, replay: Replay) -> ExitOutcome {
    let mut asked = request.command_text().into_owned();
    // What is put round a command that answers sudo is random, so the recording has the command alone.
    if let Some(sudo) = request.command.as_deref().and_then(SudoRequest::of) {
        asked = String::from_utf8_lossy(&sudo.command).into_owned();
        ask_for_password(&mut request, &sudo).await;
    }
    let Some(take) = replay.take(&asked) else {
        return lacking(request, asked, &replay).await;
    };
    for (stream, output) in [("stdout", &take.stdout), ("stderr", &take.stderr)] {
        if let Some(note) = ReplayNote::truncated(&asked, stream, output) {
            replay.note(note);
        }
    }
    if let Some(error) = &take.error {
        replay.note(ReplayNote::Unfinished {
            command: asked.clone(),
            error: error.clone(),
        });
    }
    let ExecRequest {
        stdin,
        mut stdout,
        mut stderr,
        control,
        alive: _alive,
        ..
    } = request;
    let played = async {
        let due = Instant::now().checked_add(duration(&take));
        // A write fails only when the channel is gone; nobody is left to tell.
        let output = async {
            let _ = stdout.write_all(&take.stdout.data).await;
            let _ = stderr.write_all(&take.stderr.data).await;
        };
        let (_, given) = tokio::join!(output, read(stdin, &take.stdin));
        if given != take.stdin {
            replay.note(ReplayNote::OtherInput {
                command: asked,
                recorded: take.stdin.clone(),
                given,
            });
        }
        if let Some(due) = due.filter(|_| replay.keeps_timing()) {
            sleep_until(due).await;
        }
        end(&take).await
    };
    // Whatever a command was recorded to do, a signal ends it.
    tokio::select! {
        outcome = played => outcome,
        name = signalled(control) => ExitOutcome::signal(name),
    }
}

/// Asks as sudo does, and takes any password, so that the client sees its command start.
async fn ask_for_password(request: &mut ExecRequest, sudo: &SudoRequest) {
    let terminal = request.pty.is_some();
    let output = match terminal {
        true => &mut request.stdout,
        false => &mut request.stderr,
    };
    let _ = output.write_all(sudo.prompt.as_bytes()).await;
    while !matches!(request.stdin.read_u8().await, Ok(b'\n' | b'\r') | Err(_)) {}
    let _ = output.write_all(sudo.ready.as_bytes()).await;
}

/// Says that the recording has no such command.
async fn lacking(request: ExecRequest, asked: String, replay: &Replay) -> ExitOutcome {
    let text = format!(
        "sternline: the recording has no such command: {}\n",
        shown(&asked)
    );
    // What the library runs to end a command on the host belongs to no recording. It is told that it cannot.
    if asked != remote_process::SHELL {
        replay.note(ReplayNote::Missing { command: asked });
    }
    Reply::new("", text, NOT_FOUND).send(request).await
}

/// Reads what a command is given: to its end, or until it has read as much as when it was recorded, for then it ended. What had
/// no input gets none.
async fn read(mut stdin: Stdin, recorded: &RecordedInput) -> RecordedInput {
    let mut bytes = 0;
    let mut hash = Sha256::new();
    let mut chunk = vec![0; CHUNK];
    while bytes < recorded.bytes {
        // Unread input that could not be kept ends it too; then it is another one.
        let Ok(count @ 1..) = stdin.read(&mut chunk).await else {
            break;
        };
        hash.update(chunk.get(..count).unwrap_or_default());
        bytes += count as u64;
    }
    RecordedInput {
        bytes,
        // A recording without a hash has nothing to compare.
        sha256: recorded
            .sha256
            .is_some()
            .then(|| HEXLOWER.encode(&hash.finalize())),
    }
}

fn duration(take: &RecordedCommand) -> Duration {
    Duration::try_from_secs_f64(take.duration_ms / 1000.0).unwrap_or_default()
}

/// How the command ended. One that the client gave up goes on for ever.
async fn end(take: &RecordedCommand) -> ExitOutcome {
    match (&take.signal, take.exit_code, &take.error) {
        (Some(name), _, _) => ExitOutcome::signal(name),
        (None, Some(code), _) => ExitOutcome::Code(code),
        (None, None, Some(error)) if take.lost_connection() => ExitOutcome::ConnectionLost {
            message: format!("as recorded: {error}"),
        },
        (None, None, Some(_)) if take.was_given_up() => std::future::pending().await,
        (None, None, _) => ExitOutcome::NoStatus,
    }
}

/// The first signal that the client sends.
async fn signalled(mut control: ControlEvents) -> String {
    while let Some(message) = control.next().await {
        if let Control::Signal(name) = message {
            return name;
        }
    }
    std::future::pending().await
}
