//! How the script's thread waits: for work on the runtime, while it stays there for callbacks and for the next items of
//! `concur`, and not longer than it may.
//!
//! So whoever waits may find that other functions of the script were called meanwhile, and holds no borrow across it.

use std::future::Future;
use std::time::Duration;

use starlark::eval::Evaluator;
use tokio::time::timeout;

use crate::callback::{Job, perform};
use crate::context::Context;
use crate::modules::core::Exit;
use crate::stop::Why;

/// How deep calls from outside may lie in one another: a handler that itself uses a connection whose server's handler does
/// so again, and so on.
const MAX_DEPTH: usize = 32;

/// How long work that was told to end may take for it.
const GRACE: Duration = Duration::from_secs(10);

/// The script has to end. No `try_` function catches it.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Stopped(pub(crate) Why);

enum Next<T> {
    Done(Result<T, tokio::task::JoinError>),
    Job(Job),
    Stop(Why),
}

/// Does work on the runtime, and calls the script's functions meanwhile when somebody wants them called. When the script has
/// to end, the work is dropped.
///
/// # Errors
/// [`Stopped`], when the script has to end.
pub(crate) fn wait<T: Send + 'static>(
    eval: &mut Evaluator<'_, '_, '_>,
    work: impl Future<Output = T> + Send + 'static,
) -> anyhow::Result<T> {
    wait_for(eval, work, Duration::ZERO)
}

/// As [`wait`], for work that listens to the session's [`Stop`](crate::Stop) itself and ends in good order, such as commands that have to
/// be ended on their hosts. It gets 10 seconds to do so.
///
/// # Errors
/// [`Stopped`], when the script has to end. What the work returned is dropped then.
pub(crate) fn wait_to_end<T: Send + 'static>(
    eval: &mut Evaluator<'_, '_, '_>,
    work: impl Future<Output = T> + Send + 'static,
) -> anyhow::Result<T> {
    wait_for(eval, work, GRACE)
}

fn wait_for<T: Send + 'static>(
    eval: &mut Evaluator<'_, '_, '_>,
    work: impl Future<Output = T> + Send + 'static,
    grace: Duration,
) -> anyhow::Result<T> {
    let context = Context::of(eval)?;
    let session = context.session.clone();
    if let Some(why) = session.stop().why() {
        return Err(Stopped(why).into());
    }
    let runtime = session.runtime();
    let mut task = runtime.spawn(work);
    loop {
        // While this call of a batch waits, others may begin.
        if !task.is_finished()
            && let Some((batch, index)) = context.next_call()
        {
            let nested = context.nested.replace(context.nested.get() + 1);
            batch.call(eval, index);
            context.nested.set(nested);
            // Work that has to end in good order is told so by the session, below.
            if session.stop().why().is_none()
                && let Err(end) = batch.go_on()
            {
                task.abort();
                return Err(end);
            }
            continue;
        }
        let next = {
            let mut posted = context.posted.borrow_mut();
            runtime.block_on(async {
                tokio::select! {
                    biased;
                    why = session.stop().stopped() => Next::Stop(why),
                    done = &mut task => Next::Done(done),
                    Some(job) = posted.recv() => Next::Job(job),
                }
            })
        };
        match next {
            Next::Done(done) => return Ok(done?),
            Next::Job(job) => {
                let depth = context.depth.get();
                if depth >= MAX_DEPTH {
                    let problem = anyhow::anyhow!("handlers wait for one another, {MAX_DEPTH} deep");
                    (job.call)(eval, Err(problem.into()));
                    continue;
                }
                context.depth.set(depth + 1);
                // Somebody waits for the handler, so nothing else is begun on top of it.
                let batches = context.batches.take();
                perform(eval, job);
                context.batches.replace(batches);
                context.depth.set(depth);
                if let Some(status) = context.exit.take() {
                    task.abort();
                    return Err(Exit(status).into());
                }
            }
            Next::Stop(why) => {
                if !grace.is_zero() {
                    // Made inside of the runtime, as its clock wants it.
                    let _ = runtime.block_on(async { timeout(grace, &mut task).await });
                }
                task.abort();
                return Err(Stopped(why).into());
            }
        }
    }
}
