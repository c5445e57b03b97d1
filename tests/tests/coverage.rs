//! `docs/coverage.md` says what the seeds promise and which test proves each promise. This holds it to its word.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

const COLUMNS: &str = "| seed item | our name | status | test | note |";

/// The capabilities that a planned row may wait for.
const CAPABILITIES: [&str; 4] = [
    "supervisor and forwards",
    "expect and evidence",
    "starlark",
    "sandbox and guests",
];

/// What is wrong with a coverage document, one message per finding. `source` gives a source file's text by its path.
fn problems(document: &str, source: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut problems = Vec::new();
    let mut section = "";
    let mut seen = BTreeSet::new();
    for (number, line) in (1..).zip(document.lines()) {
        if line.starts_with('#') {
            section = line;
            // The same class may stand under two seeds: only repetitions in one seed's section are mistakes.
            if line.starts_with("## ") {
                seen.clear();
            }
        }
        if !line.starts_with('|') || line == COLUMNS || line == "|---|---|---|---|---|" {
            continue;
        }
        let mut report = |problem: String| problems.push(format!("line {number}: {problem}"));
        let cells = cells(line);
        let [item, name, status, test, _note] = cells.as_slice() else {
            report(format!("{} cells instead of 5", cells.len()));
            continue;
        };
        if item.is_empty() || name.is_empty() {
            report("the seed item or our name is empty".to_owned());
        }
        if !seen.insert((section, item.clone())) {
            report(format!("{item} stands twice in this section"));
        }
        match status.strip_prefix("planned: ") {
            Some(capability) if !CAPABILITIES.contains(&capability) => {
                report(format!("`{capability}` is no capability"));
            }
            Some(_) if !test.is_empty() => report("a planned row names a test".to_owned()),
            Some(_) => {}
            None if status == "done" => {
                for reference in references(test) {
                    if let Err(problem) = check_reference(reference, &source) {
                        report(problem);
                    }
                }
                if references(test).next().is_none() {
                    report("done, but no test is named".to_owned());
                }
            }
            None => report(format!("unknown status `{status}`")),
        }
    }
    problems
}

/// A row's cells, trimmed. `\|` is a bar inside a cell, also inside code, as GitHub reads it.
fn cells(row: &str) -> Vec<String> {
    const BAR: &str = "\u{0}";
    let row = row.replace("\\|", BAR);
    let inner = row
        .trim()
        .strip_prefix('|')
        .and_then(|rest| rest.strip_suffix('|'))
        .unwrap_or_default();
    inner
        .split('|')
        .map(|cell| cell.trim().replace(BAR, "|"))
        .collect()
}

/// The references of a test cell, which are separated by commas: `` `path::function` ``.
fn references(cell: &str) -> impl Iterator<Item = &str> {
    cell.split(',')
        .map(str::trim)
        .filter(|reference| !reference.is_empty())
}

/// Whether the reference names a function with a test attribute in a file that exists.
fn check_reference(reference: &str, source: impl Fn(&str) -> Option<String>) -> Result<(), String> {
    let (path, function) = reference
        .strip_prefix('`')
        .and_then(|rest| rest.strip_suffix('`'))
        .and_then(|inner| inner.rsplit_once("::"))
        .ok_or_else(|| format!("{reference} is not of the form `path::function`"))?;
    let text = source(path).ok_or_else(|| format!("there is no file {path}"))?;
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let signature = format!("fn {function}(");
    let at = lines
        .iter()
        .position(|line| line.contains(&signature))
        .ok_or_else(|| format!("{path} has no function {function}"))?;
    let attributed = lines
        .iter()
        .take(at)
        .rev()
        .take_while(|line| line.starts_with("#[") || line.starts_with("//"))
        .any(|line| line.starts_with("#[") && line.contains("test"));
    if attributed {
        Ok(())
    } else {
        Err(format!("{function} in {path} is not a test"))
    }
}

#[test]
fn every_row_of_the_coverage_document_tells_the_truth() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let document = fs::read_to_string(root.join("docs/coverage.md")).expect("docs/coverage.md");
    let found = problems(&document, |path| fs::read_to_string(root.join(path)).ok());
    assert!(found.is_empty(), "docs/coverage.md:\n{}", found.join("\n"));
}

#[test]
fn every_seed_has_its_section_with_rows() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let document = fs::read_to_string(root.join("docs/coverage.md")).expect("docs/coverage.md");
    let mut rows = BTreeMap::new();
    let mut seed = String::new();
    for line in document.lines() {
        if let Some(title) = line.strip_prefix("## Seed ") {
            seed = title.split(':').next().unwrap_or_default().to_owned();
        } else if line.starts_with("| ") && line != COLUMNS {
            *rows.entry(seed.clone()).or_insert(0) += 1;
        }
    }
    let seeds: Vec<&str> = rows.keys().map(String::as_str).collect();
    assert_eq!(seeds, ["000", "001", "002", "003", "004"]);
}

#[test]
fn each_kind_of_false_row_is_found() {
    const SOURCE: &str = "#[test]\nfn proven() {}\n\n#[tokio::test]\n// Why it matters.\nasync fn awaited() {}\n\nfn helper() {}\n";
    let source = |path: &str| (path == "src/a.rs").then(|| SOURCE.to_owned());
    let cases = [
        ("| `a` | b | done | `src/a.rs::proven` | |", None),
        (
            "| `a` | b | done | `src/a.rs::proven`, `src/a.rs::awaited` | a note |",
            None,
        ),
        ("| `a: x \\| None` | b | planned: starlark | | |", None),
        ("| `a` | b | done | | |", Some("no test is named")),
        ("| `a` | b | done | , | |", Some("no test is named")),
        ("| `a` | b | done | src/a.rs::proven | |", Some("not of the form")),
        (
            "| `a` | b | done | `src/b.rs::proven` | |",
            Some("no file src/b.rs"),
        ),
        (
            "| `a` | b | done | `src/a.rs::prove` | |",
            Some("no function prove"),
        ),
        ("| `a` | b | done | `src/a.rs::helper` | |", Some("is not a test")),
        (
            "| `a` | b | done | `src/a.rs::proven`, `src/a.rs::gone` | |",
            Some("no function gone"),
        ),
        ("| `a` | b | nearly | | |", Some("unknown status `nearly`")),
        ("| `a` | b | | | |", Some("unknown status ``")),
        ("| `a` | b | planned: some day | | |", Some("no capability")),
        (
            "| `a` | b | planned: starlark | `src/a.rs::proven` | |",
            Some("a planned row names a test"),
        ),
        ("| `a` | | planned: starlark | | |", Some("is empty")),
        ("| `a` | b | planned: starlark | |", Some("4 cells instead of 5")),
        (
            "| `a` | b | planned: starlark | | | more |",
            Some("6 cells instead of 5"),
        ),
        ("| `a` | b | planned: starlark | | ", Some("cells instead of 5")),
        (
            "| `a` | b | planned: starlark | | |\n| `a` | c | planned: starlark | | |",
            Some("stands twice"),
        ),
    ];
    for (row, expected) in cases {
        let found = problems(
            &format!("## Seed\n\n{COLUMNS}\n|---|---|---|---|---|\n{row}\n"),
            source,
        )
        .join("\n");
        match expected {
            None => assert_eq!(found, "", "{row}"),
            Some(text) => assert!(found.contains(text), "{row}: {found:?}"),
        }
    }
}
