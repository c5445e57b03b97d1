//! `sternline hostkeys list`.

use std::process::ExitCode;

use sternline::host_key::{Entry, KnownHosts, Marker};
use sternline::proto::text::escape;

use super::args::{ListArgs, print};
use crate::connect::parse_hosts;
use crate::exit;
use crate::ui::{Failure, Ui};

pub(super) fn run(args: &ListArgs, ui: &Ui) -> Result<ExitCode, Failure> {
    let mut connector = args.files.connector(ui)?;
    let Some(host) = &args.host else {
        return show(&connector.any_host()?.known_hosts.entries()).map(|()| ExitCode::SUCCESS);
    };
    let mut found = Vec::new();
    for target in parse_hosts(host, &args.files.hosts, ui)? {
        let settings = connector.settings(&target)?;
        let known: &KnownHosts = &settings.known_hosts;
        let (name, port) = settings.known_name();
        let entries = known.entries_for(name, port);
        if entries.is_empty() {
            ui.line(&format!("{}: no line speaks of it", settings.recordable()));
        }
        found.extend(entries);
    }
    show(&found)?;
    Ok(match found.is_empty() {
        true => ExitCode::from(exit::FAILED),
        false => ExitCode::SUCCESS,
    })
}

fn show(entries: &[Entry]) -> Result<(), Failure> {
    for entry in entries {
        let marker = match entry.marker {
            Marker::None => "",
            Marker::CertAuthority => "@cert-authority ",
            Marker::Revoked => "@revoked ",
        };
        print(&format!(
            "{marker}{} {} {} {}",
            escape(&entry.hosts.to_string()),
            entry.key.algorithm(),
            entry.key.fingerprint(),
            entry.location,
        ))?;
    }
    Ok(())
}
