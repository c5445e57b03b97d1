//! A directory with a file for each host and stream, and lists of the hosts that succeeded and of those that did not.

use std::collections::{HashMap, VecDeque};
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use rustix::fs::{Mode, OFlags, open};
use sternline::exec::OutputStream;
use sternline::proto::files::host_names;
use sternline::proto::target::Target;
use sternline::proto::text::escape;

use crate::ui::{Failure, OutputFile, OutputFolder, Sink};
use crate::{exit, limits};

/// Files of a running host, by stream.
type Files = HashMap<OutputStream, Arc<OutputFile>>;

/// The directory of a run.
#[derive(Debug)]
pub(in crate::commands::ssh) struct Directory {
    folder: Arc<OutputFolder>,
    /// What the files of each host begin with: safe, and different for each.
    names: Vec<String>,
    /// What the lists call each host: as HOSTS takes it.
    targets: Vec<String>,
    /// Hosts that have written something and not ended.
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
        let folder = Arc::new(OutputFolder {
            directory,
            path: path.to_owned(),
            kept_open: limits::kept_files(),
        });
        let (succeeded, failed) = (
            OutputFile::new(&folder, "succeeded"),
            OutputFile::new(&folder, "failed"),
        );
        // They are there from the beginning, however soon the run ends.
        let ready = [&succeeded, &failed].map(|list| (Sink::File(Arc::clone(list)), Bytes::new()));
        Ok(Self {
            succeeded,
            failed,
            folder,
            names: host_names(targets),
            targets: targets.iter().map(|target| format!("{target}\n")).collect(),
            running: HashMap::new(),
            ready: ready.into(),
        })
    }

    pub(super) fn add(&mut self, index: usize, stream: OutputStream, bytes: Bytes) {
        let file = self.file(index, stream);
        self.ready.push_back((Sink::File(file), bytes));
    }

    /// Writes the host into its list. A command that wrote nothing leaves empty files.
    pub(super) fn done(&mut self, index: usize, ok: bool, ran: bool) {
        if ran {
            for stream in [OutputStream::Stdout, OutputStream::Stderr] {
                self.add(index, stream, Bytes::new());
            }
        }
        self.running.remove(&index);
        let list = if ok { &self.succeeded } else { &self.failed };
        let line = self.targets.get(index).cloned().unwrap_or_default();
        self.ready.push_back((Sink::File(Arc::clone(list)), line.into()));
    }

    pub(super) fn next(&mut self) -> Option<(Sink, Bytes)> {
        self.ready.pop_front()
    }

    fn file(&mut self, index: usize, stream: OutputStream) -> Arc<OutputFile> {
        let host = self.names.get(index).map(String::as_str).unwrap_or_default();
        let new = || {
            let name = match stream {
                OutputStream::Stdout => format!("{host}.stdout"),
                OutputStream::Stderr => format!("{host}.stderr"),
            };
            OutputFile::new(&self.folder, name)
        };
        let files = self.running.entry(index).or_default();
        Arc::clone(files.entry(stream).or_insert_with(new))
    }
}
