//! What each peer is started with.

use std::error::Error;
use std::ffi::OsString;
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use super::bed::Bed;
use super::work::{Peer, Work};
use crate::suite::Bench;
use crate::worker::{Target, openssh};

/// A library's script.
pub(super) fn script(name: &str, work: Work, bed: &Bed, bench: &Bench) -> Command {
    let mut command = bench.python_script(name);
    command
        .args(bed.target(work.link()).arguments())
        .arg(if work.is_upload() { "put" } else { "get" })
        .arg(work.item())
        .args([bed.source(work), bed.into()])
        .stdin(Stdio::null());
    command
}

/// The processes of a program on this machine, each of which reads what the one before it writes.
pub(super) fn commands(peer: Peer, work: Work, bed: &Bed) -> Result<Vec<Command>, Box<dyn Error>> {
    let target = bed.target(work.link());
    let (source, into) = (bed.source(work), bed.into());
    let at_server = |path: &Path| {
        let mut there = OsString::from("127.0.0.1:");
        there.push(path);
        there
    };
    let ends = if work.is_upload() {
        [source.clone().into_os_string(), at_server(&into)]
    } else {
        [at_server(&source), into.clone().into_os_string()]
    };
    Ok(match peer {
        Peer::Sternline => {
            let mut command = sternline(target);
            command.args(work.is_tree().then_some("-r")).args(ends);
            vec![command]
        }
        Peer::Scp | Peer::OldScp => {
            let mut command = openssh("scp", target);
            command
                .arg("-q")
                .args((peer == Peer::OldScp).then_some("-O"))
                .args(work.is_tree().then_some("-r"))
                .args(ends);
            vec![command]
        }
        Peer::Sftp => {
            let mut command = openssh("sftp", target);
            command.arg("-b").arg(bed.batch(work)?).arg("127.0.0.1");
            vec![command]
        }
        Peer::Cat => {
            let mut ssh = openssh("ssh", target);
            ssh.arg("127.0.0.1");
            if work.is_upload() {
                ssh.arg(format!("cat > {}", bed.result(work).display()))
                    .stdin(File::open(source)?);
            } else {
                ssh.arg(format!("cat {}", source.display()))
                    .stdout(File::create(bed.result(work))?);
            }
            vec![ssh]
        }
        Peer::Tar => {
            let parent = source.parent().unwrap_or(Path::new("/"));
            let mut ssh = openssh("ssh", target);
            ssh.arg("127.0.0.1");
            if work.is_upload() {
                ssh.arg(format!("tar x -C {}", into.display()));
                vec![pack(parent, work.item()), ssh]
            } else {
                ssh.arg(format!("tar c -C {} {}", parent.display(), work.item()));
                let mut unpack = Command::new("tar");
                unpack.arg("x").arg("-C").arg(into);
                vec![ssh, unpack]
            }
        }
        Peer::Asyncssh | Peer::Paramiko | Peer::ParallelSsh => return Err("a script is no program".into()),
    })
}

fn pack(parent: &Path, item: &str) -> Command {
    let mut pack = Command::new("tar");
    pack.arg("c").arg("-C").arg(parent).arg(item);
    pack
}

/// `sternline cp` with the same key, the same check of the host key, and nothing from anybody's configuration.
fn sternline(target: &Target) -> Command {
    let mut command = Command::new(sternline_tests::cli::program());
    command
        .args(["cp", "-F", "none"])
        .args(["-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none"])
        .arg("--known-hosts")
        .arg(&target.known_hosts)
        .arg("-i")
        .arg(&target.key)
        .args(["--login", &target.user, "-P", &target.port.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}
