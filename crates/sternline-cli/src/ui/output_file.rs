//! Files for what hosts write: opened once there is something to write, and few of them kept open in between.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;

use super::output::write_pieces;

/// How long another file is waited for where too many are open. Some are for a moment only, such as an agent's.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long it takes until it is tried again.
const PAUSE: Duration = Duration::from_millis(20);

/// The folder of some files.
#[derive(Debug)]
pub(crate) struct OutputFolder {
    /// Whatever becomes of the path meanwhile, files are made in here.
    pub(crate) directory: OwnedFd,
    pub(crate) path: PathBuf,
    /// How many files may stay open between two writes.
    pub(crate) kept_open: usize,
}

/// A file that nobody else may read. It is made when it is first written to, if only with nothing.
#[derive(Debug)]
pub(crate) struct OutputFile {
    folder: Arc<OutputFolder>,
    name: String,
    made: AtomicBool,
}

impl OutputFile {
    pub(crate) fn new(folder: &Arc<OutputFolder>, name: impl Into<String>) -> Arc<Self> {
        Arc::new(Self {
            folder: Arc::clone(folder),
            name: name.into(),
            made: AtomicBool::new(false),
        })
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path.join(&self.name)
    }

    fn open(&self) -> io::Result<File> {
        let flags = OFlags::APPEND | OFlags::NOFOLLOW | OFlags::WRONLY | OFlags::CLOEXEC;
        let flags = match self.made.load(Ordering::Relaxed) {
            true => flags,
            false => flags | OFlags::CREATE | OFlags::EXCL,
        };
        let opened = openat(&self.folder.directory, &self.name, flags, Mode::RUSR | Mode::WUSR)?;
        self.made.store(true, Ordering::Relaxed);
        Ok(File::from(opened))
    }
}

/// The files that are open, the latest one last.
#[derive(Debug, Default)]
pub(super) struct OpenFiles(VecDeque<(Arc<OutputFile>, File)>);

impl OpenFiles {
    pub(super) fn write(&mut self, file: &Arc<OutputFile>, pieces: &[Bytes]) -> io::Result<()> {
        let known = self.0.iter().position(|(known, _)| Arc::ptr_eq(known, file));
        let opened = match known.and_then(|at| self.0.remove(at)) {
            Some((_, opened)) => opened,
            None => self.open(file)?,
        };
        write_pieces(&mut &opened, pieces)?;
        self.0.push_back((Arc::clone(file), opened));
        while self.0.len() > file.folder.kept_open {
            self.0.pop_front();
        }
        Ok(())
    }

    fn open(&mut self, file: &OutputFile) -> io::Result<File> {
        let give_up = Instant::now() + PATIENCE;
        loop {
            match file.open() {
                Err(error) if is_too_many(&error) && Instant::now() < give_up => {
                    self.0.clear();
                    std::thread::sleep(PAUSE);
                }
                opened => return opened,
            }
        }
    }
}

/// Whether too many files are open, here or on the whole machine.
pub(super) fn is_too_many(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    [Errno::MFILE, Errno::NFILE]
        .map(|error| Some(error.raw_os_error()))
        .contains(&code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_kept_open_each_file_gets_all_that_is_for_it_in_order() {
        for kept_open in [0, 1, 3] {
            let place = tempfile::tempdir().unwrap();
            let folder = Arc::new(OutputFolder {
                directory: File::open(place.path()).unwrap().into(),
                path: place.path().to_owned(),
                kept_open,
            });
            let files = ["a", "b", "c", "empty"].map(|name| OutputFile::new(&folder, name));
            let mut open = OpenFiles::default();
            for round in 0..3 {
                for file in &files[..3] {
                    open.write(file, &[format!("{round}").into(), "\n".into()])
                        .unwrap();
                    assert!(open.0.len() <= kept_open);
                }
            }
            open.write(&files[3], &[]).unwrap();
            for file in &files[..3] {
                assert_eq!(std::fs::read_to_string(file.path()).unwrap(), "0\n1\n2\n");
            }
            assert_eq!(std::fs::read(files[3].path()).unwrap(), b"");
            // What is there already is somebody else's.
            let again = OutputFile::new(&folder, "a");
            assert_eq!(
                open.write(&again, &[]).unwrap_err().kind(),
                io::ErrorKind::AlreadyExists
            );
        }
    }
}
