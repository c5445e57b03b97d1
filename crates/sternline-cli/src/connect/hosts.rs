//! The HOSTS and HOST arguments.

use std::collections::HashMap;

use sternline::proto::inventory::{Inventory, Selected, Selection, SelectionError, select_with_lists};
use sternline::proto::target::{Target, parse_targets};
use sternline::proto::text::escape;

use super::inventory::{HostOptions, keep_ssh};
use crate::ui::{Failure, Ui};

/// How many patterns without hosts are told.
const UNMATCHED: usize = 5;

/// Reads HOSTS: a selection where there is an inventory, else a comma list; and keeps what `--limit` says. Hosts that are named
/// twice are told of and kept once.
pub(crate) fn parse_hosts(text: &str, options: &HostOptions, ui: &Ui) -> Result<Vec<Target>, Failure> {
    let inventory = options.load(ui)?;
    let mut selection = match inventory {
        Some(inventory) => {
            let mut selection =
                select_with_lists(inventory, text, &read_list).map_err(|error| refused(&error, inventory))?;
            keep_ssh(&mut selection, inventory, ui)?;
            selection
        }
        None => list(&with_files(text)?)?,
    };
    if let Some(limit) = options.limit() {
        let selects = inventory.is_some();
        let none = Inventory::new();
        let inventory = inventory.unwrap_or(&none);
        let limited = selection.limit_with_lists(inventory, limit, &read_list);
        limited.map_err(|error| match selects {
            true => refused(&error, inventory),
            false => not_among_hosts(&error),
        })?;
    }
    for duplicate in &selection.duplicates {
        ui.warning(&format!("{duplicate} is named twice and done once"));
    }
    for pattern in selection.unmatched.iter().take(UNMATCHED) {
        ui.warning(&format!("{} names no host", escape(pattern)));
    }
    Ok(selection
        .hosts
        .into_iter()
        .map(|selected| selected.target)
        .collect())
}

/// A comma list of hosts, with ranges.
fn list(text: &str) -> Result<Selection, Failure> {
    let list = parse_targets(text).map_err(|error| {
        let names = "name hosts as [user@]host[:port], several with commas, ranges as in web-[01-20]";
        let selects = text.contains(['!', '&', '*', '?', '~', '=']) || text.contains(":@");
        Failure::usage(error.to_string()).with_hint(match selects {
            true => format!(
                "groups, patterns and labels choose from an inventory: name its file with -I; or {names}"
            ),
            false => names.to_owned(),
        })
    })?;
    let selected = |target| Selected {
        target,
        host: None,
        by_name: true,
    };
    Ok(Selection {
        hosts: list.targets.into_iter().map(selected).collect(),
        unmatched: Vec::new(),
        duplicates: list.duplicates,
    })
}

/// The list with the lines of FILE in the place of each `@FILE`.
fn with_files(text: &str) -> Result<String, Failure> {
    if !text.split(',').any(|item| item.trim_start().starts_with('@')) {
        return Ok(text.to_owned());
    }
    let mut items = Vec::new();
    for item in text.split(',') {
        match item.trim_start().strip_prefix('@') {
            None => items.push(item.to_owned()),
            Some(path) => {
                let lines = read_list(path).map_err(|error| {
                    let path = escape(path);
                    Failure::usage(format!("cannot read the list of hosts {path}: {error}"))
                        .with_hint(OF_LISTS)
                })?;
                let lines = lines.lines().map(str::trim);
                let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
                items.extend(lines.map(str::to_owned));
            }
        }
    }
    Ok(items.join(","))
}

const OF_LISTS: &str =
    "behind @ stands the name of a file that has one host a line, without commas or colons in it";

fn read_list(path: &str) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| error.to_string())
}

/// A `--limit` of hosts that were named without an inventory.
fn not_among_hosts(error: &SelectionError) -> Failure {
    let text = error.to_string();
    let text = text.replacen("the inventory has no ", "HOSTS has no ", 1);
    Failure::usage(text).with_hint(match error {
        SelectionError::List { .. } => OF_LISTS,
        _ => "without an inventory (-I), --limit chooses by name or pattern among the hosts that HOSTS names",
    })
}

fn refused(error: &SelectionError, inventory: &Inventory) -> Failure {
    if inventory.hosts().next().is_none() {
        return Failure::usage("the inventory has no hosts")
            .with_hint("check which files -I and STERNLINE_INVENTORY name, and what is in them");
    }
    let of_line = match error {
        SelectionError::InList { error, .. } => error,
        error => error,
    };
    let hint = match of_line {
        SelectionError::List { .. } => OF_LISTS,
        SelectionError::Unknown {
            what: "host or group",
            ..
        } => {
            "`sternline hosts` lists what there is; a host outside the inventory is written user@host, host:port or ssh://host"
        }
        SelectionError::Variable(_) => "correct that line, or select by something else",
        _ => {
            "write hosts, groups, patterns such as web* and labels such as env=prod, with commas or colons between them; & keeps what \
              is common, ! takes away"
        }
    };
    Failure::usage(error.to_string()).with_hint(hint)
}

/// Reads one host. `does` begins the error about several, as in `doctor examines`.
pub(crate) fn parse_host(text: &str, does: &str, options: &HostOptions, ui: &Ui) -> Result<Target, Failure> {
    match <[Target; 1]>::try_from(parse_hosts(text, options, ui)?) {
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
