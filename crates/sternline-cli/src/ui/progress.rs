//! How far a copy is, as lines for the end of the terminal.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use sternline::proto::text::escape_bytes;
use unicode_width::UnicodeWidthStr;

use super::status_line::cut;

/// Over how long the rate is taken: long enough to be read, short enough to show that something stalls.
const RATE_OVER: Duration = Duration::from_secs(5);

/// The most lines at once, however high the terminal is.
const MOST_LINES: usize = 16;

/// The columns that a name keeps before figures are left out for it.
const NAME: usize = 12;

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

/// The part of the whole as a bar of so many columns; nothing where that would be too short to say anything.
pub(crate) fn bar(part: u64, whole: u64, columns: usize) -> String {
    let Some(room) = columns.checked_sub(2).filter(|room| *room >= 8) else {
        return String::new();
    };
    let done = match whole {
        0 => room,
        whole => {
            let done = u128::from(part.min(whole)) * room as u128 / u128::from(whole);
            usize::try_from(done).unwrap_or(room)
        }
    };
    let head = if done < room { ">" } else { "" };
    format!(
        "[{}{head}{}]",
        "=".repeat(done),
        " ".repeat(room - done - head.len())
    )
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

/// Figures with how soon each is left out where there is no room: the highest number first.
pub(crate) type Figures = Vec<(u8, String)>;

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

/// A name at the left and figures at the right. The name is shortened in its middle; where it would become too short, figures
/// are left out.
pub(crate) fn row(name: &str, mut figures: Figures, columns: usize) -> String {
    let least = name.width().min(NAME);
    while joined(&figures).width() + 2 + least > columns {
        let Some(first) = figures.iter().map(|(rank, _)| *rank).max() else {
            return shorten(name, columns);
        };
        figures.retain(|(rank, _)| *rank != first);
        if figures.is_empty() {
            return shorten(name, columns);
        }
    }
    let figures = joined(&figures);
    let name = shorten(name, columns - figures.width() - 2);
    let blanks = columns - figures.width() - name.width();
    format!("{name}{}{figures}", " ".repeat(blanks))
}

pub(crate) fn joined(figures: &Figures) -> String {
    let texts: Vec<&str> = figures.iter().map(|(_, text)| text.as_str()).collect();
    texts.join("  ")
}

/// The text in at most so many columns, with its middle left out if need be: the end of a path says most.
pub(crate) fn shorten(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let Some(room) = columns.checked_sub(1) else {
        return String::new();
    };
    let backwards = |text: &str| text.chars().rev().collect::<String>();
    let head = cut(text, room / 3);
    let tail = cut(&backwards(text), room - head.width());
    format!("{head}…{}", backwards(&tail))
}

/// A number of bytes as people read it, in powers of 1024.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut units = UNITS.iter();
    let mut unit = units.next().unwrap_or(&"");
    // What would be shown as 1024.0 is one of the next unit.
    while value >= 1023.95 {
        let Some(next) = units.next() else { break };
        unit = next;
        value /= 1024.0;
    }
    format!("{value:.1} {unit}")
}

/// How much of the whole, rounded down: 100% is the whole.
fn percent(part: u64, whole: u64) -> String {
    let percent = match whole {
        0 => 100,
        whole => u128::from(part.min(whole)) * 100 / u128::from(whole),
    };
    format!("{percent:>3}%")
}

/// How long so many bytes take.
fn eta(bytes: u64, rate: u64) -> String {
    if bytes == 0 {
        return "0:00".to_owned();
    }
    let Some(seconds) = bytes.checked_div(rate) else {
        return "-:--".to_owned();
    };
    clock(seconds)
}

/// So many seconds as people read a time.
pub(crate) fn clock(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        1..100 => format!("{hours}:{minutes:02}:{seconds:02}"),
        _ => format!("{} days", hours / 24),
    }
}

/// The rate of the last seconds.
#[derive(Debug, Default)]
struct Rate {
    /// When, and how many bytes there were then.
    samples: VecDeque<(Duration, u64)>,
}

impl Rate {
    fn take(&mut self, now: Duration, bytes: u64) {
        self.samples.push_back((now, bytes));
        while self
            .samples
            .get(1)
            .is_some_and(|(second, _)| now.saturating_sub(*second) >= RATE_OVER)
        {
            self.samples.pop_front();
        }
    }

