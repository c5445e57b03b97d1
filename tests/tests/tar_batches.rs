//! Small files in streams of tar(1), to and from a real sshd over a long way: with the tars that servers have, and with some
//! that fail or lie. Whatever such a tar does, the files have to arrive.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use sternline::{Connection, Transfer};
use sternline_server::fault::{Fault, FaultProxy};
use sternline_tests::left_out::left_out;
use sternline_tests::sshd::{Settings, Sshd};

/// A server whose tar is a script, a slow way to it, and two directories.
struct Bed {
    server: Sshd,
    _way: FaultProxy,
    connection: Connection,
    programs: tempfile::TempDir,
}

/// Where this machine has a program.
fn program(name: &str) -> Option<PathBuf> {
    let search = std::env::var_os("PATH")?;
    let mut found = std::env::split_paths(&search).map(|folder| folder.join(name));
    found.find(|path| path.exists())
}

impl Bed {
    /// `REAL` stands for GNU tar in the script. What it is called with is written down.
    async fn new(script: &str) -> Self {
        let programs = tempfile::tempdir().unwrap();
        fs::set_permissions(programs.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let log = programs.path().join("log");
        fs::write(&log, "").unwrap();
        fs::set_permissions(&log, fs::Permissions::from_mode(0o666)).unwrap();
        let real = program("tar").unwrap();
        let script = script.replace("REAL", real.to_str().unwrap());
        let tar = programs.path().join("tar");
        fs::write(
            &tar,
            format!("#!/bin/sh\necho \"$*\" >>{}\n{script}\n", log.display()),
        )
        .unwrap();
        fs::set_permissions(&tar, fs::Permissions::from_mode(0o755)).unwrap();
        let server = Settings::default()
            .option(&format!(
                "SetEnv PATH={}:/usr/local/bin:/usr/bin:/bin HOME={}",
                programs.path().display(),
                programs.path().display()
            ))
            .start();
        let way = FaultProxy::start(([127, 0, 0, 1], server.port()).into())
            .await
            .unwrap();
        way.faults().set("latency:5ms".parse::<Fault>().unwrap());
        let connection = Connection::builder(format!("{}@{}", server.user().name, way.addr()))
            .danger_accept_any_host_key()
            .client_keys([server.key()])
            .connect()
            .await
            .unwrap();
        for side in ["here", "there"] {
            fs::create_dir(server.path(side)).unwrap();
        }
        Self {
            server,
            _way: way,
            connection,
            programs,
        }
    }

    fn here(&self, name: &str) -> PathBuf {
        self.server.path("here").join(name)
    }

    fn there(&self, name: &str) -> PathBuf {
        self.server.path("there").join(name)
    }

    async fn upload(&self, from: &str, to: &str) {
        let transfer = Transfer::upload(self.here(from), self.there(to)).recursive(true);
        let result = self.connection.transfer(transfer).await;
        assert_eq!(result.failed, 0, "{:?}", result.failures);
        result.success().unwrap();
    }

    async fn download(&self, from: &str, to: &str) {
        let transfer = Transfer::download(self.there(from), self.here(to)).recursive(true);
        let result = self.connection.transfer(transfer).await;
        assert_eq!(result.failed, 0, "{:?}", result.failures);
        result.success().unwrap();
    }

    /// How often tar was called to unpack, and how often to pack.
    fn calls(&self) -> (usize, usize) {
        let log = fs::read_to_string(self.programs.path().join("log")).unwrap();
        let calls = |what: &str| log.lines().filter(|line| line.starts_with(what)).count();
        (calls("-x "), calls("-c "))
    }
}

/// As many files as go one by one before it is worth more, and as many again, whose names hold what something on the way
/// could take for something else.
fn fill(root: &Path) {
    let long = "n".repeat(140);
    let odd: [&[u8]; 9] = [
        b"plain ",
        b"-rf ",
        b"--checkpoint-action=exec=false ",
        b"@",
        b"it's \"quoted\" $(x) `x` ",
        b"line\nbreak ",
        b"\xff\xfe\x80 ",
        b"back\\slash ",
        long.as_bytes(),
    ];
    let below = root.join(&long).join("d");
    fs::create_dir_all(&below).unwrap();
    for number in 0..40_usize {
        for name in odd {
            let name = [name, number.to_string().as_bytes()].concat();
            let content = vec![number as u8; number * 40];
            let folder = if number % 2 == 0 { root } else { &below };
            fs::write(folder.join(OsStr::from_bytes(&name)), content).unwrap();
        }
    }
}

/// Every file below a directory with its content.
fn files(root: &Path) -> BTreeMap<OsString, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut left = vec![root.to_path_buf()];
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                left.push(path);
            } else {
                let name = path.strip_prefix(root).unwrap().as_os_str().to_owned();
                found.insert(name, fs::read(path).unwrap());
            }
        }
    }
    found
}

