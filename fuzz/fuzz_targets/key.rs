//! A key blob comes from the peer: reading it must not panic, and its text form must read back as the same key.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sternline_proto::key::PublicKey;

fuzz_target!(|blob: &[u8]| {
    if let Ok(key) = PublicKey::from_blob(blob) {
        assert_eq!(
            PublicKey::from_text(key.algorithm(), &key.to_base64()).as_ref(),
            Ok(&key)
        );
    }
});
