//! From a bundle to its explanation.

use super::case::{Case, setting};
use super::explanation::{Explanation, Finding, Outcome};
use super::failure::{Failure, find};
use super::{connect, credentials, login, outcome, progress, session, trust};
use crate::evidence::bundle::EvidenceBundle;
use crate::evidence::reading::{counted, shown};

/// Says why a session ended as it did, from nothing but its bundle. What the bundle does not hold, the explanation says it
/// does not know.
///
/// ```
/// use sternline::evidence::{EvidenceBundle, Outcome, explain};
///
/// fn what_went_wrong(bundle: &EvidenceBundle) -> String {
///     let explanation = explain(bundle);
///     match explanation.outcome {
///         Outcome::Succeeded => "nothing".to_owned(),
///         _ => format!("{} {}", explanation.cause, explanation.next_steps.join(" ")),
///     }
/// }
/// ```
#[must_use]
pub fn explain(bundle: &EvidenceBundle) -> Explanation {
    let failure = find(bundle);
    let (outcome, mut finding, phase, hop) = match &failure {
        None => {
            let (outcome, finding) = outcome::without_failure(bundle);
            (outcome, finding, None, None)
        }
        Some(failure) => {
            let case = Case { bundle, failure };
            let mut finding = at_hop(case, of_kind(case));
            outcome::reconnects(bundle, &mut finding);
            (Outcome::Failed, finding, case.phase(), case.hop())
        }
    };
    if finding.left_out > 0 {
        let more = counted(finding.left_out, "fact", "facts");
        finding.missing(format!(
            "{more} of the same kinds were too many to tell: `sternline evidence show` has them all."
        ));
    }
    about_the_bundle(bundle, &mut finding);
    // Oldest first; what has no time comes after that, in its own order.
    finding
        .facts
        .sort_by(|one, other| key(one.at_ms).total_cmp(&key(other.at_ms)));
    let steps = progress::steps(bundle, failure.as_ref());
    let how_far = progress::how_far(bundle, failure.as_ref(), &steps);
    Explanation {
        outcome,
        error_type: failure.as_ref().and_then(|failure| failure.error_type.clone()),
        phase,
        hop,
        cause: finding.cause,
        facts: finding.facts,
        how_far,
        steps,
        next_steps: finding.next_steps,
        not_known: finding.not_known,
    }
}

fn key(at_ms: Option<f64>) -> f64 {
    at_ms.unwrap_or(f64::INFINITY)
}

/// What there is to say about a failure of its kind.
fn of_kind(case: Case<'_>) -> Finding {
    let failure: &Failure = case.failure;
    match failure.error_type.as_deref() {
        Some("ConnectionRefused") => connect::refused(case),
        Some("ConnectionTimeout") => connect::timed_out(case),
        Some("HostUnreachable") => connect::unreachable(case),
        Some("NoMutualKex") => connect::no_common_algorithm(case),
        Some("HostKeyMismatch") => trust::host_key(case),
        Some("AuthFailed" | "authentication_failed") => login::refused(case),
        Some("KeyLoadError") => credentials::key_load(case),
        Some("AgentError") => credentials::agent(case),
        Some("SSHConnectionError") if !is_on_the_way(case) => session::lost(case),
        Some("SSHConnectionError") => connect::broken(case),
        Some("ChannelError") => session::channel(case),
        Some("CommandTimeout") => session::command_timeout(case),
        Some("ExpectTimeout") => session::expect_timeout(case),
        Some("ProgressTimeout") => session::progress_timeout(case),
        Some("NoExitStatus") => session::no_exit_status(case),
        Some(kind) if kind.starts_with("Sudo") => session::sudo(case),
        None if is_lost(case) => session::lost(case),
        _ => session::other(case),
    }
}

/// Whether it failed before the login had succeeded.
fn is_on_the_way(case: Case<'_>) -> bool {
    match case.phase().as_deref() {
        Some("proxy" | "resolve" | "tcp" | "banner" | "kex" | "host_key" | "auth") => true,
        Some(_) => false,
        None => !case.was_connected(),
    }
}

/// Whether all that is known is that the connection ended badly.
fn is_lost(case: Case<'_>) -> bool {
    use crate::error::DisconnectReason::{KeepaliveTimeout, NetworkError};
    matches!(case.bundle.disconnect_reason, KeepaliveTimeout | NetworkError)
}

/// Says at which jump host it failed.
fn at_hop(case: Case<'_>, mut finding: Finding) -> Finding {
    if let Some(hop) = case.hop_in_words() {
        let destination = case.destination();
        finding.fact(
            case.failure.at_ms,
            format!("It failed at {hop}, on the way to {destination}; {destination} itself was not reached."),
        );
        if !finding.cause.contains(&hop) {
            finding.cause = format!("At {hop}, on the way to {destination}: {}", finding.cause);
        }
    }
    finding
}

/// What a reader has to know about the bundle itself.
fn about_the_bundle(bundle: &EvidenceBundle, finding: &mut Finding) {
    if bundle.events.is_empty() {
        finding.missing("The bundle holds no events: there is nothing to tell what happened when.");
    }
    for (name, what) in [("events_dropped", "events"), ("commands_dropped", "commands")] {
        if let Some(dropped) = setting(bundle, name).filter(|dropped| dropped != "0") {
            finding.missing(format!(
                "{dropped} {what} were too many to keep, and are not in the bundle."
            ));
        }
    }
    if bundle.host_info.as_ref().is_some_and(|info| info.redacted) {
        let host = bundle
            .host_info
            .as_ref()
            .map(|info| shown(&info.host))
            .unwrap_or_default();
        finding.missing(format!(
            "The host's name and addresses are masked in this bundle ({host})."
        ));
    }
}
