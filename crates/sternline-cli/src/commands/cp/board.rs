//! Where all copies tell what happens: it keeps the progress, and prints what is worth it.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sternline::fleet::Skipped;
use sternline::transfer::{FileOutcome, FileResult, TransferCanceller, TransferEvent};
use sternline::{Error, ErrorKind, TransferResult};

use super::report::{Totals, file_json, file_line, host_json, refused_json, skipped_json};
use crate::exit;
use crate::fleet::{Causes, NotBegun};
use crate::history::Recording;
use crate::ui::progress::Progress;
use crate::ui::{Failure, Ui, status_line};

/// The most hints that are told at the end: more would only hide the first.
const HINTS: usize = 5;

/// What all copies tell, and what comes of it.
pub(super) struct Board {
    /// What each copy is called: escaped.
    names: Vec<String>,
    json: bool,
    dry_run: bool,
    draws: bool,
    canceller: TransferCanceller,
    ui: Ui,
    state: Mutex<State>,
}

struct State {
    progress: Progress,
    totals: Totals,
    /// Copies that ended without any failure.
    ok: usize,
    /// Copies that ended with a failure.
    failed: usize,
    /// Why copies were broken off or could not begin.
    causes: Causes,
    not_begun: NotBegun,
    hints: Vec<String>,
    /// What ended the only copy.
    error: Option<Failure>,
    /// Why nothing more can be written to standard output.
    output: Option<io::Error>,
    recording: Recording,
}

impl Board {
    pub(super) fn new(
        names: Vec<String>,
        json: bool,
        dry_run: bool,
        draws: bool,
        canceller: TransferCanceller,
        recording: Recording,
        ui: Ui,
    ) -> Self {
        let state = State {
            progress: Progress::new(names.iter().cloned()),
            totals: Totals::default(),
            ok: 0,
            failed: 0,
            causes: Causes::default(),
            not_begun: NotBegun::default(),
            hints: Vec::new(),
            error: None,
            output: None,
            recording,
        };
        Self {
            names,
            json,
            dry_run,
            draws,
            canceller,
            ui,
            state: Mutex::new(state),
        }
    }

    /// Whether the progress is drawn.
    pub(super) fn draws(&self) -> bool {
        self.draws
    }

    /// Something happened in a copy.
    pub(super) fn event(&self, copy: usize, event: &TransferEvent) {
        let mut state = self.state();
        match event {
            TransferEvent::Found {
                files,
                bytes,
                complete,
            } => {
                state.progress.found(copy, *files, *bytes, *complete);
            }
            TransferEvent::Started { file, src, size, .. } => state.progress.started(copy, *file, src, *size),
            TransferEvent::Progress { file, bytes } => state.progress.moved(copy, *file, *bytes),
            TransferEvent::Ended { file, result } => self.file(&mut state, copy, *file, result),
            _ => {}
        }
    }

    fn file(&self, state: &mut State, copy: usize, file: Option<u64>, result: &FileResult) {
        // Directories and what is removed were not counted among the files.
        if !matches!(result.outcome, FileOutcome::Made | FileOutcome::Removed) {
            let ok = result.error().is_none();
            state.progress.ended(copy, file, result.bytes, ok);
        }
        let name = self.name(copy);
        if self.json {
            self.print(state, &file_json(name, result));
        } else if self.dry_run && !matches!(result.outcome, FileOutcome::Skipped(_) | FileOutcome::Failed(_))
        {
            self.print(state, &file_line(name, result));
        } else {
            self.ui.note_with(|| file_line(name, result));
        }
        if let Some(error) = result.error() {
            self.ui
                .failed_host(&format!("{name}: {}", Failure::from(error).headline()));
            state.hint(error);
        }
    }

    /// A copy came to its end.
    pub(super) fn ended(&self, copy: usize, result: &TransferResult) {
        let mut state = self.state();
        state.recording.copied(copy, result);
        let skipped = result.error.as_ref().and_then(Skipped::of);
        if let Some(why) = skipped {
            return self.left_out(&mut state, copy, why);
        }
        state.totals.add(result);
        for warning in &result.warnings {
            self.ui.warning(&format!("{}: {warning}", self.name(copy)));
        }
        if self.json {
            self.print(&mut state, &host_json(self.name(copy), result));
        }
        match &result.error {
            Some(error) => self.broken(&mut state, copy, error),
            None if result.failed == 0 => state.ok += 1,
            None => state.failed += 1,
        }
    }

