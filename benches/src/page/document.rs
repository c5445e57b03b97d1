//! The page itself, as Markdown.

use std::fmt::Write;

use super::figure;
use super::verdict::wins;
use crate::results::{Results, Row, Session, Work};

const HEAD: &str = "\
# Benchmarks

This page is made from [benchmarks/results.json](benchmarks/results.json) by `cargo run -p sternline-benches --bin page`, and a test
fails when the two differ. What was measured, and how, says [benches/README.md](../benches/README.md). To measure it again, as root and
with nothing else running:

```sh
cargo build --release -p sternline-cli -p sternline-benches
target/release/peers --json docs/benchmarks/results.json
cargo run --release -p sternline-benches --bin page
```

A ratio is Sternline's figure divided by the peer's in the same round, and then the median of all rounds, because a machine's speed
changes from minute to minute: below 1 Sternline needs less. Compare ratios, never seconds of different sessions.
";

pub(super) fn document(results: &Results) -> String {
    let mut text = HEAD.to_owned();
    if results.works.is_empty() {
        text.push_str("\nNothing has been measured yet.\n");
        return text;
    }
    sessions(&mut text, results);
    wanted(&mut text, results);
    losses(&mut text, results);
    text.push_str("\n## All results\n");
    for work in &results.works {
        section(&mut text, work);
    }
    text
}

/// Where and when, once for all works that were measured together.
fn sessions(text: &mut String, results: &Results) {
    let mut sessions: Vec<(&Session, Vec<&str>)> = Vec::new();
    for work in &results.works {
        match sessions.iter_mut().find(|(session, _)| *session == &work.session) {
            Some((_, names)) => names.push(&work.title),
            None => sessions.push((&work.session, vec![&work.title])),
        }
    }
    text.push_str("\n## Where and when\n\n");
    let one = sessions.len() == 1;
    for (session, titles) in sessions {
        let Session {
            date,
            commit,
            machine,
            system,
            mode,
        } = session;
        let what = match one {
            true => "Everything".to_owned(),
            false => titles.join(", "),
        };
        let quick = match mode.as_str() {
            "quick" => " This was `--quick`, whose figures mean nothing.",
            _ => "",
        };
        let _ = writeln!(
            text,
            "- {what}: {date}, {machine}, {system}, Sternline at commit {commit}.{quick}"
        );
    }
    let mut versions: Vec<String> = Vec::new();
    for row in results.works.iter().flat_map(|work| &work.rows) {
        let version = format!("{} {}", row.peer, row.version);
        let new = !row.ours && !row.version.is_empty() && !row.version.contains("OpenSSH");
        if new && row.version != Row::ours("").version && !versions.contains(&version) {
            versions.push(version);
        }
    }
    let openssh = results.works.iter().flat_map(|work| &work.rows);
    let mut openssh =
        openssh.filter_map(|row| row.version.split(", ").find(|part| part.starts_with("OpenSSH")));
    versions.extend(openssh.next().map(|version| version.replace('_', " ")));
    let _ = writeln!(text, "- The peers: {}.", versions.join(", "));
}

fn wanted(text: &mut String, results: &Results) {
    if results.works.iter().all(|work| work.wanted.is_empty()) {
        return;
    }
    text.push_str(
        "\n## What is wanted, and what came out\n\n\
         | work | quantity | of | against | wanted, at most | measured | |\n|---|---|---|---|---|---|---|\n",
    );
    for work in &results.works {
        for wanted in &work.wanted {
            let quantity = work
                .quantities
                .iter()
                .find(|quantity| quantity.key == wanted.quantity);
            let (title, unit) = quantity.map_or((wanted.quantity.as_str(), ""), |quantity| {
                (quantity.title.as_str(), quantity.unit.as_str())
            });
            let unit = match wanted.against {
                Some(_) => String::new(),
                None => format!(" {unit}"),
            };
            let (measured, verdict) = match wanted.measured(work) {
                Some(measured) => (
                    format!("{}{unit}", figure(measured)),
                    if measured <= wanted.at_most {
                        "met"
                    } else {
                        "**missed**"
                    },
                ),
                None => ("-".to_owned(), "not compared"),
            };
            let _ = writeln!(
                text,
                "| {} | {title} | {} | {} | {}{unit} | {measured} | {verdict} |",
                work.title,
                wanted.of,
                wanted.against.as_deref().unwrap_or("-"),
                figure(wanted.at_most),
            );
        }
    }
}

