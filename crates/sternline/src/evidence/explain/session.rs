//! Failures on a connection that had been made: it was lost, or something on it was refused or took too long.

use super::case::Case;
use super::connect::quoted;
use super::explanation::Finding;
use crate::error::DisconnectReason;
use crate::event::{Event, EventType};
use crate::evidence::reading::{Facts, counted, millis, sentence};

/// The connection was lost.
pub(super) fn lost(case: Case<'_>) -> Finding {
    let timeout = case.last(EventType::KeepaliveTimeout);
    let reason = case.bundle.disconnect_reason;
    let by_keepalive = reason == DisconnectReason::KeepaliveTimeout
        || timeout.is_some() && reason == DisconnectReason::NetworkError
        || case.facts().is("disconnect_reason", "keepalive_timeout");
    let place = case.place();
    let command = command(case);
    let during = command
        .as_deref()
        .map(|command| format!(", while `{command}` was running"))
        .unwrap_or_default();
    let mut finding = Finding::new(if by_keepalive {
        format!(
            "The connection to {place} went silent{during}: the server answered none of the keepalive probes."
        )
    } else {
        let message = case.message();
        match message.is_empty() {
            true => format!("The connection to {place} was lost{during}; the bundle does not say why."),
            false => sentence(&format!("The connection to {place} was lost{during}: {message}")),
        }
    });
    let answered = case.last(EventType::KeepaliveReceived);
    if let Some(event) = answered {
        let took = Facts(&event.data).number("round_trip_ms").map(millis);
        let took = took.map(|took| format!(", after {took}")).unwrap_or_default();
        finding.fact(
            Some(event.timestamp),
            format!("The last probe that was answered{took}."),
        );
    }
    if let Some(event) = timeout.filter(|_| by_keepalive) {
        let facts = Facts(&event.data);
        let probes = facts
            .count("unanswered")
            .map(|count| counted(count.try_into().unwrap_or(usize::MAX), "probe", "probes"));
        let silence = facts
            .number("silence_sec")
            .map(|seconds| millis(seconds * 1000.0));
        finding.fact(
            Some(event.timestamp),
            match (probes, silence) {
                (Some(probes), Some(silence)) => {
                    format!("{probes} stayed unanswered; nothing had been heard for {silence}.")
                }
                (Some(probes), None) => format!("{probes} stayed unanswered."),
                _ => "Too many probes stayed unanswered.".to_owned(),
            },
        );
        if let Some(interval) = facts.number("interval_sec") {
            finding.fact(
                None,
                format!(
                    "A probe was due after every {} of silence.",
                    millis(interval * 1000.0)
                ),
            );
        }
    }
    let end = case
        .bundle
        .events
        .iter()
        .rev()
        .find(|event| event.event_type == EventType::Disconnect);
    if let Some(event) = end {
        let reason = Facts(&event.data)
            .text("reason")
            .unwrap_or_else(|| "none given".to_owned());
        finding.fact(
            Some(event.timestamp),
            format!("The connection ended (reason: {}).", reason.replace('_', " ")),
        );
    }
    if let Some(reason) = case.facts().text("original_error") {
        finding.fact(case.failure.at_ms, format!("The reason given was: {reason}."));
    }
    fate(case, command.as_deref(), &mut finding);
    if by_keepalive {
        finding.next("Check whether the host is up and its network works: it, or something on the way, vanished without a word.");
        finding.next("A firewall or NAT that forgets quiet connections looks the same: send probes more often (ServerAliveInterval).");
        finding.next("If the network is only slow, raise the interval or the count of the probes.");
    } else {
        finding.next(format!("See on {} whether it was restarted, or its SSH server stopped the session: its log and `last -x` tell.", case.host()));
        finding.next("For work that must survive this, use a supervised connection, and start long work so that it does not hang on the session (systemd-run, tmux, nohup).");
    }
    if command.is_none() && case.facts().text("sent").is_none() {
        finding.missing("The bundle does not say whether anything was running on the connection.");
    }
    finding
}

