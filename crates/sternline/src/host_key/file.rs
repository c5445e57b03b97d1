//! Changes to known_hosts files: locked, atomic, and readable by their owner only.

use std::fs::Metadata;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use sternline_proto::key::PublicKey;
use sternline_proto::known_hosts::{
    Entry, HostKeyOffer, HostKeyPolicy, HostKeyRefusal, HostNotRecordable, KnownHostsIndex, Location, Marker,
    Removal, TrustedBy, Verdict, add_authority, add_entry, remove_host, verify,
};
use sternline_proto::text::escape;
use thiserror::Error;

use super::lock::{FileLock, LockError};

/// Why a known_hosts file could not be read or changed. It is then as it was.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KnownHostsFileError {
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", shown(path))]
    Io {
        /// What was tried, such as `read`.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The path leads to a directory or a device, such as `/dev/null`.
    #[error("cannot change {}: it is not a regular file", shown(path))]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// Another process has kept the file locked for 10 seconds.
    #[error(
        "cannot change {}: another process has kept it locked for 10 seconds",
        shown(path)
    )]
    Busy {
        /// The path.
        path: PathBuf,
    },
    /// The host's name cannot stand in a known_hosts line.
    #[error(transparent)]
    Host(#[from] HostNotRecordable),
}

impl KnownHostsFileError {
    pub(super) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }
}

fn shown(path: &Path) -> String {
    escape(&path.to_string_lossy())
}

/// What recording a key did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recorded {
    /// The line was added.
    Added(Location),
    /// A line of the file says so already.
    AlreadyThere(Location),
}

/// What became of the key of a new host.
#[derive(Debug)]
pub(super) enum RecordedNew {
    Done(Recorded),
    /// The file had come to know the host by another key, or as revoked.
    Refused(HostKeyRefusal),
}

/// Records that a host has a key, with its name hashed if `hash` is set, beside keys that the host has already.
///
/// The file is read again under a lock and replaced in one step, so that parallel writers lose nothing and readers
/// see either the old content or the new. A new file has mode 0600 and a new directory 0700; an existing file keeps
/// its owner and loses all access for others. A symbolic link stays one: what it leads to is replaced. Blocks on the
/// disk, and up to 10 seconds on other writers.
///
/// # Errors
/// When the file cannot be read, locked or replaced, or the host's name cannot stand in it.
pub fn record(
    path: &Path,
    host: &str,
    port: u16,
    key: &PublicKey,
    hash: bool,
) -> Result<Recorded, KnownHostsFileError> {
    let line = NewLine {
        host,
        port,
        key,
        salt: salt(path, hash)?,
    };
    change(path, true, |content| {
        let index = index(path, content);
        let lookup = index.lookup(host, port);
        match lookup
            .entries()
            .iter()
            .find(|entry| entry.marker == Marker::None && entry.key == *key)
        {
            Some(entry) => Ok((None, Recorded::AlreadyThere(entry.location.clone()))),
            None => line.add(path, content),
        }
    })
}

/// Records that certificates signed by a key are accepted for hosts: a `@cert-authority` line. `patterns` is a comma
/// list as known_hosts holds it. Written as by [`record`].
///
/// # Errors
/// When the file cannot be read, locked or replaced, or the patterns cannot stand in it.
pub fn record_authority(
    path: &Path,
    patterns: &str,
    key: &PublicKey,
) -> Result<Recorded, KnownHostsFileError> {
    change(path, true, |content| {
        let added = add_authority(content, patterns, key)?;
        let changed = index(path, &added.content);
        let same = |a: &Entry, b: &Entry| a.marker == b.marker && a.hosts == b.hosts && a.key == b.key;
        let (new, old) = match changed.entries().split_last() {
            Some((new, old)) => (new.location.clone(), old.iter().find(|entry| same(entry, new))),
            None => (
                Location {
                    file: path.to_string_lossy().into(),
                    line: added.line,
                },
                None,
            ),
        };
        Ok(match old {
            Some(old) => (None, Recorded::AlreadyThere(old.location.clone())),
            None => (Some(added.content), Recorded::Added(new)),
        })
    })
}

