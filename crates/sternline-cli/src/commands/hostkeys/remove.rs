//! `sternline hostkeys remove`.

use std::process::ExitCode;

use sternline::host_key::{self, KeptReason};
use sternline::proto::text::escape;

use super::args::{RemoveArgs, print, record_path, resolve};
use crate::connect::parse_hosts;
use crate::exit;
use crate::ui::{Failure, Ui};

pub(super) fn run(args: &RemoveArgs, ui: &Ui) -> Result<ExitCode, Failure> {
    let targets = parse_hosts(&args.hosts, &args.files.hosts, ui)?;
    let mut connector = args.files.connector(ui)?;
    let mut code = ExitCode::SUCCESS;
    for settings in resolve(&mut connector, &targets)? {
        let path = record_path(&settings)?;
        let host = settings.recordable();
        let (name, port) = settings.known_name();
        let removal = host_key::remove(&path, name, port).map_err(|error| {
            Failure::local(error.to_string()).with_hint("check the file's path and its permissions")
        })?;
        let file = escape(&path.to_string_lossy());
        for removed in &removal.removed {
            let others = if removed.other_hosts_kept {
                " (the line stays for other hosts)"
            } else {
                ""
            };
            print(&format!(
                "removed {host} {} {} {file}:{}{others}",
                removed.key.algorithm(),
                removed.key.fingerprint(),
                removed.line,
            ))?;
        }
        for kept in &removal.kept {
            let why = match kept.reason {
                KeptReason::Wildcard => "it names other hosts too",
                KeptReason::Marker => "it revokes a key or names an authority",
            };
            ui.warning(&format!("{file}:{} still speaks of {host}: {why}", kept.line));
        }
        if removal.removed.is_empty() {
            ui.line(&format!("{host}: {file} holds no key under this name"));
            code = ExitCode::from(exit::FAILED);
        }
    }
    Ok(code)
}
