//! The thread that does the work of blocking handles, and how their callers wait for it.

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex, PoisonError, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, ThreadId};
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::coop;

use crate::error::{Error, ErrorKind, Result};

/// How long the drop of a handle waits for what it began: a little longer than closing a connection takes at most.
const PATIENCE: Duration = Duration::from_secs(6);

/// A runtime on a thread of its own. Clones share it.
///
/// Once the last clone is gone, the thread goes on until the last task has ended, and then ends. So nothing that
/// somebody else still needs is cut off, such as a jump host's connection that another handle runs through.
#[derive(Clone)]
pub(super) struct Runtime(Arc<Worker>);

struct Worker {
    handle: Handle,
    thread: ThreadId,
    /// Its end tells the thread that nobody needs it any more.
    _needed: oneshot::Sender<()>,
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Runtime")
    }
}

impl Runtime {
    /// # Errors
    /// Within an async runtime; when the system gives no thread or no file descriptors.
    pub(super) fn start() -> Result<Self> {
        refuse_in_async()?;
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| not_started(&error))?;
        let handle = runtime.handle().clone();
        let (needed, released) = oneshot::channel();
        let working = thread::Builder::new()
            .name("sternline".to_owned())
            .spawn(move || {
                runtime.block_on(until_idle(released));
                // A name that is being resolved, or a read of a file that hangs, holds nothing up.
                runtime.shutdown_background();
            })
            .map_err(|error| not_started(&error))?;
        Ok(Self(Arc::new(Worker {
            handle,
            thread: working.thread().id(),
            _needed: needed,
        })))
    }

    /// Waits for work, on the calling thread. What it begins in the background is done by the runtime's.
    ///
    /// # Errors
    /// Within an async runtime.
    pub(super) fn run<T>(&self, work: impl Future<Output = T>) -> Result<T> {
        refuse_in_async()?;
        self.block(work)
    }

    /// As [`Runtime::run`], for work that can fail itself.
    pub(super) fn wait<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.run(work)?
    }

    /// Waits within an async runtime too: for iterators, which cannot say that they refuse to.
    ///
    /// # Errors
    /// On the runtime's own thread, where nothing would ever come.
    pub(super) fn block<T>(&self, work: impl Future<Output = T>) -> Result<T> {
        if thread::current().id() == self.0.thread {
            return Err(refusal());
        }
        let _context = self.0.handle.enter();
        // Futures that connect are too large for the stacks of some threads.
        Ok(poll_to_end(Box::pin(work)))
    }

    pub(super) fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> tokio::task::JoinHandle<T> {
        self.0.handle.spawn(work)
    }

    /// Does the last work of a handle that is being dropped. It is waited for, but not for ever, and not within an async
    /// runtime; then it goes on in the background.
    pub(super) fn finish(&self, work: impl Future<Output = ()> + Send + 'static) {
        let (done, finished) = mpsc::channel::<()>();
        drop(self.spawn(async move {
            work.await;
            drop(done);
        }));
        if !is_async() {
            let _ = finished.recv_timeout(PATIENCE);
        }
    }
}

/// Waits until nobody needs the runtime, and then until none of its tasks is left.
async fn until_idle(released: oneshot::Receiver<()>) {
    let _ = released.await;
    let metrics = Handle::current().metrics();
    // There is no way to be told of the end of the last one.
    let mut pause = Duration::from_millis(1);
    while metrics.num_alive_tasks() > 0 {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(1));
    }
}

/// Polls a future until it is done, and sleeps meanwhile. Unlike tokio's `block_on` it does not panic within a runtime, and
/// unlike parking it takes nobody else's wake-up call.
fn poll_to_end<T>(future: impl Future<Output = T>) -> T {
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(Arc::clone(&bell));
    let mut context = Context::from_waker(&waker);
    // A task's budget is nothing to a thread that has nothing else to do.
    let mut future = pin!(coop::unconstrained(future));
    loop {
        let polling = Polling::begin();
        let polled = future.as_mut().poll(&mut context);
        drop(polling);
        match polled {
            Poll::Ready(done) => return done,
            Poll::Pending => bell.wait(),
        }
    }
}

/// Wakes the thread that waits for it; a ring that comes too early is kept.
#[derive(Default)]
struct Bell {
    has_rung: Mutex<bool>,
    rings: Condvar,
}

impl Bell {
    fn wait(&self) {
        let has_rung = self.has_rung.lock().unwrap_or_else(PoisonError::into_inner);
        let mut has_rung = self
            .rings
            .wait_while(has_rung, |has_rung| !*has_rung)
            .unwrap_or_else(PoisonError::into_inner);
        *has_rung = false;
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        *self.has_rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.rings.notify_one();
    }
}

thread_local! {
    /// Whether this thread is polling the future of a blocking call.
    static POLLING: Cell<bool> = const { Cell::new(false) };
}

struct Polling {
    before: bool,
}

impl Polling {
    fn begin() -> Self {
        Self {
            before: POLLING.replace(true),
        }
    }
}

impl Drop for Polling {
    fn drop(&mut self) {
        POLLING.set(self.before);
    }
}

/// Whether this thread is polling a future just now, ours or one of some tokio runtime, so that blocking it would hold
/// up others or itself.
///
/// tokio tells whether a thread belongs to a runtime, but those of `spawn_blocking` do, too. What sets them apart is
/// that only tasks have a budget of operations, which runs out; asking for it gives it back. A future that is
/// `unconstrained` has none and is not recognised.
fn is_async() -> bool {
    /// tokio gives a task 128 operations.
    const MORE_THAN_A_BUDGET: usize = 256;
    if POLLING.get() {
        return true;
    }
    if Handle::try_current().is_err() {
        return false;
    }
    let mut context = Context::from_waker(Waker::noop());
    let mut taken = Vec::with_capacity(MORE_THAN_A_BUDGET);
    let is_limited = (0..MORE_THAN_A_BUDGET).any(|_| match coop::poll_proceed(&mut context) {
        Poll::Ready(operation) => {
            taken.push(operation);
            false
        }
        Poll::Pending => true,
    });
    // Each gives back what there was before it.
    while taken.pop().is_some() {}
    is_limited
}

