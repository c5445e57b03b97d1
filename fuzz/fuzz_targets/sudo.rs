//! What comes before a command that is run through sudo is foreign: however it is cut, the password is asked for once at
//! most and never after the start, and what the command writes comes through as it is.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sternline_proto::sudo::{SudoDialog, SudoMarkers, SudoRefusal, SudoStep};

fuzz_target!(|input: (Vec<Vec<u8>>, Vec<u8>)| {
    let (pieces, own) = input;
    let markers = SudoMarkers::new([b'a'; 32]);
    let mut dialog = SudoDialog::new(&markers);
    let mut prompts = 0;
    let mut started = false;
    for piece in &pieces {
        for step in dialog.read(piece) {
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
