//! `sternline sandbox profiles`.

use std::io::Write as _;
use std::process::ExitCode;

use serde_json::json;
use sternline::proto::sandbox::bundled_text;
use sternline::sandbox::{BUNDLED, SandboxProfile};

use super::args::ProfilesArgs;
use crate::ui::Failure;

/// The name and version of the JSON objects. It changes when a field changes its meaning or goes.
const SCHEMA: &str = "sternline.sandbox.profiles/1";

pub(super) fn run(args: &ProfilesArgs) -> Result<ExitCode, Failure> {
    let text = match &args.name {
        Some(name) => match bundled_text(name) {
            Some(text) => text.to_owned(),
            None => {
                let error = SandboxProfile::bundled(name).err();
                let message = error.map(|error| error.to_string()).unwrap_or_default();
                return Err(Failure::usage(message).with_hint("`sternline sandbox profiles` lists them"));
            }
        },
        None => list(args.json)?,
    };
    std::io::stdout()
        .write_all(text.as_bytes())
        .map_err(|error| Failure::output(&error))?;
    Ok(ExitCode::SUCCESS)
}

fn list(as_json: bool) -> Result<String, Failure> {
    let mut text = String::new();
    for name in BUNDLED {
        let profile = SandboxProfile::bundled(name).map_err(|error| Failure::local(error.to_string()))?;
        if as_json {
            let binds: Vec<&str> = profile.binds().iter().map(|bind| bind.source()).collect();
            let object = json!({
                "schema": SCHEMA,
                "name": name,
                "allowed_commands": profile.allowed_commands(),
                "binds": binds,
                "network": !profile.network_isolation(),
                "environment": profile.environment(),
            });
            text.push_str(&format!("{object}\n"));
        } else {
            // A name stands for its paths, which are on the list as well.
            let names = profile
                .allowed_commands()
                .iter()
                .filter(|command| !command.contains('/'));
            let names: Vec<&str> = names.map(String::as_str).collect();
            text.push_str(&format!("{name:<12} {}\n", names.join(" ")));
        }
    }
    Ok(text)
}
