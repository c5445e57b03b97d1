//! Writing files so that nobody ever finds half of one.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

/// The permissions of a new file, less what the process masks.
const NEW_FILE: u32 = 0o644;

/// Puts content into a file, which then has these permissions if any are given. A file that is there is replaced as a whole; it keeps
/// its permissions otherwise, and its owner where we may set it.
pub(crate) fn replace(path: &Path, content: &[u8], mode: Option<u32>) -> io::Result<()> {
    from_reader(path, &mut &*content, mode)
}

/// As [`replace`], with content that is read on the way.
pub(super) fn from_reader(path: &Path, content: &mut dyn Read, mode: Option<u32>) -> io::Result<()> {
    // What a link leads to is written, and the link stays.
    let path = crate::permissions::resolve(path);
    let path = path.as_path();
    let before = match path.metadata() {
        Ok(metadata) => Some(metadata),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    if before.as_ref().is_some_and(stays_in_place) {
        return in_place(path, content, mode);
    }
    let directory = path.parent().unwrap_or(Path::new("/"));
    let mut temporary = match temporary(directory, mode.unwrap_or(NEW_FILE)) {
        // The file may be written where its directory may not.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied && before.is_some() => {
            return in_place(path, content, mode);
        }
        temporary => temporary?,
    };
    io::copy(content, temporary.as_file_mut())?;
    if let Some(before) = &before {
        keep_owner(temporary.as_file(), before);
        temporary.as_file().set_permissions(before.permissions())?;
    }
    if let Some(mode) = mode {
        set_mode(temporary.as_file(), mode)?;
    }
    temporary.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// Adds to the end of a file, which is made if it is not there.
pub(super) fn append(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    new_file_mode(&mut options, NEW_FILE);
    options.open(path)?.write_all(content)
}

/// Makes an empty file, or gives the one that is there the time of now.
pub(super) fn touch(path: &Path, exist_ok: bool) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.append(true);
    if exist_ok {
        options.create(true);
    } else {
        options.create_new(true);
    }
    new_file_mode(&mut options, NEW_FILE);
    options.open(path)?.set_modified(std::time::SystemTime::now())
}

/// A pipe or a device is no file to be replaced, and other names of a file would go on with the old one.
fn stays_in_place(metadata: &Metadata) -> bool {
    !metadata.is_file() || has_other_names(metadata)
}

fn in_place(path: &Path, content: &mut dyn Read, mode: Option<u32>) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).truncate(true).open(path)?;
    io::copy(content, &mut file)?;
    match mode {
        Some(mode) if file.metadata()?.is_file() => set_mode(&file, mode),
        _ => Ok(()),
    }
}

#[cfg(unix)]
fn temporary(directory: &Path, mode: u32) -> io::Result<tempfile::NamedTempFile> {
    use std::os::unix::fs::PermissionsExt;
    tempfile::Builder::new()
        .prefix(".sternline-")
        .suffix(".tmp")
        .permissions(std::fs::Permissions::from_mode(mode))
        .tempfile_in(directory)
}

#[cfg(not(unix))]
fn temporary(directory: &Path, _mode: u32) -> io::Result<tempfile::NamedTempFile> {
    tempfile::Builder::new()
        .prefix(".sternline-")
        .suffix(".tmp")
        .tempfile_in(directory)
}

#[cfg(unix)]
fn new_file_mode(options: &mut OpenOptions, mode: u32) {
    use std::os::unix::fs::OpenOptionsExt;
    options.mode(mode);
}

#[cfg(not(unix))]
fn new_file_mode(_options: &mut OpenOptions, _mode: u32) {}

#[cfg(unix)]
fn has_other_names(metadata: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    metadata.nlink() > 1
}

#[cfg(not(unix))]
fn has_other_names(_metadata: &Metadata) -> bool {
    false
}

#[cfg(unix)]
fn set_mode(file: &File, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(mode))
}

#[cfg(not(unix))]
fn set_mode(_file: &File, _mode: u32) -> io::Result<()> {
    Ok(())
}

/// Only root may give files away, and nobody else has to.
#[cfg(unix)]
fn keep_owner(file: &File, before: &Metadata) {
    use std::os::unix::fs::{MetadataExt, fchown};
    let _ = fchown(file, Some(before.uid()), Some(before.gid()));
}

#[cfg(not(unix))]
fn keep_owner(_file: &File, _before: &Metadata) {}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_new_file_has_the_permissions_that_were_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        replace(&path, b"one", Some(0o600)).unwrap();
        assert_eq!(
            (std::fs::read(&path).unwrap().as_slice(), mode(&path)),
            (&b"one"[..], 0o600)
        );
        assert_eq!(dir.path().read_dir().unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_is_replaced_keeps_its_permissions_and_is_never_half_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        replace(&path, b"one", Some(0o640)).unwrap();
        let mut old = File::open(&path).unwrap();
        let before = path.metadata().unwrap().ino();
        replace(&path, b"two", None).unwrap();
        assert_eq!(mode(&path), 0o640);
        assert_ne!(path.metadata().unwrap().ino(), before);
        let mut text = String::new();
        old.read_to_string(&mut text).unwrap();
        assert_eq!(text, "one");
    }

    #[test]
    fn links_stay_links() {
        let dir = tempfile::tempdir().unwrap();
        let (file, soft, hard) = (
            dir.path().join("file"),
            dir.path().join("soft"),
            dir.path().join("hard"),
        );
        replace(&file, b"one", None).unwrap();
        symlink("file", &soft).unwrap();
        replace(&soft, b"two", None).unwrap();
        assert!(soft.is_symlink());
        assert_eq!(std::fs::read(&file).unwrap(), b"two");
        std::fs::hard_link(&file, &hard).unwrap();
        replace(&file, b"three", None).unwrap();
        assert_eq!(std::fs::read(&hard).unwrap(), b"three");
    }

    #[test]
    fn a_directory_is_no_file_and_no_directory_is_made() {
        let dir = tempfile::tempdir().unwrap();
        assert!(replace(dir.path(), b"x", None).is_err());
        let missing = replace(&dir.path().join("no/file"), b"x", None).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        replace(Path::new("/dev/null"), b"x", Some(0o600)).unwrap();
    }
}
