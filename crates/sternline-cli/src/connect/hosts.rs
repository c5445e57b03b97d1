//! The HOSTS and HOST arguments.

use std::collections::HashMap;

use sternline::proto::target::{Target, parse_targets};
use sternline::proto::text::escape;

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

/// What the hosts are called where several are told of: the bare host where no other target has the same.
pub(crate) fn labels(targets: &[Target]) -> Vec<String> {
    let mut times: HashMap<&str, usize> = HashMap::new();
    for target in targets {
        *times.entry(target.host()).or_default() += 1;
    }
    targets
        .iter()
        .map(|target| match times.get(target.host()) {
            Some(1) => escape(target.host()),
            _ => escape(&target.to_string()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_called_by_its_name_unless_that_is_ambiguous() {
        let targets = parse_targets("root@a,b:22,b:23,[::1]:22").unwrap().targets;
        assert_eq!(labels(&targets), ["a", "b:22", "b:23", "::1"]);
    }
}
