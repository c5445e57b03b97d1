//! Operands come from command lines: reading them must not panic, messages must be safe to show, and what is behind a
//! host must come out byte by byte.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sternline_proto::files::{Naming, Operand};

fuzz_target!(|text: &[u8]| {
    for naming in [Naming::Posix, Naming::Windows] {
        match Operand::parse(text, naming) {
            Ok(Operand::Remote { hosts, path }) => {
                assert!(!hosts.targets.is_empty() && !path.contains(&0));
                assert!(text.starts_with(b"scp://") || text.ends_with(&path));
            }
            Ok(Operand::Local(path)) => assert_eq!(path, text),
            Ok(Operand::Stream) => assert_eq!(text, b"-"),
            Err(error) => assert!(!error.to_string().chars().any(char::is_control), "{error:?}"),
        }
    }
});
