//! known_hosts files as they were when they were loaded.

use std::io;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use sternline_proto::known_hosts::{BadLine, Entry, KnownAlgorithms, KnownHostsIndex, Verdict};
use sternline_proto::known_hosts::{HostKeyOffer, HostKeyPolicy, verify};

use super::file::KnownHostsFileError;

/// The content of known_hosts files, parsed and indexed once.
///
/// A clone is cheap and shares the content, keys accepted later included. Nobody else's changes to the files are
/// seen; only when a key is recorded is the file read again.
#[derive(Debug, Clone, Default)]
pub struct KnownHosts {
    index: Arc<RwLock<KnownHostsIndex>>,
}

impl KnownHosts {
    /// No file: every host is unknown.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// Loads files, in order. A file that does not exist is empty. Reads from the disk, and so blocks.
    ///
    /// # Errors
    /// When a file exists but cannot be read. To go on without it could turn a revoked key into an unknown one. A pipe
    /// or a device is refused, because it may never come to its end; `/dev/null` is empty.
    pub fn load<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Result<Self, KnownHostsFileError> {
        let mut index = KnownHostsIndex::new();
        for path in paths {
            let path = path.as_ref();
            match read(path) {
                Ok(content) => index.add_file(&path.to_string_lossy(), &content),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(KnownHostsFileError::io("read", path, source)),
            }
        }
        Ok(Self::from_index(index))
    }

    /// The same, with a file of keys that no host may have (`RevokedHostKeys`): one public key a line.
    ///
    /// # Errors
    /// As [`load`](Self::load); and when the file of revoked keys does not exist, or holds anything else, such as a binary
    /// list of `ssh-keygen -k`. To go on would be to trust what it revokes.
    pub fn load_with_revoked<P: AsRef<Path>>(
        paths: impl IntoIterator<Item = P>,
        revoked: &Path,
    ) -> Result<Self, KnownHostsFileError> {
        let known = Self::load(paths)?;
        let failed = |source| KnownHostsFileError::io("read", revoked, source);
        let content = read(revoked).map_err(failed)?;
        let mut index = known.index.write().unwrap_or_else(PoisonError::into_inner);
        let added = index.add_revoked_file(&revoked.to_string_lossy(), &content);
        drop(index);
        match added {
            Ok(()) => Ok(known),
            Err(line) => {
                let what = format!(
                    "line {line} is no public key, and Sternline reads no other lists of revoked keys"
                );
                Err(failed(io::Error::new(io::ErrorKind::InvalidData, what)))
            }
        }
    }

    /// Takes the content of one file. `name` stands for its path in messages.
    #[must_use]
    pub fn from_bytes(name: &str, content: &[u8]) -> Self {
        let mut index = KnownHostsIndex::new();
        index.add_file(name, content);
        Self::from_index(index)
    }

    fn from_index(index: KnownHostsIndex) -> Self {
        Self {
            index: Arc::new(RwLock::new(index)),
        }
    }

    /// The lines that were skipped, with file, line number and reason. Worth a warning: a line that was meant to
    /// revoke a key may be among them.
    #[must_use]
    pub fn bad_lines(&self) -> Vec<BadLine> {
        self.read().bad_lines().to_vec()
    }

