//! The threads that wait for disks.
//!
//! Small files are a matter of many short waits, and handing each to the runtime's own blocking threads costs more than
//! the work: with 64 files in flight as many threads wake up and get in each other's way. A few threads with one queue
//! need about 0.6 of the time for 10,000 files (two steps each, tmpfs, two cores). One thread that is never done with its
//! queue is better still, so others only help it where it cannot keep up.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::error::failure;
use crate::error::Result;

/// Disks that are far away are faster when several wait for them.
const THREADS: usize = 8;

/// How long work may wait for the thread that is busy, before another one does it. On a file system in memory 64 small
/// files take less.
const PATIENCE: Duration = Duration::from_millis(5);

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
    /// Each with the time when it was given.
    jobs: VecDeque<(Instant, Job)>,
    threads: usize,
    /// Threads that are at work.
    busy: usize,
    /// Whether an idle thread looks whether the busy ones keep up.
    watched: bool,
    closed: bool,
}

type Job = Box<dyn FnOnce() + Send>;

/// What is done in the order in which it was given, by one thread at a time: writes to one file, which the system has wait
/// for each other anyway. Whatever is given while the thread is at work is done by it as well, and nobody has to wake up
/// for it. Clones are the same lane.
#[derive(Clone, Default)]
pub(super) struct Lane(Arc<Mutex<LaneState>>);

#[derive(Default)]
struct LaneState {
    jobs: VecDeque<Job>,
    /// Whether a thread is at work, or about to be.
    worked: bool,
}

impl Lane {
    /// Whether a thread has to be found for it.
    fn add(&self, job: Job) -> bool {
        let mut state = self.lock();
        state.jobs.push_back(job);
        !std::mem::replace(&mut state.worked, true)
    }

    fn next(&self) -> Option<Job> {
        let mut state = self.lock();
        let job = state.jobs.pop_front();
        state.worked = job.is_some();
        job
    }

    fn work(&self) {
        while let Some(job) = self.next() {
            do_job(job);
        }
    }

    fn lock(&self) -> MutexGuard<'_, LaneState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A panic is told where its result is missed; the thread is needed for other work.
fn do_job(job: Job) {
    let _ = catch_unwind(AssertUnwindSafe(job));
}

impl Threads {
    /// Has work done that may wait for a disk. It is done even if nobody waits for it any more.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let (job, outcome) = job(work);
        self.queue.add(job)?;
        outcome.await
    }

    /// As [`Threads::run`], after what was given to the lane before.
    pub(super) async fn run_in<T: Send + 'static>(
        &self,
        lane: &Lane,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let (job, outcome) = job(work);
        if lane.add(job) {
            let worked = lane.clone();
            if let Err(error) = self.queue.add(Box::new(move || worked.work())) {
                // Nobody else will: who waits for it hears that it was given up.
                while lane.next().is_some() {}
                return Err(error);
            }
        }
        outcome.await
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

/// Work, and what becomes of it.
fn job<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> (Job, impl Future<Output = io::Result<T>>) {
    let (sender, done) = oneshot::channel();
    let job = Box::new(move || {
        // Nobody may want to know any more.
        let _ = sender.send(work());
    });
    let given_up = |_| Err(io::Error::other("the work was given up half-way"));
    (job, async move { done.await.unwrap_or_else(given_up) })
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
        state.jobs.push_back((Instant::now(), job));
        if let Err(error) = self.keep_one_idle(&mut state)
            && state.threads == 0
        {
            state.jobs.clear();
            return Err(error);
        }
        // A busy thread comes to it by itself; somebody has to see whether it does.
        let wake = state.busy == 0 || !state.watched;
        drop(state);
        if wake {
            self.wake.notify_one();
        }
        Ok(())
    }

    /// As long as something waits, there is a thread that can do it when the busy ones do not.
    fn keep_one_idle(self: &Arc<Self>, state: &mut State) -> io::Result<()> {
        if state.jobs.is_empty() || state.busy < state.threads || state.threads >= THREADS {
            return Ok(());
        }
        let queue = Arc::clone(self);
        let thread = std::thread::Builder::new().name("sternline-disk".to_owned());
        thread.spawn(move || queue.work())?;
        state.threads += 1;
        Ok(())
    }

    fn work(self: &Arc<Self>) {
        let mut state = self.lock();
        // Who is at work goes on for as long as there is any.
        let mut at_work = false;
        loop {
            let waited = state.jobs.front().map(|(given, _)| given.elapsed());
            let is_mine = at_work || state.busy == 0 || waited > Some(PATIENCE);
            at_work = waited.is_some() && is_mine;
            state = match waited {
                Some(_) if is_mine => self.do_next(state),
                Some(waited) if !state.watched => {
                    state.watched = true;
                    let woken = self.wake.wait_timeout(state, PATIENCE.saturating_sub(waited));
                    let (mut state, _) = woken.unwrap_or_else(PoisonError::into_inner);
                    state.watched = false;
                    state
                }
                None if state.closed => return,
                _ => self.wake.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    fn do_next<'a>(self: &'a Arc<Self>, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let Some((_, job)) = state.jobs.pop_front() else {
            return state;
        };
        state.busy += 1;
        // Without another thread the present ones do it, when they can.
        let _ = self.keep_one_idle(&mut state);
        drop(state);
        do_job(job);
        state = self.lock();
        state.busy -= 1;
        state
    }
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lane").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_that_hangs_keeps_nothing_from_being_done() {
        let threads = Threads::default();
        let (go, may_go) = std::sync::mpsc::channel::<()>();
        let hanging = threads.run(move || {
            may_go.recv().unwrap();
            Ok(())
        });
        let other = async {
            for number in 0..20 {
                assert_eq!(threads.run(move || Ok(number)).await.unwrap(), number);
            }
            go.send(()).unwrap();
        };
        let (hung, ()) = tokio::join!(hanging, other);
        hung.unwrap();
    }

    #[tokio::test]
    async fn what_is_given_to_a_lane_is_done_in_order_and_goes_on_after_a_panic() {
        let (threads, lane) = (Threads::default(), Lane::default());
        let log = Arc::new(Mutex::new(Vec::new()));
        let note = |number: u32| {
            let log = Arc::clone(&log);
            move || {
                log.lock().unwrap().push(number);
                Ok(number)
            }
        };
        let (go, may_go) = std::sync::mpsc::channel::<()>();
        let first = note(1);
        let held = move || {
            may_go.recv().unwrap();
            first()
        };
        let (first, panicked, second, third, ()) = tokio::join!(
            threads.run_in(&lane, held),
            threads.run_in(&lane, || -> io::Result<()> { panic!("as it should") }),
            threads.run_in(&lane, note(2)),
            threads.run_in(&lane, note(3)),
            // All have been given, and on threads of their own the others would be done first.
            async { go.send(()).unwrap() },
        );
        assert_eq!([first, second, third].map(Result::unwrap), [1, 2, 3]);
        assert!(panicked.unwrap_err().to_string().contains("given up"));
        assert_eq!(threads.run_in(&lane, note(4)).await.unwrap(), 4);
        assert_eq!(*log.lock().unwrap(), [1, 2, 3, 4]);
    }
}
