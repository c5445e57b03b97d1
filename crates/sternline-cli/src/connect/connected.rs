//! What is told about a new connection.

use sternline::Connection;
use sternline::host_key::HostKeyTrust;
use sternline::proto::text::escape;

use crate::ui::Ui;

/// What is worth knowing about a new connection, and about the jump hosts before it.
pub(crate) fn tell(connection: &Connection, ui: &Ui) {
    if let Some(jump) = connection.jump_host() {
        tell(&jump, ui);
    }
    for line in connection.auth_banner().lines() {
        ui.line(&escape(line));
    }
    let key = connection.host_key();
    let named = format!("{} {}", key.key().algorithm(), key.fingerprint());
    let host = escape(connection.host());
    match key.trust() {
        HostKeyTrust::Recorded(place) => {
            ui.line(&format!("recorded the host key of {host} in {place}: {named}"))
        }
        HostKeyTrust::Remembered => ui.warning(&format!("the host key of {host} was not recorded: {named}")),
        HostKeyTrust::Known(place) => ui.note(&format!("host key: {named}, known by {place}")),
        HostKeyTrust::Authority { location, .. } => {
            ui.note(&format!(
                "host key: {named}, certified by the authority in {location}"
            ));
        }
        _ => ui.note(&format!("host key: {named}, not checked")),
    }
    let phases: Vec<_> = connection
        .timings()
        .iter()
        .map(|(phase, took)| format!("{phase} {:.1} ms", took.as_secs_f64() * 1000.0))
        .collect();
    ui.note(&format!("phases: {}", phases.join(", ")));
}
