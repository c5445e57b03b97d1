//! What became of all hosts together, told at the end.

use std::collections::BTreeMap;
use std::time::Duration;

use sternline::fleet::Outcome;

use crate::connect::HostSettings;
use crate::fleet::{Causes, NotBegun, folded_all};
use crate::ui::{Failure, Ui};

/// The most hints that are told: more would only hide the first.
const HINTS: usize = 5;

/// The hosts that did not succeed, and why; gathered for the end of a run.
#[derive(Debug, Default)]
pub(super) struct Summary {
    ok: usize,
    failed: Causes,
    not_begun: NotBegun,
    /// The hosts to record, by their place in the list, with the options that have to be given.
    unknown: BTreeMap<usize, (String, String)>,
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
                    self.unknown.insert(index, settings.to_record());
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
        let mut by_options: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (options, host) in self.unknown.values() {
            by_options.entry(options).or_default().push(host.clone());
        }
        for (options, hosts) in by_options {
            let places: Vec<usize> = (0..hosts.len()).collect();
            ui.hint(&format!(
                "record the unknown hosts' keys, after comparing the fingerprints, with `sternline hostkeys add {options}{}`",
                folded_all(&hosts, &places)
            ));
        }
    }
}
