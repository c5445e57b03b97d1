//! A server sends what it likes where an archive belongs, in pieces of any size: nothing may panic, the split must not
//! matter, no member is larger than the limit, messages are safe to show, and a name that may be written comes back.
#![no_main]

use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use sternline_proto::tar::{Content, Member, Reader, TarError, finish};

const LIMIT: usize = 4096;

fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Member>, Result<bool, TarError>) {
    let (mut reader, mut members) = (Reader::new(LIMIT), Vec::new());
    for piece in pieces {
        reader.push(Bytes::copy_from_slice(piece));
        loop {
            match reader.next() {
                Ok(Some(member)) => members.push(member),
                Ok(None) => break,
                Err(error) => {
                    assert!(!error.to_string().chars().any(char::is_control), "{error:?}");
                    return (members, Err(error));
                }
            }
        }
    }
    (members, Ok(reader.is_complete()))
}

/// Makes the sums of headers right, without which nothing behind the first check is reached.
fn mend(archive: &mut [u8]) {
    for block in archive.chunks_exact_mut(512) {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
}

fuzz_target!(|input: (bool, u8, Vec<u8>)| {
    let (mended, size, mut archive) = input;
    if mended {
        mend(&mut archive);
    }
    let (members, end) = read(std::iter::once(&archive[..]));
    let pieces = archive.chunks(usize::from(size).max(1));
    assert_eq!(read(pieces), (members.clone(), end));
    let (mut again, mut expected) = (BytesMut::new(), Vec::new());
    for member in members {
        let Content::File(content) = &member.content else {
            continue;
        };
        assert!(content.len() <= LIMIT);
        // Writing has narrower bounds for times.
        let written = (0..=0o77_777_777_777).contains(&member.header.mtime);
        if written && member.header.encode(content, &mut again).is_ok() {
            expected.push(member);
        }
    }
    finish(&mut again);
    assert_eq!(read(std::iter::once(&again[..])), (expected, Ok(true)));
});
