//! Which host may begin now, and which is left out: decisions, without effects.

use super::rules::{Batch, Rules, Skipped, StopAfter};
use crate::error::{Error, ErrorKind, Result};

/// What is to be done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// This host begins.
    Begin(usize),
    /// This host is never begun.
    Skip(usize, Skipped),
    /// Nothing, until a running host has ended.
    Wait,
    /// Every host has ended or was left out.
    Done,
}

/// A run, as far as it has come. Hosts are numbers from 0 and begin in this order.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    hosts: usize,
    parallel: usize,
    canary: usize,
    batch: usize,
    /// So many failures are too many.
    too_many: usize,
    /// The first host that has neither begun nor been left out.
    next: usize,
    /// Hosts from here on wait for the end of those before.
    barrier: usize,
    running: usize,
    failed: usize,
    halted: Option<Skipped>,
}

impl Plan {
    /// # Errors
    /// When there are no hosts, or a share is none.
    pub(super) fn new(hosts: usize, rules: &Rules) -> Result<Self> {
        if hosts == 0 {
            return Err(Error::new(ErrorKind::Invalid, "the fleet has no hosts")
                .with_hint("an empty selection is most likely a mistake: check which hosts it was to name"));
        }
        let batch = match rules.batch {
            None => hosts,
            Some(Batch::Hosts(batch)) => batch.max(1),
            Some(Batch::Share(share)) => of_all(hosts, share, "a batch")?,
        };
        let too_many = match rules.stop_after {
            None => usize::MAX,
            Some(StopAfter::Failures(failures)) => failures.max(1),
            Some(StopAfter::Share(share)) => of_all(hosts, share, "stopping after failures")?,
        };
        let canary = rules.canary.min(hosts);
        Ok(Self {
            hosts,
            parallel: rules.parallel.max(1),
            canary,
            batch,
            too_many,
            next: 0,
            barrier: if canary > 0 { canary } else { batch.min(hosts) },
            running: 0,
            failed: 0,
            halted: None,
        })
    }

    /// What to do now. Whoever is told of a host has done it: the same is not said twice.
    pub(super) fn step(&mut self) -> Step {
        if self.next == self.hosts {
            return if self.running == 0 { Step::Done } else { Step::Wait };
        }
        let host = self.next;
        if let Some(why) = self.halted {
            self.next += 1;
            return Step::Skip(host, why);
        }
        if host == self.barrier && self.running == 0 {
            self.barrier = self.barrier.saturating_add(self.batch).min(self.hosts);
        }
        if host == self.barrier || self.running >= self.parallel {
            return Step::Wait;
        }
        self.next += 1;
        self.running += 1;
        Step::Begin(host)
    }

    /// A host that had begun has ended.
    pub(super) fn ended(&mut self, ok: bool) {
        self.running = self.running.saturating_sub(1);
        if ok {
            return;
        }
        self.failed += 1;
        if self.barrier <= self.canary {
            self.halt(Skipped::Canary);
        }
        if self.failed >= self.too_many {
            self.halt(Skipped::Failures);
        }
    }

    /// No further host begins. The first reason stays.
    pub(super) fn halt(&mut self, why: Skipped) {
        self.halted.get_or_insert(why);
    }
}

