//! Where the history is, and whether there is to be one.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use sternline::config::Env;
use sternline_history::{History, HistoryError};

use crate::exit;
use crate::ui::Failure;

/// The one setting: `off`, or another directory. A directory with such a name is written `./off`.
const SETTING: &str = "STERNLINE_HISTORY";

/// What switches it off, in capitals or not: whoever guesses the word must not get a directory of that name.
const OFF: [&str; 4] = ["off", "no", "false", "0"];

/// The directory of the history; `None` where nothing is to be recorded, or no place for it is known.
pub(crate) fn folder(env: &Env) -> Option<PathBuf> {
    folder_of(
        std::env::var_os(SETTING),
        std::env::var_os("XDG_STATE_HOME"),
        env.home.as_deref(),
    )
}

/// What the XDG Base Directory Specification says for state, unless the setting says otherwise.
fn folder_of(setting: Option<OsString>, state: Option<OsString>, home: Option<&Path>) -> Option<PathBuf> {
    match setting.as_deref() {
        Some(off) if OFF.iter().any(|word| off.eq_ignore_ascii_case(word)) => return None,
        Some(folder) if !folder.is_empty() => return Some(PathBuf::from(folder)),
        _ => {}
    }
    // A relative path there counts for nothing.
    let state = state.map(PathBuf::from).filter(|state| state.is_absolute());
    let state = state.or_else(|| Some(home?.join(".local/state")))?;
    Some(state.join("sternline").join("history"))
}

/// The history to read; `None` where nothing was recorded.
pub(crate) fn find() -> Result<Option<History>, Failure> {
    let Some(folder) = folder(&Env::system()) else {
        return Err(Failure::usage(format!("there is no history: {SETTING}=off"))
            .with_hint(format!("name its directory with {SETTING}, or unset that")));
    };
    History::find(&folder).map_err(|error| trouble(&error))
}

/// Why the history could not be read, with the status for trouble.
pub(crate) fn trouble(error: &HistoryError) -> Failure {
    Failure::usage(error.to_string())
        .with_hint(error.hint())
        .with_status(exit::USAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_history_is_where_state_is_kept_unless_it_is_elsewhere_or_off() {
        let home = Some(Path::new("/home/ann"));
        let given = |text: &str| Some(OsString::from(text));
        let default = "/home/ann/.local/state/sternline/history";
        for (setting, state, home, expected) in [
            (None, None, home, Some(default)),
            (
                None,
                given("/var/state"),
                home,
                Some("/var/state/sternline/history"),
            ),
            (None, given("relative"), home, Some(default)),
            (None, given(""), home, Some(default)),
            (given(""), None, home, Some(default)),
            (given("off"), given("/var/state"), home, None),
            (given("OFF"), None, home, None),
            (given("No"), None, home, None),
            (given("false"), None, home, None),
            (given("0"), None, home, None),
            (given("00"), None, home, Some("00")),
            (
                given("/else/where"),
                given("/var/state"),
                home,
                Some("/else/where"),
            ),
            (given("./off"), None, None, Some("./off")),
            (None, None, None, None),
        ] {
            let found = folder_of(setting, state, home);
            assert_eq!(found.as_deref(), expected.map(Path::new));
        }
    }
}
