//! One source for several hosts.
//!
//! Hosts that read the same file at about the same time get the same chunks of memory, read from the disk once. A host that
//! lags behind finds its chunks gone and reads for itself: nobody waits for it, and memory stays bounded.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use rustix::fs::fstat;
use tokio::sync::OnceCell;

use super::sequence::{Reader, Spool};
use super::threads::Threads;
use crate::transfer::place::meta::Meta;

/// How many bytes of chunks are kept.
const LIMIT: usize = 32 * 1024 * 1024;

/// What the hosts of one transfer have in common.
#[derive(Debug)]
pub(super) struct Shared {
    hosts: usize,
    /// Where what comes only once is kept.
    spool_directory: PathBuf,
    chunks: Mutex<Chunks>,
    streams: tokio::sync::Mutex<Streams>,
}

/// What can be read only once, for those hosts that have not opened it yet.
pub(super) struct Streams {
    hosts: usize,
    by_path: HashMap<Vec<u8>, (Arc<Spool>, Meta, usize)>,
}

/// A file as it was when it was opened: what was read from another one of the same name is none of its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
    size: i64,
    modified: (i64, i64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    file: Identity,
    offset: u64,
    length: usize,
}

#[derive(Debug, Default)]
struct Chunks {
    by_key: HashMap<Key, Chunk>,
    /// The oldest first.
    by_age: BTreeMap<u64, Key>,
    next_age: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Chunk {
    content: Arc<OnceCell<Bytes>>,
    /// How many hosts have not asked for it yet.
    left: usize,
    age: u64,
}

impl Shared {
    pub(super) fn new(hosts: usize, spool_directory: PathBuf) -> Self {
        Self {
            hosts,
            spool_directory,
            chunks: Mutex::default(),
            streams: tokio::sync::Mutex::new(Streams {
                hosts,
                by_path: HashMap::new(),
            }),
        }
    }

    /// The chunk that another host has read or is reading just now, or what `read` gives.
    pub(super) async fn chunk(
        &self,
        file: Identity,
        offset: u64,
        length: usize,
        read: impl Future<Output = io::Result<Bytes>>,
    ) -> io::Result<Bytes> {
        let key = Key { file, offset, length };
        let content = self.lock().take(key, self.hosts);
        content.get_or_try_init(|| read).await.cloned()
    }

    /// The streams that are open. Whoever has them is the only one to open a file.
    pub(super) async fn streams(&self) -> tokio::sync::MutexGuard<'_, Streams> {
        self.streams.lock().await
    }

    /// Keeps what comes only once for all hosts.
    pub(super) async fn spool(&self, reader: Reader, threads: &Arc<Threads>) -> io::Result<Arc<Spool>> {
        let spool = Spool::new(reader, self.spool_directory.clone(), Arc::clone(threads));
        Ok(Arc::new(spool.await?))
    }

    fn lock(&self) -> MutexGuard<'_, Chunks> {
        self.chunks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Streams {
    /// What another host has opened. Each host opens it once.
    pub(super) fn take(&mut self, path: &[u8]) -> Option<(Arc<Spool>, Meta)> {
        let (spool, meta, left) = self.by_path.remove(path)?;
        if left > 1 {
            let others = (Arc::clone(&spool), meta.clone(), left - 1);
            self.by_path.insert(path.to_vec(), others);
        }
        Some((spool, meta))
    }

    /// Keeps what was just opened for the other hosts.
    pub(super) fn add(&mut self, path: &[u8], spool: &Arc<Spool>, meta: &Meta) {
        let others = (Arc::clone(spool), meta.clone(), self.hosts - 1);
        self.by_path.insert(path.to_vec(), others);
    }
}

impl std::fmt::Debug for Streams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Streams")
            .field("hosts", &self.hosts)
            .finish_non_exhaustive()
    }
}

