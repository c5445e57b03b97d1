//! Looking at files without reading or changing them.

use std::path::Path;
use std::time::UNIX_EPOCH;

use starlark::environment::{GlobalsBuilder, MethodsBuilder};
use starlark::eval::Evaluator;
use starlark::starlark_module;
use starlark::values::Value;
use starlark::values::dict::AllocDict;

use super::arguments::PathArg;
use super::path::PathValue;
use super::problem::problem;
use super::{lexical, search};
use crate::blocking::blocking;
use crate::context::Context;
use crate::permissions::{Access, Operation, resolve};

/// A directory, and the names of the directories and of the files in it.
type Walked = (PathValue, Vec<String>, Vec<String>);

fn look<'v, T: Send + 'static>(
    eval: &mut Evaluator<'v, '_, '_>,
    function: &'static str,
    path: &str,
    how: impl FnOnce(&Path) -> T + Send + 'static,
) -> anyhow::Result<T> {
    let allowed = Context::of(eval)?
        .session
        .permit_path(Access::Read, function, path)?;
    blocking(eval, move || how(&allowed))
}

/// As [`look`], at a link itself where the path is one.
fn look_at_link<'v, T: Send + 'static>(
    eval: &mut Evaluator<'v, '_, '_>,
    function: &'static str,
    path: &str,
    how: impl FnOnce(&Path) -> T + Send + 'static,
) -> anyhow::Result<T> {
    let allowed = Context::of(eval)?
        .session
        .permit_entry(Access::Read, function, path)?;
    blocking(eval, move || how(&allowed))
}

/// The files that match a pattern and may be seen. If none of several may be, that is an error.
fn find<'v>(eval: &mut Evaluator<'v, '_, '_>, base: &str, pattern: &str) -> anyhow::Result<Vec<String>> {
    let session = Context::of(eval)?.session.clone();
    let (at, stop) = (session.path(base), session.stop().clone());
    let pattern = match pattern.strip_prefix("~/") {
        Some(rest) => session.path("~").join(rest).to_string_lossy().into_owned(),
        None => pattern.to_owned(),
    };
    blocking(eval, move || {
        let found = search::glob(&at, &pattern, &stop)?;
        if session.guard().allows_all() {
            return Ok(found);
        }
        let mut refused = None;
        let mut seen = Vec::new();
        for name in found {
            let named = at.join(&name);
            let operation = Operation::file(Access::Read, "glob", &named, &resolve(&named));
            match session.permit(&operation) {
                Ok(()) => seen.push(name),
                Err(denied) => refused = Some(denied),
            }
        }
        match refused {
            Some(denied) if seen.is_empty() => Err(denied.into()),
            _ => Ok(seen),
        }
    })?
}

/// The name of an owner, or the number where it has none.
#[cfg(unix)]
fn owner_name(path: &Path, of_group: bool) -> std::io::Result<String> {
    use std::os::unix::fs::MetadataExt;

    use crate::modules::os::accounts;
    let metadata = path.metadata()?;
    Ok(if of_group {
        accounts::group_name(metadata.gid())
    } else {
        accounts::user_name(metadata.uid())
    })
}

#[cfg(not(unix))]
fn owner_name(_path: &Path, _of_group: bool) -> std::io::Result<String> {
    Err(std::io::ErrorKind::Unsupported.into())
}

#[cfg(unix)]
fn numbers(metadata: &std::fs::Metadata) -> (u32, u32, u32) {
    use std::os::unix::fs::MetadataExt;
    (metadata.mode() & 0o7777, metadata.uid(), metadata.gid())
}

#[cfg(not(unix))]
fn numbers(metadata: &std::fs::Metadata) -> (u32, u32, u32) {
    (
        if metadata.permissions().readonly() {
            0o444
        } else {
            0o644
        },
        0,
        0,
    )
}

/// `-rwxr-xr-x`, as Go shows it.
fn shown_mode(is_dir: bool, mode: u32) -> String {
    let letters = "rwxrwxrwx".chars().rev().enumerate();
    let mut shown: Vec<char> = letters
        .map(|(bit, letter)| if mode >> bit & 1 == 1 { letter } else { '-' })
        .collect();
    shown.push(if is_dir { 'd' } else { '-' });
    shown.iter().rev().collect()
}

/// Total, used and free bytes.
#[cfg(unix)]
fn space(path: &Path) -> std::io::Result<[u64; 3]> {
    let stat = rustix::fs::statvfs(path)?;
    let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
    Ok([
        bytes(stat.f_blocks),
        bytes(stat.f_blocks.saturating_sub(stat.f_bfree)),
        bytes(stat.f_bavail),
    ])
}

#[cfg(not(unix))]
fn space(_path: &Path) -> std::io::Result<[u64; 3]> {
    Err(std::io::ErrorKind::Unsupported.into())
}

