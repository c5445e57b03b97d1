//! How far a run on several hosts is, as lines for the end of the terminal.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use unicode_width::UnicodeWidthStr;

use crate::ui::figures::{Figures, bar, clock, joined, row, shorten};

/// Over how long the rate is taken.
const RATE_OVER: Duration = Duration::from_secs(5);

/// From when on a host that still runs is named.
const LONG: Duration = Duration::from_secs(3);

/// How long the bar is at most: the figures stay beside it.
const BAR: usize = 40;

/// How many hosts are named as running at most.
const NAMED: usize = 5;

/// How far a run is. Times count from its beginning.
#[derive(Debug)]
pub(crate) struct Progress {
    labels: Vec<String>,
    /// Since when, and which: the longest first.
    running: BTreeSet<(Duration, usize)>,
    began: Vec<Option<Duration>>,
    done: usize,
    failed: usize,
    not_begun: usize,
    /// No further host is begun.
    stopped: bool,
    /// When, and how many were done then.
    samples: VecDeque<(Duration, usize)>,
}

impl Progress {
    /// Nothing has begun. The labels are shown as they are, so they have to be escaped.
    pub(crate) fn new(labels: Vec<String>) -> Self {
        Self {
            running: BTreeSet::new(),
            began: vec![None; labels.len()],
            labels,
            done: 0,
            failed: 0,
            not_begun: 0,
            stopped: false,
            samples: VecDeque::new(),
        }
    }

    /// Work on a host has begun.
    pub(crate) fn started(&mut self, host: usize, now: Duration) {
        if let Some(began) = self.began.get_mut(host) {
            *began = Some(now);
            self.running.insert((now, host));
        }
    }

    /// A host is done with.
    pub(crate) fn done(&mut self, host: usize, ok: bool) {
        match self.began.get_mut(host).and_then(Option::take) {
            Some(began) => {
                self.running.remove(&(began, host));
                self.done += 1;
                self.failed += usize::from(!ok);
            }
            None => self.not_begun += 1,
        }
    }

    /// No further host is begun.
    pub(crate) fn stopped(&mut self) {
        self.stopped = true;
    }

    /// How many hosts run now.
    pub(crate) fn running(&self) -> usize {
        self.running.len()
    }

    /// Whether there are hosts that have not begun.
    pub(crate) fn has_more(&self) -> bool {
        !self.stopped && self.done + self.not_begun + self.running.len() < self.labels.len()
    }

    /// Takes note of the time, for the rate.
    pub(crate) fn tick(&mut self, now: Duration) {
        self.samples.push_back((now, self.done));
        let is_old = |(second, _): &(Duration, usize)| now.saturating_sub(*second) >= RATE_OVER;
        while self.samples.get(1).is_some_and(is_old) {
            self.samples.pop_front();
        }
    }

    /// The lines for a terminal with so many columns and rows: which hosts take long, if there are any, and how many are done.
    pub(crate) fn lines(&self, now: Duration, columns: usize, rows: usize) -> Vec<String> {
        let mut lines = Vec::new();
        if rows > 1 {
            lines.extend(self.long_running(now, columns));
        }
        lines.push(self.total(now, columns));
        lines
    }

