//! Whether the pool needs another connection.

use std::time::Duration;

/// How long an attempt to connect counts as one that will soon carry commands. After it another one is begun beside it, if
/// there may be another: one that hangs must hold up nobody.
pub(super) const SOON: Duration = Duration::from_millis(500);

/// How the pool stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    /// Commands for which no connection has room.
    pub(super) waiting: usize,
    /// Connections that are open.
    pub(super) open: usize,
    /// Attempts to connect that began less than [`SOON`] ago.
    pub(super) promising: usize,
    /// Attempts that have taken longer.
    pub(super) slow: usize,
    /// Commands that one connection carries at once.
    pub(super) capacity: usize,
    /// Connections that there may be at most.
    pub(super) size: usize,
    /// Whether an attempt has failed just now.
    pub(super) failed_just_now: bool,
}

/// How many attempts to connect are to be begun now.
///
/// As few as will do for those who wait. After a failure the connections that are open have to do for a while: the server
/// may take no more of them.
pub(super) fn attempts(standing: &Standing) -> usize {
    let Standing {
        waiting,
        open,
        promising,
        slow,
        capacity,
        size,
        failed_just_now,
    } = *standing;
    if failed_just_now && open > 0 {
        return 0;
    }
    let unserved = waiting.saturating_sub(promising.saturating_mul(capacity));
    let free = size.saturating_sub(open + promising + slow);
    unserved.div_ceil(capacity.max(1)).min(free)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_few_connections_are_made_as_will_do_and_never_too_many() {
        let standing = |waiting, open, promising, slow| Standing {
            waiting,
            open,
            promising,
            slow,
            capacity: 9,
            size: 5,
            failed_just_now: false,
        };
        for (case, expected) in [
            (standing(0, 0, 0, 0), 0),
            (standing(1, 0, 0, 0), 1),
            (standing(9, 0, 0, 0), 1),
            (standing(10, 0, 0, 0), 2),
            (standing(9, 0, 1, 0), 0),
            (standing(10, 0, 1, 0), 1),
            (standing(200, 0, 0, 0), 5),
            (standing(200, 3, 1, 0), 1),
            (standing(200, 5, 0, 0), 0),
            (standing(200, 0, 5, 0), 0),
            // A slow attempt promises nothing, but takes a place.
            (standing(1, 0, 0, 1), 1),
            (standing(1, 0, 0, 5), 0),
            (standing(1, 3, 1, 5), 0),
        ] {
            assert_eq!(attempts(&case), expected, "{case:?}");
        }
    }

    #[test]
    fn after_a_failure_what_is_open_has_to_do() {
        let standing = |open| Standing {
            waiting: 30,
            open,
            promising: 0,
            slow: 0,
            capacity: 9,
            size: 5,
            failed_just_now: true,
        };
        assert_eq!(attempts(&standing(1)), 0);
        assert_eq!(attempts(&standing(0)), 4);
    }
}
