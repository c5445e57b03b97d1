//! Files and directories as entries: made, removed, moved, linked, given away.

use std::io;
use std::path::{Path, PathBuf};

use starlark::environment::MethodsBuilder;
use starlark::eval::Evaluator;
use starlark::starlark_module;
use starlark::values::none::{NoneOr, NoneType};

use super::arguments::{Mode, PathArg};
use super::content::change;
use super::path::PathValue;
use super::problem::problem;
use super::write;
use crate::blocking::blocking;
use crate::context::Context;
use crate::permissions::Access;

/// What is allowed of one path to another.
struct Pair {
    from: PathBuf,
    to: PathBuf,
}

/// Does something with two paths, or nothing in a dry run. `moves`: the first one goes away.
fn change_two<'v>(
    eval: &mut Evaluator<'v, '_, '_>,
    function: &'static str,
    from: &str,
    to: &str,
    moves: bool,
    how: impl FnOnce(Pair) -> io::Result<()> + Send + 'static,
) -> anyhow::Result<()> {
    let session = &Context::of(eval)?.session;
    let from_path = if moves {
        // Under another name it may be readable where it is not under this one.
        session.permit_entry(Access::Read, "file", from)?;
        session.permit_entry(Access::Delete, function, from)?
    } else {
        session.permit_path(Access::Read, function, from)?
    };
    // Into a directory it goes under its own name.
    let is_directory = session.path(to).is_dir();
    let into = match super::lexical::name(from) {
        name if is_directory && function != "rename" && !name.is_empty() => super::lexical::join(to, name),
        _ => to.to_owned(),
    };
    let to_path = session.permit_entry(Access::Write, function, &into)?;
    // What is written through a link lands where that leads.
    session.permit_path(Access::Write, function, &into)?;
    if session.dry_run() {
        return Ok(());
    }
    let pair = Pair {
        from: from_path,
        to: to_path,
    };
    blocking(eval, move || how(pair))?
        .map_err(|error| problem(function, &format!("{from} to {into}"), &error))
}

fn copy(pair: &Pair) -> io::Result<()> {
    let mut source = std::fs::File::open(&pair.from)?;
    let metadata = source.metadata()?;
    if metadata.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    write::from_reader(&pair.to, &mut source, permissions(&metadata))
}

#[cfg(unix)]
fn permissions(metadata: &std::fs::Metadata) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    Some(metadata.permissions().mode() & 0o777)
}

#[cfg(not(unix))]
fn permissions(_metadata: &std::fs::Metadata) -> Option<u32> {
    None
}

/// Renames, or copies and removes where the other place is on another disk.
fn relocate(pair: &Pair) -> io::Result<()> {
    match std::fs::rename(&pair.from, &pair.to) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            copy(pair)?;
            std::fs::remove_file(&pair.from)
        }
        renamed => renamed,
    }
}

fn remove(path: &Path) -> io::Result<()> {
    if path.symlink_metadata()?.is_dir() {
        std::fs::remove_dir(path)
    } else {
        std::fs::remove_file(path)
    }
}

#[cfg(unix)]
fn make_directory(path: &Path, parents: bool, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(parents)
        .mode(mode)
        .create(path)
}

#[cfg(not(unix))]
fn make_directory(path: &Path, parents: bool, _mode: u32) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(parents).create(path)
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
}

#[cfg(unix)]
fn set_owner(path: &Path, uid: Option<u32>, gid: Option<u32>) -> io::Result<()> {
    std::os::unix::fs::chown(path, uid, gid)
}

#[cfg(unix)]
fn link(target: &Path, path: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, path)
}

