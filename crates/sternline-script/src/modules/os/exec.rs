//! `exec` and `try_exec`: commands on this machine.

use std::time::Duration;

use starlark::environment::GlobalsBuilder;
use starlark::eval::Evaluator;
use starlark::starlark_module;
use starlark::values::dict::UnpackDictEntries;
use starlark::values::list_or_tuple::UnpackListOrTuple;
use starlark::values::none::NoneOr;
use sternline::proto::quoting::quote_str;

use super::check_name;
use super::process::{self, End, Start};
use super::result::ExecResult;
use crate::context::Context;
use crate::duration;
use crate::modules::fs::arguments::{Content, PathArg};
use crate::modules::fs::problem::reason;
use crate::permissions::{Access, Operation};
use crate::wait::{Stopped, wait_to_end};

/// What reads commands.
const SHELL: &str = "/bin/sh";

/// What the two functions take.
struct Call<'a> {
    cmd: &'a str,
    args: NoneOr<UnpackListOrTuple<String>>,
    shell: &'a str,
    env: NoneOr<UnpackDictEntries<String, String>>,
    cwd: NoneOr<PathArg>,
    timeout: &'a str,
    stdin: NoneOr<Content>,
}

/// Runs a command. An error only if it may not be run, or the script has to end.
fn run(eval: &mut Evaluator<'_, '_, '_>, call: Call<'_>) -> anyhow::Result<ExecResult> {
    let session = Context::of(eval)?.session.clone();
    let timeout = limit(call.timeout)?;
    let args = call.args.into_option().map(|args| args.items);
    let shown = match &args {
        None => call.cmd.to_owned(),
        Some(args) => {
            let words = std::iter::once(call.cmd).chain(args.iter().map(String::as_str));
            let words = words.map(quote_str).collect::<Result<Vec<_>, _>>();
            words.map_err(|error| anyhow::anyhow!("exec: {error}"))?.join(" ")
        }
    };
    let env = call.env.into_option().map(|env| env.entries).unwrap_or_default();
    session.permit(&Operation::process("exec", &shown))?;
    // What runs is more than the text of the command.
    if args.is_none() && call.shell != SHELL {
        session.permit(&Operation::process("exec", call.shell))?;
    }
    for (name, _) in &env {
        session.permit(&Operation::variable("setenv", check_name("exec", name)?))?;
    }
    let cwd = match call.cwd.into_option() {
        Some(cwd) => session.permit_path(Access::Read, "chdir", &cwd.0)?,
        None => session.cwd(),
    };
    if session.dry_run() {
        return Ok(ended(
            0,
            format!("[DRY RUN] Would execute: {shown}"),
            String::new(),
        ));
    }
    let mut vars = session.vars().clone();
    vars.extend(env);
    let (program, args) = match args {
        Some(args) => (call.cmd.to_owned(), args),
        None => (call.shell.to_owned(), vec!["-c".to_owned(), call.cmd.to_owned()]),
    };
    let start = Start {
        program: program.clone(),
        args,
        vars: vars.into_iter().collect(),
        cwd: cwd.clone(),
        stdin: call.stdin.into_option().map(|stdin| stdin.0).unwrap_or_default(),
        timeout,
    };
    Ok(match wait_to_end(eval, process::run(session, start))? {
        Ok(End::Ended {
            status,
            stdout,
            stderr,
        }) => ended(process::code(status), text(stdout), text(stderr)),
        Ok(End::TimedOut) => failed(format!("command timed out after {}", call.timeout)),
        Ok(End::Stopped(why)) => return Err(Stopped(why).into()),
        Err(error) if !cwd.is_dir() => {
            failed(format!("command failed: {}: {}", cwd.display(), reason(&error)))
        }
        Err(error) => failed(format!("command failed: {program}: {}", reason(&error))),
    })
}

/// What is not UTF-8 is replaced.
fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

fn ended(code: i32, stdout: String, stderr: String) -> ExecResult {
    let error = if code == 0 {
        String::new()
    } else {
        let said = if stderr.trim().is_empty() {
            &stdout
        } else {
            &stderr
        };
        format!("command failed (exit code {code}): {}", said.trim())
    };
    ExecResult {
        ok: code == 0,
        stdout,
        stderr,
        code,
        error,
    }
}

fn failed(error: String) -> ExecResult {
    ExecResult {
        ok: false,
        stdout: String::new(),
        stderr: String::new(),
        code: -1,
        error,
    }
}

/// `"60s"`. Nothing, or no time, is no limit.
fn limit(text: &str) -> anyhow::Result<Option<Duration>> {
    if text.is_empty() {
        return Ok(None);
    }
    let limit =
        duration::parse(text).map_err(|error| anyhow::anyhow!("exec: invalid timeout {text:?}: {error}"))?;
    Ok(Some(limit).filter(|limit| !limit.is_zero()))
}

#[starlark_module]
#[allow(
    clippy::too_many_arguments,
    reason = "scripts give them by name, and most of them seldom"
)]
pub(super) fn functions(builder: &mut GlobalsBuilder) {
    /// Runs a command on this machine with `/bin/sh`, and returns what it wrote: its standard output, behind its standard error and a
    /// space if there is any. Fails with what it said if its status is not 0, or if it takes longer than `timeout`; it is
    /// ended then, with all that it started.
    ///
    /// With `args`, a list, `cmd` is a program, and no shell is used. `env` is added to the script's environment, `cwd` is the directory
    /// to run in, `stdin` is what it reads, a string or bytes. In a dry run it is not run.
    fn exec<'v>(
        cmd: &str,
        #[starlark(default = NoneOr::None)] args: NoneOr<UnpackListOrTuple<String>>,
        #[starlark(require = named, default = SHELL)] shell: &str,
        #[starlark(require = named, default = NoneOr::None)] env: NoneOr<UnpackDictEntries<String, String>>,
        #[starlark(require = named, default = NoneOr::None)] cwd: NoneOr<PathArg>,
        #[starlark(require = named, default = "60s")] timeout: &str,
        #[starlark(require = named, default = NoneOr::None)] stdin: NoneOr<Content>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<String> {
        let call = Call {
            cmd,
            args,
            shell,
            env,
            cwd,
            timeout,
            stdin,
        };
        let result = run(eval, call)?;
        if !result.ok {
            anyhow::bail!("{}", result.error);
        }
        Ok(if result.stderr.is_empty() {
            result.stdout
        } else {
            format!("{} {}", result.stderr, result.stdout)
        })
    }

    /// As `exec`, but whatever becomes of the command is an `ExecResult`: `ok`, `stdout`, `stderr`, `code` and `error`. It is true when
    /// the status is 0.
    fn try_exec<'v>(
        cmd: &str,
        #[starlark(default = NoneOr::None)] args: NoneOr<UnpackListOrTuple<String>>,
        #[starlark(require = named, default = SHELL)] shell: &str,
        #[starlark(require = named, default = NoneOr::None)] env: NoneOr<UnpackDictEntries<String, String>>,
        #[starlark(require = named, default = NoneOr::None)] cwd: NoneOr<PathArg>,
        #[starlark(require = named, default = "60s")] timeout: &str,
        #[starlark(require = named, default = NoneOr::None)] stdin: NoneOr<Content>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<ExecResult> {
        let call = Call {
            cmd,
            args,
            shell,
            env,
            cwd,
            timeout,
            stdin,
        };
        run(eval, call)
    }
}
