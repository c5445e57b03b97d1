//! Figures in lines of a terminal: bars, sizes, times and rates, and which of them have room.

use std::collections::VecDeque;
use std::time::Duration;

use unicode_width::UnicodeWidthStr;

use super::status_line::cut;

/// Over how long the rate is taken: long enough to be read, short enough to show that something stalls.
const RATE_OVER: Duration = Duration::from_secs(5);

/// The columns that a name keeps before figures are left out for it.
const NAME: usize = 12;

/// Figures with how soon each is left out where there is no room: the highest number first.
pub(crate) type Figures = Vec<(u8, String)>;

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
pub(crate) fn percent(part: u64, whole: u64) -> String {
    let percent = match whole {
        0 => 100,
        whole => u128::from(part.min(whole)) * 100 / u128::from(whole),
    };
    format!("{percent:>3}%")
}

/// How long so many bytes take.
pub(crate) fn eta(bytes: u64, rate: u64) -> String {
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
pub(crate) struct Rate {
    /// When, and how many bytes there were then.
    pub(super) samples: VecDeque<(Duration, u64)>,
}

impl Rate {
    pub(crate) fn take(&mut self, now: Duration, bytes: u64) {
        self.samples.push_back((now, bytes));
        while self
            .samples
            .get(1)
            .is_some_and(|(second, _)| now.saturating_sub(*second) >= RATE_OVER)
        {
            self.samples.pop_front();
        }
    }

    pub(crate) fn bytes_per_second(&self) -> u64 {
        let (Some((from, before)), Some((to, after))) = (self.samples.front(), self.samples.back()) else {
            return 0;
        };
        let millis = u64::try_from(to.saturating_sub(*from).as_millis()).unwrap_or(u64::MAX);
        let bytes = after.saturating_sub(*before);
        bytes.saturating_mul(1000).checked_div(millis).unwrap_or_default()
    }
}
