//! Whether a server's key is trusted, decided in the middle of the key exchange.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;
use sternline_proto::text::escape;

use super::open::Destination;
use crate::deadline::{Phase, PhaseClock};
use crate::error::{Error, ErrorKind, Result};
use crate::host_key::{
    Accepted, Decision, HostKeyOffer, HostKeyPolicy, HostKeyRefusal, HostKeyVerifier, Location,
    RefusalReason, VerifiedHostKey,
};
use crate::prompt::Prompter;
use crate::transport::handshake::HostKeyCheck;

/// What whoever records the key by hand has to name.
pub(super) struct ByHand {
    /// The file, unless it is the one that is looked for anyway.
    pub(super) file: Option<PathBuf>,
    /// The jump hosts on the way.
    pub(super) jump: Option<String>,
    /// The host and its port, where its key is known by an alias.
    pub(super) aliased: Option<String>,
    /// All of that as the program says it, if it does.
    pub(super) arguments: Option<(String, String)>,
}

/// The check that runs in the middle of the key exchange. Its proof is left in `verified`.
pub(super) fn host_key_check(
    verifier: HostKeyVerifier,
    by_hand: ByHand,
    destination: &Destination,
    prompter: Option<Arc<dyn Prompter>>,
    clock: PhaseClock,
    verified: Arc<Mutex<Option<VerifiedHostKey>>>,
) -> HostKeyCheck {
    let verifier = Arc::new(verifier);
    let (address, port) = destination.known_as.clone();
    Box::new(move |offer| {
        Box::pin(async move {
            let accepted = judge(verifier, by_hand, address, port, offer, prompter, clock).await?;
            if let Some(warning) = accepted.warning {
                tracing::warn!(%warning, "the host key could not be recorded");
            }
            *verified.lock().unwrap_or_else(PoisonError::into_inner) = Some(accepted.host_key);
            Ok(())
        })
    })
}

async fn judge(
    verifier: Arc<HostKeyVerifier>,
    by_hand: ByHand,
    address: String,
    port: u16,
    offer: HostKeyOffer,
    prompter: Option<Arc<dyn Prompter>>,
    clock: PhaseClock,
) -> Result<Accepted> {
    let refused = |refusal: &HostKeyRefusal| refused(refusal, &by_hand);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let decision = match verifier.policy {
        // Recording writes to disk and may wait for another writer.
        HostKeyPolicy::AcceptNew => {
            let checking = Arc::clone(&verifier);
            blocking(move || checking.check(&address, port, &offer, now)).await?
        }
        // Nothing is written: a change of threads for each host would take longer than this.
        _ => verifier.check(&address, port, &offer, now),
    };
    match decision {
        Decision::Accept(accepted) => Ok(accepted),
        Decision::Refuse(refusal) => Err(refused(&refusal)),
        Decision::Ask(pending) => {
            let Some(prompter) = prompter else {
                return Err(refused(&pending.refusal()));
            };
            let question = pending.question();
            let pause = clock.pause();
            let trusted = prompter.trust_host_key(&question).await;
            drop(pause);
            if !trusted {
                return Err(refused(&pending.refusal()));
            }
            blocking(move || verifier.accept_after_asking(&pending))
                .await?
                .map_err(|refusal| refused(&refusal))
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        Error::new(ErrorKind::Local, "the host key check was interrupted").with_source_text(&error)
    })
}

fn refused(refusal: &HostKeyRefusal, by_hand: &ByHand) -> Error {
    let place = |location: &Location| json!({ "file": escape(&location.file), "line": location.line });
    let hint = match &by_hand.arguments {
        Some((add, remove)) => refusal.next_step_for(add, remove),
        None => refusal.next_step(
            by_hand.file.as_deref(),
            by_hand.jump.as_deref(),
            by_hand.aliased.as_deref(),
        ),
    };
    let error = Error::new(ErrorKind::HostKeyMismatch, refusal.summary())
        .in_phase(Phase::HostKey)
        .with_hint(hint)
        .with_extra("offered_algorithm", refusal.offered.algorithm())
        .with_extra("offered_fingerprint", refusal.offered.fingerprint())
        .with_extra("host_key_reason", refusal.reason.as_str());
    match &refusal.reason {
        RefusalReason::Changed { known } => {
            let expected = known.iter().map(|known| {
                json!({
                    "algorithm": known.key.algorithm(), "fingerprint": known.key.fingerprint(),
                    "file": escape(&known.location.file), "line": known.location.line,
                })
            });
            error.with_extra("expected_keys", expected.collect::<Vec<_>>())
        }
        RefusalReason::Revoked { location } => error.with_extra("revoked_in", place(location)),
        RefusalReason::RevokedAuthority { location, authority } => error
            .with_extra("revoked_in", place(location))
            .with_extra("authority_fingerprint", authority.clone()),
        _ => error,
    }
}
