//! How an engine is made, and with what limits.

use std::fmt;
use std::time::Duration;

use bytes::BytesMut;
use sternline_proto::expect::{ControlFilter, CursorKeys, Decoder, Matcher};
use tokio::io::{AsyncRead, AsyncWrite};

use super::engine::{AutomationEngine, Lane};
use super::record::Recorder;
use super::source::{Input, Output};
use crate::evidence::Transcript;
use crate::exec::StreamExec;

impl AutomationEngine {
    /// Drives a command that was started with `Stdin::Piped`, or a shell. Without an input to write to it can only wait:
    /// [`Connection::automate`](crate::Connection::automate) starts a command as it should be.
    #[must_use]
    pub fn new(mut stream: StreamExec) -> Self {
        let input = stream.take_stdin().map_or(Input::Missing, Input::Command);
        // A secret of this dialogue is one for the connection's events, too, and the other way round.
        let redactor = stream.redactor().clone();
        let mut engine = Self::over(Output::Command(Box::new(stream)), input);
        engine.recorder.transcript = Transcript::new().redacted_by(redactor);
        engine
    }

    /// Drives anything else that can be read from, for example a process on this machine. Its output is all that is known
    /// of it. While something is sent nothing is read.
    #[must_use]
    pub fn from_streams(
        reader: impl AsyncRead + Send + 'static,
        writer: impl AsyncWrite + Send + 'static,
    ) -> Self {
        let output = Output::Reader(Box::pin(reader), BytesMut::new());
        Self::over(output, Input::Writer(Box::pin(writer)))
    }

    fn over(output: Output, input: Input) -> Self {
        Self {
            output,
            input,
            stdout: Lane::default(),
            stderr: Lane::default(),
            matcher: Matcher::default(),
            cursor_keys: CursorKeys::new(),
            recorder: Recorder::new(),
            ended: None,
            settle: Self::DEFAULT_SETTLE,
        }
    }

    /// Writes what is sent somewhere else than to the command's own input.
    #[must_use]
    pub fn with_stdin_writer(mut self, writer: impl AsyncWrite + Send + 'static) -> Self {
        self.input = Input::Writer(Box::pin(writer));
        self
    }

    /// Whether control sequences are taken out of the output before patterns are looked for: colours, cursor movements,
    /// titles, the carriage returns at line ends. Advisable in a terminal. The transcript keeps them. Default: no.
    #[must_use]
    pub fn ignore_control_sequences(mut self, ignore: bool) -> Self {
        for lane in [&mut self.stdout, &mut self.stderr] {
            lane.filter = ignore.then(ControlFilter::new);
        }
        self
    }

    /// How many bytes of output are kept that no pattern has matched, and how long a match may be. Of more output only the
    /// last part can match. Default: 1 MiB.
    #[must_use]
    pub fn buffer_limit(mut self, bytes: usize) -> Self {
        self.matcher = Matcher::new(bytes);
        self
    }

    /// How many bytes the transcript keeps. Default: 4 MiB.
    #[must_use]
    pub fn transcript_limit(mut self, bytes: usize) -> Self {
        self.recorder.transcript = std::mem::take(&mut self.recorder.transcript).limit(bytes);
        self
    }

    /// How long the output has to be silent until a regular expression matches that could match more, such as `\d+`, or
    /// that ends with `$`. Others match at once. Default: 50 ms.
    #[must_use]
    pub fn settle_after(mut self, silence: Duration) -> Self {
        self.settle = silence;
        self
    }

    /// See [`AutomationEngine::settle_after`].
    pub const DEFAULT_SETTLE: Duration = Duration::from_millis(50);
}

impl Default for Lane {
    fn default() -> Self {
        Self {
            decoder: Decoder::new(),
            filter: None,
        }
    }
}

impl fmt::Debug for AutomationEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AutomationEngine")
            .field("entries", &self.recorder.transcript.len())
            .field("ended", &self.ended.is_some())
            .finish_non_exhaustive()
    }
}
