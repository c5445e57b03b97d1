//! What a fault makes of one connection. Pure: bytes in, a decision out.

use std::time::Duration;

use crate::fault::name::{Direction, Fault};

/// Bytes of the server's key exchange proposal that [`Fault::TruncateKex`] lets through. A real one is longer: its fixed
/// fields and the shortest useful lists are more than this (RFC 4253 section 7.1).
const TRUNCATED_KEX: u64 = 64;
/// Parts of a second in which [`Fault::Slow`] hands out its bytes.
const TICKS: u64 = 20;

/// Bytes of one direction that the other side has not taken yet.
const ROOM: usize = 1024 * 1024;
/// As much as 1 GB/s has on its way for 60 ms.
const ROOM_WITH_LATENCY: usize = 64 * 1024 * 1024;

/// The condition of one connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Condition {
    fault: Option<Fault>,
    /// Bytes since the fault was set.
    to_client: u64,
    to_server: u64,
    identification: Identification,
    /// Bytes from the server after its identification line.
    after_identification: u64,
    /// Set when the connection has to end now.
    pub(super) ending: Option<Ending>,
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Close,
    Reset,
}

/// What is to be done with the next bytes of one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing, until the condition changes.
    Hold,
    Pass(Pass),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Pass {
    /// How many of the bytes pass.
    pub(super) count: usize,
    /// Which one gets a bit flipped first.
    pub(super) flip: Option<usize>,
    /// How long nothing else passes afterwards.
    pub(super) pause: Option<Duration>,
    /// How the connection ends afterwards.
    pub(super) ending: Option<Ending>,
}

impl Pass {
    /// Whether a fault that waits for its moment has had it.
    pub(super) fn fires(&self) -> bool {
        self.flip.is_some() || self.ending.is_some()
    }
}

impl Condition {
    /// Puts a fault in the place of the present one, and says whether it takes effect at once.
    pub(super) fn set(&mut self, fault: Option<Fault>) -> bool {
        let swallowed = self.fault == Some(Fault::BlackHole) && fault != self.fault;
        (self.fault, self.to_client, self.to_server) = (fault, 0, 0);
        if swallowed {
            self.ending = Some(Ending::Reset);
        }
        match fault {
            Some(Fault::Drop) => self.ending = Some(Ending::Close),
            Some(Fault::Reset) => self.ending = Some(Ending::Reset),
            Some(
                Fault::BlackHole | Fault::Stall | Fault::Slow(_) | Fault::Latency(_) | Fault::BannerOnly,
            ) => {}
            None | Some(Fault::DropAfter(_) | Fault::Refuse | Fault::Corrupt { .. } | Fault::TruncateKex) => {
                return false;
            }
        }
        true
    }

    /// Decides on `data`, which is not empty, and counts what passes.
    pub(super) fn step(&mut self, direction: Direction, data: &[u8]) -> Step {
        let Some(pass) = self.decide(direction, data) else {
            return Step::Hold;
        };
        let count = pass.count as u64;
        match direction {
            Direction::ToServer => self.to_server += count,
            Direction::ToClient => {
                self.to_client += count;
                let passed = data.get(..pass.count).unwrap_or(data);
                self.after_identification += (passed.len() - self.identification.read(passed)) as u64;
            }
        }
        Step::Pass(pass)
    }

