//! Several hosts, or JSON: a fleet whose lines are labelled or collected.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::process::ExitCode;

use bytes::{BufMut, BytesMut};
use sternline::exec::OutputStream;
use sternline::fleet::{Fleet, FleetEvent, FleetRun, Outcome};
use sternline::proto::target::Target;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::report::{Summary, json_line};
use super::run::{Input, Job};
use crate::connect::{HostSettings, labels};
use crate::exit;
use crate::history::Recording;
use crate::ui::{Failure, Signals, Ui};

pub(super) struct Run<'a> {
    pub(super) targets: &'a [Target],
    pub(super) hosts: &'a [HostSettings],
    pub(super) job: Job,
    pub(super) input: Input,
    pub(super) json: bool,
    pub(super) recording: &'a mut Recording,
}

impl Run<'_> {
    pub(super) async fn run(self, mut signals: Signals, ui: &Ui) -> Result<ExitCode, Failure> {
        let names: Vec<String> = self.targets.iter().map(Target::to_string).collect();
        let settings: HashMap<String, HostSettings> =
            names.iter().cloned().zip(self.hosts.iter().cloned()).collect();
        let fleet = Fleet::new(names).configure(move |host, builder| match settings.get(host) {
            Some(settings) => settings.apply(builder),
            None => builder,
        });
        let (job, input) = (self.job, self.input);
        let mut run = fleet
            .start(move |_| job.request(input.open()))
            .map_err(|error| Failure::from(&error))?;
        let mut printer = Printer {
            labels: labels(self.targets),
            hosts: self.hosts,
            json: self.json,
            recording: self.recording,
            collected: HashMap::new(),
            finished: BTreeMap::new(),
            next: 0,
            summary: Summary::default(),
            only: None,
        };
        let stopped = tokio::select! {
            outcome = printer.print(&mut run) => match outcome {
                Ok(()) => None,
                // The status says of several hosts only whether all went well.
                Err(error) if self.targets.len() > 1 && error.kind() != io::ErrorKind::BrokenPipe => {
                    Some(Failure::output(&error).with_status(exit::FAILED))
                }
                Err(error) => Some(Failure::output(&error)),
            },
            signal = signals.next() => Some(Failure::interrupted(signal)),
        };
        if let Some(failure) = stopped {
            run.cancel();
            // The commands are being ended on their hosts. Whoever asks a second time does not want to wait for it.
            tokio::select! {
                () = printer.drain(&mut run) => printer.summary.show(ui),
                _ = signals.next() => {}
            }
            return Err(failure);
        }
        if self.targets.len() == 1 {
            return printer
                .only
                .unwrap_or_else(|| Err(Failure::connection("the host gave no result")));
        }
        printer.summary.show(ui);
        Ok(match printer.summary.all_ok() {
            true => ExitCode::SUCCESS,
            false => ExitCode::from(exit::FAILED),
        })
    }
}

/// Prints lines as they come, or JSON objects in the order of the hosts.
struct Printer<'a> {
    labels: Vec<String>,
    hosts: &'a [HostSettings],
    json: bool,
    recording: &'a mut Recording,
    /// The output so far of hosts that have not ended, for JSON.
    collected: HashMap<usize, Output>,
    /// JSON objects of hosts that wait for an earlier one.
    finished: BTreeMap<usize, String>,
    /// The host whose JSON object comes next.
    next: usize,
    summary: Summary,
    /// What the status of a single host comes to.
    only: Option<Result<ExitCode, Failure>>,
}

#[derive(Debug, Default)]
struct Output {
    stdout: BytesMut,
    stderr: BytesMut,
}

impl Printer<'_> {
    async fn print(&mut self, run: &mut FleetRun) -> io::Result<()> {
        let (mut stdout, mut stderr) = (tokio::io::stdout(), tokio::io::stderr());
        while let Some(event) = run.next().await {
            self.recording.event(&event);
            match event {
                FleetEvent::Lines { index, stream, bytes } if self.json => {
                    let output = self.collected.entry(index).or_default();
                    match stream {
                        OutputStream::Stdout => output.stdout.extend_from_slice(&bytes),
                        OutputStream::Stderr => output.stderr.extend_from_slice(&bytes),
                    }
                }
                FleetEvent::Lines { index, stream, bytes } => {
                    let labelled = labelled(self.label(index), &bytes);
                    match stream {
                        OutputStream::Stdout => write(&mut stdout, &labelled).await?,
                        // Where standard error leads nowhere there is nobody to tell.
                        OutputStream::Stderr => drop(write(&mut stderr, &labelled).await),
                    }
                }
                FleetEvent::Done { index, outcome } => {
                    self.done(index, &outcome);
                    while let Some(line) = self.finished.remove(&self.next) {
                        self.next += 1;
                        write(&mut stdout, line.as_bytes()).await?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Waits for the end; the output meanwhile is dropped.
    async fn drain(&mut self, run: &mut FleetRun) {
        while let Some(event) = run.next().await {
            self.recording.event(&event);
            if let FleetEvent::Done { index, outcome } = event {
                self.done(index, &outcome);
            }
        }
    }

    fn done(&mut self, index: usize, outcome: &Outcome) {
        let label = self.label(index).to_owned();
        if let Some(settings) = self.hosts.get(index) {
            self.summary.add(index, &label, settings, outcome);
        }
        if self.json {
            let output = self.collected.remove(&index).unwrap_or_default();
            let mut line = json_line(&label, outcome, &output.stdout, &output.stderr);
            line.push('\n');
            self.finished.insert(index, line);
        }
        self.only = Some(match &outcome.result {
            Ok(result) => Ok(exit::from_remote(result.status.shell_code())),
            Err(error) => Err(error.into()),
        });
    }

    fn label(&self, index: usize) -> &str {
        self.labels.get(index).map(String::as_str).unwrap_or_default()
    }
}

/// The lines, each with the host's name in front. A last line without its end gets one.
fn labelled(label: &str, lines: &[u8]) -> BytesMut {
    let mut out = BytesMut::with_capacity(lines.len() + lines.len() / 8 + label.len() + 3);
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        out.put(label.as_bytes());
        out.put(&b": "[..]);
        out.put(line);
    }
    if !lines.ends_with(b"\n") {
        out.put_u8(b'\n');
    }
    out
}

async fn write(out: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    out.write_all(bytes).await?;
    out.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_carries_its_host_and_ends() {
        assert_eq!(labelled("web", b"a\n\nb\n"), &b"web: a\nweb: \nweb: b\n"[..]);
        assert_eq!(labelled("web", b"a\nrest"), &b"web: a\nweb: rest\n"[..]);
        assert_eq!(labelled("web", b"\xff\r\n"), &b"web: \xff\r\n"[..]);
    }
}
