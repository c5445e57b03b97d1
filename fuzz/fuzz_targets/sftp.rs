//! An SFTP peer sends what it likes, in pieces of any size: nothing may panic, the split must not matter, no more is kept
//! than one packet, and a packet that was understood is understood the same when it is written again.
#![no_main]

use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use sternline_proto::sftp::{ClientPacket, Deframer, FrameError, MAX_PACKET, ServerPacket};

fn cut(pieces: impl Iterator<Item = Bytes>) -> (Vec<Bytes>, Option<FrameError>) {
    let (mut deframer, mut packets) = (Deframer::new(), Vec::new());
    for mut piece in pieces {
        loop {
            match deframer.take(&mut piece) {
                Ok(Some(packet)) => packets.push(packet),
                Ok(None) => break,
                Err(error) => return (packets, Some(error)),
            }
        }
    }
    (packets, None)
}

fn again(out: BytesMut) -> Bytes {
    out.freeze().slice(4..)
}

fuzz_target!(|input: (u8, &[u8])| {
    let (size, bytes) = input;
    let whole = Bytes::copy_from_slice(bytes);
    let pieces = bytes.chunks(usize::from(size).max(1)).map(Bytes::copy_from_slice);
    let (packets, error) = cut(std::iter::once(whole));
    assert_eq!(cut(pieces), (packets.clone(), error));
    for packet in packets {
        assert!(packet.len() <= MAX_PACKET);
        let mut out = BytesMut::new();
        match ClientPacket::decode(packet.clone()) {
            // What was not understood in it, such as unknown flags, is not written again.
            Ok(decoded) if decoded.encode(&mut out).is_ok() => {
                assert_eq!(ClientPacket::decode(again(out)), Ok(decoded));
            }
            Ok(_) => {}
            Err(error) => assert!(!error.to_string().chars().any(char::is_control)),
        }
        let mut out = BytesMut::new();
        match ServerPacket::decode(packet) {
            Ok(decoded) if decoded.encode(&mut out).is_ok() => {
                assert_eq!(ServerPacket::decode(again(out)), Ok(decoded));
            }
            Ok(_) => {}
            Err(error) => assert!(!error.to_string().chars().any(char::is_control)),
        }
    }
});
