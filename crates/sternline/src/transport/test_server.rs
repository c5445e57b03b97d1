//! An SSH server in the same process whose answers to login requests a test decides, and which keeps a list of them.

use std::borrow::Cow;
use std::str::FromStr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use russh::keys::{HashAlg, PrivateKey, ssh_key};
use russh::server::{
    Auth, Config, Handler, PublicKeyOffer, Response, Session, VerifiedPublicKey, run_stream,
};
use russh::{MethodKind, MethodSet};

use super::handshake::{Handshake, Login, handshake};
use super::link::Link;
use crate::deadline::{Phase, PhaseClock};

/// A request to log in, as the server sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asked {
    None,
    Password(String),
    /// A public key by its fingerprint, before anything is signed.
    Offered(String),
    /// The same with a valid signature, and the signature's algorithm.
    Signed(String, String),
    Certificate(String),
    /// Keyboard-interactive: the start, or the answers of a round.
    Answers(Option<Vec<String>>),
}

/// What the server says to it.
#[derive(Debug, Clone)]
pub(crate) enum Says {
    Yes,
    /// No, and these methods can continue.
    No(&'static [&'static str]),
    /// Yes, and another factor by one of these methods.
    More(&'static [&'static str]),
    /// Prompts, each with whether it echoes.
    Prompts(Vec<(&'static str, bool)>),
    HangUp,
}

type Script = Box<dyn FnMut(&Asked) -> Says + Send>;

struct Scripted {
    script: Script,
    log: Arc<Mutex<Vec<Asked>>>,
}

impl Scripted {
    fn answer(&mut self, asked: Asked) -> Result<Auth, russh::Error> {
        let says = (self.script)(&asked);
        self.log.lock().unwrap().push(asked);
        let reject = |methods: &[&str], partial_success| Auth::Reject {
            proceed_with_methods: Some(MethodSet::from(
                &methods
                    .iter()
                    .map(|name| MethodKind::from_str(name).unwrap())
                    .collect::<Vec<_>>()[..],
            )),
            partial_success,
        };
        Ok(match says {
            Says::Yes => Auth::Accept,
            Says::No(methods) => reject(methods, false),
            Says::More(methods) => reject(methods, true),
            Says::Prompts(prompts) => Auth::Partial {
                name: "name".into(),
                instructions: "instructions".into(),
                prompts: prompts
                    .into_iter()
                    .map(|(text, echo)| (Cow::Borrowed(text), echo))
                    .collect(),
            },
            Says::HangUp => return Err(russh::Error::Disconnect),
        })
    }
}

fn fingerprint(key: &ssh_key::PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

impl Handler for Scripted {
    type Error = russh::Error;

    async fn auth_none(&mut self, _: &str) -> Result<Auth, Self::Error> {
        self.answer(Asked::None)
    }

    async fn auth_password(&mut self, _: &str, password: &str) -> Result<Auth, Self::Error> {
        self.answer(Asked::Password(password.to_owned()))
    }

    async fn auth_publickey_offered(
        &mut self,
        _: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, Self::Error> {
        self.answer(Asked::Offered(fingerprint(offer.public_key)))
    }

    async fn auth_publickey(&mut self, _: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        self.answer(Asked::Signed(
            fingerprint(key.public_key),
            key.algorithm.to_string(),
        ))
    }

    async fn auth_openssh_certificate(
        &mut self,
        _: &str,
        certificate: &ssh_key::Certificate,
    ) -> Result<Auth, Self::Error> {
        self.answer(Asked::Certificate(certificate.key_id().to_owned()))
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        _: &str,
        _: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, Self::Error> {
        let answers = response.map(|response| {
            response
                .map(|answer| String::from_utf8_lossy(&answer).into_owned())
                .collect()
        });
        self.answer(Asked::Answers(answers))
    }

    /// Claims to listen on a port that no address can have.
    async fn tcpip_forward(&mut self, _: &str, port: &mut u32, _: &mut Session) -> Result<bool, Self::Error> {
        *port = 70_000;
        Ok(true)
    }
}

/// Connects to a server that answers as `script` says. Gives the connection, and what the server was asked.
pub(crate) async fn connect(
    script: impl FnMut(&Asked) -> Says + Send + 'static,
) -> (Login, Arc<Mutex<Vec<Asked>>>) {
    let log = Arc::new(Mutex::new(Vec::new()));
    let scripted = Scripted {
        script: Box::new(script),
        log: Arc::clone(&log),
    };
    let host_key = ssh_key::private::Ed25519Keypair::from_seed(&[7; 32]);
    let config = Config {
        keys: vec![PrivateKey::from(host_key)],
        auth_rejection_time: Duration::ZERO,
        auth_rejection_time_initial: Some(Duration::ZERO),
        max_auth_attempts: 100,
        ..Config::default()
    };
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    tokio::spawn(async move {
        if let Ok(session) = run_stream(Arc::new(config), theirs, scripted).await {
            let _ = session.await;
        }
    });
    let link = Arc::new(Link::new(PhaseClock::start(Phase::Tcp)));
    let request = Handshake {
        known_key_types: Vec::new(),
        algorithms: super::algorithms::AlgorithmChoice::default(),
        certificates: false,
        check: Box::new(|_| Box::pin(async { Ok(()) })),
    };
    let login = handshake(ours, link, request).await.unwrap();
    (login, log)
}
