//! How far a copy is, as lines for the end of the terminal.

use std::collections::BTreeMap;
use std::time::Duration;

use sternline::proto::text::escape_bytes;
use unicode_width::UnicodeWidthStr;

use super::figures::{Figures, Rate, bar, eta, joined, percent, row, shorten, size};

/// The most lines at once, however high the terminal is.
const MOST_LINES: usize = 16;

/// How far a copy to or from one or several hosts is.
#[derive(Debug)]
pub(crate) struct Progress {
    hosts: Vec<Host>,
    rate: Rate,
}

/// How far one host is.
#[derive(Debug, Default)]
struct Host {
    /// Escaped already.
    label: String,
    /// Files that are done with, whatever became of them.
    files: u64,
    failed: u64,
    /// Bytes that were moved.
    bytes: u64,
    found: Option<Found>,
    active: BTreeMap<u64, Active>,
}

/// How much there is to copy.
#[derive(Debug, Clone, Copy)]
struct Found {
    files: u64,
    bytes: u64,
    /// Counting has come to its end.
    complete: bool,
}

/// A file on its way.
#[derive(Debug)]
struct Active {
    /// Escaped already.
    name: String,
    size: Option<u64>,
    bytes: u64,
}

impl Progress {
    /// Nothing has been moved yet. The labels are shown as they are, so they have to be escaped.
    pub(crate) fn new(labels: impl IntoIterator<Item = String>) -> Self {
        let host = |label| Host {
            label,
            ..Host::default()
        };
        Self {
            hosts: labels.into_iter().map(host).collect(),
            rate: Rate::default(),
        }
    }

    /// How much there is to copy, so far or altogether.
    pub(crate) fn found(&mut self, host: usize, files: u64, bytes: u64, complete: bool) {
        if let Some(host) = self.hosts.get_mut(host) {
            host.found = Some(Found {
                files,
                bytes,
                complete,
            });
        }
    }

    /// A file is on its way.
    pub(crate) fn started(&mut self, host: usize, file: u64, name: &[u8], size: Option<u64>) {
        if let Some(host) = self.hosts.get_mut(host) {
            let name = escape_bytes(name);
            host.active.insert(file, Active { name, size, bytes: 0 });
        }
    }

    /// More of a file has arrived.
    pub(crate) fn moved(&mut self, host: usize, file: u64, bytes: u64) {
        if let Some(host) = self.hosts.get_mut(host) {
            host.bytes += bytes;
            if let Some(active) = host.active.get_mut(&file) {
                active.bytes += bytes;
            }
        }
    }

    /// A file is done with: one that was started, or one of so many bytes that was not.
    pub(crate) fn ended(&mut self, host: usize, file: Option<u64>, bytes: u64, ok: bool) {
        if let Some(host) = self.hosts.get_mut(host) {
            host.files += 1;
            host.failed += u64::from(!ok);
            match file {
                Some(file) => drop(host.active.remove(&file)),
                None => host.bytes += bytes,
            }
        }
    }

    /// Takes note of the time, for the rate. `now` counts from the beginning.
    pub(crate) fn tick(&mut self, now: Duration) {
        let bytes = self.hosts.iter().map(|host| host.bytes).sum();
        self.rate.take(now, bytes);
    }

    /// The lines for a terminal with so many columns and rows: one for each file on its way, as far as there is room, then
    /// one for each host where there are several, and the totals.
    pub(crate) fn lines(&self, columns: usize, rows: usize) -> Vec<String> {
        let mut totals = self.totals(columns);
        // Of both totals the last says more.
        if rows <= totals.len() {
            return totals.pop().into_iter().collect();
        }
        let room = rows.min(MOST_LINES) - totals.len();
        let hosts = if self.hosts.len() > 1 {
            self.hosts.as_slice()
        } else {
            &[]
        };
        let files: Vec<(&Host, &Active)> = self
            .hosts
            .iter()
            .flat_map(|host| host.active.values().map(move |active| (host, active)))
            .collect();
        // The files get at least half of the lines, if they need that many.
        let for_files = room.saturating_sub(hosts.len()).max(room / 2);
        let file_lines = capped(&files, for_files, columns, |(host, file)| {
            let label = if hosts.is_empty() { "" } else { host.label.as_str() };
            file.line(label, columns)
        });
        let mut lines = file_lines;
        let unfinished: Vec<&Host> = hosts.iter().filter(|host| !host.is_complete()).collect();
        lines.extend(capped(&unfinished, room - lines.len(), columns, |host| {
            host.line(columns)
        }));
        lines.append(&mut totals);
        lines
    }

