//! Where the database is: a directory and files of its owner alone.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use crate::error::{HistoryError, shown};
use crate::id::RunId;

/// How long to wait for another process that prepares the database.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// What SQLite keeps beside a database in WAL mode, by what is appended to its name.
const SIBLINGS: [&str; 2] = ["-wal", "-shm"];

/// What the names of the signs of runs begin with.
const SIGN: &str = "history.run-";

/// The same, while nobody may see them yet.
const NEW_SIGN: &str = "history.new-";

/// That a run is going on.
#[derive(Debug)]
pub(crate) struct Sign {
    path: PathBuf,
    _locked: File,
}

impl Drop for Sign {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// A directory that was found to be private.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    folder: PathBuf,
}

impl Place {
    /// Makes the directory and an empty database if they are not there, private whatever the umask says. What is there and
    /// open to others is closed to them; what belongs to somebody else, is a symbolic link, or holds other things for others to see
    /// is refused.
    pub(crate) fn make(folder: &Path) -> Result<Self, HistoryError> {
        let failed = |error: io::Error| HistoryError::place(folder, error);
        if let Some(parent) = folder.parent() {
            private_builder(true).create(parent).map_err(failed)?;
        }
        match private_builder(false).create(folder) {
            Ok(()) => allow_owner(folder, Kind::Folder).map_err(failed)?,
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
            Err(_) => {}
        }
        let place = Self {
            folder: folder.to_owned(),
        };
        close_to_others(folder, Kind::Folder)?;
        let database = place.database();
        let made = private_options().write(true).create_new(true).open(&database);
        match made.and_then(|_| allow_owner(&database, Kind::File)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(HistoryError::place(&database, error));
            }
            _ => {}
        }
        place.check_files()?;
        Ok(place)
    }

    /// The directory if there is a database in it, checked as [`Place::make`] does.
    pub(crate) fn find(folder: &Path) -> Result<Option<Self>, HistoryError> {
        let place = Self {
            folder: folder.to_owned(),
        };
        match std::fs::symlink_metadata(place.database()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(HistoryError::place(folder, error)),
            Ok(_) => {}
        }
        close_to_others(folder, Kind::Folder)?;
        place.check_files()?;
        Ok(Some(place))
    }

    /// The directory.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The database.
    pub(crate) fn database(&self) -> PathBuf {
        self.folder.join("history.db")
    }

    /// Keeps other processes from preparing the database at the same time, for as long as the file lives.
    pub(crate) fn lock(&self) -> Result<File, HistoryError> {
        let path = self.folder.join("history.lock");
        let failed = |error: io::Error| HistoryError::place(&path, error);
        let file = private_options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        close_to_others(&path, Kind::File)?;
        let give_up = Instant::now() + LOCK_WAIT;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::Error(error)) => return Err(failed(error)),
                Err(TryLockError::WouldBlock) if Instant::now() >= give_up => {
                    return Err(HistoryError::place(
                        &path,
                        "another process does not let go of it",
                    ));
                }
                // There is no way to wait for a file lock with a time limit but to try again.
                Err(TryLockError::WouldBlock) => sleep(Duration::from_millis(5)),
            }
        }
    }

    /// Shows other processes that a run is going on, for as long as the sign lives: the system lets go of its lock, however the
    /// process ends. Signs of runs that were killed are cleared away. Without a sign the run only looks unfinished, so that nothing
    /// is an error here.
    pub(crate) fn show_going_on(&self, run: &RunId) -> Option<Sign> {
        let others = std::fs::read_dir(&self.folder).ok()?;
        for other in others.flatten() {
            let is_sign = other.file_name().as_encoded_bytes().starts_with(SIGN.as_bytes());
            if is_sign && !is_locked(&other.path()) {
                let _ = std::fs::remove_file(other.path());
            }
        }
        // It gets its name once it is locked: before that others would take it for one that was left behind.
        let made = self.folder.join(format!("{NEW_SIGN}{run}"));
        let path = self.sign(run);
        let file = private_options().write(true).create_new(true).open(&made).ok()?;
        allow_owner(&made, Kind::File).ok()?;
        file.try_lock().ok()?;
        std::fs::rename(&made, &path).ok()?;
        Some(Sign { path, _locked: file })
    }

    /// Whether some process shows that this run is going on.
    pub(crate) fn is_going_on(&self, run: &RunId) -> bool {
        is_locked(&self.sign(run))
    }

    fn sign(&self, run: &RunId) -> PathBuf {
        self.folder.join(format!("{SIGN}{run}"))
    }

    /// Gives the database another name, and says which. There is an empty one in its place afterwards.
    pub(crate) fn set_aside(&self) -> Result<String, HistoryError> {
        let database = self.database();
        let failed = |error: io::Error| HistoryError::place(&database, error);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let stamp = now.map(|since| since.as_millis()).unwrap_or_default();
        let aside = self.folder.join(format!("history.db.damaged-{stamp}"));
        std::fs::rename(&database, &aside).map_err(failed)?;
        for sibling in SIBLINGS {
            match std::fs::rename(beside(&database, sibling), beside(&aside, sibling)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
                _ => {}
            }
        }
        private_options()
            .write(true)
            .create_new(true)
            .open(&database)
            .and_then(|_| allow_owner(&database, Kind::File))
            .map_err(failed)?;
        Ok(shown(&aside))
    }

    /// Closes the database and what SQLite keeps beside it to others. SQLite gives new siblings the database's mode.
    fn check_files(&self) -> Result<(), HistoryError> {
        let database = self.database();
        close_to_others(&database, Kind::File)?;
        for sibling in SIBLINGS {
            let path = beside(&database, sibling);
            // Whoever closes the database last takes them away, and whoever opens it next makes them anew, at any moment:
            // so a refusal counts only if it is there again and again.
            let settled = |_| close_to_others(&path, Kind::File).is_ok() || is_missing(&path);
            if !(0..8).any(settled) {
                close_to_others(&path, Kind::File)?;
            }
        }
        Ok(())
    }
}

