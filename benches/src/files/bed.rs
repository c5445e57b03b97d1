//! What is moved, on a file system in memory, and the ways to the server.

use std::error::Error;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

use sternline_server::fault::{Fault, FaultProxy};
use tokio::sync::oneshot;

use super::work::{Link, Work};
use crate::measure::Server;
use crate::worker::Target;

/// How long every byte takes each way on the long link: a round trip takes twice that.
const ONE_WAY: Duration = Duration::from_millis(25);

/// A file of the tree.
const SMALL: usize = 4096;

/// Everything that the transfers need.
pub(super) struct Bed {
    folder: tempfile::TempDir,
    short: Target,
    long: Target,
    _delay: Delay,
}

impl Bed {
    pub(super) fn new(server: &Server) -> Result<Self, Box<dyn Error>> {
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() {
            tempfile::tempdir_in(memory)?
        } else {
            tempfile::tempdir()?
        };
        for name in ["from", "to"] {
            fs::create_dir(folder.path().join(name))?;
        }
        let short = server.target();
        let delay = Delay::start(SocketAddr::from(([127, 0, 0, 1], short.port)))?;
        Ok(Self {
            folder,
            short,
            long: server.target_at(delay.port)?,
            _delay: delay,
        })
    }

    pub(super) fn target(&self, link: Link) -> &Target {
        match link {
            Link::Short => &self.short,
            Link::Long => &self.long,
        }
    }

    /// Where the file or the tree is that is moved.
    pub(super) fn source(&self, work: Work) -> PathBuf {
        self.folder.path().join("from").join(work.item())
    }

    /// The directory that it is moved into.
    pub(super) fn into(&self) -> PathBuf {
        self.folder.path().join("to")
    }

    /// Where it is afterwards.
    pub(super) fn result(&self, work: Work) -> PathBuf {
        self.into().join(work.item())
    }

    /// A file with the commands of an sftp session.
    pub(super) fn batch(&self, work: Work) -> Result<PathBuf, Box<dyn Error>> {
        let path = self.folder.path().join("batch");
        let verb = if work.is_upload() { "put" } else { "get" };
        let (from, to) = (self.source(work), self.result(work));
        fs::write(&path, format!("{verb} {} {}\n", from.display(), to.display()))?;
        Ok(path)
    }

    /// Makes what is moved: `count` MiB in one file, or `count` small files in one directory.
    pub(super) fn make(&self, work: Work, count: u32) -> Result<(), Box<dyn Error>> {
        let mut noise = Noise::new();
        let path = self.source(work);
        if work.is_tree() {
            fs::create_dir_all(&path)?;
            for number in 0..count {
                fs::write(path.join(format!("file-{number:05}")), noise.take(SMALL))?;
            }
        } else {
            use std::io::Write as _;
            let mut file = fs::File::create(&path)?;
            for _ in 0..count {
                file.write_all(&noise.take(1 << 20))?;
            }
        }
        Ok(())
    }

    /// Takes away what was moved, or what is moved as well.
    pub(super) fn clear(&self, path: &Path) -> Result<(), Box<dyn Error>> {
        let removed = if path.is_dir() {
            fs::remove_dir_all(path)
        } else {
            fs::remove_file(path)
        };
        match removed {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Whether all of it has arrived.
    pub(super) fn has_arrived(&self, work: Work) -> Result<bool, Box<dyn Error>> {
        let (from, to) = (self.source(work), self.result(work));
        if work.is_tree() {
            let mut names = fs::read_dir(&from)?;
            return Ok(
                names.all(|name| name.is_ok_and(|name| same_size(&name.path(), &to.join(name.file_name()))))
            );
        }
        Ok(same_size(&from, &to))
    }
}

fn same_size(one: &Path, other: &Path) -> bool {
    let size = |path| fs::metadata(path).map(|metadata| metadata.len());
    matches!((size(one), size(other)), (Ok(one), Ok(other)) if one == other)
}

/// Bytes that no compression and no search for holes makes less of: xorshift64*.
struct Noise(u64);

impl Noise {
    fn new() -> Self {
        Self(0x9E37_79B9_7F4A_7C15)
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count + 8);
        while bytes.len() < count {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            bytes.extend(self.0.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes());
        }
        bytes.truncate(count);
        bytes
    }
}

/// A proxy that delays, on a thread of its own. Dropping it ends it.
struct Delay {
    port: u16,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Delay {
    fn start(server: SocketAddr) -> Result<Self, Box<dyn Error>> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let proxy = runtime.block_on(FaultProxy::start(server))?;
        proxy.faults().set(Fault::Latency(ONE_WAY));
        let port = proxy.addr().port();
        let (end, ended) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            // An error means that the other side has gone, which is the end as well.
            let _ = runtime.block_on(ended);
            drop(proxy);
        });
        Ok(Self {
            port,
            end: Some(end),
            thread: Some(thread),
        })
    }
}

impl Drop for Delay {
    fn drop(&mut self) {
        self.end = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
