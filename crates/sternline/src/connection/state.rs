//! The states of a supervised connection, and what leads from one to another. Pure: no clock, no network, no events.

use std::fmt;

use crate::error::ErrorKind;

/// What a supervised connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConnectionState {
    /// Nothing: it has not begun, or it was closed.
    Disconnected,
    /// An attempt to connect is under way.
    Connecting,
    /// There is a connection.
    Connected,
    /// The connection was lost or could not be made, and the next attempt is being waited for.
    Reconnecting,
    /// It was given up: trying again would not help, or the retries are used up.
    Failed,
}

impl ConnectionState {
    /// The name in events and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disconnected => "disconnected",
            Self::Connecting => "connecting",
            Self::Connected => "connected",
            Self::Reconnecting => "reconnecting",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for ConnectionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why an attempt to connect failed, as far as trying again is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// The network, or the server's end of it: another attempt may succeed.
    Network,
    /// This machine has lost its way into the network: no attempt can succeed before that is back.
    NoNetwork,
    /// Trust, credentials or settings: another attempt would fail in the same way.
    Permanent,
}

impl Failure {
    /// `route_lost` says that the system has no route any more, where there was one; `out_of_files` that this process
    /// could open nothing, so that a file or an agent that could not be opened may be there the next time.
    pub(super) fn of(kind: &ErrorKind, route_lost: bool, out_of_files: bool) -> Self {
        let opened = matches!(
            kind,
            ErrorKind::Local | ErrorKind::KeyLoad(_) | ErrorKind::Agent(_)
        );
        match (kind.is_connection() || (opened && out_of_files), route_lost) {
            (true, false) => Self::Network,
            (true, true) => Self::NoNetwork,
            (false, _) => Self::Permanent,
        }
    }
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Input {
    /// Somebody wants a connection.
    Start,
    /// The attempt has succeeded.
    Connected,
    /// The attempt has failed.
    AttemptFailed(Failure),
    /// The connection has ended. `steady`: it had lasted for a while.
    Lost { steady: bool },
    /// The wait before the next attempt is over.
    RetryDue,
    /// The machine has woken from sleep, or reaches the network in another way than before, or at all again.
    Stirred,
    /// Nobody wants a connection any more.
    Close,
}

/// What the next attempt waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// Nothing.
    None,
    /// The delay of the retry policy with this number, counted from 0.
    Backoff(u32),
    /// A way into the network.
    Network,
}

/// A change of state, with what its event tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Move {
    pub(super) from: ConnectionState,
    pub(super) to: ConnectionState,
    pub(super) reconnections: u32,
    pub(super) cause: Cause,
}

/// Why the state changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// As it should: there is nothing to add.
    Progress,
    /// So many attempts have failed in a row, and the next one will follow.
    Retry { attempt: u32 },
    /// An attempt failed for want of a network, which does not count.
    NoNetwork,
    /// The connection was lost.
    Lost,
    /// Another attempt would not help.
    Permanent { attempts: u32 },
    /// The retries are used up.
    Exhausted { attempts: u32 },
}

/// The state and the counts that decide about the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Machine {
    max_retries: u32,
    state: ConnectionState,
    wait: Wait,
    /// How often a connection was made.
    connections: u32,
    /// How many attempts in a row have failed.
    attempts: u32,
    /// How many connections in a row did not last.
    brief: u32,
}

impl Machine {
    pub(super) fn new(max_retries: u32) -> Self {
        Self {
            max_retries,
            state: ConnectionState::Disconnected,
            wait: Wait::None,
            connections: 0,
            attempts: 0,
            brief: 0,
        }
    }

    pub(super) fn state(&self) -> ConnectionState {
        self.state
    }

    /// What the next attempt waits for; of use in [`ConnectionState::Reconnecting`].
    pub(super) fn wait(&self) -> Wait {
        self.wait
    }

    /// How often the connection was made again after the first time.
    pub(super) fn reconnections(&self) -> u32 {
        self.connections.saturating_sub(1)
    }

    /// How many attempts in a row have failed.
    pub(super) fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Takes what happened into account. `None`: it means nothing in this state, and nothing changes.
    ///
    /// A success makes the count of failed attempts begin anew. The delays begin anew only after a connection that
    /// lasted: one that comes up and breaks at once, again and again, is tried less and less often.
    pub(super) fn apply(&mut self, input: Input) -> Option<Move> {
        use ConnectionState::{Connected, Connecting, Disconnected, Failed, Reconnecting};
        let from = self.state;
        let (to, cause) = match (from, input) {
            (Disconnected, Input::Start) | (Reconnecting, Input::RetryDue) => (Connecting, Cause::Progress),
            (Reconnecting, Input::Stirred) => {
                (self.attempts, self.brief) = (0, 0);
                (Connecting, Cause::Progress)
            }
            (Connecting, Input::Connected) => {
                self.attempts = 0;
                self.connections = self.connections.saturating_add(1);
                (Connected, Cause::Progress)
            }
            (Connecting, Input::AttemptFailed(failure)) => self.failed(failure),
            (Connected, Input::Lost { steady }) => {
                self.brief = if steady { 0 } else { self.brief.saturating_add(1) };
                self.wait = self.brief.checked_sub(2).map_or(Wait::None, Wait::Backoff);
                (Reconnecting, Cause::Lost)
            }
            (Connecting | Connected | Reconnecting | Failed, Input::Close) => (Disconnected, Cause::Progress),
            _ => return None,
        };
        self.state = to;
        Some(Move {
            from,
            to,
            reconnections: self.reconnections(),
            cause,
        })
    }

