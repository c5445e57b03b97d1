//! `sternline cp` with a real sshd: what goes where, what it prints, and how it ends.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as a test does"
)]

mod cli_support;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, SystemTime};

use cli_support::{Setting, eventually, in_terminal, without_terminal};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use sternline_tests::cli::{Ended, program};
use sternline_tests::sshd::Settings;

/// A server, a directory here, which is the current one, and a directory on the server.
struct Ends {
    setting: Setting,
    here: PathBuf,
    there: PathBuf,
}

impl Ends {
    fn new() -> Self {
        Self::with(Setting::new(Settings::default().start()))
    }

    fn with(setting: Setting) -> Self {
        let (here, there) = (setting.sshd.path("here"), setting.sshd.path("there"));
        fs::create_dir(&here).unwrap();
        fs::create_dir(&there).unwrap();
        Self { setting, here, there }
    }

    /// A path on the server as an operand.
    fn at(&self, path: &str) -> String {
        let user = &self.setting.sshd.user().name;
        format!("{user}@127.0.0.1:{}/{path}", self.there.display())
    }

    fn here(&self, path: &str, content: &str) {
        write(&self.here.join(path), content);
    }

    fn there(&self, path: &str, content: &str) {
        write(&self.there.join(path), content);
    }

    fn command<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Command {
        let mut command = self.setting.home.command("setsid");
        command
            .arg("--wait")
            .arg(program())
            .args(["cp", "-P", &self.setting.sshd.port().to_string()])
            .args(arguments)
            .current_dir(&self.here);
        command
    }

    fn cp<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Ended {
        Ended::from(self.command(arguments).output().unwrap())
    }

    /// Copies, and says nothing about it, as scp does where there is no terminal.
    fn quietly(&self, arguments: &[&str]) {
        let ended = self.cp(arguments);
        let said = (ended.status, ended.stdout.as_str(), ended.stderr.as_str());
        assert_eq!(said, (0, "", ""), "{arguments:?}");
    }
}

fn write(path: &Path, content: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// Everything below a directory by its path, with the content of files and the target of links; a directory is `/`.
fn tree(root: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut left = vec![root.to_path_buf()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            let what = if meta.is_dir() {
                left.push(path);
                "/".to_owned()
            } else if meta.is_symlink() {
                format!("-> {}", fs::read_link(&path).unwrap().display())
            } else {
                String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned()
            };
            found.insert(name, what);
        }
    }
    found
}

/// A tree as the macro's pairs say it.
fn trees<const N: usize>(entries: [(&str, &str); N]) -> BTreeMap<String, String> {
    entries
        .map(|(name, what)| (name.to_owned(), what.to_owned()))
        .into()
}

#[test]
fn a_file_gets_a_new_name_or_goes_into_a_directory_as_with_scp() {
    let ends = Ends::new();
    ends.here("a", "A");
    fs::create_dir(ends.there.join("dir")).unwrap();
    ends.quietly(&["a", &ends.at("new")]);
    ends.quietly(&["a", &ends.at("dir")]);
    ends.quietly(&["a", &ends.at("dir/b")]);
    ends.quietly(&["a", &ends.at("made/")]);
    let expected = [
        ("dir", "/"),
        ("dir/a", "A"),
        ("dir/b", "A"),
        ("made", "/"),
        ("made/a", "A"),
        ("new", "A"),
    ];
    assert_eq!(tree(&ends.there), trees(expected));

    ends.quietly(&[&ends.at("dir/b"), "."]);
    ends.quietly(&[&ends.at("new"), "c"]);
    ends.quietly(&[&ends.at("new"), "./with:colon"]);
    assert_eq!(
        tree(&ends.here),
        trees([("a", "A"), ("b", "A"), ("c", "A"), ("with:colon", "A")])
    );
}

#[test]
fn a_path_without_a_slash_at_its_start_lies_in_the_home_directory() {
    let ends = Ends::new();
    let home = ends.setting.ssh(&[], &["pwd"]).stdout;
    let name = format!("sternline-cp-{}", std::process::id());
    ends.here("a", "A");
    let host = format!("{}@127.0.0.1", ends.setting.sshd.user().name);
    ends.quietly(&["a", &format!("{host}:{name}")]);
    ends.quietly(&[&format!("{host}:~/{name}"), "b"]);
    ends.quietly(&[&format!("scp://{host}:{}/{name}", ends.setting.sshd.port()), "c"]);
    let path = Path::new(home.trim_end()).join(&name);
    assert_eq!(fs::read_to_string(&path).unwrap(), "A");
    fs::remove_file(&path).unwrap();
    assert_eq!(tree(&ends.here), trees([("a", "A"), ("b", "A"), ("c", "A")]));
}

