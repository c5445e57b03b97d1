//! `sternline sandbox show`.

use std::io::Write as _;
use std::process::ExitCode;

use serde_json::json;
use sternline::proto::quoting::join;
use sternline::proto::sandbox::{Nonce, RemoteCommand, bwrap_argv, check_allowed, compose};
use sternline::sandbox::DEFAULT_TIMEOUT;

use super::args::ShowArgs;
use super::place::Places;
use super::run::{clean_up, refused};
use crate::ui::{Failure, Signals, Ui};

/// The name and version of the JSON object. It changes when a field changes its meaning or goes.
const SCHEMA: &str = "sternline.sandbox.show/1";

pub(super) async fn run(args: ShowArgs, ui: &Ui) -> Result<ExitCode, Failure> {
    let mut signals =
        Signals::new().map_err(|error| Failure::local(format!("cannot listen to signals: {error}")))?;
    let named = args.host.as_deref();
    let places = Places::find(named, args.profile.as_deref(), &args.connect, &mut signals, ui).await?;
    let (place, profile) = places.only("show asks")?;
    check_allowed(&profile, &args.argv).map_err(|refusal| refused(&refusal))?;
    let facts = tokio::select! {
        signal = signals.next() => Err(Failure::interrupted(signal)),
        facts = place.executor.host_facts() => facts.map_err(Failure::from),
    };
    tokio::select! {
        _ = signals.next() => {}
        () = clean_up(std::slice::from_ref(&place.executor)) => {}
    }
    let facts = facts?;
    let argv = bwrap_argv(&profile, &facts, &args.argv).map_err(|refusal| refused(&refusal))?;
    // The mark is another one for each run.
    let sent = compose(
        &profile,
        &facts,
        &args.argv,
        DEFAULT_TIMEOUT,
        false,
        &Nonce::new([0; 16]),
    );
    let sent = sent.map_err(|refusal| refused(&refusal))?;
    let request = String::from_utf8_lossy(&sent.line).into_owned();
    let script = script(&sent);
    for weakness in facts.weaknesses() {
        ui.warning(&format!("{}: {weakness}", place.label));
    }
    let text = match args.connect.json {
        true => json!({
            "schema": SCHEMA,
            "host": place.label,
            "profile": profile.name(),
            "argv": argv,
            "request": request,
            "script": script,
            "weaknesses": facts.weaknesses(),
        })
        .to_string(),
        false => {
            ui.note(&format!("request: {request}"));
            script
                .lines()
                .for_each(|line| ui.note(&format!("script: {line}")));
            let line = join(&argv).map_err(|error| Failure::usage(error.to_string()))?;
            String::from_utf8_lossy(&line).into_owned()
        }
    };
    std::io::stdout()
        .write_all(format!("{text}\n").as_bytes())
        .map_err(|error| Failure::output(&error))?;
    Ok(ExitCode::SUCCESS)
}

/// What the second shell reads: the filter behind it is no text.
fn script(sent: &RemoteCommand) -> String {
    let text = String::from_utf8_lossy(&sent.prefix);
    let end = "exit \"$r\"\n";
    let length = text.find(end).map_or(text.len(), |start| start + end.len());
    text.get(..length).unwrap_or_default().to_owned()
}
