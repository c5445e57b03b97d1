//! What there is to say where nothing failed: commands that ended badly, reconnects, or nothing at all.

use super::case::is_same;
use super::explanation::{Finding, Outcome};
use crate::event::{Event, EventType};
use crate::evidence::bundle::EvidenceBundle;
use crate::evidence::entry::{InteractionType, TranscriptEntry};
use crate::evidence::reading::{Facts, counted, millis, shown};

/// A command that ended, as its event tells of it.
struct Ended<'a> {
    event: &'a Event,
    command: String,
    code: Option<u64>,
    signal: Option<String>,
}

/// The outcome of a bundle in which nothing failed, and what to say about it.
pub(super) fn without_failure(bundle: &EvidenceBundle) -> (Outcome, Finding) {
    if let Some(bad) = ended(bundle).into_iter().rev().find(Ended::is_bad) {
        return (Outcome::CommandFailed, command_failed(bundle, &bad));
    }
    if let Some(event) = transfer_failed(bundle) {
        return (Outcome::Failed, transfer(bundle, event));
    }
    let entries = bundle
        .transcript
        .iter()
        .flat_map(|transcript| transcript.entries());
    if let Some(last) = entries
        .last()
        .filter(|entry| entry.interaction_type == InteractionType::Timeout)
    {
        return (Outcome::Failed, waited_in_vain(last));
    }
    let mut history = Finding::default();
    let count = reconnects(bundle, &mut history);
    if count > 0 {
        history.cause = format!(
            "The connection was lost and made again {}, and then worked.",
            counted(count, "time", "times")
        );
        return (Outcome::Recovered, history);
    }
    let trouble = bundle
        .events
        .iter()
        .any(|event| event.event_type == EventType::Error);
    if trouble {
        history.cause = "Connecting failed at first, was tried again, and then went well.".to_owned();
        for event in bundle
            .events
            .iter()
            .filter(|event| event.event_type == EventType::Error)
        {
            let message = Facts(&event.data).text("message").unwrap_or_default();
            history.fact(Some(event.timestamp), format!("Failed: {message}."));
        }
        return (Outcome::Recovered, history);
    }
    if super::progress::only_host_key(&bundle.events) {
        let cause =
            "Nothing went wrong: the server was asked for its host key and showed it; nobody was to log in.";
        return (Outcome::Succeeded, Finding::new(cause));
    }
    if super::progress::connected(&bundle.events) || bundle.timing.auth_end_ms.is_some() {
        return (Outcome::Succeeded, well(bundle));
    }
    let mut finding =
        Finding::new("The bundle shows nothing that failed, but no connection that worked either.");
    finding.fact(
        None,
        format!("It holds {}.", counted(bundle.events.len(), "event", "events")),
    );
    finding.next("Make a bundle of a whole run: `--evidence FILE` on the command that is to be explained.");
    finding.missing("The bundle does not say whether a connection was made.");
    (Outcome::Unknown, finding)
}

fn ended(bundle: &EvidenceBundle) -> Vec<Ended<'_>> {
    let events = bundle
        .events
        .iter()
        .filter(|event| event.event_type == EventType::Exec);
    events
        .map(|event| {
            let facts = Facts(&event.data);
            Ended {
                event,
                command: facts.text("command").unwrap_or_else(|| "the command".to_owned()),
                code: facts.count("exit_code"),
                signal: facts.text("signal"),
            }
        })
        .collect()
}

impl Ended<'_> {
    fn is_bad(&self) -> bool {
        self.signal.is_some() || self.code.is_some_and(|code| code != 0)
    }
}

fn command_failed(bundle: &EvidenceBundle, bad: &Ended<'_>) -> Finding {
    let command = &bad.command;
    let (how, next) = match (&bad.signal, bad.code) {
        (Some(signal), _) => (
            format!("was ended by the signal {signal}"),
            match signal.as_str() {
                "KILL" => "Something ended it by force: look for the kernel's out-of-memory killer (`dmesg`, `journalctl -k`) and for limits of its service.".to_owned(),
                "SEGV" | "ABRT" | "BUS" | "ILL" | "FPE" => "It crashed: look for a core dump (`coredumpctl`) on the host.".to_owned(),
                "PIPE" => "It wrote to something that nobody read any more.".to_owned(),
                _ => "Find out on the host who sent it that signal.".to_owned(),
            },
        ),
        (None, Some(126)) => (
            "could not be run (status 126)".to_owned(),
            "The file was found but may not be executed: check its mode, its file system (noexec) and its first line.".to_owned(),
        ),
        (None, Some(127)) => (
            "was not found (status 127)".to_owned(),
            "Check the spelling and PATH: what a login shell sets up (~/.profile) does not count for commands, unless a login shell runs them (`sh -lc 'COMMAND'`).".to_owned(),
        ),
        (None, Some(code)) if (129..=192).contains(&code) => (
            format!("ended with status {code}, which shells give for the signal {}", code - 128),
            "See what the command wrote, and who might have sent it that signal.".to_owned(),
        ),
        (None, code) => (
            format!("ended with status {}", code.unwrap_or_default()),
            "See what the command wrote to its standard error: the connection is not to blame.".to_owned(),
        ),
    };
    let mut finding = Finding::new(format!("The connection worked; the command `{command}` {how}."));
    let facts = Facts(&bad.event.data);
    let took = facts
        .number("duration_ms")
        .map(|took| format!(" It took {}.", millis(took)))
        .unwrap_or_default();
    finding.fact(Some(bad.event.timestamp), format!("The command ended.{took}"));
    let recorded = bundle
        .commands
        .iter()
        .rev()
        .find(|recorded| is_same(recorded, command));
    match recorded {
        Some(recorded) => {
            let outputs = [
                ("standard error", &recorded.stderr),
                ("standard output", &recorded.stdout),
            ];
            for (name, output) in outputs {
                if let Some(line) = last_line(&output.data) {
                    finding.fact(None, format!("The last line of its {name} was: {line}"));
                }
            }
        }
        None => finding
            .missing("The bundle does not hold what the command wrote: record it with `--record-output`."),
    }
    let others = ended(bundle).iter().filter(|ended| ended.is_bad()).count();
    if others > 1 {
        finding.fact(
            None,
            format!("{others} commands ended like this; this is the last of them."),
        );
    }
    if bad.code == Some(1) && command.starts_with("sudo -n ") {
        finding.next("Sudo was told not to ask (`-n`), and ends like this where it wants a password: `--ask-password` gives it one.");
    }
    finding.next(next);
    finding
}