#[test]
fn a_tree_becomes_the_target_or_goes_into_it_as_with_scp() {
    let ends = Ends::new();
    ends.here("tree/a", "A");
    ends.here("tree/sub/b", "B");
    fs::create_dir(ends.here.join("tree/empty")).unwrap();
    symlink("a", ends.here.join("tree/link")).unwrap();
    let copied = tree(&ends.here.join("tree"));

    ends.quietly(&["-r", "tree", &ends.at("new")]);
    assert_eq!(tree(&ends.there.join("new")), copied);
    ends.quietly(&["-r", "tree", &ends.at("new")]);
    assert_eq!(tree(&ends.there.join("new/tree")), copied);
    ends.quietly(&["-r", "tree/.", &ends.at("contents")]);
    assert_eq!(tree(&ends.there.join("contents")), copied);

    ends.quietly(&["-r", &ends.at("contents"), "back"]);
    assert_eq!(tree(&ends.here.join("back")), copied);
    ends.quietly(&["-r", "--symlinks", "follow", &ends.at("contents"), "followed"]);
    assert_eq!(tree(&ends.here.join("followed"))["link"], "A");
}

#[test]
fn a_directory_without_r_is_an_error_and_the_other_sources_go_on() {
    let ends = Ends::new();
    ends.here("dir/a", "A");
    ends.here("b", "B");
    let ended = ends.cp(&["dir", "missing", "b", &ends.at("")]);
    assert_eq!(ended.status, 1);
    assert_eq!(tree(&ends.there), trees([("b", "B")]));
    for words in ["failed: 127.0.0.1: ", "dir", "missing", "hint: "] {
        assert!(ended.stderr.contains(words), "{words}: {}", ended.stderr);
    }
}

#[test]
fn several_sources_go_into_a_directory() {
    let ends = Ends::new();
    ends.here("a", "A");
    ends.here("b", "B");
    ends.quietly(&["a", "b", &ends.at("both")]);
    assert_eq!(tree(&ends.there.join("both")), trees([("a", "A"), ("b", "B")]));
    ends.quietly(&[&ends.at("both/a"), &ends.at("both/b"), "back"]);
    assert_eq!(tree(&ends.here.join("back")), trees([("a", "A"), ("b", "B")]));
    ends.quietly(&[&ends.at("both/*"), "pattern"]);
    assert_eq!(tree(&ends.here.join("pattern")), trees([("a", "A"), ("b", "B")]));
}

#[test]
fn modes_and_times_are_kept_on_request() {
    let ends = Ends::new();
    ends.here("a", "A");
    let path = ends.here.join("a");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o741)).unwrap();
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_modified(time)
        .unwrap();
    ends.quietly(&["-p", "a", &ends.at("kept")]);
    ends.quietly(&["--mode", "0640", "a", &ends.at("mode")]);
    ends.quietly(&["a", &ends.at("plain")]);
    let meta = |name: &str| fs::metadata(ends.there.join(name)).unwrap();
    assert_eq!(
        (meta("kept").mode() & 0o7777, meta("kept").mtime()),
        (0o741, 1_000_000_000)
    );
    assert_eq!(meta("mode").mode() & 0o7777, 0o640);
    assert_ne!(meta("plain").mtime(), 1_000_000_000);
}

#[test]
fn strange_names_arrive_as_they_are() {
    let ends = Ends::new();
    for (index, name) in [
        &b"two words"[..],
        b"it's \"quoted\"",
        b"new\nline",
        b"-rf",
        b"$(id) `id` ;",
        b"\xff\xfe",
        b"*",
        b"back\\slash",
        b"~",
    ]
    .into_iter()
    .enumerate()
    {
        let name = OsStr::from_bytes(name);
        fs::write(ends.here.join(name), index.to_string()).unwrap();
        let mut there = std::ffi::OsString::from(ends.at(""));
        there.push(name);
        let up = ends.cp(&[OsStr::new("--"), name, &there]);
        assert_eq!((up.status, up.stderr.as_str()), (0, ""), "{name:?}");
        assert_eq!(
            fs::read_to_string(ends.there.join(name)).unwrap(),
            index.to_string()
        );
        fs::remove_file(ends.here.join(name)).unwrap();
        let down = ends.cp(&[&there, OsStr::new(".")]);
        assert_eq!((down.status, down.stderr.as_str()), (0, ""), "{name:?}");
        assert_eq!(
            fs::read_to_string(ends.here.join(name)).unwrap(),
            index.to_string()
        );
    }
}

