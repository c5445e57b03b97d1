//! Equal results shown once, with the hosts that have them.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use sternline::fleet::{self, Collector, Outcome, group};

use crate::fleet::folded_all;
use crate::ui::{Colour, Failure, Output, Sink};

/// Keeps what hosts wrote until all have ended: little in memory, much in a file.
#[derive(Debug)]
pub(in crate::commands::ssh) struct Groups {
    labels: Vec<String>,
    pub(super) collector: Collector,
    /// By the host's place in the list.
    ended: BTreeMap<usize, Outcome>,
}

impl Groups {
    pub(in crate::commands::ssh) fn new(labels: &[String]) -> Self {
        Self {
            labels: labels.to_vec(),
            collector: Collector::default(),
            ended: BTreeMap::new(),
        }
    }

    pub(super) fn done(&mut self, index: usize, outcome: Outcome) {
        self.ended.insert(index, outcome);
    }

    /// Writes all groups, that of the most hosts first. Hosts that failed before they wrote anything are left to the summary, which
    /// puts them together by their reasons.
    pub(super) async fn finish(&mut self, output: &Output) -> Result<(), Failure> {
        let is_shown = |outcome: &Outcome| {
            outcome.result.is_ok() || !outcome.stdout.is_empty() || !outcome.stderr.is_empty()
        };
        let (places, outcomes): (Vec<usize>, Vec<Outcome>) = std::mem::take(&mut self.ended)
            .into_iter()
            .filter(|(_, outcome)| is_shown(outcome))
            .unzip();
        let mut groups = group(&outcomes).await?;
        groups.sort_by_key(|members| (Reverse(members.len()), members.first().copied()));
        let colour = Colour::of_stdout();
        for (number, members) in groups.iter().enumerate() {
            let Some(outcome) = members.first().and_then(|first| outcomes.get(*first)) else {
                continue;
            };
            let hosts: Vec<usize> = members
                .iter()
                .filter_map(|member| places.get(*member).copied())
                .collect();
            let gap = if number > 0 { "\n" } else { "" };
            let heading = heading(&folded_all(&self.labels, &hosts), hosts.len(), outcome);
            text(output, format!("{gap}{}\n", colour.styled("1", &heading))).await?;
            stream(output, &outcome.stdout).await?;
            if !outcome.stderr.is_empty() {
                text(output, format!("{}\n", colour.styled("33", "-- standard error"))).await?;
                stream(output, &outcome.stderr).await?;
            }
        }
        Ok(())
    }
}

/// Who, how many, and how it ended unless it ended well.
fn heading(hosts: &str, count: usize, outcome: &Outcome) -> String {
    let how = match &outcome.result {
        Ok(result) if result.ok() => String::new(),
        Ok(result) => format!(", {}", result.status),
        Err(error) => format!(", {}", Failure::from(error).headline()),
    };
    let count = match count {
        1 => "1 host".to_owned(),
        count => format!("{count} hosts"),
    };
    format!("== {hosts} ({count}{how})")
}

async fn text(output: &Output, text: String) -> Result<(), Failure> {
    Ok(output.write(Sink::Stdout, text.into()).await?)
}

/// One stream, and an end for its last line if that has none.
async fn stream(output: &Output, stream: &fleet::Output) -> Result<(), Failure> {
    let mut reader = stream.reader();
    let mut ends = true;
    while let Some(bytes) = reader.next().await? {
        ends = bytes.ends_with(b"\n");
        output.write(Sink::Stdout, bytes).await?;
    }
    match ends {
        true => Ok(()),
        false => text(output, "\n".to_owned()).await,
    }
}
