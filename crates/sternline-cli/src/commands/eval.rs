//! `sternline eval`: Starlark from the command line.

use std::process::ExitCode;
use std::sync::Arc;

use sternline::proto::quoting::quote_str;
use sternline::proto::text::escape;
use sternline_script::{ErrorKind, Source, Stop};

use super::run::EXIT;
use crate::script::{Running, ScriptOptions, Written, status};
use crate::ui::{Failure, Signals, Ui};

/// Evaluate Starlark code
///
/// The code may have several lines, or parts with a semicolon between them. When it ends with an expression, the value of that
/// is printed, unless it is None.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT)]
pub(crate) struct Args {
    /// The code, such as 'ssh.config(hosts=["web-1"]).exec("uptime")'
    #[arg(value_name = "CODE")]
    code: String,

    // Somebody who takes this for ssh gives a command as well.
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,

    #[command(flatten)]
    options: ScriptOptions,
}

pub(crate) async fn run(args: Args, ui: &Ui) -> Result<ExitCode, Failure> {
    if !args.rest.is_empty() {
        return Err(match is_like_a_host(&args.code) {
            true => meant_ssh(&args.code, &args.rest),
            false => Failure::usage("the code is one argument, and there are more")
                .with_hint("put quotes around the code, or a script into a file for sternline run"),
        });
    }
    let mut signals =
        Signals::new().map_err(|error| Failure::local(format!("cannot listen to signals: {error}")))?;
    let stop = Stop::default();
    let written = Arc::new(Written::new(&stop, ui)?);
    let session = args.options.session("", &[], &stop, &written, ui)?;
    let source = Source {
        name: "<inline>".to_owned(),
        path: None,
        text: args.code.clone(),
    };
    let running = Running {
        stop: &stop,
        signals: &mut signals,
        limit: args.options.timeout,
    };
    let outcome = running.until_end(sternline_script::run(session, source)).await?;
    match &outcome.result {
        Ok(ended) => {
            if let Some(value) = &ended.value {
                written.line(value);
            }
        }
        // `web-1` is code as well: a difference.
        Err(error) if is_like_a_host(&args.code) && is_no_code(error.kind()) => {
            return Err(meant_ssh(&args.code, &[]));
        }
        Err(_) => {}
    }
    status(outcome, &written, ui)
}

fn is_no_code(kind: &ErrorKind) -> bool {
    matches!(kind, ErrorKind::Syntax | ErrorKind::UnknownName)
}

/// Whether a text is what stands for a host on the command line: `web-1`, `deploy@web-1:2222`, `10.0.0.1`.
fn is_like_a_host(text: &str) -> bool {
    let host = |c: char| c.is_ascii_alphanumeric() || "-_.@:[]%".contains(c);
    text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == '[') && text.chars().all(host)
}

fn meant_ssh(host: &str, command: &[String]) -> Failure {
    let words: Vec<String> = std::iter::once(host)
        .chain(command.iter().map(String::as_str))
        .map(|word| quote_str(word).unwrap_or_else(|_| word.to_owned()))
        .collect();
    let words = if command.is_empty() {
        format!("{host} COMMAND")
    } else {
        words.join(" ")
    };
    Failure::usage(format!(
        "{} is no Starlark code, but looks like a host",
        escape(host)
    ))
    .with_hint(format!("did you mean `sternline ssh {}`?", escape(&words)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_told_from_code() {
        for host in [
            "web-1",
            "web",
            "deploy@web-1",
            "10.0.0.1:22",
            "[::1]:22",
            "a.example.org",
            "web-[01-20]",
        ] {
            assert!(is_like_a_host(host), "{host}");
        }
        for code in [
            "",
            "1 + 1",
            "print('x')",
            "x = 1",
            "ssh.config(hosts=[])",
            "-1",
            "'web'",
        ] {
            assert!(!is_like_a_host(code), "{code}");
        }
    }

    #[test]
    fn the_hint_repeats_the_command_so_that_it_can_be_run() {
        let failure = meant_ssh("web-1", &["uptime".to_owned(), "a b".to_owned()]);
        assert_eq!(failure.hint(), "did you mean `sternline ssh web-1 uptime 'a b'`?");
        assert_eq!(
            meant_ssh("web", &[]).hint(),
            "did you mean `sternline ssh web COMMAND`?"
        );
    }
}
