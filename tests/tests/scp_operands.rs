//! scp's operands as OpenSSH's scp reads them: which of them are on a host, and what it asks that host for.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use sternline_proto::files::{Naming, Operand};

/// What scp makes of a source: the user, the host, the port and the path on the host; nothing for a local file.
#[derive(Debug, PartialEq, Eq)]
struct Remote {
    user: Option<String>,
    host: String,
    port: Option<String>,
    path: String,
}

/// Stands where scp expects ssh: writes its arguments down, one a line, and fails.
const FAKE_SSH: &str = "#!/bin/sh\nprintf '%s\\n' \"$@\" > \"$(dirname \"$0\")/arguments\"\nexit 1\n";

fn as_scp_reads_it(operand: &str) -> Option<Remote> {
    let folder = tempfile::tempdir().expect("a folder");
    let ssh = folder.path().join("ssh");
    fs::write(&ssh, FAKE_SSH).expect("the script");
    fs::set_permissions(&ssh, fs::Permissions::from_mode(0o755)).expect("an executable script");
    Command::new("scp")
        // The old protocol, because it shows the path in the arguments.
        .args(["-O", "-q", "-S"])
        .arg(&ssh)
        .args(["--", operand])
        .arg(folder.path().join("target"))
        .current_dir(folder.path())
        .output()
        .expect("scp runs");
    let arguments = fs::read_to_string(folder.path().join("arguments")).ok()?;
    let (options, rest) = arguments.split_once("\n--\n").expect("options end with --");
    let option = |name: &str| {
        let mut lines = options.lines();
        lines.find(|line| *line == name)?;
        lines.next().map(str::to_owned)
    };
    let (host, command) = rest.split_once('\n').expect("a host");
    let path = command
        .trim_end_matches('\n')
        .strip_prefix("scp -f ")
        .expect("the source's side");
    Some(Remote {
        user: option("-l"),
        host: host.to_owned(),
        port: option("-p"),
        path: path.strip_prefix("-- ").unwrap_or(path).to_owned(),
    })
}

fn as_we_read_it(operand: &str) -> Option<Remote> {
    match Operand::parse(operand.as_bytes(), Naming::Posix).unwrap_or_else(|error| panic!("{error}")) {
        Operand::Local(_) | Operand::Stream => None,
        Operand::Remote { hosts, path } => {
            let [target] = hosts.targets.as_slice() else {
                panic!("{operand} names several hosts")
            };
            let path = String::from_utf8(path).expect("text");
            Some(Remote {
                user: target.user().map(str::to_owned),
                host: target.host().to_owned(),
                port: target.port().map(|port| port.to_string()),
                // scp says what it means to the shell.
                path: if path.is_empty() { ".".to_owned() } else { path },
            })
        }
    }
}

#[test]
fn operands_name_what_they_name_to_openssh() {
    for operand in [
        "file",
        "host:path",
        "host:/path",
        "host:",
        "host:.",
        "host:~/x",
        "host:-x",
        "host:a b",
        "host:a:b",
        "host:2222:x",
        "user@host:path",
        "user@corp.example@host:path",
        "[::1]:x",
        "user@[::1]:x",
        "::1:x",
        ":x",
        "a/b:c",
        "./a:b",
        "/a:b",
        "[a:b",
        "scp:x",
        "scp://host",
        "scp://host/",
        "scp://host/path/x",
        "scp://host//path",
        "scp://user@host:2222/path",
        "scp://host/a%20b",
        "scp://user%40corp@host/x",
    ] {
        assert_eq!(as_we_read_it(operand), as_scp_reads_it(operand), "{operand}");
    }
}