/// [`record`], but only if the file still knows nothing of the host.
pub(super) fn record_new(
    path: &Path,
    host: &str,
    port: u16,
    key: &PublicKey,
    hash: bool,
) -> Result<RecordedNew, KnownHostsFileError> {
    let line = NewLine {
        host,
        port,
        key,
        salt: salt(path, hash)?,
    };
    change(path, true, |content| {
        let index = index(path, content);
        let offer = HostKeyOffer::Key(key.clone());
        // The time does not matter to a plain key.
        match verify(HostKeyPolicy::AcceptNew, &index.lookup(host, port), &offer, 0) {
            Verdict::Trusted(TrustedBy::Key(location) | TrustedBy::Authority { location, .. }) => {
                Ok((None, RecordedNew::Done(Recorded::AlreadyThere(location))))
            }
            Verdict::Refused(refusal) => Ok((None, RecordedNew::Refused(refusal))),
            Verdict::Record | Verdict::Ask(_) | Verdict::Unchecked => {
                let (content, recorded) = line.add(path, content)?;
                Ok((content, RecordedNew::Done(recorded)))
            }
        }
    })
}

/// Removes what a file says about a host under its own name, plain or hashed; see
/// [`remove_host`] for what is kept. Written as by [`record`]. A missing file holds nothing to remove.
///
/// # Errors
/// When the file cannot be read, locked or replaced.
pub fn remove(path: &Path, host: &str, port: u16) -> Result<Removal, KnownHostsFileError> {
    let missing = std::fs::metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
    if missing {
        return Ok(remove_host(b"", host, port));
    }
    change(path, false, |content| {
        let removal = remove_host(content, host, port);
        let changed = removal.content != content;
        Ok((changed.then(|| removal.content.clone()), removal))
    })
}

struct NewLine<'a> {
    host: &'a str,
    port: u16,
    key: &'a PublicKey,
    salt: Option<[u8; 20]>,
}

impl NewLine<'_> {
    fn add(&self, path: &Path, content: &[u8]) -> Result<(Option<Vec<u8>>, Recorded), KnownHostsFileError> {
        let added = add_entry(content, self.host, self.port, self.key, self.salt)?;
        let location = Location {
            file: path.to_string_lossy().into(),
            line: added.line,
        };
        Ok((Some(added.content), Recorded::Added(location)))
    }
}

fn salt(path: &Path, hash: bool) -> Result<Option<[u8; 20]>, KnownHostsFileError> {
    let mut salt = [0; 20];
    if hash {
        getrandom::fill(&mut salt).map_err(|error| {
            KnownHostsFileError::io(
                "get random bytes to hash a name in",
                path,
                io::Error::other(error.to_string()),
            )
        })?;
    }
    Ok(hash.then_some(salt))
}

fn index(path: &Path, content: &[u8]) -> KnownHostsIndex {
    let mut index = KnownHostsIndex::new();
    index.add_file(&path.to_string_lossy(), content);
    index
}

/// Replaces the content of a file by what `edit` makes of it, if anything.
fn change<T>(
    path: &Path,
    create: bool,
    edit: impl Fn(&[u8]) -> Result<(Option<Vec<u8>>, T), KnownHostsFileError>,
) -> Result<T, KnownHostsFileError> {
    let target = behind_links(path);
    let error = |action| move |source| KnownHostsFileError::io(action, path, source);
    let folder = match target.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    if create {
        create_private_folder(folder)
            .map_err(|source| KnownHostsFileError::io("create the directory", folder, source))?;
    }
    let _lock = FileLock::acquire(&target, create).map_err(|problem| match problem {
        LockError::Busy => KnownHostsFileError::Busy {
            path: path.to_owned(),
        },
        LockError::NotAFile => KnownHostsFileError::NotAFile {
            path: path.to_owned(),
        },
        LockError::Io(source) => KnownHostsFileError::io("open and lock", path, source),
    })?;
    loop {
        let content = std::fs::read(&target).map_err(error("read"))?;
        let (new, result) = edit(&content)?;
        let Some(new) = new else { return Ok(result) };
        let replacement = write_beside(folder, &target, &new).map_err(error("write a replacement for"))?;
        // OpenSSH appends without a lock. A line it wrote just now must not get lost, so start again.
        let length = std::fs::metadata(&target).map_err(error("read"))?.len();
        if u64::try_from(content.len()).is_ok_and(|read| read == length) {
            replacement
                .persist(&target)
                .map_err(|failed| KnownHostsFileError::io("replace", path, failed.error))?;
            return Ok(result);
        }
    }
}

