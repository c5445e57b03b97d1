//! Answering sudo: the password goes to sudo's own prompt, once, and to nobody else.

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use sternline_proto::sudo::{SudoDialog, SudoMarkers, SudoRefusal, SudoStep};
use sternline_proto::text::escape;
use tokio::time::timeout;

use super::item::{Exit, StreamData, StreamEvent};
use super::request::ExecRequest;
use super::result::ExitStatus;
use super::stdin::Input;
use super::stream::StreamExec;
use crate::deadline::Phase;
use crate::error::{Error, ErrorKind, PartialOutput, Result, SendState, seconds};
use crate::secret::{SharedSecret, Turn, line_of};

/// How long sudo may be silent. A person may have to confirm on another device, and directories can be slow.
const PATIENCE: Duration = Duration::from_secs(120);

/// How much may be said before the command starts; it is kept in memory.
const LIMIT: usize = 8 * 1024 * 1024;

/// How long sudo may take to end, once it is told that there is no further password.
const LEAVE_LIMIT: Duration = Duration::from_secs(5);

/// The longest password that sudo reads (`SUDO_CONV_REPL_MAX`).
const LONGEST: usize = 1023;

/// The password, and what sudo's prompt and the beginning of the command are known by.
pub(super) struct Answer {
    markers: SudoMarkers,
    password: SharedSecret,
    pty: bool,
}

impl Answer {
    /// The answer of a request that may have to give one.
    pub(super) fn of(request: &ExecRequest) -> Result<Option<Self>> {
        if !request.command.answers_sudo() {
            return Ok(None);
        }
        let invalid = |message: &str, hint: &str| Error::new(ErrorKind::Invalid, message).with_hint(hint);
        let Some(password) = &request.sudo_password else {
            return Err(invalid(
                "the command is to answer sudo, and no password was given for that",
                "give it with ExecRequest::sudo_password, or use Sudo::NonInteractive",
            ));
        };
        let text = password.secret().expose();
        if text.is_empty() || text.len() > LONGEST || text.contains(char::is_control) {
            return Err(invalid(
                "the password for sudo is empty, too long, or holds a control character",
                "sudo reads one line of at most 1023 bytes",
            ));
        }
        let mut random = [0; 32];
        getrandom::fill(&mut random)
            .map_err(|error| Error::new(ErrorKind::Local, format!("no random numbers: {error}")))?;
        Ok(Some(Self {
            markers: SudoMarkers::new(random),
            password: password.clone(),
            pty: request.pty.is_some(),
        }))
    }

    pub(super) fn markers(&self) -> &SudoMarkers {
        &self.markers
    }

    pub(super) fn password(&self) -> &SharedSecret {
        &self.password
    }

    /// Follows sudo until the command has started. The stream then gives what was said before, without the markers.
    ///
    /// Dropping the future ends what was started, as dropping the stream does.
    pub(super) async fn follow(self, stream: &mut StreamExec, input: &Input) -> Result<()> {
        stream.begin_starting();
        let mut talk = Talk {
            dialog: SudoDialog::new(&self.markers),
            early: VecDeque::new(),
            size: 0,
        };
        let failed = match self.converse(&mut talk, stream, input).await {
            Ok(()) => {
                stream.has_started(talk.early);
                return Ok(());
            }
            Err(failed) => failed,
        };
        if failed.running {
            self.leave(stream, input).await;
        }
        stream.has_failed_to_start(&failed.error);
        if let Some(SudoStep::Output(bytes)) = talk.dialog.finish() {
            let data = self.output(bytes);
            talk.keep(0.0, data);
        }
        Err(failed.error.in_phase(Phase::Exec).with_partial(talk.output()))
    }

