//! Modes mean to us what they mean to the chmod of this machine.

#![cfg(target_os = "linux")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use sternline_proto::files::Mode;

#[test]
fn modes_give_the_bits_that_chmod_gives() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    let directory = folder.path().join("directory");
    fs::write(&file, "").expect("a file");
    fs::create_dir(&directory).expect("a directory");
    let modes = [
        "0",
        "644",
        "0755",
        "2755",
        "00755",
        "u=rw,go=r",
        "+x",
        "-w",
        "=r",
        "a+X",
        "go-rwx",
        "u=g",
        "o=u-w",
        "g+s",
        "u+s",
        "+s",
        "+t",
        "o+t",
        "o=t",
        "a=",
        "u=",
        "g=,o=rx",
        "ug+rw-x",
        "=X",
        "u-s,g-s",
        "g=s",
        "=s",
        "u=rwxs",
        "u+g",
    ];
    for mode in modes {
        let ours: Mode = mode.parse().unwrap_or_else(|error| panic!("{error}"));
        for existing in [0, 0o644, 0o755, 0o400, 0o711, 0o1777, 0o2750, 0o4711, 0o6775] {
            for (path, is_directory) in [(&file, false), (&directory, true)] {
                fs::set_permissions(path, fs::Permissions::from_mode(existing)).expect("permissions");
                // chmod fails after it has done its work when the umask kept it from doing more; the bits are what counts.
                Command::new("sh")
                    .args([
                        "-c",
                        "umask 027; exec chmod -- \"$1\" \"$2\" 2>/dev/null",
                        "sh",
                        mode,
                    ])
                    .arg(path)
                    .status()
                    .expect("chmod runs");
                let theirs = fs::metadata(path).expect("metadata").permissions().mode() & 0o7777;
                let ours = ours.apply(existing, is_directory, 0o027);
                assert_eq!(
                    ours, theirs,
                    "{mode} on {existing:o}, directory: {is_directory}: ours {ours:o}, theirs {theirs:o}"
                );
            }
        }
    }
}
