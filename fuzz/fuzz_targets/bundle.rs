//! A bundle comes from somebody else: reading one must not panic, and what was read says where it stood.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sternline_proto::evidence::{Place, RecordKind, RecordedCommand, Recording, read_bundle};

fuzz_target!(|text: &str| {
    if let Ok(recording) = Recording::from_text(text) {
        let _ = recording.identification();
    }
    let Ok(records) = read_bundle(text) else { return };
    let lines = text.lines().count();
    for (index, record) in records.iter().enumerate() {
        assert_eq!(record.kind == RecordKind::Header, index == 0);
        if let Place::Line(line) = record.place {
            assert!(1 <= line && line <= lines);
        }
        if record.kind == RecordKind::Command
            && let Ok(command) = RecordedCommand::from_dict(&record.fields)
        {
            assert_eq!(RecordedCommand::from_dict(&command.to_dict()), Ok(command));
        }
    }
});