#[test]
fn one_host_copies_to_another_through_this_machine() {
    let ends = Ends::new();
    ends.there("tree/a", "A");
    ends.quietly(&["-r", "-3", &ends.at("tree"), &ends.at("copy")]);
    assert_eq!(tree(&ends.there.join("copy")), trees([("a", "A")]));
}

#[test]
fn a_server_without_sftp_is_copied_to_all_the_same_unless_sftp_is_insisted_on() {
    let ends = Ends::with(Setting::new(
        Settings::default().option("Subsystem none /bin/false").start(),
    ));
    ends.here("tree/a b", "A");
    ends.quietly(&["-r", "tree", &ends.at("tree")]);
    ends.quietly(&["--way", "shell", "-r", &ends.at("tree"), "back"]);
    assert_eq!(tree(&ends.there), trees([("tree", "/"), ("tree/a b", "A")]));
    assert_eq!(tree(&ends.here.join("back")), trees([("a b", "A")]));
    let ended = ends.cp(&["--way", "sftp", &ends.at("tree/a b"), "c"]);
    assert_eq!(ended.status, 255);
    assert!(ended.stderr.contains("no sftp subsystem"), "{}", ended.stderr);
}

#[test]
fn standard_input_and_output_are_written_as_a_dash() {
    let ends = Ends::new();
    let mut command = ends.command(&["-", &ends.at("piped")]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"through a pipe").unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(tree(&ends.there), trees([("piped", "through a pipe")]));
    let ended = ends.cp(&[&ends.at("piped"), "-"]);
    assert_eq!((ended.status, ended.stdout.as_str()), (0, "through a pipe"));
}

#[test]
fn a_missing_file_leaves_the_local_one_as_it_is() {
    let ends = Ends::new();
    ends.here("a", "precious");
    let ended = ends.cp(&[&ends.at("missing"), "a"]);
    assert_eq!(ended.status, 1);
    assert_eq!(tree(&ends.here), trees([("a", "precious")]));
    let lines: Vec<&str> = ended.stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{}", ended.stderr);
    assert!(lines[0].starts_with("failed: 127.0.0.1: ") && lines[0].contains("/there/missing"));
    assert!(lines[1].starts_with("hint: "), "{}", lines[1]);
}

#[test]
fn patterns_choose_what_of_a_tree_is_copied_and_deleted() {
    let ends = Ends::new();
    for name in ["a.c", "a.o", "keep.o", "build/b.c", "src/build/c.c"] {
        ends.here(&format!("tree/{name}"), name);
    }
    ends.there("copy/old.c", "old");
    ends.there("copy/old.o", "old");
    let patterns = ["--include", "keep.o", "--exclude", "*.o", "--exclude=/build/"];
    let ended = ends.cp(&[&["-r", "--delete"][..], &patterns, &["tree/.", &ends.at("copy")]].concat());
    assert_eq!((ended.status, ended.stderr.as_str()), (0, ""));
    assert_eq!(
        tree(&ends.there.join("copy")),
        trees([
            ("a.c", "a.c"),
            ("keep.o", "keep.o"),
            ("old.o", "old"),
            ("src", "/"),
            ("src/build", "/"),
            ("src/build/c.c", "src/build/c.c"),
        ])
    );
}

#[test]
fn a_dry_run_lists_what_would_be_done_and_does_nothing() {
    let ends = Ends::new();
    ends.here("tree/a", "A");
    ends.there("copy/old", "old");
    let ended = ends.cp(&["-r", "--delete", "--dry-run", "tree/.", &ends.at("copy")]);
    assert_eq!((ended.status, ended.stderr.as_str()), (0, ""));
    let there = ends.there.display();
    assert!(
        ended.stdout.contains(&format!("to {there}/copy/a\n")),
        "{}",
        ended.stdout
    );
    assert!(
        ended
            .stdout
            .contains(&format!("127.0.0.1: remove {there}/copy/old\n")),
        "{}",
        ended.stdout
    );
    assert_eq!(tree(&ends.there.join("copy")), trees([("old", "old")]));
}