/// So many hosts as a share is, rounded up.
fn of_all(hosts: usize, share: f64, what: &str) -> Result<usize> {
    if !(share > 0.0 && share <= 1.0) {
        return Err(Error::new(
            ErrorKind::Invalid,
            format!("{share} is no share for {what}: it is above 0 and at most 1"),
        ));
    }
    // What a share such as 0.1 misses by in binary is no further host.
    let count = (hosts as f64 * share - 1e-6).ceil();
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and the number of hosts, and a cast of a float saturates"
    )]
    let count = count as usize;
    Ok(count.clamp(1, hosts))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rules(parallel: usize) -> Rules {
        Rules {
            parallel,
            ..Rules::default()
        }
    }

    /// All steps up to the first wait or the end: hosts that begin as numbers, those left out with their reason.
    fn steps(plan: &mut Plan) -> String {
        let mut said = Vec::new();
        loop {
            match plan.step() {
                Step::Begin(host) => said.push(host.to_string()),
                Step::Skip(host, why) => said.push(format!("{host}:{}", why.as_str())),
                Step::Wait => return said.join(" "),
                Step::Done => return said.join(" ") + " done",
            }
        }
    }

    /// What follows each end of a host: `+` succeeded, `-` failed.
    fn play(hosts: usize, rules: &Rules, ends: &str) -> Vec<String> {
        let mut plan = Plan::new(hosts, rules).unwrap();
        let mut said = vec![steps(&mut plan)];
        for end in ends.chars() {
            plan.ended(end == '+');
            said.push(steps(&mut plan));
        }
        said
    }

    #[test]
    fn as_many_begin_as_may_and_the_next_when_one_ends() {
        assert_eq!(play(4, &rules(2), "+-++"), ["0 1", "2", "3", "", " done"]);
        assert_eq!(play(2, &rules(64), "++"), ["0 1", "", " done"]);
        assert_eq!(play(2, &rules(0), "++"), ["0", "1", " done"]);
    }

    #[test]
    fn a_batch_begins_when_all_of_the_one_before_have_ended() {
        let batches = |batch| Rules {
            batch: Some(batch),
            ..rules(64)
        };
        assert_eq!(
            play(5, &batches(Batch::Hosts(2)), "++-++"),
            ["0 1", "", "2 3", "", "4", " done"]
        );
        // Two fifths of five are two; of three they are two as well.
        assert_eq!(play(5, &batches(Batch::Share(0.4)), "++")[2], "2 3");
        assert_eq!(play(3, &batches(Batch::Share(0.4)), "")[0], "0 1");
        assert_eq!(play(30, &batches(Batch::Share(0.1)), "")[0], "0 1 2");
        assert_eq!(play(3, &batches(Batch::Hosts(0)), "+"), ["0", "1"]);
        assert_eq!(play(3, &batches(Batch::Hosts(usize::MAX)), "")[0], "0 1 2");
        let narrow = Rules {
            parallel: 1,
            ..batches(Batch::Hosts(2))
        };
        assert_eq!(play(3, &narrow, "+++"), ["0", "1", "2", " done"]);
    }

    #[test]
    fn the_canary_goes_first_alone_and_its_failure_ends_the_run() {
        let canary = |hosts| Rules {
            canary: hosts,
            ..rules(64)
        };
        assert_eq!(play(4, &canary(1), "++++"), ["0", "1 2 3", "", "", " done"]);
        assert_eq!(play(4, &canary(1), "-"), ["0", "1:canary 2:canary 3:canary done"]);
        assert_eq!(play(4, &canary(2), "+-"), ["0 1", "", "2:canary 3:canary done"]);
        // One that fails later is no canary.
        assert_eq!(play(3, &canary(1), "+--")[3], " done");
        assert_eq!(play(2, &canary(9), "-+"), ["0 1", "", " done"]);
        let batched = Rules {
            batch: Some(Batch::Hosts(2)),
            ..canary(1)
        };
        assert_eq!(play(4, &batched, "+++"), ["0", "1 2", "", "3"]);
    }

    #[test]
    fn after_too_many_failures_the_others_are_left_out_and_those_that_run_go_on() {
        let stop = |stop| Rules {
            stop_after: Some(stop),
            ..rules(2)
        };
        assert_eq!(
            play(5, &stop(StopAfter::Failures(2)), "-+-++"),
            ["0 1", "2", "3", "4:failures", " done", " done"]
        );
        assert_eq!(play(3, &stop(StopAfter::Failures(0)), "-")[1], "2:failures");
        assert_eq!(play(3, &stop(StopAfter::Share(0.5)), "--"), ["0 1", "2", ""]);
        assert_eq!(play(4, &stop(StopAfter::Share(0.5)), "--")[2], "3:failures");
    }

    #[test]
    fn a_halt_skips_all_that_had_not_begun_for_its_first_reason() {
        let mut plan = Plan::new(3, &rules(1)).unwrap();
        assert_eq!(steps(&mut plan), "0");
        plan.halt(Skipped::Stopped);
        plan.halt(Skipped::Deadline);
        assert_eq!(steps(&mut plan), "1:stopped 2:stopped");
        plan.ended(true);
        assert_eq!(plan.step(), Step::Done);
    }

    #[test]
    fn no_hosts_and_a_share_that_is_none_are_refused() {
        let error = Plan::new(0, &rules(1)).unwrap_err();
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (&ErrorKind::Invalid, "the fleet has no hosts")
        );
        for share in [0.0, -0.5, 1.5, f64::NAN, f64::INFINITY] {
            let batch = Rules {
                batch: Some(Batch::Share(share)),
                ..rules(1)
            };
            let stop = Rules {
                stop_after: Some(StopAfter::Share(share)),
                ..rules(1)
            };
            for rules in [batch, stop] {
                assert_eq!(Plan::new(3, &rules).unwrap_err().kind(), &ErrorKind::Invalid);
            }
        }
    }

    proptest! {
        #[test]
        fn every_host_gets_its_turn_or_its_reason_once_and_no_rule_is_broken(
            hosts in 1_usize..60,
            parallel in 0_usize..8,
            canary in 0_usize..5,
            batch in prop::option::of(prop_oneof![
                (0_usize..20).prop_map(Batch::Hosts),
                (0.01..1.0_f64).prop_map(Batch::Share),
            ]),
            stop_after in prop::option::of(prop_oneof![
                (0_usize..20).prop_map(StopAfter::Failures),
                (0.01..1.0_f64).prop_map(StopAfter::Share),
            ]),
            ends in prop::collection::vec(prop::bool::weighted(0.8), 60),
            halt_at in prop::option::of(0_usize..60),
        ) {
            let rules = Rules { parallel, canary, batch, stop_after };
            let mut plan = Plan::new(hosts, &rules).unwrap();
            let (too_many, size, canary) = (plan.too_many, plan.batch, plan.canary);
            let (mut seen, mut running, mut failed, mut ended) = (0, Vec::new(), 0, 0);
            let mut ends = ends.into_iter();
            loop {
                match plan.step() {
                    Step::Begin(host) => {
                        prop_assert_eq!(host, seen);
                        seen += 1;
                        prop_assert!(failed < too_many, "after too many failures");
                        // Nobody runs beside the canary, or beside a host of another batch.
                        let batch_of = |host: usize| match host.checked_sub(canary) {
                            None => 0,
                            Some(after) => 1 + after / size,
                        };
                        prop_assert!(running.iter().all(|other| batch_of(*other) == batch_of(host)));
                        prop_assert!(host < canary || failed == 0 || ended > canary || canary == 0);
                        running.push(host);
                        prop_assert!(running.len() <= parallel.max(1));
                    }
                    Step::Skip(host, _) => {
                        prop_assert_eq!(host, seen);
                        seen += 1;
                    }
                    Step::Wait => {
                        prop_assert!(!running.is_empty(), "nobody would ever end the wait");
                        running.swap_remove(running.len() / 2);
                        let ok = ends.next().unwrap_or(true);
                        failed += usize::from(!ok);
                        plan.ended(ok);
                        ended += 1;
                        if halt_at == Some(ended) {
                            plan.halt(Skipped::Stopped);
                        }
                    }
                    Step::Done => break,
                }
            }
            prop_assert_eq!(seen, hosts);
            prop_assert!(running.is_empty());
        }
    }
}
