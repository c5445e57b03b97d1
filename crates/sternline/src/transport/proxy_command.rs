//! From a command to a byte stream: its standard input and output lead to the server (`ProxyCommand`, ssh_config(5)).

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::pin::{Pin, pin};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use serde_json::Map;
use sternline_proto::redact::redact_string;
use sternline_proto::text::{escape, escape_bytes};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use super::carried::Carried;
use super::link::{Link, LostReason};
use crate::deadline::Phase;
use crate::error::{Error, ErrorKind, Result};

/// How much of its standard error is kept: the end is what tells why.
const STDERR_KEPT: usize = 4 * 1024;

/// How long standard error may stay open once the command has ended: something that it started may hold it.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// How long a command may take to end once it was asked to.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is started.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) path: String,
    pub(crate) arguments: Vec<String>,
    /// All of its environment.
    pub(crate) vars: BTreeMap<String, String>,
    /// The command as a person would run it, for messages.
    pub(crate) shown: String,
    /// Whether it gets a process group of its own. It then lives on when Ctrl-C at a terminal ends what runs there, but
    /// cannot ask a person anything at that terminal.
    pub(crate) own_group: bool,
}

/// The two ends of the command. Dropping it ends the command.
pub(crate) struct ProxyStream {
    input: ChildStdin,
    output: ChildStdout,
    _alive: oneshot::Sender<()>,
}

/// Starts the command. The link is told how it ended, once the stream has.
pub(crate) fn start(program: Program, link: &Arc<Link>) -> Result<Carried<ProxyStream>> {
    let mut command = Command::new(&program.path);
    command
        .args(&program.arguments)
        .env_clear()
        .envs(&program.vars)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    if program.own_group {
        group::separate(&mut command);
    }
    let failed = |error: &dyn std::fmt::Display| {
        Error::new(
            ErrorKind::Local,
            format!("cannot start the proxy command: {}", escape(&error.to_string())),
        )
        .in_phase(Phase::Proxy)
        .with_hint(format!(
            "check that {} exists and may be run",
            escape(&program.path)
        ))
    };
    let mut child = command.spawn().map_err(|error| failed(&error))?;
    let (Some(input), Some(output), Some(stderr)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(failed(&"it has no standard input or output"));
    };
    let (alive, unwanted) = oneshot::channel();
    let (ended, mut end) = watch::channel(None);
    tokio::spawn(async move {
        if let Some(reason) = look_after(child, stderr, unwanted, &program).await {
            ended.send_replace(Some(reason));
        }
    });
    let question = Box::pin(async move {
        let reason = match end.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone(),
            Err(_) => None,
        };
        match reason {
            Some(reason) => reason,
            // Nobody looks after the command any more, so nothing can be known.
            None => std::future::pending().await,
        }
    });
    let stream = ProxyStream {
        input,
        output,
        _alive: alive,
    };
    Ok(Carried::new(stream, Arc::clone(link), question))
}

/// Until the command has ended and was reaped. The reason, if it did so on its own.
async fn look_after(
    mut child: Child,
    mut stderr: ChildStderr,
    mut unwanted: oneshot::Receiver<()>,
    program: &Program,
) -> Option<LostReason> {
    let mut said = LastWords::default();
    let status = {
        let mut listening = pin!(said.listen(&mut stderr));
        let mut heard = false;
        let status = loop {
            tokio::select! {
                // The stream is gone, and with it whoever wanted to know.
                _ = &mut unwanted => break None,
                () = &mut listening, if !heard => heard = true,
                status = child.wait() => break Some(status),
            }
        };
        if status.is_some() && !heard {
            let _ = timeout(LAST_WORDS, listening).await;
        }
        status
    };
    match status {
        Some(status) => Some(reason(status, &said.text(), program)),
        None => {
            end(&mut child, program.own_group).await;
            None
        }
    }
}

/// As ssh does it, with a hangup; and with a kill where that does not help.
async fn end(child: &mut Child, own_group: bool) {
    group::hang_up(child, own_group);
    if timeout(PATIENCE, child.wait()).await.is_err() {
        group::kill(child, own_group);
        let _ = child.wait().await;
    }
}

