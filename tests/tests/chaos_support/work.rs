//! The commands and the stream of a round: what they are to answer, and what became of them.

use std::fmt::Write as _;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};
use sternline::connection::SupervisorStatus;
use sternline::exec::{ExecResult, Stdin};
use sternline::{Error, EventCollector, ExecRequest, RetryOnDisconnect, SendState, Supervisor};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::plan::Kind;

/// What a watchdog tells: how far the round has come, and what is pending.
#[derive(Default)]
pub(crate) struct Board(Mutex<Rows>);

#[derive(Default)]
struct Rows {
    stage: &'static str,
    /// The commands, and what became of those that have ended.
    commands: Vec<(String, Option<String>)>,
    link: Option<(watch::Receiver<SupervisorStatus>, EventCollector)>,
}

/// How many of the latest events are shown.
const EVENTS: usize = 20;

impl Board {
    fn lock(&self) -> MutexGuard<'_, Rows> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn stage(&self, stage: &'static str) {
        self.lock().stage = stage;
    }

    pub(crate) fn watch(&self, supervisor: &Supervisor, events: &EventCollector) {
        self.lock().link = Some((supervisor.watch(), events.clone()));
    }

    fn begin(&self, name: &str) {
        self.lock().commands.push((name.to_owned(), None));
    }

    fn done(&self, name: &str, outcome: String) {
        let mut rows = self.lock();
        let row = rows.commands.iter_mut().find(|(row, _)| row == name).unwrap();
        row.1 = Some(outcome);
    }

    pub(crate) fn show(&self) -> String {
        let rows = self.lock();
        let mut text = format!("while {}\n", rows.stage);
        for (name, outcome) in &rows.commands {
            let outcome = outcome.as_deref().unwrap_or("PENDING");
            let _ = writeln!(text, "  {name}: {outcome}");
        }
        if let Some((status, events)) = &rows.link {
            let _ = writeln!(text, "supervisor: {:?}", *status.borrow());
            let events = events.events();
            for event in &events[events.len().saturating_sub(EVENTS)..] {
                let _ = writeln!(text, "  {event:?}");
            }
        }
        text
    }
}

/// One command and its right answer.
struct Task {
    name: String,
    request: ExecRequest,
    stdout: Vec<u8>,
    stderr: String,
    code: u32,
    /// May run more than once, and so has no excuse for an error.
    repeatable: bool,
}

/// All that runs in a round.
pub(crate) struct Work {
    running: JoinSet<(Task, Result<ExecResult, Error>)>,
    /// How many commands have ended, the stream included.
    pub(crate) ended: watch::Receiver<usize>,
    /// Bytes of the stream that were read.
    pub(crate) streamed: watch::Receiver<u64>,
}

/// How many commands ended in which way.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) right: u32,
    pub(crate) not_sent: u32,
    pub(crate) may_have_run: u32,
    pub(crate) ran: u32,
    /// With their result, but not at the first try.
    pub(crate) again: u32,
}

impl Work {
    /// Starts the commands and the stream. `folder` is the server's; `mark` shows in the arguments of every process.
    pub(crate) fn start(
        supervisor: &Supervisor,
        kinds: &[Kind],
        stream: &Stream,
        folder: &Path,
        mark: &str,
        board: &Arc<Board>,
    ) -> Self {
        let (ending, ended) = watch::channel(0);
        let (reading, streamed) = watch::channel(0);
        let mut tasks: Vec<Task> = kinds
            .iter()
            .enumerate()
            .map(|(index, kind)| command(index, *kind, folder, mark))
            .collect();
        tasks.insert(0, stream.task(reading, folder, mark));
        let ending = Arc::new(ending);
        let mut running = JoinSet::new();
        for mut task in tasks {
            let (supervisor, board, ending) = (supervisor.clone(), board.clone(), ending.clone());
            board.begin(&task.name);
            let request = std::mem::replace(&mut task.request, ExecRequest::from(""));
            running.spawn(async move {
                let outcome = supervisor.exec(request).await;
                let told = match &outcome {
                    Ok(result) => format!("{:?}, attempt {}", result.status, result.attempts),
                    Err(error) => format!("{:?} {:?}: {error}", error.kind(), error.sent()),
                };
                board.done(&task.name, told);
                ending.send_modify(|ended| *ended += 1);
                (task, outcome)
            });
        }
        Self {
            running,
            ended,
            streamed,
        }
    }

    /// Waits for the end of all.
    pub(crate) async fn join(self) -> Outcomes {
        Outcomes(self.running.join_all().await)
    }
}

pub(crate) struct Outcomes(Vec<(Task, Result<ExecResult, Error>)>);

