//! Somebody who attends to a command while it runs.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use sternline_proto::framing::FramedOutput;
use tokio::sync::mpsc;

use super::telling::Telling;
use crate::transport::channel::OutputStream;

/// Takes a command's output as it comes, and may have it ended.
pub(crate) struct Attended {
    output: mpsc::Sender<(OutputStream, Bytes)>,
    ending: Pin<Box<dyn Future<Output = String> + Send>>,
    why: Option<String>,
}

impl Attended {
    /// `ending` gives the reason to end the command, once there is one.
    pub(crate) fn new(
        output: mpsc::Sender<(OutputStream, Bytes)>,
        ending: impl Future<Output = String> + Send + 'static,
    ) -> Self {
        Self {
            output,
            ending: Box::pin(ending),
            why: None,
        }
    }

    /// Waits for a reason to end the command, which comes only once. Cancel-safe.
    pub(super) async fn asked_to_end(&mut self) -> String {
        let why = self.ending.as_mut().await;
        self.why.insert(why).clone()
    }

    /// The reason to end the command, if there was one.
    pub(super) fn why(&self) -> Option<&str> {
        self.why.as_deref()
    }

    /// Passes on what is certainly the command's; false where the command is to be ended before that. Cancel-safe: what was not
    /// passed on stays where it is.
    pub(super) async fn pass_on(&mut self, output: &mut FramedOutput, telling: &mut Telling) -> bool {
        // Room for both. Where nobody listens any more, nobody wants to know.
        let room = tokio::select! {
            biased;
            why = &mut self.ending => {
                self.why = Some(why);
                return false;
            }
            room = self.output.reserve_many(2) => room,
        };
        let (stdout, stderr) = output.take_settled();
        telling.passed(OutputStream::Stdout, &stdout);
        telling.passed(OutputStream::Stderr, &stderr);
        let pieces = [(OutputStream::Stdout, stdout), (OutputStream::Stderr, stderr)];
        let pieces = pieces.into_iter().filter(|(_, bytes)| !bytes.is_empty());
        for (permit, piece) in room.into_iter().flatten().zip(pieces) {
            permit.send(piece);
        }
        true
    }
}
