//! What is different between two runs.

use std::collections::HashMap;

use crate::record::{Host, Stream};

/// A host that is not the same in both runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// How it was in the first run; `None` where it was not a part of it.
    pub before: Option<Host>,
    /// How it was in the second one.
    pub after: Option<Host>,
    /// What is different, at least one thing.
    pub what: Vec<What>,
}

/// What is different.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum What {
    /// Only one of the runs has the host.
    Presence,
    /// Whether it went well.
    Outcome,
    /// The exit code, or the signal.
    Exit,
    /// The class of the error, or its phase.
    Error,
    /// What was written to standard output.
    Stdout,
    /// What was written to standard error.
    Stderr,
}

impl What {
    /// The name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Presence => "presence",
            Self::Outcome => "outcome",
            Self::Exit => "exit",
            Self::Error => "error",
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// The hosts that are not the same in both runs, in the order of the first, and then those that only the second has. Hosts are
/// the same by their targets. How long something took is no difference.
#[must_use]
pub fn diff(before: &[Host], after: &[Host]) -> Vec<Change> {
    let second: HashMap<&str, &Host> = after.iter().map(|host| (host.target.as_str(), host)).collect();
    let first: HashMap<&str, &Host> = before.iter().map(|host| (host.target.as_str(), host)).collect();
    let changed = before.iter().filter_map(|host| {
        let other = second.get(host.target.as_str()).copied();
        let what = match other {
            Some(other) => differences(host, other),
            None => vec![What::Presence],
        };
        (!what.is_empty()).then(|| Change {
            before: Some(host.clone()),
            after: other.cloned(),
            what,
        })
    });
    let added = after
        .iter()
        .filter(|host| !first.contains_key(host.target.as_str()))
        .map(|host| Change {
            before: None,
            after: Some(host.clone()),
            what: vec![What::Presence],
        });
    changed.chain(added).collect()
}

fn differences(a: &Host, b: &Host) -> Vec<What> {
    let class = |host: &Host| {
        let error = host.error.as_ref();
        error.map(|error| (error.error_type.clone(), error.phase.clone()))
    };
    [
        (What::Outcome, a.outcome != b.outcome),
        (What::Exit, a.exit_code != b.exit_code || a.signal != b.signal),
        (What::Error, class(a) != class(b)),
        (What::Stdout, !equal(a.stdout.as_ref(), b.stdout.as_ref())),
        (What::Stderr, !equal(a.stderr.as_ref(), b.stderr.as_ref())),
    ]
    .into_iter()
    .filter_map(|(what, differs)| differs.then_some(what))
    .collect()
}

/// A host that was not reached wrote nothing, which is what a silent command writes.
fn equal(a: Option<&Stream>, b: Option<&Stream>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a == b,
        (Some(stream), None) | (None, Some(stream)) => stream.bytes == 0,
        (None, None) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{HostError, Outcome};
    use proptest::prelude::*;
    use std::time::Duration;

    prop_compose! {
        fn any_host(number: u8)(
            outcome in prop_oneof![Just(None), Just(Some(Outcome::Ok)), Just(Some(Outcome::Failed)), Just(Some(Outcome::Skipped))],
            exit_code in prop::option::of(0..3_u32),
            signal in prop::option::of("(TERM|KILL)"),
            error in prop::option::of("(AuthFailed|ConnectionRefused)"),
            stdout in prop::option::of((0..2_u64, 0..2_u8)),
            took in 0..9_u64,
            attempts in 0..3_u32,
        ) -> Host {
            Host {
                index: u64::from(number),
                name: format!("h{number}"),
                target: format!("h{number}:22"),
                outcome,
                exit_code,
                signal,
                error: error.map(|error_type| HostError {
                    error_type,
                    message: format!("after {took} ms"),
                    phase: None,
                    sent: "not_sent".into(),
                }),
                skipped: None,
                duration: Some(Duration::from_millis(took)),
                attempts,
                stdout: stdout.map(|(bytes, hash)| Stream { bytes, hash: vec![hash] }),
                stderr: None,
            }
        }
    }

    fn any_hosts() -> impl Strategy<Value = Vec<Host>> {
        prop::collection::btree_set(0..6_u8, 0..6)
            .prop_flat_map(|numbers| numbers.into_iter().map(any_host).collect::<Vec<_>>())
    }

    proptest! {
        #[test]
        fn a_run_differs_in_nothing_from_itself_whatever_time_it_took(hosts in any_hosts()) {
            prop_assert!(diff(&hosts, &hosts).is_empty());
            let mut slower = hosts.clone();
            for host in &mut slower {
                host.duration = Some(Duration::from_secs(1));
                host.attempts += 1;
            }
            prop_assert!(diff(&hosts, &slower).is_empty());
        }

        #[test]
        fn what_differs_one_way_differs_the_other_way(a in any_hosts(), b in any_hosts()) {
            let there = diff(&a, &b);
            let back = diff(&b, &a);
            prop_assert_eq!(there.len(), back.len());
            for change in there {
                let mirrored = Change { before: change.after, after: change.before, what: change.what };
                prop_assert!(!mirrored.what.is_empty());
                prop_assert!(back.contains(&mirrored), "{:?}", mirrored);
            }
        }

        #[test]
        fn hosts_of_one_run_only_are_told_and_no_others_are(a in any_hosts(), b in any_hosts()) {
            let targets = |hosts: &[Host]| hosts.iter().map(|host| host.target.clone()).collect::<std::collections::BTreeSet<_>>();
            let told: std::collections::BTreeSet<_> = diff(&a, &b)
                .into_iter()
                .filter(|change| change.what == [What::Presence])
                .filter_map(|change| change.before.or(change.after))
                .map(|host| host.target)
                .collect();
            let (a, b) = (targets(&a), targets(&b));
            prop_assert_eq!(told, a.symmetric_difference(&b).cloned().collect());
        }
    }
}
