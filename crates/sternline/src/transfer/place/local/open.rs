//! Opening the files of this machine, reading small ones, and hashing.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustix::fs::{FileType, OFlags, SeekFrom, fstat, seek};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use super::error::failure;
use super::file::{LocalReading, LocalWriting, Source, Target};
use super::files::{LocalFiles, NEW, Wanted};
use super::sequence::{self, Sink, Stream};
use super::shared::{Identity, Shared};
use super::system;
use super::threads::Lane;
use crate::error::Result;
use crate::transfer::place::meta::{How, Meta};

/// How much is hashed in one go, so that large files leave room for others.
const HASHED_AT_ONCE: u64 = 4 * 1024 * 1024;

/// How often to look whether somebody reads the pipe that is to be written to. There is nothing to wait on.
const PIPE_PAUSE: Duration = Duration::from_millis(20);

/// How long a step of reading several files may take. On a file system in memory 32 small files take a tenth of it.
const LONG_STEP: Duration = Duration::from_millis(5);

/// How everything is read that may be no file: opening a pipe without another end would hold up a thread for ever.
const READ: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK);

impl LocalFiles {
    /// Cancel-safe, also while nobody writes to a pipe.
    pub(crate) async fn open(&self, path: &[u8], _size: u64) -> Result<LocalReading> {
        let opened = match &self.shared {
            None => self.open_alone(path).await,
            Some(shared) => self.open_shared(path, shared).await,
        };
        let (source, meta) = opened.map_err(|error| failure("open", path, &error))?;
        Ok(LocalReading {
            source,
            path: path.to_vec(),
            threads: Arc::clone(&self.threads),
            meta,
        })
    }

    async fn open_alone(&self, path: &[u8]) -> io::Result<(Source, Meta)> {
        let opened = self.try_work(path, open).await?;
        let source = if opened.has_positions {
            Source::File(Arc::new(opened.file))
        } else {
            Source::Stream(Box::new(Stream::new(sequence::reader(opened.file)?)))
        };
        Ok((source, opened.meta))
    }

    async fn open_shared(&self, path: &[u8], shared: &Arc<Shared>) -> io::Result<(Source, Meta)> {
        // Held all along: whoever opened a pipe a second time would take it from those who write to it next.
        let mut streams = shared.streams().await;
        if let Some((spool, meta)) = streams.take(path) {
            return Ok((Source::Spool(spool), meta));
        }
        let Opened {
            file,
            meta,
            has_positions,
        } = self.try_work(path, open).await?;
        if has_positions {
            let identity = Identity::of(&file)?;
            return Ok((Source::Shared(Arc::new(file), identity, Arc::clone(shared)), meta));
        }
        let spool = shared.spool(sequence::reader(file)?, &self.threads).await?;
        streams.add(path, &spool, &meta);
        Ok((Source::Spool(spool), meta))
    }

    /// Cancel-safe, also while nobody reads a pipe.
    pub(crate) async fn create(&self, path: &[u8], how: How, _size: u64) -> Result<LocalWriting> {
        let target = match how {
            How::New(mode) => {
                let open = move |place: &Wanted| place.find(false)?.open(NEW, mode);
                Target::File(Arc::new(self.work("make", path, open).await?), Lane::default())
            }
            // What was begun here is no link.
            How::Continue => {
                let open = |place: &Wanted| place.find(false)?.open(OFlags::RDWR, 0);
                Target::File(Arc::new(self.work("open", path, open).await?), Lane::default())
            }
            How::InPlace => {
                let opened = self.open_in_place(path).await;
                opened.map_err(|error| failure("write to", path, &error))?
            }
        };
        Ok(LocalWriting {
            target,
            path: path.to_vec(),
            threads: Arc::clone(&self.threads),
        })
    }

    async fn open_in_place(&self, path: &[u8]) -> io::Result<Target> {
        let (file, file_type) = loop {
            match self.try_work(path, open_in_place).await? {
                Some(opened) => break opened,
                None => tokio::time::sleep(PIPE_PAUSE).await,
            }
        };
        Ok(match file_type {
            FileType::RegularFile => Target::File(Arc::new(file), Lane::default()),
            FileType::BlockDevice => Target::Device(Arc::new(file), Lane::default()),
            _ => Target::Sink(Box::new(Sink::new(sequence::writer(file)?))),
        })
    }

