//! Every way in which a connection fails, produced for real: its bundle is saved, and `sternline evidence explain` in another
//! process, with nothing but the bundle, names the right cause.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as a test does"
)]

mod cli_support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use cli_support::{Setting, in_terminal, without_terminal};
use serde_json::{Value, json};
use sternline_server::fault::{Fault, FaultProxy};
use sternline_tests::cli::{Ended, Home, program};
use sternline_tests::left_out::left_out;
use sternline_tests::sshd::{Settings, Sshd, free_port, keygen};

/// Where each test has its bundle.
const BUNDLE: &str = "bundle.json";

/// Runs `sternline ssh` with a bundle to be written, where nobody can be asked anything.
fn ssh(home: &Home, options: &[&str], target: &str) -> Ended {
    let arguments = [&["ssh", "--evidence", BUNDLE], options, &[target, "true"]].concat();
    without_terminal(home, &arguments)
}

/// What `explain` says of the bundle, as JSON and as text.
struct Explained {
    json: Value,
    text: String,
}

/// Has the bundle explained where there is nothing else.
fn explain(home: &Home) -> Explained {
    let bundle = home.path().join(BUNDLE);
    let mode = std::fs::metadata(&bundle).expect("a bundle").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let elsewhere = Home::new();
    elsewhere.write("report", std::fs::read(bundle).expect("a bundle"));
    let json = elsewhere.run(["evidence", "explain", "--json", "report"]);
    assert_eq!(json.status, 0, "{}", json.stderr);
    let text = elsewhere.run(["evidence", "explain", "report"]);
    assert_eq!((text.status, text.stderr.as_str()), (0, ""), "{}", text.stdout);
    Explained {
        json: serde_json::from_str(&json.stdout).expect("JSON"),
        text: text.stdout,
    }
}

/// Looks whether the connection failed, and the explanation has this type, phase, and each of these in its words.
fn names(home: &Home, ended: &Ended, error_type: &str, phase: &str, words: &[&str]) {
    assert_eq!(ended.status, 255, "{}", ended.stderr);
    explains(home, error_type, phase, words);
}

fn explains(home: &Home, error_type: &str, phase: &str, words: &[&str]) {
    let Explained { json, text } = explain(home);
    assert_eq!(
        (json["error_type"].as_str(), json["phase"].as_str()),
        (Some(error_type), Some(phase)),
        "{json:#}"
    );
    let cause = json["cause"].as_str().expect("a cause");
    assert!(!cause.trim().is_empty(), "{json:#}");
    assert!(
        json["next_steps"]
            .as_array()
            .is_some_and(|steps| !steps.is_empty()),
        "{json:#}"
    );
    // The text is wrapped.
    let flat: Vec<&str> = text.split_whitespace().collect();
    let flat = flat.join(" ");
    for word in words {
        assert!(flat.contains(word), "{word:?} is missing in:\n{text}\n{json:#}");
    }
}

/// A home that knows the server and has no key.
fn without_key(sshd: &Sshd) -> Home {
    let home = Home::new();
    home.write(".ssh/known_hosts", sshd.known_hosts_line("ed25519"));
    home
}

fn with_key(sshd: Sshd) -> Setting {
    Setting::new(sshd)
}

// Connecting.

#[test]
fn a_closed_port_is_a_refusal() {
    let home = Home::new();
    let ended = ssh(&home, &[], &format!("ann@127.0.0.1:{}", free_port()));
    names(
        &home,
        &ended,
        "ConnectionRefused",
        "tcp",
        &["refused", "127.0.0.1"],
    );
}

#[test]
fn a_port_that_never_speaks_is_a_timeout_before_the_banner() {
    let home = Home::new();
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("an address").port();
    let ended = ssh(
        &home,
        &["--connect-timeout", "400ms"],
        &format!("ann@127.0.0.1:{port}"),
    );
    names(&home, &ended, "ConnectionTimeout", "banner", &["400 ms"]);
}

