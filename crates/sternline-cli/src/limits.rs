//! How many files this process may have open, and how many hosts that is enough for.

use crate::ui::Ui;

/// Files that are open whatever is done: the standard streams, the runtime's own, logs.
const RESERVED: u64 = 32;

/// Files of one host while a command runs there: its connection, or the streams of a proxy command and what starts it; the
/// agent and the resolver, for a moment; output that nobody has read yet.
pub(crate) const COMMAND: u64 = 8;

/// Files of one host while files are moved: those, and as many files of this machine as are moved at once.
pub(crate) const COPY: u64 = COMMAND + 64;

/// The most files for output that stay open between two writes.
const MOST_KEPT: u64 = 128;

/// How many files for output may stay open between two writes: two of those that each host may have, where the limit is not even
/// too low for one.
pub(crate) fn kept_files() -> usize {
    let of_hosts = raised().map_or(MOST_KEPT, |limit| limit.saturating_sub(RESERVED) / COMMAND * 2);
    usize::try_from(of_hosts.min(MOST_KEPT)).unwrap_or_default()
}

/// How many of `wanted` hosts can be worked on at once with `each` files open for one. A low limit is raised as far as this
/// process may; if that is not enough, it says so, and what to do about it.
pub(crate) fn at_once(wanted: usize, each: u64, ui: &Ui) -> usize {
    let Some(limit) = raised() else { return wanted };
    let fitting = fitting(limit, wanted, each);
    if fitting < wanted {
        let needed = RESERVED + each.saturating_mul(wanted as u64);
        ui.warning(&format!(
            "this process may have {limit} files open, which is enough for {fitting} hosts at once; {wanted} need {needed}: \
             raise the limit first with ulimit -n {needed}"
        ));
    }
    fitting
}

/// One host is always tried: it may need fewer.
fn fitting(limit: u64, wanted: usize, each: u64) -> usize {
    let fitting = limit.saturating_sub(RESERVED) / each.max(1);
    usize::try_from(fitting)
        .unwrap_or(usize::MAX)
        .clamp(1, wanted.max(1))
}

/// The limit, once it is as high as this process may have it; `None` where there is none.
#[cfg(unix)]
fn raised() -> Option<u64> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    let before = limit.current;
    limit.current = limit.maximum;
    match setrlimit(Resource::Nofile, limit) {
        Ok(()) => limit.maximum,
        // macOS allows less than it says.
        Err(_) => before,
    }
}

/// Sockets are no files here, and their number has no limit that could be known.
#[cfg(not(unix))]
fn raised() -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_hosts_are_worked_on_at_once_as_files_can_be_open_for() {
        for (limit, wanted, fitting_then) in [
            (20_000, 64, 64),
            (64, 64, 4),
            (1024, 64, 64),
            (1024, 1000, 124),
            (3, 64, 1),
            (u64::MAX, 1_000_000, 1_000_000),
            (64, 0, 1),
        ] {
            assert_eq!(
                fitting(limit, wanted, COMMAND),
                fitting_then,
                "{limit} files, {wanted} hosts"
            );
        }
    }
}