#[starlark_module]
pub(super) fn methods(builder: &mut MethodsBuilder) {
    /// Whether there is a file, a directory or anything else with this name. A link that leads nowhere does not count.
    fn exists<'v>(this: &PathValue, eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<bool> {
        look(eval, "exists", this.text(), Path::exists)
    }

    /// Whether it is a file, or a link to one.
    fn is_file<'v>(this: &PathValue, eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<bool> {
        look(eval, "is_file", this.text(), Path::is_file)
    }

    /// Whether it is a directory, or a link to one.
    fn is_dir<'v>(this: &PathValue, eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<bool> {
        look(eval, "is_dir", this.text(), Path::is_dir)
    }

    /// Whether it is a symbolic link.
    fn is_symlink<'v>(this: &PathValue, eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<bool> {
        look_at_link(eval, "is_symlink", this.text(), Path::is_symlink)
    }

    /// A dict of `name`, `size` in bytes, `mode` (as `-rw-r--r--`), `perm` (as `0o644`), `is_dir`, `is_file`, `is_symlink`, `mod_time` in seconds since 1970, `uid`
    /// and `gid`. Links are followed.
    fn stat<'v>(this: &PathValue, eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<Value<'v>> {
        let metadata = look(eval, "stat", this.text(), |path| path.metadata())?
            .map_err(|error| problem("stat", this.text(), &error))?;
        let is_symlink = look_at_link(eval, "stat", this.text(), Path::is_symlink)?;
        let (mode, uid, gid) = numbers(&metadata);
        let time = metadata
            .modified()
            .ok()
            .and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let heap = eval.heap();
        Ok(heap.alloc(AllocDict([
            ("name", heap.alloc(lexical::name(this.text()))),
            ("size", heap.alloc(metadata.len())),
            ("mode", heap.alloc(shown_mode(metadata.is_dir(), mode))),
            ("perm", heap.alloc(mode)),
            ("is_dir", Value::new_bool(metadata.is_dir())),
            ("is_file", Value::new_bool(metadata.is_file())),
            ("is_symlink", Value::new_bool(is_symlink)),
            (
                "mod_time",
                heap.alloc(time.map_or(0.0, |time| time.as_secs_f64())),
            ),
            ("uid", heap.alloc(uid)),
            ("gid", heap.alloc(gid)),
        ])))
    }

    /// The name of the user that it belongs to, or the number where there is no name.
    fn owner<'v>(this: &PathValue, eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<String> {
        look(eval, "owner", this.text(), |path| owner_name(path, false))?
            .map_err(|error| problem("owner", this.text(), &error))
    }

    /// The name of the group that it belongs to, or the number where there is no name.
    fn group<'v>(this: &PathValue, eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<String> {
        look(eval, "group", this.text(), |path| owner_name(path, true))?
            .map_err(|error| problem("group", this.text(), &error))
    }

    /// Where a symbolic link leads, as it is written in it.
    fn readlink<'v>(this: &PathValue, eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<PathValue> {
        let target = look_at_link(eval, "readlink", this.text(), |path| path.read_link())?
            .map_err(|error| problem("readlink", this.text(), &error))?;
        Ok(PathValue::new(target.to_string_lossy()))
    }

    /// The paths of what is in the directory, sorted.
    fn listdir<'v>(this: &PathValue, eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<Vec<PathValue>> {
        let names = look(eval, "listdir", this.text(), search::names)?
            .map_err(|error| problem("listdir", this.text(), &error))?;
        Ok(names
            .iter()
            .map(|name| PathValue::new(lexical::join(this.text(), name)))
            .collect())
    }

    /// The paths in the directory that match a pattern, sorted: `*` and `?` stop at slashes, `**` is any number of directories.
    fn glob<'v>(
        this: &PathValue,
        pattern: &str,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<Vec<PathValue>> {
        if pattern.starts_with('/') {
            anyhow::bail!("glob: the pattern {pattern:?} is absolute: use the function glob for it");
        }
        let found = find(eval, this.text(), pattern)?;
        Ok(found
            .iter()
            .map(|name| PathValue::new(lexical::join(this.text(), name)))
            .collect())
    }

    /// The directory and all below it: a list of tuples of the path of a directory, the names of the directories in it, and the
    /// names of the files. Links are not followed.
    fn walk<'v>(this: &PathValue, eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<Vec<Walked>> {
        let session = Context::of(eval)?.session.clone();
        let shown = this.text().to_owned();
        let found = look(eval, "walk", this.text(), move |at| {
            let mut found = search::walk(at, &shown, session.stop())?;
            if !session.guard().allows_all() {
                found.retain(|(directory, ..)| session.permit_path(Access::Read, "walk", directory).is_ok());
            }
            anyhow::Ok(found)
        })??;
        Ok(found
            .into_iter()
            .map(|(directory, dirs, files)| (PathValue::new(directory), dirs, files))
            .collect())
    }

    /// The space of the disk that it is on: a dict of `total`, `used` and `free`, in bytes.
    fn disk_usage<'v>(this: &PathValue, eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<Value<'v>> {
        let [total, used, free] = look(eval, "disk_usage", this.text(), space)?
            .map_err(|error| problem("disk_usage", this.text(), &error))?;
        Ok(eval
            .heap()
            .alloc(AllocDict([("total", total), ("used", used), ("free", free)])))
    }
}

#[starlark_module]
pub(super) fn functions(builder: &mut GlobalsBuilder) {
    /// Whether there is a file, a directory or anything else with this name. A link that leads nowhere does not count.
    fn exists<'v>(path: PathArg, eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<bool> {
        look(eval, "exists", &path.0, Path::exists)
    }

    /// The names of the files that match a pattern, sorted: `*` and `?` stop at slashes, `**` is any number of directories. Relative
    /// patterns begin in the current directory, and give relative names.
    fn glob<'v>(pattern: PathArg, eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<Vec<String>> {
        find(eval, "", &pattern.0)
    }
}