#[tokio::test]
async fn names_of_any_bytes_go_together_with_every_tar_that_servers_have() {
    for (tar, packs) in [("tar", true), ("bsdtar", true), ("busybox", false)] {
        let Some(real) = program(tar) else {
            left_out(
                &format!("streams of {tar}"),
                "install busybox and libarchive-tools",
            );
            continue;
        };
        let applet = if tar == "busybox" { "tar" } else { "" };
        let bed = Bed::new(&format!("exec {} {applet} \"$@\"", real.display())).await;
        fill(&bed.here("source"));
        let source = files(&bed.here("source"));
        bed.upload("source", "copy").await;
        assert_eq!(files(&bed.there("copy")), source, "{tar}");
        let (unpacked, _) = bed.calls();
        assert!(unpacked > 0, "{tar} was not used");
        bed.download("copy", "back").await;
        assert_eq!(files(&bed.here("back")), source, "{tar}");
        let (_, packed) = bed.calls();
        assert_eq!(packed > 0, packs, "{tar}");
    }
}

#[tokio::test]
async fn files_arrive_although_the_servers_tar_fails() {
    const VERSION: &str = "case \"$*\" in --version) exec REAL --version;; esac";
    for broken in [
        // It ends in the middle, with and without saying so.
        "head -c 20000 | REAL \"$@\"; exit 2",
        "head -c 20000 >/dev/null; exit 0",
        "kill -9 $$",
        "echo 'tar: ./x: Cannot open: No space left on device' >&2; cat >/dev/null; exit 2",
        // It does its work, and then is not content.
        "REAL \"$@\"; exit 1",
        "REAL \"$@\"; echo 'tar: something is wrong' >&2; exit 1",
        // What is no archive at all.
        "echo Welcome to this machine; exit 0",
        "cat /dev/zero",
    ] {
        let bed = Bed::new(&format!("{VERSION}\n{broken}")).await;
        fill(&bed.here("source"));
        let source = files(&bed.here("source"));
        // One that unpacks nothing and claims success is past help.
        if !broken.ends_with("exit 0") {
            bed.upload("source", "copy").await;
            assert_eq!(files(&bed.there("copy")), source, "{broken}");
        }
        fill(&bed.there("source"));
        bed.download("source", "copy").await;
        assert_eq!(files(&bed.here("copy")), source, "{broken}");
        assert!(bed.calls().1 > 0, "{broken}: tar was not used");
    }
}

#[tokio::test]
async fn a_tar_that_sends_other_files_writes_none_of_them() {
    let bed =
        Bed::new("case \"$*\" in --version) exec REAL --version;; *) cat \"$HOME/archive\";; esac").await;
    let target = bed.here("target");
    fs::create_dir(&target).unwrap();
    let evil = bed.programs.path().join("evil");
    fs::create_dir_all(evil.join("sub")).unwrap();
    fs::write(evil.join("outside"), "evil").unwrap();
    for name in ["../outside", "../outside-absolute", "sub/../../outside"] {
        let archive = bed.programs.path().join("archive");
        let packed = std::process::Command::new(program("tar").unwrap())
            .args(["-c", "-P", "-f"])
            .arg(&archive)
            .arg(format!("--transform=s|.*|{name}|"))
            .arg("outside")
            .current_dir(&evil)
            .status()
            .unwrap();
        assert!(packed.success());
        let _ = fs::remove_dir_all(bed.there("source"));
        fill(&bed.there("source"));
        let copy = format!("target/{}", name.len());
        bed.download("source", &copy).await;
        assert_eq!(files(&bed.here(&copy)), files(&bed.there("source")));
        assert!(bed.calls().1 > 0);
        for outside in [
            "outside",
            "target/outside",
            "outside-absolute",
            "target/outside-absolute",
        ] {
            assert!(!bed.here(outside).exists(), "{name} was written to {outside}");
        }
    }
}

#[tokio::test]
async fn what_no_stream_can_hold_comes_by_itself() {
    for tar in ["tar", "bsdtar"] {
        let Some(real) = program(tar) else {
            left_out(
                &format!("streams of {tar}"),
                "install busybox and libarchive-tools",
            );
            continue;
        };
        let bed = Bed::new(&format!("exec {} \"$@\"", real.display())).await;
        let source = bed.there("source");
        fill(&source);
        for number in 0..100 {
            // Two names for one file, and files with holes.
            fs::hard_link(source.join("plain 2"), source.join(format!("twin {number}"))).unwrap();
            let sparse = fs::File::create(source.join(format!("sparse {number}"))).unwrap();
            sparse.set_len(50_000).unwrap();
            std::os::unix::fs::FileExt::write_all_at(&sparse, b"end", 49_997).unwrap();
        }
        bed.download("source", "copy").await;
        assert_eq!(files(&bed.here("copy")), files(&source), "{tar}");
        assert!(bed.calls().1 > 0);
    }
}
