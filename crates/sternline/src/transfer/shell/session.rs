//! A shell on the server that stays, and obeys one small script after another.
//!
//! A session of its own for each `mv` would cost two round trips and a login shell. Here any number of scripts are on
//! their way at once, and their answers come in order.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::command::{CommandInput, RemoteCommand, complaint, token};
use crate::connection::Connection;
use crate::deadline::Phase;
use crate::error::{Error, ErrorKind, Result, SendState};

/// How many scripts may wait to be sent.
const WAITING: usize = 256;

/// More than any answer can have been asked to be.
const OUTPUT_LIMIT: usize = 64 << 20;

/// How often more a shell is started that ends at once. Dropbear may close a session when the
/// program of another one ends.
const ATTEMPTS: usize = 3;

/// How long the shell may take to end once it has nothing to do any more.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);

/// The shell. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Session {
    requests: mpsc::Sender<Request>,
    ended: Arc<OnceLock<Error>>,
    umask: u32,
}

#[derive(Debug)]
struct Request {
    script: Vec<u8>,
    answer: oneshot::Sender<Answer>,
}

/// A script that is on its way.
#[derive(Debug)]
pub(super) struct Posted(oneshot::Receiver<Answer>);

/// What became of a script.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u32,
    /// Everything that it wrote, to standard output and standard error.
    pub(super) output: Bytes,
}

impl Session {
    pub(super) async fn start(connection: &Connection) -> Result<Self> {
        for _ in 0..ATTEMPTS {
            match Self::try_start(connection).await {
                Err(error) if error.kind() == &ErrorKind::Channel => {}
                started => return started,
            }
        }
        Self::try_start(connection).await
    }

    async fn try_start(connection: &Connection) -> Result<Self> {
        let token = token()?;
        let command = RemoteCommand::start(connection, b"exec sh -s").await?;
        let (requests, queue) = mpsc::channel(WAITING);
        let (pending, answers) = mpsc::unbounded_channel();
        let ended = Arc::new(OnceLock::new());
        let prelude = prelude(&token);
        tokio::spawn(send(queue, prelude, command.input(), pending));
        tokio::spawn(receive(Answers::new(command, token), answers, Arc::clone(&ended)));
        let mut session = Self {
            requests,
            ended,
            umask: 0,
        };
        let limit = connection.sessions().open_limit();
        let Ok(hello) = timeout(limit, session.ask(b"echo $u".to_vec())).await else {
            return Err(Error::phase_timeout(Phase::Transfer, limit, false)
                .with_hint("the server accepts a command and then says nothing: see its log"));
        };
        session.umask = parse_umask(&hello?.output).unwrap_or(0o077);
        Ok(session)
    }

    /// What new files and directories of the account do without. The shell itself has 077.
    pub(super) fn umask(&self) -> u32 {
        self.umask
    }

    /// Has a script obeyed, after all that were asked for before. It has no input, shares its variables with the others,
    /// and must not change the directory or exit.
    ///
    /// Cancel-safe: the script is obeyed all the same, unless it has not been sent yet.
    pub(super) async fn ask(&self, script: Vec<u8>) -> Result<Answer> {
        let posted = self.post(script).await?;
        self.answer(posted).await
    }

    /// Takes a script's place in the order, without waiting for what becomes of it.
    pub(super) async fn post(&self, script: Vec<u8>) -> Result<Posted> {
        let (answer, answered) = oneshot::channel();
        match self.requests.send(Request { script, answer }).await {
            Ok(()) => Ok(Posted(answered)),
            Err(_) => Err(self.gone()),
        }
    }

    pub(super) async fn answer(&self, posted: Posted) -> Result<Answer> {
        posted.0.await.map_err(|_| self.gone())
    }

    fn gone(&self) -> Error {
        self.ended.get().cloned().unwrap_or_else(|| {
            Error::new(ErrorKind::Channel, "the shell on the server has ended")
                .in_phase(Phase::Transfer)
                .with_sent(SendState::MayHaveRun)
        })
    }
}

/// Answers end with a line that no output has in it. Files are made for the owner alone, and never written over.
fn prelude(token: &str) -> String {
    format!(
        "LC_ALL=C; export LC_ALL; unset CDPATH; u=$(umask); umask 077; set -C\n\
         o() {{ printf '\\n%s %s %s\\n' {token} \"$1\" \"$?\"; }}\n"
    )
}