#[tokio::test]
async fn a_port_that_takes_no_connection_is_a_timeout_of_the_network() {
    let home = Home::new();
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket
        .bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
        .expect("a port");
    // A short queue, which the first connections fill.
    let full = socket.listen(1).expect("a listener");
    let address = full.local_addr().expect("an address");
    let mut filling = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
        filling.push(stream);
    }
    let ended = ssh(&home, &["--connect-timeout", "400ms"], &format!("ann@{address}"));
    names(&home, &ended, "ConnectionTimeout", "tcp", &["400 ms"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_black_hole_is_a_timeout() {
    let setting = with_key(Sshd::start());
    let proxy = in_front_of(&setting.sshd).await;
    proxy.faults().set(Fault::BlackHole);
    let home = &setting.home;
    let target = format!("{}@{}", setting.sshd.user().name, proxy.addr());
    let ended = ssh(home, &["--connect-timeout", "400ms"], &target);
    names(home, &ended, "ConnectionTimeout", "banner", &["400 ms"]);
}

#[test]
fn a_server_that_stops_in_the_key_exchange_is_a_timeout_there() {
    let home = Home::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let _ = stream.write_all(b"SSH-2.0-Slow_1.0\r\n");
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let ended = ssh(
        &home,
        &["--connect-timeout", "400ms"],
        &format!("ann@127.0.0.1:{port}"),
    );
    names(&home, &ended, "ConnectionTimeout", "kex", &["Slow_1.0"]);
}

#[test]
fn what_is_no_ssh_server_is_named_by_what_it_says() {
    let home = Home::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let ended = ssh(&home, &[], &format!("ann@127.0.0.1:{port}"));
    names(&home, &ended, "SSHConnectionError", "banner", &["HTTP/1.1 400"]);
}

#[test]
fn a_name_that_nobody_knows_is_unreachable_because_of_its_name() {
    let home = Home::new();
    let ended = ssh(&home, &[], "ann@no-such-host.invalid");
    names(
        &home,
        &ended,
        "HostUnreachable",
        "resolve",
        &["no-such-host.invalid", "name"],
    );
}

#[test]
fn an_address_without_a_route_is_unreachable_because_of_the_route() {
    let home = Home::new();
    // A network of its own that has nothing in it, not even a way to itself.
    let mut alone = home.command("unshare");
    alone.args(["--net", "--map-root-user", "true"]);
    if !alone.output().is_ok_and(|output| output.status.success()) {
        left_out(
            "an address without a route",
            "where unshare --net works: cargo test -p sternline-tests --test evidence_failures",
        );
        return;
    }
    let mut command = home.command("unshare");
    command.args(["--net", "--map-root-user"]).arg(program()).args([
        "ssh",
        "--evidence",
        BUNDLE,
        "ann@192.0.2.1",
        "true",
    ]);
    let ended = Ended::from(command.output().expect("unshare"));
    names(&home, &ended, "HostUnreachable", "tcp", &["192.0.2.1", "route"]);
}

// Logging in.

#[test]
fn a_key_that_the_server_does_not_know_is_named_with_what_the_server_takes() {
    let sshd = Sshd::start();
    let home = without_key(&sshd);
    std::fs::create_dir_all(home.path().join("keys")).expect("a folder");
    let other = home.path().join("keys/other");
    keygen(&other, "ed25519");
    let ended = ssh(&home, &["-i", "keys/other"], &sshd.target());
    names(
        &home,
        &ended,
        "AuthFailed",
        "auth",
        &["keys/other", &fingerprint(&other), "publickey"],
    );
}

#[test]
fn without_any_key_it_is_said_that_none_was_offered() {
    let sshd = Sshd::start();
    let home = without_key(&sshd);
    let ended = ssh(&home, &[], &sshd.target());
    names(&home, &ended, "AuthFailed", "auth", &["No key", "publickey"]);
}

#[test]
fn a_wrong_password_is_told_apart_and_does_not_stand_in_the_bundle() {
    let sshd = Sshd::start();
    let home = without_key(&sshd);
    let asked = json!({"wait": "Password of"});
    let wrong = json!({"type": "hunter2hunter2\r"});
    let shown = in_terminal(
        &home,
        &[
            "ssh",
            "--evidence",
            BUNDLE,
            "-o",
            "IdentityFile=none",
            &sshd.target(),
            "true",
        ],
        json!([asked, wrong, asked, wrong, asked, wrong]),
    );
    assert_eq!(shown.status, 255, "{}", shown.text);
    explains(&home, "AuthFailed", "auth", &["password"]);
    let bundle = std::fs::read_to_string(home.path().join(BUNDLE)).expect("a bundle");
    assert!(!bundle.contains("hunter2hunter2"), "{bundle}");
}

#[test]
fn too_many_keys_are_told_apart_from_a_wrong_one() {
    let sshd = Settings::default().option("MaxAuthTries 2").start();
    let home = without_key(&sshd);
    let mut options = Vec::new();
    for name in ["one", "two", "three", "four"] {
        keygen(&home.path().join(name), "ed25519");
        options.extend(["-i", name]);
    }
    let ended = ssh(&home, &options, &sshd.target());
    let words = ["ended the connection", "2 attempts", "IdentitiesOnly"];
    names(&home, &ended, "AuthFailed", "auth", &words);
}

// Trust.

#[test]
fn a_changed_host_key_is_named_with_its_place_and_both_fingerprints() {
    let setting = with_key(Sshd::start());
    let home = &setting.home;
    let other = home.path().join("other");
    keygen(&other, "ed25519");
    let public = std::fs::read_to_string(home.path().join("other.pub")).expect("a key");
    let line = format!("# mine\n[127.0.0.1]:{} {public}", setting.sshd.port());
    home.write(".ssh/known_hosts", line);
    let ended = ssh(home, &[], &setting.sshd.target());
    names(
        home,
        &ended,
        "HostKeyMismatch",
        "host_key",
        &[
            "changed",
            "known_hosts:2",
            &fingerprint(&other),
            &setting.fingerprint(),
        ],
    );
}

#[test]
fn an_unknown_host_is_no_changed_one() {
    let setting = with_key(Sshd::start());
    let home = &setting.home;
    home.write(".ssh/known_hosts", "");
    let ended = ssh(home, &[], &setting.sshd.target());
    names(
        home,
        &ended,
        "HostKeyMismatch",
        "host_key",
        &["not known", &setting.fingerprint()],
    );
}

#[test]
fn a_revoked_host_key_is_named_as_such() {
    let setting = with_key(Sshd::start());
    let home = &setting.home;
    let line = setting.sshd.known_hosts_line("ed25519");
    let key = line.split_once(' ').expect("a key").1;
    home.write(".ssh/known_hosts", format!("{line}@revoked * {key}"));
    let ended = ssh(home, &[], &setting.sshd.target());
    names(
        home,
        &ended,
        "HostKeyMismatch",
        "host_key",
        &["revoked", "known_hosts:2"],
    );
}

#[test]
fn sides_without_a_common_algorithm_are_named_with_what_they_offer() {
    for (option, words) in [
        (
            "KexAlgorithms diffie-hellman-group14-sha1",
            &["diffie-hellman-group14-sha1", "curve25519-sha256"][..],
        ),
        ("Ciphers aes128-cbc", &["aes128-cbc", "aes128-gcm@openssh.com"]),
        (
            "MACs hmac-md5\nCiphers aes128-ctr",
            &["hmac-md5", "hmac-sha2-256"],
        ),
    ] {
        let setting = with_key(Settings::default().option(option).start());
        let ended = ssh(&setting.home, &[], &setting.sshd.target());
        names(&setting.home, &ended, "NoMutualKex", "kex", words);
    }
}

// Keys and agents.

#[test]
fn a_key_that_cannot_be_loaded_is_named_with_the_reason() {
    let sshd = Sshd::start();
    let home = without_key(&sshd);
    home.write("garbage", "no key at all\n");
    let sealed = Command::new("ssh-keygen")
        .args(["-q", "-N", "open sesame", "-t", "ed25519", "-a", "1", "-f"])
        .arg(home.path().join("sealed"))
        .status();
    assert!(sealed.expect("ssh-keygen").success());
    // The server knows it, so that it is to be unlocked.
    let mut keys = std::fs::read_to_string(sshd.path("authorized_keys")).expect("the keys");
    keys.push_str(&std::fs::read_to_string(home.path().join("sealed.pub")).expect("the key"));
    std::fs::write(sshd.path("authorized_keys"), keys).expect("the keys");
    for (key, words) in [
        ("missing", &["missing", "no such file"][..]),
        ("garbage", &["garbage", "format"]),
        ("sealed", &["sealed", "passphrase"]),
    ] {
        let ended = ssh(&home, &["-i", key], &sshd.target());
        names(&home, &ended, "KeyLoadError", "auth", words);
    }
}

#[test]
fn a_wrong_passphrase_is_told_apart_from_a_missing_one_and_stands_nowhere() {
    // Otherwise a password would be asked for next.
    let sshd = Settings::default()
        .option("PasswordAuthentication no\nKbdInteractiveAuthentication no")
        .start();
    let home = without_key(&sshd);
    let sealed = Command::new("ssh-keygen")
        .args(["-q", "-N", "open sesame", "-t", "ed25519", "-a", "1", "-f"])
        .arg(home.path().join("sealed"))
        .status();
    assert!(sealed.expect("ssh-keygen").success());
    let public = std::fs::read(home.path().join("sealed.pub")).expect("the key");
    std::fs::write(sshd.path("authorized_keys"), public).expect("the keys");
    let asked = json!({"wait": "assphrase"});
    let wrong = json!({"type": "abracadabra\r"});
    let target = sshd.target();
    let shown = in_terminal(
        &home,
        &["ssh", "--evidence", BUNDLE, "-i", "sealed", &target, "true"],
        json!([asked, wrong, asked, wrong, asked, wrong]),
    );
    assert_eq!(shown.status, 255, "{}", shown.text);
    // The person is not asked for a password, and yet the server is asked for other ways in.
    explains(
        &home,
        "AuthFailed",
        "auth",
        &["sealed", "the passphrase is wrong"],
    );
    let cause = explain(&home).json["cause"].to_string();
    assert!(
        cause.contains("sealed") && cause.contains("passphrase"),
        "{cause}"
    );
    let bundle = std::fs::read_to_string(home.path().join(BUNDLE)).expect("a bundle");
    assert!(!bundle.contains("abracadabra"), "{bundle}");
}

#[test]
fn a_key_that_may_not_be_read_is_named_as_such() {
    let sshd = Sshd::start();
    let home = without_key(&sshd);
    let key = home.write("key", std::fs::read(sshd.key()).expect("the key"));
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o000)).expect("a mode");
    // Root reads everything, unless it is taken that right.
    let mut command = match sternline_tests::users::is_root() {
        true => {
            let mut command = home.command("setpriv");
            command
                .arg("--bounding-set=-dac_override,-dac_read_search")
                .arg(program());
            command
        }
        false => home.command(program()),
    };
    command.args(["ssh", "--evidence", BUNDLE, "-o", "BatchMode=yes", "-i", "key"]);
    let ended = Ended::from(
        command
            .args([&sshd.target(), "true"])
            .output()
            .expect("it starts"),
    );
    names(&home, &ended, "KeyLoadError", "auth", &["key", "may not be read"]);
}

