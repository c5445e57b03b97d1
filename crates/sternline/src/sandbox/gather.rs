//! Output that is kept up to a limit.

use bytes::{Bytes, BytesMut};

use crate::error::PartialOutput;
use crate::exec::{Exit, StreamData, StreamExec};

/// How many bytes of its own a sandbox may write beside those of the command, many times over.
const OWN: u64 = 64 * 1024;

/// What came of one start of a sandbox.
#[derive(Debug)]
pub(super) struct Ran {
    /// Both outputs, as they came: with what the sandbox itself says in them.
    pub(super) output: PartialOutput,
    /// Whether more came than was kept; the command was then ended for that.
    pub(super) overflowed: bool,
    pub(super) exit: Exit,
}

/// Both outputs of a command, as far as they are allowed.
#[derive(Debug)]
pub(super) struct Gathered {
    stdout: BytesMut,
    stderr: BytesMut,
    /// How many bytes there is still room for.
    room: u64,
    pub(super) overflowed: bool,
}

impl Gathered {
    /// For a command that may write this many bytes, to both outputs together.
    pub(super) fn new(limit: u64) -> Self {
        Self {
            stdout: BytesMut::new(),
            stderr: BytesMut::new(),
            room: limit.saturating_add(OWN),
            overflowed: false,
        }
    }

    pub(super) fn stdout(&mut self, bytes: &[u8]) {
        let fits = self.fits(bytes);
        self.stdout.extend_from_slice(fits);
    }

    pub(super) fn stderr(&mut self, bytes: &[u8]) {
        let fits = self.fits(bytes);
        self.stderr.extend_from_slice(fits);
    }

    fn fits<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let room = usize::try_from(self.room).unwrap_or(usize::MAX);
        let fits = bytes.get(..room).unwrap_or(bytes);
        self.room -= fits.len() as u64;
        self.overflowed |= fits.len() < bytes.len();
        fits
    }

    pub(super) fn ran(self, exit: Exit) -> Ran {
        Ran {
            output: PartialOutput {
                stdout: self.stdout.freeze(),
                stderr: self.stderr.freeze(),
            },
            overflowed: self.overflowed,
            exit,
        }
    }
}

/// Gathers what a started sandbox writes until its end. One that writes more than `limit` is ended.
///
/// Dropping the future ends it in the background.
pub(super) async fn stream(mut stream: StreamExec, limit: u64) -> Ran {
    let mut gathered = Gathered::new(limit);
    loop {
        match stream.next().await.map(|event| event.data) {
            Some(StreamData::Stdout(bytes)) => gathered.stdout(&bytes),
            Some(StreamData::Stderr(bytes)) => gathered.stderr(&bytes),
            Some(StreamData::Exit(exit)) => return gathered.ran(exit),
            // The exit is always there, and always last.
            None => return gathered.ran(Exit::Cancelled(crate::exec::RemoteEnd::Ended)),
        }
        if gathered.overflowed {
            stream.cancel();
            stream.discard_output();
        }
    }
}

/// Cuts both outputs to what is allowed together, standard output first: standard error says more, and is short.
pub(super) fn cut(stdout: Bytes, stderr: Bytes, limit: u64) -> PartialOutput {
    let room = usize::try_from(limit).unwrap_or(usize::MAX);
    let stderr = stderr.slice(..stderr.len().min(room));
    let stdout = stdout.slice(..stdout.len().min(room - stderr.len()));
    PartialOutput { stdout, stderr }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_kept_and_more_is_noticed() {
        let mut gathered = Gathered::new(10);
        let all = vec![b'x'; OWN as usize + 9];
        gathered.stdout(&all);
        gathered.stderr(b"e");
        assert!(!gathered.overflowed);
        gathered.stderr(b"f");
        assert!(gathered.overflowed);
        gathered.stdout(b"more");
        let ran = gathered.ran(Exit::Cancelled(crate::exec::RemoteEnd::Ended));
        assert_eq!(
            (ran.output.stdout.len(), &ran.output.stderr[..]),
            (all.len(), &b"e"[..])
        );
    }

    #[test]
    fn of_too_much_output_standard_error_is_kept_first() {
        let cut = |limit| {
            let cut = cut(Bytes::from_static(b"12345"), Bytes::from_static(b"abc"), limit);
            (cut.stdout.len(), cut.stderr.len())
        };
        assert_eq!(
            [cut(10), cut(7), cut(3), cut(2), cut(0)],
            [(5, 3), (4, 3), (0, 3), (0, 2), (0, 0)]
        );
    }
}