    async fn converse(&self, talk: &mut Talk, stream: &mut StreamExec, input: &Input) -> Result<(), Failed> {
        // While another host is asked first, this one waits; then the answer is waited for.
        let mut asking = None;
        let mut given: Option<Turn> = None;
        loop {
            let event = tokio::select! {
                turn = turn(&mut asking) => {
                    asking = None;
                    given = turn;
                    if given.is_none() {
                        return Err(Failed::running(refused_elsewhere()));
                    }
                    self.give(input).await;
                    continue;
                }
                event = timeout(PATIENCE, stream.next_of_channel()) => event,
            };
            let Ok(event) = event else {
                if asking.is_some() {
                    continue;
                }
                return Err(Failed::running(talk.silent()));
            };
            let Some(StreamEvent { timestamp, data }) = event else {
                return Err(Failed::ended(talk.refused(None)));
            };
            let prompts = match (&data, self.pty) {
                (StreamData::Stdout(bytes), true) | (StreamData::Stderr(bytes), false) => Some(bytes.clone()),
                _ => None,
            };
            match (prompts, data) {
                (None, StreamData::Exit(exit)) => {
                    let error = talk.ended(exit);
                    if let (Some(turn), ErrorKind::Sudo(refusal)) = (given, error.kind()) {
                        match refusal {
                            SudoRefusal::PasswordRefused => turn.refused(),
                            // These are decided once the password was taken.
                            SudoRefusal::NotInSudoers | SudoRefusal::NotAllowed => turn.taken(),
                            _ => {}
                        }
                    }
                    return Err(Failed::ended(error));
                }
                (None, data) => talk.keep(timestamp, data),
                (Some(bytes), _) => {
                    for step in talk.dialog.read(&bytes) {
                        match step {
                            SudoStep::Output(bytes) => talk.keep(timestamp, self.output(bytes)),
                            SudoStep::Prompt => asking = Some(Box::pin(self.password.turn())),
                            SudoStep::PromptAgain => {
                                if let Some(turn) = given {
                                    turn.refused();
                                }
                                return Err(Failed::running(talk.refusal(SudoRefusal::PasswordRefused)));
                            }
                            SudoStep::Question(question) => {
                                return Err(Failed::running(question_error(&question)));
                            }
                            // What follows in this piece is the command's own, and read by nobody but its caller.
                            SudoStep::Started => {}
                        }
                    }
                }
            }
            if talk.dialog.has_started() {
                if let Some(turn) = given {
                    turn.taken();
                }
                return Ok(());
            }
            if talk.size > LIMIT {
                return Err(Failed::running(talk.endless()));
            }
        }
    }

    fn output(&self, bytes: Vec<u8>) -> StreamData {
        match self.pty {
            true => StreamData::Stdout(bytes.into()),
            false => StreamData::Stderr(bytes.into()),
        }
    }

    /// Writes the password. If sudo has gone meanwhile, its exit says so.
    async fn give(&self, input: &Input) {
        let _ = input.sender.data(line_of(self.password.secret())).await;
    }

    /// Has sudo give up without another attempt, and waits for a while until it has.
    async fn leave(&self, stream: &mut StreamExec, input: &Input) {
        if self.pty {
            // What Ctrl-C sends; sudo counts no attempt then.
            let _ = input.sender.data(Bytes::from_static(b"\x03")).await;
        }
        let _ = input.sender.eof().await;
        let _ = timeout(LEAVE_LIMIT, async {
            while stream.next_of_channel().await.is_some() {}
        })
        .await;
    }
}

/// Why the command did not start, and whether something of it still runs.
struct Failed {
    error: Error,
    running: bool,
}

impl Failed {
    fn running(error: Error) -> Self {
        Self { error, running: true }
    }

    fn ended(error: Error) -> Self {
        Self {
            error,
            running: false,
        }
    }
}

/// What has been said so far.
struct Talk {
    dialog: SudoDialog,
    early: VecDeque<StreamEvent>,
    size: usize,
}

impl Talk {
    fn keep(&mut self, timestamp: f64, data: StreamData) {
        if let StreamData::Stdout(bytes) | StreamData::Stderr(bytes) = &data {
            self.size += bytes.len();
        }
        self.early.push_back(StreamEvent { timestamp, data });
    }

    fn output(self) -> PartialOutput {
        let (mut stdout, mut stderr) = (BytesMut::new(), BytesMut::new());
        for event in self.early {
            match event.data {
                StreamData::Stdout(bytes) => stdout.put(bytes),
                StreamData::Stderr(bytes) => stderr.put(bytes),
                StreamData::Exit(_) => {}
            }
        }
        PartialOutput {
            stdout: stdout.freeze(),
            stderr: stderr.freeze(),
        }
    }

    /// The command's channel has come to its end before the command had started.
    fn ended(&self, exit: Exit) -> Error {
        match exit {
            Exit::Status(status) => self.refused(Some(&status)),
            // A time limit, a lost connection: the error says which.
            Exit::Failed(error) => {
                let sent = error.sent();
                error
                    .within("sudo had not started the command yet")
                    .with_sent(sent)
            }
            Exit::Cancelled(remote) => Error::new(
                ErrorKind::Cancelled,
                format!("the command was cancelled before sudo had started it; {remote}"),
            ),
        }
    }

    fn refused(&self, status: Option<&ExitStatus>) -> Error {
        let code = status.and_then(|status| match status {
            ExitStatus::Code(code) => Some(*code),
            ExitStatus::Signal { .. } => None,
        });
        let said = self.dialog.said();
        let refusal = SudoRefusal::read(&said, code, self.dialog.was_asked());
        if refusal != SudoRefusal::Other {
            return self.refusal(refusal);
        }
        let how = status.map_or_else(
            || "without a status".to_owned(),
            |status| format!("with {status}"),
        );
        let error = match last_words(&said) {
            Some(line) => Error::new(
                ErrorKind::Sudo(refusal),
                format!("sudo did not start the command, and said: {}", escape(&line)),
            ),
            None => Error::new(
                ErrorKind::Sudo(refusal),
                format!("sudo did not start the command: it ended {how}, and said nothing"),
            )
            .with_hint("the account may be restricted to one command (ForceCommand), or sudo be something else there"),
        };
        // An end without any word of sudo's may be that of another command.
        match code {
            Some(0) | None => error.with_sent(SendState::MayHaveRun),
            Some(_) => error,
        }
    }

