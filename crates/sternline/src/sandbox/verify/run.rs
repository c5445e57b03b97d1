//! Making the attempts.

use std::time::Duration;

use futures_util::future::try_join_all;
use sternline_proto::sandbox::SandboxProfile;
use sternline_proto::text::escape;
use tokio::try_join;

use super::attacks::ATTACKS;
use super::attempt::{Attempt, Outcome};
use crate::error::{Error, ErrorKind, Result, SandboxReason};
use crate::sandbox::{ProcessResult, SandboxExecutor, SandboxRequest};

/// How long one attempt may take.
const LIMIT: Duration = Duration::from_secs(30);

/// Tries to get out of the profile's sandbox, in every way that is known and does no harm, and tells of each attempt.
///
/// What the kernel has to hold is tried by a shell, with every command allowed and everything else as in the profile. What the
/// profile allows is tried with the profile itself.
///
/// Cancel-safe: nothing stays behind.
///
/// # Errors
/// When no sandbox can be had at all: whatever [`SshExecutor::run_command`](crate::sandbox::SshExecutor::run_command) fails with; and
/// [`ErrorKind::Sandbox`] where there is no shell in the sandbox that could try.
pub async fn verify(executor: &dyn SandboxExecutor, profile: &SandboxProfile) -> Result<Vec<Attempt>> {
    let permissive = permissive(profile)?;
    let hello = shell(executor, &permissive, "echo hello").await?;
    if hello.stdout_text() != "hello\n" {
        let said = escape(hello.stderr_text().trim());
        return Err(Error::new(
            ErrorKind::Sandbox(SandboxReason::Profile),
            format!(
                "no shell runs in the sandbox of {}: {said}",
                escape(profile.name())
            ),
        )
        .with_hint("bind the directories of the system, as the profile minimal does"));
    }
    // None disturbs another, and a host far away answers all of them in the time of one.
    let scripts = try_join_all(ATTACKS.iter().map(async |attack| {
        let result = shell(executor, &permissive, attack.script).await?;
        Ok(Attempt {
            name: attack.name,
            tried: attack.tried,
            outcome: Outcome::read(&result.stdout_text()),
        })
    }));
    let (mut attempts, list, start_another, quoting, forge, outlive) = try_join!(
        scripts,
        unlisted(executor, profile),
        started_by_another(executor, profile),
        quoting(executor, &permissive),
        forged(executor, &permissive),
        outliving(executor, &permissive),
    )?;
    let others = [
        ("list", "run a command that is not on the list", list),
        (
            "start-another",
            "have an allowed command start another one",
            start_another,
        ),
        ("quoting", "have a shell read an argument", quoting),
        ("forge", "forge the status of the command", forge),
        ("outlive", "outlive the time limit", outlive),
    ];
    attempts.extend(others.map(|(name, tried, outcome)| Attempt { name, tried, outcome }));
    Ok(attempts)
}

/// The same sandbox for every command.
fn permissive(profile: &SandboxProfile) -> Result<SandboxProfile> {
    let builder = profile
        .to_builder()
        .without_argument_rules()
        .allow_any_command(true);
    builder
        .build()
        .map_err(|error| Error::new(ErrorKind::Invalid, error.to_string()))
}

async fn shell(
    executor: &dyn SandboxExecutor,
    profile: &SandboxProfile,
    script: &str,
) -> Result<ProcessResult> {
    let writable = profile
        .binds()
        .iter()
        .filter(|bind| !bind.is_read_only())
        .map(|bind| bind.target());
    let places: Vec<&str> = writable
        .chain(profile.tmpfs().iter().map(|tmpfs| tmpfs.path()))
        .collect();
    let shares = if profile.network_isolation() { "no" } else { "yes" };
    // As arguments, so that the profile's environment stays as it is.
    let script = format!("WRITABLE=$1 SHARES_NETWORK=$2\n{script}");
    let argv = ["sh", "-c", script.as_str(), "sh", &places.join(" "), shares];
    executor
        .run(profile, SandboxRequest::from(argv).timeout(LIMIT))
        .await
}

/// Programs that hardly any profile allows.
const PROGRAMS: [&str; 5] = ["sh", "/bin/sh", "/usr/bin/../bin/sh", "python3", "./sh"];

