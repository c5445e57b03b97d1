//! Files of a real sshd, by both of its SFTP servers.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sternline::transfer::{Attributes, FileType, OpenFlags, StatusCode, Times};
use sternline::{Connection, Error, ErrorKind, ExecRequest, Phase, SendState, Sftp};
use sternline_tests::sshd::{Settings, Sshd};
use sternline_tests::{processes, users};
use tokio::task::JoinSet;
use tokio::time::timeout;

const INTERNAL: &str = "Subsystem sftp internal-sftp";
const EXTERNAL: &str = "Subsystem sftp /usr/lib/openssh/sftp-server";

const NEW: OpenFlags = OpenFlags(OpenFlags::WRITE.0 | OpenFlags::CREATE.0 | OpenFlags::EXCLUSIVE.0);

/// A server, its SFTP, and an empty directory there.
struct Files {
    server: Sshd,
    sftp: Sftp,
    dir: PathBuf,
}

impl Files {
    async fn of(subsystem: &str) -> Self {
        let server = Settings::default().option(subsystem).start();
        let connection = server.builder().connect().await.unwrap();
        let dir = server.path("files");
        fs::create_dir(&dir).unwrap();
        Self {
            sftp: connection.sftp().await.unwrap(),
            server,
            dir,
        }
    }

    /// The id of the process that is the SFTP server.
    fn server_program(&self) -> u32 {
        let ours = processes::tree(self.server.pid());
        let mut found = processes::all().into_iter().filter(|process| {
            ours.contains(&process.pid) && process.command.trim() == "/usr/lib/openssh/sftp-server"
        });
        let program = found.next().unwrap();
        assert!(found.next().is_none());
        program.pid
    }

    fn path(&self, name: &[u8]) -> PathBuf {
        self.dir.join(OsStr::from_bytes(name))
    }

    fn bytes(&self, name: &[u8]) -> Vec<u8> {
        self.path(name).as_os_str().as_bytes().to_vec()
    }
}

/// A server whose subsystem is this command line.
async fn with_subsystem(command: &str) -> (Sshd, Connection) {
    let server = Settings::default()
        .option(&format!("Subsystem sftp {command}"))
        .start();
    let connection = server.builder().connect().await.unwrap();
    (server, connection)
}

async fn hostile(how: &str) -> (Sshd, Sftp) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/python/hostile_sftp.py");
    let (server, connection) = with_subsystem(&format!("python3 {script} {how}")).await;
    let sftp = connection.sftp().await.unwrap();
    (server, sftp)
}

async fn names(sftp: &Sftp, path: &[u8]) -> BTreeSet<Vec<u8>> {
    let mut listing = sftp.list(path).await.unwrap();
    let mut names = BTreeSet::new();
    while let Some(entry) = listing.next().await {
        assert!(names.insert(entry.unwrap().name));
    }
    names
}

fn code(error: &Error) -> StatusCode {
    match error.kind() {
        ErrorKind::RemoteFile(code) => *code,
        other => panic!("{other:?}: {error}"),
    }
}

