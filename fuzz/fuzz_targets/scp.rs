//! An scp peer sends what it likes, in pieces of any size: nothing may panic, the split must not matter, a name is never
//! a path, messages are safe to show, and a record that was understood is understood the same when it is written again.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use sternline_proto::scp::{MAX_LINE, Record, RecordError};

fn cut<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Record>, bool) {
    let (mut arrived, mut records) = (BytesMut::new(), Vec::new());
    for piece in pieces {
        arrived.extend_from_slice(piece);
        loop {
            match Record::take(&mut arrived) {
                Ok(Some(record)) => records.push(record),
                Ok(None) => break,
                Err(error) => {
                    assert!(!error.to_string().chars().any(char::is_control), "{error:?}");
                    return (records, true);
                }
            }
        }
        assert!(arrived.len() < MAX_LINE);
    }
    (records, false)
}

fuzz_target!(|input: (u8, &[u8])| {
    let (size, bytes) = input;
    let pieces = bytes.chunks(usize::from(size).max(1));
    let (records, failed) = cut(std::iter::once(bytes));
    assert_eq!(cut(pieces), (records.clone(), failed));
    for record in records {
        if let Record::File { name, .. } | Record::Directory { name, .. } = &record {
            assert!(!name.as_bytes().contains(&b'/') && name.as_bytes() != "..");
        }
        let mut out = BytesMut::new();
        record.encode(&mut out);
        let again: Result<Option<Record>, RecordError> = Record::take(&mut out);
        match (&record, again) {
            // A long text is cut off.
            (Record::Warning(text) | Record::Fatal(text), Ok(Some(_))) if text.len() > 1024 => {}
            (record, again) => assert_eq!(again, Ok(Some(record.clone()))),
        }
    }
});