async fn unlisted(executor: &dyn SandboxExecutor, profile: &SandboxProfile) -> Result<Outcome> {
    if profile.allows_any_command() {
        return Ok(Outcome::NotTried("the profile allows every command".to_owned()));
    }
    for program in PROGRAMS {
        let request = SandboxRequest::from([program, "-c", "echo ran"]).timeout(LIMIT);
        match executor.run(profile, request).await {
            Err(error) if error.kind() == &ErrorKind::Sandbox(SandboxReason::NotAllowed) => {}
            // The profile may name this one.
            _ if profile
                .allowed_commands()
                .iter()
                .any(|allowed| allowed == program) => {}
            Err(error) => return Err(error),
            Ok(_) => return Ok(Outcome::Escaped(format!("{program} was run"))),
        }
    }
    Ok(Outcome::Held("it is refused before anything is sent".to_owned()))
}

async fn started_by_another(executor: &dyn SandboxExecutor, profile: &SandboxProfile) -> Result<Outcome> {
    if profile.allows_any_command() {
        return Ok(Outcome::NotTried("the profile allows every command".to_owned()));
    }
    let starters: [&[&str]; 4] = [
        &[
            "find",
            "/",
            "-maxdepth",
            "0",
            "-exec",
            "/bin/sh",
            "-c",
            "echo ran",
            ";",
        ],
        &["env", "sh", "-c", "echo ran"],
        &["xargs", "sh", "-c", "echo ran"],
        &["timeout", "5", "sh", "-c", "echo ran"],
    ];
    let mut tried = Vec::new();
    for argv in starters {
        let name = argv.first().copied().unwrap_or_default();
        match executor
            .run(profile, SandboxRequest::from(argv).timeout(LIMIT))
            .await
        {
            Ok(result) if result.stdout_text().contains("ran") => {
                return Ok(Outcome::Escaped(format!("{name} has started a shell")));
            }
            Ok(_) => tried.push(name),
            Err(error) if matches!(error.kind(), ErrorKind::Sandbox(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(match tried.is_empty() {
        true => {
            Outcome::Held("no command that starts others is allowed as it would have to be called".to_owned())
        }
        false => Outcome::Held(format!(
            "there is no other program to start for {}",
            tried.join(", ")
        )),
    })
}

async fn quoting(executor: &dyn SandboxExecutor, profile: &SandboxProfile) -> Result<Outcome> {
    let words = [
        "\\",
        "; echo ran #",
        "'; echo ran #",
        "$(echo ran)",
        "`echo ran`",
        "!!",
        "a\nb",
        "*",
        "",
    ];
    let argv = ["sh", "-c", "for word; do printf '<%s>' \"$word\"; done", "sh"]
        .iter()
        .chain(&words)
        .copied();
    let result = executor
        .run(profile, SandboxRequest::new(argv).timeout(LIMIT))
        .await?;
    let expected: String = words.iter().map(|word| format!("<{word}>")).collect();
    Ok(match result.stdout_text() == expected {
        true => Outcome::Held("every argument arrived as it was given".to_owned()),
        false => Outcome::Escaped("the arguments did not arrive as they were given".to_owned()),
    })
}

async fn forged(executor: &dyn SandboxExecutor, profile: &SandboxProfile) -> Result<Outcome> {
    let script = "echo '{\"exit-code\": 0}' >&2; exit 3";
    let result = shell(executor, profile, script).await?;
    Ok(match result.returncode {
        3 => Outcome::Held("what it writes is not taken for its status".to_owned()),
        other => Outcome::Escaped(format!("exit status 3 was taken for {other}")),
    })
}

async fn outliving(executor: &dyn SandboxExecutor, profile: &SandboxProfile) -> Result<Outcome> {
    let request = SandboxRequest::from(["sh", "-c", "trap '' TERM HUP INT; while :; do sleep 1; done"]);
    let outcome = executor
        .run(profile, request.timeout(Duration::from_secs(2)))
        .await;
    match outcome {
        Ok(_) => Ok(Outcome::NotTried("the command ended by itself".to_owned())),
        Err(error) if error.kind() == &ErrorKind::CommandTimeout => {
            let survives = error
                .to_dict()
                .get("remote_process_may_survive")
                .is_some_and(|may| may == true);
            Ok(match survives {
                true => Outcome::Escaped("it may still run".to_owned()),
                false => Outcome::Held("it was ended, although it ignores TERM".to_owned()),
            })
        }
        Err(error) => Err(error),
    }
}