#[tokio::test]
async fn every_operation_does_what_it_says_on_both_servers() {
    for subsystem in [INTERNAL, EXTERNAL] {
        let files = Files::of(subsystem).await;
        let sftp = &files.sftp;
        let (a, b, link) = (files.bytes(b"a"), files.bytes(b"b"), files.bytes(b"link"));

        let file = sftp.open(&a, NEW, Some(0o640)).await.unwrap();
        file.write_at(0, "hello world").await.unwrap();
        file.write_at(6, "there").await.unwrap();
        file.fsync().await.unwrap();
        assert_eq!(file.stat().await.unwrap().size, Some(11));
        let times = Times {
            atime: 1_700_000_001,
            mtime: 1_700_000_002,
        };
        let set = Attributes {
            times: Some(times),
            ..Attributes::default()
        };
        file.set_stat(set).await.unwrap();
        file.close().await.unwrap();
        let found = sftp.stat(&a).await.unwrap();
        assert_eq!(found.times, Some(times));
        assert_eq!(found.permissions, Some(0o100_640));
        assert_eq!(found.file_type(), Some(FileType::File));
        assert_eq!(
            found.owner.map(|owner| owner.uid),
            Some(fs::metadata(files.path(b"a")).unwrap().uid())
        );

        assert_eq!(fs::read(files.path(b"a")).unwrap(), b"hello there");
        sftp.chmod(&a, 0o600).await.unwrap();
        let mode = fs::metadata(files.path(b"a")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let shorter = Attributes {
            size: Some(5),
            ..Attributes::default()
        };
        sftp.set_stat(&a, shorter).await.unwrap();
        assert_eq!(fs::read(files.path(b"a")).unwrap(), b"hello");

        sftp.symlink("a", &link).await.unwrap();
        assert_eq!(sftp.read_link(&link).await.unwrap(), b"a");
        assert_eq!(fs::read_link(files.path(b"link")).unwrap(), Path::new("a"));
        assert_eq!(
            sftp.lstat(&link).await.unwrap().file_type(),
            Some(FileType::Symlink)
        );
        assert_eq!(sftp.stat(&link).await.unwrap().file_type(), Some(FileType::File));
        let real = fs::canonicalize(files.path(b"a")).unwrap();
        assert_eq!(sftp.real_path(&link).await.unwrap(), real.as_os_str().as_bytes());
        sftp.hardlink(&a, files.bytes(b"hard")).await.unwrap();
        assert_eq!(fs::metadata(files.path(b"a")).unwrap().nlink(), 2);

        fs::write(files.path(b"b"), "replaced").unwrap();
        sftp.rename(&a, &b).await.unwrap();
        assert_eq!(fs::read(files.path(b"b")).unwrap(), b"hello");
        assert!(!files.path(b"a").exists());

        let sub = files.bytes(b"sub");
        sftp.mkdir(&sub, Some(0o700)).await.unwrap();
        let mode = fs::metadata(files.path(b"sub")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        sftp.mkdir(files.bytes(b"sub/inner"), None).await.unwrap();
        assert_eq!(code(&sftp.rmdir(&sub).await.unwrap_err()), StatusCode::Failure);
        sftp.rmdir(files.bytes(b"sub/inner")).await.unwrap();
        sftp.rmdir(&sub).await.unwrap();

        let expected: BTreeSet<Vec<u8>> = [&b"b"[..], b"hard", b"link"].map(<[u8]>::to_vec).into();
        assert_eq!(names(sftp, &files.bytes(b"")).await, expected);
        sftp.remove(&link).await.unwrap();
        assert!(files.path(b"b").exists() && !files.path(b"link").is_symlink());

        let home = sftp.real_path(".").await.unwrap();
        assert_eq!(sftp.expand_path("~").await.unwrap(), home);
        assert_eq!(sftp.expand_path("./").await.unwrap(), home);
        let file_system = sftp.statvfs(&b).await.unwrap();
        assert!(file_system.blocks >= file_system.blocks_available && file_system.name_max >= 255);
        let limits = sftp.limits().unwrap();
        assert_eq!((limits.read, limits.write), (261_120, 261_120));
    }
}

#[tokio::test]
async fn names_are_bytes_and_hostile_ones_harm_nobody() {
    let files = Files::of(EXTERNAL).await;
    let mut expected = BTreeSet::new();
    for name in [
        &b"caf\xe9"[..],
        b"\xff\xfe",
        b"new\nline",
        b"-rf",
        b"~",
        b"*",
        b"'; touch pwned; '",
        b"\"$(id)\"",
        b"\x1b[2J",
        b" ",
        b"back\\slash",
        "日本".as_bytes(),
    ] {
        let file = files.sftp.open(files.bytes(name), NEW, None).await.unwrap();
        file.write_at(0, name.to_vec()).await.unwrap();
        file.close().await.unwrap();
        assert_eq!(fs::read(files.path(name)).unwrap(), name);
        let moved = [name, b".moved"].concat();
        files
            .sftp
            .rename(files.bytes(name), files.bytes(&moved))
            .await
            .unwrap();
        expected.insert(moved);
    }
    assert_eq!(names(&files.sftp, &files.bytes(b"")).await, expected);

    let error = files.sftp.stat(b"\x1b]0;owned\x07\xff").await.unwrap_err();
    assert!(error.to_string().contains("\\x1b]0;owned\\x07\\xff"), "{error}");
    let error = files.sftp.remove("a\0b").await.unwrap_err();
    assert_eq!(
        (error.kind(), error.sent()),
        (&ErrorKind::Invalid, SendState::NotSent)
    );
    let error = files.sftp.stat(vec![b'x'; 300_000]).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Invalid);
    // Nothing of that has disturbed the session.
    files.sftp.stat(".").await.unwrap();
}

#[tokio::test]
async fn ten_thousand_entries_are_listed_each_once() {
    let files = Files::of(INTERNAL).await;
    let expected: BTreeSet<Vec<u8>> = (0..10_000).map(|n| format!("file-{n}").into_bytes()).collect();
    for name in &expected {
        fs::write(files.path(name), "").unwrap();
    }
    assert_eq!(names(&files.sftp, &files.bytes(b"")).await, expected);
}

#[tokio::test]
async fn a_thousand_requests_in_flight_get_a_thousand_right_answers() {
    let files = Files::of(EXTERNAL).await;
    let path = files.bytes(b"numbers");
    let data: Vec<u8> = (0..1_000_u32).flat_map(|n| n.to_be_bytes()).collect();
    fs::write(files.path(b"numbers"), data).unwrap();
    let file = Arc::new(files.sftp.open(&path, OpenFlags::READ, None).await.unwrap());
    let mut running = JoinSet::new();
    for n in 0..1_000_u32 {
        let (file, sftp) = (Arc::clone(&file), files.sftp.clone());
        running.spawn(async move {
            if n % 10 == 0 {
                let error = sftp.stat(format!("missing-{n}")).await.unwrap_err();
                assert!(error.to_string().contains(&format!("missing-{n}:")), "{error}");
            } else {
                let read = file.read_at(u64::from(n) * 4, 4).await.unwrap();
                assert_eq!(read, n.to_be_bytes()[..]);
            }
        });
    }
    while let Some(done) = running.join_next().await {
        done.unwrap();
    }
}

#[tokio::test]
async fn a_thousand_requests_are_sent_before_any_is_answered_and_answers_may_come_in_any_order() {
    let (_server, sftp) = hostile("patient").await;
    let mut running = JoinSet::new();
    for n in 0..1_000_u64 {
        let sftp = sftp.clone();
        running.spawn(async move { (n, sftp.stat(n.to_string()).await.unwrap().size) });
    }
    while let Some(done) = running.join_next().await {
        let (n, size) = done.unwrap();
        assert_eq!(size, Some(n));
    }
}

#[tokio::test]
async fn thirty_mebibytes_are_written_and_read_back_in_one_call_each() {
    let files = Files::of(INTERNAL).await;
    let path = files.bytes(b"large");
    let data: Vec<u8> = (0_u32..7_654_321)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    let flags = OpenFlags(NEW.0 | OpenFlags::READ.0);
    let file = files.sftp.open(&path, flags, None).await.unwrap();
    file.write_at(5, data.clone()).await.unwrap();
    assert!(fs::read(files.path(b"large")).unwrap()[5..] == data);
    assert!(file.read_at(5, data.len()).await.unwrap() == data);
    // What is asked for beyond the end is not there.
    assert_eq!(file.read_at(5 + data.len() as u64, 10).await.unwrap(), "");
    assert_eq!(file.read_at(u64::MAX, usize::MAX).await.unwrap(), "");
    let tail = file.read_at(data.len() as u64, usize::MAX).await.unwrap();
    assert_eq!(tail, data[data.len() - 5..]);
    file.close().await.unwrap();
}

#[tokio::test]
async fn a_refusal_names_host_path_status_and_what_to_do() {
    let files = Files::of(EXTERNAL).await;
    let sftp = &files.sftp;
    fs::write(files.path(b"file"), "").unwrap();
    let missing = files.bytes(b"missing");

    let error = sftp.stat(&missing).await.unwrap_err();
    assert_eq!(code(&error), StatusCode::NoSuchFile);
    let shown = String::from_utf8(missing.clone()).unwrap();
    assert_eq!(
        error.to_string(),
        format!("cannot look at {shown}: no such file or directory")
    );
    assert!(error.hint().contains("check the path"), "{}", error.hint());
    assert_eq!(
        (error.phase(), error.sent()),
        (Some(Phase::Transfer), SendState::Ran)
    );
    let dict = error.to_dict();
    for (name, value) in [
        ("error_type", "RemoteFileError"),
        ("reason", "no_such_file"),
        ("phase", "transfer"),
        ("path", &shown),
        ("host", "127.0.0.1"),
    ] {
        assert_eq!(
            dict.get(name).and_then(|value| value.as_str()),
            Some(value),
            "{name}"
        );
    }

    let taken = sftp.open(files.bytes(b"file"), NEW, None).await.unwrap_err();
    assert_eq!(code(&taken), StatusCode::Failure);
    assert!(taken.hint().contains("already"), "{}", taken.hint());
    let directory = sftp.mkdir(files.bytes(b"file"), None).await.unwrap_err();
    assert!(directory.hint().contains("already"), "{}", directory.hint());
    for error in [
        sftp.list(&missing).await.unwrap_err(),
        sftp.remove(&missing).await.unwrap_err(),
        sftp.rename(&missing, "x").await.unwrap_err(),
        sftp.read_link(&missing).await.unwrap_err(),
        sftp.chmod(&missing, 0o600).await.unwrap_err(),
        sftp.statvfs(&missing).await.unwrap_err(),
        sftp.open(&missing, OpenFlags::READ, None).await.unwrap_err(),
    ] {
        assert_eq!(code(&error), StatusCode::NoSuchFile, "{error}");
    }
    let read_only = sftp
        .open(files.bytes(b"file"), OpenFlags::READ, None)
        .await
        .unwrap();
    let error = read_only.write_at(0, "x").await.unwrap_err();
    assert!(error.to_string().contains("cannot write"), "{error}");
    read_only.close().await.unwrap();
}

#[tokio::test]
async fn what_the_user_may_not_do_and_what_does_not_fit_are_told_apart() {
    let settings = if users::is_root() {
        Settings::default().user(users::plain())
    } else {
        Settings::default()
    };
    let server = settings.start();
    let sftp = server.builder().connect().await.unwrap().sftp().await.unwrap();
    let denied = sftp.open("/etc/shadow", OpenFlags::READ, None).await.unwrap_err();
    assert_eq!(code(&denied), StatusCode::PermissionDenied);
    assert_eq!(denied.to_string(), "cannot open /etc/shadow: permission denied");
    assert!(denied.hint().contains("owner and mode"), "{}", denied.hint());
    let full = sftp.open("/dev/full", OpenFlags::WRITE, None).await.unwrap();
    let error = full.write_at(0, "x").await.unwrap_err();
    assert_eq!(code(&error), StatusCode::Failure);
    assert!(error.hint().contains("may be full"), "{}", error.hint());
}

#[tokio::test]
async fn a_server_without_the_subsystem_is_named_as_such_and_commands_go_on() {
    let server = Settings::default().option("Subsystem other /bin/false").start();
    let connection = server.builder().connect().await.unwrap();
    for _ in 0..20 {
        let error = connection.sftp().await.unwrap_err();
        assert!(error.to_string().contains("no sftp subsystem"), "{error}");
        assert_eq!(error.kind(), &ErrorKind::Channel);
        assert!(error.hint().contains("Subsystem sftp"), "{}", error.hint());
    }
    assert_eq!(connection.exec("echo on").await.unwrap().stdout_text(), "on\n");
}

#[tokio::test]
async fn whatever_else_answers_in_place_of_sftp_is_described() {
    let python = concat!("python3 ", env!("CARGO_MANIFEST_DIR"), "/python/hostile_sftp.py ");
    for (command, words) in [
        ("/bin/echo Welcome to db-1", "text beginning with \"Welc\""),
        ("/no/such/sftp-server", "ended (exit status 127)"),
        ("/bin/true", "ended (exit status 0)"),
        (&format!("{python} gone"), "ended (exit status 3)"),
        (&format!("{python} killed"), "ended (signal KILL)"),
        (&format!("{python} empty"), "an SFTP packet is empty"),
    ] {
        let (_server, connection) = with_subsystem(command).await;
        let error = connection.sftp().await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Channel, "{command}: {error}");
        assert!(
            error.to_string().contains("cannot start SFTP"),
            "{command}: {error}"
        );
        assert!(error.to_string().contains(words), "{command}: {error}");
        assert!(!error.hint().is_empty());
    }
}

