//! Who was better: what is wanted of Sternline, and where a peer wins.

use crate::results::{Quantity, Row, Work};

/// A peer that needs less than each of Sternline's rows.
pub(super) struct Win<'a> {
    pub(super) peer: &'a Row,
    pub(super) quantity: &'a Quantity,
    /// Sternline's best ratio to it, above 1.
    pub(super) ratio: f64,
}

/// What is less than this much more is no difference.
const MARGIN: f64 = 1.005;

/// All of a work's.
pub(super) fn wins(work: &Work) -> Vec<Win<'_>> {
    let mut wins = Vec::new();
    for quantity in &work.quantities {
        for peer in work.rows.iter().filter(|row| !is_sternline(row)) {
            let ratios = work
                .ours()
                .filter_map(|ours| work.ratio(&ours.peer, &peer.peer, &quantity.key));
            if let Some(ratio) = ratios.min_by(f64::total_cmp)
                && ratio > MARGIN
            {
                wins.push(Win {
                    peer,
                    quantity,
                    ratio,
                });
            }
        }
    }
    wins
}

/// Sternline is compared with itself where it does the same work in several ways.
fn is_sternline(row: &Row) -> bool {
    row.ours || row.version == Row::ours("").version
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Session;

    #[test]
    fn a_peer_wins_if_it_needs_less_than_the_best_of_ours() {
        let row = |mut row: Row, time: f64| {
            row.add("time", time);
            row
        };
        let work = Work {
            name: "w".into(),
            title: "W".into(),
            timed: String::new(),
            quantities: vec![Quantity::new("time", "time", "s")],
            rows: vec![
                row(Row::ours("one"), 2.0),
                row(Row::ours("two"), 1.0),
                row(Row::new("slow", "1"), 1.5),
                row(Row::new("same", "1"), 1.0),
                row(Row::new("quick", "1"), 0.5),
            ],
            wanted: Vec::new(),
            session: Session::default(),
        };
        let wins = wins(&work);
        assert_eq!(wins.len(), 1);
        assert_eq!((wins[0].peer.peer.as_str(), wins[0].ratio), ("quick", 2.0));
    }
}
