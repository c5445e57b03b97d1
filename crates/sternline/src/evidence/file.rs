//! Evidence in files, with errors that say which file and why.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sternline_proto::text::escape;

use super::private_file;
use crate::error::{Error, ErrorKind, Result};

/// Writes a file that only its owner may read, mode 0600, in place of what stands there. Missing directories are made, with
/// mode 0700.
///
/// The content is written beside it and then takes its name, so that at every moment there is the old file or the new one,
/// whatever happens meanwhile. A symbolic link stays one: what it leads to is replaced.
///
/// # Errors
/// [`ErrorKind::LocalFile`] with what the system says, and where something stands that is no file, such as a directory or
/// a device.
pub fn write_private(path: &Path, content: &[u8]) -> Result<()> {
    private_file::write_private(path, content).map_err(|error| local(path, "write", &error))
}

/// Says early what would keep [`write_private`] from writing this file: makes the missing directories, looks at what stands
/// there, and tries to write beside it.
///
/// # Errors
/// Those of [`write_private`].
pub fn check_private(path: &Path) -> Result<()> {
    private_file::check_private(path).map_err(|error| local(path, "write", &error))
}

/// The text of a file, of which at most `limit` bytes are read.
pub(super) fn read_text(path: &Path, limit: u64) -> Result<String> {
    let failed = |error: io::Error| local(path, "read", &error);
    let mut content = Vec::new();
    File::open(path)
        .and_then(|file| file.take(limit + 1).read_to_end(&mut content))
        .map_err(failed)?;
    if content.len() as u64 > limit {
        return Err(invalid(
            path,
            &format!("it is longer than {limit} bytes, the most that is read"),
        ));
    }
    String::from_utf8(content).map_err(|_| invalid(path, "it is no text in UTF-8"))
}

/// The error of a file whose content makes no sense.
pub(super) fn invalid(path: &Path, what: &str) -> Error {
    Error::new(ErrorKind::Invalid, format!("cannot read {}: {what}", shown(path)))
        .with_extra("path", path.to_string_lossy())
}

fn local(path: &Path, action: &str, error: &io::Error) -> Error {
    Error::new(
        ErrorKind::LocalFile(error.kind()),
        format!("cannot {action} {}: {error}", shown(path)),
    )
    .with_source_text(error)
    .with_extra("path", path.to_string_lossy())
}

fn shown(path: &Path) -> String {
    escape(&path.to_string_lossy())
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut names: Vec<_> = entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_made_for_its_owner_with_its_directories_and_replaced_as_a_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/folder/file");
        write_private(&path, b"first").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let reader = File::open(&path).unwrap();
        write_private(&path, b"second").unwrap();
        let mut old = String::new();
        (&reader).read_to_string(&mut old).unwrap();
        assert_eq!(old, "first", "whoever has it open still sees all of the old one");
        assert_eq!(std::fs::read(&path).unwrap(), b"second");
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
        assert_eq!(
            names(path.parent().unwrap()),
            ["file"],
            "nothing is left beside it"
        );
    }

    #[test]
    fn a_link_stays_a_link_and_what_is_no_file_is_not_touched() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink("target", &link).unwrap();
        write_private(&link, b"x").unwrap();
        assert_eq!(std::fs::read(dir.path().join("target")).unwrap(), b"x");
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());

        for (path, what) in [
            (dir.path(), "a directory"),
            (Path::new("/dev/null"), "no regular file"),
        ] {
            let error = write_private(path, b"x").unwrap_err();
            assert!(error.to_string().contains(what), "{error}");
        }
        #[cfg(target_os = "linux")]
        {
            // A file that is open, by the name of its descriptor; with another name it is a file like others.
            let open = File::open(dir.path().join("target")).unwrap();
            let descriptor = std::os::fd::AsRawFd::as_raw_fd(&open);
            let name = format!("/proc/self/fd/{descriptor}");
            let error = write_private(Path::new(&name), b"x").unwrap_err();
            assert!(error.to_string().contains("no regular file"), "{error}");
        }
        let error = check_private(&dir.path().join("target/file")).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::LocalFile(_)), "{error}");
        assert_eq!(names(dir.path()), ["link", "target"]);
    }

    #[test]
    fn no_more_than_the_limit_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        write_private(&path, b"12345").unwrap();
        assert_eq!(read_text(&path, 5).unwrap(), "12345");
        let error = read_text(&path, 4).unwrap_err();
        assert!(error.to_string().contains("longer than 4 bytes"), "{error}");
        write_private(&path, b"\xff").unwrap();
        assert!(read_text(&path, 9).unwrap_err().to_string().contains("UTF-8"));
        assert_eq!(
            read_text(&dir.path().join("none"), 9).unwrap_err().kind(),
            &ErrorKind::LocalFile(io::ErrorKind::NotFound)
        );
    }
}
