//! What became of all hosts together, told at the end.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sternline::fleet::Outcome;
use sternline::proto::quoting::quote_str;
use sternline::proto::text::escape;

use crate::connect::HostSettings;
use crate::fleet::{Causes, NotBegun, folded_all};
use crate::ui::{Failure, Ui};

/// The most hints that are told: more would only hide the first.
const HINTS: usize = 5;

/// The known_hosts file, and the jump hosts on the way.
type Named = (Option<PathBuf>, Option<String>);

/// The hosts that did not succeed, and why; gathered for the end of a run.
#[derive(Debug, Default)]
pub(super) struct Summary {
    ok: usize,
    failed: Causes,
    not_begun: NotBegun,
    /// The hosts to record, by their place in the list, with what has to be named: the file and the jump hosts.
    unknown: BTreeMap<usize, (Named, String)>,
    hints: Vec<String>,
}

impl Summary {
    /// Takes in what became of a host. `index` is its place in the list.
    pub(super) fn add(&mut self, index: usize, label: &str, settings: &HostSettings, outcome: &Outcome) {
        if let Some(why) = outcome.skipped() {
            self.not_begun.add(index, why);
            return;
        }
        let reason = match &outcome.result {
            Ok(result) if result.ok() => {
                self.ok += 1;
                return;
            }
            Ok(result) => result.status.to_string(),
            Err(error) => {
                let reason = error.context().extra().get("host_key_reason");
                let of_host = error.context().hop.is_none();
                if of_host && reason.is_some_and(|reason| reason == "unknown") {
                    let named = (settings.named_file().map(Path::to_owned), settings.jump());
                    self.unknown.insert(index, (named, settings.known_as()));
                } else if !self.hints.iter().any(|told| told == error.hint()) {
                    self.hints.push(error.hint().to_owned());
                }
                Failure::from(error).headline()
            }
        };
        let names = [label, settings.target().host(), settings.address()];
        self.failed.add(index, &names, reason);
    }

    /// Whether all hosts succeeded.
    pub(super) fn all_ok(&self) -> bool {
        self.failed.hosts() == 0 && self.not_begun.hosts() == 0
    }

    /// Tells what failed and what to try, and how many succeeded: within how long, where that is of interest. `again` is how the others
    /// are done again, if that can be said.
    pub(super) fn show(&self, labels: &[String], took: Option<Duration>, again: Option<&str>, ui: &Ui) {
        for line in self.failed.lines(labels) {
            ui.failed_host(&line);
        }
        for line in self.not_begun.lines(labels) {
            ui.not_begun(&line);
        }
        self.show_unknown(ui);
        for hint in self.hints.iter().take(HINTS) {
            ui.hint(hint);
        }
        if let Some(again) = again.filter(|_| self.ok > 0 && !self.all_ok()) {
            ui.hint(again);
        }
        let (ok, failed, not_begun) = (self.ok, self.failed.hosts(), self.not_begun.hosts());
        let hosts = match ok + failed + not_begun {
            1 => "1 host".to_owned(),
            hosts => format!("{hosts} hosts"),
        };
        let mut line = format!("{hosts}: {ok} ok, {failed} failed");
        if not_begun > 0 {
            line.push_str(&format!(", {not_begun} not begun"));
        }
        if let Some(took) = took {
            line.push_str(&format!(" in {:.1} s", took.as_secs_f64()));
        }
        ui.line(&line);
    }

    /// How to record the keys of hosts that are not known.
    fn show_unknown(&self, ui: &Ui) {
        let mut by_named: BTreeMap<&Named, Vec<String>> = BTreeMap::new();
        for (named, host) in self.unknown.values() {
            by_named.entry(named).or_default().push(host.clone());
        }
        for ((file, jump), hosts) in by_named {
            let mut options = String::new();
            if let Some(jump) = jump {
                options.push_str(&format!("-J {} ", escape(jump)));
            }
            if let Some(Ok(file)) = file.as_ref().map(|file| quote_str(&file.to_string_lossy())) {
                options.push_str(&format!("--known-hosts {} ", escape(&file)));
            }
            let places: Vec<usize> = (0..hosts.len()).collect();
            ui.hint(&format!(
                "record the unknown hosts' keys, after comparing the fingerprints, with `sternline hostkeys add {options}{}`",
                folded_all(&hosts, &places)
            ));
        }
    }
}
