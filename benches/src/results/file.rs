//! The file of results.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::row::Work;

/// Written into the file; another number means another format.
const SCHEMA: u32 = 2;

/// How long a line of the file gets before its parts stand on lines of their own.
const WIDTH: usize = 120;

/// Everything that was measured, each kind of work as it came out last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Results {
    schema: u32,
    /// In the order in which the suite has them.
    pub works: Vec<Work>,
}

impl Default for Results {
    fn default() -> Self {
        Self {
            schema: SCHEMA,
            works: Vec::new(),
        }
    }
}

impl Results {
    /// The project's own file.
    #[must_use]
    pub fn path() -> PathBuf {
        [
            env!("CARGO_MANIFEST_DIR"),
            "..",
            "docs",
            "benchmarks",
            "results.json",
        ]
        .iter()
        .collect()
    }

    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read, or is no file of results.
    pub fn read(path: &Path) -> io::Result<Self> {
        let results: Self = serde_json::from_slice(&fs::read(path)?)?;
        if results.schema != SCHEMA {
            let message = format!("{}: schema {} is unknown", path.display(), results.schema);
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        Ok(results)
    }

    /// Puts in what was measured, in the place of what was measured of it before.
    pub fn put(&mut self, work: Work) {
        match self.works.iter_mut().find(|known| known.name == work.name) {
            Some(known) => *known = work,
            None => self.works.push(work),
        }
    }

    /// Writes a file, whole or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let beside = path.with_extension("json.part");
        fs::write(&beside, self.text()?)?;
        fs::rename(&beside, path)
    }

    /// JSON whose lines are long enough to be few, and short enough to be compared.
    ///
    /// # Errors
    /// Never, short of a number that is none.
    pub fn text(&self) -> io::Result<String> {
        let mut text = String::new();
        lay_out(&serde_json::to_value(self)?, 0, &mut text);
        text.push('\n');
        Ok(text)
    }
}

/// A value on one line where it fits or holds nothing but numbers, otherwise each of its parts by itself.
fn lay_out(value: &Value, depth: usize, text: &mut String) {
    let line = value.to_string();
    let (parts, ends): (Vec<(String, &Value)>, _) = match value {
        Value::Array(items) if !items.iter().all(Value::is_number) => (
            items.iter().map(|item| (String::new(), item)).collect(),
            ['[', ']'],
        ),
        Value::Object(fields) => (
            fields
                .iter()
                .map(|(name, value)| (format!("{}: ", Value::from(name.as_str())), value))
                .collect(),
            ['{', '}'],
        ),
        _ => (Vec::new(), [' ', ' ']),
    };
    if parts.is_empty() || depth + line.len() <= WIDTH {
        text.push_str(&line);
        return;
    }
    let [begin, end] = ends;
    text.push(begin);
    for (index, (name, value)) in parts.iter().enumerate() {
        text.push_str(if index == 0 { "\n" } else { ",\n" });
        text.push_str(&" ".repeat(depth + 1));
        text.push_str(name);
        lay_out(value, depth + 1, text);
    }
    text.push('\n');
    text.push_str(&" ".repeat(depth));
    text.push(end);
}

#[cfg(test)]
mod tests {
    use super::super::row::{Quantity, Row};
    use super::super::session::Session;
    use super::*;

    fn work(name: &str, rounds: usize) -> Work {
        let mut row = Row::ours("sternline");
        for round in 0..rounds {
            row.add("time", round as f64 + 0.25);
        }
        Work {
            name: name.into(),
            title: "A \"title\" with\nquotes".into(),
            timed: "t".repeat(200),
            quantities: vec![Quantity::new("time", "time", "ms")],
            rows: vec![row],
            wanted: Vec::new(),
            session: Session::default(),
        }
    }

    #[test]
    fn a_file_is_read_back_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.json");
        let mut results = Results::default();
        results.put(work("one", 3));
        results.put(work("two", 100));
        results.write(&path).unwrap();
        assert_eq!(Results::read(&path).unwrap(), results);
        fs::write(&path, r#"{"schema": 1, "works": []}"#).unwrap();
        assert!(Results::read(&path).is_err());
    }

    #[test]
    fn a_work_takes_the_place_of_what_was_measured_before() {
        let mut results = Results::default();
        results.put(work("one", 1));
        results.put(work("two", 1));
        results.put(work("one", 2));
        let rounds: Vec<_> = results.works.iter().map(Work::rounds).collect();
        assert_eq!(rounds, [2, 1]);
    }

    #[test]
    fn numbers_stay_on_one_line() {
        let mut results = Results::default();
        results.put(work("one", 100));
        let text = results.text().unwrap();
        let line = text.lines().find(|line| line.contains("99.25")).unwrap();
        assert!(line.contains("[0.25,1.25,"), "{line}");
    }
}
