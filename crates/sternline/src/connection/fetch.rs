//! What key a host offers, without logging in to it.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value, json};

use super::builder::ConnectionBuilder;
use super::evidence::configuration;
use super::open::{
    Destination, check_algorithms, destination, emitter, learned, told, verifier, with_progress,
};
use super::proxy::Via;
use super::reach::{on_this_way, reach};
use crate::config::Env;
use crate::deadline::{Phase, PhaseClock};
use crate::error::{Error, ErrorKind, Result};
use crate::event::EventType;
use crate::host_key::HostKeyOffer;
use crate::transport::handshake::{Handshake, handshake};
use crate::transport::link::Link;

/// The key that a host offered, which nobody has verified yet.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OfferedHostKey {
    /// The name or address under which the key would be recorded.
    pub address: String,
    /// The port.
    pub port: u16,
    /// The key. The host has proved in the key exchange that it holds the private part.
    pub offer: HostKeyOffer,
}

impl ConnectionBuilder {
    /// Connects as far as the host key and hangs up. No credential is offered and nothing is trusted or recorded:
    /// compare the fingerprint with one from a source that you trust.
    ///
    /// One key is offered per connection: of a type by which the host is known already, if there is one, else of the
    /// type that both sides like best. Cancel-safe.
    ///
    /// # Errors
    /// As for [`ConnectionBuilder::connect`], as far as the key exchange.
    pub async fn fetch_host_key(self) -> Result<OfferedHostKey> {
        check_algorithms(&self)?;
        let env = self.environment();
        let destination = destination(&self, &env)?;
        let (address, port) = destination.known_as.clone();
        let emitter = emitter(&self)?;
        if let Some(recorder) = &self.evidence {
            recorder.configured(configuration(&self, &env, &destination), emitter.redactor());
        }
        let (host, username) = (&destination.host, &destination.username);
        let tell = |status: &str, more: Map<String, Value>| {
            let mut facts = json!({ "status": status, "host": host, "port": port, "username": username });
            if let Some(facts) = facts.as_object_mut() {
                facts.extend(more);
            }
            emitter.emit(EventType::Connect, facts);
        };
        let way = self.via.as_ref().map(Via::facts).unwrap_or_default();
        tell("initiating", way);
        let link = Arc::new(Link::new(PhaseClock::start(self.first_phase())));
        if let Some(beginning) = &self.beginning {
            link.tell_of_beginning(beginning.clone());
        }
        match self.negotiate(&env, &destination, &link).await {
            Ok(offer) => {
                let mut facts = learned(&link, &link.clock.timings(), None);
                facts.insert("host_key_algorithm".to_owned(), offer.key().algorithm().into());
                facts.insert(
                    "host_key_fingerprint".to_owned(),
                    offer.key().fingerprint().into(),
                );
                tell("host_key_seen", facts);
                Ok(OfferedHostKey { address, port, offer })
            }
            Err(error) => {
                let error = with_progress(error, &link, None).at(host, port, username);
                Err(told(error, &emitter))
            }
        }
    }

    async fn negotiate(
        &self,
        env: &Env,
        destination: &Destination,
        link: &Arc<Link>,
    ) -> Result<HostKeyOffer> {
        let known = verifier(self, env)?
            .known_hosts
            .host_key_algorithms(&destination.known_as.0, destination.known_as.1);
        let offered = Arc::new(Mutex::new(None));
        let seen = Arc::clone(&offered);
        let request = Handshake {
            known_key_types: known.keys,
            certificates: false,
            algorithms: self.algorithms.clone(),
            check: Box::new(move |offer| {
                *seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(offer);
                Box::pin(async { Err(enough()) })
            }),
        };
        let clock = link.clock.clone();
        let work = async {
            let reached = reach(self, env, destination, link).await?;
            // The jump host has to stay until the key was seen.
            let _jump = reached.jump;
            handshake(reached.stream, Arc::clone(link), request).await
        };
        let ended = clock.guard(&self.deadlines, work).await;
        let offer = offered.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (offer, ended) {
            (Some(offer), _) => Ok(offer),
            (None, Err(error)) => Err(on_this_way(error, self)),
            (None, Ok(_)) => Err(
                Error::new(ErrorKind::HostKeyMismatch, "the server showed no host key")
                    .in_phase(Phase::HostKey),
            ),
        }
    }
}

/// Ends the handshake once the key was seen. Never shown.
fn enough() -> Error {
    Error::new(ErrorKind::Cancelled, "the host key was all that was wanted")
}