/// Writes the new content to a file of its own in the same directory, with the owner and at most the access rights
/// of the file it is to replace.
fn write_beside(folder: &Path, target: &Path, content: &[u8]) -> io::Result<tempfile::NamedTempFile> {
    let mut new = tempfile::Builder::new()
        .prefix(".known_hosts.")
        .tempfile_in(folder)?;
    new.write_all(content)?;
    restrict(new.as_file(), &std::fs::metadata(target)?)?;
    new.as_file().sync_all()?;
    Ok(new)
}

/// The file that a path leads to through symbolic links, which need not exist. The operating system refuses what
/// still is a link after 40 steps.
fn behind_links(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    for _ in 0..40 {
        match std::fs::read_link(&path) {
            Ok(next) => path = path.parent().unwrap_or(Path::new("")).join(next),
            Err(_) => break,
        }
    }
    path
}

#[cfg(unix)]
fn create_private_folder(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;

    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
}

#[cfg(not(unix))]
fn create_private_folder(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)
}

#[cfg(unix)]
fn restrict(file: &std::fs::File, old: &Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};

    if file.metadata()?.uid() != old.uid() {
        fchown(file, Some(old.uid()), Some(old.gid()))?;
    }
    file.set_permissions(std::fs::Permissions::from_mode(old.mode() & 0o600))
}