    /// A copy is left out.
    pub(super) fn not_begun(&self, copy: usize, why: Skipped) {
        self.left_out(&mut self.state(), copy, why);
    }

    /// How many copies have failed.
    pub(super) fn failures(&self) -> usize {
        self.state().failed
    }

    fn left_out(&self, state: &mut State, copy: usize, why: Skipped) {
        if self.json {
            self.print(state, &skipped_json(self.name(copy), why));
        }
        state.not_begun.add(copy, why);
    }

    /// A copy could not begin.
    pub(super) fn failed(&self, copy: usize, error: &Error) {
        let mut state = self.state();
        state.recording.not_copied(copy, error);
        if self.json {
            self.print(&mut state, &refused_json(self.name(copy), error));
        }
        self.broken(&mut state, copy, error);
    }

    fn broken(&self, state: &mut State, copy: usize, error: &Error) {
        state.failed += 1;
        let failure = Failure::from(error);
        let failure = match error.kind() {
            // The command line made sense; what it names did not.
            ErrorKind::Invalid | ErrorKind::RemoteFile(_) | ErrorKind::LocalFile(_) | ErrorKind::Local => {
                failure.with_status(exit::FAILED)
            }
            _ => failure,
        };
        if self.names.len() == 1 {
            state.error = Some(failure.on_host(self.name(copy)));
        } else {
            let context = error.context();
            let names: Vec<&str> = [Some(self.name(copy)), context.host.as_deref()]
                .into_iter()
                .flatten()
                .collect();
            state.causes.add(copy, &names, failure.headline());
            // Whoever has ended them knows what to do.
            if *error.kind() != ErrorKind::Cancelled {
                state.hint(error);
            }
        }
    }

    /// Draws how far everything is. `now` counts from the beginning.
    pub(super) fn draw(&self, now: Duration) {
        let mut state = self.state();
        state.progress.tick(now);
        if self.draws {
            let (columns, rows) = status_line::room();
            status_line::draw(&state.progress.lines(columns, rows));
        }
    }

    /// Tells what came of everything, once all copies have ended.
    pub(super) fn finish(&self) -> Result<ExitCode, Failure> {
        let mut state = self.state();
        for line in state.causes.lines(&self.names) {
            self.ui.failed_host(&line);
        }
        for line in state.not_begun.lines(&self.names) {
            self.ui.not_begun(&line);
        }
        for hint in state.hints.iter().take(HINTS) {
            self.ui.hint(hint);
        }
        if Recording::is_on()
            && !self.dry_run
            && self.names.len() > 1
            && state.ok > 0
            && state.ok < self.names.len()
        {
            self.ui.hint(
                "add --retry-failed last to the same command to do it again for the copies without success",
            );
        }
        if let Some(error) = &state.output {
            return Err(Failure::output(error));
        }
        if let Some(failure) = state.error.take() {
            return Err(failure);
        }
        if self.draws {
            self.ui.line(&state.totals.line(self.dry_run));
        }
        let copies = self.names.len();
        if state.ok == copies {
            return Ok(ExitCode::SUCCESS);
        }
        if copies > 1 {
            let not_begun = state.not_begun.hosts();
            let failed = copies - state.ok - not_begun;
            let mut line = format!("{copies} copies: {} ok, {failed} failed", state.ok);
            if not_begun > 0 {
                line.push_str(&format!(", {not_begun} not begun"));
            }
            self.ui.line(&line);
        }
        Ok(ExitCode::from(exit::FAILED))
    }

    /// Ends the record of the run. `whole` says that nobody stopped it.
    pub(super) fn recorded(&self, whole: bool) {
        let recording = std::mem::take(&mut self.state().recording);
        recording.finish(whole, &self.ui);
    }

    /// Writes a line to standard output. Where that fails nothing more is copied.
    fn print(&self, state: &mut State, line: &str) {
        if state.output.is_some() {
            return;
        }
        let mut out = io::stdout().lock();
        if let Err(error) = writeln!(out, "{line}").and_then(|()| out.flush()) {
            state.output = Some(error);
            self.canceller.cancel();
        }
    }

    fn name(&self, copy: usize) -> &str {
        self.names.get(copy).map(String::as_str).unwrap_or_default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn hint(&mut self, error: &Error) {
        if !self.hints.iter().any(|hint| hint == error.hint()) {
            self.hints.push(error.hint().to_owned());
        }
    }
}
