//! `--inventory` and `--limit`: where hosts come from, and which of them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use sternline::config::read_inventory;
use sternline::proto::inventory::{Inventory, Selection, SshSettings};
use sternline::proto::target::Target;
use sternline::proto::text::escape;

use super::host::option;
use crate::ui::{Failure, Ui};

/// The inventories to read where the command line names none, as PATH has its directories.
const VARIABLE: &str = "STERNLINE_INVENTORY";

/// How many oddities of an inventory are told. Those of a broken generator are thousands of the same kind.
const WARNINGS: usize = 10;

/// Where hosts come from, and which of them.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Hosts")]
pub(crate) struct HostOptions {
    /// Choose HOSTS from this inventory: a file in our TOML or in Ansible's INI or YAML, or a directory of them; may be given
    /// several times. `none` reads none [default: those that the variable STERNLINE_INVENTORY names]
    #[arg(short = 'I', long, value_name = "FILE")]
    inventory: Vec<PathBuf>,

    /// Of HOSTS, take only those that this selection names too, such as 'web:!canary', or @FILE with a host a line
    #[arg(long = "limit", value_name = "SELECTION")]
    selection_limit: Option<String>,

    /// What was read.
    #[arg(skip)]
    read: Arc<OnceLock<Option<Inventory>>>,
}

impl HostOptions {
    /// The inventory, if there is one; it is read once.
    pub(super) fn load(&self, ui: &Ui) -> Result<Option<&Inventory>, Failure> {
        if let Some(read) = self.read.get() {
            return Ok(read.as_ref());
        }
        let files = self.files();
        let inventory = match files.is_empty() {
            true => None,
            false => Some(
                read_inventory(&files)
                    .map_err(|error| Failure::usage(error.to_string()).with_hint(error.problem.hint()))?,
            ),
        };
        if let Some(inventory) = &inventory {
            warn(inventory, ui);
        }
        Ok(self.read.get_or_init(|| inventory).as_ref())
    }

    /// Whether hosts are more than a list of names.
    pub(crate) fn selects(&self) -> bool {
        self.selection_limit.is_some() || self.has_inventory()
    }

    /// Whether the command line itself asks to choose hosts.
    pub(crate) fn chooses(&self) -> bool {
        self.selection_limit.is_some() || !self.inventory.is_empty() && self.has_inventory()
    }

    /// Whether an inventory is named.
    pub(crate) fn has_inventory(&self) -> bool {
        !self.files().is_empty()
    }

    /// Which of the hosts are wanted.
    pub(super) fn limit(&self) -> Option<&str> {
        self.selection_limit.as_deref()
    }

    /// The inventory, if hosts were chosen from one.
    pub(crate) fn chosen_from(&self) -> Option<&Inventory> {
        self.read.get().and_then(Option::as_ref)
    }

    /// Whether one of these hosts is in the inventory.
    pub(crate) fn knows_any(&self, targets: &[Target]) -> bool {
        let inventory = self.chosen_from();
        inventory.is_some_and(|known| targets.iter().any(|target| known.host(target.host()).is_some()))
    }

    /// What the inventory says about the way to a host; nothing of hosts outside.
    pub(super) fn settings(&self, target: &Target) -> Result<SshSettings, Failure> {
        let found = self
            .chosen_from()
            .and_then(|inventory| Some((inventory, inventory.host(target.host())?)));
        match found {
            None => Ok(SshSettings::default()),
            Some((inventory, host)) => inventory.ssh_settings(host).map_err(|error| {
                Failure::usage(error.to_string()).with_hint(format!(
                    "correct that line, or leave the host out: !{}",
                    escape(target.host())
                ))
            }),
        }
    }

    /// The options by which another command finds a host in the same inventory, each with a blank behind it; nothing for a
    /// host outside.
    pub(super) fn naming(&self, target: &Target) -> Option<String> {
        self.chosen_from()?.host(target.host())?;
        let files = self.inventory.iter();
        Some(files.map(|file| option("-I", &file.to_string_lossy())).collect())
    }

    fn files(&self) -> Vec<PathBuf> {
        match self.inventory.as_slice() {
            [] => {
                let named = std::env::var_os(VARIABLE).unwrap_or_default();
                let named = std::env::split_paths(&named);
                named.filter(|path| !path.as_os_str().is_empty()).collect()
            }
            [none] if none == Path::new("none") => Vec::new(),
            files => files.to_vec(),
        }
    }
}

fn warn(inventory: &Inventory, ui: &Ui) {
    let warnings = inventory.warnings();
    for warning in warnings.iter().take(WARNINGS) {
        ui.warning(warning);
    }
    if let Some(more) = warnings.len().checked_sub(WARNINGS).filter(|more| *more > 0) {
        ui.warning(&format!("the inventory has {more} more oddities of this kind"));
    }
    if let [place, more @ ..] = inventory.passwords() {
        let more = match more.len() {
            0 => String::new(),
            more => format!(" and {more} more places"),
        };
        ui.warning(&format!(
            "passwords in an inventory are not used ({place}{more}): log in with keys, or type one with --ask-password"
        ));
    }
}

/// Takes out the hosts that are not reached by SSH. One that was named itself is an error.
pub(super) fn keep_ssh(selection: &mut Selection, inventory: &Inventory, ui: &Ui) -> Result<(), Failure> {
    let mut left_out = Vec::new();
    let mut kept = Vec::new();
    for selected in std::mem::take(&mut selection.hosts) {
        let other = match selected.host {
            Some(host) => inventory.other_connection(host),
            None => Ok(None),
        };
        let other =
            other.map_err(|error| Failure::usage(error.to_string()).with_hint("correct that line"))?;
        let Some(other) = other else {
            kept.push(selected);
            continue;
        };
        let reason = format!(
            "{}: ansible_connection={} ({})",
            escape(selected.target.host()),
            escape(&other.value),
            other.source
        );
        if selected.by_name {
            return Err(not_by_ssh(&reason));
        }
        left_out.push(reason);
    }
    match left_out.as_slice() {
        [] => {}
        [first, ..] if kept.is_empty() => return Err(not_by_ssh(first)),
        [one] => ui.warning(&format!("left out, because it is not reached by SSH: {one}")),
        [first, more @ ..] => ui.warning(&format!(
            "left out, because they are not reached by SSH: {first}, and {} more",
            more.len()
        )),
    }
    selection.hosts = kept;
    Ok(())
}

fn not_by_ssh(reason: &str) -> Failure {
    Failure::usage(format!("this host is not reached by SSH: {reason}"))
        .with_hint("name other hosts; what is done by SSH cannot be done there")
}
