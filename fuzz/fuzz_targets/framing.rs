//! What a shell says is foreign: however it is cut, the output of a command is what stood before its marker, and no text of a
//! command brings the marker into the line that the shell gets.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sternline_proto::framing::{FramedOutput, Marker, Place, parse_hello, run_line};

fuzz_target!(|input: (Vec<Vec<u8>>, Vec<u8>, u32)| {
    let (pieces, text, status) = input;
    let marker = Marker::new([b'a'; 12]);
    // One byte stands for the marker, which no fuzzer would find, and one for its beginning.
    let whole = marker.text().as_bytes();
    let half = &whole[..9];
    let spell = |piece: &Vec<u8>| -> Vec<u8> {
        let spelt = piece.iter().map(|byte| match byte {
            1 => whole,
            2 => half,
            other => std::slice::from_ref(other),
        });
        spelt.collect::<Vec<_>>().concat()
    };
    let _ = parse_hello(&spell(&text), &marker);

    // Whatever comes, in whatever pieces, it is cut the same.
    let all: Vec<u8> = pieces.iter().flat_map(spell).collect();
    let (mut cut, mut at_once) = (FramedOutput::new(&marker), FramedOutput::new(&marker));
    for piece in &pieces {
        cut.push_stdout(&spell(piece));
    }
    at_once.push_stdout(&all);
    for output in [&mut cut, &mut at_once] {
        output.push_stdout(&[whole, format!(" {status}\n").as_bytes()].concat());
        output.push_stderr(&[whole, b"\n"].concat());
    }
    assert!(cut.status().is_some());
    assert_eq!(cut.status(), at_once.status());
    assert_eq!(cut.into_output(), at_once.into_output());

    for place in [Place::Subshell { input: &text }, Place::Shell] {
        if let Ok(line) = run_line(&text, place, &marker) {
            let own = text.windows(whole.len()).any(|window| window == whole);
            assert!(own || !line.windows(whole.len()).any(|window| window == whole));
        }
    }
});
