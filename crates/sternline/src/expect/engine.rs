//! The engine: waits for output, and sends.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use sternline_proto::expect::{
    ControlFilter, CursorKeys, Decoder, ExpectPattern, ExpectResult, Found, IntoPattern, Matcher, Search,
};
use tokio::time::Instant;

use super::outcome;
use super::record::Recorder;
use super::source::{End, Input, Output, Piece};
use super::step::{ExpectTimeout, OnTimeout, no_pattern};
use crate::error::{Error, ErrorKind, Result};
use crate::event::unix_millis;
use crate::evidence::{Stream, Transcript};
use crate::exec::ExitStatus;

/// Talks to a running program: waits for what it writes, and answers.
///
/// Output is used up through each match, so that the same prompt twice means two prompts. Standard output and standard
/// error are one text, in the order in which they arrive. While nobody waits, output is kept where the command's stream
/// keeps it: nothing is lost, and nobody else is held up.
///
/// Everything is recorded in a [`Transcript`], but secrets: of what [`AutomationEngine::send_secret`] sends only is
/// recorded that something was sent, and where the program shows it, it is masked.
///
/// Dropping the engine ends the program, if it still runs.
pub struct AutomationEngine {
    pub(super) output: Output,
    pub(super) input: Input,
    pub(super) stdout: Lane,
    pub(super) stderr: Lane,
    pub(super) matcher: Matcher,
    pub(super) cursor_keys: CursorKeys,
    pub(super) recorder: Recorder,
    pub(super) ended: Option<End>,
    pub(super) settle: Duration,
}

/// What turns the bytes of one stream into the text that is searched.
pub(super) struct Lane {
    pub(super) decoder: Decoder,
    pub(super) filter: Option<ControlFilter>,
}

impl Lane {
    /// The text that is searched.
    fn filtered<'a>(&mut self, text: Cow<'a, str>) -> Cow<'a, str> {
        match &mut self.filter {
            None => text,
            Some(filter) => {
                let mut out = String::with_capacity(text.len());
                filter.push(&text, &mut out);
                Cow::Owned(out)
            }
        }
    }
}

enum Step {
    Piece(Piece),
    Silence,
    TimeOver,
}

impl AutomationEngine {
    /// Waits for a pattern; a text is a literal pattern. Gives the first match in the output that was not used up yet.
    ///
    /// When the output ends first, the result is not matched and not timed out. Cancel-safe: output that came meanwhile
    /// is still there for the next one who waits.
    ///
    /// # Errors
    /// [`ErrorKind::ExpectTimeout`] when the time is over, with what was seen last and what came nearest;
    /// [`ErrorKind::Invalid`] for a pattern or a time limit that is none; the reason, when the connection was lost, or
    /// the command ran into its own time limit.
    pub async fn expect(
        &mut self,
        pattern: impl IntoPattern,
        timeout: impl Into<ExpectTimeout>,
    ) -> Result<ExpectResult> {
        let pattern = pattern.into_pattern().map_err(no_pattern)?;
        self.wait(&pattern, Vec::new(), timeout.into().check()?).await
    }

    /// Waits for the first of several patterns: the one whose match the output completes first; of two that are completed
    /// at once, the one named first. The result says which it was. Otherwise as [`AutomationEngine::expect`].
    ///
    /// # Errors
    /// As [`AutomationEngine::expect`], and [`ErrorKind::Invalid`] without patterns.
    pub async fn expect_any(
        &mut self,
        patterns: impl IntoIterator<Item = impl IntoPattern>,
        timeout: impl Into<ExpectTimeout>,
    ) -> Result<ExpectResult> {
        let patterns = patterns.into_iter().map(IntoPattern::into_pattern);
        let patterns = patterns.collect::<Result<Vec<_>, _>>().map_err(no_pattern)?;
        let mut patterns = patterns.into_iter();
        let Some(first) = patterns.next() else {
            return Err(Error::new(ErrorKind::Invalid, "there is no pattern to wait for"));
        };
        self.wait(&first, patterns.collect(), timeout.into().check()?)
            .await
    }

    async fn wait(
        &mut self,
        first: &ExpectPattern,
        others: Vec<ExpectPattern>,
        timeout: ExpectTimeout,
    ) -> Result<ExpectResult> {
        let begun = Instant::now();
        // A limit beyond what the clock can express is none.
        let deadline = begun.checked_add(timeout.duration);
        let mut patterns = others;
        patterns.insert(0, first.clone());
        let mut search = self.matcher.begin(patterns);
        let mut found = self.matcher.find(&mut search);
        // Whether the match that is there if nothing follows has been looked at since the last output.
        let mut is_settled = false;
        loop {
            if let Some(found) = &found {
                return Ok(self.matched(found, begun));
            }
            if let Some(end) = self.ended.clone() {
                if let Some(found) = self.matcher.settle(&mut search) {
                    return Ok(self.matched(&found, begun));
                }
                let result = self.unmatched(first, &search, begun, false);
                return match end {
                    End::Failed(error) => Err(error),
                    End::Ended(_) | End::Cancelled(_) => Ok(result),
                };
            }
            let waits = !is_settled && (self.is_held() || self.matcher.is_pending(&mut search));
            let step = tokio::select! {
                biased;
                () = reached(deadline) => Step::TimeOver,
                piece = self.output.next() => Step::Piece(piece),
                () = tokio::time::sleep(self.settle), if waits => Step::Silence,
            };
            match step {
                Step::Piece(piece) => {
                    is_settled = false;
                    found = self.take(piece, Some(&mut search));
                }
                Step::Silence => {
                    is_settled = true;
                    found = self.settle(&mut search);
                }
                Step::TimeOver => {
                    found = self.settle(&mut search);
                    if found.is_none() {
                        let result = self.unmatched(first, &search, begun, true);
                        return self.timed_out(&search, result, timeout);
                    }
                }
            }
        }
    }

