//! Rounds: each peer does the same work once in each, so that what the machine does meanwhile falls on all of them.

use std::error::Error;
use std::time::{Duration, Instant};

use crate::results::Row;

/// What came of one turn: a value for each quantity.
pub(crate) type Values = Vec<(&'static str, f64)>;

/// A peer that waits for its turn.
pub(crate) struct Peer<'a> {
    pub(crate) row: Row,
    /// Does the work once.
    pub(crate) turn: Box<dyn FnMut() -> Result<Values, Box<dyn Error>> + 'a>,
}

/// How often everybody has a turn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rounds {
    /// At most so often.
    pub(crate) count: usize,
    /// A peer that has used so much time, or would with another turn, has no further one. Everybody has one.
    pub(crate) budget: Duration,
    /// Whether there is one more round before them, which does not count.
    pub(crate) warm_up: bool,
}

/// Has everybody work in turn. A peer that fails says so in its row, and the others go on.
pub(crate) fn in_turns(peers: Vec<Peer<'_>>, rounds: Rounds) -> Vec<Row> {
    struct Running<'a> {
        peer: Peer<'a>,
        spent: Duration,
        longest: Duration,
        over: bool,
    }
    let mut running: Vec<Running<'_>> = peers
        .into_iter()
        .map(|peer| Running {
            over: peer.row.not_run.is_some(),
            peer,
            spent: Duration::ZERO,
            longest: Duration::ZERO,
        })
        .collect();
    for round in 0..rounds.count + usize::from(rounds.warm_up) {
        let counts = round > 0 || !rounds.warm_up;
        for Running {
            peer,
            spent,
            longest,
            over,
        } in &mut running
        {
            let has_had_one = peer.row.values.values().any(|values| !values.is_empty());
            if *over || (has_had_one && *spent + *longest > rounds.budget) {
                *over = true;
                continue;
            }
            let started = Instant::now();
            match (peer.turn)() {
                Ok(values) if counts => {
                    for (quantity, value) in values {
                        peer.row.add(quantity, value);
                    }
                }
                Ok(_) => {}
                Err(error) => {
                    peer.row.not_run = Some(error.to_string());
                    *over = true;
                }
            }
            *longest = started.elapsed().max(*longest);
            *spent += started.elapsed();
        }
    }
    running.into_iter().map(|running| running.peer.row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer<'a>(name: &str, turn: impl FnMut() -> Result<Values, Box<dyn Error>> + 'a) -> Peer<'a> {
        Peer {
            row: Row::new(name, "1"),
            turn: Box::new(turn),
        }
    }

    fn rounds(count: usize, budget: Duration, warm_up: bool) -> Rounds {
        Rounds {
            count,
            budget,
            warm_up,
        }
    }

    #[test]
    fn a_peer_that_fails_does_not_stop_the_others() {
        let mut calls = 0;
        let failing = peer("a", || {
            calls += 1;
            match calls {
                1 => Ok(vec![("time", 1.0)]),
                _ => Err("out of luck".into()),
            }
        });
        let mut next = 0.0;
        let good = peer("b", || {
            next += 1.0;
            Ok(vec![("time", next)])
        });
        let rows = in_turns(vec![failing, good], rounds(3, Duration::MAX, false));
        assert_eq!(rows[0].not_run.as_deref(), Some("out of luck"));
        assert_eq!(rows[1].of("time"), [1.0, 2.0, 3.0]);
        assert_eq!(calls, 2);
    }

    #[test]
    fn the_first_round_does_not_count_where_it_only_warms_up() {
        let mut next = 0.0;
        let good = peer("b", || {
            next += 1.0;
            Ok(vec![("time", next)])
        });
        let rows = in_turns(vec![good], rounds(2, Duration::MAX, true));
        assert_eq!(rows[0].of("time"), [2.0, 3.0]);
    }

    #[test]
    fn a_peer_without_time_left_has_had_one_turn() {
        let mut calls = 0;
        let slow = peer("slow", || {
            calls += 1;
            std::thread::sleep(Duration::from_millis(2));
            Ok(vec![("time", 1.0)])
        });
        let rows = in_turns(vec![slow], rounds(5, Duration::from_millis(1), true));
        assert_eq!(rows[0].of("time").len(), 1);
        // One that warmed up, and one that counts.
        assert_eq!(calls, 2);
    }
}