    fn failed(&mut self, failure: Failure) -> (ConnectionState, Cause) {
        if failure == Failure::NoNetwork {
            self.wait = Wait::Network;
            return (ConnectionState::Reconnecting, Cause::NoNetwork);
        }
        self.attempts = self.attempts.saturating_add(1);
        let attempts = self.attempts;
        if failure == Failure::Permanent {
            (ConnectionState::Failed, Cause::Permanent { attempts })
        } else if attempts > self.max_retries {
            (ConnectionState::Failed, Cause::Exhausted { attempts })
        } else {
            self.wait = Wait::Backoff(attempts - 1 + self.brief.saturating_sub(1));
            (ConnectionState::Reconnecting, Cause::Retry { attempt: attempts })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ConnectionState::{Connected, Connecting, Disconnected, Failed, Reconnecting};
    use super::*;
    use crate::error::{AgentReason, KeyLoadReason};

    const STATES: [ConnectionState; 5] = [Disconnected, Connecting, Connected, Reconnecting, Failed];
    const INPUTS: [Input; 10] = [
        Input::Start,
        Input::Connected,
        Input::AttemptFailed(Failure::Network),
        Input::AttemptFailed(Failure::NoNetwork),
        Input::AttemptFailed(Failure::Permanent),
        Input::Lost { steady: true },
        Input::Lost { steady: false },
        Input::RetryDue,
        Input::Stirred,
        Input::Close,
    ];

    /// A machine with three retries, brought into a state by the shortest way.
    fn machine_in(state: ConnectionState) -> Machine {
        let mut machine = Machine::new(3);
        let way: &[Input] = match state {
            Disconnected => &[],
            Connecting => &[Input::Start],
            Connected => &[Input::Start, Input::Connected],
            Reconnecting => &[Input::Start, Input::AttemptFailed(Failure::Network)],
            Failed => &[Input::Start, Input::AttemptFailed(Failure::Permanent)],
        };
        run(&mut machine, way);
        assert_eq!(machine.state(), state);
        machine
    }

    fn run(machine: &mut Machine, inputs: &[Input]) {
        for input in inputs {
            assert!(machine.apply(*input).is_some(), "{input:?} in {machine:?}");
        }
    }

    #[test]
    fn every_input_in_every_state_leads_where_the_table_says() {
        // One row for each state, one column for each of INPUTS; `-` changes nothing.
        let table = [
            (Disconnected, "connecting - - - - - - - - -"),
            (
                Connecting,
                "- connected reconnecting reconnecting failed - - - - disconnected",
            ),
            (Connected, "- - - - - reconnecting reconnecting - - disconnected"),
            (Reconnecting, "- - - - - - - connecting connecting disconnected"),
            (Failed, "- - - - - - - - - disconnected"),
        ];
        assert_eq!(table.map(|(state, _)| state), STATES);
        for (state, row) in table {
            let cells: Vec<&str> = row.split(' ').collect();
            assert_eq!(cells.len(), INPUTS.len());
            for (input, expected) in INPUTS.into_iter().zip(cells) {
                let mut machine = machine_in(state);
                let before = machine;
                let made = machine.apply(input);
                let to = made.map_or("-", |made| made.to.as_str());
                assert_eq!(to, expected, "{input:?} in {state}");
                match made {
                    Some(made) => assert_eq!((made.from, made.to), (state, machine.state())),
                    None => assert_eq!(machine, before),
                }
            }
        }
    }

    #[test]
    fn the_states_have_the_names_that_events_use() {
        let names: Vec<String> = STATES.iter().map(ToString::to_string).collect();
        assert_eq!(
            names,
            [
                "disconnected",
                "connecting",
                "connected",
                "reconnecting",
                "failed"
            ]
        );
    }

    #[test]
    fn there_is_one_try_more_than_there_are_retries_and_each_waits_longer() {
        let mut machine = Machine::new(3);
        machine.apply(Input::Start);
        for attempt in 1..=3 {
            let made = machine.apply(Input::AttemptFailed(Failure::Network)).unwrap();
            assert_eq!(made.cause, Cause::Retry { attempt });
            assert_eq!(machine.wait(), Wait::Backoff(attempt - 1));
            machine.apply(Input::RetryDue);
        }
        let made = machine.apply(Input::AttemptFailed(Failure::Network)).unwrap();
        assert_eq!((made.to, made.cause), (Failed, Cause::Exhausted { attempts: 4 }));
    }

    #[test]
    fn without_retries_the_first_failure_is_the_last() {
        let mut machine = Machine::new(0);
        machine.apply(Input::Start);
        let made = machine.apply(Input::AttemptFailed(Failure::Network)).unwrap();
        assert_eq!((made.to, made.cause), (Failed, Cause::Exhausted { attempts: 1 }));
    }

    #[test]
    fn only_connections_after_the_first_count_and_retries_of_the_first_do_not() {
        let mut machine = machine_in(Reconnecting);
        machine.apply(Input::RetryDue);
        assert_eq!(machine.apply(Input::Connected).unwrap().reconnections, 0);
        run(&mut machine, &[Input::Lost { steady: true }, Input::RetryDue]);
        let made = machine.apply(Input::Connected).unwrap();
        assert_eq!((made.to, made.reconnections), (Connected, 1));
    }

    #[test]
    fn a_success_gives_all_retries_back() {
        let mut machine = machine_in(Reconnecting);
        run(
            &mut machine,
            &[Input::RetryDue, Input::Connected, Input::Lost { steady: true }],
        );
        assert_eq!((machine.attempts(), machine.wait()), (0, Wait::None));
    }

    #[test]
    fn a_connection_that_breaks_at_once_again_and_again_is_tried_less_and_less_often() {
        let mut machine = machine_in(Connected);
        let mut waits = Vec::new();
        for _ in 0..4 {
            run(&mut machine, &[Input::Lost { steady: false }]);
            waits.push(machine.wait());
            run(&mut machine, &[Input::RetryDue, Input::Connected]);
        }
        assert_eq!(
            waits,
            [Wait::None, Wait::Backoff(0), Wait::Backoff(1), Wait::Backoff(2)]
        );
        run(&mut machine, &[Input::Lost { steady: false }, Input::RetryDue]);
        run(&mut machine, &[Input::AttemptFailed(Failure::Network)]);
        assert_eq!(machine.wait(), Wait::Backoff(4), "failures go on from there");
        run(&mut machine, &[Input::RetryDue, Input::Connected]);
        run(&mut machine, &[Input::Lost { steady: true }]);
        assert_eq!(machine.wait(), Wait::None, "one that lasted ends it");
    }

    #[test]
    fn waiting_for_the_network_costs_no_retries_and_its_return_gives_all_back() {
        let mut machine = machine_in(Connected);
        run(&mut machine, &[Input::Lost { steady: true }, Input::RetryDue]);
        run(&mut machine, &[Input::AttemptFailed(Failure::Network)]);
        for _ in 0..10 {
            run(&mut machine, &[Input::RetryDue]);
            let made = machine.apply(Input::AttemptFailed(Failure::NoNetwork)).unwrap();
            assert_eq!((made.to, made.cause), (Reconnecting, Cause::NoNetwork));
            assert_eq!((machine.attempts(), machine.wait()), (1, Wait::Network));
        }
        run(&mut machine, &[Input::Stirred]);
        assert_eq!((machine.state(), machine.attempts()), (Connecting, 0));
    }

    #[test]
    fn network_errors_are_tried_again_and_all_others_are_not() {
        let network = [
            ErrorKind::Connection,
            ErrorKind::ConnectionRefused,
            ErrorKind::ConnectionTimeout,
            ErrorKind::HostUnreachable,
        ];
        let permanent = [
            ErrorKind::AuthFailed,
            ErrorKind::HostKeyMismatch,
            ErrorKind::NoMutualKex,
            ErrorKind::KeyLoad(KeyLoadReason::FileNotFound),
            ErrorKind::Agent(AgentReason::NoKeys),
            ErrorKind::Invalid,
            ErrorKind::Local,
        ];
        for kind in network {
            assert_eq!(Failure::of(&kind, false, false), Failure::Network, "{kind:?}");
            assert_eq!(Failure::of(&kind, true, false), Failure::NoNetwork, "{kind:?}");
        }
        for kind in permanent {
            assert_eq!(Failure::of(&kind, false, false), Failure::Permanent, "{kind:?}");
            assert_eq!(Failure::of(&kind, true, false), Failure::Permanent, "{kind:?}");
        }
    }

    #[test]
    fn what_could_not_be_opened_for_want_of_file_descriptors_is_tried_again() {
        use ErrorKind::{Agent, AuthFailed, ConnectionRefused, HostKeyMismatch, Invalid, KeyLoad, Local};
        for (kind, expected) in [
            (Local, Failure::Network),
            (KeyLoad(KeyLoadReason::PermissionDenied), Failure::Network),
            (Agent(AgentReason::NoKeys), Failure::Network),
            (ConnectionRefused, Failure::Network),
            (AuthFailed, Failure::Permanent),
            (HostKeyMismatch, Failure::Permanent),
            (Invalid, Failure::Permanent),
        ] {
            assert_eq!(Failure::of(&kind, false, true), expected, "{kind:?}");
        }
    }
}
