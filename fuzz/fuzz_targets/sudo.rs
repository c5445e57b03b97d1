//! What comes before a command that is run through sudo is foreign: however it is cut, the password is asked for once at
//! most and never after the start, and what the command writes comes through as it is.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sternline_proto::sudo::{SudoDialog, SudoMarkers, SudoRefusal, SudoStep};

fuzz_target!(|input: (Vec<Vec<u8>>, Vec<u8>)| {
    let (pieces, own) = input;
    let markers = SudoMarkers::new([b'a'; 32]);
    // Two bytes stand for the markers, which no fuzzer would find.
    let (prompt, ready) = (
        format!("sudo-password-{}:", "61".repeat(16)),
        format!("sudo-started-{}.", "61".repeat(16)),
    );
    let spell = |piece: &Vec<u8>| -> Vec<u8> {
        let spelt = piece.iter().map(|byte| match byte {
            1 => prompt.as_bytes(),
            2 => ready.as_bytes(),
            other => std::slice::from_ref(other),
        });
        spelt.collect::<Vec<_>>().concat()
    };
    let mut dialog = SudoDialog::new(&markers);
    let mut prompts = 0;
    let mut started = false;
    for piece in &pieces {
        for step in dialog.read(&spell(piece)) {
            match step {
                SudoStep::Prompt => {
                    assert!(!started);
                    prompts += 1;
                }
                SudoStep::PromptAgain | SudoStep::Question(_) => assert!(!started),
                SudoStep::Started => started = true,
                SudoStep::Output(bytes) => assert!(!bytes.is_empty()),
            }
        }
    }
    assert!(prompts <= 1);
    assert_eq!(started, dialog.has_started());
    let _ = SudoRefusal::read(&dialog.said(), Some(1), dialog.was_asked());
    if started && !own.is_empty() {
        assert_eq!(dialog.read(&own), [SudoStep::Output(own)]);
    }
});
