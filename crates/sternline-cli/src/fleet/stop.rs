//! What a signal asks for, in the middle of a run.

use crate::ui::INTERRUPT;

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Begin no further host; those that run go on.
    Stop,
    /// End what runs, on the hosts too.
    Cancel,
    /// Leave without waiting for that.
    Leave,
}

/// How far the asking has gone.
#[derive(Debug, Default)]
pub(crate) struct Stops {
    last: Option<Asked>,
}

impl Stops {
    /// The first Ctrl-C stops, the second cancels, the third leaves. Where no host is left to begin stopping would change nothing, and the
    /// first one cancels. Any other signal cancels, for it comes from a program or because the terminal has gone.
    pub(crate) fn next(&mut self, signal: u8, left_to_begin: bool) -> Asked {
        let asked = match self.last {
            None if signal == INTERRUPT && left_to_begin => Asked::Stop,
            None | Some(Asked::Stop) => Asked::Cancel,
            Some(Asked::Cancel | Asked::Leave) => Asked::Leave,
        };
        self.last = Some(asked);
        asked
    }

    /// The run is cancelled for another reason: the next signal does not want to wait.
    pub(crate) fn cancelled(&mut self) {
        self.last = Some(Asked::Cancel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ctrl_c_stops_cancels_and_leaves() {
        const TERMINATE: u8 = 15;
        for (signals, left, expected) in [
            (
                &[INTERRUPT; 4][..],
                true,
                &[Asked::Stop, Asked::Cancel, Asked::Leave, Asked::Leave][..],
            ),
            (&[INTERRUPT; 2], false, &[Asked::Cancel, Asked::Leave]),
            (&[TERMINATE; 2], true, &[Asked::Cancel, Asked::Leave]),
            (&[INTERRUPT, TERMINATE], true, &[Asked::Stop, Asked::Cancel]),
        ] {
            let mut stops = Stops::default();
            let asked: Vec<_> = signals.iter().map(|signal| stops.next(*signal, left)).collect();
            assert_eq!(asked, expected);
        }
        let mut stops = Stops::default();
        stops.cancelled();
        assert_eq!(stops.next(INTERRUPT, true), Asked::Leave);
    }
}
