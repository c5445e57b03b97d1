//! One SFTP session on its channel: requests off the runtime, and answers sent while the next requests are done.

use std::future::pending;
use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use sternline_proto::sftp::Deframer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tracing::debug;

use super::session::{Ending, Session};
use crate::exec::{ExecRequest, ExitOutcome};
use crate::fault::Cut;
use crate::files::Served;
use crate::output::Output;
use crate::stdin::Stdin;

/// Bytes of requests that are taken at a time.
const REQUESTS: usize = 512 * 1024;
/// Less room than this is not read into.
const LEAST: usize = 64 * 1024;
/// Bytes of answers after which they are sent before the next request is done. One answer may go beyond it.
const ANSWERS: usize = 1024 * 1024;
/// What sftp-server exits with when its client is no client.
const VIOLATION: ExitOutcome = ExitOutcome::Code(255);

/// Serves SFTP until the client ends its input, or does not keep to the protocol.
pub(crate) async fn serve(request: ExecRequest, served: Arc<Served>) -> ExitOutcome {
    let ExecRequest {
        user,
        peer,
        stdin,
        stdout,
        mut stderr,
        alive,
        ..
    } = request;
    // One batch of answers is sent while another waits and a third is made.
    let (answers, queue) = mpsc::channel(1);
    let work = Work {
        session: Session::new(served, user),
        deframer: Deframer::new(),
    };
    let (ended, ()) = tokio::join!(requests(work, stdin, answers), send(queue, stdout));
    drop(alive);
    match ended {
        Ok(()) => ExitOutcome::SUCCESS,
        Err(Ending::Cut(Cut::Stall)) => pending().await,
        Err(ending) => {
            debug!(%peer, %ending, "SFTP session ended by the server");
            // Nobody is left to tell when that fails.
            let _ = stderr.write_all(format!("sftp: {ending}\n").as_bytes()).await;
            VIOLATION
        }
    }
}

/// What is done with requests, in their order.
struct Work {
    session: Session,
    deframer: Deframer,
}

async fn requests(mut work: Work, mut stdin: Stdin, answers: mpsc::Sender<Bytes>) -> Result<(), Ending> {
    let mut buffer = BytesMut::new();
    loop {
        if buffer.capacity() < LEAST {
            buffer.reserve(REQUESTS);
        }
        match stdin.read_buf(&mut buffer).await {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) => return Err(Ending::Io(error)),
        }
        let mut arrived = buffer.split().freeze();
        while !arrived.is_empty() {
            let done = spawn_blocking(move || {
                let mut out = BytesMut::new();
                let ended = work.answer(&mut arrived, &mut out);
                (work, arrived, out.freeze(), ended)
            });
            let (worked, rest, out, ended) =
                done.await.map_err(|error| Ending::Io(io::Error::other(error)))?;
            (work, arrived) = (worked, rest);
            // An error means that the channel is gone, and this with it.
            if !out.is_empty() && answers.send(out).await.is_err() {
                return Ok(());
            }
            ended?;
        }
    }
}

impl Work {
    /// Answers what has arrived, or as much of it as makes a batch.
    fn answer(&mut self, arrived: &mut Bytes, out: &mut BytesMut) -> Result<(), Ending> {
        while let Some(packet) = self.deframer.take(arrived)? {
            self.session.answer(packet.into(), out)?;
            if out.len() >= ANSWERS {
                break;
            }
        }
        Ok(())
    }
}

async fn send(mut queue: mpsc::Receiver<Bytes>, mut stdout: Output) {
    while let Some(answers) = queue.recv().await {
        if stdout.write_all(&answers).await.is_err() {
            return;
        }
    }
}