#[tokio::test]
async fn an_answer_that_never_comes_ends_with_the_channels_time_limit() {
    let server = Settings::default()
        .option("Subsystem sftp /usr/bin/sleep 84001")
        .start();
    let deadlines = {
        let mut deadlines = sternline::Deadlines::default();
        deadlines.channel = Duration::from_millis(300);
        deadlines
    };
    let connection = server.builder().deadlines(deadlines).connect().await.unwrap();
    let error = connection.sftp().await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::ConnectionTimeout);
    assert_eq!(error.phase(), Some(Phase::Transfer));
}

#[tokio::test]
async fn a_link_that_is_cut_fails_every_request_with_what_it_was_for() {
    // A named pipe that nobody writes to: whoever opens it for reading waits.
    let files = Files::of(EXTERNAL).await;
    let made = std::process::Command::new("mkfifo")
        .arg(files.path(b"pipe"))
        .status();
    assert!(made.unwrap().success());
    let mut waiting = JoinSet::new();
    for _ in 0..3 {
        let (sftp, pipe) = (files.sftp.clone(), files.bytes(b"pipe"));
        waiting.spawn(async move { sftp.open(pipe, OpenFlags::READ, None).await.map(drop) });
    }
    // All of them have been polled after this, and with that been sent.
    tokio::task::yield_now().await;
    files.server.break_connections();
    while let Some(outcome) = waiting.join_next().await {
        let error = outcome.unwrap().unwrap_err();
        assert!(error.kind().is_connection(), "{error}");
        assert!(error.to_string().starts_with("cannot open "), "{error}");
        assert_eq!(
            (error.sent(), error.phase()),
            (SendState::MayHaveRun, Some(Phase::Transfer))
        );
    }
    let late = files.sftp.stat(".").await.unwrap_err();
    assert!(late.kind().is_connection(), "{late}");
    assert_eq!(late.sent(), SendState::NotSent);
}

