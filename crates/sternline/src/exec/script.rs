//! A script of this machine, to be run on others.

use std::fmt;

use bytes::Bytes;
use sternline_proto::command::{Command, Sudo};
use sternline_proto::script::{Interpreter, ScriptError, interpreter, run_text};

use super::request::ExecRequest;

/// A script with its arguments, which is run on a server without being installed there.
///
/// The interpreter is that of the script's `#!` line, else `/bin/sh`. The text is sent as the command's standard input, so that it
/// stands in no process list; it becomes a private file, which loses its name before the script begins. If the link
/// is lost before the text has arrived whole, nothing is run and the file is removed. The script's own standard input is
/// empty, and its exit status is the command's; 126 says that it could not be run at all.
///
/// The server needs a POSIX shell. Arguments and variables are a part of the command line there, as everywhere: a secret belongs into
/// the text.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use sternline::exec::{Script, Sudo};
/// use sternline::Fleet;
///
/// let script = Script::new(std::fs::read("upgrade.sh")?)?.arg("--now").sudo(Sudo::NonInteractive);
/// for outcome in Fleet::new(["web-1", "web-2"]).script(&script).await? {
///     println!("{}: {}", outcome.host, outcome.ok());
/// }
/// # Ok(()) }
/// ```
#[derive(Clone)]
#[must_use]
pub struct Script {
    text: Bytes,
    interpreter: Interpreter,
    /// What is round the command that runs the script; the command itself is put in for each server.
    around: Around,
    args: Vec<Vec<u8>>,
}

#[derive(Clone, Default)]
struct Around {
    sudo: Option<Sudo>,
    user: Option<String>,
    cwd: Option<Vec<u8>>,
    /// Name, value, and whether it is secret.
    env: Vec<(String, Vec<u8>, bool)>,
}

impl Script {
    /// The text of a script.
    ///
    /// # Errors
    /// When it is empty, no text, or has a `#!` that names no program.
    pub fn new(text: impl Into<Bytes>) -> Result<Self, ScriptError> {
        let text = text.into();
        let interpreter = interpreter(&text)?;
        // Whether it can be quoted.
        run_text(&interpreter, text.len(), [0; 16])?;
        Ok(Self {
            text,
            interpreter,
            around: Around::default(),
            args: Vec::new(),
        })
    }

    /// Adds one argument.
    pub fn arg(mut self, arg: impl Into<Vec<u8>>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds several arguments.
    pub fn args<I>(mut self, args: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<Vec<u8>>,
    {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Runs it through sudo, see [`Command::sudo`].
    pub fn sudo(mut self, sudo: Sudo) -> Self {
        self.around.sudo = Some(sudo);
        self
    }

    /// Runs it as this user, see [`Command::as_user`].
    pub fn as_user(mut self, user: impl Into<String>) -> Self {
        self.around.user = Some(user.into());
        self
    }

    /// Runs it in this directory, see [`Command::cwd`].
    pub fn cwd(mut self, directory: impl Into<Vec<u8>>) -> Self {
        self.around.cwd = Some(directory.into());
        self
    }

    /// Sets a variable for it, see [`Command::env`].
    pub fn env(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.around.env.push((name.into(), value.into(), false));
        self
    }

    /// Sets a variable that is masked in events, logs and evidence, see [`Command::secret_env`].
    pub fn secret_env(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.around.env.push((name.into(), value.into(), true));
        self
    }

    /// The request that runs it, once: each has a file name of its own.
    ///
    /// What of it can not be sent, such as a variable with a wrong name, is an error of the request when it is run.
    #[must_use]
    pub fn request(&self) -> ExecRequest {
        let mut random = [0; 16];
        // Without random numbers the name can be guessed. It is still nobody's but ours: a file that exists is not taken.
        let _ = getrandom::fill(&mut random);
        // It was tried when the script was made.
        let text = run_text(&self.interpreter, self.text.len(), random).unwrap_or_default();
        let command = Command::program("sh").arg("-c").arg(text).arg("sternline");
        let mut command = command.args(self.args.iter().cloned());
        let around = self.around.clone();
        for (name, value, is_secret) in around.env {
            command = match is_secret {
                true => command.secret_env(name, value),
                false => command.env(name, value),
            };
        }
        if let Some(directory) = around.cwd {
            command = command.cwd(directory);
        }
        if let Some(sudo) = around.sudo {
            command = command.sudo(sudo);
        }
        if let Some(user) = around.user {
            command = command.as_user(user);
        }
        ExecRequest::new(command).stdin(self.text.clone())
    }
}

/// Shows neither the text nor values of variables.
impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script")
            .field("length", &self.text.len())
            .field("interpreter", &self.interpreter)
            .field("args", &self.args.len())
            .finish_non_exhaustive()
    }
}

impl From<&Script> for ExecRequest {
    fn from(script: &Script) -> Self {
        script.request()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_requests_of_one_script_use_two_files() {
        let script = Script::new("#!/bin/bash\necho \"$1\"\n").unwrap().arg("a b");
        let line = |request: ExecRequest| request.command.to_line().unwrap();
        let (first, second) = (line(script.request()), line(script.request()));
        assert_ne!(first, second);
        assert_eq!(first.len(), second.len());
        assert!(first.ends_with(b" sternline 'a b'"));
    }

    #[test]
    fn neither_text_nor_values_show_in_debug_output() {
        let script = Script::new("echo hunter2").unwrap();
        let script = script
            .env("A", "hunter2")
            .secret_env("B", "hunter2")
            .arg("hunter2");
        let shown = format!("{script:?} {:?}", script.request().stdin);
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
