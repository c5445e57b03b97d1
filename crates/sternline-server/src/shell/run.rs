//! Runs a request in the shell, with pipes or with a terminal.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use rustix::termios::{Winsize, tcsetwinsize};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader, copy_buf};
use tokio::process::Command;

use super::modes;
use super::process::{Group, Process};
use super::signal;
use crate::exec::{Control, ControlEvents, ExecRequest, ExitOutcome, Pty, Reply, WindowSize};
use crate::stdin::Stdin;

/// Bytes moved at a time, one packet.
const CHUNK: usize = 32 * 1024;
/// What a shell reports for a command that it cannot start.
const CANNOT_START: u32 = 126;

/// Runs the request's command in `$SHELL -c`, or the shell itself when there is none.
pub(crate) async fn run(request: ExecRequest) -> ExitOutcome {
    let command = command(&request);
    match &request.pty {
        None => match start_with_pipes(command, &request) {
            Ok(process) => with_pipes(process, request).await,
            Err(error) => cannot_start(&error, request).await,
        },
        Some(pty) => match start_with_terminal(command, pty, &request) {
            Ok((process, terminal)) => with_terminal(process, terminal, request).await,
            Err(error) => cannot_start(&error, request).await,
        },
    }
}

async fn cannot_start(error: &io::Error, request: ExecRequest) -> ExitOutcome {
    Reply::new("", format!("cannot start the shell: {error}\n"), CANNOT_START)
        .send(request)
        .await
}

fn command(request: &ExecRequest) -> Command {
    let shell = std::env::var_os("SHELL")
        .filter(|shell| !shell.is_empty())
        .unwrap_or_else(|| "/bin/sh".into());
    let mut command = Command::new(&shell);
    match &request.command {
        Some(text) => {
            command.arg("-c").arg(OsStr::from_bytes(text));
        }
        None => {
            // A leading dash makes it a login shell.
            let mut name = OsString::from("-");
            name.push(Path::new(&shell).file_name().unwrap_or(&shell));
            command.arg0(name);
        }
    }
    command.envs(request.env.iter().map(|(name, value)| (name, value)));
    if let Some(pty) = &request.pty {
        command.env("TERM", &pty.term);
    }
    // As sshd has it: who asks, and where; programs tell connections apart by it.
    let (peer, local) = (request.peer, request.local);
    let connection = format!("{} {} {} {}", peer.ip(), peer.port(), local.ip(), local.port());
    command.env("SSH_CONNECTION", connection);
    // The group is killed as a whole; this is for a runtime that ends before that could happen.
    command.kill_on_drop(true);
    command
}

fn start_with_pipes(mut command: Command, request: &ExecRequest) -> io::Result<Process> {
    command
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    Process::new(command.spawn()?, false, request.alive.clone())
}

async fn with_pipes(mut process: Process, request: ExecRequest) -> ExitOutcome {
    let ExecRequest {
        stdin,
        mut stdout,
        mut stderr,
        control,
        ..
    } = request;
    let (child_in, child_out, child_err) = process.pipes();
    let group = process.group();
    let output = async {
        let (_, _, status) = tokio::join!(
            copy(child_out, &mut stdout),
            copy(child_err, &mut stderr),
            process.wait()
        );
        status
    };
    let input = async {
        if let Some(mut child_in) = child_in {
            feed(stdin, &mut child_in).await;
        }
    };
    let status = until_done(output, input, obey(control, group, |_| ())).await;
    process.finished();
    outcome(status)
}

fn start_with_terminal(
    command: Command,
    pty: &Pty,
    request: &ExecRequest,
) -> io::Result<(Process, pty_process::Pty)> {
    let (terminal, child_side) = pty_process::open().map_err(io::Error::other)?;
    resize(&terminal, pty.size)?;
    modes::apply(&terminal, &pty.modes)?;
    let child = pty_process::Command::from(command)
        .spawn(child_side)
        .map_err(io::Error::other)?;
    Ok((Process::new(child, true, request.alive.clone())?, terminal))
}

