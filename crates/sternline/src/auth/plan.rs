//! What to try next. Pure: keys and answers in, attempts out.
//!
//! A server ends the connection after a number of refusals (OpenSSH: `MaxAuthTries`, 6), so the plan stops before
//! that, keeps room for the methods that come after the keys, and can say what it left untried.

use std::collections::HashSet;

use sternline_proto::key::PublicKey;

/// Refusals after which no further attempt is made. OpenSSH ends the connection at the sixth.
pub(crate) const DEFAULT_MAX_REFUSALS: usize = 5;

/// How often a person is asked again after a wrong answer, as `ssh` does (NumberOfPasswordPrompts).
pub(crate) const MAX_QUESTIONS: u32 = 3;

/// One credential of the chain, in the caller's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// A password: known, or to be asked for.
    Password {
        known: bool,
    },
    /// A key of [`PlanInput::keys`].
    Key(usize),
    /// Whatever the agent holds.
    Agent,
    KeyboardInteractive,
}

/// A key from a file or memory.
#[derive(Debug, Clone, Default)]
pub(super) struct KeyCandidate {
    /// Unknown where an encrypted file does not tell.
    pub(super) public: Option<PublicKey>,
    /// The blob of a certificate for it.
    pub(super) certificate: Option<PublicKey>,
    pub(super) encrypted: bool,
    /// Whether the private part was found.
    pub(super) usable: bool,
    /// Whether it was found where keys usually are, rather than named by the configuration.
    pub(super) discovered: bool,
}

/// A key or certificate of the agent.
#[derive(Debug, Clone)]
pub(super) struct AgentCandidate {
    pub(super) key: PublicKey,
    /// The key itself, or the certificate.
    pub(super) offered: PublicKey,
}

/// Everything the order depends on.
#[derive(Debug, Clone, Default)]
pub(super) struct PlanInput {
    pub(super) sources: Vec<Source>,
    pub(super) keys: Vec<KeyCandidate>,
    pub(super) agent: Vec<AgentCandidate>,
    /// Whether the agent may only offer keys that are among `keys`.
    pub(super) identities_only: bool,
    /// Whether a person can be asked.
    pub(super) prompter: bool,
    pub(super) max_refusals: usize,
    /// The methods that may be used, in the order in which to use them; with none the order is ours.
    pub(super) methods: Option<Vec<Wire>>,
    /// How often a person is asked for one thing.
    pub(super) questions: u32,
}

/// One attempt. Numbers are positions in the input's lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Attempt {
    /// A key or certificate of the agent; with `certificate_of`, that key's certificate, signed by the agent's key.
    Agent {
        identity: usize,
        certificate_of: Option<usize>,
    },
    /// A key.
    Key(usize),
    /// The certificate of a key.
    Certificate(usize),
    /// A password; the number is its place in the chain.
    Password {
        source: usize,
        known: bool,
    },
    KeyboardInteractive,
}

/// The method of RFC 4252 by which an attempt is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// `publickey`: keys and certificates, of files and of the agent.
    PublicKey,
    /// `password`.
    Password,
    /// `keyboard-interactive` (RFC 4256).
    KeyboardInteractive,
}

impl Wire {
    /// All of them, in the order in which they are used by default.
    pub const ALL: [Self; 3] = [Self::PublicKey, Self::KeyboardInteractive, Self::Password];

    /// The name in the protocol, which is also its name in `PreferredAuthentications`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PublicKey => "publickey",
            Self::Password => "password",
            Self::KeyboardInteractive => "keyboard-interactive",
        }
    }
}

/// How an attempt ended that did not log us in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// The server refused it.
    Refused,
    /// The server refused it, and it shall not be made again.
    GivenUp,
    /// The server accepted it and wants another factor.
    Partial,
    /// It never got to the server's decision.
    NotMade,
}

/// The ordered attempts, and what the server has said so far.
#[derive(Debug)]
pub(super) struct Plan {
    entries: Vec<Entry>,
    /// All that could be tried if every method might be used.
    possible: Vec<Attempt>,
    /// The methods that may be used, if not all.
    methods: Option<Vec<Wire>>,
    /// The methods that can continue, once the server has named them.
    offered: Option<Vec<String>>,
    refusals: usize,
    max_refusals: usize,
}

#[derive(Debug)]
struct Entry {
    attempt: Attempt,
    /// How often it may still be made.
    left: u32,
}