    pub(crate) async fn read_small(&self, path: &[u8], length: usize) -> Result<Bytes> {
        let read = move |place: &Wanted| system::read_at(&open_file(place)?, 0, length);
        self.work("read", path, read).await
    }

    /// Reads small files one after another in one step, each as [`LocalFiles::read_small`] does. What cannot be read is `None`, and so
    /// is what is left where the first ones take long: a slow disk is better read by several threads.
    pub(crate) async fn read_several(&self, files: Vec<(Vec<u8>, usize)>) -> Vec<Option<Bytes>> {
        let count = files.len();
        let wanted: Vec<(Wanted, usize)> = files
            .into_iter()
            .map(|(path, length)| (self.wanted(path), length))
            .collect();
        let read = move || {
            let begun = Instant::now();
            let read = |(place, length): &(Wanted, usize)| {
                if begun.elapsed() >= LONG_STEP {
                    return None;
                }
                let file = open_file(place).ok()?;
                system::read_at(&file, 0, *length).ok()
            };
            Ok(wanted.iter().map(read).collect())
        };
        self.threads.run(read).await.unwrap_or_else(|_| vec![None; count])
    }

    pub(crate) async fn sha256(&self, path: &[u8], length: u64) -> Result<Option<[u8; 32]>> {
        let mut file = self.work("open", path, open_file).await?;
        let mut digest = Sha256::new();
        let mut have = 0;
        while have < length {
            let part = HASHED_AT_ONCE.min(length - have);
            let hash = move || {
                let hashed = hash(&mut file, &mut digest, part)?;
                Ok((file, digest, hashed))
            };
            let hashed;
            (file, digest, hashed) = self.threads.on_disk("read", path, hash).await?;
            if hashed < part {
                return Ok(None);
            }
            have += hashed;
        }
        Ok(Some(digest.finalize().into()))
    }
}

struct Opened {
    file: File,
    meta: Meta,
    /// Whether it can be read from anywhere in it.
    has_positions: bool,
}

fn open(place: &Wanted) -> io::Result<Opened> {
    let file = place.find(true)?.open(READ, 0)?;
    let stat = fstat(&file)?;
    let has_positions = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => return Err(Errno::ISDIR.into()),
        // Some of those that the system makes up as they are read have no positions.
        FileType::RegularFile => stat.st_size > 0 || seek(&file, SeekFrom::Current(0)).is_ok(),
        other => other == FileType::BlockDevice,
    };
    Ok(Opened {
        meta: system::meta(&stat),
        file,
        has_positions,
    })
}

/// `None`: it is a pipe that nobody reads yet.
fn open_in_place(place: &Wanted) -> io::Result<Option<(File, FileType)>> {
    let at = place.find(true)?;
    let file = match at.open(OFlags::WRONLY | OFlags::NONBLOCK, 0) {
        Ok(file) => file,
        Err(error) if Errno::from_io_error(&error) == Some(Errno::NXIO) => {
            let is_pipe = FileType::from_raw_mode(at.stat()?.st_mode) == FileType::Fifo;
            return if is_pipe { Ok(None) } else { Err(error) };
        }
        Err(error) => return Err(error),
    };
    let file_type = system::file_type(&file)?;
    Ok(Some((file, file_type)))
}

/// Opens what has to be a file.
fn open_file(place: &Wanted) -> io::Result<File> {
    let file = place.find(true)?.open(READ, 0)?;
    match system::file_type(&file)? {
        FileType::RegularFile => Ok(file),
        FileType::Directory => Err(Errno::ISDIR.into()),
        _ => Err(io::Error::other("it is no regular file")),
    }
}

/// Hashes the next `length` bytes, or fewer at the end.
fn hash(file: &mut File, digest: &mut Sha256, length: u64) -> io::Result<u64> {
    use std::io::Read as _;
    let mut buffer = vec![0; 64 * 1024];
    let mut part = file.take(length);
    let mut hashed = 0;
    loop {
        match part.read(&mut buffer) {
            Ok(0) => return Ok(hashed),
            Ok(read) => {
                digest.update(buffer.get(..read).unwrap_or_default());
                hashed += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