    /// Every sound line, in order.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        self.read().entries().to_vec()
    }

    /// Every sound line that speaks of a host at a port, in order, as `ssh-keygen -F` finds them.
    #[must_use]
    pub fn entries_for(&self, host: &str, port: u16) -> Vec<Entry> {
        self.read()
            .lookup(host, port)
            .entries()
            .iter()
            .map(|entry| (*entry).clone())
            .collect()
    }

    /// The types of key that the host is known by, which the key exchange must ask for first, and whether it makes
    /// sense to ask for a certificate.
    #[must_use]
    pub fn host_key_algorithms(&self, host: &str, port: u16) -> KnownAlgorithms {
        self.read().host_key_algorithms(host, port)
    }

    pub(super) fn verify(
        &self,
        policy: HostKeyPolicy,
        host: &str,
        port: u16,
        offer: &HostKeyOffer,
        now: u64,
    ) -> Verdict {
        verify(policy, &self.read().lookup(host, port), offer, now)
    }

    /// Adds an entry for a new host, unless another one came in between. Returns the verdict that counted:
    /// [`Verdict::Record`] when the entry was added.
    pub(super) fn learn(&self, host: &str, port: u16, entry: Entry) -> Verdict {
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        let offer = HostKeyOffer::Key(entry.key.clone());
        // The time does not matter to a plain key.
        let verdict = verify(HostKeyPolicy::AcceptNew, &index.lookup(host, port), &offer, 0);
        if verdict == Verdict::Record {
            index.add_entry(entry);
        }
        verdict
    }

    /// Nothing that can panic half-way holds the lock for writing, so the index behind a poisoned one is sound.
    fn read(&self) -> RwLockReadGuard<'_, KnownHostsIndex> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The content of a regular file. To open a pipe would wait for its writer, and a device may have no end.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    if std::fs::metadata(path)?.is_file() {
        return std::fs::read(path);
    }
    if std::fs::canonicalize(path)? == Path::new("/dev/null") {
        return Ok(Vec::new());
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        "it is not a regular file",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB";

    #[test]
    fn files_are_combined_in_order_and_missing_ones_are_empty() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("a"), format!("broken\nweb1 {KEY}\n")).unwrap();
        std::fs::write(path("b"), format!("web1 {KEY}\n")).unwrap();
        let known = KnownHosts::load([path("a"), path("missing"), path("b")]).unwrap();
        let places: Vec<_> = known
            .entries_for("web1", 22)
            .iter()
            .map(|e| e.location.to_string())
            .collect();
        assert_eq!(
            places,
            [
                format!("{}:2", path("a").display()),
                format!("{}:1", path("b").display())
            ]
        );
        assert_eq!(known.entries().len(), 2);
        assert_eq!(known.bad_lines().len(), 1);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let error = KnownHosts::load([folder.path()]).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("cannot read {}: ", folder.path().display())),
            "{error}"
        );
    }

    #[test]
    fn a_file_of_revoked_keys_counts_for_every_host_and_has_to_be_readable() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("known"), format!("web1 {KEY}\n")).unwrap();
        let offer = KnownHosts::load([path("known")])
            .unwrap()
            .entries_for("web1", 22)
            .remove(0)
            .key;
        let offer = HostKeyOffer::Key(offer);
        std::fs::write(path("revoked"), format!("# stolen\n\n{KEY} old@web1\n")).unwrap();
        let known = KnownHosts::load_with_revoked([path("known")], &path("revoked")).unwrap();
        for (host, policy) in [
            ("web1", HostKeyPolicy::Strict),
            ("new", HostKeyPolicy::AcceptNew),
            ("new", HostKeyPolicy::DangerAcceptAny),
        ] {
            let verdict = known.verify(policy, host, 2222, &offer, 0);
            let Verdict::Refused(refusal) = verdict else {
                panic!("{verdict:?}")
            };
            let place = format!("{}:3", path("revoked").display());
            assert!(refusal.summary().contains(&place), "{}", refusal.summary());
        }
        std::fs::write(path("krl"), b"SSHKRL\n\0\0").unwrap();
        for (name, reason) in [("krl", "line 1 is no public key"), ("missing", "No such file")] {
            let error = KnownHosts::load_with_revoked([path("known")], &path(name))
                .unwrap_err()
                .to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn clones_share_what_is_learned() {
        let known = KnownHosts::empty();
        let entry = KnownHosts::from_bytes("f", format!("web1 {KEY}").as_bytes())
            .entries()
            .remove(0);
        assert_eq!(known.clone().learn("web1", 22, entry), Verdict::Record);
        assert_eq!(known.entries_for("web1", 22).len(), 1);
    }
}