/// What became of the command that was running.
fn fate(case: Case<'_>, command: Option<&str>, finding: &mut Finding) {
    let Some(command) = command else {
        return;
    };
    let sent = case.facts().text("sent");
    let (fate, next) = match sent.as_deref() {
        Some("not_sent") => ("was never sent.", "It is safe to run the command again."),
        Some("ran") => (
            "had started; it may have finished, or still run.",
            "Check on the host what the command has done, and whether it still runs, before you run it again.",
        ),
        Some("may_have_run") => (
            "was sent, and may or may not have run.",
            "Check on the host whether the command took effect before you run it again.",
        ),
        _ => (
            "was under way; the bundle does not say how far it got.",
            "Check on the host whether the command took effect before you run it again.",
        ),
    };
    finding.fact(case.failure.at_ms, format!("The command `{command}` {fate}"));
    let facts = case.facts();
    let bytes = |names: [&str; 2]| names.into_iter().find_map(|name| facts.count(name));
    if let Some(bytes) = bytes(["bytes_stdout", "stdout_len"]) {
        finding.fact(
            case.failure.at_ms,
            format!("{bytes} bytes of its output had arrived."),
        );
    }
    finding.next(next);
}

/// The command that failed, where it was one.
pub(super) fn command(case: Case<'_>) -> Option<String> {
    case.facts().text("command").or_else(|| {
        let event = case.bundle.events.get(case.failure.event?)?;
        (event.event_type == EventType::Shell).then(|| "the interactive shell".to_owned())
    })
}

fn name_of(case: Case<'_>) -> String {
    command(case).map_or_else(
        || "The command".to_owned(),
        |command| format!("The command `{command}`"),
    )
}

/// Whether the remote process is gone.
fn survival(case: Case<'_>, finding: &mut Finding) {
    match case.facts().flag("remote_process_may_survive") {
        Some(true) => {
            finding.fact(
                case.failure.at_ms,
                "It could not be ended on the host, and may still run there.",
            );
            finding.next(format!(
                "Look on {} whether it still runs, and end it there.",
                case.host()
            ));
        }
        Some(false) => finding.fact(case.failure.at_ms, "It was ended on the host."),
        None => finding.missing("The bundle does not say whether the command still runs on the host."),
    }
}

/// A command did not end within its time limit.
pub(super) fn command_timeout(case: Case<'_>) -> Finding {
    let mut finding = Finding::new(match case.facts().is("sent", "not_sent") {
        true => format!("{} was not started within its time limit.", name_of(case)),
        false => format!(
            "{} did not end within its time limit, and was stopped.",
            name_of(case)
        ),
    });
    finding.fact(case.failure.at_ms, quoted(case));
    written(case, &mut finding);
    match case.facts().is("sent", "not_sent") {
        true => finding.next(case.hint()),
        false => {
            survival(case, &mut finding);
            finding.next("Find out what it waits for: a question that nobody answers (a password, a confirmation), a lock, or the end of its input.");
            finding.next("If it only needs longer, raise `--timeout`.");
        }
    }
    finding
}

/// A command made no progress.
pub(super) fn progress_timeout(case: Case<'_>) -> Finding {
    let mut finding = Finding::new(format!(
        "{} neither wrote nor read anything for too long, and was stopped.",
        name_of(case)
    ));
    if let Some(warning) = case.last(EventType::ProgressWarning) {
        let message = Facts(&warning.data).text("message");
        finding.fact(
            Some(warning.timestamp),
            message
                .map(|text| format!("Warned before: {text}."))
                .unwrap_or_default(),
        );
    }
    finding.fact(case.failure.at_ms, quoted(case));
    written(case, &mut finding);
    survival(case, &mut finding);
    finding
        .next("Find out what it waits for: a question that nobody answers, a lock, or the end of its input.");
    finding.next(
        "If it is quiet by nature, raise the progress time limit, or have it say something now and then.",
    );
    finding
}

