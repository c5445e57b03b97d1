//! No credential was accepted.

use super::case::Case;
use super::connect::quoted;
use super::explanation::Finding;
use crate::event::EventType;
use crate::evidence::attempt::Attempt;
use crate::evidence::reading::{Facts, counted, listed, sentence};

/// The attempts of the login that failed, oldest first.
fn attempts_of(case: Case<'_>) -> Vec<Attempt> {
    let events = case.attempt().iter();
    let auth = events.filter(|event| event.event_type == EventType::Auth);
    auth.map(Attempt::of).collect()
}

/// Tells of each attempt.
pub(super) fn attempts(case: Case<'_>, finding: &mut Finding) -> bool {
    let attempts = attempts_of(case);
    for attempt in &attempts {
        finding.fact(Some(attempt.at_ms), attempt.in_words());
    }
    if !attempts.is_empty() {
        return true;
    }
    let lines = case.facts().texts("attempts");
    for line in &lines {
        finding.fact(None, sentence(line));
    }
    !lines.is_empty()
}

/// No credential was accepted.
pub(super) fn refused(case: Case<'_>) -> Finding {
    let tried = attempts_of(case);
    let user = case.username().unwrap_or_else(|| "the user".to_owned());
    let host = case.host();
    let mut accepts = case.facts().texts("methods_offered");
    if accepts.is_empty() {
        let last = tried.iter().rev().find(|attempt| !attempt.offered.is_empty());
        accepts = last.map(|attempt| attempt.offered.clone()).unwrap_or_default();
    }
    // The library's words for a refusal without any method that could continue.
    if case.message().contains("takes no method of logging in") {
        let mut finding = Finding::new(format!(
            "{} takes no method of logging in at all: whatever {user} offers is refused.",
            case.place()
        ));
        attempts(case, &mut finding);
        finding.next(case.hint());
        finding.next("A Match block may do that for this user or this address only: `sshd -T -C user=NAME,addr=ADDRESS` on the host shows what holds for them.");
        return finding;
    }
    let left = case.facts().texts("not_tried");
    // What the server does not take at all was refused unseen: beside a credential that could not be used it is not the cause.
    let unusable = tried
        .iter()
        .any(|attempt| !attempt.was_refused() && !attempt.accepted);
    let taken = |attempt: &&Attempt| {
        let method = attempt.method.replace('_', "-");
        !unusable || !attempt.is_typed() || accepts.is_empty() || accepts.contains(&method)
    };
    let refused: Vec<&Attempt> = tried
        .iter()
        .filter(|attempt| attempt.was_refused())
        .filter(taken)
        .collect();
    let keys: Vec<&&Attempt> = refused.iter().filter(|attempt| attempt.is_key()).collect();
    let typed: Vec<&&Attempt> = refused.iter().filter(|attempt| attempt.is_typed()).collect();
    let factors: Vec<String> = tried
        .iter()
        .filter(|one| one.partial)
        .map(Attempt::what)
        .collect();
    let lines = case.facts().texts("attempts");

    // The library's words for a server that sends a disconnect message.
    let ended = case.message().contains("the server ended the connection");
    let cause = if ended && !refused.is_empty() {
        format!(
            "The server ended the connection in the middle of the login of {user}, after {}: it allows no more of them, and the right credential may not have had its turn.",
            counted(refused.len(), "attempt", "attempts"),
        )
    } else if !factors.is_empty() {
        let wants = match accepts.is_empty() {
            true => "another factor".to_owned(),
            false => format!("another factor ({})", accepts.join(", ")),
        };
        format!(
            "The server accepted {} for {user}, and then wanted {wants}, which was not given or was refused.",
            listed(&factors)
        )
    } else if !left.is_empty() {
        format!(
            "The server refused {} for {user}, and the right one may not have been offered: {} left out, because the server ends the connection after too many attempts.",
            counted(refused.len().max(1), "credential", "credentials"),
            match left.len() {
                1 => "one was".to_owned(),
                more => format!("{more} were"),
            },
        )
    } else if !keys.is_empty() && typed.is_empty() {
        match keys.as_slice() {
            [only] => format!(
                "The server refused {}, the only key that was offered for {user}.",
                only.what()
            ),
            keys => format!(
                "The server refused each of the {} keys that were offered for {user}.",
                keys.len()
            ),
        }
    } else if !typed.is_empty() && keys.is_empty() {
        match typed.iter().any(|attempt| attempt.method == "password") {
            true => format!(
                "The server refused the password of {user}: it is wrong, or the user may not log in with it."
            ),
            false => format!(
                "The server refused what {user} answered to its questions: it is wrong, or the user may not log in with it."
            ),
        }
    } else if !refused.is_empty() && refused.iter().any(|attempt| attempt.method != "none") {
        format!("The server refused every credential that was offered for {user}: keys and a password.")
    } else if unusable {
        let reasons: Vec<String> = tried
            .iter()
            .filter(|attempt| !attempt.was_refused() && !attempt.accepted)
            .filter_map(|attempt| attempt.message.clone())
            .collect();
        match reasons.is_empty() {
            true => format!("No credential could be offered for {user}."),
            false => sentence(&format!(
                "No credential could be offered for {user}: {}",
                reasons.join("; ")
            )),
        }
    } else if lines.is_empty() && !case.message().contains("refused") {
        format!("No key and no password was offered for {user}: there was no credential to try.")
    } else {
        format!("The server at {host} accepted no credential of {user}.")
    };

    let mut finding = Finding::new(cause);
    if !attempts(case, &mut finding) {
        finding.fact(case.failure.at_ms, quoted(case));
    }
    if !accepts.is_empty() {
        let still = if factors.is_empty() {
            "accepts"
        } else {
            "still wants"
        };
        finding.fact(None, format!("The server {still} {}.", accepts.join(", ")));
    }
    for one in &left {
        finding.fact(None, format!("Not tried: {one}."));
    }
    if let Some(banner) = banner(case) {
        finding.fact(None, format!("The server said: {banner}"));
    }
    let takes = |method: &str| accepts.is_empty() || accepts.iter().any(|offered| offered == method);
    if !keys.is_empty() && !takes("publickey") {
        finding.next("The server takes no keys at all for this user: see PubkeyAuthentication and Match blocks in sshd_config(5).");
        let typed = ["password", "keyboard-interactive"];
        if typed.iter().any(|method| takes(method)) && !tried.iter().any(Attempt::is_typed) {
            finding
                .next("Log in with a password, which the server does take: `--ask-password` asks for one.");
        }
    } else if !left.is_empty() || ended {
        finding
            .next("Name the right key with `-i` and set IdentitiesOnly, so that the others are not offered.");
    }
    if ended {
        finding.next("On the server, MaxAuthTries in sshd_config(5) says how many attempts it allows.");
    } else if !keys.is_empty() && takes("publickey") {
        finding.next(format!(
            "On {host}, check that the public half of one of these keys is in ~/.ssh/authorized_keys of {user}: `ssh-keygen -lf ~/.ssh/authorized_keys` lists the fingerprints to compare."
        ));
        finding.next("Check that the home directory, ~/.ssh and authorized_keys belong to that user and are writable by nobody else (StrictModes in sshd_config(5)).");
    }
    if !typed.is_empty() {
        match takes("password") || takes("keyboard-interactive") {
            true => finding.next(format!(
                "Check the password of {user}, and that it has not expired or been locked."
            )),
            false => finding.next("The server takes no passwords for this user: log in with a key."),
        }
    }
    if !factors.is_empty() {
        finding.next("Give a credential for each factor that the server wants.");
    }
    if refused.is_empty() && factors.is_empty() {
        finding.next(case.hint());
        if !accepts.is_empty() {
            finding.next(format!(
                "Give a credential of a kind that the server accepts: {}.",
                accepts.join(", ")
            ));
        }
    }
    finding.next(format!(
        "Check that {user} is the right user name there, and may log in (AllowUsers, AllowGroups)."
    ));
    finding.next("See the server's log of that moment (`journalctl -u ssh` or `-u sshd`, /var/log/auth.log): the server tells the reason only there.");
    if accepts.is_empty() {
        finding.missing("The bundle does not say which methods the server accepts.");
    }
    if !keys.is_empty() && keys.iter().all(|attempt| !has_fingerprint(attempt)) {
        finding.missing("The bundle does not give the fingerprints of the keys that were offered.");
    }
    finding
}

fn has_fingerprint(attempt: &Attempt) -> bool {
    attempt.key.as_deref().is_some_and(|key| key.contains("SHA256:"))
}

/// What the server said during the login.
fn banner(case: Case<'_>) -> Option<String> {
    let told = case.facts().text("auth_banner");
    let told = told.or_else(|| {
        let mut events = case.attempt().iter().rev();
        events.find_map(|event| {
            Facts(&event.data)
                .text("auth_banner")
                .or_else(|| Facts(&event.data).text("banner"))
        })
    });
    told.map(|text| text.replace("\\n", " ").trim().to_owned())
        .filter(|text| !text.is_empty())
}
