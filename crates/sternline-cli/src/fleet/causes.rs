//! Why hosts failed, each reason told once with its hosts.

use std::collections::HashMap;
use std::net::IpAddr;

use super::names::folded;

/// The reasons so far.
#[derive(Debug, Default)]
pub(crate) struct Causes {
    /// By what is the same for all hosts.
    groups: HashMap<String, Cause>,
}

#[derive(Debug)]
struct Cause {
    /// As it was told of the first of them.
    exact: String,
    /// Their places in the list of hosts.
    places: Vec<usize>,
}

impl Causes {
    /// Takes in why a host failed. `names` are what the host is called in the reason.
    pub(crate) fn add(&mut self, place: usize, names: &[&str], reason: String) {
        let shared = without_names(&reason, names);
        let cause = self.groups.entry(shared).or_insert_with(|| Cause {
            exact: reason,
            places: Vec::new(),
        });
        cause.places.push(place);
    }

    /// How many hosts there are.
    pub(crate) fn hosts(&self) -> usize {
        self.groups.values().map(|cause| cause.places.len()).sum()
    }

    /// A line for each reason, that of the most hosts first.
    pub(crate) fn lines(&self, labels: &[String]) -> Vec<String> {
        let mut causes: Vec<(Vec<usize>, &str)> = self
            .groups
            .iter()
            .map(|(shared, cause)| {
                let mut places = cause.places.clone();
                places.sort_unstable();
                let reason = if places.len() == 1 { &cause.exact } else { shared };
                (places, reason.as_str())
            })
            .collect();
        causes.sort_by_key(|(places, _)| (std::cmp::Reverse(places.len()), places.first().copied()));
        let line = |(places, reason): &(Vec<usize>, &str)| format!("{}: {reason}", folded(labels, places));
        causes.iter().map(line).collect()
    }
}

/// The reason with `HOST` for the host's names and for every address.
fn without_names(reason: &str, names: &[&str]) -> String {
    let words: Vec<String> = reason.split(' ').map(|word| without_name(word, names)).collect();
    words.join(" ")
}

fn without_name(word: &str, names: &[&str]) -> String {
    let core = word.trim_matches(|c| matches!(c, '(' | ')' | ',' | ';' | '`' | '\''));
    let core = core.strip_suffix(':').unwrap_or(core);
    let host = match core.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() && !host.ends_with(':') => host,
        _ => core,
    };
    let is_host = |text: &str| {
        let bare = text.trim_start_matches('[').trim_end_matches(']');
        names.contains(&text) || names.contains(&bare) || bare.parse::<IpAddr>().is_ok()
    };
    match [core, host]
        .into_iter()
        .find(|text| !text.is_empty() && is_host(text))
    {
        Some(name) => word.replacen(name, "HOST", 1),
        None => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_that_failed_for_the_same_reason_share_a_line() {
        let labels: Vec<String> = (1..=6).map(|n| format!("web-{n}")).collect();
        let mut causes = Causes::default();
        for place in [4, 2, 3] {
            let name = labels[place].as_str();
            causes.add(
                place,
                &[name],
                format!("connection refused by 127.0.0.{place} port 22 (phase: tcp)"),
            );
        }
        causes.add(0, &["web-1"], "the host web-1:2222 is not known".to_owned());
        assert_eq!(
            causes.lines(&labels),
            [
                "web-[3-5]: connection refused by HOST port 22 (phase: tcp)",
                "web-1: the host web-1:2222 is not known",
            ]
        );
        assert_eq!(causes.hosts(), 4);
    }

    #[test]
    fn only_names_of_the_host_and_addresses_are_taken_out() {
        for (reason, shared) in [
            ("cannot resolve web", "cannot resolve HOST"),
            ("the web server web:22 said no", "the HOST server HOST:22 said no"),
            ("at ::1, port 22", "at HOST, port 22"),
            ("at [::1]:22", "at HOST:22"),
            ("(127.0.0.1)", "(HOST)"),
            ("web: no", "HOST: no"),
            ("exit status 3", "exit status 3"),
            ("version 1.2.3", "version 1.2.3"),
            ("webserver", "webserver"),
        ] {
            assert_eq!(without_names(reason, &["web"]), shared);
        }
    }
}
