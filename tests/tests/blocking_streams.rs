//! Commands, files and dialogues for callers that wait, as they go on.

use std::io::{BufRead, BufWriter, Cursor, Read, Seek, SeekFrom, Write};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use sternline::blocking::{self, Connection};
use sternline::exec::{Exit, Stdin, StreamData};
use sternline::transfer::{OpenFlags, Source, Target};
use sternline::{Error, ErrorKind, ExecRequest, ExpectPattern, Secret, Transfer};
use sternline_tests::processes::{self, eventually_here};
use sternline_tests::sshd::Sshd;

fn connect(server: &Sshd) -> Connection {
    Connection::connect(server.builder()).unwrap()
}

/// Bytes that are not the same anywhere.
fn data(words: u32) -> Vec<u8> {
    (0..words)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect()
}

// --- output --------------------------------------------------------------------------------------------------------

#[test]
fn a_stream_is_an_iterator_whose_last_event_is_the_exit() {
    let server = Sshd::start();
    let connection = connect(&server);
    let request = ExecRequest::from("echo out; echo err >&2; exit 3").request_env("REFUSED", "x");
    let mut stream = connection.stream_exec(request).unwrap();
    let (mut stdout, mut stderr, mut exit) = (Vec::new(), Vec::new(), None);
    for event in &mut stream {
        assert!(exit.is_none(), "nothing follows the exit");
        exit = event.exit_code();
        match event.data {
            StreamData::Stdout(bytes) => stdout.extend_from_slice(&bytes),
            StreamData::Stderr(bytes) => stderr.extend_from_slice(&bytes),
            StreamData::Exit(_) => {}
        }
    }
    assert_eq!(
        (stdout, stderr, exit),
        (b"out\n".to_vec(), b"err\n".to_vec(), Some(3))
    );
    assert!(stream.next().is_none());
    assert_eq!(stream.env_refused(), ["REFUSED"]);
    assert_eq!(stream.wait().unwrap().shell_code(), 3, "it is still known");
}

#[test]
fn standard_output_is_read_by_lines_and_standard_error_goes_where_the_caller_says() {
    let server = Sshd::start();
    let connection = connect(&server);
    let command = "for n in 1 2 3; do echo line $n; echo oops $n >&2; done; exit 4";
    let mut stream = connection.stream_exec(command).unwrap();
    let mut stderr = Vec::new();
    let lines: Vec<String> = stream.stdout(&mut stderr).lines().map(Result::unwrap).collect();
    assert_eq!(lines, ["line 1", "line 2", "line 3"]);
    assert_eq!(stream.wait().unwrap().shell_code(), 4);
    assert_eq!(stderr, b"oops 1\noops 2\noops 3\n");
}

#[test]
fn a_reader_takes_no_more_than_it_gives() {
    let server = Sshd::start();
    let connection = connect(&server);
    let mut stream = connection.stream_exec("printf abcdef").unwrap();
    let mut first = [0; 2];
    stream.stdout(std::io::sink()).read_exact(&mut first).unwrap();
    let mut second = [0; 1];
    stream.stdout(std::io::sink()).read_exact(&mut second).unwrap();
    assert_eq!((&first, &second), (b"ab", b"c"));
    match stream.next().unwrap().data {
        StreamData::Stdout(rest) => assert_eq!(rest, "def"),
        other => panic!("{other:?}"),
    }
    assert_eq!(stream.next().unwrap().exit_code(), Some(0));
}

#[test]
fn two_million_lines_are_read_in_order() {
    let server = Sshd::start();
    let connection = connect(&server);
    let mut stream = connection.stream_exec("seq 1 2000000").unwrap();
    let mut expected = 0_u32;
    for line in stream.stdout(std::io::sink()).lines() {
        expected += 1;
        assert_eq!(line.unwrap().parse(), Ok(expected));
    }
    assert_eq!(expected, 2_000_000);
}

#[test]
fn waiting_drops_what_was_not_read() {
    let server = Sshd::start();
    let connection = connect(&server);
    let mut stream = connection
        .stream_exec("head -c 50000000 /dev/zero; exit 7")
        .unwrap();
    assert_eq!(stream.next().unwrap().stream(), "stdout");
    assert_eq!(stream.wait().unwrap().shell_code(), 7);
    assert!(stream.next().is_none());
}