impl Plan {
    /// Puts the attempts in order.
    pub(super) fn new(input: &PlanInput) -> Self {
        let mut order = Order {
            input,
            attempts: Vec::new(),
            offered: HashSet::new(),
        };
        for (position, source) in input.sources.iter().enumerate() {
            match *source {
                Source::Key(index) => order.key(index),
                Source::Agent => order.agent(),
                Source::Password { known } if known || input.prompter => {
                    order.push(Attempt::Password {
                        source: position,
                        known,
                    });
                }
                Source::KeyboardInteractive if input.prompter || order.has_known_password() => {
                    order.push(Attempt::KeyboardInteractive);
                }
                Source::Password { .. } | Source::KeyboardInteractive => {}
            }
        }
        let left = |attempt| match attempt {
            Attempt::Password { known: false, .. } => input.questions,
            Attempt::KeyboardInteractive if input.prompter => input.questions,
            _ => 1,
        };
        let possible = order.attempts.clone();
        let mut attempts = order.attempts;
        if let Some(methods) = &input.methods {
            let place = |attempt: &Attempt| methods.iter().position(|wire| ways(*attempt).contains(wire));
            attempts.retain(|attempt| place(attempt).is_some());
            // A stable sort: within a method the order stays.
            attempts.sort_by_key(place);
        }
        let entries = attempts
            .into_iter()
            .map(|attempt| Entry {
                attempt,
                left: left(attempt),
            })
            .collect();
        Self {
            entries,
            possible,
            methods: input.methods.clone(),
            offered: None,
            refusals: 0,
            max_refusals: input.max_refusals,
        }
    }

    /// The next attempt and how to make it; `None` when nothing is left that the server takes and the limit allows.
    pub(super) fn next(&self) -> Option<(Attempt, Wire)> {
        self.open()
            .find_map(|(attempt, wire)| self.within_limit(wire).then_some((attempt, wire)))
    }

    /// Records how an attempt ended.
    pub(super) fn ended(&mut self, attempt: Attempt, wire: Wire, ended: Ended) {
        // A method that the server did not even consider is not spent: it may ask for it as a second factor, and a
        // password can go by another way.
        let considered = ended != Ended::Refused || self.offers(wire);
        if matches!(ended, Ended::Refused | Ended::GivenUp) {
            self.refusals += 1;
        }
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.attempt == attempt) {
            match ended {
                Ended::Refused if considered => entry.left -= 1,
                Ended::Refused => {}
                Ended::GivenUp | Ended::Partial | Ended::NotMade => entry.left = 0,
            }
        }
    }

    /// Takes note of the methods that the server says can continue. To be told before [`Plan::ended`].
    pub(super) fn learn(&mut self, remaining: &[String]) {
        self.offered = Some(remaining.to_vec());
    }

    /// The methods the server named last.
    pub(super) fn offered(&self) -> Option<&[String]> {
        self.offered.as_deref()
    }

    /// Attempts that the server would take, and that were left out so that it does not lock us out.
    pub(super) fn over_limit(&self) -> Vec<Attempt> {
        self.open().map(|(attempt, _)| attempt).collect()
    }

    /// Methods that the server takes and for which there is a credential, but which may not be used.
    pub(super) fn ruled_out(&self) -> Vec<Wire> {
        let mut ruled_out = Vec::new();
        for wire in self.possible.iter().flat_map(|attempt| ways(*attempt)).copied() {
            if self.offers(wire) && !self.allows(wire) && !ruled_out.contains(&wire) {
                ruled_out.push(wire);
            }
        }
        ruled_out
    }

    /// Whether anything could follow if this attempt came to nothing.
    pub(super) fn continues_after(&self, attempt: Attempt) -> bool {
        self.open()
            .any(|(other, wire)| other != attempt && self.within_limit(wire))
    }

    /// The attempts not yet spent, with the way in which the server takes them.
    fn open(&self) -> impl Iterator<Item = (Attempt, Wire)> {
        self.entries
            .iter()
            .filter(|entry| entry.left > 0)
            .filter_map(|entry| self.wire_for(entry.attempt).map(|wire| (entry.attempt, wire)))
    }

    fn wire_for(&self, attempt: Attempt) -> Option<Wire> {
        let mut ways = ways(attempt).iter().copied();
        ways.find(|wire| self.allows(*wire) && self.offers(*wire))
    }

    fn allows(&self, wire: Wire) -> bool {
        self.methods
            .as_ref()
            .is_none_or(|methods| methods.contains(&wire))
    }

    fn offers(&self, wire: Wire) -> bool {
        match &self.offered {
            None => true,
            Some(offered) => offered.iter().any(|method| method == wire.as_str()),
        }
    }

    /// Whether another refusal is affordable. Keys leave room for one try of each later method, but for the first.
    fn within_limit(&self, wire: Wire) -> bool {
        let later = match wire {
            Wire::PublicKey => self.open().filter(|(_, wire)| *wire != Wire::PublicKey).count(),
            Wire::Password | Wire::KeyboardInteractive => 0,
        };
        self.refusals + 1 + later.min(self.max_refusals.saturating_sub(1)) <= self.max_refusals
    }
}

