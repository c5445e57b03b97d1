//! `sternline sandbox verify`.

use std::io::Write as _;
use std::process::ExitCode;

use serde_json::json;
use sternline::sandbox::{Attempt, Outcome, verify};

use super::args::VerifyArgs;
use super::place::Places;
use super::run::clean_up;
use crate::exit;
use crate::ui::{Failure, Signals, Ui};

/// The name and version of the JSON object. It changes when a field changes its meaning or goes.
const SCHEMA: &str = "sternline.sandbox.verify/1";

pub(super) async fn run(args: VerifyArgs, ui: &Ui) -> Result<ExitCode, Failure> {
    let mut signals =
        Signals::new().map_err(|error| Failure::local(format!("cannot listen to signals: {error}")))?;
    let named = args.host.as_deref();
    let places = Places::find(named, args.profile.as_deref(), &args.connect, &mut signals, ui).await?;
    let (place, profile) = places.only("verify examines")?;
    let attempts = tokio::select! {
        signal = signals.next() => Err(Failure::interrupted(signal)),
        attempts = verify(&*place.executor, &profile) => attempts.map_err(Failure::from),
    };
    tokio::select! {
        _ = signals.next() => {}
        () = clean_up(std::slice::from_ref(&place.executor)) => {}
    }
    let attempts = attempts?;
    let count = |wanted: &str| {
        attempts
            .iter()
            .filter(|attempt| attempt.outcome.as_str() == wanted)
            .count()
    };
    let (held, escaped, not_tried) = (count("held"), count("escaped"), count("not_tried"));
    let text = match args.connect.json {
        true => format!(
            "{}\n",
            json!({
                "schema": SCHEMA,
                "host": place.label,
                "profile": profile.name(),
                "ok": escaped == 0,
                "held": held,
                "escaped": escaped,
                "not_tried": not_tried,
                "attempts": attempts.iter().map(|attempt| json!({
                    "name": attempt.name,
                    "tried": attempt.tried,
                    "outcome": attempt.outcome.as_str(),
                    "detail": attempt.outcome.detail(),
                })).collect::<Vec<_>>(),
            })
        ),
        false => attempts.iter().map(line).collect(),
    };
    std::io::stdout()
        .write_all(text.as_bytes())
        .map_err(|error| Failure::output(&error))?;
    ui.line(&format!(
        "{}: {} attempts to get out of the profile {}: {held} held, {escaped} escaped, {not_tried} not tried",
        place.label,
        attempts.len(),
        profile.name()
    ));
    match escaped {
        0 => Ok(ExitCode::SUCCESS),
        _ => Ok(ExitCode::from(exit::FAILED)),
    }
}

fn line(attempt: &Attempt) -> String {
    let verdict = match attempt.outcome {
        Outcome::Held(_) => "held",
        Outcome::Escaped(_) => "ESCAPED",
        Outcome::NotTried(_) => "not tried",
    };
    format!(
        "{verdict:<9}  {:<16}  {}: {}\n",
        attempt.name,
        attempt.tried,
        attempt.outcome.detail()
    )
}
