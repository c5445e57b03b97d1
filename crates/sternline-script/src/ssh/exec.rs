//! A command on all hosts: driven to its end, with a function of the script called for each line where one was given.

use std::sync::Arc;

use sternline::exec::{ExecRequest, OutputStream};
use sternline::fleet::{Collector, FleetEvent};
use sternline::{Fleet, Result};
use tokio::sync::oneshot;

use super::result::Ran;
use crate::callback::{Callback, Jobs};
use crate::stop::Stop;

/// Calls `fn(host, stream, line)` of the script.
pub(super) struct LineCalls {
    jobs: Jobs,
    function: Callback,
}

/// How a run ended.
pub(super) struct Ended {
    pub(super) results: Vec<Ran>,
    /// Why the script's function has failed. The commands were ended then.
    pub(super) callback: Option<starlark::Error>,
}

/// Runs it. When the script has to stop, the commands are ended on their hosts.
///
/// # Errors
/// When nothing could be begun.
pub(super) async fn run(
    fleet: &Fleet,
    labels: &[String],
    request: impl Fn(&str) -> ExecRequest + Send + 'static,
    stop: &Stop,
    lines: Option<LineCalls>,
) -> Result<Ended> {
    let mut run = fleet.start(request)?;
    let mut collector = Collector::default();
    let mut results: Vec<Option<Ran>> = labels.iter().map(|_| None).collect();
    let (mut stopped, mut callback) = (false, None);
    loop {
        let event = tokio::select! {
            biased;
            _ = stop.stopped(), if !stopped => {
                stopped = true;
                run.cancel();
                continue;
            }
            event = run.next() => event,
        };
        let Some(event) = event else { break };
        if let (FleetEvent::Lines { index, stream, bytes }, Some(lines)) = (&event, &lines)
            && !stopped
            && callback.is_none()
        {
            let label = labels.get(*index).map(String::as_str).unwrap_or_default();
            if let Err(error) = lines.call(label, *stream, bytes, stop).await {
                callback = Some(error);
                run.cancel();
            }
        }
        if let Some((index, outcome)) = collector.add(event).await
            && let (Some(slot), Some(label)) = (results.get_mut(index), labels.get(index))
        {
            *slot = Some(Ran::of(label, outcome).await);
        }
    }
    let lost = |label: &str| Ran::failed(label, "the work on this host was interrupted".to_owned());
    let results = results
        .into_iter()
        .zip(labels)
        .map(|(ran, label)| ran.unwrap_or_else(|| lost(label)));
    Ok(Ended {
        results: results.collect(),
        callback,
    })
}

impl LineCalls {
    pub(super) fn new(jobs: Jobs, function: Callback) -> Self {
        Self { jobs, function }
    }

    /// Has the script's thread call the function for each of these lines, and waits for it: hosts that write faster are held
    /// back, and no line is told after the call has ended.
    async fn call(
        &self,
        label: &str,
        stream: OutputStream,
        bytes: &[u8],
        stop: &Stop,
    ) -> std::result::Result<(), starlark::Error> {
        let (reply, answer) = oneshot::channel();
        let lines: Vec<String> = split(bytes);
        let (label, stream) = (label.to_owned(), name(stream));
        self.jobs.post(
            self.function,
            Box::new(move |eval, function| {
                if reply.is_closed() {
                    return;
                }
                let done = function.and_then(|function| {
                    for line in &lines {
                        let heap = eval.heap();
                        let arguments = [
                            heap.alloc(label.as_str()),
                            heap.alloc(stream),
                            heap.alloc(line.as_str()),
                        ];
                        eval.eval_function(function, &arguments, &[])?;
                    }
                    Ok(())
                });
                // Whoever waited has gone meanwhile.
                let _ = reply.send(done);
            }),
        );
        tokio::select! {
            biased;
            _ = stop.stopped() => Ok(()),
            answer = answer => answer.unwrap_or(Ok(())),
        }
    }
}

/// The lines without their ends. What is not UTF-8 becomes U+FFFD.
fn split(bytes: &[u8]) -> Vec<String> {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let line = |line: &[u8]| String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned();
    bytes.split(|byte| *byte == b'\n').map(line).collect()
}

fn name(stream: OutputStream) -> &'static str {
    match stream {
        OutputStream::Stdout => "stdout",
        OutputStream::Stderr => "stderr",
    }
}

/// What a command would be, for each host.
pub(super) fn dry_run(labels: &[String], text: &str) -> Vec<Ran> {
    let told: Arc<str> = text.into();
    let ran = |label: &String| Ran {
        stdout: format!("[DRY RUN] Would execute on {label}: {told}"),
        dry_run: true,
        ..Ran::well(label)
    };
    labels.iter().map(ran).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_come_without_their_ends() {
        assert_eq!(split(b"a\nb\r\n\nc\n"), ["a", "b", "", "c"]);
        assert_eq!(split(b"a"), ["a"]);
        assert_eq!(split(b"\n"), [""]);
        assert_eq!(split(b"\xff\n"), ["\u{fffd}"]);
    }

    proptest! {
        #[test]
        fn whole_lines_are_told_once_each(lines in prop::collection::vec("[a-z]{0,5}", 1..20)) {
            let text = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
            prop_assert_eq!(split(text.as_bytes()), lines);
        }
    }
}
