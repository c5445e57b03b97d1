//! What is shown of a run.

use std::io::IsTerminal;

use bytes::Bytes;
use data_encoding::BASE64;
use serde_json::{Map, Value};
use sternline::proto::text::escape_bytes;
use sternline::sandbox::ProcessResult;

use crate::ui::{Output, Sink, Unwritten};

/// The name and version of the JSON objects. It changes when a field changes its meaning or goes.
const SCHEMA: &str = "sternline.sandbox.run/1";

/// Shows what a command wrote. With a label each line has it in front.
pub(super) async fn output(
    output: &Output,
    label: Option<&str>,
    stdout: &Bytes,
    stderr: &Bytes,
) -> Result<(), Unwritten> {
    let to_terminal = std::io::stdout().is_terminal();
    output
        .write(Sink::Stdout, shown(label, stdout, to_terminal))
        .await?;
    let to_terminal = std::io::stderr().is_terminal();
    output
        .write(Sink::Stderr, shown(label, stderr, to_terminal))
        .await
}

/// What a program wrote that is not trusted: a terminal must not obey it, and everything else gets it as it is.
fn shown(label: Option<&str>, bytes: &Bytes, to_terminal: bool) -> Bytes {
    if bytes.is_empty() || (label.is_none() && !to_terminal) {
        return bytes.clone();
    }
    let mut text = Vec::with_capacity(bytes.len() + bytes.len() / 8);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        if let Some(label) = label {
            text.extend_from_slice(label.as_bytes());
            text.extend_from_slice(b": ");
        }
        match to_terminal {
            true => push_escaped(&mut text, line),
            false => text.extend_from_slice(line),
        }
    }
    if label.is_some() && !text.ends_with(b"\n") {
        text.push(b'\n');
    }
    text.into()
}

/// Tabs and the end of the line stay, and so do backslashes, of which none is of ours.
fn push_escaped(text: &mut Vec<u8>, line: &[u8]) {
    let mut pieces = line.split(|byte| matches!(byte, b'\t' | b'\n' | b'\\'));
    let mut signs = line.iter().filter(|byte| matches!(byte, b'\t' | b'\n' | b'\\'));
    for piece in &mut pieces {
        text.extend_from_slice(escape_bytes(piece).as_bytes());
        text.extend(signs.next());
    }
}

/// One host's outcome as one JSON object.
pub(super) fn json(label: &str, profile: &str, outcome: &sternline::Result<ProcessResult>) -> String {
    let mut object = Map::new();
    object.insert("schema".into(), SCHEMA.into());
    object.insert("host".into(), label.into());
    object.insert("profile".into(), profile.into());
    let result = outcome.as_ref().ok();
    object.insert("ok".into(), result.is_some_and(ProcessResult::succeeded).into());
    object.insert("returncode".into(), result.map(|result| result.returncode).into());
    object.insert("signal".into(), result.and_then(|result| result.signal).into());
    object.insert(
        "timed_out".into(),
        result.is_some_and(|result| result.timed_out).into(),
    );
    object.insert("side".into(), result.map(|result| result.side.as_str()).into());
    let partial = outcome.as_ref().err().and_then(sternline::Error::partial_output);
    let written = match (result, partial) {
        (Some(result), _) => [("stdout", &result.stdout), ("stderr", &result.stderr)],
        (None, Some(partial)) => [("stdout", &partial.stdout), ("stderr", &partial.stderr)],
        (None, None) => [("stdout", &Bytes::new()), ("stderr", &Bytes::new())],
    };
    for (name, bytes) in written {
        let text = String::from_utf8_lossy(bytes);
        let is_exact = matches!(text, std::borrow::Cow::Borrowed(_));
        object.insert(name.into(), text.into());
        if !is_exact {
            object.insert(format!("{name}_base64"), BASE64.encode(bytes).into());
        }
    }
    let millis = result.map(|result| (result.duration.as_secs_f64() * 1_000_000.0).round() / 1000.0);
    object.insert("duration_ms".into(), millis.into());
    let error = outcome.as_ref().err().map(|error| Value::Object(error.to_dict()));
    object.insert("error".into(), error.unwrap_or(Value::Null));
    Value::Object(object).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_obeys_nothing_and_others_get_every_byte() {
        let bytes = Bytes::from_static(b"a\tb\\c\x1b[31m\nnext\xff");
        assert_eq!(shown(None, &bytes, false), bytes);
        assert_eq!(shown(None, &bytes, true), "a\tb\\c\\x1b[31m\nnext\\xff");
        assert_eq!(
            shown(Some("h"), &bytes, true),
            "h: a\tb\\c\\x1b[31m\nh: next\\xff\n"
        );
        assert_eq!(shown(Some("h"), &Bytes::new(), true), "");
    }
}
