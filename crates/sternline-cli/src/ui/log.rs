//! Where the libraries' messages go: warnings always, facts from `-v` on, the protocol crate's own words from `-vvv`.

use std::fmt::{self, Write};

use sternline::proto::text::escape;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber, span};

use super::status_line::write_above;

/// Where the library tells the facts that are also its events.
const EVENTS: &str = "sternline::event";

/// Starts listening. Called once.
pub(crate) fn install(quiet: bool, verbose: u8) {
    let level = match (quiet, verbose) {
        (true, _) => Level::ERROR,
        (false, 0) => Level::WARN,
        (false, _) => Level::DEBUG,
    };
    // Neither can fail: it is done once, at the start.
    let _ = tracing::subscriber::set_global_default(Listener { level, verbose });
    if verbose > 2 && log::set_boxed_logger(Box::new(Protocol)).is_ok() {
        log::set_max_level(log::LevelFilter::Debug);
    }
}

struct Listener {
    level: Level,
    verbose: u8,
}

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // One -v shows the facts that events tell, which is what most people look for.
        let wanted =
            self.verbose != 1 || *metadata.level() <= Level::INFO || metadata.target() == "sternline::event";
        wanted && *metadata.level() <= self.level && metadata.target().starts_with("sternline")
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = Text::default();
        event.record(&mut text);
        let label = match *event.metadata().level() {
            Level::ERROR => "error: ",
            Level::WARN => "warning: ",
            _ if event.metadata().target() == EVENTS => "",
            _ => "debug: ",
        };
        write_above(&format!("{label}{}", safe(text.0.trim_start())));
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// The message and the fields of an event, in order.
#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = match field.name() {
            "message" | "data" => write!(self.0, " {value:?}"),
            "event_type" => write!(self.0, " event {value:?}"),
            "warning" | "error" => write!(self.0, ": {value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
}

/// The text without anything that a terminal would obey. Backslashes stay as they are, for JSON has many.
fn safe(text: &str) -> String {
    escape(text).replace("\\\\", "\\")
}

/// What the protocol crate says.
struct Protocol;

impl log::Log for Protocol {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.target().starts_with("russh")
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            write_above(&format!(
                "{}: {}",
                record.target(),
                safe(&record.args().to_string())
            ));
        }
    }

    fn flush(&self) {}
}
