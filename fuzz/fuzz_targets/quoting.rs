//! Words are quoted for a POSIX shell: an independent reader of the same rules must get the same words back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sternline_proto::command::Command;
use sternline_proto::quoting::join;

fuzz_target!(|words: Vec<Vec<u8>>| {
    if let Ok(line) = join(&words) {
        let read: Vec<Vec<u8>> = shlex::bytes::Shlex::new(&line).collect();
        assert_eq!(read, words);
    }
    if let Some((program, args)) = words.split_first() {
        // Whatever the words are, composing the line is an error or a line without NUL.
        if let Ok(line) = Command::program(program.clone())
            .args(args.iter().cloned())
            .to_line()
        {
            assert!(!line.contains(&0));
        }
    }
});