#[cfg(not(unix))]
fn set_mode(_path: &Path, _mode: u32) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(not(unix))]
fn set_owner(_path: &Path, _uid: Option<u32>, _gid: Option<u32>) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(not(unix))]
fn link(_target: &Path, _path: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[starlark_module]
pub(super) fn methods(builder: &mut MethodsBuilder) {
    /// Makes the directory. With `parents=True` also those around it, and it is no error if it is there. `mode` is less the umask.
    fn mkdir<'v>(
        this: &PathValue,
        #[starlark(default = false)] parents: bool,
        #[starlark(default = Mode(0o755))] mode: Mode,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<NoneType> {
        change(eval, "mkdir", this.text(), move |path| {
            make_directory(path, parents, mode.0)
        })?;
        Ok(NoneType)
    }

    /// Removes the file, the link, or the directory if it is empty. An error if it is not there. Does nothing in a dry run.
    fn remove<'v>(this: &PathValue, eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<NoneType> {
        let session = &Context::of(eval)?.session;
        let allowed = session.permit_entry(Access::Delete, "remove", this.text())?;
        if !session.dry_run() {
            blocking(eval, move || remove(&allowed))?
                .map_err(|error| problem("remove", this.text(), &error))?;
        }
        Ok(NoneType)
    }

    /// Gives it another name, in place of what has that name. Returns the new path.
    fn rename<'v>(
        this: &PathValue,
        target: PathArg,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<PathValue> {
        change_two(eval, "rename", this.text(), &target.0, true, |pair| {
            std::fs::rename(pair.from, pair.to)
        })?;
        Ok(PathValue::new(target.0))
    }

    /// Copies the file, with its permissions, to another path or into a directory. Returns the target.
    fn copy_to<'v>(
        this: &PathValue,
        target: PathArg,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<PathValue> {
        change_two(eval, "copy_to", this.text(), &target.0, false, |pair| copy(&pair))?;
        Ok(PathValue::new(target.0))
    }

    /// Moves the file to another path or into a directory, also to another disk. Returns the target.
    fn move_to<'v>(
        this: &PathValue,
        target: PathArg,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<PathValue> {
        change_two(eval, "move_to", this.text(), &target.0, true, |pair| {
            relocate(&pair)
        })?;
        Ok(PathValue::new(target.0))
    }

    /// Sets the permissions: `0o600` or `"0600"`.
    fn chmod<'v>(this: &PathValue, mode: Mode, eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<NoneType> {
        change(eval, "chmod", this.text(), move |path| set_mode(path, mode.0))?;
        Ok(NoneType)
    }

    /// Gives it to another user or group, by their numbers. What is not given stays.
    fn chown<'v>(
        this: &PathValue,
        #[starlark(require = named, default = NoneOr::None)] uid: NoneOr<u32>,
        #[starlark(require = named, default = NoneOr::None)] gid: NoneOr<u32>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<NoneType> {
        let (uid, gid) = (uid.into_option(), gid.into_option());
        change(eval, "chown", this.text(), move |path| set_owner(path, uid, gid))?;
        Ok(NoneType)
    }

    /// Makes this path a symbolic link to a target, which need not exist.
    fn symlink_to<'v>(
        this: &PathValue,
        target: PathArg,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<NoneType> {
        let session = &Context::of(eval)?.session;
        let allowed = session.permit_entry(Access::Write, "symlink_to", this.text())?;
        if !session.dry_run() {
            let to = PathBuf::from(target.0);
            blocking(eval, move || link(&to, &allowed))?
                .map_err(|error| problem("symlink_to", this.text(), &error))?;
        }
        Ok(NoneType)
    }

    /// Makes this path another name of the file `target`.
    fn hardlink_to<'v>(
        this: &PathValue,
        target: PathArg,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<NoneType> {
        let session = &Context::of(eval)?.session;
        let of = session.permit_path(Access::Read, "hardlink_to", &target.0)?;
        // Whoever writes to one name has written to the other.
        session.permit_path(Access::Write, "hardlink_to", &target.0)?;
        let allowed = session.permit_entry(Access::Write, "hardlink_to", this.text())?;
        if !session.dry_run() {
            blocking(eval, move || std::fs::hard_link(&of, &allowed))?
                .map_err(|error| problem("hardlink_to", this.text(), &error))?;
        }
        Ok(NoneType)
    }
}
