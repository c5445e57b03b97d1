//! What a STATE_CHANGE event tells.

use std::time::Duration;

use serde_json::{Value, json};

use crate::connection::state::{Cause, Move};
use crate::error::{DisconnectReason, Error};

/// The fields of the event: `from_state`, `to_state`, `reconnection_count`, and what belongs to the cause.
///
/// - a failed attempt: its number in a row as `attempt`, `error`, `error_type`, and the wait before the next one as
///   `delay_ms`; where the network has gone, `reason` is `no_network` instead of a number and a wait;
/// - a lost connection: `reason` as in its DISCONNECT event, `error`, `error_type`, `delay_ms`;
/// - a final failure: how many `attempts` were made, `error` (`authentication_failed`, `max_retries_exceeded`, or the
///   error's text), `error_type`, and the error's text as `message`.
pub(super) fn fields(
    made: &Move,
    error: Option<&Error>,
    reason: DisconnectReason,
    delay: Option<Duration>,
) -> Value {
    let mut fields = json!({
        "from_state": made.from.as_str(),
        "to_state": made.to.as_str(),
        "reconnection_count": made.reconnections,
    });
    let mut put = |name: &str, value: Value| {
        if let Value::Object(fields) = &mut fields {
            fields.insert(name.to_owned(), value);
        }
    };
    let text = error.map(ToString::to_string);
    match made.cause {
        Cause::Progress => return fields,
        Cause::Retry { attempt } => {
            put("attempt", attempt.into());
            put("error", text.into());
        }
        Cause::NoNetwork => {
            put("reason", "no_network".into());
            put("error", text.into());
        }
        Cause::Lost => {
            put("reason", reason.as_str().into());
            put("error", text.into());
        }
        Cause::Permanent { attempts } => {
            put("attempts", attempts.into());
            let refused = error.is_some_and(|error| error.kind().is_authentication());
            let short = if refused {
                "authentication_failed".into()
            } else {
                text.clone().into()
            };
            put("error", short);
            put("message", text.into());
        }
        Cause::Exhausted { attempts } => {
            put("attempts", attempts.into());
            put("error", "max_retries_exceeded".into());
            put("message", text.into());
        }
    }
    put("error_type", error.map(Error::error_type).into());
    if let Some(delay) = delay {
        put("delay_ms", (delay.as_secs_f64() * 1000.0).into());
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::state::ConnectionState::{Connected, Connecting, Failed, Reconnecting};
    use crate::error::ErrorKind;

    #[test]
    fn each_move_tells_what_belongs_to_its_cause() {
        let refused = Error::new(ErrorKind::ConnectionRefused, "refused");
        let denied = Error::new(ErrorKind::AuthFailed, "denied");
        let invalid = Error::new(ErrorKind::Invalid, "no such host name");
        let second = Some(Duration::from_secs(1));
        for (from, to, cause, error, delay, expected) in [
            (
                Connecting,
                Connected,
                Cause::Progress,
                Some(&refused),
                None,
                json!({}),
            ),
            (
                Connecting,
                Reconnecting,
                Cause::Retry { attempt: 2 },
                Some(&refused),
                second,
                json!({"attempt": 2, "error": "refused", "error_type": "ConnectionRefused", "delay_ms": 1000.0}),
            ),
            (
                Connecting,
                Reconnecting,
                Cause::NoNetwork,
                Some(&refused),
                None,
                json!({"reason": "no_network", "error": "refused", "error_type": "ConnectionRefused"}),
            ),
            (
                Connected,
                Reconnecting,
                Cause::Lost,
                Some(&refused),
                Some(Duration::ZERO),
                json!({"reason": "keepalive_timeout", "error": "refused", "error_type": "ConnectionRefused",
                       "delay_ms": 0.0}),
            ),
            (
                Connecting,
                Failed,
                Cause::Permanent { attempts: 1 },
                Some(&denied),
                None,
                json!({"attempts": 1, "error": "authentication_failed", "message": "denied",
                       "error_type": "AuthFailed"}),
            ),
            (
                Connecting,
                Failed,
                Cause::Permanent { attempts: 1 },
                Some(&invalid),
                None,
                json!({"attempts": 1, "error": "no such host name", "message": "no such host name",
                       "error_type": "InvalidArgument"}),
            ),
            (
                Connecting,
                Failed,
                Cause::Exhausted { attempts: 4 },
                Some(&refused),
                None,
                json!({"attempts": 4, "error": "max_retries_exceeded", "message": "refused",
                       "error_type": "ConnectionRefused"}),
            ),
        ] {
            let made = Move {
                from,
                to,
                reconnections: 7,
                cause,
            };
            let mut all =
                json!({"from_state": from.as_str(), "to_state": to.as_str(), "reconnection_count": 7});
            all.as_object_mut()
                .unwrap()
                .extend(expected.as_object().unwrap().clone());
            assert_eq!(
                fields(&made, error, DisconnectReason::KeepaliveTimeout, delay),
                all,
                "{cause:?}"
            );
        }
    }
}