#[test]
fn json_has_a_line_for_each_file_and_one_for_the_host() {
    let ends = Ends::new();
    ends.here("a", "four");
    let ended = ends.cp(&["--json", "a", "missing", &ends.at("dir")]);
    assert_eq!(ended.status, 1);
    let lines: Vec<Value> = ended
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for line in &lines {
        assert_eq!(
            (&line["schema"], &line["host"]),
            (&json!("sternline.cp/1"), &json!("127.0.0.1"))
        );
    }
    let file = |outcome: &str| lines.iter().find(|line| line["outcome"] == outcome).unwrap();
    let there = ends.there.display();
    assert_eq!(file("copied")["event"], "file");
    assert_eq!(file("copied")["src"], "a");
    assert_eq!(file("copied")["dst"], format!("{there}/dir/a"));
    assert_eq!(file("copied")["bytes"], 4);
    assert!(file("failed")["error"]["message"].is_string() || file("failed")["error"].is_object());
    let host = lines.last().unwrap();
    assert_eq!((&host["event"], &host["ok"]), (&json!("host"), &json!(false)));
    assert_eq!(
        (&host["bytes"], &host["copied"], &host["failed"]),
        (&json!(4), &json!(1), &json!(1))
    );
}

/// Three of the server's four addresses.
const ADDRESSES: [&str; 3] = ["127.0.0.1", "127.0.0.2", "127.0.0.3"];

fn several() -> Ends {
    let mut settings = Settings::default();
    for address in ["127.0.0.2", "127.0.0.3"] {
        settings = settings.option(&format!("ListenAddress {address}"));
    }
    let setting = Setting::new(settings.start());
    for address in ADDRESSES {
        let port = setting.sshd.port();
        eventually("the server listens", || {
            std::net::TcpStream::connect((address, port)).is_ok()
        });
    }
    setting.trust(&["127.0.0.2", "127.0.0.3"]);
    Ends::with(setting)
}

impl Ends {
    /// A path on all addresses, as an operand.
    fn on_all(&self, path: &str) -> String {
        let user = &self.setting.sshd.user().name;
        format!("{user}@127.0.0.[1-3]:{}/{path}", self.there.display())
    }
}

#[test]
fn what_comes_from_several_hosts_carries_the_name_of_its_host() {
    let ends = several();
    ends.there("log/app.log", "lines");
    fs::create_dir(ends.here.join("logs")).unwrap();
    ends.quietly(&[&ends.on_all("log/app.log"), "logs"]);
    ends.quietly(&[&ends.on_all("log/app.log"), "app"]);
    // The second time it goes on in the trees that are there.
    for _ in 0..2 {
        ends.quietly(&["-r", &ends.on_all("log"), "logs/"]);
    }
    let mut expected = BTreeMap::from([("logs".to_owned(), "/".to_owned())]);
    for address in ADDRESSES {
        expected.insert(format!("logs/app.log.{address}"), "lines".to_owned());
        expected.insert(format!("app.{address}"), "lines".to_owned());
        expected.insert(format!("logs/log.{address}"), "/".to_owned());
        expected.insert(format!("logs/log.{address}/app.log"), "lines".to_owned());
    }
    assert_eq!(tree(&ends.here), expected);
}

#[test]
fn what_goes_to_several_hosts_is_read_once() {
    let ends = several();
    // All hosts share their files here; the results tell them apart.
    let mut command = ends.command(&["--json", "-", &ends.on_all("piped/")]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&[b'x'; 3 << 20]).unwrap();
    drop(stdin);
    let ended = Ended::from(child.wait_with_output().unwrap());
    let lines: Vec<Value> = ended
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let bytes = |address: &str| {
        let mut ended = lines
            .iter()
            .filter(|line| line["event"] == "host" && line["host"] == address);
        ended.next().unwrap()["bytes"].as_u64().unwrap()
    };
    assert_eq!(ADDRESSES.map(bytes), [3 << 20; 3], "{}", ended.stdout);
    let meta = fs::metadata(ends.there.join("piped/stdin")).unwrap();
    assert_eq!((meta.len(), ended.status), (3 << 20, 0));
    // The rights of the pipe are not those of the file.
    write(&ends.there.join("usual"), "");
    assert_eq!(
        meta.mode(),
        fs::metadata(ends.there.join("usual")).unwrap().mode()
    );
}

