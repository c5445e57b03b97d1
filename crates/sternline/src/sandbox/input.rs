//! The input of a sandbox: what makes it, and then the command's own.

use std::io::Cursor;

use bytes::Bytes;
use tokio::io::AsyncReadExt;

use crate::exec::Stdin;

/// What makes the sandbox, followed by the command's own input.
pub(super) fn with_prefix(prefix: Vec<u8>, stdin: Stdin) -> Stdin {
    match stdin {
        // An input that is written to later is refused before.
        Stdin::Empty | Stdin::Piped => Stdin::Bytes(prefix.into()),
        Stdin::Bytes(bytes) => Stdin::Bytes(Bytes::from([prefix.as_slice(), &bytes].concat())),
        Stdin::Reader(reader) => Stdin::reader(Cursor::new(prefix).chain(reader)),
    }
}
