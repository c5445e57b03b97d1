//! `sternline serve --replay`: a recorded host, and what its recording lacks.

use std::path::Path;

use sternline::proto::target::check_user;
use sternline::proto::text::escape;
use sternline_server::replay::Replay;

use crate::ui::{Failure, Ui};

/// Reads the bundle. What is worth knowing about each answer is told as it is given.
pub(super) fn load(path: &Path, timing: bool, ui: &Ui) -> Result<Replay, Failure> {
    let replay = Replay::from_file(path).map_err(|error| {
        Failure::local(error.to_string()).with_hint("give a file that --evidence has written")
    })?;
    if replay.commands().is_empty() {
        let path = escape(&path.to_string_lossy());
        return Err(
            Failure::local(format!("{path} holds no recorded commands")).with_hint(
                "`sternline ssh --evidence FILE --record-output HOST COMMAND` records what a host answers",
            ),
        );
    }
    let ui = *ui;
    let replay = replay.on_note(move |note| ui.warning(&note.to_string()));
    Ok(if timing { replay.keep_timing() } else { replay })
}

/// Says who is replayed, and what is not the same.
pub(super) fn introduce(replay: &Replay, user: &str, own_host_key: bool, ui: &Ui) {
    let count = match replay.commands().len() {
        1 => "1 command".to_owned(),
        count => format!("{count} commands"),
    };
    let server = match replay.identification() {
        Some(name) => format!(" of {}", escape(name)),
        None => String::new(),
    };
    ui.line(&format!("Replaying {count}{server}."));
    // It may be copied, so it has to be a name and nothing else.
    let other = |recorded: &&str| *recorded != user && check_user(recorded).is_ok();
    if let Some(recorded) = replay.username().filter(other) {
        ui.line(&format!(
            "The recorded user is {recorded}: give --user {recorded} to let that one in."
        ));
    }
    if !own_host_key {
        ui.line("The host key is new, for a recording does not hold the host's own.");
    }
}

/// What the recording could answer, and what it could not.
pub(super) fn summarise(replay: &Replay, ui: &Ui) {
    ui.line(&format!("Answered from the recording: {}", replay.answered()));
    let missing = replay.missing();
    if missing.is_empty() {
        return;
    }
    ui.line("Not in the recording, so record them too, or give --answer:");
    for command in missing {
        let command = match command.as_str() {
            "" => "(interactive shell)".to_owned(),
            command => escape(command),
        };
        ui.line(&format!("  {command}"));
    }
}