fn reason(status: io::Result<ExitStatus>, said: &str, program: &Program) -> LostReason {
    let mut details = Map::new();
    let how = match &status {
        Ok(status) => match status.code() {
            Some(code) => {
                details.insert("exit_code".to_owned(), code.into());
                format!("ended with exit status {code}")
            }
            None => format!("was ended: {status}"),
        },
        Err(error) => format!("was lost sight of: {error}"),
    };
    details.insert("stderr".to_owned(), redact_string(said).into_owned().into());
    let said = match said {
        "" => "and said nothing".to_owned(),
        said => format!("and said: {said}"),
    };
    LostReason {
        hint: Some(format!(
            "run it by hand to see what it does: {}",
            escape(&program.shown)
        )),
        details,
        ..LostReason::of(ErrorKind::Connection, format!("the proxy command {how} {said}"))
    }
}

/// The end of what a command wrote on its standard error.
#[derive(Debug, Default)]
struct LastWords {
    kept: VecDeque<u8>,
    /// Whether something before that was dropped.
    cut: bool,
}

impl LastWords {
    /// Until the end of the stream.
    async fn listen(&mut self, stderr: &mut (impl AsyncRead + Unpin)) {
        let mut chunk = [0; 1024];
        while let Ok(read) = stderr.read(&mut chunk).await {
            if read == 0 {
                return;
            }
            self.kept.extend(chunk.get(..read).unwrap_or_default());
            let surplus = self.kept.len().saturating_sub(STDERR_KEPT);
            self.cut |= surplus > 0;
            self.kept.drain(..surplus);
        }
    }

    /// On one line, and escaped.
    fn text(&self) -> String {
        let bytes: Vec<u8> = self.kept.iter().copied().collect();
        let lines: Vec<String> = bytes
            .split(|byte| matches!(byte, b'\n' | b'\r'))
            .map(|line| escape_bytes(line.trim_ascii()))
            .filter(|line| !line.is_empty())
            .collect();
        let before = if self.cut { "... " } else { "" };
        format!("{before}{}", lines.join("; "))
    }
}

#[cfg(unix)]
mod group {
    //! A command and what it has started, as one.

    use rustix::process::{Pid, Signal, kill_process, kill_process_group};
    use tokio::process::{Child, Command};

    pub(super) fn separate(command: &mut Command) {
        command.process_group(0);
    }

    pub(super) fn hang_up(child: &Child, own_group: bool) {
        send(child, own_group, Signal::HUP);
    }

    pub(super) fn kill(child: &mut Child, own_group: bool) {
        send(child, own_group, Signal::KILL);
    }

    /// It has not been reaped, so its id is still its own.
    fn send(child: &Child, own_group: bool, signal: Signal) {
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        let Some(pid) = pid.and_then(Pid::from_raw) else {
            return;
        };
        // That it has just ended by itself is no matter.
        let _ = if own_group {
            kill_process_group(pid, signal)
        } else {
            kill_process(pid, signal)
        };
    }
}

#[cfg(not(unix))]
mod group {
    //! A command alone: there are no groups.

    use tokio::process::{Child, Command};

    pub(super) fn separate(_: &mut Command) {}

    pub(super) fn hang_up(_: &Child, _: bool) {}

    pub(super) fn kill(child: &mut Child, _: bool) {
        let _ = child.start_kill();
    }
}

impl AsyncRead for ProxyStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        pin!(&mut self.output).poll_read(cx, buf)
    }
}

impl AsyncWrite for ProxyStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        pin!(&mut self.input).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(&mut self.input).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(&mut self.input).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn of_long_complaints_the_end_is_kept_on_one_line() {
        let mut said = LastWords::default();
        let text = format!("{}\r\nlast \x1b[31m\nline\n", "x".repeat(10_000));
        said.listen(&mut text.as_bytes()).await;
        let kept = said.text();
        assert!(
            kept.starts_with("... x") && kept.len() < STDERR_KEPT + 100,
            "{kept}"
        );
        assert!(kept.ends_with("x; last \\x1b[31m; line"), "{kept}");
        assert_eq!(LastWords::default().text(), "");
    }
}
