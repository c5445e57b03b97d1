//! `sternline serve`: the embedded server on the command line, with OpenSSH's client and our own against it.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as a test does"
)]

mod serving;

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use rustix::process::Signal;
use serving::{Serving, record, ssh};
use sternline_tests::cli::{Ended, Home};
use sternline_tests::sshd::keygen;

#[test]
fn a_random_password_is_shown_and_lets_openssh_in_which_can_run_nothing_but_the_answers() {
    let home = Home::new();
    let mut serving = Serving::start(&home, &["--user", "ann", "--answer", "uptime=up 3 days"]);
    assert_eq!(serving.said("Password:").len(), 20, "{}", serving.introduction);
    record(&home, &serving);

    let ended = ssh(&home, &serving, &["ann@127.0.0.1", "uptime"]);
    assert_eq!(
        (ended.stdout.as_str(), ended.status),
        ("up 3 days\n", 0),
        "{}",
        ended.stderr
    );
    let ended = ssh(&home, &serving, &["ann@127.0.0.1", "id"]);
    assert_eq!(ended.status, 127, "a real command was run: {}", ended.stdout);
    let ended = ssh(&home, &serving, &["bob@127.0.0.1", "uptime"]);
    // sshpass says 5 when the password is asked for again.
    assert_eq!(ended.status, 5, "a stranger was let in: {}", ended.stdout);

    let lines: Vec<String> = (0..4).map(|_| serving.line()).collect();
    assert_eq!(
        lines,
        [
            "ann: uptime",
            "ann: uptime -> exit status 0",
            "ann: id",
            "ann: id -> exit status 127"
        ]
    );
}

#[test]
fn the_printed_lines_connect_as_they_are() {
    let home = Home::new();
    std::fs::create_dir(home.path().join(".ssh")).expect("a folder");
    keygen(&home.path().join(".ssh/id_ed25519"), "ed25519");
    let serving = Serving::start(
        &home,
        &[
            "--user",
            "ann",
            "--authorized-keys",
            ".ssh/id_ed25519.pub",
            "--answer",
            "echo it's me=it was",
        ],
    );
    assert!(
        !serving.introduction.contains("Password"),
        "{}",
        serving.introduction
    );
    let ended = Ended::from(
        home.command("sh")
            .args(["-c", &serving.copied()])
            .output()
            .expect("sh"),
    );
    assert_eq!(
        (ended.stdout.as_str(), ended.status),
        ("it was\n", 0),
        "{}",
        ended.stderr
    );
}