#[test]
fn the_time_limit_holds_while_nobody_asks_for_output() {
    let server = Sshd::start();
    let connection = connect(&server);
    let request = ExecRequest::from("echo up; sleep 92001").timeout(Duration::from_millis(300));
    let mut stream = connection.stream_exec(request).unwrap();
    eventually_here("the command has begun", || {
        !processes::containing("sleep 92001").is_empty()
    });
    eventually_here("the command is ended", || {
        processes::containing("sleep 92001").is_empty()
    });
    assert_eq!(stream.next().unwrap().stream(), "stdout");
    match stream.next().unwrap().data {
        StreamData::Exit(Exit::Failed(error)) => assert_eq!(error.kind(), &ErrorKind::CommandTimeout),
        other => panic!("{other:?}"),
    }
    assert_eq!(stream.wait().unwrap_err().kind(), &ErrorKind::CommandTimeout);
}

#[test]
fn the_time_limit_holds_although_more_output_waits_than_is_passed_on() {
    let server = Sshd::start();
    let connection = connect(&server);
    let request = ExecRequest::from("head -c 4000000 /dev/zero; sleep 92004; true");
    let mut stream = connection
        .stream_exec(request.timeout(Duration::from_secs(4)))
        .unwrap();
    eventually_here("all was written", || {
        !processes::containing("sleep 92004").is_empty()
    });
    eventually_here("the command is ended", || {
        processes::containing("sleep 92004").is_empty()
    });
    let mut read = 0;
    for event in &mut stream {
        if let StreamData::Stdout(bytes) = event.data {
            read += bytes.len();
        }
    }
    assert_eq!(read, 4_000_000, "what it had written is there all the same");
    assert_eq!(stream.wait().unwrap_err().kind(), &ErrorKind::CommandTimeout);
}

#[test]
fn output_that_was_cut_short_is_no_end_of_the_output() {
    let server = Sshd::start();
    let connection = connect(&server);
    let mut stream = connection.stream_exec("echo up; sleep 92002").unwrap();
    let canceller = stream.canceller();
    let mut reader = stream.stdout(std::io::sink());
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    assert_eq!(line, "up\n");
    let cancelling = thread::spawn(move || canceller.cancel());
    for _ in 0..2 {
        let error = reader.read_to_end(&mut Vec::new()).unwrap_err();
        let source = error.get_ref().and_then(|source| source.downcast_ref::<Error>());
        assert_eq!(source.unwrap().kind(), &ErrorKind::Cancelled);
    }
    cancelling.join().unwrap();
    let error = stream.wait().unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Cancelled);
    assert_eq!(error.context().port, Some(server.port()));
    assert!(processes::containing("sleep 92002").is_empty());
}