#[tokio::test]
async fn a_server_program_that_dies_ends_the_handle_and_not_the_connection() {
    let files = Files::of(EXTERNAL).await;
    let connection = files.sftp.connection().clone();
    let file = files.sftp.open(files.bytes(b"f"), NEW, None).await.unwrap();
    let kill = format!("kill -KILL {}", files.server_program());
    assert!(connection.exec(kill).await.unwrap().ok());
    let error = file.write_at(0, "x").await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Channel, "{error}");
    assert!(error.to_string().contains("ended"), "{error}");
    let again = connection.sftp().await.unwrap();
    again.stat(files.bytes(b"f")).await.unwrap();
}

#[tokio::test]
async fn what_was_given_up_is_closed_on_the_server() {
    let files = Files::of(EXTERNAL).await;
    let path = files.bytes(b"f");
    fs::write(files.path(b"f"), "").unwrap();
    // Given up before the answer, in the middle of it, or after: a handle that stays open would soon be one too many.
    for n in 0..40_u64 {
        let mut opening = JoinSet::new();
        for _ in 0..50 {
            let (sftp, path) = (files.sftp.clone(), path.clone());
            opening.spawn(async move { sftp.open(path, OpenFlags::READ, None).await.map(drop) });
        }
        let _ = timeout(Duration::from_micros(n * 50), opening.join_next()).await;
        opening.abort_all();
    }
    let pid = files.server_program();
    let mut open = usize::MAX;
    for _ in 0..500 {
        // Whatever was asked before this has been answered.
        files.sftp.stat(&path).await.unwrap();
        open = fs::read_dir(format!("/proc/{pid}/fd"))
            .unwrap()
            .filter(|fd| fs::read_link(fd.as_ref().unwrap().path()).is_ok_and(|to| to == files.path(b"f")))
            .count();
        if open == 0 {
            break;
        }
    }
    assert_eq!(open, 0);
}

