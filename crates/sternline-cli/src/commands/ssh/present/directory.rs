//! A directory with a file for each host and stream, and lists of the hosts that succeeded and of those that did not.

use std::collections::{HashMap, VecDeque};
use std::fs::{DirBuilder, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use rustix::fs::{Mode, OFlags, open, openat};
use sternline::exec::OutputStream;
use sternline::proto::files::host_names;
use sternline::proto::target::Target;
use sternline::proto::text::escape;

use crate::exit;
use crate::ui::{Failure, OutputFile, Sink};

/// Files of a running host, by stream.
type Files = HashMap<OutputStream, Arc<OutputFile>>;

/// The directory of a run.
#[derive(Debug)]
pub(in crate::commands::ssh) struct Directory {
    path: PathBuf,
    /// Whatever becomes of the path meanwhile, files are made in here.
    directory: OwnedFd,
    /// What the files of each host begin with: safe, and different for each.
    names: Vec<String>,
    /// What the lists call each host: as HOSTS takes it.
    targets: Vec<String>,
    running: HashMap<usize, Files>,
    succeeded: Arc<OutputFile>,
    failed: Arc<OutputFile>,
    ready: VecDeque<(Sink, Bytes)>,
}

impl Directory {
    /// Makes the directory, readable by nobody else, and the two lists. One that is there has to be empty: results of two runs
    /// could not be told apart.
    pub(in crate::commands::ssh) fn create(path: &Path, targets: &[Target]) -> Result<Self, Failure> {
        let shown = escape(&path.to_string_lossy());
        let unusable = |error: &io::Error| {
            Failure::local(format!("cannot use the directory {shown}: {error}"))
                .with_hint("name a directory that does not exist yet, in one that you may write to")
                .with_status(exit::USAGE)
        };
        let mut builder = DirBuilder::new();
        builder
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|error| unusable(&error))?;
        let entries = std::fs::read_dir(path).map_err(|error| unusable(&error))?;
        if entries.count() > 0 {
            return Err(Failure::usage(format!("the directory {shown} is not empty"))
                .with_hint("name a new one for each run, such as out-$(date +%F-%H%M%S)"));
        }
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY;
        let directory = open(path, flags, Mode::empty()).map_err(|error| unusable(&error.into()))?;
        let list = |name: &str| file(&directory, path, name).map_err(|error| unusable(&error));
        Ok(Self {
            succeeded: list("succeeded")?,
            failed: list("failed")?,
            path: path.to_owned(),
            directory,
            names: host_names(targets),
            targets: targets.iter().map(|target| format!("{target}\n")).collect(),
            running: HashMap::new(),
            ready: VecDeque::new(),
        })
    }

    pub(super) fn add(&mut self, index: usize, stream: OutputStream, bytes: Bytes) -> Result<(), Failure> {
        let file = self.file(index, stream)?;
        self.ready.push_back((Sink::File(file), bytes));
        Ok(())
    }

    /// Writes the host into its list, and closes its files. A command that wrote nothing leaves empty ones.
    pub(super) fn done(&mut self, index: usize, ok: bool, ran: bool) -> Result<(), Failure> {
        if ran {
            for stream in [OutputStream::Stdout, OutputStream::Stderr] {
                self.file(index, stream)?;
            }
        }
        self.running.remove(&index);
        let list = if ok { &self.succeeded } else { &self.failed };
        let line = self.targets.get(index).cloned().unwrap_or_default();
        self.ready.push_back((Sink::File(Arc::clone(list)), line.into()));
        Ok(())
    }

    pub(super) fn next(&mut self) -> Option<(Sink, Bytes)> {
        self.ready.pop_front()
    }

    fn file(&mut self, index: usize, stream: OutputStream) -> Result<Arc<OutputFile>, Failure> {
        let files = self.running.entry(index).or_default();
        if let Some(file) = files.get(&stream) {
            return Ok(Arc::clone(file));
        }
        let host = self.names.get(index).map(String::as_str).unwrap_or_default();
        let name = match stream {
            OutputStream::Stdout => format!("{host}.stdout"),
            OutputStream::Stderr => format!("{host}.stderr"),
        };
        let file = file(&self.directory, &self.path, &name).map_err(|error| {
            let path = self.path.join(&name);
            Failure::local(format!(
                "cannot make {}: {error}",
                escape(&path.to_string_lossy())
            ))
            .with_hint("make room on that file system, or work on fewer hosts at once with --forks")
        })?;
        files.insert(stream, Arc::clone(&file));
        Ok(file)
    }
}

/// A new file that nobody else may read.
fn file(directory: &OwnedFd, path: &Path, name: &str) -> io::Result<Arc<OutputFile>> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::WRONLY | OFlags::CLOEXEC;
    let opened = openat(directory, name, flags, Mode::RUSR | Mode::WUSR)?;
    Ok(Arc::new(OutputFile {
        file: File::from(opened),
        path: path.join(name),
    }))
}