    fn decide(&self, direction: Direction, data: &[u8]) -> Option<Pass> {
        let all = Pass {
            count: data.len(),
            ..Pass::default()
        };
        // As many as there are, up to a limit which ends the connection when it is reached.
        let up_to = |limit: u64| Pass {
            count: at_most(data.len(), limit),
            ending: (data.len() as u64 >= limit).then_some(Ending::Close),
            ..Pass::default()
        };
        match self.fault {
            None | Some(Fault::Drop | Fault::Reset | Fault::Refuse | Fault::Latency(_)) => Some(all),
            Some(Fault::BlackHole | Fault::Stall) => None,
            Some(Fault::DropAfter(limit)) => match limit.saturating_sub(self.to_client + self.to_server) {
                // The other direction has used it up and is about to end the connection.
                0 => None,
                left => Some(up_to(left)),
            },
            Some(Fault::Slow(rate)) => {
                let count = at_most(data.len(), (rate / TICKS).max(1));
                Some(Pass {
                    count,
                    pause: Some(Duration::from_secs_f64(count as f64 / rate.max(1) as f64)),
                    ..all
                })
            }
            Some(Fault::Corrupt { direction: way, byte }) => {
                let before = match way {
                    Direction::ToClient => self.to_client,
                    Direction::ToServer => self.to_server,
                };
                let flip = byte
                    .checked_sub(before + 1)
                    .and_then(|index| usize::try_from(index).ok())
                    .filter(|index| way == direction && *index < data.len());
                Some(Pass { flip, ..all })
            }
            Some(Fault::TruncateKex) => match direction {
                Direction::ToServer => Some(all),
                Direction::ToClient => {
                    let line = self.identification.clone().read(data) as u64;
                    Some(up_to(
                        line + TRUNCATED_KEX.saturating_sub(self.after_identification),
                    ))
                }
            },
            Some(Fault::BannerOnly) => match direction {
                Direction::ToServer => None,
                Direction::ToClient => match self.identification.clone().read(data) {
                    0 => None,
                    count => Some(Pass { count, ..all }),
                },
            },
        }
    }

    /// Whether the end of one direction may be passed on, and for a new connection whether the server is told of it.
    pub(super) fn passes(&self) -> bool {
        !matches!(
            self.fault,
            Some(Fault::BlackHole | Fault::Stall | Fault::BannerOnly)
        )
    }

    /// Whether a new connection is taken to the server yet.
    pub(super) fn connects(&self) -> bool {
        !matches!(self.fault, Some(Fault::BlackHole | Fault::Stall))
    }

    /// How many bytes of each direction may be on their way. With latency that is what bounds the throughput, so there it
    /// is plenty.
    pub(super) fn room(&self) -> usize {
        match self.fault {
            Some(Fault::Latency(_)) => ROOM_WITH_LATENCY,
            _ => ROOM,
        }
    }

    /// How much later bytes arrive that are read now.
    pub(super) fn latency(&self) -> Option<Duration> {
        match self.fault {
            Some(Fault::Latency(latency)) => Some(latency),
            _ => None,
        }
    }
}

fn at_most(count: usize, limit: u64) -> usize {
    usize::try_from(limit).map_or(count, |limit| count.min(limit))
}

/// Follows what a server sends up to the end of its identification line, which others may precede (RFC 4253 section 4.2).
#[derive(Debug, Clone, Default)]
struct Identification {
    /// Bytes of the present line so far.
    column: usize,
    /// Whether the present line begins otherwise.
    other: bool,
    done: bool,
}