/// The last line of an output that is not empty.
pub(super) fn last_line(data: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(data);
    let line = text.lines().rev().find(|line| !line.trim().is_empty())?;
    Some(shown(line))
}

fn transfer_failed(bundle: &EvidenceBundle) -> Option<&Event> {
    let ended =
        |event: &&Event| event.event_type == EventType::Transfer && Facts(&event.data).is("event", "ended");
    let last = bundle.events.iter().rev().find(ended)?;
    let failed = Facts(&last.data).count("failed").unwrap_or_default();
    (failed > 0).then_some(last)
}

fn transfer(bundle: &EvidenceBundle, ended: &Event) -> Finding {
    let count = Facts(&ended.data).count("failed").unwrap_or_default();
    let mut finding = Finding::new(format!(
        "The connection worked; {} could not be copied.",
        counted(usize::try_from(count).unwrap_or(usize::MAX), "file", "files")
    ));
    let files = bundle
        .events
        .iter()
        .filter(|event| event.event_type == EventType::Transfer);
    let failed = files.filter(|event| event.data.get("error").is_some_and(|error| !error.is_null()));
    for event in failed.take(10) {
        finding.fact(Some(event.timestamp), crate::evidence::words::describe(event));
    }
    finding.next("See the reason given for each file: it is about that file, not about the connection.");
    finding
}

/// A dialogue that ended with something that did not come.
fn waited_in_vain(entry: &TranscriptEntry) -> Finding {
    let pattern = shown(&entry.content);
    let mut finding = Finding::new(format!(
        "The connection worked; the dialogue on it waited in vain for \"{pattern}\"."
    ));
    finding.fact(
        Some(entry.timestamp_ms),
        format!("The time for it was over after {}.", millis(entry.duration_ms)),
    );
    finding.next("Compare what was written before with the pattern: `sternline evidence show` has both in their order.");
    finding
}

fn well(bundle: &EvidenceBundle) -> Finding {
    let commands = ended(bundle);
    let mut finding = Finding::new(match commands.len() {
        0 => "Nothing went wrong: the connection was made and ended as it should.".to_owned(),
        1 => "Nothing went wrong: the connection was made, and the command on it succeeded.".to_owned(),
        many => format!("Nothing went wrong: the connection was made, and {many} commands on it succeeded."),
    });
    if let Some(took) = bundle.timing.connect_duration_ms() {
        finding.fact(
            bundle.timing.connect_end_ms,
            format!("Connecting took {}, the login included.", millis(took)),
        );
    }
    let slow = bundle
        .timing
        .phases
        .iter()
        .max_by(|one, other| one.duration_ms.total_cmp(&other.duration_ms));
    if let Some(slow) = slow.filter(|slow| slow.duration_ms >= 1000.0) {
        finding.fact(
            None,
            format!(
                "Most of that was {}: {}.",
                shown(&slow.phase).replace('_', " "),
                millis(slow.duration_ms)
            ),
        );
    }
    finding
}

/// Tells how often the connection of a supervisor was lost and made again, and gives how often it was made again.
pub(super) fn reconnects(bundle: &EvidenceBundle, finding: &mut Finding) -> usize {
    let changes = bundle
        .events
        .iter()
        .filter(|event| event.event_type == EventType::StateChange);
    let mut count = 0;
    for event in changes {
        let facts = Facts(&event.data);
        let words = crate::evidence::words::describe(event);
        match (
            facts.text("from_state").as_deref(),
            facts.text("to_state").as_deref(),
        ) {
            (Some("connected"), Some("reconnecting")) => finding.fact(Some(event.timestamp), words),
            (Some("connecting"), Some("reconnecting" | "failed")) => {
                finding.fact(Some(event.timestamp), words)
            }
            (Some("connecting"), Some("connected"))
                if facts.count("reconnection_count").unwrap_or_default() > 0 =>
            {
                finding.fact(
                    Some(event.timestamp),
                    "The connection was made again.".to_owned() + " " + &words,
                );
            }
            _ => {}
        }
        count = count.max(
            usize::try_from(facts.count("reconnection_count").unwrap_or_default()).unwrap_or(usize::MAX),
        );
    }
    let context = Facts(&bundle.error_context);
    for (number, connection) in (1..).zip(context.list("connections")) {
        let reason = connection.text("reason").filter(|reason| reason != "normal");
        if let Some(reason) = reason {
            let text = format!("Connection {number} ended: {}.", reason.replace('_', " "));
            finding.fact(connection.number("ended_ms"), text);
        }
    }
    let told = context.count("reconnection_count");
    count.max(usize::try_from(told.unwrap_or_default()).unwrap_or(usize::MAX))
}