#[cfg(not(unix))]
fn restrict(_file: &std::fs::File, _old: &Metadata) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_recorded_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("known_hosts");
        let base64 = "AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB";
        let key = PublicKey::from_text("ssh-ed25519", base64).unwrap();
        let line = Location {
            file: path.to_str().unwrap().into(),
            line: 1,
        };
        assert_eq!(
            record_authority(&path, "*.x", &key).unwrap(),
            Recorded::Added(line.clone())
        );
        assert_eq!(
            record_authority(&path, "*.X", &key).unwrap(),
            Recorded::AlreadyThere(line)
        );
        let content = std::fs::read_to_string(&path).unwrap();
        assert_eq!(content, format!("@cert-authority *.x ssh-ed25519 {base64}\n"));
    }

    const A: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB";
    const B: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIAICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIC";

    fn key(base64: &str) -> PublicKey {
        PublicKey::from_text("ssh-ed25519", base64).unwrap()
    }

    fn line_of(recorded: &Recorded) -> usize {
        match recorded {
            Recorded::Added(location) | Recorded::AlreadyThere(location) => location.line,
        }
    }

    /// What is in a directory, but for the lock that stays on systems other than Unix.
    fn names_in(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names
            .filter(|name| cfg!(unix) || !name.ends_with(".lock"))
            .collect()
    }

    #[test]
    fn a_key_is_recorded_once_beside_the_hosts_other_keys() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("known_hosts");
        std::fs::write(&path, "# mine\nbroken line, no newline").unwrap();
        assert!(matches!(
            record(&path, "web1", 22, &key(A), false),
            Ok(Recorded::Added(_))
        ));
        assert!(matches!(
            record(&path, "web1", 22, &key(B), true),
            Ok(Recorded::Added(_))
        ));
        for (base64, line) in [(A, 3), (B, 4)] {
            let again = record(&path, "WEB1", 22, &key(base64), false).unwrap();
            assert!(matches!(again, Recorded::AlreadyThere(_)));
            assert_eq!(line_of(&again), line);
        }
        let content = std::fs::read_to_string(&path).unwrap();
        let start = format!("# mine\nbroken line, no newline\nweb1 ssh-ed25519 {A}\n|1|");
        assert!(content.starts_with(&start), "{content}");
        assert_eq!(content.lines().count(), 4);
        assert_eq!(
            names_in(folder.path()),
            ["known_hosts"],
            "nothing is left beside it"
        );
    }

    #[test]
    fn removal_reports_what_is_gone_and_leaves_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("known_hosts");
        std::fs::write(
            &path,
            format!("web1,web2 ssh-ed25519 {A}\nweb1 ssh-ed25519 {B}\n#"),
        )
        .unwrap();
        let removal = remove(&path, "web1", 22).unwrap();
        assert_eq!(
            removal.removed.iter().map(|entry| entry.line).collect::<Vec<_>>(),
            [1, 2]
        );
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            format!("web2 ssh-ed25519 {A}\n#")
        );
        assert_eq!(remove(&path, "web1", 22).unwrap().removed, []);
    }

    #[test]
    fn removing_from_a_missing_file_does_not_create_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("known_hosts");
        assert_eq!(remove(&path, "web1", 22).unwrap().removed, []);
        assert!(names_in(folder.path()).is_empty());
    }

    #[test]
    fn a_name_that_cannot_be_recorded_leaves_the_file_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("known_hosts");
        std::fs::write(&path, "# mine").unwrap();
        let error = record(&path, "*", 22, &key(A), false).unwrap_err();
        assert!(matches!(error, KnownHostsFileError::Host(_)), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "# mine");
        assert_eq!(names_in(folder.path()), ["known_hosts"]);
    }

    #[test]
    fn parallel_writers_lose_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("known_hosts");
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let path = &path;
                scope.spawn(move || {
                    for host in 0..15 {
                        record(path, &format!("w{writer}-{host}"), 22, &key(A), false).unwrap();
                        if host % 3 == 0 {
                            remove(path, &format!("w{writer}-{host}"), 22).unwrap();
                        }
                    }
                });
            }
        });
        let content = std::fs::read_to_string(&path).unwrap();
        let mut names: Vec<_> = content
            .lines()
            .map(|line| line.split(' ').next().unwrap().to_owned())
            .collect();
        names.sort();
        let mut expected: Vec<_> = (0..4)
            .flat_map(|writer| {
                (0..15)
                    .filter(|host| host % 3 != 0)
                    .map(move |host| format!("w{writer}-{host}"))
            })
            .collect();
        expected.sort();
        assert_eq!(names, expected);
        assert_eq!(names_in(folder.path()), ["known_hosts"]);
    }

    #[cfg(unix)]
    mod unix {
        use super::*;
        use std::fs::Permissions;
        use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};

        fn mode(path: &Path) -> u32 {
            std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
        }

        #[test]
        fn a_new_file_and_its_directory_are_private() {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("home/.ssh/known_hosts");
            record(&path, "web1", 22, &key(A), false).unwrap();
            assert_eq!(mode(&path), 0o600);
            assert_eq!(mode(path.parent().unwrap()), 0o700);
        }

        #[test]
        fn access_is_narrowed_but_never_widened() {
            let folder = tempfile::tempdir().unwrap();
            std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
            for (before, after) in [(0o644, 0o600), (0o600, 0o600), (0o666, 0o600), (0o777, 0o600)] {
                let path = folder.path().join(format!("{before:o}"));
                std::fs::write(&path, "").unwrap();
                std::fs::set_permissions(&path, Permissions::from_mode(before)).unwrap();
                record(&path, "web1", 22, &key(A), false).unwrap();
                assert_eq!(mode(&path), after, "from {before:o}");
            }
            assert_eq!(mode(folder.path()), 0o755, "an existing directory is left alone");
        }

        #[test]
        fn a_symbolic_link_stays_one_even_if_it_led_nowhere() {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("known_hosts");
            std::fs::create_dir(folder.path().join("dotfiles")).unwrap();
            symlink("dotfiles/hosts", folder.path().join("between")).unwrap();
            symlink("between", &path).unwrap();
            for host in ["web1", "web2"] {
                let recorded = record(&path, host, 22, &key(A), false).unwrap();
                let Recorded::Added(location) = recorded else {
                    panic!("{recorded:?}")
                };
                assert_eq!(
                    *location.file,
                    *path.to_str().unwrap(),
                    "the name that was given is shown"
                );
            }
            assert!(std::fs::symlink_metadata(&path).unwrap().is_symlink());
            let target = folder.path().join("dotfiles/hosts");
            assert_eq!(std::fs::read_to_string(target).unwrap().lines().count(), 2);
            assert_eq!(names_in(&folder.path().join("dotfiles")), ["hosts"]);
        }

        #[test]
        fn a_device_is_never_replaced() {
            let null = Path::new("/dev/null");
            for error in [
                record(null, "web1", 22, &key(A), false).err(),
                remove(null, "web1", 22).err(),
            ] {
                assert!(
                    matches!(error, Some(KnownHostsFileError::NotAFile { .. })),
                    "{error:?}"
                );
            }
            assert!(std::fs::metadata(null).unwrap().file_type().is_char_device());
        }

        #[test]
        fn a_link_to_itself_is_an_error() {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("known_hosts");
            symlink("known_hosts", &path).unwrap();
            let error = record(&path, "web1", 22, &key(A), false).unwrap_err();
            assert!(matches!(error, KnownHostsFileError::Io { .. }), "{error}");
        }
    }
}
