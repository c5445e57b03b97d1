//! Attacks on files that are being moved, and faults on their way: nothing that was there may be lost by them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use sternline::transfer::Filter;
use sternline::{Connection, Transfer, TransferResult};
use sternline_tests::sshd::{Settings, Sshd};

/// A server on this machine, a connection to it, and a directory on either side.
struct Ends {
    _server: Sshd,
    connection: Connection,
    here: PathBuf,
    there: PathBuf,
}

impl Ends {
    async fn new() -> Self {
        Self::of(Settings::default()).await
    }

    async fn of(settings: Settings) -> Self {
        let server = settings.option("Subsystem sftp internal-sftp").start();
        let connection = server.builder().connect().await.unwrap();
        let (here, there) = (server.path("here"), server.path("there"));
        fs::create_dir(&here).unwrap();
        fs::create_dir(&there).unwrap();
        Self {
            _server: server,
            connection,
            here,
            there,
        }
    }

    /// Makes a request run in both directions: `source` and `target` are names in the directory of their side.
    async fn both_ways(
        &self,
        source: &str,
        target: &str,
        how: impl Fn(Transfer) -> Transfer,
    ) -> [TransferResult; 2] {
        let up = Transfer::upload(self.here.join(source), self.there.join(target));
        let down = Transfer::download(self.there.join(source), self.here.join(target));
        [
            self.connection.transfer(how(up)).await,
            self.connection.transfer(how(down)).await,
        ]
    }

    fn sides(&self) -> [(&Path, &Path); 2] {
        [(&self.here, &self.there), (&self.there, &self.here)]
    }
}

/// Writes a file, and makes the directories that it is in.
fn write(path: impl AsRef<Path>, content: impl AsRef<[u8]>) {
    let path = path.as_ref();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn mirror(transfer: Transfer) -> Transfer {
    transfer.recursive(true).delete(true)
}

#[tokio::test]
async fn nothing_is_removed_where_a_link_in_the_target_leads_to() {
    let ends = Ends::new().await;
    for (side, other) in ends.sides() {
        write(side.join("tree/shared/new"), "new");
        write(other.join("mirror/elsewhere/precious"), "precious");
        write(other.join("mirror/elsewhere/sub/precious"), "precious");
        write(side.join("tree/elsewhere/precious"), "precious");
        write(side.join("tree/elsewhere/sub/precious"), "precious");
        write(side.join("tree/shared/sub/new"), "new");
        symlink("elsewhere", other.join("mirror/shared")).unwrap();
    }
    for result in ends.both_ways("tree/.", "mirror", mirror).await {
        assert!(result.ok(), "{result:?}");
    }
    for (_, target) in ends.sides() {
        let elsewhere = target.join("mirror/elsewhere");
        assert!(elsewhere.join("precious").exists());
        assert!(elsewhere.join("sub/precious").exists());
    }
}

#[tokio::test]
async fn what_the_filter_excludes_stays_in_directories_that_the_source_has_not() {
    let ends = Ends::new().await;
    for (side, other) in ends.sides() {
        write(side.join("tree/new"), "new");
        write(other.join("mirror/old/keys/secret"), "precious");
        write(other.join("mirror/old/deep/down/a.key"), "precious");
        write(other.join("mirror/old/deep/gone/b"), "old");
        write(other.join("mirror/older/c"), "old");
    }
    let filter = Filter::new().exclude("*.key").unwrap().exclude("keys/").unwrap();
    let how = |transfer: Transfer| mirror(transfer).filter(filter.clone());
    for dry_run in [true, false] {
        for result in ends
            .both_ways("tree/.", "mirror", |transfer| how(transfer).dry_run(dry_run))
            .await
        {
            assert_eq!((result.removed, result.skipped), (1, 1), "{result:?}");
            result.success().unwrap();
        }
    }
    for (_, target) in ends.sides() {
        let mirror = target.join("mirror");
        assert_eq!(names(&mirror), ["new", "old"]);
        assert_eq!(names(&mirror.join("old")), ["deep", "keys"]);
        assert_eq!(names(&mirror.join("old/deep")), ["down"]);
        assert!(mirror.join("old/deep/down/a.key").exists());
        assert!(mirror.join("old/keys/secret").exists());
    }
}

#[tokio::test]
async fn sources_that_would_remove_each_other_are_refused() {
    let ends = Ends::new().await;
    write(ends.here.join("a/dir/one"), "1");
    write(ends.here.join("b/dir/two"), "2");
    write(ends.there.join("mirror/precious"), "precious");
    for sources in [["a/dir", "b/dir"], ["a/dir/.", "b/dir/."], ["b/dir", "a/dir/."]] {
        let sources = sources.map(|source| ends.here.join(source));
        let [one, other] = sources;
        let transfer = Transfer::upload(one, ends.there.join("mirror")).source(other);
        let result = ends.connection.transfer(mirror(transfer)).await;
        let error = result.success().unwrap_err();
        assert!(error.to_string().contains("several of the sources"), "{error}");
        assert_eq!(names(&ends.there.join("mirror")), ["precious"]);
    }
}
