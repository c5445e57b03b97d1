//! Keys that cannot be loaded, and agents that cannot be used.

use super::case::Case;
use super::connect::quoted;
use super::explanation::Finding;
use super::login::attempts;
use crate::evidence::reading::sentence;

/// A private key cannot be loaded.
pub(super) fn key_load(case: Case<'_>) -> Finding {
    let facts = case.facts();
    let path = facts.text("key_path");
    let key = path.as_deref().map_or_else(
        || "The private key".to_owned(),
        |path| format!("The private key {path}"),
    );
    let (cause, step) = match facts.text("reason").as_deref() {
        Some("file_not_found") => (
            format!("{key} is not there: there is no such file."),
            "Check the path, and IdentityFile in ssh_config; a relative path begins where the program was started.",
        ),
        Some("permission_denied") => (
            format!("{key} may not be read by the user who ran the program, or others may read it."),
            "Make it readable for its owner alone: `chmod 600 FILE`, and check who owns it.",
        ),
        Some("wrong_passphrase") => (
            format!("{key} is encrypted, and the passphrase is missing or wrong."),
            "Give the right passphrase, or add the key to an agent with `ssh-add`, where it is asked for once.",
        ),
        Some("invalid_format") => (
            format!("{key} is not a private key in a format that can be read."),
            "Check that it is the private key and not its .pub file, and that it is whole: `ssh-keygen -yf FILE` prints its public half if it is.",
        ),
        _ => (
            sentence(&format!("{key} could not be loaded: {}", case.message())),
            "See the reason given.",
        ),
    };
    let mut finding = Finding::new(cause);
    finding.fact(case.failure.at_ms, quoted(case));
    finding.fact(
        None,
        "This is about the file on the machine that connects: the server was not asked.",
    );
    attempts(case, &mut finding);
    finding.next(step);
    finding.next(case.hint());
    if path.is_none() {
        finding.missing("The bundle does not say which file it was.");
    }
    if facts.text("reason").is_none() {
        finding.missing("The bundle does not say what was wrong with it.");
    }
    finding
}

/// The agent cannot be used.
pub(super) fn agent(case: Case<'_>) -> Finding {
    let (cause, step) = match case.facts().text("reason").as_deref() {
        Some("no_auth_sock") => (
            "No SSH agent is configured: SSH_AUTH_SOCK was not set for the program.".to_owned(),
            "Start an agent (`eval $(ssh-agent)`) and add the key (`ssh-add FILE`), or name a key file instead; under sudo, cron and systemd the variable has to be passed on.",
        ),
        Some("socket_not_found") => (
            "The SSH agent's socket does not exist: SSH_AUTH_SOCK, or IdentityAgent where that is set, leads nowhere.".to_owned(),
            "The agent has ended, or the variable is left over from an old session: start an agent anew and log in again.",
        ),
        Some("connection_failed") => (
            "The SSH agent's socket is there, but nobody answers on it.".to_owned(),
            "The agent has probably died: start another one with `eval $(ssh-agent)`, and check who owns the socket.",
        ),
        Some("communication_error") => (
            "The SSH agent answered, but refused or did not understand what was asked of it.".to_owned(),
            "Check the agent with `ssh-add -l`: it may be locked, or wait for a key to be confirmed or touched.",
        ),
        Some("no_keys") => (
            "The SSH agent holds no key.".to_owned(),
            "Add the key with `ssh-add FILE`, and list what it holds with `ssh-add -l`.",
        ),
        _ => (
            sentence(&format!("The SSH agent could not be used: {}", case.message())),
            "Check the agent with `ssh-add -l`.",
        ),
    };
    let mut finding = Finding::new(cause);
    finding.fact(case.failure.at_ms, quoted(case));
    attempts(case, &mut finding);
    finding.next(step);
    finding.next(case.hint());
    if case.facts().text("reason").is_none() {
        finding.missing("The bundle does not say what was wrong with the agent.");
    }
    finding
}