/// What was waited for in a dialogue did not come.
pub(super) fn expect_timeout(case: Case<'_>) -> Finding {
    let facts = case.facts();
    let within = facts
        .number("timeout_sec")
        .map(|limit| format!(" within {}", millis(limit * 1000.0)))
        .unwrap_or_default();
    let mut finding = Finding::new(match facts.text("pattern") {
        Some(pattern) => format!("The program did not write \"{pattern}\"{within}, which was waited for."),
        None => format!("The program did not come to the end that was waited for{within}."),
    });
    finding.fact(case.failure.at_ms, quoted(case));
    if let Some(nearest) = facts.text("nearest") {
        finding.fact(None, sentence(&nearest));
    }
    if let Some(tail) = facts.text("buffer_tail") {
        let line = tail.rsplit("\\n").find(|line| !line.trim().is_empty());
        finding.fact(
            None,
            line.map(|line| format!("It wrote last: \"{}\".", line.trim()))
                .unwrap_or_default(),
        );
    }
    finding.next(case.hint());
    finding.next("Compare what it wrote with the pattern in the transcript: `sternline evidence show` has both in their order.");
    finding
}

/// What it had written, where that was recorded.
fn written(case: Case<'_>, finding: &mut Finding) {
    let Some(recorded) = command(case).and_then(|command| case.recorded(&command)) else {
        return;
    };
    for (name, output) in [
        ("standard error", &recorded.stderr),
        ("standard output", &recorded.stdout),
    ] {
        if let Some(line) = super::outcome::last_line(&output.data) {
            finding.fact(None, format!("The last line of its {name} was: {line}"));
        }
    }
}

/// The server refused a channel, or a request on it.
pub(super) fn channel(case: Case<'_>) -> Finding {
    let mut finding = Finding::new(match case.message() {
        message if message.is_empty() => {
            "The server refused a channel or a request on it; the bundle does not say which.".to_owned()
        }
        message => sentence(&format!("The login went well, but {message}")),
    });
    if let Some(command) = command(case) {
        finding.fact(case.failure.at_ms, format!("It was wanted for `{command}`."));
    }
    finding.fact(
        None,
        "The server may limit what an account or a key is for: ForceCommand, restrict, no-pty, permitopen, MaxSessions.",
    );
    finding.next(case.hint());
    finding.next("On the host, see the options before this key in authorized_keys, and the Match blocks of `sshd -T -C user=USER`.");
    finding.next("See the server's log of that moment.");
    finding
}

/// A command's channel closed without an exit status or signal.
pub(super) fn no_exit_status(case: Case<'_>) -> Finding {
    let mut finding = Finding::new(format!(
        "{} ended without a status: the server closed its channel without saying how it ended.",
        name_of(case)
    ));
    finding.fact(case.failure.at_ms, quoted(case));
    written(case, &mut finding);
    finding.next("Check on the host whether the command has done its work before you run it again.");
    finding.next("See the server's log: its session process may have been killed (out of memory, a restart of the server).");
    finding
}

