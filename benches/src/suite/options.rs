//! The command line.

use std::path::PathBuf;
use std::time::Duration;

pub(super) const USAGE: &str = "usage: peers [--quick] [--only NAME,...] [--json FILE] [--limit SECONDS] [--no-install]

Measures Sternline and its peers at the same work, in turns, and prints tables of figures and ratios.

  --quick     the smallest amounts of everything: shows that it works, the figures mean nothing
  --only NAME,...
              only these workloads: commands, guest, fan-out (-200, -1000, -10000), files (-large, -small, -long),
              forwards, expect, idle, round-trips, script (-200, -start)
  --json FILE writes what was measured into this file, after each workload. What the file holds of others stays
  --limit SECONDS
              how long a peer may take for one turn. It does not begin one that would take longer. Default 600
  --no-install
              installs no peer: those that are not there do not run

The Python peers are installed into a virtual environment in target/, unless STERNLINE_TEST_PYTHON names an interpreter that has
them. `sternline` has to be built beside this program. Where root may, all of it runs in a network of its own.
";

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) quick: bool,
    pub(super) only: Vec<String>,
    pub(super) json: Option<PathBuf>,
    pub(super) limit: Duration,
    pub(super) install: bool,
}

impl Options {
    /// `None` when only the usage is asked for.
    pub(super) fn parse(arguments: &[String]) -> Result<Option<Self>, String> {
        let mut options = Self {
            quick: false,
            only: Vec::new(),
            json: None,
            limit: Duration::from_secs(600),
            install: true,
        };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let mut value = || rest.next().ok_or_else(|| format!("{argument} needs a value"));
            match argument.as_str() {
                "--quick" => options.quick = true,
                "--no-install" => options.install = false,
                "--only" => options.only.extend(value()?.split(',').map(str::to_owned)),
                "--json" => options.json = Some(value()?.into()),
                "--limit" => {
                    let seconds = value()?
                        .parse()
                        .map_err(|_| "--limit needs a number of seconds")?;
                    options.limit = Duration::from_secs(seconds);
                }
                "--help" | "-h" => return Ok(None),
                _ => return Err(format!("unknown argument {argument}\n\n{USAGE}")),
            }
        }
        Ok(Some(options))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Option<Options>, String> {
        let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Options::parse(&arguments)
    }

    #[test]
    fn options_are_read_and_wrong_ones_named() {
        let options = parse("--quick --only a,b --only c --json x.json --limit 5 --no-install")
            .unwrap()
            .unwrap();
        assert_eq!(options.only, ["a", "b", "c"]);
        assert_eq!(options.limit, Duration::from_secs(5));
        assert!(options.quick && !options.install);
        assert_eq!(parse("--help").unwrap(), None);
        assert!(parse("--fast").unwrap_err().contains("--fast"));
        assert!(parse("--json").unwrap_err().contains("--json"));
        assert!(parse("--limit soon").unwrap_err().contains("--limit"));
    }
}