impl Identification {
    /// How many of these bytes belong to it.
    fn read(&mut self, data: &[u8]) -> usize {
        const START: &[u8] = b"SSH-";
        for (index, byte) in data.iter().enumerate() {
            if self.done {
                return index;
            }
            self.other |= START.get(self.column).is_some_and(|expected| expected != byte);
            self.column += 1;
            if *byte == b'\n' {
                self.done = !self.other;
                (self.column, self.other) = (0, false);
            }
        }
        data.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Pass = Pass {
        count: 10,
        flip: None,
        pause: None,
        ending: None,
    };
    const CLOSING: Option<Ending> = Some(Ending::Close);

    fn with(fault: Fault) -> Condition {
        let mut condition = Condition::default();
        condition.set(Some(fault));
        condition
    }

    #[test]
    fn what_each_fault_makes_of_ten_bytes_to_the_client() {
        let corrupt = |direction, byte| Fault::Corrupt { direction, byte };
        let table = [
            (Fault::Refuse, Step::Pass(ALL)),
            (Fault::Latency(Duration::from_secs(1)), Step::Pass(ALL)),
            (Fault::BlackHole, Step::Hold),
            (Fault::Stall, Step::Hold),
            (Fault::DropAfter(11), Step::Pass(ALL)),
            (
                Fault::DropAfter(10),
                Step::Pass(Pass {
                    ending: CLOSING,
                    ..ALL
                }),
            ),
            (
                Fault::DropAfter(3),
                Step::Pass(Pass {
                    count: 3,
                    ending: CLOSING,
                    ..ALL
                }),
            ),
            (
                Fault::Slow(40),
                Step::Pass(Pass {
                    count: 2,
                    pause: Some(Duration::from_millis(50)),
                    ..ALL
                }),
            ),
            (
                Fault::Slow(1),
                Step::Pass(Pass {
                    count: 1,
                    pause: Some(Duration::from_secs(1)),
                    ..ALL
                }),
            ),
            (
                corrupt(Direction::ToClient, 1),
                Step::Pass(Pass { flip: Some(0), ..ALL }),
            ),
            (
                corrupt(Direction::ToClient, 10),
                Step::Pass(Pass { flip: Some(9), ..ALL }),
            ),
            (corrupt(Direction::ToClient, 11), Step::Pass(ALL)),
            (corrupt(Direction::ToServer, 1), Step::Pass(ALL)),
        ];
        for (fault, step) in table {
            assert_eq!(
                with(fault).step(Direction::ToClient, b"0123456789"),
                step,
                "{fault}"
            );
        }
    }

    #[test]
    fn bytes_of_both_directions_count_for_a_drop_and_only_one_of_them_ends_the_connection() {
        let mut condition = with(Fault::DropAfter(12));
        assert_eq!(condition.step(Direction::ToServer, &[0; 10]), Step::Pass(ALL));
        let last = Pass {
            count: 2,
            ending: CLOSING,
            ..ALL
        };
        assert_eq!(condition.step(Direction::ToClient, &[0; 10]), Step::Pass(last));
        assert_eq!(condition.step(Direction::ToServer, &[0; 10]), Step::Hold);
    }

    #[test]
    fn one_byte_is_corrupted_and_no_other() {
        let mut condition = with(Fault::Corrupt {
            direction: Direction::ToServer,
            byte: 15,
        });
        let flips: Vec<_> = (0..4)
            .map(|_| match condition.step(Direction::ToServer, &[0; 10]) {
                Step::Pass(pass) => pass.flip,
                Step::Hold => panic!("it passes"),
            })
            .collect();
        assert_eq!(flips, [None, Some(4), None, None]);
    }

    #[test]
    fn only_the_identification_line_passes_however_it_is_cut() {
        let sent = b"be warned\r\nSSH-2.0-x\r\n\0\0\x04proposal";
        for size in 1..sent.len() {
            let mut condition = with(Fault::BannerOnly);
            let mut seen = Vec::new();
            'sent: for chunk in sent.chunks(size) {
                let mut rest = chunk;
                while !rest.is_empty() {
                    match condition.step(Direction::ToClient, rest) {
                        Step::Pass(pass) => {
                            seen.extend_from_slice(&rest[..pass.count]);
                            rest = &rest[pass.count..];
                        }
                        Step::Hold => break 'sent,
                    }
                }
            }
            assert_eq!(seen, b"be warned\r\nSSH-2.0-x\r\n", "in pieces of {size}");
            assert_eq!(condition.step(Direction::ToServer, b"SSH-2.0-y\r\n"), Step::Hold);
        }
    }

    #[test]
    fn a_key_exchange_is_cut_in_the_middle_of_the_first_packet() {
        let mut condition = with(Fault::TruncateKex);
        let line = b"SSH-2.0-x\r\n";
        let sent = [&line[..], &[1; 1000]].concat();
        let pass = Pass {
            count: line.len() + 64,
            ending: CLOSING,
            ..ALL
        };
        assert_eq!(condition.step(Direction::ToClient, &sent), Step::Pass(pass));

        let mut pieces = with(Fault::TruncateKex);
        pieces.step(Direction::ToClient, line);
        assert_eq!(pieces.step(Direction::ToClient, &[1; 10]), Step::Pass(ALL));
        let rest = Pass {
            count: 54,
            ending: CLOSING,
            ..ALL
        };
        assert_eq!(pieces.step(Direction::ToClient, &[1; 1000]), Step::Pass(rest));
    }

    #[test]
    fn a_connection_from_a_black_hole_never_comes_back() {
        for after in [
            None,
            Some(Fault::Stall),
            Some(Fault::Latency(Duration::from_secs(1))),
        ] {
            let mut condition = with(Fault::BlackHole);
            condition.set(after);
            assert_eq!(condition.ending, Some(Ending::Reset), "{after:?}");
        }
        let mut again = with(Fault::BlackHole);
        again.set(Some(Fault::BlackHole));
        assert_eq!(again.ending, None);
        let mut stalled = with(Fault::Stall);
        stalled.set(None);
        assert_eq!(stalled.ending, None);
    }
}
