//! Any bytes may stand in a known_hosts file: reading them must not panic, what is added must be found, and what is
//! removed must be gone.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sternline_proto::key::PublicKey;
use sternline_proto::known_hosts::{KnownHostsIndex, add_entry, remove_host};

const KEY: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";

fuzz_target!(|input: (&str, u16, Option<[u8; 20]>, &[u8])| {
    let (host, port, salt, content) = input;
    let lines = content.split(|byte| *byte == b'\n').count();
    let mut index = KnownHostsIndex::new();
    index.add_file("fuzzed", content);
    assert!(index.entries().len() + index.bad_lines().len() <= lines);
    assert!(index.lookup(host, port).entries().len() <= index.entries().len());

    let removal = remove_host(content, host, port);
    let again = remove_host(&removal.content, host, port);
    assert!(again.removed.is_empty(), "removing twice removed more: {again:?}");
    assert_eq!(again.content, removal.content);

    let key = PublicKey::from_text("ssh-ed25519", KEY).expect("the sample key");
    if let Ok(added) = add_entry(content, host, port, &key, salt) {
        let mut index = KnownHostsIndex::new();
        index.add_file("added", &added.content);
        let lookup = index.lookup(host, port);
        assert!(
            lookup.entries().iter().any(|entry| entry.key == key),
            "what was added is not found"
        );
    }
});