#[test]
fn a_lost_connection_is_the_exit_of_its_commands() {
    let server = Sshd::start();
    let connection = connect(&server);
    let mut stream = connection.stream_exec("echo up; sleep 92003").unwrap();
    assert_eq!(stream.next().unwrap().stream(), "stdout");
    server.break_connections();
    let error = stream.wait().unwrap_err();
    assert!(error.kind().is_connection(), "{error}");
    for left in processes::containing("sleep 92003") {
        let pid = rustix::process::Pid::from_raw(left.pid.try_into().unwrap()).unwrap();
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

// --- input ---------------------------------------------------------------------------------------------------------

#[test]
fn one_thread_writes_while_another_reads() {
    let server = Sshd::start();
    let connection = connect(&server);
    let request = ExecRequest::from("cat; exit 5").stdin(Stdin::Piped);
    let mut stream = connection.stream_exec(request).unwrap();
    let mut stdin = stream.take_stdin().unwrap();
    assert!(stream.take_stdin().is_none());
    let data = data(1 << 18);
    let answer = thread::scope(|scope| {
        let data = &data;
        scope.spawn(move || {
            for piece in data.chunks(100_000) {
                stdin.write_all(piece).unwrap();
            }
            stdin.close().unwrap();
        });
        let mut answer = Vec::new();
        stream.stdout(std::io::sink()).read_to_end(&mut answer).unwrap();
        answer
    });
    assert!(answer == data);
    assert_eq!(stream.wait().unwrap().shell_code(), 5);
}

#[test]
fn writing_to_a_command_that_has_ended_is_an_error() {
    let server = Sshd::start();
    let connection = connect(&server);
    let request = ExecRequest::from("exit 0").stdin(Stdin::Piped);
    let mut stream = connection.stream_exec(request).unwrap();
    let mut stdin = stream.take_stdin().unwrap();
    assert_eq!(stream.wait().unwrap().shell_code(), 0);
    let mut outcome = Ok(());
    eventually_here("the end is noticed", || {
        outcome = stdin.write_all(b"too late");
        outcome.is_err()
    });
    assert_eq!(outcome.unwrap_err().kind(), std::io::ErrorKind::BrokenPipe);
}

#[test]
fn input_comes_from_any_reader() {
    let server = Sshd::start();
    let connection = connect(&server);
    let data = data(1 << 18);
    let stdin = Stdin::reader(blocking::reader(Cursor::new(data.clone())));
    let result = connection.exec(ExecRequest::from("cat").stdin(stdin)).unwrap();
    assert!(result.stdout == data);

    /// Fails after its first bytes.
    struct Fails(bool);
    impl Read for Fails {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            if std::mem::replace(&mut self.0, true) {
                return Err(std::io::Error::other("the tape is torn"));
            }
            buffer[..4].copy_from_slice(b"half");
            Ok(4)
        }
    }
    let stdin = Stdin::reader(blocking::reader(Fails(false)));
    let error = connection
        .exec(ExecRequest::from("cat").stdin(stdin))
        .unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Local);
    assert!(error.to_string().contains("the tape is torn"), "{error}");
}

#[test]
fn a_login_shell_reads_what_is_written_to_it() {
    let server = Sshd::start();
    let connection = connect(&server);
    let mut shell = connection.shell(None).unwrap();
    assert!(!shell.has_terminal());
    let mut stdin = shell.take_stdin().unwrap();
    write!(stdin, "echo sum $((40 + 2))\nexit 6\n").unwrap();
    let mut said = String::new();
    shell.stdout(std::io::sink()).read_to_string(&mut said).unwrap();
    assert!(said.contains("sum 42"), "{said}");
    assert_eq!(shell.wait().unwrap().shell_code(), 6);
}

#[test]
fn a_dialogue_with_a_program_that_asks() {
    let server = Sshd::start();
    let connection = connect(&server);
    let limit = Duration::from_secs(20);
    let asks = "printf 'Password: '; read -r word; echo \"got ${#word}\"; read -r end; exit 8";
    let request = ExecRequest::from(asks);
    let engine = connection.automate(request).unwrap();
    let mut engine = engine.with(|engine| engine.ignore_control_sequences(true));
    engine.expect("Password: ", limit).unwrap();
    engine.send_secret(&Secret::from("hunter2")).unwrap();
    let found = engine
        .expect(ExpectPattern::regex(r"got (\d+)").unwrap(), limit)
        .unwrap();
    assert!(found.matched);
    let error = engine.expect("never", Duration::from_millis(50)).unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::ExpectTimeout);
    engine.send_line("").unwrap();
    assert_eq!(engine.expect_end(limit).unwrap().unwrap().shell_code(), 8);
    let said = format!("{:?}", engine.into_transcript());
    assert!(!said.contains("hunter2"), "{said}");
}

// --- files ---------------------------------------------------------------------------------------------------------

#[test]
fn sixteen_mebibytes_go_there_and_back_by_path_and_by_stream() {
    let server = Sshd::start();
    let connection = connect(&server);
    let data = data(4 << 20);
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("here"), &data).unwrap();

    let sent = connection.upload(path("here"), path("there")).unwrap();
    assert_eq!(sent.bytes, 16 << 20);
    connection.download(path("there"), path("back")).unwrap();
    assert!(std::fs::read(path("back")).unwrap() == data);

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);
    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let source = Source::stream("name", blocking::reader(Cursor::new(data.clone())));
    let sent = connection.transfer(Transfer::upload(source, path("streamed")));
    assert!(sent.ok(), "{sent:?}");
    let kept = Kept::default();
    let target = Target::stream(blocking::writer(kept.clone()));
    let got = connection.transfer(Transfer::download(path("streamed"), target));
    assert!(got.ok(), "{got:?}");
    assert!(*kept.0.lock().unwrap() == data);
}