/// An agent without keys that ends with the test.
struct Agent(Child);

impl Agent {
    fn start(socket: &Path) -> Self {
        let mut process = Command::new("ssh-agent")
            .args(["-D", "-a"])
            .arg(socket)
            .stdout(Stdio::piped())
            .spawn()
            .expect("ssh-agent is missing: install openssh-client");
        // It prints where it listens once it does.
        let mut first = [0];
        process
            .stdout
            .as_mut()
            .expect("a pipe")
            .read_exact(&mut first)
            .expect("its words");
        Self(process)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn an_agent_that_cannot_be_used_is_named_with_the_reason() {
    let sshd = Sshd::start();
    let home = without_key(&sshd);
    // A socket that nobody listens to any more, one that talks nonsense, and an agent that holds nothing.
    drop(UnixListener::bind(home.path().join("dead")).expect("a socket"));
    let nonsense = UnixListener::bind(home.path().join("nonsense")).expect("a socket");
    std::thread::spawn(move || {
        for stream in nonsense.incoming() {
            let _ = stream
                .expect("a connection")
                .write_all(b"\x00\x00\x00\x02\x63\x63");
        }
    });
    let _agent = Agent::start(&home.path().join("empty"));
    for (socket, words) in [
        (None, &["SSH_AUTH_SOCK was not set"][..]),
        (Some("absent"), &["absent", "does not exist", "IdentityAgent"]),
        (Some("dead"), &["dead", "nobody"]),
        (Some("nonsense"), &["agent"]),
        (Some("empty"), &["no key"]),
    ] {
        let agent = socket.map(|name| format!("IdentityAgent={}", home.path().join(name).display()));
        let mut options = vec!["-o", "IdentityFile=none"];
        if let Some(agent) = &agent {
            options.extend(["-o", agent]);
        }
        let ended = ssh(&home, &options, &sshd.target());
        names(&home, &ended, "AgentError", "auth", words);
    }
}

// Connections that are lost.

async fn in_front_of(sshd: &Sshd) -> FaultProxy {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, sshd.port()));
    FaultProxy::start(address).await.expect("a proxy")
}