impl Identity {
    pub(super) fn of(file: &File) -> io::Result<Self> {
        let stat = fstat(file)?;
        Ok(Self {
            device: stat.st_dev,
            inode: stat.st_ino,
            size: stat.st_size,
            modified: (stat.st_mtime, stat.st_mtime_nsec as i64),
        })
    }
}

impl Chunks {
    /// What is to be filled or is filled already. The last host that asks takes it with it.
    fn take(&mut self, key: Key, hosts: usize) -> Arc<OnceCell<Bytes>> {
        if let Some(chunk) = self.by_key.get_mut(&key) {
            chunk.left -= 1;
            let content = Arc::clone(&chunk.content);
            if chunk.left == 0 {
                self.remove(key);
            }
            return content;
        }
        let content = Arc::new(OnceCell::new());
        if hosts > 1 {
            let chunk = Chunk {
                content: Arc::clone(&content),
                left: hosts - 1,
                age: self.next_age,
            };
            self.by_key.insert(key, chunk);
            self.by_age.insert(self.next_age, key);
            self.next_age += 1;
            self.bytes += key.length;
            while self.bytes > LIMIT
                && let Some((_, oldest)) = self.by_age.first_key_value()
            {
                self.remove(*oldest);
            }
        }
        content
    }

    fn remove(&mut self, key: Key) {
        if let Some(chunk) = self.by_key.remove(&key) {
            self.by_age.remove(&chunk.age);
            self.bytes -= key.length;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const FILE: Identity = Identity {
        device: 1,
        inode: 2,
        size: 3,
        modified: (4, 5),
    };

    fn shared(hosts: usize) -> Shared {
        Shared::new(hosts, PathBuf::from("/nowhere"))
    }

    #[tokio::test]
    async fn hosts_that_read_at_the_same_time_read_once() {
        let (shared, reads) = (shared(3), AtomicUsize::new(0));
        let host = || async {
            for offset in 0..5 {
                let read = async {
                    tokio::task::yield_now().await;
                    reads.fetch_add(1, Ordering::Relaxed);
                    Ok(Bytes::from(vec![offset as u8; 10]))
                };
                let chunk = shared.chunk(FILE, offset, 10, read).await.unwrap();
                assert_eq!(chunk, vec![offset as u8; 10]);
            }
        };
        tokio::join!(host(), host(), host());
        assert_eq!(reads.load(Ordering::Relaxed), 5);
        // Whoever reads it again, after a lost connection say, does not get what was read long ago.
        assert_eq!(shared.lock().bytes, 0);
        assert!(shared.lock().by_key.is_empty() && shared.lock().by_age.is_empty());
    }

    #[tokio::test]
    async fn a_host_that_lags_behind_reads_for_itself_and_memory_stays_bounded() {
        let shared = shared(2);
        let length = LIMIT / 4;
        for offset in 0..10 {
            let read = async { Ok(Bytes::from_static(b"leader")) };
            shared.chunk(FILE, offset, length, read).await.unwrap();
            assert!(shared.lock().bytes <= LIMIT);
        }
        let read = async { Ok(Bytes::from_static(b"laggard")) };
        assert_eq!(shared.chunk(FILE, 0, length, read).await.unwrap(), "laggard");
        let read = async { Ok(Bytes::from_static(b"late")) };
        assert_eq!(shared.chunk(FILE, 9, length, read).await.unwrap(), "leader");
    }

    #[tokio::test]
    async fn another_file_and_a_failed_read_are_not_shared() {
        let shared = shared(3);
        let failed = shared.chunk(FILE, 0, 1, async { Err(io::ErrorKind::Other.into()) });
        assert!(failed.await.is_err());
        let read = async { Ok(Bytes::from_static(b"a")) };
        assert_eq!(shared.chunk(FILE, 0, 1, read).await.unwrap(), "a");
        let changed = Identity { size: 4, ..FILE };
        let read = async { Ok(Bytes::from_static(b"b")) };
        assert_eq!(shared.chunk(changed, 0, 1, read).await.unwrap(), "b");
    }
}
