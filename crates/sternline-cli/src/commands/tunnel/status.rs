//! What a tunnel tells the person at its terminal.

use std::collections::HashSet;
use std::time::Duration;

use sternline::connection::SupervisorStatus;
use sternline::proto::text::escape;
use sternline::{ConnectionState, ForwardHandle};
use tokio::time::Instant;

use crate::ui::{Failure, Ui, status_line};

/// Shown on a terminal only: elsewhere the events say it.
pub(super) struct Status {
    ui: Ui,
    host: String,
    shown: bool,
    connected: bool,
    /// When that changed.
    since: Instant,
    /// The reasons that were told since all was well.
    told: HashSet<String>,
}

impl Status {
    /// `wanted` unless events are printed instead.
    pub(super) fn new(host: &str, wanted: bool, ui: &Ui) -> Self {
        Self {
            ui: *ui,
            host: escape(host),
            shown: wanted && !ui.is_quiet() && status_line::possible(),
            connected: false,
            since: Instant::now(),
            told: HashSet::new(),
        }
    }

    /// Draws it anew. What is amiss is told in a line that stays, once until all is well again.
    pub(super) fn draw(&mut self, status: &SupervisorStatus, forwards: &[ForwardHandle]) {
        let connected = status.state == ConnectionState::Connected;
        if std::mem::replace(&mut self.connected, connected) != connected {
            self.since = Instant::now();
        }
        if connected && forwards.iter().all(ForwardHandle::is_active) {
            self.told.clear();
        }
        let lost = status.last_error.as_ref();
        let lost = lost.filter(|_| status.state == ConnectionState::Reconnecting);
        let lost = lost.map(|error| Failure::from(error).headline());
        for reason in lost
            .into_iter()
            .chain(forwards.iter().filter_map(ForwardHandle::last_error))
        {
            if self.told.insert(reason.clone()) {
                self.ui.warning(&format!("{}: {reason}", self.host));
            }
        }
        if self.shown {
            status_line::draw(&[self.text(status, forwards)]);
        }
    }

    fn text(&self, status: &SupervisorStatus, forwards: &[ForwardHandle]) -> String {
        let host = &self.host;
        let elapsed = clock(self.since.elapsed());
        match status.state {
            ConnectionState::Connected => {
                let active = forwards.iter().filter(|forward| forward.is_active()).count();
                let open: u64 = forwards.iter().map(ForwardHandle::open_connections).sum();
                let up = match active == forwards.len() {
                    true => count(active as u64, "forward"),
                    false => format!("{active} of {} up", count(forwards.len() as u64, "forward")),
                };
                let mut text = format!("{host}: connected {elapsed}, {up}, {open} open");
                if status.reconnection_count > 0 {
                    text += &format!(", {}", count(status.reconnection_count.into(), "reconnection"));
                }
                text
            }
            ConnectionState::Reconnecting => {
                let failed = count(status.failed_attempts.into(), "failed attempt");
                match status.retry_at {
                    Some(at) => {
                        let left = clock(at.saturating_duration_since(Instant::now()));
                        format!("{host}: lost {elapsed}, {failed}, next in {left}")
                    }
                    None => format!("{host}: lost {elapsed}, waiting for the network"),
                }
            }
            state => format!("{host}: {state} {elapsed}"),
        }
    }
}

impl Drop for Status {
    fn drop(&mut self) {
        status_line::clear();
    }
}

fn count(number: u64, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

/// `4s`, `3m04s`, `27h03m`.
fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{:02}s", seconds % 60),
        _ => format!("{hours}h{minutes:02}m"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_as_short_as_they_can_be_read() {
        for (seconds, text) in [
            (0, "0s"),
            (59, "59s"),
            (184, "3m04s"),
            (3600, "1h00m"),
            (97_380, "27h03m"),
        ] {
            assert_eq!(clock(Duration::from_secs(seconds)), text);
        }
    }
}
