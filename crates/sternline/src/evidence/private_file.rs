//! Files with evidence in them: written whole or not at all, and readable by their owner only.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Writes a file beside the target, with mode 0600, and puts it in the target's place once it is on disk. Missing parent
/// directories are made, for their owner only. A symbolic link stays one: what it leads to is replaced.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let (target, mut file) = beside(path)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(target).map_err(|failed| failed.error)?;
    Ok(())
}

/// Tries what [`write_private`] needs, and leaves nothing but missing parent directories.
pub(super) fn check_private(path: &Path) -> io::Result<()> {
    beside(path).map(drop)
}

/// What is to be replaced, and an empty file that will go again unless it takes its place.
fn beside(path: &Path) -> io::Result<(PathBuf, tempfile::NamedTempFile)> {
    let target = behind_links(path);
    match std::fs::metadata(path) {
        // A file that this process has open, such as /dev/stdout, would go on without a name.
        Ok(there) if there.is_file() && !target.starts_with("/proc") => {}
        // A device must not become a file, whoever may do that.
        Ok(there) => {
            let message = match there.is_dir() {
                true => "it is a directory",
                false => "it is no regular file",
            };
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let folder = folder_of(&target);
    make_private_folder(folder)?;
    // tempfile gives its files mode 0600.
    let file = tempfile::Builder::new()
        .prefix(".sternline.")
        .tempfile_in(folder)?;
    Ok((target, file))
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// The file that a path leads to through symbolic links, which need not exist. What still is a link after 40 steps is
/// refused by the operating system. The links in /proc are no links to files.
fn behind_links(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    for _ in 0..40 {
        if path.starts_with("/proc") {
            break;
        }
        match std::fs::read_link(&path) {
            Ok(next) => path = folder_of(&path).join(next),
            Err(_) => break,
        }
    }
    path
}

fn make_private_folder(folder: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    builder.create(folder)
}
