//! Carrying a plan out: the hosts of a run begin, end, and are left out, until none is left.

use std::future::Future;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::plan::{Plan, Step};
use super::rules::Skipped;
use crate::error::{Error, ErrorKind, seconds};

/// What is asked of a run from outside. What asks for more comes later in the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Asked {
    /// Go on.
    Nothing,
    /// Begin no further host.
    Stop,
    /// End those that run as well.
    Cancel,
    /// The same, because the run has taken this long.
    Late(Duration),
}

/// Asks something of a run, and hears of it.
#[derive(Debug, Clone)]
pub(super) struct Control(watch::Sender<Asked>);

impl Control {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(Asked::Nothing))
    }

    /// What was asked for before stays, if it was more.
    pub(super) fn ask(&self, asked: Asked) {
        self.0.send_if_modified(|before| {
            let more = asked > *before;
            *before = asked.max(*before);
            more
        });
    }

    pub(super) fn listen(&self) -> Ending {
        Ending(self.0.subscribe())
    }
}

/// Hears when the work on a host is to end.
#[derive(Debug, Clone)]
pub(super) struct Ending(watch::Receiver<Asked>);

impl Ending {
    /// Waits until the work is to end. `what` is the work, as in "before the command had started". Cancel-safe.
    pub(super) async fn asked(&mut self, what: &str) -> Error {
        let asked = self.0.wait_for(|asked| *asked >= Asked::Cancel).await;
        let why = match asked.map(|asked| *asked) {
            Ok(Asked::Late(limit)) => format!("the run's {} were over", seconds(limit)),
            Ok(_) => "the run was cancelled".to_owned(),
            // The run was dropped, and this task is about to be.
            Err(_) => std::future::pending().await,
        };
        Error::new(ErrorKind::Cancelled, format!("{why} {what}"))
    }
}

/// Works on the hosts in the order and number that the plan allows, and waits for the last one.
///
/// `work` is called with each host, and with the reason where it is left out; it says whether the host succeeded.
pub(super) async fn drive<F>(
    plan: Plan,
    control: Control,
    deadline: Option<Duration>,
    work: impl FnMut(usize, Option<Skipped>) -> F,
) where
    F: Future<Output = bool> + Send + 'static,
{
    let late = async {
        // A deadline beyond what the clock can express is none.
        if let Some(limit) = deadline
            && let Some(at) = Instant::now().checked_add(limit)
        {
            tokio::time::sleep_until(at).await;
            control.ask(Asked::Late(limit));
        }
        std::future::pending().await
    };
    // Beside all else: whoever is told of the hosts may be slow to listen.
    tokio::select! {
        () = late => {}
        () = carry_out(plan, &control, work) => {}
    }
}

async fn carry_out<F>(mut plan: Plan, control: &Control, mut work: impl FnMut(usize, Option<Skipped>) -> F)
where
    F: Future<Output = bool> + Send + 'static,
{
    let mut asked = control.0.subscribe();
    let mut running = JoinSet::new();
    loop {
        match *asked.borrow_and_update() {
            Asked::Nothing => {}
            Asked::Stop | Asked::Cancel => plan.halt(Skipped::Stopped),
            Asked::Late(_) => plan.halt(Skipped::Deadline),
        }
        match plan.step() {
            Step::Begin(host) => {
                running.spawn(work(host, None));
            }
            Step::Skip(host, why) => {
                work(host, Some(why)).await;
            }
            Step::Done => return,
            Step::Wait => tokio::select! {
                Some(ended) = running.join_next() => plan.ended(ended.unwrap_or(false)),
                // The sender is held by the caller as well, so it is never gone.
                _ = asked.changed() => {}
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::rules::Rules;
    use super::*;
    use std::sync::{Arc, Mutex};

    type Said = Arc<Mutex<Vec<(usize, Option<Skipped>)>>>;

    /// Drives hosts of which each takes as many seconds as its number, and says what each was told.
    async fn seen(
        hosts: usize,
        rules: Rules,
        deadline: Option<u64>,
        ask: Option<(u64, Asked)>,
    ) -> Vec<(usize, Option<Skipped>)> {
        let said = Said::default();
        let control = Control::new();
        let plan = Plan::new(hosts, &rules).unwrap();
        let (noting, listening) = (Arc::clone(&said), control.clone());
        let driving = drive(
            plan,
            control.clone(),
            deadline.map(Duration::from_secs),
            move |host, skipped| {
                noting.lock().unwrap().push((host, skipped));
                let mut ending = listening.listen();
                async move {
                    tokio::select! {
                        () = tokio::time::sleep(Duration::from_secs(host as u64)) => true,
                        _ = ending.asked("early") => false,
                    }
                }
            },
        );
        let asking = async {
            if let Some((after, asked)) = ask {
                tokio::time::sleep(Duration::from_millis(after * 1000 + 500)).await;
                control.ask(asked);
            }
        };
        tokio::join!(driving, asking);
        std::mem::take(&mut *said.lock().unwrap())
    }

    fn two_at_once() -> Rules {
        Rules {
            parallel: 2,
            ..Rules::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_lets_those_go_on_that_run_and_begins_no_other() {
        let said = seen(6, two_at_once(), None, Some((2, Asked::Stop))).await;
        let begun = said.iter().filter(|(_, why)| why.is_none()).count();
        assert_eq!((begun, said.last()), (5, Some(&(5, Some(Skipped::Stopped)))));
    }

    #[tokio::test(start_paused = true)]
    async fn the_deadline_ends_those_that_run_and_leaves_the_others_out() {
        let started = Instant::now();
        let said = seen(100, two_at_once(), Some(2), None).await;
        assert!(started.elapsed() < Duration::from_secs(3));
        assert!(
            said.iter()
                .skip(4)
                .all(|(_, why)| *why == Some(Skipped::Deadline)),
            "{said:?}"
        );
        assert_eq!(said.len(), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn what_ends_the_work_is_told_to_it() {
        let control = Control::new();
        let mut ending = control.listen();
        control.ask(Asked::Stop);
        assert!(
            tokio::time::timeout(Duration::from_secs(9), ending.asked("x"))
                .await
                .is_err()
        );
        control.ask(Asked::Late(Duration::from_secs(90)));
        control.ask(Asked::Cancel);
        assert_eq!(
            ending.asked("early").await.to_string(),
            "the run's 90 s were over early"
        );
        let control = Control::new();
        control.ask(Asked::Cancel);
        assert_eq!(
            control.listen().asked("early").await.to_string(),
            "the run was cancelled early"
        );
    }
}
