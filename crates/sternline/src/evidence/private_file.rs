//! Files with evidence in them: written whole or not at all, and readable by their owner only.

use std::io::{self, Write};
use std::path::Path;

/// Writes a file beside the target, with mode 0600, and puts it in the target's place once it is on disk. Missing parent
/// directories are made, for their owner only.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    make_private_folder(folder)?;
    // tempfile gives its files mode 0600.
    let mut file = tempfile::Builder::new()
        .prefix(".sternline.")
        .tempfile_in(folder)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|failed| failed.error)?;
    Ok(())
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