#[test]
fn a_host_that_fails_is_named_and_the_others_go_on() {
    let ends = several();
    // 127.0.0.2 becomes unknown.
    ends.setting.trust(&["127.0.0.3"]);
    ends.there("a", "A");
    let ended = ends.cp(&[&ends.on_all("a"), "."]);
    assert_eq!(ended.status, 1);
    assert!(ended.stderr.contains("failed: 127.0.0.2: "), "{}", ended.stderr);
    assert!(
        ended.stderr.ends_with("3 copies: 2 ok, 1 failed\n"),
        "{}",
        ended.stderr
    );
    assert_eq!(
        tree(&ends.here),
        trees([("a.127.0.0.1", "A"), ("a.127.0.0.3", "A")])
    );

    fs::remove_file(ends.there.join("a")).unwrap();
    ends.here("b", "B");
    let ended = ends.cp(&["--json", "b", &ends.on_all("b")]);
    assert_eq!(ended.status, 1);
    assert_eq!(tree(&ends.there), trees([("b", "B")]));
    let hosts: Vec<Value> = ended
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let ok = |address: &str| {
        let mut ended = hosts
            .iter()
            .filter(|line| line["event"] == "host" && line["host"] == address);
        ended.next().unwrap()["ok"].as_bool().unwrap()
    };
    assert_eq!(ADDRESSES.map(ok), [true, false, true]);
}

#[test]
fn the_only_host_gives_the_status_of_its_failure() {
    let ends = Ends::new();
    ends.here("a", "A");
    ends.setting.home.write(".ssh/known_hosts", "");
    let ended = ends.cp(&["a", &ends.at("a")]);
    assert_eq!(ended.status, 255);
    assert!(ended.stderr.starts_with("error: 127.0.0.1: "), "{}", ended.stderr);
    for arguments in [
        &["a"][..],
        &["a", "b"],
        &["-", "-"],
        &["a", "h o:b"],
        &["a", "h:b", "--exclude", "["],
    ] {
        let ended = ends.cp(arguments);
        assert_eq!(
            (ended.status, ended.stdout.as_str()),
            (2, ""),
            "{arguments:?}: {}",
            ended.stderr
        );
    }
}

/// A copy that is held up: standard input stays open after its first mebibyte, for as long as the caller keeps it.
fn held_up(ends: &Ends, options: &[&str]) -> (Child, ChildStdin) {
    let target = ends.at("held");
    let mut command = ends.command(&[options, &["-", &target]].concat());
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&[b'x'; 1 << 20]).unwrap();
    // Other files come and go there too.
    eventually("a part of it is there", || {
        let mut entries = fs::read_dir(&ends.there).unwrap().flatten();
        entries.any(|entry| entry.metadata().is_ok_and(|meta| meta.len() > 0))
    });
    (child, stdin)
}

#[test]
fn ctrl_c_and_a_time_limit_leave_nothing_half_written() {
    let ends = Ends::new();
    let (mut child, _stdin) = held_up(&ends, &[]);
    // setsid has become the program itself.
    let pid = Pid::from_raw(child.id().try_into().unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(tree(&ends.there), BTreeMap::new());

    let (mut child, _stdin) = held_up(&ends, &["--timeout", "2s"]);
    assert_eq!(child.wait().unwrap().code(), Some(124));
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(
        said.starts_with("error: not everything was copied within 2 s\n"),
        "{said}"
    );
    assert_eq!(tree(&ends.there), BTreeMap::new());
}

#[test]
fn a_terminal_shows_the_progress_and_what_came_of_it() {
    let ends = Ends::new();
    ends.here("a", &"x".repeat(3 * 1024 * 1024));
    let port = ends.setting.sshd.port().to_string();
    let source = ends.here.join("a");
    let target = ends.at("b");
    let arguments = [
        "cp",
        "-P",
        &port,
        "-l",
        "16384",
        source.to_str().unwrap(),
        &target,
    ];
    let shown = in_terminal(
        &ends.setting.home,
        &arguments,
        json!([{ "wait": "copied 1 file, 3.0 MiB in " }]),
    );
    assert_eq!(shown.status, 0, "{}", shown.text);
    for words in ["total  ", "0/1 files", " of 3.0 MiB", "/s  ETA 0:0"] {
        assert!(shown.text.contains(words), "{words}: {}", shown.text);
    }
    let quiet = in_terminal(&ends.setting.home, &[&["-q"], &arguments[..]].concat(), json!([]));
    assert_eq!((quiet.status, quiet.text.as_str()), (0, ""));
}

#[test]
fn help_tells_of_the_forms_that_operands_have() {
    let ends = Ends::new();
    let ended = without_terminal(&ends.setting.home, &["cp", "--help"]);
    assert_eq!(ended.status, 0);
    assert!(ended.stdout.contains("SOURCE... TARGET") && ended.stdout.contains("scp://"));
}