fn refuse_in_async() -> Result<()> {
    match is_async() {
        true => Err(refusal()),
        false => Ok(()),
    }
}

fn refusal() -> Error {
    Error::new(
        ErrorKind::Invalid,
        "a blocking call within an async runtime would hold up everything else that runs on its thread",
    )
    .with_hint("await the same method of the async type, or call this one in tokio::task::spawn_blocking")
}

fn not_started(error: &std::io::Error) -> Error {
    Error::new(
        ErrorKind::Local,
        "the thread for blocking calls cannot be started",
    )
    .with_source_text(error)
    .with_hint("check the limits on threads and open files (ulimit -u, ulimit -n)")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn a_call_gives_what_the_work_gives_and_may_borrow() {
        let text = String::from("borrowed");
        let runtime = Runtime::start().unwrap();
        let length = runtime.run(async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            text.len()
        });
        assert_eq!(length.unwrap(), 8);
    }

    #[test]
    fn tasks_are_told_from_threads_that_may_block() {
        assert!(!is_async());
        let runtime = Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let seen = runtime.block_on(async {
            let task = tokio::spawn(async { is_async() }).await.unwrap();
            let blocking = tokio::task::spawn_blocking(is_async).await.unwrap();
            let in_place = tokio::spawn(async { tokio::task::block_in_place(is_async) });
            (is_async(), task, blocking, in_place.await.unwrap())
        });
        assert_eq!(seen, (true, true, false, false));
        let _context = runtime.enter();
        assert!(!is_async());
    }

    #[tokio::test]
    async fn asking_takes_nothing_from_the_budget_of_the_task() {
        for _ in 0..10 {
            assert!(is_async());
        }
        assert!(coop::has_budget_remaining());
        let mut context = Context::from_waker(Waker::noop());
        let left = (0..1000).take_while(|_| match coop::poll_proceed(&mut context) {
            Poll::Ready(operation) => {
                operation.made_progress();
                true
            }
            Poll::Pending => false,
        });
        assert!(left.count() > 100);
    }

    #[tokio::test]
    async fn a_call_within_a_runtime_is_refused_and_never_begun() {
        let error = Runtime::start().err().unwrap();
        assert_eq!(error.kind(), &ErrorKind::Invalid);
        assert!(error.hint().contains("spawn_blocking"), "{}", error.hint());

        let runtime = tokio::task::spawn_blocking(Runtime::start)
            .await
            .unwrap()
            .unwrap();
        let begun = AtomicBool::new(false);
        let refused = runtime.run(async { begun.store(true, Ordering::Relaxed) });
        assert_eq!(refused.unwrap_err().kind(), &ErrorKind::Invalid);
        assert!(!begun.load(Ordering::Relaxed));
        // What cannot refuse waits, and has all the turns that it needs.
        let waited = runtime.block(async {
            for _ in 0..1000 {
                coop::consume_budget().await;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
            7
        });
        assert_eq!(waited.unwrap(), 7);
        // But not for itself.
        let inner = runtime.clone();
        let within = runtime.spawn(async move { inner.block(std::future::pending::<()>()) });
        assert_eq!(within.await.unwrap().unwrap_err().kind(), &ErrorKind::Invalid);
    }

    #[test]
    fn a_callback_in_a_call_can_make_no_call_and_one_that_panics_spoils_nothing() {
        let runtime = Runtime::start().unwrap();
        let nested = runtime.run(async { runtime.run(async {}) }).unwrap();
        assert_eq!(nested.unwrap_err().kind(), &ErrorKind::Invalid);
        let panicking = || runtime.run(async { panic!("in a callback") });
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(panicking)).is_err());
        assert_eq!(runtime.run(async { 1 }).unwrap(), 1);
    }

    #[test]
    fn the_thread_goes_on_until_its_last_task_has_ended() {
        let runtime = Runtime::start().unwrap();
        let (go_on, told) = oneshot::channel::<()>();
        let (done, ended) = mpsc::channel();
        drop(runtime.spawn(async move {
            let _ = told.await;
            // A timer needs the thread.
            tokio::time::sleep(Duration::from_millis(20)).await;
            done.send(()).unwrap();
        }));
        let handle = runtime.0.handle.clone();
        drop(runtime);
        go_on.send(()).unwrap();
        ended.recv_timeout(Duration::from_secs(10)).unwrap();
        // A runtime that has ended takes no more tasks.
        let give_up = std::time::Instant::now() + Duration::from_secs(10);
        while poll_to_end(handle.spawn(async {})).is_ok() {
            assert!(std::time::Instant::now() < give_up, "the thread goes on");
        }
    }

    #[test]
    fn the_last_work_is_waited_for_unless_it_takes_too_long_or_holds_up_others() {
        let runtime = Runtime::start().unwrap();
        let finished = Arc::new(AtomicBool::new(false));
        let finishing = Arc::clone(&finished);
        runtime.finish(async move {
            tokio::time::sleep(Duration::from_millis(30)).await;
            finishing.store(true, Ordering::Relaxed);
        });
        assert!(finished.load(Ordering::Relaxed));

        // Here it would wait for itself.
        let inner = runtime.clone();
        let within = runtime.spawn(async move {
            let begun = std::time::Instant::now();
            inner.finish(std::future::pending());
            begun.elapsed()
        });
        let took = runtime.run(within).unwrap().unwrap();
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
}
