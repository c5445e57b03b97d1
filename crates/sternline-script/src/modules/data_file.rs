//! Files that hold data, as the modules `json`, `yaml` and `inventory` read and write them.

use std::io::{self, Read as _};
use std::path::Path;

use starlark::eval::Evaluator;
use sternline::proto::text::escape;

use super::fs::content::replace;
use crate::context::Context;
use crate::permissions::Access;
use crate::wait::wait;

/// The largest file that is read as data.
const MAX_SIZE: u64 = 64 * 1024 * 1024;

/// The text of a file. The script stays reachable meanwhile, for the file may be a pipe.
///
/// # Errors
/// When the script may not read it, and when it cannot be read, is no UTF-8, or larger than 64 MiB.
pub(crate) fn read(eval: &mut Evaluator<'_, '_, '_>, path: &str) -> anyhow::Result<String> {
    let file = Context::of(eval)?
        .session
        .permit_path(Access::Read, "file", path)?;
    let text = wait(eval, async move {
        tokio::task::spawn_blocking(move || read_text(&file)).await
    })?;
    text?.map_err(|error| anyhow::anyhow!("open {}: {}", escape(path), reason(&error)))
}

fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let read = std::fs::File::open(path)?
        .take(MAX_SIZE + 1)
        .read_to_string(&mut text)?;
    if read as u64 > MAX_SIZE {
        return Err(io::Error::other(
            "the file is larger than 64 MiB, which is no data file",
        ));
    }
    Ok(text)
}

/// Writes a file, or only pretends to in a dry run.
///
/// # Errors
/// When the script may not write it, and when it cannot be written.
pub(crate) fn write(eval: &mut Evaluator<'_, '_, '_>, path: &str, text: String) -> anyhow::Result<()> {
    replace(eval, "write_file", path, text.into_bytes(), None)
}

/// Why a file could not be used, in the words that scripts look for.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::IsADirectory => "is a directory".to_owned(),
        io::ErrorKind::InvalidData => "it is no UTF-8 text".to_owned(),
        _ => error.to_string(),
    }
}
