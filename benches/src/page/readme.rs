//! The table in the README: a few kinds of work, against those whom people know.

use std::error::Error;
use std::fmt::Write;

use crate::results::{Results, Work};

const BEGIN: &str =
    "<!-- Made from docs/benchmarks/results.json: cargo run -p sternline-benches --bin page -->\n";
const END: &str = "<!-- End of what is made. -->\n";

/// The kinds of work that the README shows.
const WORKS: [&str; 8] = [
    "warm-command",
    "connect",
    "fan-out-200",
    "fan-out-1000",
    "file-down",
    "file-up",
    "tree-down",
    "file-down-50ms",
];

/// The columns, each with the names that a peer has in the rows: OpenSSH has another program for each purpose.
const PEERS: [(&str, &[&str]); 4] = [
    ("OpenSSH", &["ssh", "scp", "xargs, ssh"]),
    ("asyncssh", &["asyncssh"]),
    ("paramiko", &["paramiko"]),
    ("parallel-ssh", &["parallel-ssh"]),
];

/// The README with the table of these results in the place of the one that is there.
pub(super) fn with_table(readme: &str, results: &Results) -> Result<String, Box<dyn Error>> {
    let lacks = || "the README has no place for the table of benchmarks";
    let (before, rest) = readme.split_once(BEGIN).ok_or_else(lacks)?;
    let (_, after) = rest.split_once(END).ok_or_else(lacks)?;
    Ok(format!("{before}{BEGIN}{}{END}{after}", table(results)))
}

fn table(results: &Results) -> String {
    let works: Vec<&Work> = WORKS
        .iter()
        .filter_map(|name| results.works.iter().find(|work| work.name == *name))
        .collect();
    if works.is_empty() {
        return String::new();
    }
    let mut text = String::from("| Sternline's time divided by that of |");
    for (peer, _) in PEERS {
        let _ = write!(text, " {peer} |");
    }
    text.push_str("\n|---|");
    text.push_str(&"---|".repeat(PEERS.len()));
    text.push('\n');
    for work in works {
        let _ = write!(text, "| {} |", work.title);
        for (_, names) in PEERS {
            let ours = work.ours().next().map_or("", |row| row.peer.as_str());
            let ratio = names.iter().find_map(|name| work.ratio(ours, name, "time"));
            let ratio = ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
            let _ = write!(text, " {ratio} |");
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::{Quantity, Row, Session};

    #[test]
    fn the_table_takes_the_place_of_the_one_before() {
        let (mut ours, mut theirs) = (Row::ours("sternline cp"), Row::new("scp", "9"));
        ours.add("time", 1.0);
        theirs.add("time", 4.0);
        let mut results = Results::default();
        results.put(Work {
            name: "file-up".into(),
            title: "1 GiB uploaded".into(),
            timed: String::new(),
            quantities: vec![Quantity::new("time", "time", "s")],
            rows: vec![ours, theirs],
            wanted: Vec::new(),
            session: Session::default(),
        });
        let readme = format!("before\n{BEGIN}old\n{END}after\n");
        let new = with_table(&readme, &results).unwrap();
        assert!(new.contains("| 1 GiB uploaded | 0.25 | - | - | - |\n"), "{new}");
        assert!(new.starts_with("before\n") && new.ends_with("after\n") && !new.contains("old"));
        assert_eq!(with_table(&new, &results).unwrap(), new);
        assert!(with_table("nothing", &results).is_err());
    }
}
