//! The zone that a script's times are shown in: that of its own environment, not of the process.

use std::path::{Component, Path};

use jiff::tz::TimeZone;

use crate::session::Session;

/// Where systems keep their zones.
const ZONES: &str = "/usr/share/zoneinfo";

/// The zone of this system.
const LOCAL: &str = "/etc/localtime";

/// The zone of the script's variable TZ, else that of the system. What cannot be found is UTC, as everywhere.
pub(super) fn local(session: &Session) -> TimeZone {
    let named = session.vars().get("TZ").cloned();
    match named
        .as_deref()
        .map(|name| name.strip_prefix(':').unwrap_or(name))
    {
        None => read(Path::new(LOCAL), "Local"),
        Some("" | "UTC" | "GMT") => None,
        Some(name) => named_zone(name).or_else(|| TimeZone::posix(name).ok()),
    }
    .unwrap_or(TimeZone::UTC)
}

fn named_zone(name: &str) -> Option<TimeZone> {
    let path = Path::new(name);
    // A variable names no other file than a zone.
    let is_plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    if is_plain {
        return read(&Path::new(ZONES).join(path), name);
    }
    let is_below = path.starts_with(ZONES) && !path.components().any(|part| part == Component::ParentDir);
    is_below.then(|| read(path, name)).flatten()
}

fn read(path: &Path, name: &str) -> Option<TimeZone> {
    let bytes = std::fs::read(path).ok()?;
    TimeZone::tzif(name, &bytes).ok()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::scratch::run_in;

    fn offset(zone: &str) -> String {
        let script = "print(time.now().string(\"-0700 MST\"))";
        run_in(Path::new("/"), &[("TZ", zone)], script, |builder| builder).out
    }

    #[test]
    fn the_scripts_own_variable_names_the_zone() {
        assert_eq!(offset("EST5"), "-0500 EST\n");
        assert_eq!(offset("<+0330>-3:30"), "+0330 +0330\n");
        assert_eq!(offset("UTC"), "+0000 UTC\n");
        assert_eq!(offset(""), "+0000 UTC\n");
    }

    #[test]
    fn no_other_file_is_read_for_it() {
        for zone in [
            "../../../etc/passwd",
            "/etc/passwd",
            "/usr/share/zoneinfo/../../../etc/passwd",
            "No/Where",
        ] {
            assert_eq!(offset(zone), "+0000 UTC\n", "{zone}");
        }
    }
}