fn is_locked(path: &Path) -> bool {
    let file = OpenOptions::new().write(true).open(path);
    // Shared, so that those who look at the same time do not take each other for the run.
    file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

fn is_missing(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Folder,
}

fn private_builder(recursive: bool) -> DirBuilder {
    let mut builder = DirBuilder::new();
    builder.recursive(recursive);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    builder
}

fn private_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options
}

/// Refuses what is not what it should be, or somebody else's, and takes the rights of others away.
///
/// It goes by names and opens nothing: closing a file here would end the locks that SQLite holds on it in this process
/// (fcntl(2)). Nobody else can change what the names mean, since the directory is checked before what is in it.
#[cfg(unix)]
fn close_to_others(path: &Path, kind: Kind) -> Result<(), HistoryError> {
    use std::os::unix::fs::MetadataExt;

    let refused = |reason: &str| Err(HistoryError::place(path, reason));
    let there = std::fs::symlink_metadata(path).map_err(|error| HistoryError::place(path, error))?;
    match kind {
        _ if there.is_symlink() => return refused("it is a symbolic link"),
        Kind::Folder if !there.is_dir() => return refused("it is no directory"),
        Kind::File if !there.is_file() => return refused("it is no regular file"),
        Kind::File if there.nlink() > 1 => return refused("it has a second name elsewhere"),
        Kind::Folder | Kind::File => {}
    }
    if there.uid() != rustix::process::geteuid().as_raw() {
        return refused("it belongs to another user");
    }
    let is_private = match kind {
        Kind::Folder => there.mode() & 0o077 == 0,
        Kind::File => there.mode() & 0o7777 == 0o600,
    };
    if is_private {
        return Ok(());
    }
    let failed = |error: io::Error| HistoryError::place(path, error);
    // A directory that somebody has for other things as well is not ours to close.
    if kind == Kind::Folder && !holds_history_only(path).map_err(failed)? {
        return refused("others may look into it, and it holds other things");
    }
    allow_owner(path, kind).map_err(failed)
}

