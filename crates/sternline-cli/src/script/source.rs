//! Reading a script.

use std::io::Read;
use std::path::Path;

use sternline::proto::text::escape;
use sternline_script::Source;

use crate::ui::Failure;

/// Reads a script from a file, or for `-` from standard input.
pub(crate) fn read(file: &Path) -> Result<Source, Failure> {
    let from_input = file == Path::new("-");
    let name = if from_input {
        "<stdin>".to_owned()
    } else {
        file.to_string_lossy().into_owned()
    };
    let bytes = if from_input {
        let mut bytes = Vec::new();
        std::io::stdin().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        std::fs::read(file)
    };
    let bytes = bytes.map_err(|error| {
        Failure::usage(format!("cannot read the script {}: {error}", escape(&name)))
            .with_hint("name a file that exists and that you may read, or - for standard input")
    })?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let place = error.utf8_error().valid_up_to();
        Failure::usage(format!(
            "the script {} is no UTF-8 text (byte {place})",
            escape(&name)
        ))
        .with_hint("a script is a text in Starlark; for any other program use sternline ssh --script")
    })?;
    Ok(Source {
        name,
        path: (!from_input).then(|| file.to_owned()),
        text,
    })
}