    /// The hosts that take the longest: as many as there is room for.
    fn long_running(&self, now: Duration, columns: usize) -> Option<String> {
        let takes_long = |(began, _): &&(Duration, usize)| now.saturating_sub(*began) >= LONG;
        let long = self.running.iter().take_while(takes_long).count();
        let naming = |count: usize| {
            let named = self.running.iter().take(count).map(|(began, host)| {
                let label = self.labels.get(*host).map(String::as_str).unwrap_or_default();
                format!("{label} {}", clock(now.saturating_sub(*began).as_secs()))
            });
            let more = match long - count {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            format!("waiting for {}{more}", named.collect::<Vec<_>>().join(", "))
        };
        let mut lines = (1..=long.min(NAMED)).rev().map(naming);
        let last = (long > 0).then(|| naming(1));
        lines
            .find(|line| line.width() <= columns)
            .or_else(|| last.map(|line| shorten(&line, columns)))
    }

    fn total(&self, now: Duration, columns: usize) -> String {
        let all = self.labels.len();
        let mut figures: Figures = vec![(0, format!("{}/{all} hosts", self.done))];
        if self.failed > 0 {
            figures.push((1, format!("{} failed", self.failed)));
        }
        figures.push((3, format!("{} running", self.running.len())));
        if self.stopped {
            figures.push((2, "stopping".to_owned()));
        } else {
            figures.push((4, self.rate()));
            figures.push((2, format!("ETA {}", self.time_left(now))));
        }
        let taken = joined(&figures).len() + 2;
        let columns = columns.min(taken + BAR);
        let bar = bar(self.done as u64, all as u64, columns.saturating_sub(taken));
        row(&bar, figures, columns)
    }

    /// Hosts that were done within a second, lately.
    fn rate(&self) -> String {
        let (Some((from, before)), Some((to, after))) = (self.samples.front(), self.samples.back()) else {
            return "0/s".to_owned();
        };
        let seconds = to.saturating_sub(*from).as_secs_f64();
        let rate = match seconds > 0.0 {
            true => after.saturating_sub(*before) as f64 / seconds,
            false => 0.0,
        };
        match rate >= 10.0 {
            true => format!("{rate:.0}/s"),
            false => format!("{rate:.1}/s"),
        }
    }

    /// As long as the others took, on average.
    fn time_left(&self, now: Duration) -> String {
        let left = self.labels.len().saturating_sub(self.done + self.not_begun);
        match self.done {
            0 => "-:--".to_owned(),
            done => clock((now.as_secs_f64() * left as f64 / done as f64).ceil() as u64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Of 200 hosts 120 are done after a minute, 3 of them failed, and 64 run.
    fn run() -> Progress {
        let mut progress = Progress::new((1..=200).map(|n| format!("web-{n}")).collect());
        for host in 0..184 {
            progress.started(host, at(host as u64 / 4));
        }
        progress.tick(at(55));
        for host in 0..120 {
            progress.done(host, host % 40 != 0);
        }
        progress.tick(at(60));
        progress
    }

    #[test]
    fn the_last_line_says_how_many_are_done_failed_and_run_and_how_long_it_takes() {
        let lines = run().lines(at(60), 100, 24);
        assert_eq!(
            lines[0],
            "waiting for web-121 0:30, web-122 0:30, web-123 0:30, web-124 0:30, web-125 0:29 and 59 more"
        );
        assert_eq!(
            lines[1],
            "[======================>               ]  120/200 hosts  3 failed  64 running  24/s  ETA 0:40"
        );
    }

    #[test]
    fn as_many_hosts_are_named_as_there_is_room_for() {
        for (columns, line) in [
            (50, "waiting for web-121 0:30, web-122 0:30 and 62 more"),
            (40, "waiting for web-121 0:30 and 63 more"),
            (20, "waitin…0 and 63 more"),
        ] {
            let shown = run().lines(at(60), columns, 2).remove(0);
            assert_eq!(shown, line);
        }
    }

    #[test]
    fn figures_are_left_out_where_there_is_no_room() {
        let words = |columns| {
            let line = run().lines(at(60), columns, 1).remove(0);
            line.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(words(53), "120/200 hosts 3 failed 64 running 24/s ETA 0:40");
        assert_eq!(words(40), "120/200 hosts 3 failed ETA 0:40");
        assert_eq!(words(26), "120/200 hosts 3 failed");
        assert_eq!(words(16), "120/200 hosts");
    }

    #[test]
    fn a_run_that_stops_says_so_and_has_nothing_more_to_begin() {
        let mut progress = run();
        assert!(progress.has_more());
        progress.stopped();
        assert!(!progress.has_more() && progress.running() == 64);
        assert!(progress.lines(at(60), 100, 1)[0].ends_with("64 running  stopping"));
        for host in 120..200 {
            progress.done(host, false);
        }
        assert_eq!((progress.running(), progress.not_begun), (0, 16));
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_the_terminal(columns in 0..120_usize, rows in 0..4_usize, now in 0..10_000_u64) {
            for line in run().lines(at(now), columns, rows) {
                prop_assert!(line.width() <= columns, "{line:?}");
            }
        }
    }
}