impl Outcomes {
    /// Every command has its right answer, or an error that is true about whether it ran. To be asked when nothing
    /// runs any more. `closed`: nobody wanted the rest.
    pub(crate) fn check(&self, folder: &Path, closed: bool) -> Tally {
        let ran = std::fs::read_to_string(folder.join("ran")).unwrap_or_default();
        let mut tally = Tally::default();
        for (task, outcome) in &self.0 {
            let runs = ran.lines().filter(|line| *line == task.name).count();
            let name = &task.name;
            match outcome {
                Ok(result) => {
                    assert_eq!(result.exit_code(), Some(task.code), "{name}");
                    assert_eq!(result.stderr_text(), task.stderr, "{name}");
                    assert!(result.stdout == task.stdout, "{name} has another output");
                    assert!(
                        runs == 1 || (task.repeatable && runs > 1),
                        "{name} ran {runs} times"
                    );
                    tally.right += 1;
                    tally.again += u32::from(result.attempts > 1);
                }
                Err(error) => {
                    assert!(error.kind().is_connection(), "{name}: {:?} {error}", error.kind());
                    assert!(closed || !task.repeatable, "{name} was not run again: {error}");
                    match error.sent() {
                        // Otherwise it is run on the next connection.
                        SendState::NotSent => {
                            assert!(closed, "{name} was not sent, and yet not run again: {error}");
                            assert_eq!(runs, 0, "{name} was said not to have been sent: {error}");
                            tally.not_sent += 1;
                        }
                        SendState::MayHaveRun => tally.may_have_run += 1,
                        SendState::Ran => tally.ran += 1,
                    }
                    assert!(runs <= 1 || task.repeatable, "{name} ran {runs} times: {error}");
                }
            }
        }
        tally
    }
}

/// Notes on the server that it runs, works, and ends as a shell, so that the mark is seen until the end.
fn line(name: &str, work: &str, folder: &Path, mark: &str) -> String {
    let folder = folder.display();
    format!("echo {name} >> {folder}/ran; {work}; code=$?; : {mark}; exit $code")
}

fn command(index: usize, kind: Kind, folder: &Path, mark: &str) -> Task {
    let name = format!("command-{index}-{kind:?}").replace(['(', ')'], "-");
    let said = format!("{name}\n");
    let mut stdin = None;
    let (mut stdout, mut stderr, mut code) = (Vec::new(), String::new(), 0);
    let work = match kind {
        Kind::Quick | Kind::Repeatable => {
            stdout = said.into_bytes();
            format!("echo {name}")
        }
        Kind::Fails => {
            stderr = said;
            code = 7;
            format!("echo {name} >&2; (exit 7)")
        }
        Kind::Output(size) => {
            stdout = said.bytes().cycle().take(size).collect();
            format!("yes {name} | head -c {size}")
        }
        Kind::Input(size) => {
            stdout = said.bytes().cycle().take(size).collect();
            stdin = Some(stdout.clone());
            "cat".to_owned()
        }
        Kind::Held => {
            stdout = said.into_bytes();
            let go = folder.join("go");
            let go = go.display();
            format!("while [ ! -e {go} ]; do sleep 0.02; done; echo {name}")
        }
    };
    let mut request = ExecRequest::from(line(&name, &work, folder, mark));
    if let Some(bytes) = stdin {
        request = request.stdin(bytes);
    }
    let repeatable = kind == Kind::Repeatable;
    if repeatable {
        request = request.retry_on_disconnect(RetryOnDisconnect::Always);
    }
    Task {
        name,
        request,
        repeatable,
        stdout,
        stderr,
        code,
    }
}

/// A long input, and its hash.
pub(crate) struct Stream {
    pub(crate) size: u64,
    sha256: String,
}

/// The stream is made of blocks that begin with their number, so that none can be missing, doubled or misplaced.
const BLOCK: usize = 32 * 1024;

fn block(position: u64) -> [u8; BLOCK] {
    let mut block = [b'.'; BLOCK];
    block[..8].copy_from_slice(&(position / BLOCK as u64).to_be_bytes());
    block
}

impl Stream {
    /// A whole number of blocks.
    pub(crate) fn new(mebibytes: u64) -> Self {
        let size = mebibytes << 20;
        let mut hash = Sha256::new();
        for position in (0..size).step_by(BLOCK) {
            hash.update(block(position));
        }
        Self {
            size,
            sha256: HEXLOWER.encode(&hash.finalize()),
        }
    }

    fn task(&self, read: watch::Sender<u64>, folder: &Path, mark: &str) -> Task {
        let name = "stream".to_owned();
        let source = Source {
            size: self.size,
            position: 0,
            read,
        };
        Task {
            request: ExecRequest::from(line(&name, "sha256sum", folder, mark)).stdin(Stdin::reader(source)),
            stdout: format!("{}  -\n", self.sha256).into_bytes(),
            stderr: String::new(),
            code: 0,
            repeatable: false,
            name,
        }
    }
}

struct Source {
    size: u64,
    position: u64,
    read: watch::Sender<u64>,
}

impl AsyncRead for Source {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if self.position < self.size {
            let block = block(self.position);
            let from = usize::try_from(self.position % BLOCK as u64).unwrap();
            let count = buffer.remaining().min(BLOCK - from);
            buffer.put_slice(&block[from..from + count]);
            self.position += count as u64;
            self.read.send_replace(self.position);
        }
        Poll::Ready(Ok(()))
    }
}
