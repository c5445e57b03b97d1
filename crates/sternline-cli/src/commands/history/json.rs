//! Runs, hosts and differences as JSON.

use data_encoding::{BASE64, HEXLOWER};
use serde_json::{Map, Value, json};
use sternline_history::{Change, Host, Output, Run, Stream};

/// A run as a JSON object.
pub(super) fn run_json(run: &Run, schema: &str) -> Value {
    json!({
        "schema": schema,
        "id": run.id.as_str(),
        "state": run.state.as_str(),
        "verb": run.verb,
        "command": run.command,
        "command_line": run.command_line,
        "begun_ms": run.begun_ms,
        "ended_ms": run.ended_ms,
        "duration_ms": run.duration().map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX)),
        "user": run.user,
        "machine": run.machine,
        "version": run.version,
        "options": run.options,
        "records_output": run.records_output,
        "hosts": run.hosts,
        "ok": run.ok,
        "failed": run.failed,
        "skipped": run.skipped,
        "unknown": run.unknown(),
    })
}

/// A host of a run as a JSON object, with what was kept of its output.
pub(super) fn host_json(host: &Host, output: &[Option<Output>; 2]) -> Value {
    let error = host.error.as_ref().map(|error| {
        json!({ "error_type": error.error_type, "message": error.message, "phase": error.phase, "sent": error.sent })
    });
    let [stdout, stderr] = output;
    json!({
        "host": host.name,
        "target": host.target,
        "outcome": host.outcome.map(|outcome| outcome.as_str()),
        "exit_code": host.exit_code,
        "signal": host.signal,
        "error": error,
        "skipped": host.skipped,
        "duration_ms": host.duration.map(|took| took.as_secs_f64() * 1000.0),
        "attempts": host.attempts,
        "stdout": host.stdout.as_ref().map(|stream| stream_json(stream, stdout.as_ref())),
        "stderr": host.stderr.as_ref().map(|stream| stream_json(stream, stderr.as_ref())),
    })
}

/// A stream: its length, its hash, and what was kept of it, as text and, where it is none, in base64 too.
fn stream_json(stream: &Stream, kept: Option<&Output>) -> Value {
    let mut object = Map::new();
    object.insert("bytes".into(), stream.bytes.into());
    object.insert("hash".into(), HEXLOWER.encode(&stream.hash).into());
    if let Some(kept) = kept {
        let text = String::from_utf8_lossy(&kept.data);
        if let std::borrow::Cow::Owned(_) = text {
            object.insert("kept_base64".into(), BASE64.encode(&kept.data).into());
        }
        object.insert("kept".into(), text.into());
        object.insert("cut".into(), kept.cut.into());
    }
    Value::Object(object)
}

/// What differs between two runs as a JSON object.
pub(super) fn diff_json(before: &Run, after: &Run, changes: &[Change]) -> Value {
    let head = |run: &Run| json!({ "id": run.id.as_str(), "begun_ms": run.begun_ms, "command": run.command });
    let host = |host: Option<&Host>| host.map(|host| host_json(host, &[None, None]));
    let changes: Vec<Value> = changes
        .iter()
        .map(|change| {
            let either = change.before.as_ref().or(change.after.as_ref());
            json!({
                "host": either.map(|host| host.name.as_str()),
                "target": either.map(|host| host.target.as_str()),
                "what": change.what.iter().map(|what| what.as_str()).collect::<Vec<_>>(),
                "before": host(change.before.as_ref()),
                "after": host(change.after.as_ref()),
            })
        })
        .collect();
    json!({
        "schema": "sternline.history.diff/1",
        "same": changes.is_empty(),
        "before": head(before),
        "after": head(after),
        "changes": changes,
    })
}
