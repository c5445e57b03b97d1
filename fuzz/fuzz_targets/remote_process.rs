//! The listing of processes comes from the peer: whatever it says, only a process in it may be chosen, and none that
//! started after the second session.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sternline_proto::remote_process::{identify, parse_listing, parse_verdict};

fuzz_target!(|input: (&str, Vec<Vec<u8>>, usize)| {
    let (output, running, wanted) = input;
    let _ = parse_verdict(output);
    let Some(listing) = parse_listing(output) else {
        return;
    };
    let running: Vec<&[u8]> = running.iter().map(Vec::as_slice).collect();
    if let Some(child) = identify(&listing, &running, wanted) {
        assert!(listing.children.contains(child));
    }
});
