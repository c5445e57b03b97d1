//! The HOSTS and HOST arguments.

use sternline::proto::target::{Target, parse_targets};

use crate::ui::{Failure, Ui};

/// Reads a comma list of hosts; those named twice are told of and kept once.
pub(crate) fn parse_hosts(text: &str, ui: &Ui) -> Result<Vec<Target>, Failure> {
    let list = parse_targets(text).map_err(|error| {
        Failure::usage(error.to_string())
            .with_hint("name hosts as [user@]host[:port], several with commas, ranges as in web-[01-20]")
    })?;
    for duplicate in &list.duplicates {
        ui.warning(&format!("{duplicate} is named twice and done once"));
    }
    Ok(list.targets)
}

/// Reads one host. `does` begins the error about several, as in `doctor examines`.
pub(crate) fn parse_host(text: &str, does: &str, ui: &Ui) -> Result<Target, Failure> {
    match <[Target; 1]>::try_from(parse_hosts(text, ui)?) {
        Ok([target]) => Ok(target),
        Err(several) => Err(
            Failure::usage(format!("{does} one host, and {} are named", several.len()))
                .with_hint("call it once for each of them"),
        ),
    }
}
