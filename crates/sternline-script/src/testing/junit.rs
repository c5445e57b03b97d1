//! Reports for machines that build: JUnit's XML, as Jenkins, GitLab and others read it.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use super::report::{CaseReport, FileReport, Outcome, Problem, TestReport};

/// The whole report as a document: a test suite for each file. A file that cannot be loaded has one test case of its own name.
#[must_use]
pub fn junit(report: &TestReport) -> String {
    let counts = report.counts();
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        xml,
        "<testsuites name=\"sternline\" tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"{}\" time=\"{}\">",
        counts.passed + counts.failed + counts.skipped,
        counts.failed,
        counts.skipped,
        seconds(report.duration),
    );
    for file in &report.files {
        suite(&mut xml, file);
    }
    xml.push_str("</testsuites>\n");
    xml
}

fn suite(xml: &mut String, file: &FileReport) {
    let counts = file.counts();
    let _ = writeln!(
        xml,
        "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"{}\" time=\"{}\">",
        attribute(&file.path),
        counts.passed + counts.failed + counts.skipped,
        counts.failed,
        counts.skipped,
        seconds(file.duration),
    );
    if !matches!(file.load, Outcome::Passed) {
        let whole = CaseReport {
            name: file.path.clone(),
            line: 0,
            outcome: file.load.clone(),
            output: file.output.clone(),
            duration: file.duration,
        };
        test_case(xml, file, &whole);
    }
    for case in &file.cases {
        test_case(xml, file, case);
    }
    xml.push_str("  </testsuite>\n");
}

fn test_case(xml: &mut String, file: &FileReport, case: &CaseReport) {
    let class = Path::new(&file.path).with_extension("");
    let _ = write!(
        xml,
        "    <testcase name=\"{}\" classname=\"{}\" file=\"{}\" time=\"{}\"",
        attribute(&case.name),
        attribute(&class.to_string_lossy().replace('/', ".")),
        attribute(&file.path),
        seconds(case.duration),
    );
    if case.line > 0 {
        let _ = write!(xml, " line=\"{}\"", case.line);
    }
    xml.push_str(">\n");
    match &case.outcome {
        Outcome::Passed => {}
        Outcome::Skipped(reason) => {
            let _ = writeln!(xml, "      <skipped message=\"{}\"/>", attribute(reason));
        }
        // Readers take one failure for each test case.
        Outcome::Failed(problems) => {
            let message: Vec<&str> = problems.iter().map(|problem| problem.message.as_str()).collect();
            let details: Vec<String> = problems.iter().map(details).collect();
            let _ = writeln!(
                xml,
                "      <failure message=\"{}\" type=\"{}\">{}</failure>",
                attribute(&message.join("; ")),
                problems.first().map_or("test", |problem| problem.stage.word()),
                content(&details.join("\n")),
            );
        }
    }
    if !case.output.is_empty() {
        let _ = writeln!(xml, "      <system-out>{}</system-out>", content(&case.output));
    }
    xml.push_str("    </testcase>\n");
}

fn details(problem: &Problem) -> String {
    let mut text = problem.message.clone();
    let frames = problem
        .error
        .iter()
        .flat_map(|error| error.frames())
        .filter(|frame| frame.line > 0);
    for frame in frames.collect::<Vec<_>>().into_iter().rev() {
        let _ = write!(
            text,
            "\n  at {}:{}:{}: {}",
            frame.file,
            frame.line,
            frame.column,
            frame.text.trim()
        );
    }
    text
}

fn seconds(time: Duration) -> String {
    format!("{:.3}", time.as_secs_f64())
}

/// Text between tags. What XML cannot hold, such as escape, comes out as `\u{1b}`.
fn content(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\n' | '\t' => escaped.push(char),
            char if char < ' ' || matches!(char, '\u{fffe}' | '\u{ffff}') => {
                let _ = write!(escaped, "\\u{{{:x}}}", u32::from(char));
            }
            char => escaped.push(char),
        }
    }
    escaped
}

/// Text in an attribute's quotes, where readers would otherwise make spaces of line ends.
fn attribute(text: &str) -> String {
    content(text)
        .replace('"', "&quot;")
        .replace('\n', "&#10;")
        .replace('\t', "&#9;")
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::example;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_report_is_a_suite_for_each_file_and_a_case_for_each_test() {
        let wanted = r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="sternline" tests="3" failures="1" errors="0" skipped="1" time="2.000">
  <testsuite name="a_test.star" tests="3" failures="1" errors="0" skipped="1" time="1.600">
    <testcase name="test_a" classname="a_test" file="a_test.star" time="0.012" line="3">
    </testcase>
    <testcase name="test_b" classname="a_test" file="a_test.star" time="1.500" line="7">
      <failure message="it is &lt;wrong&gt;" type="test">it is &lt;wrong&gt;</failure>
      <system-out>hello
\u{1b}[31m
</system-out>
    </testcase>
    <testcase name="test_c" classname="a_test" file="a_test.star" time="0.000" line="9">
      <skipped message="no docker"/>
    </testcase>
  </testsuite>
</testsuites>
"#;
        assert_eq!(junit(&example()), wanted);
    }

    #[test]
    fn a_file_that_does_not_load_has_a_case_of_its_own() {
        let mut report = example();
        let problem = Problem {
            stage: super::super::Stage::Load,
            message: "no".into(),
            error: None,
        };
        report.files[0].load = Outcome::Failed(vec![problem]);
        report.files[0].cases.clear();
        let xml = junit(&report);
        assert!(xml.contains(r#"tests="1" failures="1""#), "{xml}");
        assert!(
            xml.contains(r#"<failure message="no" type="load">no</failure>"#),
            "{xml}"
        );
    }

    proptest! {
        #[test]
        fn no_text_breaks_out_of_its_place(text in any::<String>()) {
            let (inside, quoted) = (content(&text), attribute(&text));
            prop_assert!(!inside.contains(['<', '>']) && !quoted.contains(['<', '>', '"', '\n']));
            prop_assert!(!inside.chars().any(|c| c.is_ascii_control() && !matches!(c, '\n' | '\t' | '\x7f')));
            let entities = inside.split('&').skip(1);
            for entity in entities {
                prop_assert!(["amp;", "lt;", "gt;"].iter().any(|known| entity.starts_with(known)));
            }
        }
    }
}