#[tokio::test]
async fn a_handle_takes_one_session_and_gives_it_back() {
    let server = Settings::default().option("MaxSessions 2").start();
    let connection = server.builder().connect().await.unwrap();
    for _ in 0..10 {
        let sftp = connection.sftp().await.unwrap();
        let clone = sftp.clone();
        drop(sftp);
        clone.stat(".").await.unwrap();
    }
    assert_eq!(connection.exec("echo on").await.unwrap().stdout_text(), "on\n");
}

#[tokio::test]
async fn a_command_beside_it_is_still_ended_by_its_time_limit() {
    for subsystem in [INTERNAL, EXTERNAL] {
        let files = Files::of(subsystem).await;
        let connection = files.sftp.connection();
        for command in ["sleep 84002; true", "exec sleep 84003"] {
            let request = ExecRequest::from(command).timeout(Duration::from_millis(200));
            let error = connection.exec(request).await.unwrap_err();
            assert!(error.to_string().contains("was ended"), "{subsystem}: {error}");
        }
        files.sftp.stat(".").await.unwrap();
    }
}

#[tokio::test]
async fn an_entry_with_a_name_that_leads_elsewhere_is_never_listed() {
    let (_server, sftp) = hostile("names").await;
    let mut listing = sftp.list("d").await.unwrap();
    let (mut good, mut bad) = (Vec::new(), 0);
    while let Some(entry) = listing.next().await {
        match entry {
            Ok(entry) => good.push(entry.name),
            Err(error) => {
                assert_eq!(code(&error), StatusCode::BadMessage);
                bad += 1;
            }
        }
    }
    assert_eq!(good, [&b"good"[..], b"fine"]);
    assert_eq!(bad, 4);
}

