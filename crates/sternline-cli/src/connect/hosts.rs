//! The HOSTS argument.

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
