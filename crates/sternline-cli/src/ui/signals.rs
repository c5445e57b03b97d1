//! Signals that ask us to stop.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

const HANGUP: u8 = 1;
/// Ctrl-C.
pub(crate) const INTERRUPT: u8 = 2;
const TERMINATE: u8 = 15;

/// Ctrl-C, SIGTERM and SIGHUP. While this lives they stop nothing by themselves.
#[derive(Debug)]
pub(crate) struct Signals(Vec<(u8, Signal)>);

impl Signals {
    /// Starts listening, except to signals that whoever started us wants ignored, as nohup(1) does.
    pub(crate) fn new() -> io::Result<Self> {
        let ignored = ignored();
        let kinds = [
            (INTERRUPT, SignalKind::interrupt()),
            (TERMINATE, SignalKind::terminate()),
            (HANGUP, SignalKind::hangup()),
        ];
        kinds
            .into_iter()
            .filter(|(number, _)| ignored & (1 << (number - 1)) == 0)
            .map(|(number, kind)| Ok((number, signal(kind)?)))
            .collect::<io::Result<_>>()
            .map(Self)
    }

    /// The number of the next one. Cancel-safe.
    pub(crate) async fn next(&mut self) -> u8 {
        std::future::poll_fn(|context| {
            for (number, signal) in &mut self.0 {
                if signal.poll_recv(context).is_ready() {
                    return std::task::Poll::Ready(*number);
                }
            }
            std::task::Poll::Pending
        })
        .await
    }
}

/// The signals that are ignored, one bit each; only Linux says so without unsafe code.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or_default()
}