#[cfg(unix)]
fn holds_history_only(folder: &Path) -> io::Result<bool> {
    for entry in std::fs::read_dir(folder)? {
        if !entry?.file_name().as_encoded_bytes().starts_with(b"history.") {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Lets the owner do everything and others nothing.
#[cfg(unix)]
fn allow_owner(path: &Path, kind: Kind) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;

    let mode = match kind {
        Kind::Folder => 0o700,
        Kind::File => 0o600,
    };
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
}

#[cfg(not(unix))]
fn allow_owner(_: &Path, _: Kind) -> io::Result<()> {
    Ok(())
}

/// Elsewhere what is in a user's own directory is private already.
#[cfg(not(unix))]
fn close_to_others(path: &Path, kind: Kind) -> Result<(), HistoryError> {
    let there = std::fs::symlink_metadata(path).map_err(|error| HistoryError::place(path, error))?;
    match kind {
        _ if there.is_symlink() => Err(HistoryError::place(path, "it is a symbolic link")),
        Kind::Folder if !there.is_dir() => Err(HistoryError::place(path, "it is no directory")),
        Kind::File if !there.is_file() => Err(HistoryError::place(path, "it is no regular file")),
        Kind::Folder | Kind::File => Ok(()),
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    fn mode(path: &Path) -> u32 {
        std::fs::symlink_metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn what_is_open_to_others_is_closed_to_them() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("state/deep/history");
        let place = Place::make(&folder).unwrap();
        assert_eq!((mode(&folder), mode(&place.database())), (0o700, 0o600));
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o777)).unwrap();
        std::fs::write(folder.join("history.db-wal"), "").unwrap();
        for file in ["history.db", "history.db-wal"] {
            std::fs::set_permissions(folder.join(file), std::fs::Permissions::from_mode(0o666)).unwrap();
        }
        Place::find(&folder).unwrap().unwrap();
        assert_eq!(mode(&folder), 0o700);
        assert_eq!(mode(&folder.join("history.db")), 0o600);
        assert_eq!(mode(&folder.join("history.db-wal")), 0o600);
    }

    #[test]
    fn links_and_other_things_are_refused_and_left_as_they_are() {
        let home = tempfile::tempdir().unwrap();
        let elsewhere = home.path().join("elsewhere");
        std::fs::create_dir(&elsewhere).unwrap();
        std::fs::write(elsewhere.join("precious"), "kept").unwrap();
        std::fs::set_permissions(elsewhere.join("precious"), std::fs::Permissions::from_mode(0o644)).unwrap();

        let linked = home.path().join("linked");
        symlink(&elsewhere, &linked).unwrap();
        let refused = |folder: &Path| Place::make(folder).unwrap_err().to_string();
        assert!(refused(&linked).contains("symbolic link"));

        let folder = home.path().join("history");
        std::fs::create_dir(&folder).unwrap();
        for name in ["history.db", "history.db-wal", "history.db-shm"] {
            symlink(elsewhere.join("precious"), folder.join(name)).unwrap();
            assert!(refused(&folder).contains("symbolic link"), "{name}");
            for made in [name, "history.db"] {
                let _ = std::fs::remove_file(folder.join(made));
            }
        }
        std::fs::hard_link(elsewhere.join("precious"), folder.join("history.db")).unwrap();
        assert!(refused(&folder).contains("second name"));
        std::fs::remove_file(folder.join("history.db")).unwrap();
        std::fs::create_dir(folder.join("history.db")).unwrap();
        assert!(refused(&folder).contains("no regular file"));

        std::fs::write(home.path().join("file"), "").unwrap();
        assert!(refused(&home.path().join("file")).contains("no directory"));
        assert_eq!(mode(&elsewhere.join("precious")), 0o644);
        assert_eq!(std::fs::read(elsewhere.join("precious")).unwrap(), b"kept");
    }

    #[test]
    fn a_directory_that_is_used_for_other_things_is_not_closed() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("shared");
        std::fs::create_dir(&folder).unwrap();
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o1777)).unwrap();
        std::fs::write(folder.join("of-others"), "").unwrap();
        let error = Place::make(&folder).unwrap_err().to_string();
        assert!(error.contains("it holds other things"), "{error}");
        assert_eq!(mode(&folder), 0o1777);
        // What is private already may be.
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700)).unwrap();
        Place::make(&folder).unwrap();
    }

    #[test]
    fn however_many_look_at_it_a_run_shows_that_it_goes_on_and_only_while_it_does() {
        let home = tempfile::tempdir().unwrap();
        let place = Place::make(&home.path().join("history")).unwrap();
        let gone = RunId::new(1, 0);
        drop(File::create(place.sign(&gone)).unwrap());
        let one = |thread: u32| {
            let place = place.clone();
            std::thread::spawn(move || {
                for round in 0..500 {
                    let run = RunId::new(u64::from(thread) + 2, round);
                    let sign = place.show_going_on(&run);
                    assert!(sign.is_some() && place.is_going_on(&run), "{thread} {round}");
                    drop(sign);
                    assert!(!place.is_going_on(&run), "{thread} {round}");
                    assert!(!place.is_going_on(&RunId::new(1, 0)), "{thread} {round}");
                }
            })
        };
        let threads: Vec<_> = (0..4).map(one).collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(std::fs::read_dir(place.folder()).unwrap().count(), 1);
    }

    #[test]
    fn nothing_is_made_where_there_is_nothing_to_read() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("history");
        assert!(Place::find(&folder).unwrap().is_none());
        assert!(!folder.exists());
    }
}