    fn refusal(&self, refusal: SudoRefusal) -> Error {
        let message = match refusal {
            SudoRefusal::PasswordRefused => "sudo refused the password, which was given once",
            SudoRefusal::NotInSudoers => "the account is not in the sudoers file",
            SudoRefusal::NotAllowed => "sudo does not allow the account to run this command",
            SudoRefusal::TerminalRequired => "sudo insists on a terminal (requiretty)",
            SudoRefusal::Missing => "there is no sudo where the account's PATH leads",
            _ => "sudo did not start the command",
        };
        Error::new(ErrorKind::Sudo(refusal), message)
    }

    fn silent(&self) -> Error {
        let what = match self.dialog.was_asked() {
            false => "sudo neither asked for the password nor started the command",
            true => "sudo neither took the password nor refused it",
        };
        let limit = seconds(PATIENCE);
        let message = match last_words(&self.dialog.said()) {
            Some(line) => format!("{what} within {limit}; it said: {}", escape(&line)),
            None => format!("{what} within {limit}"),
        };
        Error::new(ErrorKind::Sudo(SudoRefusal::Silent), message).with_sent(SendState::MayHaveRun)
    }

    fn endless(&self) -> Error {
        Error::new(
            ErrorKind::Sudo(SudoRefusal::Silent),
            format!("the server wrote more than {LIMIT} bytes before sudo asked or started the command"),
        )
        .with_sent(SendState::MayHaveRun)
    }
}

/// The turn that is waited for, if one is.
async fn turn<F: Future<Output = Option<Turn>>>(asking: &mut Option<Pin<Box<F>>>) -> Option<Turn> {
    match asking {
        Some(turn) => turn.await,
        None => std::future::pending().await,
    }
}

fn refused_elsewhere() -> Error {
    Error::new(
        ErrorKind::Sudo(SudoRefusal::PasswordRefused),
        "the password was not given to sudo, because another host refused it",
    )
    .with_hint("check the password, and on which hosts it is the same")
}

fn question_error(question: &str) -> Error {
    Error::new(
        ErrorKind::Sudo(SudoRefusal::Question),
        format!(
            "sudo asks for something other than a password: {}",
            escape(question)
        ),
    )
}

/// What sudo said in its own name, at most the last three lines of it; otherwise the last line that holds anything.
fn last_words(said: &str) -> Option<String> {
    const LINES: usize = 3;
    let lines = || said.lines().map(str::trim).filter(|line| !line.is_empty());
    let own: Vec<&str> = lines().filter(|line| line.starts_with("sudo: ")).collect();
    match own.len() {
        0 => lines().next_back().map(str::to_owned),
        count => Some(own.get(count.saturating_sub(LINES)..)?.join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sternline_proto::command::{Command, Sudo};

    fn request() -> ExecRequest {
        ExecRequest::new(Command::shell("id").sudo(Sudo::Password))
    }

    #[test]
    fn a_command_that_answers_sudo_needs_a_password_that_is_one_line() {
        for (request, said) in [
            (request(), "no password was given"),
            (request().sudo_password(""), "is empty"),
            (request().sudo_password("a\nb"), "control character"),
            (request().sudo_password("a\x03"), "control character"),
            (request().sudo_password("x".repeat(1024)), "too long"),
        ] {
            let error = Answer::of(&request).map(|_| ()).unwrap_err();
            assert_eq!(error.kind(), &ErrorKind::Invalid);
            assert!(error.to_string().contains(said), "{error}");
        }
        assert!(Answer::of(&request().sudo_password("pa ss")).unwrap().is_some());
        let other = ExecRequest::from("id").sudo_password("pa ss");
        assert!(Answer::of(&other).unwrap().is_none());
    }

    #[test]
    fn no_two_commands_have_the_same_markers() {
        let markers = || {
            let answer = Answer::of(&request().sudo_password("x")).unwrap().unwrap();
            answer.markers().clone()
        };
        assert_ne!(markers(), markers());
    }

    #[test]
    fn a_refusal_that_nobody_knows_is_told_in_the_words_of_sudo() {
        let mut talk = Talk {
            dialog: SudoDialog::new(&SudoMarkers::new([1; 32])),
            early: VecDeque::new(),
            size: 0,
        };
        talk.dialog.read(b"sudo: unknown user \x1b[31m\n");
        let error = talk.refused(Some(&ExitStatus::Code(1)));
        assert_eq!(error.kind(), &ErrorKind::Sudo(SudoRefusal::Other));
        assert_eq!(
            error.to_string(),
            "sudo did not start the command, and said: sudo: unknown user \\x1b[31m"
        );
        assert_eq!(error.sent(), SendState::NotSent);
        assert_eq!(error.to_dict().get("reason"), Some(&"other".into()));
    }
}