    /// Records a piece of output, and looks for the patterns in it. Without a search it only keeps it.
    fn take(&mut self, piece: Piece, search: Option<&mut Search>) -> Option<Found> {
        let (bytes, stream, at) = match piece {
            Piece::Text { bytes, stream, at } => (bytes, stream, at),
            Piece::End(end) => {
                let rest = self.finish(end);
                return self.append(&rest, search);
            }
        };
        let lane = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        let text = lane.decoder.push(&bytes);
        self.recorder.output(&text, stream, at);
        self.cursor_keys.watch(&text);
        let text = lane.filtered(text);
        self.append(&text, search)
    }

    fn append(&mut self, text: &str, search: Option<&mut Search>) -> Option<Found> {
        match search {
            Some(search) => self.matcher.push(search, text),
            None => {
                self.matcher.append(text);
                None
            }
        }
    }

    /// Notes the end, and gives the text that waited for what would follow.
    fn finish(&mut self, end: End) -> String {
        let mut rest = String::new();
        let now = unix_millis(SystemTime::now());
        for (lane, stream) in [
            (&mut self.stdout, Stream::Stdout),
            (&mut self.stderr, Stream::Stderr),
        ] {
            let text = lane.decoder.finish();
            self.recorder.output(text, stream, now);
            rest.push_str(&lane.filtered(Cow::Borrowed(text)));
            if let Some(filter) = &mut lane.filter {
                filter.finish(&mut rest);
            }
        }
        self.recorder.end();
        self.ended = Some(end);
        rest
    }

    /// Takes the output as it is, since nothing follows for the moment.
    fn settle(&mut self, search: &mut Search) -> Option<Found> {
        let mut rest = String::new();
        for filter in [&mut self.stdout.filter, &mut self.stderr.filter]
            .into_iter()
            .flatten()
        {
            filter.settle(&mut rest);
        }
        let found = self.matcher.push(search, &rest);
        found.or_else(|| self.matcher.settle(search))
    }

    /// Whether a filter keeps something back until it knows what follows.
    fn is_held(&self) -> bool {
        let filters = [&self.stdout.filter, &self.stderr.filter];
        filters.into_iter().flatten().any(ControlFilter::is_held)
    }

    fn matched(&mut self, found: &Found, begun: Instant) -> ExpectResult {
        let result = outcome::matched(&mut self.matcher, found, begun.elapsed());
        self.recorder.expect(&result);
        result
    }

    fn unmatched(
        &mut self,
        first: &ExpectPattern,
        search: &Search,
        begun: Instant,
        timed_out: bool,
    ) -> ExpectResult {
        let result = outcome::unmatched(
            search.patterns(),
            first,
            &self.matcher,
            begun.elapsed(),
            timed_out,
        );
        self.recorder.expect(&result);
        result
    }

    fn timed_out(
        &self,
        search: &Search,
        result: ExpectResult,
        timeout: ExpectTimeout,
    ) -> Result<ExpectResult> {
        match timeout.on_timeout {
            OnTimeout::Continue => Ok(result),
            OnTimeout::Raise => {
                let masked = |text: &str| self.recorder.transcript.masked(text);
                let error = outcome::timeout(search.patterns(), &result, timeout.duration, masked);
                Err(self.output.locate(error))
            }
        }
    }

    /// Waits until the output ends, and gives the exit status; `None` where nobody knows it. What comes meanwhile is
    /// recorded and used up. A program that reads its input to the end needs [`AutomationEngine::send_eof`] first.
    ///
    /// Cancel-safe.
    ///
    /// # Errors
    /// [`ErrorKind::ExpectTimeout`] when the time is over, whatever is to happen then; [`ErrorKind::Cancelled`] after a
    /// cancel; the reason, when the connection was lost or the command ran into its own time limit.
    pub async fn expect_end(&mut self, timeout: impl Into<ExpectTimeout>) -> Result<Option<ExitStatus>> {
        let timeout = timeout.into().check()?;
        let deadline = Instant::now().checked_add(timeout.duration);
        loop {
            match self.ended.clone() {
                Some(End::Ended(status)) => return Ok(status),
                Some(End::Cancelled(error) | End::Failed(error)) => return Err(error),
                None => {}
            }
            let step = tokio::select! {
                biased;
                () = reached(deadline) => Step::TimeOver,
                piece = self.output.next() => Step::Piece(piece),
            };
            if let Step::Piece(piece) = step {
                self.take(piece, None);
            } else {
                self.recorder.flush();
                let seen = self.recorder.transcript.masked(&self.matcher.remaining());
                let error = outcome::no_end(timeout.duration, &seen);
                return Err(self.output.locate(error));
            }
        }
    }

    /// Ends the command, if it still runs. Wait for it with [`AutomationEngine::expect_end`].
    pub fn cancel(&self) {
        if let Output::Command(stream) = &self.output {
            stream.cancel();
        }
    }

    /// The output that was received and not used up.
    #[must_use]
    pub fn buffer(&self) -> Cow<'_, str> {
        self.matcher.remaining()
    }

    /// What was said so far.
    #[must_use]
    pub fn transcript(&self) -> &Transcript {
        &self.recorder.transcript
    }

    /// What was said, without a copy. Ends the program as dropping the engine does.
    #[must_use]
    pub fn into_transcript(mut self) -> Transcript {
        self.recorder.end();
        self.recorder.transcript
    }
}

async fn reached(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