#[test]
fn a_transfer_that_fails_says_so_in_its_result() {
    let server = Sshd::start();
    let connection = connect(&server);
    let result = connection.transfer(Transfer::download("/no/such/file", Target::Memory));
    assert!(!result.ok());
    assert!(connection.download("/no/such/file", Target::Memory).is_err());
}

#[test]
fn files_are_copied_from_one_server_to_another() {
    let (first, second) = (Sshd::start(), Sshd::start());
    let (from, to) = (connect(&first), connect(&second));
    std::fs::write(first.path("notes"), "remember the milk").unwrap();
    let (source, target) = (first.path("notes"), second.path("notes"));
    let transfer = Transfer::upload(source.to_str().unwrap(), target.to_str().unwrap());
    let result = from.transfer_to(&to, transfer);
    assert!(result.ok(), "{result:?}");
    // What was begun on the first one's thread does not hold the second one up.
    drop(from);
    assert_eq!(std::fs::read(&target).unwrap(), b"remember the milk");
    assert_eq!(to.exec("echo fine").unwrap().stdout_text(), "fine\n");
}

#[test]
fn a_remote_file_is_read_written_and_sought_like_a_local_one() {
    let server = Sshd::start();
    let sftp = connect(&server).sftp().unwrap();
    let folder = server.path("files");
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    sftp.mkdir(folder.to_str().unwrap(), Some(0o755)).unwrap();

    let flags = OpenFlags::READ | OpenFlags::WRITE | OpenFlags::CREATE;
    let mut file = sftp.open(path("a"), flags, Some(0o600)).unwrap();
    {
        let mut buffered = BufWriter::new(&mut file);
        for n in 0..10_000 {
            writeln!(buffered, "line {n}").unwrap();
        }
        buffered.flush().unwrap();
    }
    file.seek(SeekFrom::Start(5)).unwrap();
    let mut some = [0; 8];
    file.read_exact(&mut some).unwrap();
    assert_eq!(&some, b"0\nline 1");
    file.seek(SeekFrom::End(-5)).unwrap();
    let mut end = String::new();
    file.read_to_string(&mut end).unwrap();
    assert_eq!(end, "9999\n");
    assert_eq!(
        file.seek(SeekFrom::Current(-5)).unwrap() + 5,
        file.stat().unwrap().size.unwrap()
    );
    assert!(file.seek(SeekFrom::Current(i64::MIN)).is_err());
    file.close().unwrap();

    sftp.rename(path("a"), path("b")).unwrap();
    sftp.symlink("b", path("link")).unwrap();
    let mut names: Vec<_> = sftp
        .list(folder.to_str().unwrap())
        .unwrap()
        .map(|entry| String::from_utf8(entry.unwrap().name).unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["b", "link"]);
    assert_eq!(sftp.read_link(path("link")).unwrap(), b"b");
    let error = sftp.stat(path("a")).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::RemoteFile(_)), "{error}");
}

#[test]
fn an_operation_on_files_may_have_a_time_limit() {
    use rustix::process::{Pid, Signal, kill_process};
    let server = Sshd::start();
    let sftp = connect(&server).sftp().unwrap();
    let mut listing = sftp
        .clone()
        .operation_timeout(Duration::from_millis(100))
        .list("/")
        .unwrap();
    let limited = sftp.operation_timeout(Duration::from_millis(100));
    let signal = |signal| {
        for pid in processes::tree(server.pid()) {
            let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).unwrap();
            let _ = kill_process(pid, signal);
        }
    };
    signal(Signal::STOP);
    let error = limited.stat("/").unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::CommandTimeout, "{error}");
    let error = listing.next().unwrap().unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::CommandTimeout, "{error}");
    assert!(listing.next().is_none());
    signal(Signal::CONT);
    let patient = limited.operation_timeout(Duration::from_secs(20));
    assert!(patient.stat("/").unwrap().permissions.is_some());
}
