//! The one error of a call that could not work on all hosts: it names each of them, and carries all results.

use std::fmt;
use std::sync::Arc;

use starlark::values::{Heap, Value};

use sternline::proto::text::escape;

use super::result::{Moved, Ran, SshResult, SshTransferResult};

/// Some hosts could not be worked on. The results of all hosts are in it; clones share them.
#[derive(Debug, Clone)]
pub(crate) struct HostsFailed {
    function: &'static str,
    results: Arc<Results>,
}

/// What became of each host, in their order.
#[derive(Debug)]
pub(crate) enum Results {
    Ran(Vec<Ran>),
    Moved(Vec<Moved>),
}

/// A host as the message needs it.
struct Named<'a> {
    host: &'a str,
    error: &'a str,
    skipped: bool,
    /// How the command ended, if not well.
    status: Option<String>,
}

impl Named<'_> {
    fn has_failed(&self) -> bool {
        !self.error.is_empty()
    }

    fn reason(&self) -> &str {
        match &self.status {
            Some(status) if self.error.is_empty() => status,
            _ => self.error,
        }
    }
}

impl Results {
    /// Whether a host could not be worked on. An exit status is no such failure.
    pub(super) fn has_failed(&self) -> bool {
        self.named().any(|named| named.has_failed())
    }

    fn named(&self) -> Box<dyn Iterator<Item = Named<'_>> + '_> {
        match self {
            Self::Ran(all) => Box::new(all.iter().map(|ran| Named {
                host: &ran.host,
                error: &ran.error,
                skipped: ran.skipped,
                status: (!ran.ok).then(|| match ran.signal.as_str() {
                    "" => format!("the command ended with exit status {}", ran.code),
                    signal => format!("signal {} ended the command", escape(signal)),
                }),
            })),
            Self::Moved(all) => Box::new(all.iter().map(|moved| Named {
                host: &moved.host,
                error: &moved.error,
                skipped: moved.skipped,
                status: None,
            })),
        }
    }

    fn alloc<'v>(&self, heap: Heap<'v>, wanted: impl Fn(&str) -> bool) -> Value<'v> {
        match self {
            Self::Ran(all) => {
                let wanted = all.iter().filter(|ran| wanted(&ran.error));
                heap.alloc(wanted.map(|ran| SshResult::new(ran.clone())).collect::<Vec<_>>())
            }
            Self::Moved(all) => {
                let wanted = all.iter().filter(|moved| wanted(&moved.error));
                heap.alloc(
                    wanted
                        .map(|moved| SshTransferResult::new(moved.clone()))
                        .collect::<Vec<_>>(),
                )
            }
        }
    }

    /// All of them as a list.
    pub(super) fn into_list<'v>(self, heap: Heap<'v>) -> Value<'v> {
        match self {
            Self::Ran(all) => heap.alloc(all.into_iter().map(SshResult::new).collect::<Vec<_>>()),
            Self::Moved(all) => heap.alloc(all.into_iter().map(SshTransferResult::new).collect::<Vec<_>>()),
        }
    }
}

impl HostsFailed {
    pub(super) fn new(function: &'static str, results: Results) -> Self {
        Self {
            function,
            results: Arc::new(results),
        }
    }

    /// Whether this is why a function has failed.
    pub(crate) fn of(error: &starlark::Error) -> Option<&Self> {
        match error.kind() {
            starlark::ErrorKind::Native(error) | starlark::ErrorKind::Other(error) => error.downcast_ref(),
            _ => None,
        }
    }

    /// The results of all hosts.
    pub(crate) fn results<'v>(&self, heap: Heap<'v>) -> Value<'v> {
        self.results.alloc(heap, |_| true)
    }

    /// The results of the hosts that could not be worked on.
    pub(crate) fn failed<'v>(&self, heap: Heap<'v>) -> Value<'v> {
        self.results.alloc(heap, |error| !error.is_empty())
    }
}

/// `host web-1: why` for one host; a line for each of several, and one for those that were not begun.
///
/// An exit status is told where it has kept others from beginning.
impl fmt::Display for HostsFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<Named<'_>> = self.results.named().collect();
        if let [only] = all.as_slice() {
            return write!(f, "host {}: {}", only.host, only.reason());
        }
        let skipped: Vec<&Named<'_>> = all.iter().filter(|named| named.skipped).collect();
        let counts = |named: &&Named<'_>| {
            !named.skipped && (named.has_failed() || (!skipped.is_empty() && named.status.is_some()))
        };
        let failed: Vec<&Named<'_>> = all.iter().filter(counts).collect();
        write!(
            f,
            "{}: {} of {} hosts failed",
            self.function,
            failed.len(),
            all.len()
        )?;
        for named in &failed {
            write!(f, "\n  host {}: {}", named.host, named.reason())?;
        }
        if let Some(first) = skipped.first() {
            let names: Vec<&str> = skipped.iter().map(|named| named.host).collect();
            write!(f, "\n  not begun: {}: {}", names.join(", "), first.error)?;
        }
        Ok(())
    }
}

impl std::error::Error for HostsFailed {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_names_every_host_that_failed() {
        let one = HostsFailed::new(
            "exec",
            Results::Ran(vec![Ran::failed("web-1", "refused".to_owned())]),
        );
        assert_eq!(one.to_string(), "host web-1: refused");
        let skipped = Ran {
            skipped: true,
            ..Ran::failed("d", "its turn never came".to_owned())
        };
        let all = vec![
            Ran::well("a"),
            Ran::failed("b", "refused".to_owned()),
            Ran::failed("c", "no such name".to_owned()),
            skipped,
        ];
        assert_eq!(
            HostsFailed::new("exec", Results::Ran(all)).to_string(),
            "exec: 2 of 4 hosts failed\n  host b: refused\n  host c: no such name\n  not begun: d: its turn never came"
        );
    }

    #[test]
    fn an_exit_status_that_kept_others_from_beginning_is_told() {
        let canary = Ran {
            code: 3,
            ok: false,
            ..Ran::well("a")
        };
        let skipped = Ran {
            skipped: true,
            ..Ran::failed("b", "not its turn".to_owned())
        };
        let error = HostsFailed::new("exec", Results::Ran(vec![canary, skipped]));
        assert_eq!(
            error.to_string(),
            "exec: 1 of 2 hosts failed\n  host a: the command ended with exit status 3\n  not begun: b: not its turn"
        );
    }

    #[test]
    fn an_exit_status_is_no_failure_of_the_host() {
        let ran = Ran {
            code: 1,
            ok: false,
            ..Ran::well("a")
        };
        assert!(!Results::Ran(vec![ran]).has_failed());
    }
}