fn losses(text: &mut String, results: &Results) {
    text.push_str("\n## Where a peer wins\n\nThese need less than Sternline; in parentheses, how many times as much it needs.\n\n");
    let mut any = false;
    for work in &results.works {
        let wins = wins(work);
        for quantity in &work.quantities {
            let peers: Vec<String> = wins
                .iter()
                .filter(|win| win.quantity == quantity)
                .map(|win| format!("**{}** ({} times)", win.peer.peer, figure(win.ratio)))
                .collect();
            if !peers.is_empty() {
                any = true;
                let _ = writeln!(
                    text,
                    "- {}, {}: {}.",
                    work.title,
                    quantity.title,
                    peers.join(", ")
                );
            }
        }
    }
    if !any {
        text.push_str("Nowhere in what was measured.\n");
    }
}

fn section(text: &mut String, work: &Work) {
    let _ = writeln!(text, "\n### {}\n\n{}\n", work.title, work.timed);
    if let Some(quantity) = work.quantities.first() {
        let _ = writeln!(
            text,
            "![{}: {} in {}](benchmarks/{}.svg)\n",
            work.title, quantity.title, quantity.unit, work.name
        );
    }
    let Some(ours) = work.ours().next().map(|row| row.peer.as_str()) else {
        return;
    };
    text.push_str("| |");
    for quantity in &work.quantities {
        let _ = write!(text, " {}, {} | ratio |", quantity.title, quantity.unit);
    }
    text.push_str("\n|---|");
    text.push_str(&"---|---|".repeat(work.quantities.len()));
    text.push('\n');
    for row in work.rows.iter().filter(|row| !row.values.is_empty()) {
        let _ = write!(text, "| {} |", label(row));
        for quantity in &work.quantities {
            let value = row.summary(&quantity.key).map_or_else(
                || "-".to_owned(),
                |summary| match row.of(&quantity.key).len() {
                    1 => figure(summary.median),
                    _ => format!(
                        "{} ({} to {})",
                        figure(summary.median),
                        figure(summary.min),
                        figure(summary.max)
                    ),
                },
            );
            let ratio = work
                .ratio(ours, &row.peer, &quantity.key)
                .map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
            let _ = write!(text, " {value} | {ratio} |");
        }
        text.push('\n');
    }
    let _ = writeln!(
        text,
        "\nThe median, and in parentheses the smallest and the largest of up to {} rounds. The ratio is that of {ours}.",
        work.rounds()
    );
    let mut remarks = String::new();
    for row in &work.rows {
        for note in &row.notes {
            let _ = writeln!(remarks, "- {}: {note}.", row.peer);
        }
        if let Some(reason) = &row.not_run {
            let _ = writeln!(remarks, "- Not run: {}: {reason}.", row.peer);
        }
    }
    if !remarks.is_empty() {
        let _ = write!(text, "\n{remarks}");
    }
}

fn label(row: &Row) -> String {
    let name = match row.ours {
        true => format!("**{}**", row.peer),
        false => row.peer.clone(),
    };
    match row.settings.is_empty() {
        true => name,
        false => format!("{name}, {}", row.settings),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::{Quantity, Wanted};

    #[test]
    fn the_page_says_what_was_missed_who_wins_and_who_did_not_run() {
        let row = |mut row: Row, time: f64| {
            row.add("time", time);
            row.add("time", time);
            row
        };
        let mut results = Results::default();
        results.put(Work {
            name: "connect".into(),
            title: "Connect".into(),
            timed: "All of it.".into(),
            quantities: vec![Quantity::new("time", "time", "ms")],
            rows: vec![
                row(Row::ours("sternline"), 2.0),
                row(Row::new("quick", "7"), 1.0),
                Row::not_run("slow", "it is not installed"),
            ],
            wanted: vec![Wanted::share("sternline", "time", "quick", 0.5)],
            session: Session {
                date: "2026-11-29".into(),
                ..Session::default()
            },
        });
        let page = document(&results);
        for expected in [
            "| Connect | time | sternline | quick | 0.50 | 2.00 | **missed** |",
            "- Connect, time: **quick** (2.00 times).",
            "| **sternline** | 2.00 (2.00 to 2.00) | 1.00 |",
            "- Not run: slow: it is not installed.",
            "![Connect: time in ms](benchmarks/connect.svg)",
            "- Everything: 2026-11-29",
            "quick 7",
        ] {
            assert!(page.contains(expected), "{expected} is missing in {page}");
        }
        assert!(document(&Results::default()).contains("Nothing has been measured"));
    }
}
