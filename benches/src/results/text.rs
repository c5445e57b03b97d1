//! Tables for a terminal.

use std::fmt::{self, Display, Formatter};

use super::row::{Quantity, Row, Wanted, Work};

impl Display for Work {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for quantity in &self.quantities {
            self.table(quantity, f)?;
        }
        for row in &self.rows {
            for note in &row.notes {
                writeln!(f, "  {}: {note}", row.peer)?;
            }
            if let Some(reason) = &row.not_run {
                writeln!(f, "  NOT RUN: {}: {reason}", row.peer)?;
            }
        }
        for wanted in &self.wanted {
            writeln!(f, "  {}", Line { wanted, work: self })?;
        }
        Ok(())
    }
}

impl Work {
    fn table(&self, quantity: &Quantity, f: &mut Formatter<'_>) -> fmt::Result {
        let has_values = |row: &&Row| !row.of(&quantity.key).is_empty();
        let rows: Vec<&Row> = self.rows.iter().filter(has_values).collect();
        if rows.is_empty() {
            return Ok(());
        }
        let ours: Vec<&str> = self
            .ours()
            .filter(has_values)
            .map(|row| row.peer.as_str())
            .collect();
        writeln!(f, "{}: {} in {}", self.title, quantity.title, quantity.unit)?;
        write!(f, "  {:<46} {:>8} {:>8} {:>8}", "", "min", "median", "max")?;
        for name in &ours {
            write!(f, "  {name:>width$}", width = column(name))?;
        }
        writeln!(f)?;
        for row in rows {
            let Some(summary) = row.summary(&quantity.key) else {
                continue;
            };
            write!(
                f,
                "  {:<46} {:>8} {:>8} {:>8}",
                label(row),
                figure(summary.min),
                figure(summary.median),
                figure(summary.max)
            )?;
            for name in &ours {
                let ratio = self.ratio(name, &row.peer, &quantity.key);
                let ratio = ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
                write!(f, "  {ratio:>width$}", width = column(name))?;
            }
            writeln!(f)?;
        }
        writeln!(f)
    }
}

fn column(name: &str) -> usize {
    name.chars().count().max(6)
}

/// Who, exactly.
fn label(row: &Row) -> String {
    let details: Vec<&str> = [row.version.as_str(), row.settings.as_str()]
        .into_iter()
        .filter(|detail| !detail.is_empty())
        .collect();
    match details.is_empty() {
        true => row.peer.clone(),
        false => format!("{} ({})", row.peer, details.join("; ")),
    }
}

/// A value with about three significant digits.
pub(crate) fn figure(value: f64) -> String {
    let digits = match value.abs() {
        100.0.. => 0,
        10.0.. => 1,
        _ => 2,
    };
    format!("{value:.digits$}")
}

/// What is wanted, and what came out.
struct Line<'a> {
    wanted: &'a Wanted,
    work: &'a Work,
}

impl Display for Line<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Wanted {
            of,
            quantity,
            against,
            at_most,
        } = self.wanted;
        let Some(measured) = self.wanted.measured(self.work) else {
            return write!(f, "not compared: {quantity} of {of}");
        };
        let verdict = if measured <= *at_most { "met" } else { "MISSED" };
        write!(f, "{verdict}: {quantity} of {of}")?;
        if let Some(against) = against {
            write!(f, " against {against}")?;
        }
        write!(f, " at most {at_most}: {}", figure(measured))
    }
}

#[cfg(test)]
mod tests {
    use super::super::session::Session;
    use super::*;

    #[test]
    fn a_table_has_who_took_part_and_names_who_did_not() {
        let mut ours = Row::ours("sternline");
        let mut theirs = Row::new("asyncssh", "2.24.1");
        theirs.settings = "100 at once".into();
        ours.add("time", 1.0);
        theirs.add("time", 4.0);
        let work = Work {
            name: "connect".into(),
            title: "Connect".into(),
            timed: String::new(),
            quantities: vec![
                Quantity::new("time", "time for each", "ms"),
                Quantity::new("cpu", "CPU", "ms"),
            ],
            rows: vec![ours, theirs, Row::not_run("paramiko", "it is not installed")],
            wanted: vec![
                Wanted::share("sternline", "time", "asyncssh", 0.2),
                Wanted::share("sternline", "time", "paramiko", 0.2),
            ],
            session: Session::default(),
        };
        let text = work.to_string();
        assert!(text.contains("Connect: time for each in ms"), "{text}");
        assert!(
            text.lines()
                .any(|line| line.contains("asyncssh (2.24.1; 100 at once)") && line.ends_with("0.25")),
            "{text}"
        );
        assert!(text.contains("NOT RUN: paramiko: it is not installed"), "{text}");
        assert!(
            text.contains("MISSED: time of sternline against asyncssh at most 0.2: 0.25"),
            "{text}"
        );
        assert!(text.contains("not compared: time of sternline"), "{text}");
        assert!(!text.contains("CPU"), "{text}");
    }

    #[test]
    fn a_figure_has_three_digits() {
        assert_eq!(
            [0.123, 1.234, 12.34, 123.4].map(figure),
            ["0.12", "1.23", "12.3", "123"]
        );
    }
}
