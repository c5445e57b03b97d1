//! `sternline sandbox show`.

use std::io::Write as _;
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use serde_json::json;
use sternline::proto::quoting::join;
use sternline::proto::sandbox::{
    HostFacts, Nonce, RemoteCommand, bwrap_argv, check_allowed, compose, parse_probe, probe_command,
};
use sternline::sandbox::DEFAULT_TIMEOUT;
use sternline::{Command, ExecRequest};

use super::args::ShowArgs;
use super::place::{Place, Places};
use super::run::refused;
use crate::connect::tell;
use crate::exit;
use crate::ui::{Failure, Signals, Ui};

/// The name and version of the JSON object. It changes when a field changes its meaning or goes.
const SCHEMA: &str = "sternline.sandbox.show/1";

/// How long the look at the host may take.
const LOOK: Duration = Duration::from_secs(30);

pub(super) async fn run(args: ShowArgs, ui: &Ui) -> Result<ExitCode, Failure> {
    let mut signals =
        Signals::new().map_err(|error| Failure::local(format!("cannot listen to signals: {error}")))?;
    let named = args.host.as_deref();
    let places = Places::find(named, args.profile.as_deref(), &args.connect, &mut signals, ui).await?;
    let (place, profile) = places.only("show asks")?;
    check_allowed(&profile, &args.argv).map_err(|refusal| refused(&refusal))?;
    let facts = tokio::select! {
        signal = signals.next() => return Err(Failure::interrupted(signal)),
        facts = facts(&place, ui) => facts?,
    };
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

/// What a look at the host finds, as for a run.
async fn facts(place: &Place, ui: &Ui) -> Result<HostFacts, Failure> {
    let probe = probe_command();
    let output = match &place.settings {
        Some(settings) => {
            let connection = settings.builder().connect().await?;
            tell(&connection, ui);
            let request = ExecRequest::new(Command::shell(probe.line))
                .stdin(probe.prefix)
                .timeout(LOOK);
            let result = connection.exec(request).await;
            connection.close().await;
            result?.stdout.to_vec()
        }
        None => here(probe).await?,
    };
    parse_probe(&String::from_utf8_lossy(&output)).map_err(|why| {
        Failure::usage(why.to_string())
            .with_hint(why.hint())
            .with_status(exit::NO_SANDBOX)
    })
}

/// The same on this machine.
async fn here(probe: RemoteCommand) -> Result<Vec<u8>, Failure> {
    let look = move || {
        let mut child = std::process::Command::new("/bin/sh")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(&probe.prefix)?;
        }
        Ok::<_, std::io::Error>(child.wait_with_output()?.stdout)
    };
    let looked = tokio::task::spawn_blocking(look).await;
    let looked =
        looked.map_err(|error| Failure::local(format!("the look at this machine ended early: {error}")))?;
    looked.map_err(|error| Failure::local(format!("cannot run /bin/sh: {error}")))
}