#[test]
fn with_a_shell_commands_are_real_and_end_with_the_server() {
    let home = Home::new();
    let mut serving = Serving::start(&home, &["--user", "ann", "--shell"]);
    record(&home, &serving);
    let ended = ssh(&home, &serving, &["ann@127.0.0.1", "echo $((6 * 7)); exit 9"]);
    assert_eq!(
        (ended.stdout.as_str(), ended.status),
        ("42\n", 9),
        "{}",
        ended.stderr
    );
    for _ in 0..2 {
        serving.line();
    }

    std::thread::scope(|scope| {
        let known_hosts = format!(
            "UserKnownHostsFile={}",
            home.path().join("serve_known_hosts").display()
        );
        let mut command = home.command("sshpass");
        command
            .args([
                "-p",
                serving.said("Password:"),
                "ssh",
                "-F",
                "none",
                "-o",
                &known_hosts,
            ])
            .args(["-p", serving.port(), "ann@127.0.0.1", "echo $$; exec sleep 1000"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut client = command.spawn().expect("sshpass");
        let mut output = BufReader::new(client.stdout.take().expect("a pipe"));
        let mut pid = String::new();
        output.read_line(&mut pid).expect("a process id");
        assert_eq!(serving.line(), "ann: echo $$; exec sleep 1000");

        let (status, rest) = serving.end(Signal::TERM);
        assert_eq!(status, Some(0), "{rest}");
        assert!(rest.contains("have ended"), "{rest}");
        assert!(
            !std::path::Path::new("/proc").join(pid.trim()).exists(),
            "its command lives on"
        );
        scope.spawn(move || client.wait());
    });
}

#[test]
fn the_password_file_and_the_host_key_that_are_given_are_used() {
    let home = Home::new();
    keygen(&home.path().join("host"), "ed25519");
    home.write("password", "correct horse\n");
    let arguments = [
        "--password-file",
        "password",
        "--host-key",
        "host",
        "--answer",
        "uptime=up",
    ];
    let serving = Serving::start(&home, &arguments);
    assert!(
        !serving.introduction.contains("Password"),
        "{}",
        serving.introduction
    );

    let listed = home
        .command("ssh-keygen")
        .args(["-lf", "host.pub"])
        .output()
        .expect("ssh-keygen");
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let fingerprint = listed.split(' ').nth(1).expect("a fingerprint");
    assert_eq!(serving.said("Host key: ssh-ed25519"), fingerprint);

    record(&home, &serving);
    let user = sternline_tests::users::current().name;
    let mut command = home.command("sshpass");
    command
        .args([
            "-p",
            "correct horse",
            "ssh",
            "-F",
            "none",
            "-o",
            "UserKnownHostsFile=serve_known_hosts",
        ])
        .args([
            "-o",
            "PubkeyAuthentication=no",
            "-p",
            serving.port(),
            &format!("{user}@127.0.0.1"),
            "uptime",
        ]);
    let ended = Ended::from(command.output().expect("sshpass"));
    assert_eq!(
        (ended.stdout.as_str(), ended.status),
        ("up\n", 0),
        "{}",
        ended.stderr
    );
}

#[test]
fn ctrl_c_is_a_good_end() {
    let home = Home::new();
    let serving = Serving::start(&home, &["--answer", "true="]);
    let (status, rest) = serving.end(Signal::INT);
    assert_eq!(
        (status, rest.as_str()),
        (Some(0), "The server and its sessions have ended.\n")
    );
}

#[test]
fn it_fails_as_it_is_told_and_forwards_when_it_is_let() {
    let home = Home::new();
    let names = [
        "refuse-channels:connect-failed:1",
        "slow:1000000",
        "refuse-auth:1",
    ];
    let faults = names.map(|name| format!("--fault={name}"));
    let mut arguments: Vec<&str> = faults.iter().map(String::as_str).collect();
    arguments.extend(["--user=ann", "--allow-forwarding", "--answer=true=yes"]);
    let serving = Serving::start(&home, &arguments);
    record(&home, &serving);
    // The right password is taken for a wrong one, then no session is opened, and then all is well.
    let answers: Vec<Ended> = (0..3)
        .map(|_| ssh(&home, &serving, &["ann@127.0.0.1", "true"]))
        .collect();
    let statuses: Vec<i32> = answers.iter().map(|ended| ended.status).collect();
    assert_eq!(statuses, [5, 255, 0], "{}", answers[1].stderr);
    assert!(
        answers[1].stderr.contains("connect failed"),
        "{}",
        answers[1].stderr
    );

    // The server's own port is as good as any to be forwarded to: it begins with its name.
    let target = format!("127.0.0.1:{}", serving.port());
    let ended = ssh(&home, &serving, &["-W", &target, "ann@127.0.0.1"]);
    assert!(ended.stdout.starts_with("SSH-2.0-Sternline_"), "{}", ended.stderr);
}

#[test]
fn what_makes_no_sense_is_said_before_anything_listens() {
    let home = Home::new();
    home.write("empty", "\n");
    home.write("keys", "# comment\nssh-ed25519 nonsense\n");
    for (arguments, status, part) in [
        (&["-q"][..], 2, "the random password would not be shown"),
        (&["--answer", "uptime"], 2, "holds no `=`"),
        (&["--user=-l"], 2, "begins with"),
        (&["--password-file", "empty"], 1, "empty holds no password"),
        (&["--password-file", "missing"], 1, "cannot read missing"),
        (&["--authorized-keys", "keys"], 1, "keys:2: "),
        (&["--authorized-keys", "empty"], 1, "holds no public key"),
        (&["--fault", "latency"], 2, "latency:TIME"),
        (&["--fault", "stall", "--fault", "drop"], 2, "one way at a time"),
        (&["--host-key", "keys"], 1, "cannot use the host key keys: "),
    ] {
        let ended = home.run([&["serve"][..], arguments].concat());
        assert_eq!(ended.status, status, "{arguments:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(part), "{arguments:?}: {}", ended.stderr);
        assert!(
            ended.stderr.contains("\nhint: "),
            "{arguments:?}: {}",
            ended.stderr
        );
        assert!(
            !ended.stderr.contains("warning"),
            "{arguments:?}: {}",
            ended.stderr
        );
    }
}

#[test]
fn a_server_with_no_use_is_warned_about_and_one_that_forwards_is_not() {
    let home = Home::new();
    for (option, warned) in [("--user=ann", true), ("--allow-forwarding", false)] {
        let serving = Serving::start(&home, &[option]);
        let told = serving.introduction.contains("there is nothing to run");
        assert_eq!(told, warned, "{option}: {}", serving.introduction);
    }
}

/// `scp` or `sftp` with the password that was shown.
fn copy(home: &Home, serving: &Serving, arguments: &[&str]) -> Ended {
    let known_hosts = format!(
        "UserKnownHostsFile={}",
        home.path().join("serve_known_hosts").display()
    );
    let mut command = home.command("sshpass");
    command
        .args([
            "-p",
            serving.said("Password:"),
            "scp",
            "-F",
            "none",
            "-o",
            &known_hosts,
        ])
        .args(["-o", "PubkeyAuthentication=no", "-P", serving.port()])
        .args(arguments);
    Ended::from(command.output().expect("sshpass is missing: install sshpass"))
}

#[test]
fn a_directory_is_served_over_sftp_and_scp_and_what_is_moved_is_shown() {
    let home = Home::new();
    let (root, local) = (home.path().join("root"), home.path().join("local"));
    std::fs::create_dir(&root).expect("a directory");
    std::fs::write(&local, "hello").expect("a file");
    let (root_name, local_name) = (root.to_str().expect("text"), local.to_str().expect("text"));
    let mut serving = Serving::start(
        &home,
        &["--user", "ann", "--files", root_name, "--fault", "disk-full:12"],
    );
    assert_eq!(serving.said("Files, over SFTP and SCP:"), root_name);
    assert!(
        !serving.introduction.contains("nothing to run"),
        "{}",
        serving.introduction
    );
    record(&home, &serving);
    for (options, name) in [(&[][..], "new"), (&["-O"], "old")] {
        let target = format!("ann@127.0.0.1:/{name}");
        let ended = copy(&home, &serving, &[options, &[local_name, &target]].concat());
        assert_eq!(ended.status, 0, "{}", ended.stderr);
        assert_eq!(std::fs::read(root.join(name)).expect("a file"), b"hello");
    }
    let ended = copy(&home, &serving, &[local_name, "ann@127.0.0.1:/full"]);
    assert!(
        ended.status != 0 && ended.stderr.contains("write remote"),
        "{}",
        ended.stderr
    );
    let shown: Vec<String> = (0..5).map(|_| serving.line()).collect();
    for line in [
        "ann: (sftp subsystem)",
        "ann: uploaded /new, 5 bytes",
        "ann: scp -t /old",
        "ann: uploaded /old, 5 bytes",
    ] {
        assert!(shown.iter().any(|shown| shown == line), "{shown:?}");
    }
    serving.end(Signal::TERM);
}

#[test]
fn a_fault_of_files_needs_files() {
    let home = Home::new();
    let ended = Ended::from(
        home.sternline(["serve", "--fault", "no-sftp"])
            .output()
            .expect("it runs"),
    );
    assert!(
        ended.stderr.contains("give --files DIR or --virtual-files"),
        "{}",
        ended.stderr
    );
    assert_ne!(ended.status, 0);
    let ended = Ended::from(
        home.sternline(["serve", "--files", "/no/such"])
            .output()
            .expect("it runs"),
    );
    assert!(
        ended.stderr.contains("cannot serve the directory /no/such"),
        "{}",
        ended.stderr
    );
    assert_ne!(ended.status, 0);
}