/// The methods by which an attempt can be made, the best first.
fn ways(attempt: Attempt) -> &'static [Wire] {
    match attempt {
        Attempt::Agent { .. } | Attempt::Key(_) | Attempt::Certificate(_) => &[Wire::PublicKey],
        Attempt::Password { .. } => &[Wire::Password, Wire::KeyboardInteractive],
        Attempt::KeyboardInteractive => &[Wire::KeyboardInteractive],
    }
}

/// The attempts while they are being put in order.
struct Order<'a> {
    input: &'a PlanInput,
    attempts: Vec<Attempt>,
    /// The blobs that are already in the list: nothing is offered twice.
    offered: HashSet<PublicKey>,
}

impl Order<'_> {
    fn push(&mut self, attempt: Attempt) {
        if !self.attempts.contains(&attempt) {
            self.attempts.push(attempt);
        }
    }

    /// A key: its certificate first, then itself; signed by the agent where the file would need a passphrase.
    fn key(&mut self, index: usize) {
        let Some(key) = self.input.keys.get(index) else {
            return;
        };
        let agent = self.input.agent.iter().position(|candidate| {
            key.public
                .as_ref()
                .is_some_and(|public| candidate.key == *public && candidate.offered == *public)
        });
        let agent = agent.filter(|_| key.encrypted || !key.usable);
        if let Some(certificate) = &key.certificate
            && (agent.is_some() || key.usable)
            && self.offered.insert(certificate.clone())
        {
            self.push(match agent {
                Some(identity) => Attempt::Agent {
                    identity,
                    certificate_of: Some(index),
                },
                None => Attempt::Certificate(index),
            });
        }
        if key
            .public
            .as_ref()
            .is_none_or(|public| self.offered.insert(public.clone()))
        {
            self.push(match agent {
                Some(identity) => Attempt::Agent {
                    identity,
                    certificate_of: None,
                },
                None => Attempt::Key(index),
            });
        }
    }

    /// The keys of the agent, after every key that the configuration names, wherever in the chain it stands.
    fn agent(&mut self) {
        for source in &self.input.sources {
            if let Source::Key(index) = *source
                && self.input.keys.get(index).is_some_and(|key| !key.discovered)
            {
                self.key(index);
            }
        }
        let known = |candidate: &AgentCandidate| {
            self.input
                .keys
                .iter()
                .any(|key| key.public.as_ref() == Some(&candidate.key))
        };
        let (known, others): (Vec<_>, Vec<_>) = self
            .input
            .agent
            .iter()
            .enumerate()
            .partition(|(_, candidate)| known(candidate));
        let others = if self.input.identities_only {
            Vec::new()
        } else {
            others
        };
        for (identity, candidate) in known.into_iter().chain(others) {
            if self.offered.insert(candidate.offered.clone()) {
                self.push(Attempt::Agent {
                    identity,
                    certificate_of: None,
                });
            }
        }
    }

    fn has_known_password(&self) -> bool {
        self.input.sources.contains(&Source::Password { known: true })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A distinct public key for each name.
    fn public(name: &str) -> PublicKey {
        let mut blob = b"\0\0\0\x0bssh-ed25519".to_vec();
        blob.extend(name.as_bytes());
        PublicKey::from_blob(blob).unwrap()
    }

    fn file(name: &str) -> KeyCandidate {
        KeyCandidate {
            public: Some(public(name)),
            usable: true,
            ..KeyCandidate::default()
        }
    }

    fn encrypted(name: &str) -> KeyCandidate {
        KeyCandidate {
            encrypted: true,
            ..file(name)
        }
    }

    fn held(name: &str) -> AgentCandidate {
        AgentCandidate {
            key: public(name),
            offered: public(name),
        }
    }

    /// Plays the plan against a server that refuses everything and names `offered`; gives what was tried in words.
    fn play(input: &PlanInput, offered: &[&str]) -> Vec<String> {
        let mut plan = Plan::new(input);
        let mut tried = Vec::new();
        while let Some((attempt, wire)) = plan.next() {
            tried.push(describe(input, attempt, wire));
            plan.learn(
                &offered
                    .iter()
                    .map(|method| (*method).to_owned())
                    .collect::<Vec<_>>(),
            );
            plan.ended(attempt, wire, Ended::Refused);
        }
        tried
    }

    fn describe(input: &PlanInput, attempt: Attempt, wire: Wire) -> String {
        let name = |key: &PublicKey| String::from_utf8(key.blob()[15..].to_vec()).unwrap();
        match attempt {
            Attempt::Agent {
                identity,
                certificate_of: None,
            } => format!("agent {}", name(&input.agent[identity].offered)),
            Attempt::Agent {
                certificate_of: Some(key),
                ..
            } => {
                format!(
                    "agent cert {}",
                    name(input.keys[key].certificate.as_ref().unwrap())
                )
            }
            Attempt::Key(key) => format!(
                "file {}",
                input.keys[key].public.as_ref().map_or("?".into(), name)
            ),
            Attempt::Certificate(key) => {
                format!("cert {}", name(input.keys[key].certificate.as_ref().unwrap()))
            }
            Attempt::Password { known, .. } => {
                format!(
                    "{} password by {}",
                    if known { "known" } else { "asked" },
                    wire.as_str()
                )
            }
            Attempt::KeyboardInteractive => "keyboard-interactive".into(),
        }
    }

    const ALL: &[&str] = &["publickey", "password", "keyboard-interactive"];

    fn input(sources: &[Source], keys: &[KeyCandidate], agent: &[AgentCandidate]) -> PlanInput {
        PlanInput {
            sources: sources.to_vec(),
            keys: keys.to_vec(),
            agent: agent.to_vec(),
            max_refusals: DEFAULT_MAX_REFUSALS,
            prompter: true,
            questions: MAX_QUESTIONS,
            ..PlanInput::default()
        }
    }

    const KNOWN: Source = Source::Password { known: true };
    const ASKED: Source = Source::Password { known: false };

    #[test]
    fn the_chain_is_tried_in_the_callers_order() {
        let given = input(
            &[KNOWN, Source::Key(0), Source::Agent],
            &[file("a")],
            &[held("b")],
        );
        assert_eq!(
            play(&given, ALL),
            ["known password by password", "file a", "agent b"]
        );
    }

    #[test]
    fn only_the_methods_that_are_named_are_used_and_in_their_order() {
        let mut given = input(
            &[Source::Key(0), Source::Agent, Source::KeyboardInteractive, KNOWN],
            &[file("a")],
            &[held("b")],
        );
        given.prompter = false;
        for (methods, expected) in [
            (&[Wire::PublicKey][..], &["file a", "agent b"][..]),
            (
                &[Wire::Password, Wire::PublicKey],
                &["known password by password", "file a", "agent b"],
            ),
            (&[Wire::Password], &["known password by password"]),
            (&[], &[]),
        ] {
            given.methods = Some(methods.to_vec());
            assert_eq!(play(&given, ALL), expected, "{methods:?}");
        }
        // A password answers the server's question where its own method is not allowed.
        given.methods = Some(vec![Wire::KeyboardInteractive]);
        let tried = play(&given, ALL);
        assert!(
            !tried.is_empty() && tried.iter().all(|attempt| !attempt.contains("by password")),
            "{tried:?}"
        );
    }

    #[test]
    fn keys_named_by_configuration_come_before_the_agents_others() {
        let keys = [file("a"), file("b")];
        let given = input(
            &[Source::Agent, Source::Key(0), Source::Key(1)],
            &keys,
            &[held("x"), held("b")],
        );
        assert_eq!(play(&given, ALL), ["file a", "file b", "agent x"]);
    }

    #[test]
    fn discovered_keys_come_after_the_agents_and_those_it_holds_are_not_offered_again() {
        let keys = [file("a"), file("b")].map(|key| KeyCandidate {
            discovered: true,
            ..key
        });
        let given = input(
            &[Source::Agent, Source::Key(0), Source::Key(1)],
            &keys,
            &[held("x"), held("b")],
        );
        assert_eq!(play(&given, ALL), ["agent b", "agent x", "file a"]);
    }

    #[test]
    fn identities_only_keeps_the_agents_other_keys_back() {
        let mut given = input(
            &[Source::Agent, Source::Key(0)],
            &[encrypted("a")],
            &[held("x"), held("a")],
        );
        given.identities_only = true;
        assert_eq!(play(&given, ALL), ["agent a"]);
        given.keys.clear();
        given.sources = vec![Source::Agent];
        assert_eq!(
            play(&given, ALL),
            [""; 0],
            "nothing is configured, so nothing may be offered"
        );
    }

    #[test]
    fn the_agent_signs_for_encrypted_and_for_absent_files_and_files_sign_for_themselves() {
        let absent = KeyCandidate {
            usable: false,
            ..file("c")
        };
        let keys = [file("a"), encrypted("b"), absent, encrypted("d")];
        let sources: Vec<_> = (0..4).map(Source::Key).collect();
        let given = input(&sources, &keys, &[held("a"), held("b"), held("c")]);
        assert_eq!(play(&given, ALL), ["file a", "agent b", "agent c", "file d"]);
    }

    #[test]
    fn a_key_named_twice_is_offered_once() {
        let given = input(
            &[Source::Key(0), Source::Key(1), Source::Key(0)],
            &[file("a"), file("a")],
            &[],
        );
        assert_eq!(play(&given, ALL), ["file a"]);
    }

    #[test]
    fn a_certificate_goes_before_its_key_whoever_signs() {
        let certified = |key: KeyCandidate, name| KeyCandidate {
            certificate: Some(public(name)),
            ..key
        };
        let keys = [
            certified(file("a"), "A"),
            certified(encrypted("b"), "B"),
            certified(file("c"), "C"),
        ];
        let mut given = input(&[Source::Key(0), Source::Key(1)], &keys, &[held("b")]);
        assert_eq!(play(&given, ALL), ["cert A", "file a", "agent cert B", "agent b"]);
        given.agent = vec![
            AgentCandidate {
                key: public("c"),
                offered: public("C"),
            },
            held("c"),
        ];
        given.sources = vec![Source::Agent, Source::Key(2)];
        assert_eq!(
            play(&given, ALL),
            ["cert C", "file c"],
            "neither is offered again by the agent"
        );
    }

    #[test]
    fn the_plan_stops_before_the_server_locks_us_out_and_knows_what_is_left() {
        let keys: Vec<_> = ["a", "b", "c", "d", "e", "f", "g"].map(file).to_vec();
        let sources: Vec<_> = (0..7).map(Source::Key).collect();
        let given = input(&sources, &keys, &[]);
        assert_eq!(play(&given, ALL).len(), DEFAULT_MAX_REFUSALS);
        let mut plan = Plan::new(&given);
        while let Some((attempt, wire)) = plan.next() {
            plan.ended(attempt, wire, Ended::Refused);
        }
        assert_eq!(plan.over_limit(), [Attempt::Key(5), Attempt::Key(6)]);
    }

    #[test]
    fn a_method_is_ruled_out_if_the_server_takes_it_and_there_is_a_credential_for_it() {
        use Wire::{KeyboardInteractive, Password, PublicKey};
        let mut given = input(&[Source::Key(0), KNOWN], &[file("a")], &[]);
        assert!(Plan::new(&given).ruled_out().is_empty());
        for (methods, offered, expected) in [
            (&[PublicKey][..], &["publickey", "password"][..], &[Password][..]),
            (
                &[PublicKey],
                &["password", "keyboard-interactive"],
                &[Password, KeyboardInteractive],
            ),
            (&[PublicKey], &["publickey"], &[]),
            (&[PublicKey, KeyboardInteractive], &["password"], &[Password]),
            (
                &[PublicKey, KeyboardInteractive],
                &["password", "keyboard-interactive"],
                &[Password],
            ),
            (&[Password], &["publickey", "password"], &[PublicKey]),
        ] {
            given.methods = Some(methods.to_vec());
            let mut plan = Plan::new(&given);
            plan.learn(&offered.iter().map(|&name| name.to_owned()).collect::<Vec<_>>());
            assert_eq!(plan.ruled_out(), expected, "{methods:?} {offered:?}");
        }
    }

    #[test]
    fn keys_leave_room_for_the_methods_after_them() {
        let keys: Vec<_> = ["a", "b", "c", "d", "e", "f"].map(file).to_vec();
        let mut sources: Vec<_> = (0..6).map(Source::Key).collect();
        sources.push(KNOWN);
        let given = input(&sources, &keys, &[]);
        assert_eq!(
            play(&given, ALL),
            [
                "file a",
                "file b",
                "file c",
                "file d",
                "known password by password"
            ]
        );
        assert_eq!(
            play(&given, &["publickey"]).len(),
            5,
            "no room is kept for what the server does not take"
        );
    }

    #[test]
    fn even_a_limit_of_one_tries_the_first_credential() {
        let mut given = input(&[Source::Key(0), KNOWN], &[file("a")], &[]);
        given.max_refusals = 1;
        assert_eq!(play(&given, ALL), ["file a"]);
    }

    #[test]
    fn methods_that_the_server_does_not_offer_are_skipped() {
        let given = input(
            &[Source::Key(0), Source::Key(1), KNOWN],
            &[file("a"), file("b")],
            &[],
        );
        assert_eq!(
            play(&given, &["password"]),
            ["file a", "known password by password"]
        );
        assert_eq!(play(&given, &["gssapi-with-mic"]), ["file a"]);
    }

    #[test]
    fn a_password_goes_by_keyboard_interactive_where_the_server_takes_no_other() {
        let given = input(&[KNOWN], &[], &[]);
        assert_eq!(
            play(&given, &["publickey", "keyboard-interactive"]),
            [
                "known password by password",
                "known password by keyboard-interactive"
            ]
        );
        assert_eq!(play(&given, ALL), ["known password by password"]);
    }

    #[test]
    fn a_person_is_asked_three_times_and_a_known_password_tried_once() {
        let asked = input(&[ASKED], &[], &[]);
        assert_eq!(play(&asked, ALL), ["asked password by password"; 3]);
        assert_eq!(play(&input(&[KNOWN], &[], &[]), ALL).len(), 1);
        let interactive = input(&[Source::KeyboardInteractive], &[], &[]);
        assert_eq!(play(&interactive, ALL), ["keyboard-interactive"; 3]);
    }

    #[test]
    fn without_anyone_to_ask_nothing_is_asked() {
        let mut given = input(&[ASKED, Source::KeyboardInteractive], &[], &[]);
        given.prompter = false;
        assert_eq!(play(&given, ALL), [""; 0]);
        given.sources.push(KNOWN);
        assert_eq!(
            play(&given, ALL),
            ["keyboard-interactive", "known password by password"]
        );
    }

    #[test]
    fn a_second_factor_uses_what_is_not_yet_spent() {
        let given = input(
            &[Source::Key(0), Source::Key(1), KNOWN],
            &[file("a"), file("b")],
            &[],
        );
        let mut plan = Plan::new(&given);
        let (first, wire) = plan.next().unwrap();
        plan.learn(&["publickey".into()]);
        plan.ended(first, wire, Ended::Refused);
        let (second, wire) = plan.next().unwrap();
        assert_eq!(second, Attempt::Key(1));
        plan.learn(&["publickey".into(), "password".into()]);
        plan.ended(second, wire, Ended::Partial);
        assert_eq!(
            plan.next(),
            Some((
                Attempt::Password {
                    source: 2,
                    known: true
                },
                Wire::Password
            ))
        );
    }

    #[test]
    fn an_attempt_that_was_not_made_costs_nothing_and_is_not_repeated() {
        let given = input(&[Source::Key(0), KNOWN], &[file("a")], &[]);
        let mut plan = Plan::new(&given);
        let (attempt, wire) = plan.next().unwrap();
        assert!(plan.continues_after(attempt));
        plan.ended(attempt, wire, Ended::NotMade);
        let (attempt, _) = plan.next().unwrap();
        assert_eq!(
            attempt,
            Attempt::Password {
                source: 1,
                known: true
            }
        );
        assert!(!plan.continues_after(attempt));
    }
}
