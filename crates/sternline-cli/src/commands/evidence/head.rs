//! What a bundle is about, in a line, and times within it.

use sternline::EvidenceBundle;
use sternline::evidence::{Explanation, Outcome, utc};
use sternline::proto::text::escape;

/// `web-1 port 22 as ann, 2026-11-29 09:50:03 UTC`.
pub(super) fn title(bundle: &EvidenceBundle) -> String {
    let host = bundle.host_info.as_ref().map_or_else(
        || "an unknown host".to_owned(),
        |info| {
            let user = info
                .username
                .as_deref()
                .map(|user| format!(" as {}", escape(user)));
            format!(
                "{} port {}{}",
                escape(&info.host),
                info.port,
                user.unwrap_or_default()
            )
        },
    );
    let start = bundle.timing.connect_start_ms.unwrap_or(bundle.created_ms);
    match utc(start) {
        Some(moment) => format!("{host}, {moment}"),
        None => host,
    }
}

/// `failed in host key (HostKeyMismatch)`.
pub(super) fn verdict(explanation: &Explanation) -> String {
    match explanation.outcome {
        Outcome::Succeeded => "all went well".to_owned(),
        Outcome::Recovered => "went well in the end".to_owned(),
        Outcome::CommandFailed => "a command failed".to_owned(),
        Outcome::Failed => {
            let phase = explanation
                .phase
                .as_deref()
                .map(|phase| format!(" in {}", phase.replace('_', " ")));
            let kind = explanation.error_type.as_deref().map(|kind| format!(" ({kind})"));
            format!("failed{}{}", phase.unwrap_or_default(), kind.unwrap_or_default())
        }
        _ => "no outcome known".to_owned(),
    }
}

/// The moment from which times are counted: the first that the bundle has.
pub(super) fn origin(bundle: &EvidenceBundle, first: Option<f64>) -> f64 {
    let start = bundle.timing.connect_start_ms.filter(|start| start.is_finite());
    match (start, first) {
        (Some(start), Some(first)) => start.min(first),
        (start, first) => start.or(first).unwrap_or_default(),
    }
}

/// A time since the beginning: `+0.012 s`.
pub(super) fn since(origin: f64, at_ms: f64) -> String {
    let seconds = (at_ms - origin) / 1000.0;
    match seconds.abs() < 1e7 {
        true => format!("{seconds:+.3} s"),
        false => "?".to_owned(),
    }
}

/// A duration as people compare it.
pub(super) fn took(millis: f64) -> String {
    match std::time::Duration::try_from_secs_f64(millis / 1000.0) {
        Ok(duration) => crate::ui::report::time(duration),
        Err(_) => "?".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_counted_from_the_beginning_and_nonsense_is_no_time() {
        assert_eq!(since(1000.0, 1012.0), "+0.012 s");
        assert_eq!(since(1000.0, 900.0), "-0.100 s");
        assert_eq!(since(0.0, f64::MAX), "?");
        assert_eq!(took(1.5), "1.5 ms");
        assert_eq!(took(-1.0), "?");
        assert_eq!(took(f64::NAN), "?");
    }
}
