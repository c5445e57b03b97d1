//! The threads that wait for disks.
//!
//! Small files are a matter of many short waits, and handing each to the runtime's own blocking threads costs more than
//! the work: with 64 files in flight as many threads wake up and get in each other's way. A few threads with one queue
//! need about 0.6 of the time for 10,000 files (two steps each, tmpfs, two cores).

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::error::failure;
use crate::error::Result;

/// Disks that are far away are faster when several wait for them; more than this makes tmpfs slower.
const THREADS: usize = 8;

/// A few threads, started as they are needed. They end when this is dropped, after what they have been given.
#[derive(Debug, Default)]
pub(super) struct Threads {
    queue: Arc<Queue>,
}

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
    closed: bool,
}

type Job = Box<dyn FnOnce() + Send>;

impl Threads {
    /// Has work done that may wait for a disk. It is done even if nobody waits for it any more.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let (sender, done) = oneshot::channel();
        self.queue.add(Box::new(move || {
            // Nobody may want to know any more.
            let _ = sender.send(work());
        }))?;
        done.await
            .unwrap_or_else(|_| Err(io::Error::other("the work was given up half-way")))
    }

    /// As [`Threads::run`]; an error says what was tried, and with which path.
    pub(super) async fn on_disk<T: Send + 'static>(
        &self,
        what: &'static str,
        path: &[u8],
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Result<T> {
        self.run(work).await.map_err(|error| failure(what, path, &error))
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.queue.lock().closed = true;
        self.queue.wake.notify_all();
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(self: &Arc<Self>, job: Job) -> io::Result<()> {
        let mut state = self.lock();
        if state.idle <= state.jobs.len() && state.threads < THREADS {
            let queue = Arc::clone(self);
            let thread = std::thread::Builder::new().name("sternline-disk".to_owned());
            match thread.spawn(move || queue.work()) {
                Ok(_) => state.threads += 1,
                Err(error) if state.threads == 0 => return Err(error),
                // The others do it.
                Err(_) => {}
            }
        }
        state.jobs.push_back(job);
        drop(state);
        self.wake.notify_one();
        Ok(())
    }

    fn work(&self) {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                // A panic is told where its result is missed; the thread is needed for other work.
                let _ = catch_unwind(AssertUnwindSafe(job));
                state = self.lock();
            } else if state.closed {
                return;
            } else {
                state.idle += 1;
                state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
            }
        }
    }
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").finish_non_exhaustive()
    }
}
