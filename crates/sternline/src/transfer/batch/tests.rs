//! Streams of files to and from servers whose tar is GNU's, bsdtar's or busybox's, and from hostile ones.

use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::PathBuf;
use std::process::Stdio;

use bytes::{Bytes, BytesMut};
use sternline_proto::tar::{Header, finish};
use sternline_server::{Credential, ExecRequest, ExitOutcome, Server};
use tokio::io::{AsyncWriteExt as _, copy};
use tokio::process::Command;
use tokio::sync::mpsc;

use super::fetch::Missed;
use super::*;
use crate::connection::Connection;
use crate::error::{Error, Result};
use crate::transfer::shell::Tar;

/// The shell of a machine on which `tar` is this program.
async fn shell(mut request: ExecRequest, tar: PathBuf) -> ExitOutcome {
    let search = std::env::var_os("PATH").unwrap_or_default();
    let mut path = tar.into_os_string();
    path.push(":");
    path.push(search);
    let mut child = Command::new("sh")
        .arg("-c")
        .arg(request.command_text().as_ref())
        .env("PATH", path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let (mut stdin, mut stdout, mut stderr) = (
        child.stdin.take().unwrap(),
        child.stdout.take().unwrap(),
        child.stderr.take().unwrap(),
    );
    let feeding = async {
        let _ = copy(&mut request.stdin, &mut stdin).await;
        drop(stdin);
        std::future::pending::<()>().await;
    };
    let ending = async {
        let _ = tokio::join!(
            copy(&mut stdout, &mut request.stdout),
            copy(&mut stderr, &mut request.stderr)
        );
        child.wait().await.unwrap()
    };
    let status = tokio::select! {
        status = ending => status,
        () = feeding => return ExitOutcome::Code(255),
    };
    ExitOutcome::Code(status.code().map_or(255, i32::cast_unsigned))
}

struct Bed {
    _server: Server,
    connection: Connection,
    folder: tempfile::TempDir,
}

impl Bed {
    async fn connect(server: Server) -> Self {
        let connection = Connection::builder(format!("alice@{}", server.addr()))
            .danger_accept_any_host_key()
            .password("secret")
            .connect()
            .await
            .unwrap();
        Self {
            _server: server,
            connection,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// `None` where this machine has no such tar.
    async fn with(tar: Tar) -> Option<Self> {
        let programs = tempfile::tempdir().unwrap().keep();
        let name = match tar {
            Tar::Bsd => "bsdtar",
            Tar::Busybox => "busybox",
            Tar::Gnu | Tar::Other => "tar",
        };
        let search = std::env::var_os("PATH").unwrap_or_default();
        let program = std::env::split_paths(&search)
            .map(|folder| folder.join(name))
            .find(|program| program.exists())?;
        symlink(program, programs.join("tar")).unwrap();
        let server = Server::builder()
            .user("alice", Credential::password("secret"))
            .on_exec(move |request| shell(request, programs.clone()))
            .bind()
            .await
            .unwrap();
        Some(Self::connect(server).await)
    }

    /// A server that sends this instead of an archive.
    async fn sending(archive: Bytes, code: u32) -> Self {
        let server = Server::builder()
            .user("alice", Credential::password("secret"))
            .on_exec(move |mut request| {
                let archive = archive.clone();
                async move {
                    let _ = request.stdout.write_all(&archive).await;
                    ExitOutcome::Code(code)
                }
            })
            .bind()
            .await
            .unwrap();
        Self::connect(server).await
    }

    fn directory(&self) -> &[u8] {
        self.folder.path().as_os_str().as_bytes()
    }

    fn path(&self, name: &[u8]) -> PathBuf {
        self.folder.path().join(std::ffi::OsStr::from_bytes(name))
    }

    async fn send(&self, directory: &[u8], keep_times: bool, items: Vec<Item>) -> Result<()> {
        let (sender, files) = mpsc::channel(4);
        let feeding = async move {
            for item in items {
                if sender.send(item).await.is_err() {
                    break;
                }
            }
        };
        tokio::join!(send(&self.connection, directory, keep_times, files), feeding).0
    }

    async fn fetch(&self, tar: Tar, wanted: &[Vec<u8>]) -> Result<(Vec<Fetched>, Vec<Missed>)> {
        let (out, mut files) = mpsc::channel(1000);
        let missed = fetch(&self.connection, tar, self.directory(), wanted, LIMIT, &out).await?;
        drop(out);
        let mut fetched = Vec::new();
        while let Some(file) = files.recv().await {
            fetched.push(file);
        }
        fetched.sort_by_key(|file| file.index);
        Ok((fetched, missed))
    }
}

const LIMIT: usize = 1024 * 1024;

/// Those that unpack, and those that also pack files from a list.
const UNPACKING: [Tar; 3] = [Tar::Gnu, Tar::Bsd, Tar::Busybox];
const PACKING: [Tar; 2] = [Tar::Gnu, Tar::Bsd];

fn item(name: &[u8], data: &[u8]) -> Item {
    Item {
        header: Header {
            name: name.to_vec(),
            mode: 0o4751,
            mtime: 1_500_000_000,
        },
        data: Bytes::copy_from_slice(data),
    }
}

/// Names that something on the way could take for something else, the longest beyond what a header has room for.
fn names() -> Vec<Vec<u8>> {
    let long = [[b'n'; 150], [b'm'; 150]].join(&b'/');
    [
        &b"plain"[..],
        b"-rf",
        b"--to-command=false",
        b"-C",
        b"@file",
        b"it's \"quoted\" $(here) `there`",
        b"back\\nslash",
        b"\xff\xfe",
        b" spaces ",
        b"line\nbreak",
        b"sub/dir/file",
        b"star*[x]?",
        &long,
    ]
    .map(<[u8]>::to_vec)
    .to_vec()
}

fn refused<T: std::fmt::Debug>(outcome: Result<T>) -> Error {
    outcome.unwrap_err()
}

#[tokio::test]
async fn every_name_arrives_with_its_content_mode_and_time() {
    for tar in UNPACKING {
        let Some(bed) = Bed::with(tar).await else { continue };
        let items = names()
            .into_iter()
            .zip(0..)
            .map(|(name, n)| item(&name, &vec![n; 700 * usize::from(n)]));
        bed.send(bed.directory(), true, items.collect()).await.unwrap();
        for (name, n) in names().iter().zip(0_u8..) {
            let path = bed.path(name);
            assert_eq!(
                std::fs::read(&path).unwrap(),
                vec![n; 700 * usize::from(n)],
                "{path:?}"
            );
            let metadata = std::fs::metadata(&path).unwrap();
            assert_eq!(metadata.mode() & 0o7777, 0o4751, "{tar:?} {path:?}");
            assert_eq!(metadata.mtime(), 1_500_000_000);
        }
        // Once more, over what is there, with the times of their arrival.
        bed.send(bed.directory(), false, vec![item(b"plain", b"new")])
            .await
            .unwrap();
        assert_eq!(std::fs::read(bed.path(b"plain")).unwrap(), b"new");
        assert!(std::fs::metadata(bed.path(b"plain")).unwrap().mtime() > 1_600_000_000);
    }
}

#[tokio::test]
async fn a_directory_may_have_any_name_too() {
    let bed = Bed::with(Tar::Gnu).await.unwrap();
    for name in [&b"-C it's \xff\n$(x)"[..], b" ", b"~"] {
        std::fs::create_dir(bed.path(name)).unwrap();
        let directory = [bed.directory(), b"/", name].concat();
        bed.send(&directory, true, vec![item(b"file", b"x")])
            .await
            .unwrap();
        assert_eq!(std::fs::read(bed.path(name).join("file")).unwrap(), b"x");
    }
}

#[tokio::test]
async fn what_cannot_be_unpacked_is_an_error_in_the_servers_words() {
    for tar in UNPACKING {
        let Some(bed) = Bed::with(tar).await else { continue };
        std::fs::write(bed.path(b"file"), "x").unwrap();
        let many = || {
            (0..200)
                .map(|n| item(format!("file/{n}").as_bytes(), &[7; 50_000]))
                .collect()
        };
        let error = refused(bed.send(bed.directory(), true, many()).await);
        let said = error.to_string();
        assert!(said.contains("cannot unpack files into"), "{said}");
        assert!(said.contains("exit status "), "{said}");
        let missing = [bed.directory(), b"/missing"].concat();
        let error = refused(bed.send(&missing, true, many()).await);
        let said = error.to_string().to_lowercase();
        // bsdtar does not say why.
        assert!(
            said.contains("no such file") || said.contains("could not chdir"),
            "{tar:?} {said}"
        );
    }
    let bed = Bed::with(Tar::Gnu).await.unwrap();
    let error = refused(bed.send(bed.directory(), true, vec![item(b"../out", b"x")]).await);
    assert!(error.to_string().contains("\"../out\""), "{error}");
}

#[tokio::test]
async fn a_tar_that_ends_before_it_has_everything_has_failed_whatever_it_says() {
    let bed = Bed::sending(Bytes::new(), 0).await;
    // More than a channel's window has room for.
    let many = (0..200).map(|n| item(format!("{n}").as_bytes(), &[7; 50_000]));
    let said = refused(bed.send(b"/x", true, many.collect()).await).to_string();
    assert!(said.contains("cannot unpack files into /x"), "{said}");
}

#[tokio::test]
async fn files_come_whole_and_by_whatever_name() {
    for tar in PACKING {
        let Some(bed) = Bed::with(tar).await else { continue };
        let wanted = names();
        for (name, n) in wanted.iter().zip(0_u8..) {
            std::fs::create_dir_all(bed.path(name).parent().unwrap()).unwrap();
            std::fs::write(bed.path(name), vec![n; 700 * usize::from(n)]).unwrap();
        }
        std::fs::write(bed.path(b"not asked for"), "x").unwrap();
        let (fetched, missed) = bed.fetch(tar, &wanted).await.unwrap();
        for file in &fetched {
            assert_eq!(file.data, vec![file.index as u8; 700 * file.index]);
            assert_eq!(file.mode & 0o700, 0o600);
            assert!(file.mtime > 1_600_000_000);
        }
        assert_eq!((fetched.len(), missed), (wanted.len(), Vec::new()), "{tar:?}");
    }
}

#[tokio::test]
async fn a_file_that_does_not_come_is_told_and_the_others_come() {
    for tar in PACKING {
        let Some(bed) = Bed::with(tar).await else { continue };
        let wanted: Vec<Vec<u8>> = ["first", "gone", "link", "twin", "last"]
            .map(|name| name.as_bytes().to_vec())
            .to_vec();
        for name in ["first", "last"] {
            std::fs::write(bed.path(name.as_bytes()), name).unwrap();
        }
        symlink("first", bed.path(b"link")).unwrap();
        std::fs::hard_link(bed.path(b"first"), bed.path(b"twin")).unwrap();
        let (fetched, missed) = bed.fetch(tar, &wanted).await.unwrap();
        let here: Vec<usize> = fetched.iter().map(|file| file.index).collect();
        assert_eq!(here, [0, 4], "{tar:?}");
        let missed: Vec<(usize, String)> = missed
            .into_iter()
            .map(|missed| (missed.index, missed.reason))
            .collect();
        assert_eq!(
            missed.iter().map(|(index, _)| *index).collect::<Vec<_>>(),
            [1, 2, 3]
        );
        assert!(missed[0].1.contains("No such file"), "{tar:?} {missed:?}");
        assert_eq!(missed[1].1, "it is no file any more");
        assert_eq!(missed[2].1, "it has the content of another file");
    }
}

#[tokio::test]
async fn a_file_that_has_grown_beyond_the_limit_is_an_error() {
    let bed = Bed::with(Tar::Gnu).await.unwrap();
    std::fs::write(bed.path(b"large"), vec![7; LIMIT + 1]).unwrap();
    let error = refused(bed.fetch(Tar::Gnu, &[b"large".to_vec()]).await);
    assert!(error.to_string().contains("a member of 1048577 bytes"), "{error}");
}

#[tokio::test]
async fn a_directory_that_is_not_there_is_an_error() {
    for tar in PACKING {
        let Some(bed) = Bed::with(tar).await else { continue };
        let (out, _files) = mpsc::channel(1);
        let wanted = [b"x".to_vec()];
        let outcome = fetch(&bed.connection, tar, b"/nowhere/at/all", &wanted, LIMIT, &out).await;
        let said = refused(outcome).to_string();
        assert!(said.contains("cannot read files of /nowhere/at/all"), "{said}");
        let why = ["No such file", "could not chdir"];
        assert!(why.iter().any(|why| said.contains(why)), "{said}");
    }
}

#[tokio::test]
async fn a_hostile_server_gets_nothing_accepted_that_was_not_asked_for() {
    let archive = |names: &[&[u8]]| {
        let mut archive = BytesMut::new();
        for name in names {
            let Item { header, data } = item(name, b"evil");
            header.encode(&data, &mut archive).unwrap();
        }
        finish(&mut archive);
        archive
    };
    let absolute = {
        let mut archive = archive(&[b"xetc/passwd"]);
        archive[0] = b'/';
        // The checksum, for a character that is less by this much.
        let sum = u32::from_str_radix(std::str::from_utf8(&archive[148..154]).unwrap(), 8).unwrap();
        archive[148..154].copy_from_slice(format!("{:06o}", sum - u32::from(b'x' - b'/')).as_bytes());
        archive
    };
    let cut = |bytes: usize| archive(&[b"wanted"]).split_to(bytes);
    for (archive, code, said) in [
        (
            archive(&[b"other"]),
            0,
            "a file that was not asked for: \"other\"",
        ),
        (archive(&[b"wanted", b"wanted"]), 0, "twice the file \"wanted\""),
        (absolute, 0, "a file that was not asked for: \"/etc/passwd\""),
        (archive(&[b"wanted/deeper"]), 0, "a file that was not asked for"),
        (cut(600), 0, "cannot read files of"),
        (cut(1024), 0, "cannot read files of"),
        (archive(&[b"wanted"]), 1, "exit status 1"),
        (
            BytesMut::from(&b"Welcome to this machine!\n".repeat(30)[..]),
            0,
            "text beginning with \"Welcome",
        ),
    ] {
        let bed = Bed::sending(archive.freeze(), code).await;
        let error = refused(bed.fetch(Tar::Gnu, &[b"wanted".to_vec()]).await);
        assert!(error.to_string().contains(said), "{error}");
    }
}

#[tokio::test]
async fn nothing_at_all_is_no_error_either_way() {
    for tar in UNPACKING {
        let Some(bed) = Bed::with(tar).await else { continue };
        bed.send(bed.directory(), true, Vec::new()).await.unwrap();
    }
}