async fn with_terminal(
    mut process: Process,
    terminal: pty_process::Pty,
    request: ExecRequest,
) -> ExitOutcome {
    let ExecRequest {
        stdin,
        mut stdout,
        control,
        ..
    } = request;
    let group = process.group();
    let handle = terminal.as_fd().try_clone_to_owned();
    let (child_out, mut child_in) = terminal.into_split();
    let output = async {
        // Reading ends with EIO when the shell, which leads the terminal's session, has gone.
        let (_, status) = tokio::join!(copy(Some(child_out), &mut stdout), process.wait());
        status
    };
    // As with sshd, the end of input is not passed on: a terminal says it with control-D.
    let input = feed(stdin, &mut child_in);
    let control = obey(control, group, |size| {
        if let Ok(handle) = &handle {
            // A size that the system refuses is the client's problem.
            let _ = resize(handle, size);
        }
    });
    let status = until_done(output, input, control).await;
    process.finished();
    outcome(status)
}

/// Copies until the end or the first error: a pipe without reader, a terminal hung up. Neither is worth a report.
async fn copy(from: Option<impl AsyncRead + Unpin>, to: &mut (impl AsyncWrite + Unpin)) {
    if let Some(from) = from {
        let _ = copy_buf(&mut BufReader::with_capacity(CHUNK, from), to).await;
        let _ = to.flush().await;
    }
}

/// Passes input on. What the client said before it, a new window size above all, takes effect before it.
async fn feed(mut stdin: Stdin, to: &mut (impl AsyncWrite + Unpin)) {
    let mut chunk = vec![0; CHUNK];
    while let Ok(count @ 1..) = stdin.read(&mut chunk).await {
        // The control messages that came before this input are queued by now; this lets `until_done` see to them.
        tokio::task::yield_now().await;
        if to
            .write_all(chunk.get(..count).unwrap_or_default())
            .await
            .is_err()
        {
            break;
        }
    }
}

/// Delivers signals to the group, and sizes to the terminal.
async fn obey(mut control: ControlEvents, group: Group, resize: impl Fn(WindowSize)) {
    while let Some(message) = control.next().await {
        match message {
            Control::Signal(name) => {
                if let Some(signal) = signal::from_name(&name) {
                    group.signal(signal);
                }
            }
            Control::Resize(size) => resize(size),
        }
    }
}

/// Runs all three until the output is done; the others may end before it. Control goes before input.
async fn until_done<T>(
    output: impl Future<Output = T>,
    input: impl Future<Output = ()>,
    control: impl Future<Output = ()>,
) -> T {
    let side = async {
        tokio::join!(biased; control, input);
        std::future::pending::<()>().await;
    };
    tokio::pin!(output);
    tokio::select! {
        result = &mut output => result,
        () = side => output.await,
    }
}

fn outcome(status: io::Result<ExitStatus>) -> ExitOutcome {
    let Ok(status) = status else {
        return ExitOutcome::Code(255);
    };
    match (status.code(), status.signal()) {
        (Some(code), _) => ExitOutcome::Code(code.unsigned_abs()),
        (None, Some(number)) => ExitOutcome::Signal {
            name: signal::name(number).to_owned(),
            core_dumped: status.core_dumped(),
            message: String::new(),
        },
        (None, None) => ExitOutcome::Code(255),
    }
}

fn resize(terminal: impl AsFd, size: WindowSize) -> rustix::io::Result<()> {
    let short = |value: u32| u16::try_from(value).unwrap_or(u16::MAX);
    let size = Winsize {
        ws_row: short(size.rows),
        ws_col: short(size.columns),
        ws_xpixel: short(size.width_px),
        ws_ypixel: short(size.height_px),
    };
    tcsetwinsize(terminal, size)
}
