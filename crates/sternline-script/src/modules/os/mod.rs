//! The environment, the user, and processes of this machine: the module `os`, and its functions under their own names.

#[cfg(unix)]
pub(crate) mod accounts;
mod exec;
mod process;
mod result;

pub(crate) use result::ExecResult;

use starlark::environment::GlobalsBuilder;
use starlark::eval::Evaluator;
use starlark::starlark_module;
use starlark::values::Value;
use starlark::values::none::{NoneOr, NoneType};

use super::core::Exit;
use super::fs::arguments::PathArg;
use super::fs::problem::problem;
use crate::context::Context;
use crate::outcome::with_try;
use crate::permissions::{Access, Operation, lexical};

/// Adds the module `os`, and its functions under their own names.
pub(crate) fn register(builder: &mut GlobalsBuilder) {
    functions(builder);
    exec::functions(builder);
    builder.namespace("user", user);
    builder.namespace("os", |builder| {
        with_try(builder, functions);
        with_try(builder, exit);
        exec::functions(builder);
        builder.namespace("user", user);
    });
}

/// A name that a variable can have.
fn check_name<'a>(function: &str, name: &'a str) -> anyhow::Result<&'a str> {
    if name.is_empty() || name.contains(['=', '\0']) {
        anyhow::bail!("{function}: {name:?} is no name of a variable");
    }
    Ok(name)
}

#[cfg(unix)]
fn ids() -> anyhow::Result<(u32, u32)> {
    Ok((
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
    ))
}

#[cfg(not(unix))]
fn ids() -> anyhow::Result<(u32, u32)> {
    anyhow::bail!("users have no numbers on this platform")
}

fn user_name(eval: &Evaluator<'_, '_, '_>) -> anyhow::Result<String> {
    let user = Context::of(eval)?.session.env().user.clone();
    user.ok_or_else(|| anyhow::anyhow!("username: the name of the user is not known"))
}

fn home_directory(eval: &Evaluator<'_, '_, '_>) -> anyhow::Result<String> {
    let home = Context::of(eval)?.session.env().home.clone();
    home.map(|home| home.to_string_lossy().into_owned())
        .ok_or_else(|| anyhow::anyhow!("home: the home directory is not known: set HOME"))
}

#[cfg(unix)]
fn parent_process() -> i32 {
    rustix::process::getppid().map_or(0, |pid| pid.as_raw_nonzero().get())
}

#[cfg(not(unix))]
fn parent_process() -> i32 {
    0
}

#[starlark_module]
fn functions(builder: &mut GlobalsBuilder) {
    /// The value of a variable of the environment, or `default` where it is not set.
    fn env<'v>(
        name: &str,
        #[starlark(default = NoneOr::None)] default: NoneOr<Value<'v>>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<Value<'v>> {
        let session = &Context::of(eval)?.session;
        session.permit(&Operation::variable("env", name))?;
        let value = session.vars().get(name).cloned();
        Ok(match (value, default.into_option()) {
            (Some(value), _) => eval.heap().alloc(value),
            (None, Some(default)) => default,
            (None, None) => eval.heap().alloc(""),
        })
    }

    /// Sets a variable for this script and the processes that it starts, and for nobody else.
    fn setenv<'v>(name: &str, value: &str, eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<NoneType> {
        let name = check_name("setenv", name)?;
        if value.contains('\0') {
            anyhow::bail!("setenv: the value of {name} has a zero byte in it");
        }
        let session = &Context::of(eval)?.session;
        session.permit(&Operation::variable("setenv", name))?;
        session.vars().insert(name.to_owned(), value.to_owned());
        Ok(NoneType)
    }

    /// Takes a variable out of the environment of this script. It is no error if it is not set.
    fn unsetenv<'v>(name: &str, eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<NoneType> {
        let name = check_name("unsetenv", name)?;
        let session = &Context::of(eval)?.session;
        session.permit(&Operation::variable("unsetenv", name))?;
        session.vars().remove(name);
        Ok(NoneType)
    }

    /// The current directory of this script.
    fn cwd<'v>(eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<String> {
        Ok(Context::of(eval)?.session.cwd().to_string_lossy().into_owned())
    }

    /// Goes to another directory: for this script and the processes that it starts.
    fn chdir<'v>(path: PathArg, eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<NoneType> {
        let session = &Context::of(eval)?.session;
        let directory = session.permit_path(Access::Read, "chdir", &path.0)?;
        let metadata = directory
            .metadata()
            .map_err(|error| problem("chdir", &path.0, &error))?;
        if !metadata.is_dir() {
            return Err(problem(
                "chdir",
                &path.0,
                &std::io::ErrorKind::NotADirectory.into(),
            ));
        }
        // What `..` means after a link is the system's to say.
        session.set_cwd(lexical(&directory.canonicalize().unwrap_or(directory)));
        Ok(NoneType)
    }

    /// The name of this machine.
    fn hostname<'v>(eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<String> {
        let name = Context::of(eval)?.session.env().local_host.clone();
        name.ok_or_else(|| anyhow::anyhow!("hostname: the name of this machine is not known"))
    }

    /// The number of the process that runs this script.
    fn pid() -> anyhow::Result<u32> {
        Ok(std::process::id())
    }

    /// The number of the process that started it.
    fn ppid() -> anyhow::Result<i32> {
        Ok(parent_process())
    }

    /// The name of the user who runs this script.
    fn username<'v>(eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<String> {
        user_name(eval)
    }

    /// The number of the user who runs this script, as a string.
    fn userid() -> anyhow::Result<String> {
        Ok(ids()?.0.to_string())
    }

    /// The number of the group of the user who runs this script, as a string.
    fn groupid() -> anyhow::Result<String> {
        Ok(ids()?.1.to_string())
    }

    /// The home directory.
    fn home<'v>(eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<String> {
        home_directory(eval)
    }

    /// Where a program is, by the variable `PATH`; `None` if it is nowhere there.
    fn which<'v>(name: &str, eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<NoneOr<String>> {
        let session = &Context::of(eval)?.session;
        let found = process::which(session, name);
        if let Some(found) = &found {
            session.permit_path(Access::Read, "which", found)?;
        }
        Ok(NoneOr::from_option(found))
    }
}

#[starlark_module]
fn user(builder: &mut GlobalsBuilder) {
    /// The name of the user who runs this script.
    fn name<'v>(eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<String> {
        user_name(eval)
    }

    /// The number of the user who runs this script, as a string.
    fn id() -> anyhow::Result<String> {
        Ok(ids()?.0.to_string())
    }

    /// The number of the group of the user who runs this script, as a string.
    fn gid() -> anyhow::Result<String> {
        Ok(ids()?.1.to_string())
    }

    /// The home directory.
    fn home<'v>(eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<String> {
        home_directory(eval)
    }
}

#[starlark_module]
fn exit(builder: &mut GlobalsBuilder) {
    /// Ends the script with a status. Deferred functions run, as after `exit`.
    fn exit<'v>(
        #[starlark(default = 0)] code: i32,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<NoneType> {
        Context::of(eval)?.session.permit(&Operation::exit())?;
        Err(Exit(code).into())
    }
}
