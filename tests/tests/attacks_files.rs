//! Attacks on files that are being moved, and faults on their way: nothing that was there may be lost by them.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};

use sternline::transfer::Filter;
use sternline::{Connection, Transfer, TransferResult};
use sternline_tests::sshd::{Settings, Sshd};
use sternline_tests::users;

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

#[tokio::test]
async fn a_file_that_is_copied_onto_itself_keeps_its_content() {
    let ends = Ends::of(Settings::default().user(users::plain())).await;
    let content = vec![7; 1_000_000];
    for (name, directory_mode) in [("open", 0o777), ("closed", 0o555)] {
        let (directory, file) = (ends.there.join(name), ends.there.join(name).join("file"));
        write(&file, &content);
        let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        set(&file, 0o666);
        set(&directory, directory_mode);
        let result = ends.connection.transfer(Transfer::upload(&file, &file)).await;
        assert!(result.ok(), "{name}: {result:?}");
        assert_eq!(result.warnings.is_empty(), name == "open", "{result:?}");
        assert!(fs::read(&file).unwrap() == content, "{name}");
        // What was longer has the new length all the same.
        write(ends.here.join("short"), "short");
        let result = ends
            .connection
            .transfer(Transfer::upload(ends.here.join("short"), &file))
            .await;
        assert!(result.ok(), "{name}: {result:?}");
        assert_eq!(fs::read(&file).unwrap(), b"short");
        set(&directory, 0o777);
    }
}

#[tokio::test]
async fn a_server_that_forbids_reading_half_way_costs_no_file_its_content() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/python/hostile_sftp.py");
    let server = Settings::default()
        .option(&format!("Subsystem sftp python3 {script} forbidding"))
        .start();
    let connection = server.builder().connect().await.unwrap();
    let file = server.path("file");
    write(&file, "precious");
    let result = connection.transfer(Transfer::download("f", &file)).await;
    assert_eq!(result.failed, 1, "{result:?}");
    assert_eq!(fs::read(&file).unwrap(), b"precious");
}

#[tokio::test]
async fn a_part_that_is_not_ours_is_neither_written_to_nor_gone_on_with() {
    let ends = Ends::new().await;
    let content = vec![7; 1_000_000];
    let part = ".copy.aaaaaaaaaaaaaaaa.sternline-part";
    for (side, other) in ends.sides() {
        write(side.join("source"), &content);
        write(other.join("precious"), [1; 700_000]);
        fs::hard_link(other.join("precious"), other.join(part)).unwrap();
    }
    for result in ends
        .both_ways("source", "copy", |transfer| transfer.resume(true))
        .await
    {
        result.success().unwrap();
    }
    for (_, target) in ends.sides() {
        assert!(fs::read(target.join("precious")).unwrap() == [1; 700_000]);
        assert!(fs::read(target.join("copy")).unwrap() == content);
        assert_eq!(names(target), ["copy", "precious", "source"]);
    }
    if !users::is_root() {
        return;
    }
    // What somebody else has begun would stay theirs.
    let own = fs::metadata(ends.here.join("source")).unwrap().uid();
    for (_, other) in ends.sides() {
        fs::remove_file(other.join("copy")).unwrap();
        write(other.join(part), &content[..900_000]);
        chown(other.join(part), Some(65_534), None).unwrap();
        write(
            other.join(".tree.aaaaaaaaaaaaaaaa.sternline-part/planted"),
            "planted",
        );
        chown(
            other.join(".tree.aaaaaaaaaaaaaaaa.sternline-part"),
            Some(65_534),
            None,
        )
        .unwrap();
        write(other.join("tree-source/file"), "file");
    }
    for result in ends
        .both_ways("source", "copy", |transfer| transfer.resume(true))
        .await
    {
        assert_eq!(result.bytes, 1_000_000, "{result:?}");
    }
    for result in ends
        .both_ways("tree-source", "tree", |transfer| {
            transfer.resume(true).recursive(true)
        })
        .await
    {
        result.success().unwrap();
    }
    for (_, target) in ends.sides() {
        assert_eq!(fs::metadata(target.join("copy")).unwrap().uid(), own);
        assert_eq!(names(&target.join("tree")), ["file"]);
    }
}

#[tokio::test]
async fn a_tree_that_is_copied_into_itself_comes_to_an_end() {
    let ends = Ends::new().await;
    write(ends.there.join("tree/file"), "file");
    write(ends.there.join("tree/sub/file"), "file");
    let transfer =
        Transfer::upload(ends.there.join("tree"), ends.there.join("tree/sub/copy")).recursive(true);
    let result = ends.connection.transfer(transfer).await;
    result.success().unwrap();
    assert_eq!(names(&ends.there.join("tree/sub")), ["copy", "file"]);
    assert_eq!(names(&ends.there.join("tree/sub/copy")), ["file", "sub"]);
    assert_eq!(names(&ends.there.join("tree/sub/copy/sub")), ["file"]);
}

#[tokio::test]
async fn a_tree_that_is_too_deep_to_be_listed_whole_is_no_success() {
    use rustix::fs::{Mode, OFlags, mkdirat, openat};
    let ends = Ends::new().await;
    let top = ends.there.join("tree");
    fs::create_dir(&top).unwrap();
    let mut directory: std::os::fd::OwnedFd = fs::File::open(&top).unwrap().into();
    let name = "d".repeat(200);
    for _ in 0..22 {
        mkdirat(&directory, &name, Mode::from_raw_mode(0o755)).unwrap();
        directory = openat(&directory, &name, OFlags::DIRECTORY, Mode::empty()).unwrap();
    }
    let download = Transfer::download(&top, ends.here.join("copy")).recursive(true);
    let result = ends.connection.transfer(download).await;
    assert!(!result.ok(), "{result:?}");
    let failure = format!("{:?}", result.failures);
    assert!(failure.contains("leave entries out"), "{failure}");
    for tree in [top, ends.here.join("copy")] {
        let removed = std::process::Command::new("rm")
            .arg("-rf")
            .arg(tree)
            .status()
            .unwrap();
        assert!(removed.success());
    }
}

#[tokio::test]
async fn a_listing_without_end_is_an_error_before_memory_is_used_up() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/python/hostile_sftp.py");
    let server = Settings::default()
        .option(&format!("Subsystem sftp python3 {script} endless"))
        .start();
    let connection = server.builder().connect().await.unwrap();
    let download = Transfer::download("d", server.path("copy")).recursive(true);
    let result = connection.transfer(download).await;
    let failure = format!("{result:?}");
    assert!(failure.contains("than there is room for"), "{failure}");
}
