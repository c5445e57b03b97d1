//! A SOCKS client sends what it likes, in pieces of any size: nothing may panic, the split must not matter, and the
//! replies must say what the end says.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sternline_proto::socks::{Handshake, Step};
use sternline_proto::target::check_host;

/// All replies, and where the client is to be connected to, with the bytes that its request took.
fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<u8>, Option<(String, u16, usize)>) {
    let (mut handshake, mut replies, mut before) = (Handshake::new(), Vec::new(), 0);
    for piece in pieces {
        match handshake.feed(piece) {
            Ok(Step::More {
                handshake: next,
                reply,
            }) => {
                replies.extend(reply);
                before += piece.len();
                handshake = next;
            }
            Ok(Step::Request {
                request,
                reply,
                consumed,
            }) => {
                replies.extend(reply);
                assert!(consumed <= piece.len() && request.port() > 0);
                check_host(request.host()).expect("a host that a target could have");
                let end = (request.host().to_owned(), request.port(), before + consumed);
                return (replies, Some(end));
            }
            Err(refusal) => {
                assert!(!refusal.to_string().chars().any(char::is_control), "{refusal:?}");
                replies.extend(refusal.reply);
                return (replies, None);
            }
        }
    }
    (replies, None)
}

fuzz_target!(|input: (u8, &[u8])| {
    let (size, bytes) = input;
    let pieces = bytes.chunks(usize::from(size).max(1));
    assert_eq!(read(pieces), read(std::iter::once(bytes)));
});