    fn bytes_per_second(&self) -> u64 {
        let (Some((from, before)), Some((to, after))) = (self.samples.front(), self.samples.back()) else {
            return 0;
        };
        let millis = u64::try_from(to.saturating_sub(*from).as_millis()).unwrap_or(u64::MAX);
        let bytes = after.saturating_sub(*before);
        bytes.saturating_mul(1000).checked_div(millis).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MIB: u64 = 1024 * 1024;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn one_host() -> Progress {
        let mut progress = Progress::new(["web".to_owned()]);
        progress.tick(at(0));
        progress.found(0, 3, 400 * MIB, true);
        progress.started(0, 0, b"logs/app.log", Some(200 * MIB));
        progress.started(0, 1, b"stream", None);
        progress.moved(0, 0, 50 * MIB);
        progress.moved(0, 1, 10 * MIB);
        progress.ended(0, None, 40 * MIB, true);
        progress.tick(at(2));
        progress
    }

    #[test]
    fn each_file_on_its_way_has_a_line_and_everything_together_the_last_two() {
        assert_eq!(
            one_host().lines(72, 24),
            [
                "logs/app.log                                50.0 MiB of 200.0 MiB   25%",
                "stream                                                          10.0 MiB",
                "total                                    1/3 files  100.0 MiB of 400.0 MiB",
                "[==========>                               ]   25%  50.0 MiB/s  ETA 0:06",
            ]
            .map(|line| if line.starts_with('[') {
                line.to_owned()
            } else {
                fill(line, 72)
            })
        );
    }

    /// Moves what stands behind the first run of blanks to the right.
    fn fill(line: &str, columns: usize) -> String {
        match line.split_once("  ") {
            Some((name, figures)) => {
                let figures = figures.trim_start_matches(' ');
                format!("{name}{figures:>width$}", width = columns - name.width())
            }
            None => line.to_owned(),
        }
    }

    #[test]
    fn as_long_as_nobody_has_counted_there_is_neither_a_whole_nor_an_end() {
        let mut progress = one_host();
        progress.found(0, 2, 300 * MIB, false);
        assert_eq!(
            progress.lines(50, 24).pop().unwrap(),
            fill("total  1 files  100.0 MiB  50.0 MiB/s", 50)
        );
    }

    #[test]
    fn of_a_pipe_nobody_knows_the_whole_nor_the_end() {
        let mut progress = Progress::new(["a".to_owned(), "b".to_owned()]);
        progress.tick(at(0));
        for host in [0, 1] {
            progress.found(host, 1, 0, true);
            progress.started(host, 0, b"pipe", None);
            progress.moved(host, 0, MIB);
        }
        progress.tick(at(1));
        let lines = progress.lines(60, 24);
        assert_eq!(lines.len(), 5, "{lines:?}");
        for line in &lines {
            assert!(!line.contains(['%']) && !line.contains("of 0 B"), "{lines:?}");
        }
        assert_eq!(lines[4], fill("total  0/2 files  2.0 MiB  2.0 MiB/s", 60));
    }

    #[test]
    fn several_hosts_have_a_line_each_until_they_are_done() {
        let mut progress = Progress::new(["web-1".to_owned(), "web-2".to_owned()]);
        for host in 0..2 {
            progress.found(host, 2, 20 * MIB, true);
            progress.started(host, 7, b"a", Some(10 * MIB));
        }
        progress.moved(0, 7, 5 * MIB);
        progress.ended(1, None, 0, false);
        assert_eq!(
            progress.lines(60, 24),
            [
                "web-1: a  5.0 MiB of 10.0 MiB   50%",
                "web-2: a  0 B of 10.0 MiB    0%",
                "web-1  0/2 files  5.0 MiB of 20.0 MiB   25%",
                "web-2  1/2 files  1 failed  0 B of 20.0 MiB    0%",
                "total  1/4 files  1 failed  5.0 MiB of 40.0 MiB",
                "[====>                              ]   12%  0 B/s  ETA -:--",
            ]
            .map(|line| if line.starts_with('[') {
                line.to_owned()
            } else {
                fill(line, 60)
            })
        );
        progress.ended(1, Some(7), 0, true);
        progress.moved(0, 7, 5 * MIB);
        assert_eq!(progress.lines(60, 24).len(), 4);
    }

    #[test]
    fn what_finds_no_room_is_counted() {
        let mut progress = Progress::new(["web".to_owned()]);
        for file in 0..40 {
            progress.started(0, file, format!("f{file}").as_bytes(), None);
        }
        let lines = progress.lines(40, 24);
        assert_eq!(lines.len(), MOST_LINES);
        assert_eq!(lines[MOST_LINES - 2], "+26 more");
        let lines = progress.lines(40, 3);
        assert_eq!((lines.len(), lines[1].as_str()), (3, "+39 more"));
        assert_eq!(progress.lines(40, 1).len(), 1);

        let mut progress = Progress::new((0..100).map(|host| format!("h{host}")));
        for host in 0..100 {
            progress.started(host, 0, b"f", None);
        }
        let lines = progress.lines(40, 11);
        assert_eq!(lines.len(), 11);
        assert_eq!((lines[4].as_str(), lines[9].as_str()), ("+96 more", "+96 more"));
    }

    #[test]
    fn figures_are_left_out_where_there_is_no_room_and_names_lose_their_middle() {
        let progress = one_host();
        for (columns, totals) in [
            (
                44,
                [
                    "total  1/3 files  100.0 MiB of 400.0 MiB",
                    "[===>          ]   25%  50.0 MiB/s  ETA 0:06",
                ],
            ),
            (37, ["total  1/3 files", "25%  50.0 MiB/s  ETA 0:06"]),
            (20, ["total  1/3 files", "25%  ETA 0:06"]),
            (6, ["total", "25%"]),
            (3, ["…al", ""]),
            (0, ["", ""]),
        ] {
            let lines = progress.lines(columns, 24);
            let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            let last: Vec<_> = lines.iter().rev().take(2).rev().map(|line| words(line)).collect();
            assert_eq!(last, totals.map(words), "{columns}");
        }
        assert_eq!(shorten("some/long/path/file.txt", 16), "some/…h/file.txt");
        assert_eq!(shorten("日本語日本語", 7), "日…本語");
    }

    #[test]
    fn names_cannot_move_the_cursor() {
        let mut progress = Progress::new(["web".to_owned()]);
        progress.started(0, 0, b"a\x1b[2J\n\xff", None);
        let line = progress.lines(60, 24).remove(0);
        assert!(line.starts_with("a\\x1b[2J\\n\\xff  "), "{line}");
    }

    #[test]
    fn sizes_and_times_are_shown_as_people_read_them() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (MIB - 1, "1.0 MiB"),
            (5 * 1024 * MIB, "5.0 GiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
        for (bytes, rate, text) in [
            (0, 0, "0:00"),
            (1, 0, "-:--"),
            (59, 1, "0:59"),
            (61, 1, "1:01"),
            (3661, 1, "1:01:01"),
            (u64::MAX, 1_000_000_000_000, "213 days"),
        ] {
            assert_eq!(eta(bytes, rate), text);
        }
        assert_eq!(
            (percent(0, 0), percent(999, 1000), percent(2, 1)),
            ("100%".into(), " 99%".into(), "100%".into())
        );
    }

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let mut rate = Rate::default();
        assert_eq!(rate.bytes_per_second(), 0);
        for second in 0..10 {
            rate.take(at(second), second * 100);
        }
        assert_eq!(rate.bytes_per_second(), 100);
        // It stalls: the rate goes to zero.
        for second in 10..20 {
            rate.take(at(second), 900);
        }
        assert_eq!(rate.bytes_per_second(), 0);
        assert!(rate.samples.len() <= 7);
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_the_terminal(
            columns in 0..120_usize,
            rows in 0..30_usize,
            names in proptest::collection::vec(any::<Vec<u8>>(), 0..20),
            size in proptest::option::of(any::<u64>()),
        ) {
            let mut progress = Progress::new(["one".to_owned(), "another host with a long name".to_owned()]);
            for (file, name) in (0..).zip(&names) {
                progress.started(usize::from(file % 2 == 1), file, name, size);
                progress.moved(0, file, file);
            }
            let lines = progress.lines(columns, rows);
            prop_assert!(lines.len() <= rows.max(1));
            for line in lines {
                prop_assert!(line.width() <= columns, "{line:?}");
            }
        }
    }
}