/// The script as it is sent. One that the end of the connection cuts short is not obeyed: braces are open then.
fn framed(script: &[u8], number: u64) -> Vec<u8> {
    let mut framed = b"{ ".to_vec();
    framed.extend_from_slice(script);
    framed.extend_from_slice(format!("\n}} </dev/null 2>&1; o {number}\n").as_bytes());
    framed
}

/// Until nobody can ask anything more, or the shell is gone.
async fn send(
    mut queue: mpsc::Receiver<Request>,
    prelude: String,
    input: CommandInput,
    pending: mpsc::UnboundedSender<oneshot::Sender<Answer>>,
) {
    if input.write(prelude.into()).await.is_err() {
        return;
    }
    let mut number = 0;
    while let Some(Request { script, answer }) = queue.recv().await {
        if answer.is_closed() {
            continue;
        }
        let script = framed(&script, number);
        number += 1;
        if pending.send(answer).is_err() || input.write(script.into()).await.is_err() {
            return;
        }
    }
    // Whether it still reads this says nothing to anybody.
    let _ = input.close().await;
}

/// Hands each answer to whoever waits for it, and says why there are no more.
async fn receive(
    mut answers: Answers,
    mut pending: mpsc::UnboundedReceiver<oneshot::Sender<Answer>>,
    ended: Arc<OnceLock<Error>>,
) {
    let mut number = 0;
    while let Some(waiting) = pending.recv().await {
        match answers.next(number).await {
            // Whoever asked may have gone.
            Ok(answer) => drop(waiting.send(answer)),
            Err(error) => {
                // The first reason stays; there is only one.
                let _ = ended.set(error);
                return;
            }
        }
        number += 1;
    }
    let _ = timeout(CLOSE_PATIENCE, answers.command.finish()).await;
}

/// What the shell writes.
struct Answers {
    command: RemoteCommand,
    token: String,
    arrived: BytesMut,
}

impl Answers {
    fn new(command: RemoteCommand, token: String) -> Self {
        Self {
            command,
            token,
            arrived: BytesMut::new(),
        }
    }

    async fn next(&mut self, number: u64) -> Result<Answer> {
        let end = format!("\n{} {number} ", self.token);
        let mut searched = 0;
        loop {
            if let Some(answer) = take_answer(&mut self.arrived, end.as_bytes(), &mut searched) {
                return Ok(answer);
            }
            match self.command.next().await? {
                Some(bytes) if self.arrived.len() + bytes.len() <= OUTPUT_LIMIT => {
                    self.arrived.extend_from_slice(&bytes);
                }
                Some(_) => {
                    return Err(broken(
                        "the shell on the server writes more than it was asked for",
                    ));
                }
                None => {
                    let (exit, stderr) = self.command.ended();
                    return Err(broken(&format!(
                        "the shell on the server has ended ({})",
                        complaint(exit, stderr)
                    )));
                }
            }
        }
    }
}

fn broken(what: &str) -> Error {
    Error::new(ErrorKind::Channel, what)
        .in_phase(Phase::Transfer)
        .with_sent(SendState::MayHaveRun)
        .with_hint("see the server's log; a limit on processes or time may apply to the account")
}

/// Takes an answer off what has arrived, if it is complete. What was searched before need not be searched again.
fn take_answer(arrived: &mut BytesMut, end: &[u8], searched: &mut usize) -> Option<Answer> {
    let from = searched.saturating_sub(end.len());
    let found = arrived
        .get(from..)?
        .windows(end.len())
        .position(|window| window == end);
    let Some(at) = found.map(|at| from + at) else {
        *searched = arrived.len();
        return None;
    };
    let behind = arrived.get(at + end.len()..)?;
    let line = behind.iter().position(|&byte| byte == b'\n')?;
    let status = std::str::from_utf8(behind.get(..line)?).ok()?.trim().parse().ok();
    let mut taken = arrived.split_to(at + end.len() + line + 1);
    taken.truncate(at);
    Some(Answer {
        // Only a shell that is no shell says something else.
        status: status.unwrap_or(u32::MAX),
        output: taken.freeze(),
    })
}

