//! What is to be run in a sandbox, and with what.

use std::time::Duration;

use crate::exec::Stdin;

/// How long a command may take unless the request says otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// A command with its input and time limit.
///
/// Made from a list of words: the first one is the program, by its name or its path. No shell ever reads them.
///
/// ```
/// use std::time::Duration;
/// use sternline::sandbox::SandboxRequest;
///
/// let request = SandboxRequest::from(["grep", "-c", "it's $HOME"]).stdin("text\n").timeout(Duration::from_secs(5));
/// assert_eq!(request.argv()[2], "it's $HOME");
/// ```
#[derive(Debug)]
pub struct SandboxRequest {
    pub(super) argv: Vec<String>,
    pub(super) stdin: Stdin,
    pub(super) timeout: Duration,
}

impl SandboxRequest {
    /// The command with empty input and a time limit of 30 seconds.
    #[must_use]
    pub fn new<S: Into<String>>(argv: impl IntoIterator<Item = S>) -> Self {
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            stdin: Stdin::Empty,
            timeout: DEFAULT_TIMEOUT,
        }
    }

    /// What the command reads. Default: nothing, its input is at its end. [`Stdin::Piped`] is refused.
    #[must_use]
    pub fn stdin(mut self, stdin: impl Into<Stdin>) -> Self {
        self.stdin = stdin.into();
        self
    }

    /// How long the call may take, with everything that it has to wait for: a connection, a free place on it, the look at the
    /// host. When it is over the command is ended. Default 30 seconds.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The command and its arguments.
    #[must_use]
    pub fn argv(&self) -> &[String] {
        &self.argv
    }
}

impl<S: Into<String>, const N: usize> From<[S; N]> for SandboxRequest {
    fn from(argv: [S; N]) -> Self {
        Self::new(argv)
    }
}

impl<S: Into<String>> From<Vec<S>> for SandboxRequest {
    fn from(argv: Vec<S>) -> Self {
        Self::new(argv)
    }
}

impl From<&[&str]> for SandboxRequest {
    fn from(argv: &[&str]) -> Self {
        Self::new(argv.iter().copied())
    }
}

impl From<&[String]> for SandboxRequest {
    fn from(argv: &[String]) -> Self {
        Self::new(argv.iter().cloned())
    }
}