/// Sudo, or the login prompt in front of it, did not let the command run.
pub(super) fn sudo(case: Case<'_>) -> Finding {
    let reason = ["sudo_reason", "reason"]
        .into_iter()
        .find_map(|name| case.facts().text(name));
    let place = case.host();
    let user = case.username().unwrap_or_else(|| "the user".to_owned());
    let (cause, step): (String, &str) = match reason.as_deref() {
        Some("password_refused") => (
            format!("Sudo on {place} refused the password."),
            "Sudo asks for the password of the user who logs in, not of root, unless its rules say otherwise (targetpw, rootpw): check which one is meant.",
        ),
        Some("not_in_sudoers") => (
            format!("{user} may not use sudo on {place}: there is no rule for that user."),
            "Have the user added to sudoers(5) there, or to the group that its rules name (sudo, wheel).",
        ),
        Some("not_allowed") => (
            format!("{user} may not run this command with sudo on {place}."),
            "See what is allowed with `sudo -l` there, and have a rule added for this command (sudoers(5)).",
        ),
        Some("terminal_required") => (
            format!("Sudo on {place} wants a terminal (requiretty)."),
            "Ask for a terminal with `-t`, or have requiretty taken out of sudoers(5) there.",
        ),
        Some("sudo_missing") => (
            format!("There is no sudo on {place} where the login looks for commands."),
            "Install sudo there, or log in as the user who has to run the command.",
        ),
        Some("question") => (
            format!("Sudo on {place} asked for something other than a password."),
            "Answer it by hand, in a terminal there, or have a rule without that question.",
        ),
        Some("silent") => (
            format!("Sudo on {place} neither asked for a password nor started the command."),
            "Run `sudo -k true` by hand there to see what it waits for: a directory or name server may be slow.",
        ),
        _ => (
            match case.message() {
                message if message.is_empty() => format!("Sudo on {place} did not let the command run."),
                message => sentence(&format!("Sudo on {place} did not let the command run: {message}")),
            },
            "",
        ),
    };
    let mut finding = Finding::new(cause);
    if let Some(command) = command(case) {
        finding.fact(case.failure.at_ms, format!("The command was `{command}`."));
    }
    finding.fact(case.failure.at_ms, quoted(case));
    finding.next(step);
    finding.next(case.hint());
    finding
}

/// The command that was stopped when whoever asked for it no longer wanted it.
fn stopped<'a>(case: Case<'a>) -> Option<&'a Event> {
    let mut events = case.bundle.events.iter().rev();
    events.find(|event| {
        event.event_type == EventType::Exec && Facts(&event.data).flag("cancelled") == Some(true)
    })
}

/// Everything that needs no more than its own words.
pub(super) fn other(case: Case<'_>) -> Finding {
    let message = case.message();
    let what = match case.failure.error_type.as_deref() {
        Some("Cancelled") => "It was cancelled by whoever had asked for it",
        Some("OutputOverflow") => "The command wrote more than could be kept while nobody read it",
        Some("RemoteFileError") => "The server did not do what was asked with a file of its own",
        Some("LocalFileError") => {
            "The machine that connects did not do what was asked with a file of its own"
        }
        Some("InvalidArgument") => "An argument or setting makes no sense, so nothing was attempted",
        Some("LocalError") => "Something failed on the machine that connects, not on the server",
        Some(_) => "It failed",
        None if case.bundle.disconnect_reason == DisconnectReason::ProgressTimeout => {
            "The connection was given up because a command made no progress for too long"
        }
        None => "It failed",
    };
    let mut finding = Finding::new(match message.is_empty() {
        true => format!("{what}; the bundle says no more about it."),
        false => sentence(&format!("{what}: {message}")),
    });
    for name in ["path", "original_error"] {
        if let Some(text) = case.facts().text(name).filter(|text| !message.contains(text)) {
            let what = if name == "path" {
                "The file was"
            } else {
                "The reason given was"
            };
            finding.fact(case.failure.at_ms, format!("{what}: {text}."));
        }
    }
    if let Some(command) = command(case) {
        finding.fact(case.failure.at_ms, format!("The command was `{command}`."));
    } else if let Some(event) = stopped(case) {
        let command = Facts(&event.data).text("command").unwrap_or_default();
        finding.fact(
            Some(event.timestamp),
            format!(
                "The command `{command}` was running and was stopped: it may have done a part of its work."
            ),
        );
    }
    finding.next(case.hint());
    if finding.next_steps.is_empty() {
        finding.next("Run it again with `-v` and with `--evidence`, and compare the two with `sternline evidence diff`.");
    }
    finding
}