/// The last line: start-up files may have written something in front of it.
fn parse_umask(output: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(output.trim_ascii_end().rsplit(|&byte| byte == b'\n').next()?).ok()?;
    u32::from_str_radix(text.trim(), 8)
        .ok()
        .filter(|umask| *umask <= 0o777)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    #[test]
    fn answers_are_taken_one_after_another_however_they_arrive() {
        let stream = b"Welcome\n0022\n\nT 0 0\na\nT 1 \nb\n\nT 1 17\n\nT 2 0\n";
        for step in [1, 2, 7, 100] {
            let mut arrived = BytesMut::new();
            let (mut number, mut searched, mut answers) = (0, 0, Vec::new());
            for part in stream.chunks(step) {
                arrived.extend_from_slice(part);
                let mut end = format!("\nT {number} ");
                while let Some(answer) = take_answer(&mut arrived, end.as_bytes(), &mut searched) {
                    answers.push((answer.status, answer.output.to_vec()));
                    number += 1;
                    searched = 0;
                    end = format!("\nT {number} ");
                }
            }
            assert_eq!(
                answers,
                [
                    (0, b"Welcome\n0022\n".to_vec()),
                    (u32::MAX, b"a".to_vec()),
                    (0, b"b\n\nT 1 17\n".to_vec())
                ],
                "{step}"
            );
        }
    }

    #[test]
    fn the_umask_is_the_last_line() {
        for (output, umask) in [
            (&b"Hello\n077\n0022\n"[..], Some(0o022)),
            (b"0002", Some(2)),
            (b"777\n", Some(0o777)),
            (b"Hello", None),
            (b"", None),
            (b"99999\n", None),
        ] {
            assert_eq!(parse_umask(output), umask);
        }
    }

    /// What a shell answers to these scripts.
    fn obeyed(shell: &[&str], scripts: &[&[u8]], cut: usize) -> Vec<(u32, Vec<u8>)> {
        let (program, arguments) = shell.split_first().unwrap();
        let mut child = Command::new(program)
            .args(arguments)
            .arg("-s")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut input = prelude("T").into_bytes();
        for (number, script) in scripts.iter().enumerate() {
            input.extend(framed(script, number as u64));
        }
        input.truncate(input.len() - cut);
        child.stdin.take().unwrap().write_all(&input).unwrap();
        let output = child.wait_with_output().unwrap();
        let mut arrived = BytesMut::from(&output.stdout[..]);
        let mut answers = Vec::new();
        while let Some(answer) =
            take_answer(&mut arrived, format!("\nT {} ", answers.len()).as_bytes(), &mut 0)
        {
            answers.push((answer.status, answer.output.to_vec()));
        }
        answers
    }

    #[test]
    fn a_failure_of_one_script_is_its_own_and_the_shell_goes_on() {
        for shell in [&["sh"][..], &["bash"], &["busybox", "sh"]] {
            let folder = tempfile::tempdir().unwrap();
            let there = folder.path().join("there");
            std::fs::write(&there, "old").unwrap();
            let overwrite = format!("true >{}", there.display());
            let answers = obeyed(
                shell,
                &[
                    b"true >/nonexistent/x",
                    overwrite.as_bytes(),
                    b"printf 'a\\000b\n'; cat",
                    b"(exit 7)",
                ],
                0,
            );
            assert_ne!(answers[0].0, 0, "{shell:?}");
            assert_ne!(answers[1].0, 0, "{shell:?}");
            assert_eq!(
                answers[2..],
                [(0, b"a\0b\n".to_vec()), (7, Vec::new())],
                "{shell:?}"
            );
            assert_eq!(std::fs::read(&there).unwrap(), b"old");
        }
    }

    #[test]
    fn a_script_that_was_cut_short_is_not_obeyed() {
        for shell in [&["sh"][..], &["bash"], &["busybox", "sh"]] {
            let folder = tempfile::tempdir().unwrap();
            let script = format!("mkdir {}/plain-name", folder.path().display());
            let end = framed(b"", 0).len() - 2;
            for cut in [end, end - 1, end + 3] {
                obeyed(shell, &[script.as_bytes()], cut);
                assert_eq!(
                    std::fs::read_dir(folder.path()).unwrap().count(),
                    0,
                    "{shell:?} {cut}"
                );
            }
        }
    }
}
