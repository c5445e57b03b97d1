//! The hosts that an earlier run has left over.

use std::collections::HashSet;
use std::path::Path;

use sternline::proto::target::Target;
use sternline::proto::text::escape;

use crate::history::{failed_hosts, without_password};
use crate::ui::Failure;

/// Of the hosts those that did not succeed in an earlier run: a run of the history, or a file that lists them, as `failed` in an
/// `--output-dir` does. What has a slash in it is a file.
pub(crate) fn only_failed(targets: Vec<Target>, run: &str) -> Result<Vec<Target>, Failure> {
    let failed = match run.contains('/') {
        true => listed(Path::new(run))?,
        false => failed_hosts(run)?,
    };
    let left: Vec<Target> = chosen(targets, &failed);
    match left.is_empty() {
        false => Ok(left),
        true => Err(Failure::usage(format!(
            "there is nothing to do again: none of these hosts is among those left over from {}",
            escape(run)
        ))
        .with_hint("`sternline history show` tells what became of each host of a run")),
    }
}

fn listed(path: &Path) -> Result<Vec<String>, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::usage(format!(
            "cannot read {}: {error}",
            escape(&path.to_string_lossy())
        ))
        .with_hint("name a file with a host on each line, such as `failed` in an --output-dir")
    })?;
    Ok(text.lines().map(|line| line.trim().to_owned()).collect())
}

fn chosen(targets: Vec<Target>, failed: &[String]) -> Vec<Target> {
    let failed: HashSet<&str> = failed.iter().map(String::as_str).collect();
    targets
        .into_iter()
        .filter(|target| {
            // A list has it as it was typed, and the history without a password in it.
            failed.contains(target.to_string().as_str()) || failed.contains(without_password(target).as_str())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sternline::proto::target::parse_targets;

    #[test]
    fn hosts_are_left_over_by_their_whole_name_and_keep_their_order() {
        let targets = parse_targets("web-[1-3],bob@web-1:22,x:pw@db").unwrap().targets;
        let failed = ["web-3", "bob@web-1:22", "web-1", "gone", "x:[REDACTED]@db"].map(str::to_owned);
        let left: Vec<String> = chosen(targets, &failed).iter().map(Target::to_string).collect();
        assert_eq!(left, ["web-1", "web-3", "bob@web-1:22", "x:pw@db"]);
    }
}
