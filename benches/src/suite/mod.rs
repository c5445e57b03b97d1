//! The suite: which workloads there are, and running them one after another.

mod bench;
mod install;
mod namespace;
mod options;

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;

pub(crate) use bench::Bench;
pub(crate) use install::parallel_ssh_of_debian;
use options::Options;

use crate::results::Row;
use crate::{expect, fan_out, files, forwards, idle, measure, round_trips, script, worker};

type Outcome = Result<(), Box<dyn Error>>;

/// One of the processes that this program is besides: it gets its own arguments.
type Helper = fn(&[String]) -> Outcome;

/// A kind of work, or several that share a preparation.
struct Workload {
    /// What `--only` takes: this name, or what stands before one of its hyphens.
    name: &'static str,
    run: fn(&mut Bench) -> Outcome,
}

/// In the order in which they run, and stand on the page.
const WORKLOADS: [Workload; 14] = [
    Workload {
        name: "commands",
        run: measure::run,
    },
    Workload {
        name: "guest",
        run: measure::guest,
    },
    Workload {
        name: "fan-out-200",
        run: fan_out::real,
    },
    Workload {
        name: "fan-out-1000",
        run: fan_out::thousand,
    },
    Workload {
        name: "fan-out-10000",
        run: fan_out::ten_thousand,
    },
    Workload {
        name: "files-large",
        run: files::large,
    },
    Workload {
        name: "files-small",
        run: files::small,
    },
    Workload {
        name: "files-long",
        run: files::long,
    },
    Workload {
        name: "forwards",
        run: forwards::run,
    },
    Workload {
        name: "expect",
        run: expect::run,
    },
    Workload {
        name: "idle",
        run: idle::run,
    },
    Workload {
        name: "round-trips",
        run: round_trips::run,
    },
    Workload {
        name: "script-200",
        run: script::fan_out,
    },
    Workload {
        name: "script-start",
        run: script::start,
    },
];

/// The processes that this program is besides: the first argument of each, and what it does with the others.
const HELPERS: [(&str, Helper); 9] = [
    (worker::ARGUMENT, worker::run),
    (forwards::FORWARD, forwards::forward),
    (forwards::TARGET, |_| forwards::target()),
    (forwards::LOAD, forwards::load),
    (expect::READ, expect::read),
    (fan_out::SERVE, fan_out::serve),
    (fan_out::LIBRARY, fan_out::library),
    (idle::SERVER, idle::server),
    (idle::CLIENT, idle::client),
];

/// Runs the suite, or one of its processes, as the arguments say.
///
/// # Errors
/// When the arguments are wrong, or nothing can be measured at all. A workload or a peer that fails is told in the results.
pub fn run(arguments: &[String]) -> Result<ExitCode, Box<dyn Error>> {
    if let Some((first, rest)) = arguments.split_first()
        && let Some((_, helper)) = HELPERS.iter().find(|(name, _)| name == first)
    {
        return helper(rest).map(|()| ExitCode::SUCCESS);
    }
    let Some(options) = Options::parse(arguments)? else {
        std::io::stdout().write_all(options::USAGE.as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    };
    if let Some(only) = options
        .only
        .iter()
        .find(|only| !WORKLOADS.iter().any(|workload| workload.is(only)))
    {
        let names: Vec<&str> = WORKLOADS.iter().map(|workload| workload.name).collect();
        return Err(format!("there is no workload {only}; there are {}", names.join(", ")).into());
    }
    // Before the namespace: what is installed comes over the network.
    let peers = install::peers(options.install)?;
    if !namespace::is_own()
        && let Some(status) = namespace::enter(arguments)?
    {
        return Ok(status);
    }
    let mut bench = Bench::new(&options, peers)?;
    for workload in &WORKLOADS {
        if !options.only.is_empty() && !options.only.iter().any(|only| workload.is(only)) {
            continue;
        }
        if let Err(error) = (workload.run)(&mut bench) {
            bench.failed(workload.name, &error.to_string())?;
        }
    }
    bench.finish()
}

impl Workload {
    fn is(&self, only: &str) -> bool {
        let rest = self.name.strip_prefix(only);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    }
}

/// A peer that is not there.
pub(crate) fn missing(peer: &str, what: &str) -> Row {
    Row::not_run(peer, format!("{what} is not installed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workload_is_meant_by_its_name_or_by_what_stands_before_a_hyphen() {
        let workload = |name| WORKLOADS.iter().filter(move |workload| workload.is(name)).count();
        assert_eq!(workload("fan-out"), 3);
        assert_eq!(workload("fan-out-1000"), 1);
        assert_eq!(workload("fan-out-10"), 0);
        assert_eq!(workload(""), 0);
    }
}
