//! A profile may say anything, a host may answer the probe with anything, and a command may write anything. Reading it must end
//! and must not panic, errors are single lines, what is sent holds nothing that a shell could misread, and no profile undoes
//! the sandbox.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use sternline_proto::sandbox::{
    HostFacts, Nonce, SandboxProfile, compose, parse_probe, read_output, read_status,
};

const HOST: &str = include_str!("../../crates/sternline-proto/src/sandbox/testdata/debian-12.txt");

fuzz_target!(|input: (bool, &str, &str, Vec<&str>, &[u8])| {
    let (toml, profile, probe, argv, output) = input;
    let nonce = Nonce::new([1; 16]);
    let _ = (read_status(output, &nonce), read_output(output, &nonce));
    if let Err(error) = parse_probe(probe) {
        assert!(!error.to_string().chars().any(char::is_control), "{error:?}");
    }
    let read = match toml {
        true => SandboxProfile::from_toml(profile, None),
        false => SandboxProfile::from_json(profile, None),
    };
    let profile = match read {
        Ok(profile) => profile,
        Err(error) => {
            assert!(!error.to_string().chars().any(char::is_control), "{error:?}");
            return;
        }
    };
    let Ok(facts): Result<HostFacts, _> = parse_probe(HOST) else { return };
    match compose(&profile, &facts, &argv, Duration::from_secs(1), true, &nonce) {
        Err(error) => assert!(!error.to_string().chars().any(char::is_control), "{error:?}"),
        Ok(command) => {
            assert!(command.line.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' '));
            assert!(!command.line.iter().any(|byte| b"\\!`*?~".contains(byte)));
            let script = String::from_utf8_lossy(&command.prefix);
            assert!(script.contains("--unshare-user --unshare-ipc --unshare-pid"));
            assert!(script.contains("--cap-drop ALL --clearenv"));
        }
    }
});
