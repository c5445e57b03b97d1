//! Whole handshakes, in one piece and in many.

use super::handshake::MAX_BUFFERED;
use super::{Handshake, MAX_NAME, Request, SocksError, Step};
use proptest::prelude::*;

/// Everything that comes of some bytes, read in pieces: all replies, and the end.
#[derive(Debug, PartialEq)]
struct Outcome {
    replies: Vec<u8>,
    end: End,
}

#[derive(Debug, PartialEq)]
enum End {
    Unfinished,
    Request { request: Request, consumed: usize },
    Refused(SocksError),
}

fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let mut handshake = Handshake::new();
    let (mut replies, mut before) = (Vec::new(), 0);
    for piece in pieces {
        match handshake.feed(piece) {
            Ok(Step::More {
                handshake: next,
                reply,
            }) => {
                assert!(next.buffer.len() <= MAX_BUFFERED);
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
                let consumed = before + consumed;
                return Outcome {
                    replies,
                    end: End::Request { request, consumed },
                };
            }
            Err(refusal) => {
                replies.extend(refusal.reply);
                return Outcome {
                    replies,
                    end: End::Refused(refusal.error),
                };
            }
        }
    }
    Outcome {
        replies,
        end: End::Unfinished,
    }
}

fn bytes(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

const GREETING: &[u8] = &[5, 1, 0];
const V6: &[u8] = &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

#[test]
fn every_kind_of_address_is_read_and_what_follows_is_left_to_the_stream() {
    let long = "a".repeat(MAX_NAME);
    for (message, host, port, replies) in [
        (
            bytes(&[&[4, 1, 0, 80, 192, 0, 2, 7], b"\0"]),
            "192.0.2.7",
            80,
            &[][..],
        ),
        (
            bytes(&[&[4, 1, 0, 80, 192, 0, 2, 7], b"ann\0"]),
            "192.0.2.7",
            80,
            &[],
        ),
        (
            bytes(&[&[4, 1, 1, 0, 0, 0, 0, 1], b"ann\0web-1\0"]),
            "web-1",
            256,
            &[],
        ),
        (
            bytes(&[
                &[4, 1, 1, 0, 0, 0, 0, 9],
                long.as_bytes(),
                b"\0",
                long.as_bytes(),
                b"\0",
            ]),
            &long,
            256,
            &[],
        ),
        (
            bytes(&[GREETING, &[5, 1, 0, 1, 127, 0, 0, 1, 0x1f, 0x90]]),
            "127.0.0.1",
            8080,
            &[5, 0],
        ),
        (
            bytes(&[GREETING, &[5, 1, 0, 4], V6, &[0, 22]]),
            "2001:db8::1",
            22,
            &[5, 0],
        ),
        (
            bytes(&[GREETING, &[5, 1, 0, 3, 5], b"web-1", &[0, 22]]),
            "web-1",
            22,
            &[5, 0],
        ),
        (
            bytes(&[GREETING, &[5, 1, 0, 3, 255], long.as_bytes(), &[0, 22]]),
            &long,
            22,
            &[5, 0],
        ),
        (
            bytes(&[GREETING, &[5, 1, 0, 3, 3], b"::1", &[0, 22]]),
            "::1",
            22,
            &[5, 0],
        ),
        (
            bytes(&[&[5, 3, 2, 1, 0], &[5, 1, 7, 3, 1], b"a", &[0, 22]]),
            "a",
            22,
            &[5, 0],
        ),
    ] {
        let outcome = read([bytes(&[&message, b"early data"]).as_slice()]);
        let End::Request { request, consumed } = outcome.end else {
            panic!("{host}: {outcome:?}")
        };
        assert_eq!((request.host(), request.port()), (host, port));
        assert_eq!(consumed, message.len(), "{host}");
        assert_eq!(outcome.replies, replies, "{host}");
        // Without its last byte, the same request is incomplete.
        assert_eq!(
            read([&message[..message.len() - 1]]).end,
            End::Unfinished,
            "{host}"
        );
    }
}

#[test]
fn the_method_is_chosen_before_the_request_arrives() {
    let Ok(Step::More { reply, .. }) = Handshake::new().feed(GREETING) else {
        panic!()
    };
    assert_eq!(reply, [5, 0]);
}

#[test]
fn what_is_not_served_is_refused_in_the_terms_of_the_version() {
    let no = |code: u8| bytes(&[&[5, 0], &[5, code, 0, 1, 0, 0, 0, 0, 0, 0]]);
    let no_4 = vec![0, 0x5b, 0, 0, 0, 0, 0, 0];
    let to = |command: u8| bytes(&[GREETING, &[5, command, 0, 1, 127, 0, 0, 1, 0, 80]]);
    let long = "a".repeat(MAX_NAME + 1);
    for (message, replies, words) in [
        (vec![5, 1, 2], vec![5, 0xff], "insists on authentication"),
        (vec![5, 0], vec![5, 0xff], "insists on authentication"),
        (to(2), no(7), "asked for BIND, but only CONNECT is served"),
        (to(3), no(7), "asked for UDP ASSOCIATE"),
        (to(0), no(7), "the unknown command 0"),
        (
            bytes(&[GREETING, &[5, 1, 0, 2, 0]]),
            no(8),
            "an address of the unknown type 2",
        ),
        (
            bytes(&[GREETING, &[4, 1, 0, 1, 0]]),
            no(1),
            "went on with version 4",
        ),
        (
            bytes(&[GREETING, &[5, 1, 0, 3, 0, 0, 80]]),
            no(1),
            "the host name is empty",
        ),
        (
            bytes(&[GREETING, &[5, 1, 0, 3, 2], b"a\n", &[0, 80]]),
            no(1),
            "the host name a\\n holds",
        ),
        (
            bytes(&[GREETING, &[5, 1, 0, 3, 2], b"a\xff", &[0, 80]]),
            no(1),
            "not UTF-8",
        ),
        (
            bytes(&[GREETING, &[5, 1, 0, 1, 127, 0, 0, 1, 0, 0]]),
            no(1),
            "port 0",
        ),
        (
            bytes(&[&[4, 2, 0, 80, 192, 0, 2, 7], b"\0"]),
            no_4.clone(),
            "asked for BIND",
        ),
        (
            bytes(&[&[4, 1, 0, 0, 192, 0, 2, 7], b"\0"]),
            no_4.clone(),
            "port 0",
        ),
        (
            bytes(&[&[4, 1, 0, 80, 0, 0, 0, 1], b"\0\0"]),
            no_4.clone(),
            "the host name is empty",
        ),
        (
            bytes(&[&[4, 1, 0, 80, 192, 0, 2, 7], long.as_bytes()]),
            no_4.clone(),
            "a name of more than 255 bytes",
        ),
        (
            bytes(&[&[4, 1, 0, 80, 0, 0, 0, 1], b"\0", long.as_bytes()]),
            no_4,
            "a name of more than 255 bytes",
        ),
        (
            b"GET / HTTP/1.1\r\n".to_vec(),
            vec![],
            "begins with the letter G, as an HTTP request does",
        ),
        (vec![0x16, 3, 1], vec![], "begins with a TLS handshake"),
        (vec![0, 1, 2], vec![], "its first byte is 0x00"),
    ] {
        let outcome = read([message.as_slice()]);
        let End::Refused(error) = outcome.end else {
            panic!("{words}: {outcome:?}")
        };
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(outcome.replies, replies, "{words}");
    }
}

#[test]
fn a_command_that_is_not_served_is_refused_only_when_nothing_is_left_unread() {
    let bind = bytes(&[GREETING, &[5, 2, 0, 1, 127, 0, 0, 1, 0, 80]]);
    assert_eq!(read([&bind[..bind.len() - 1]]).end, End::Unfinished);
}

/// Bytes that look enough like SOCKS to get far.
fn like_socks() -> impl Strategy<Value = Vec<u8>> {
    let name = || proptest::collection::vec(any::<u8>(), 0..300);
    prop_oneof![
        any::<Vec<u8>>(),
        (0_u8..4, any::<[u8; 6]>(), name(), name(), any::<bool>()).prop_map(
            |(command, mut to, user, host, named)| {
                if named {
                    to[2..5].fill(0);
                }
                bytes(&[&[4, command], &to, &user, &[0], &host, &[0]])
            }
        ),
        (name(), 0_u8..5, 0_u8..6, name()).prop_map(|(methods, command, address_type, rest)| {
            let methods = &methods[..methods.len().min(255)];
            let count = u8::try_from(methods.len()).unwrap();
            bytes(&[&[5, count], methods, &[5, command, 0, address_type], &rest])
        }),
        (0_u8..4, 0_u8..6, name()).prop_map(|(command, address_type, rest)| {
            bytes(&[GREETING, &[5, command, 0, address_type], &rest])
        }),
        ("[a-z0-9.-]{1,255}", any::<u16>(), any::<Vec<u8>>()).prop_map(|(host, port, early)| {
            let length = u8::try_from(host.len()).unwrap();
            bytes(&[
                GREETING,
                &[5, 1, 0, 3, length],
                host.as_bytes(),
                &port.to_be_bytes(),
                &early,
            ])
        }),
    ]
}

proptest! {
    #[test]
    fn how_the_bytes_are_split_makes_no_difference(
        message in like_socks(),
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..6),
    ) {
        let whole = read([message.as_slice()]);
        prop_assert_eq!(&read(message.chunks(1)), &whole);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(message.len() + 1)).collect();
        cuts.extend([0, message.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|ends| &message[ends[0]..ends[1]]);
        prop_assert_eq!(read(pieces), whole);
    }

    #[test]
    fn a_name_and_a_port_are_read_back_as_they_were_sent(host in "[a-z0-9][a-z0-9.-]{0,254}", port in 1_u16..) {
        let length = u8::try_from(host.len()).unwrap();
        let named = bytes(&[GREETING, &[5, 1, 0, 3, length], host.as_bytes(), &port.to_be_bytes()]);
        let named_4 = bytes(&[&[4, 1], &port.to_be_bytes(), &[0, 0, 0, 1], b"\0", host.as_bytes(), b"\0"]);
        for message in [named, named_4] {
            let End::Request { request, consumed } = read([message.as_slice()]).end else { panic!() };
            prop_assert_eq!((request.host(), request.port()), (host.as_str(), port));
            prop_assert_eq!(consumed, message.len());
        }
    }
}