    /// How much of everything is done; as soon as all of it is counted as a bar as well.
    fn totals(&self, columns: usize) -> Vec<String> {
        let mut total = Host {
            label: "total".to_owned(),
            ..Host::default()
        };
        let mut all = Found {
            files: 0,
            bytes: 0,
            complete: true,
        };
        for host in &self.hosts {
            total.files += host.files;
            total.failed += host.failed;
            total.bytes += host.bytes;
            let found = host.found.unwrap_or(Found {
                files: 0,
                bytes: 0,
                complete: false,
            });
            all.files += found.files;
            all.bytes += found.bytes;
            all.complete &= found.complete;
        }
        total.found = Some(all);
        let bytes_per_second = self.rate.bytes_per_second();
        let rate = format!("{}/s", size(bytes_per_second));
        let mut figures = total.figures();
        // What comes out of pipes and devices is not known beforehand.
        if !all.complete || total.bytes > all.bytes {
            figures.push((1, rate));
            return vec![row("total", figures, columns)];
        }
        let left = all.bytes.saturating_sub(total.bytes);
        let ends = vec![
            (0, percent(total.bytes, all.bytes)),
            (2, rate),
            (1, format!("ETA {}", eta(left, bytes_per_second))),
        ];
        let bar = bar(
            total.bytes,
            all.bytes,
            columns.saturating_sub(joined(&ends).width() + 2),
        );
        vec![row("total", figures, columns), row(&bar, ends, columns)]
    }
}

/// The lines of as many things as there is room for, and how many more there are.
fn capped<T>(things: &[T], room: usize, columns: usize, line: impl Fn(&T) -> String) -> Vec<String> {
    if things.len() <= room {
        return things.iter().map(line).collect();
    }
    let shown = room.saturating_sub(1);
    let mut lines: Vec<String> = things.iter().take(shown).map(line).collect();
    if room > 0 {
        lines.push(shorten(&format!("+{} more", things.len() - shown), columns));
    }
    lines
}

impl Host {
    fn is_complete(&self) -> bool {
        self.found
            .is_some_and(|found| found.complete && self.files >= found.files)
    }

    fn line(&self, columns: usize) -> String {
        let mut figures = self.figures();
        if let Some(found) = self
            .found
            .filter(|found| found.complete && self.bytes <= found.bytes)
        {
            figures.push((1, percent(self.bytes, found.bytes)));
        }
        row(&self.label, figures, columns)
    }

    fn figures(&self) -> Figures {
        let mut figures = Vec::new();
        let known = self.found.filter(|found| found.complete);
        figures.push((
            3,
            match known {
                Some(found) => format!("{}/{} files", self.files, found.files),
                None => format!("{} files", self.files),
            },
        ));
        if self.failed > 0 {
            figures.push((2, format!("{} failed", self.failed)));
        }
        figures.push((
            4,
            match known {
                Some(found) if self.bytes <= found.bytes => {
                    format!("{} of {}", size(self.bytes), size(found.bytes))
                }
                _ => size(self.bytes),
            },
        ));
        figures
    }
}

impl Active {
    fn line(&self, label: &str, columns: usize) -> String {
        let name = if label.is_empty() {
            self.name.clone()
        } else {
            format!("{label}: {}", self.name)
        };
        let mut figures = vec![(1, size(self.bytes))];
        if let Some(whole) = self.size {
            figures = vec![
                (2, format!("{} of {}", size(self.bytes), size(whole))),
                (1, percent(self.bytes, whole)),
            ];
        }
        row(&name, figures, columns)
    }
}

#[cfg(test)]
mod tests;
