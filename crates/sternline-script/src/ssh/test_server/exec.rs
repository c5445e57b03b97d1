//! How a test server answers commands.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use starlark::eval::Evaluator;
use starlark::values::bytes::StarlarkBytes;
use starlark::values::dict::DictRef;
use starlark::values::tuple::TupleRef;
use starlark::values::{Value, ValueLike as _};
use sternline::proto::remote_process;
use sternline_server::{ExecRequest, ExitOutcome, Reply, VirtualFiles};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::oneshot;

use super::cat;
use crate::callback::{Callback, Jobs};
use crate::context::Context;
use crate::error::{ScriptError, exited, message};

/// What the client is told of a handler that returned something else.
const WRONG_ANSWER: &str = "handler must return (stdout, stderr, exit_code) tuple";

/// A function of the script's, and where its calls are left.
pub(super) type Handler = (Callback, Jobs);

/// Answers commands: the script's handler, or the files' `cat`.
#[derive(Debug)]
pub(super) struct Exec {
    handler: Mutex<Option<Handler>>,
    files: VirtualFiles,
}

impl Exec {
    pub(super) fn new(files: VirtualFiles) -> Self {
        Self {
            handler: Mutex::default(),
            files,
        }
    }

    /// Has the script's function answer from now on, or nobody. What comes back has answered before.
    pub(super) fn handle(&self, handler: Option<Handler>) -> Option<Handler> {
        std::mem::replace(&mut *self.lock(), handler)
    }

    /// Answers one request of a client.
    pub(super) async fn run(self: Arc<Self>, mut request: ExecRequest) -> ExitOutcome {
        let reply = match &request.command {
            Some(command) if !is_our_own(command) => self.answer(&request.command_text()).await,
            _ => Reply::command_not_found(&request),
        };
        // A write fails only when the channel is gone; nobody is left to tell.
        let _ = request.stdout.write_all(&reply.stdout).await;
        let _ = request.stderr.write_all(&reply.stderr).await;
        reply.exit
    }

    async fn answer(&self, command: &str) -> Reply {
        let handler = self.lock().clone();
        let Some((handler, jobs)) = handler else {
            return cat::reply(&self.files, command).unwrap_or_else(|| Reply::stdout(Bytes::new()));
        };
        let (reply, replied) = oneshot::channel();
        let command = command.to_owned();
        jobs.post(
            handler,
            Box::new(move |eval, function| {
                // Nobody waits any more when the client has gone.
                let _ = reply.send(called(eval, function, &command));
            }),
        );
        replied
            .await
            .unwrap_or_else(|_| failed("handler error: the script does not wait for anything any more"))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Handler>> {
        self.handler.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the client's own machinery sends this, to end what it left running: here a closed channel is enough.
pub(super) fn is_our_own(command: &[u8]) -> bool {
    command == remote_process::SHELL.as_bytes()
}

fn called<'v>(
    eval: &mut Evaluator<'v, '_, '_>,
    function: starlark::Result<Value<'v>>,
    command: &str,
) -> Reply {
    let command = eval.heap().alloc(command);
    let returned = function.and_then(|function| eval.eval_function(function, &[command], &[]));
    match returned {
        Ok(value) => reply_of(value).unwrap_or_else(|| failed(WRONG_ANSWER)),
        Err(error) => {
            if let Ok(context) = Context::of(eval) {
                context.exit.set(exited(&error));
                let place = ScriptError::from_starlark(&error);
                context
                    .session
                    .message(&format!("warning: a handler of a test server failed: {place}"));
            }
            failed(&format!("handler error: {}", message(&error)))
        }
    }
}

fn failed(stderr: &str) -> Reply {
    Reply::new(Bytes::new(), stderr.to_owned(), 1)
}

/// What a handler's value means: a tuple of output, error output and exit code; a dict with some of `stdout`, `stderr` and
/// `code`; or a text that is the output.
fn reply_of(value: Value<'_>) -> Option<Reply> {
    if let Some(stdout) = text(value) {
        return Some(Reply::stdout(stdout));
    }
    if let Some(tuple) = TupleRef::from_value(value) {
        let [stdout, stderr, code] = tuple.content() else {
            return None;
        };
        return Some(Reply::new(text(*stdout)?, text(*stderr)?, exit_code(*code)?));
    }
    let mut reply = Reply::stdout(Bytes::new());
    for (key, value) in DictRef::from_value(value)?.iter() {
        match key.unpack_str()? {
            "stdout" => reply.stdout = text(value)?,
            "stderr" => reply.stderr = text(value)?,
            "code" => reply.exit = ExitOutcome::Code(exit_code(value)?),
            _ => return None,
        }
    }
    Some(reply)
}

fn text(value: Value<'_>) -> Option<Bytes> {
    if let Some(text) = value.unpack_str() {
        return Some(Bytes::copy_from_slice(text.as_bytes()));
    }
    let bytes = value.downcast_ref::<StarlarkBytes>()?;
    Some(Bytes::copy_from_slice(bytes.as_bytes()))
}

/// A negative code arrives as the protocol has it, without its sign.
fn exit_code(value: Value<'_>) -> Option<u32> {
    value.unpack_i32().map(i32::cast_unsigned)
}