/// A command that says `begun`, and goes on when it has said so.
struct Running(Child);

impl Running {
    fn start(home: &Home, options: &[&str], target: &str) -> Self {
        let mut command = home.sternline(["ssh", "--evidence", BUNDLE]);
        command
            .args(options)
            .args([target, "echo begun; exec sleep 600"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut process = command.spawn().expect("it starts");
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("a pipe"))
            .read_line(&mut line)
            .expect("text");
        if line != "begun\n" {
            let output = process.wait_with_output().expect("an end");
            panic!("{}", String::from_utf8_lossy(&output.stderr));
        }
        Self(process)
    }

    fn end(self) -> Ended {
        Ended::from(self.0.wait_with_output().expect("an end"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_falls_silent_is_a_keepalive_timeout() {
    let setting = with_key(Sshd::start());
    let home = &setting.home;
    let proxy = in_front_of(&setting.sshd).await;
    let known = setting.sshd.known_hosts_line("ed25519");
    let at_proxy = known.replace(&setting.sshd.port().to_string(), &proxy.addr().port().to_string());
    home.write(".ssh/known_hosts", at_proxy);
    let target = format!("{}@{}", setting.sshd.user().name, proxy.addr());
    let alive = ["-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=2"];
    let running = Running::start(home, &alive, &target);
    proxy.faults().set(Fault::BlackHole);
    let ended = running.end();
    names(home, &ended, "SSHConnectionError", "exec", &["keepalive", "2"]);
    let bundle: Value =
        serde_json::from_slice(&std::fs::read(home.path().join(BUNDLE)).expect("a bundle")).expect("JSON");
    assert_eq!(bundle["disconnect_reason"], "keepalive_timeout");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_is_cut_under_a_command_leaves_open_whether_it_ran() {
    let setting = with_key(Sshd::start());
    let home = &setting.home;
    let proxy = in_front_of(&setting.sshd).await;
    let known = setting.sshd.known_hosts_line("ed25519");
    let at_proxy = known.replace(&setting.sshd.port().to_string(), &proxy.addr().port().to_string());
    home.write(".ssh/known_hosts", at_proxy);
    let target = format!("{}@{}", setting.sshd.user().name, proxy.addr());
    for fault in [Fault::Drop, Fault::Reset] {
        let running = Running::start(home, &[], &target);
        proxy.faults().set(fault);
        let ended = running.end();
        names(
            home,
            &ended,
            "SSHConnectionError",
            "exec",
            &["lost", "it may have finished, or still run"],
        );
        proxy.faults().heal();
    }
}

#[test]
fn a_server_that_goes_away_under_a_command_leaves_open_whether_it_ran() {
    let setting = with_key(Sshd::start());
    let home = &setting.home;
    let running = Running::start(home, &[], &setting.sshd.target());
    setting.sshd.break_connections();
    let ended = running.end();
    names(
        home,
        &ended,
        "SSHConnectionError",
        "exec",
        &["lost", "it may have finished, or still run"],
    );
    let bundle: Value =
        serde_json::from_slice(&std::fs::read(home.path().join(BUNDLE)).expect("a bundle")).expect("JSON");
    assert_eq!(bundle["disconnect_reason"], "network_error");
}

// Commands that fail on a connection that does not.

#[test]
fn a_command_that_took_too_long_is_no_lost_connection() {
    let setting = with_key(Sshd::start());
    let home = &setting.home;
    let target = setting.sshd.target();
    let arguments = [
        "ssh",
        "--evidence",
        BUNDLE,
        "--timeout",
        "400ms",
        &target,
        "sleep 600",
    ];
    let ended = without_terminal(home, &arguments);
    assert_eq!(ended.status, 124, "{}", ended.stderr);
    explains(home, "CommandTimeout", "exec", &["400 ms"]);
}

#[test]
fn what_went_well_has_nothing_to_explain() {
    let setting = with_key(Sshd::start());
    let ended = setting.ssh(&["--evidence", BUNDLE], &["true"]);
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    let Explained { json, text } = explain(&setting.home);
    assert!(json["error_type"].is_null(), "{json:#}");
    assert!(text.contains("othing went wrong"), "{text}");
}

#[test]
fn a_failure_at_a_jump_host_names_the_jump_host() {
    let setting = with_key(Sshd::start());
    let home = &setting.home;
    let port = free_port();
    let hop = format!("ann@127.0.0.1:{port}");
    let ended = ssh(home, &["-J", &hop], &setting.sshd.target());
    let words = ["jump host 1 of 1", &hop, "first step, proxy"];
    names(home, &ended, "ConnectionRefused", "tcp", &words);
    assert_eq!(explain(home).json["hop"], hop);
}

/// A key's fingerprint, as OpenSSH writes it.
fn fingerprint(key: &Path) -> String {
    let output = Command::new("ssh-keygen").arg("-lf").arg(key).output();
    let text = String::from_utf8(output.expect("ssh-keygen").stdout).expect("text");
    text.split(' ').nth(1).expect("a fingerprint").to_owned()
}