#[tokio::test]
async fn a_listing_ends_after_the_last_answer_whichever_that_is() {
    let (_server, sftp) = hostile("crossed").await;
    assert_eq!(names(&sftp, b"d").await, [b"late".to_vec()].into());
}

#[tokio::test]
async fn a_listing_that_breaks_off_says_so_once() {
    let (_server, sftp) = hostile("quits").await;
    let mut listing = sftp.list("d").await.unwrap();
    let mut last = None;
    while let Some(entry) = listing.next().await {
        last = Some(entry);
    }
    let error = last.unwrap().unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Channel, "{error}");
    assert!(error.to_string().starts_with("cannot list d: "), "{error}");
    assert!(listing.next().await.is_none());
}

#[tokio::test]
async fn after_the_connection_was_closed_every_operation_says_so() {
    let server = Sshd::start();
    let connection = server.builder().connect().await.unwrap();
    let sftp = connection.sftp().await.unwrap();
    connection.close().await;
    let error = timeout(Duration::from_secs(30), sftp.stat("."))
        .await
        .unwrap()
        .unwrap_err();
    assert!(error.kind().is_connection(), "{error}");
    assert!(error.to_string().starts_with("cannot look at .: "), "{error}");
    let error = connection.sftp().await.unwrap_err();
    assert!(error.kind().is_connection(), "{error}");
}

#[tokio::test]
async fn a_server_that_violates_the_protocol_is_told_off_and_nothing_hangs() {
    for (how, kind, words) in [
        ("stranger", ErrorKind::Channel, "request 4711 that was never made"),
        ("nonsense", ErrorKind::Channel, "ATTRS ends before it is complete"),
        (
            "odd",
            ErrorKind::RemoteFile(StatusCode::BadMessage),
            "does not belong to the request",
        ),
    ] {
        let (_server, sftp) = hostile(how).await;
        let error = timeout(Duration::from_secs(30), sftp.stat("f"))
            .await
            .unwrap()
            .unwrap_err();
        assert_eq!(error.kind(), &kind, "{how}: {error}");
        assert!(
            error.to_string().starts_with("cannot look at f: "),
            "{how}: {error}"
        );
        assert!(error.to_string().contains(words), "{how}: {error}");
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/python/hostile_sftp.py");
    let (_server, connection) = with_subsystem(&format!("python3 {script} old")).await;
    let error = connection.sftp().await.unwrap_err();
    assert!(error.to_string().contains("SFTP version 2"), "{error}");
}

#[tokio::test]
async fn what_a_server_does_not_offer_is_said_without_asking_it() {
    let (_server, sftp) = hostile("plain").await;
    let file = sftp.open("f", OpenFlags::WRITE, None).await.unwrap();
    for error in [
        sftp.statvfs(".").await.unwrap_err(),
        sftp.hardlink("a", "b").await.unwrap_err(),
        sftp.expand_path("~").await.unwrap_err(),
        file.fsync().await.unwrap_err(),
    ] {
        assert_eq!(code(&error), StatusCode::OpUnsupported);
        assert!(error.to_string().contains("does not offer"), "{error}");
        assert_eq!(error.sent(), SendState::NotSent);
    }
    // Renaming does without the extension, so the server is asked; this one knows no renaming at all.
    let error = sftp.rename("a", "b").await.unwrap_err();
    assert_eq!(
        (code(&error), error.sent()),
        (StatusCode::OpUnsupported, SendState::Ran)
    );
    assert_eq!(sftp.limits(), None);
    let error = file.write_at(0, vec![0; 100_000]).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot write f: failure (the server says: No space left\\x1b[2J on device)"
    );
}

#[tokio::test]
async fn short_answers_are_completed_and_long_ones_refused() {
    let (_server, sftp) = hostile("stingy").await;
    let file = sftp.open("f", OpenFlags::READ, None).await.unwrap();
    assert_eq!(file.read_at(0, 100).await.unwrap(), "0123456789");
    assert_eq!(file.read_at(2, 7).await.unwrap(), "2345678");
    let (_server, sftp) = hostile("generous").await;
    let file = sftp.open("f", OpenFlags::READ, None).await.unwrap();
    let error = file.read_at(0, 10).await.unwrap_err();
    assert_eq!(code(&error), StatusCode::BadMessage);
}
