//! What is in files: reading and writing it.

use std::path::Path;

use starlark::environment::MethodsBuilder;
use starlark::eval::Evaluator;
use starlark::starlark_module;
use starlark::values::none::{NoneOr, NoneType};

use super::arguments::{Content, Mode, PathArg};
use super::path::PathValue;
use super::problem::problem;
use super::write;
use crate::blocking::blocking;
use crate::context::Context;
use crate::permissions::Access;

/// Larger ones are refused: a value of a script is in memory as a whole, and more than once.
const MAX_SIZE: u64 = 1024 * 1024 * 1024;

/// The bytes of a file.
pub(crate) fn file_bytes<'v>(
    eval: &mut Evaluator<'v, '_, '_>,
    function: &'static str,
    path: &str,
) -> anyhow::Result<Vec<u8>> {
    let allowed = Context::of(eval)?
        .session
        .permit_path(Access::Read, function, path)?;
    blocking(eval, move || read_file(&allowed))?.map_err(|error| problem("open", path, &error))
}

fn read_file(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path)?;
    std::io::Read::read_to_end(&mut std::io::Read::take(file, MAX_SIZE + 1), &mut bytes)?;
    if bytes.len() as u64 > MAX_SIZE {
        return Err(std::io::Error::other(
            "it has more than 1 GiB, which is too much for a value of a script",
        ));
    }
    Ok(bytes)
}

/// The text of a file.
pub(crate) fn file_text<'v>(
    eval: &mut Evaluator<'v, '_, '_>,
    function: &'static str,
    path: &str,
) -> anyhow::Result<String> {
    String::from_utf8(file_bytes(eval, function, path)?).map_err(|error| {
        anyhow::anyhow!(
            "{function} {path:?}: it is no UTF-8, from byte {} on: use read_bytes",
            error.utf8_error().valid_up_to()
        )
    })
}

/// Puts content into a file, or does nothing in a dry run.
pub(crate) fn replace<'v>(
    eval: &mut Evaluator<'v, '_, '_>,
    function: &'static str,
    path: &str,
    content: Vec<u8>,
    mode: Option<u32>,
) -> anyhow::Result<()> {
    change(eval, function, path, move |path| {
        write::replace(path, &content, mode)
    })
}

/// Changes a file, or does nothing in a dry run.
pub(super) fn change<'v>(
    eval: &mut Evaluator<'v, '_, '_>,
    function: &'static str,
    path: &str,
    how: impl FnOnce(&Path) -> std::io::Result<()> + Send + 'static,
) -> anyhow::Result<()> {
    let session = &Context::of(eval)?.session;
    let allowed = session.permit_path(Access::Write, function, path)?;
    if session.dry_run() {
        return Ok(());
    }
    // What opens a file says so, as in Go.
    let verb = if matches!(function, "mkdir" | "chmod" | "chown" | "truncate") {
        function
    } else {
        "open"
    };
    blocking(eval, move || how(&allowed))?.map_err(|error| problem(verb, path, &error))
}

fn bits(mode: NoneOr<Mode>) -> Option<u32> {
    mode.into_option().map(|mode| mode.0)
}

#[starlark_module]
pub(super) fn methods(builder: &mut MethodsBuilder) {
    /// The content of the file as a string. An error if it is no UTF-8.
    fn read_text<'v>(this: &PathValue, eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<String> {
        file_text(eval, "read_text", this.text())
    }

    /// The content of the file as bytes.
    fn read_bytes<'v>(this: &PathValue, eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<Vec<u8>> {
        file_bytes(eval, "read_bytes", this.text())
    }

    /// Puts a string or bytes into the file, in place of what is there. The file changes as a whole or not at all. `mode` is `0o644` or
    /// `"0644"`; without one a new file gets 0644 less the umask, and one that is there keeps its own. Directories are not made.
    fn write_text<'v>(
        this: &PathValue,
        content: Content,
        #[starlark(default = NoneOr::None)] mode: NoneOr<Mode>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<NoneType> {
        replace(eval, "write_text", this.text(), content.0, bits(mode))?;
        Ok(NoneType)
    }

    /// As `write_text`.
    fn write_bytes<'v>(
        this: &PathValue,
        content: Content,
        #[starlark(default = NoneOr::None)] mode: NoneOr<Mode>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<NoneType> {
        replace(eval, "write_bytes", this.text(), content.0, bits(mode))?;
        Ok(NoneType)
    }

    /// Adds a string or bytes to the end of the file, which is made if it is not there.
    fn append_text<'v>(
        this: &PathValue,
        content: Content,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<NoneType> {
        change(eval, "append_text", this.text(), move |path| {
            write::append(path, &content.0)
        })?;
        Ok(NoneType)
    }

    /// As `append_text`.
    fn append_bytes<'v>(
        this: &PathValue,
        content: Content,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<NoneType> {
        change(eval, "append_bytes", this.text(), move |path| {
            write::append(path, &content.0)
        })?;
        Ok(NoneType)
    }

    /// Makes an empty file, or gives the one that is there the time of now, unless `exist_ok=False`, which makes it an error.
    fn touch<'v>(
        this: &PathValue,
        #[starlark(default = true)] exist_ok: bool,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<NoneType> {
        change(eval, "touch", this.text(), move |path| {
            write::touch(path, exist_ok)
        })?;
        Ok(NoneType)
    }

    /// Cuts the file to a size in bytes, or fills it up with zeros.
    fn truncate<'v>(
        this: &PathValue,
        #[starlark(default = 0)] size: u64,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<NoneType> {
        change(eval, "truncate", this.text(), move |path| {
            std::fs::OpenOptions::new().write(true).open(path)?.set_len(size)
        })?;
        Ok(NoneType)
    }
}

/// The functions of the same kind that take a path.
#[starlark_module]
pub(super) fn functions(builder: &mut starlark::environment::GlobalsBuilder) {
    /// The content of a file as a string. An error if it is no UTF-8.
    fn read_text<'v>(path: PathArg, eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<String> {
        file_text(eval, "read_text", &path.0)
    }

    /// The content of a file as bytes.
    fn read_bytes<'v>(path: PathArg, eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<Vec<u8>> {
        file_bytes(eval, "read_bytes", &path.0)
    }

    /// Puts a string or bytes into a file, in place of what is there. The file changes as a whole or not at all. `mode` is `0o644` or
    /// `"0644"`; without one a new file gets 0644 less the umask, and one that is there keeps its own. Directories are not made. Does
    /// nothing in a dry run.
    fn write_text<'v>(
        path: PathArg,
        content: Content,
        #[starlark(default = NoneOr::None)] mode: NoneOr<Mode>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<NoneType> {
        replace(eval, "write_text", &path.0, content.0, bits(mode))?;
        Ok(NoneType)
    }

    /// As `write_text`.
    fn write_bytes<'v>(
        path: PathArg,
        content: Content,
        #[starlark(default = NoneOr::None)] mode: NoneOr<Mode>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<NoneType> {
        replace(eval, "write_bytes", &path.0, content.0, bits(mode))?;
        Ok(NoneType)
    }
}
