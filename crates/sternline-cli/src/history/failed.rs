//! The hosts of an earlier run that are to be done again.

use sternline_history::RunRef;

use super::place::{find, trouble};
use crate::ui::Failure;

/// The targets of a run that did not succeed, as they were given then: those that failed, those that were not begun, and those of
/// which nothing is known because the run was killed. None is no error. `run` is a name of it, the beginning of one, `last` or
/// `last~1`.
pub(crate) fn failed_hosts(run: &str) -> Result<Vec<String>, Failure> {
    let wanted: RunRef = run
        .parse()
        .map_err(|error: sternline_history::RunRefError| trouble(&error.into()))?;
    let Some(history) = find()? else {
        return Err(Failure::usage("nothing is recorded yet")
            .with_hint("runs on several hosts are, and on one of an inventory, unless STERNLINE_HISTORY=off; see `sternline history`"));
    };
    let found = history
        .run(&wanted)
        .and_then(|run| history.failed_hosts(&run))
        .map_err(|error| trouble(&error))?;
    Ok(found.into_iter().map(|host| host.target).collect())
}
