//! `sternline tunnel`: forwards that stay up, as a user starts them.

mod cli_support;

use std::io::{BufRead, BufReader, Read};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use cli_support::{Setting, eventually, in_terminal, in_terminal_with, without_terminal};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use sternline_tests::cli::Home;
use sternline_tests::processes;
use sternline_tests::sshd::{Sshd, free_port};

const LONG: Duration = Duration::from_secs(20);

/// A tunnel in the background, and the events that it prints.
struct Tunnel {
    process: Child,
    events: Receiver<Value>,
}

impl Tunnel {
    fn start(setting: &Setting, options: &[&str]) -> Self {
        let target = setting.sshd.target();
        let mut command = setting
            .home
            .sternline([&["tunnel", target.as_str()], options].concat());
        let mut process = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (tell, events) = channel();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let _ = tell.send(serde_json::from_str(&line).unwrap());
            }
        });
        Self { process, events }
    }

    /// The data of the next event of this type with these fields.
    fn event(&self, event_type: &str, fields: &Value) -> Value {
        loop {
            let event = self.events.recv_timeout(LONG).unwrap();
            let data = &event["data"];
            let fits = |(name, value): (&String, &Value)| &data[name] == value;
            if event["event_type"] == event_type && fields.as_object().unwrap().iter().all(fits) {
                return data.clone();
            }
        }
    }

    /// The port of the next forward of this kind that is established.
    fn port(&self, forward_type: &str) -> u16 {
        let wanted = json!({ "status": "established", "forward_type": forward_type });
        let port = self.event("FORWARD", &wanted)["actual_port"].as_u64().unwrap();
        port.try_into().unwrap()
    }

    fn end(mut self, signal: Signal) -> (Option<i32>, String) {
        let pid = Pid::from_raw(self.process.id().try_into().unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
        let mut said = String::new();
        let mut stderr = self.process.stderr.take().unwrap();
        stderr.read_to_string(&mut said).unwrap();
        (self.process.wait().unwrap().code(), said)
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A real nginx on a free port of loopback, whose only page says "nginx was here".
struct Nginx {
    process: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Nginx {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let at = folder.path().display();
        let configuration = format!(
            "daemon off; master_process off; pid {at}/pid; error_log {at}/error.log;\n\
             events {{}}\n\
             http {{ access_log off; client_body_temp_path {at}/body; proxy_temp_path {at}/proxy;\n\
             fastcgi_temp_path {at}/fastcgi; uwsgi_temp_path {at}/uwsgi; scgi_temp_path {at}/scgi;\n\
             server {{ listen 127.0.0.1:{port}; location / {{ return 200 'nginx was here'; }} }} }}\n"
        );
        let path = folder.path().join("nginx.conf");
        std::fs::write(&path, configuration).unwrap();
        let program = if Command::new("nginx").arg("-v").output().is_ok() {
            "nginx"
        } else {
            "/usr/sbin/nginx"
        };
        let process = Command::new(program)
            .arg("-p")
            .arg(folder.path())
            .arg("-c")
            .arg(&path)
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx is missing: install nginx-light");
        eventually("nginx listens", || {
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        Self {
            process,
            port,
            _folder: folder,
        }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn curl(arguments: &[&str]) -> String {
    let output = Command::new("curl")
        .args(["--silent", "--max-time", "20"])
        .args(arguments)
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// Ends the server's processes for its connections, as a crash would.
fn cut(sshd: &Sshd) {
    for pid in processes::tree(sshd.pid()) {
        if pid != sshd.pid() {
            let pid = Pid::from_raw(pid.try_into().unwrap()).unwrap();
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

#[test]
fn nginx_is_reached_through_every_kind_of_forward_and_again_after_the_connection_was_lost() {
    let setting = Setting::new(Sshd::start());
    let nginx = Nginx::start();
    let at_nginx = format!("127.0.0.1:{}", nginx.port);
    let tunnel = Tunnel::start(
        &setting,
        &[
            "-L",
            &format!("0:{at_nginx}"),
            "-R",
            &format!("0:{at_nginx}"),
            "-D",
            "0",
        ],
    );
    let (local, remote, dynamic) = (
        tunnel.port("local"),
        tunnel.port("remote"),
        tunnel.port("dynamic"),
    );
    let reach_all = || {
        for url in [
            format!("http://127.0.0.1:{local}/"),
            format!("http://127.0.0.1:{remote}/"),
        ] {
            assert_eq!(curl(&[&url]), "nginx was here");
        }
        for option in ["--socks5-hostname", "--socks4a"] {
            let proxy = format!("127.0.0.1:{dynamic}");
            let url = format!("http://{at_nginx}/");
            assert_eq!(curl(&[option, &proxy, &url]), "nginx was here");
        }
    };
    reach_all();
    for count in 1..=3 {
        cut(&setting.sshd);
        tunnel.event(
            "STATE_CHANGE",
            &json!({ "from_state": "connected", "to_state": "reconnecting" }),
        );
        let back = json!({ "to_state": "connected", "reconnection_count": count });
        tunnel.event("STATE_CHANGE", &back);
        assert_eq!(tunnel.port("remote"), remote);
        reach_all();
    }
    let (status, said) = tunnel.end(Signal::TERM);
    assert_eq!(status, Some(0), "{said}");
    for port in [local, dynamic] {
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    }
}

#[test]
fn the_embedded_server_is_reached_by_ssh_through_a_remote_forward() {
    let setting = Setting::new(Sshd::start());
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("id");
    sternline_tests::sshd::keygen(&key, "ed25519");
    let port = free_port();
    let mut server = setting
        .home
        .sternline(["serve", "--user", "anybody", "--answer", "greet=hello", "--port"])
        .arg(port.to_string())
        .arg("--authorized-keys")
        .arg(key.with_extension("pub"))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    eventually("our server listens", || {
        TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    let tunnel = Tunnel::start(&setting, &["-R", &format!("0:127.0.0.1:{port}")]);
    let there = tunnel.port("remote").to_string();
    let output = Command::new("ssh")
        .args([
            "-F",
            "none",
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "UserKnownHostsFile=/dev/null",
        ])
        .args(["-o", "IdentitiesOnly=yes", "-p", &there, "-i"])
        .arg(&key)
        .args(["anybody@127.0.0.1", "greet"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let _ = server.kill();
    let _ = server.wait();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "hello\n",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(tunnel.end(Signal::INT).0, Some(0));
}

#[test]
fn what_cannot_work_ends_at_once_with_the_reason() {
    let setting = Setting::new(Sshd::start());
    let target = setting.sshd.target();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let spec = format!("{port}:localhost:1");
    let nothing = without_terminal(&setting.home, &["tunnel", &target]);
    assert_eq!(nothing.status, 2, "{}", nothing.stderr);
    assert!(
        nothing.stderr.contains("-L 8080:localhost:80"),
        "{}",
        nothing.stderr
    );

    let bad = without_terminal(&setting.home, &["tunnel", &target, "-L", "nonsense"]);
    assert_eq!(bad.status, 2, "{}", bad.stderr);
    assert!(bad.stderr.contains("-L nonsense does not have"), "{}", bad.stderr);

    let in_use = without_terminal(&setting.home, &["tunnel", &target, "-L", &spec]);
    assert_eq!(in_use.status, 255, "{}", in_use.stderr);
    assert!(
        in_use.stderr.contains(&format!(
            "cannot listen on localhost port {port}: Address already in use"
        )),
        "{}",
        in_use.stderr
    );
    assert!(
        in_use.stderr.contains("something listens there already"),
        "{}",
        in_use.stderr
    );

    let stranger = Home::new();
    stranger.write(".ssh/id_ed25519", std::fs::read(setting.sshd.key()).unwrap());
    let unknown = without_terminal(&stranger, &["tunnel", &target, "-D", "0"]);
    assert_eq!(unknown.status, 255, "{}", unknown.stderr);
    assert!(unknown.stderr.contains("is not known"), "{}", unknown.stderr);

    let refused = format!("127.0.0.1:{}", free_port());
    let refused = without_terminal(
        &setting.home,
        &["tunnel", &refused, "-D", "0", "--max-retries", "0"],
    );
    assert_eq!(refused.status, 255, "{}", refused.stderr);
    assert!(
        refused.stderr.contains("connection refused"),
        "{}",
        refused.stderr
    );
}

#[test]
fn a_terminal_gets_a_status_line_and_ctrl_c_is_a_success() {
    let setting = Setting::new(Sshd::start());
    let target = setting.sshd.target();
    let shown = in_terminal(
        &setting.home,
        &["tunnel", &target, "-L", "*:0:localhost:1", "-D", "0"],
        json!([{ "wait": "connected 0s, 2 forwards, 0 open" }, { "type": "\u{3}" }]),
    );
    assert_eq!(shown.status, 0, "{}", shown.text);
    assert!(
        shown.text.contains("listening here on localhost:"),
        "{}",
        shown.text
    );
    assert!(shown.text.contains("listens on all interfaces"), "{}", shown.text);
    assert!(!shown.text.contains("event_type"), "{}", shown.text);
}

#[test]
fn it_stays_as_long_as_it_was_told_to() {
    let setting = Setting::new(Sshd::start());
    let target = setting.sshd.target();
    let ended = without_terminal(&setting.home, &["tunnel", &target, "-D", "0", "--timeout", "4s"]);
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    assert!(
        ended.stdout.contains(r#""to_state":"disconnected""#),
        "{}",
        ended.stdout
    );
}

#[test]
fn a_tunnel_that_was_never_up_in_its_time_has_failed() {
    let setting = Setting::new(Sshd::start());
    // It takes the connection and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = silent.local_addr().unwrap().to_string();
    let ended = without_terminal(&setting.home, &["tunnel", &target, "-D", "0", "--timeout", "1s"]);
    assert_eq!(ended.status, 255, "{}", ended.stderr);
    let error = "error: the tunnel was never up within --timeout: ";
    assert!(
        ended.stderr.contains(error) && ended.stderr.contains("\nhint: "),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_reader_of_the_events_that_goes_away_ends_the_tunnel() {
    let setting = Setting::new(Sshd::start());
    let target = setting.sshd.target();
    let mut process = setting
        .home
        .sternline(["tunnel", &target, "-D", "0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    drop(process.stdout.take());
    let mut status = None;
    eventually("the tunnel ends", || {
        status = process.try_wait().unwrap();
        status.is_some()
    });
    assert_eq!(status.unwrap().code(), Some(141));
}

#[test]
fn the_status_line_makes_way_for_a_question() {
    let setting = Setting::new(Sshd::start());
    setting.home.write(".ssh/known_hosts", "");
    let target = setting.sshd.target();
    // Long enough for the line to be drawn again, were it drawn.
    let shown = in_terminal(
        &setting.home,
        &["tunnel", &target, "-D", "0", "--timeout", "2s"],
        json!([{ "wait": "connecting" }, { "wait": "\r\u{1b}[KThe host" }, { "wait": "fingerprint) [no] " }]),
    );
    assert_eq!(
        shown.status, 255,
        "nothing was answered, so it was never up: {}",
        shown.text
    );
    let (_, after) = shown.text.split_once("fingerprint) [no] ").unwrap();
    assert!(!after.contains("connecting"), "{after:?}");
}

#[test]
fn messages_stand_above_the_status_line() {
    let setting = Setting::new(Sshd::start());
    let target = setting.sshd.target();
    let shown = in_terminal(
        &setting.home,
        &["tunnel", "-v", &target, "-D", "0"],
        json!([{ "wait": "1 forward, 0 open" }, { "type": "\u{3}" }, { "wait": "\r\u{1b}[Kevent STATE_CHANGE" }]),
    );
    assert_eq!(shown.status, 0, "{}", shown.text);
}

#[test]
fn the_status_line_fits_the_terminal() {
    let setting = Setting::new(Sshd::start());
    let target = setting.sshd.target();
    let text = format!("{target}: connected ");
    let cut = &text[..text.len() - 3];
    let shown = in_terminal(
        &setting.home,
        &["tunnel", &target, "-D", "0"],
        json!([
            { "wait": "1 forward, 0 open" },
            { "resize": [24, cut.len() + 1] },
            { "wait": format!("\r\u{1b}[K{cut}\r\r\u{1b}[K") },
            { "type": "\u{3}" },
        ]),
    );
    assert_eq!(shown.status, 0, "{}", shown.text);
}

#[test]
fn a_terminal_that_cannot_draw_gets_lines_only() {
    let setting = Setting::new(Sshd::start());
    let target = setting.sshd.target();
    let shown = in_terminal_with(
        &setting.home,
        &[("TERM", "dumb")],
        &["tunnel", &target, "-D", "0"],
        json!([{ "wait": "listening here on" }, { "wait": "\n" }, { "type": "\u{3}" }]),
    );
    assert_eq!(shown.status, 0, "{}", shown.text);
    assert!(!shown.text.contains('\u{1b}'), "{:?}", shown.text);
}

#[test]
fn a_terminal_that_was_stopped_does_not_stop_the_tunnel() {
    let setting = Setting::new(Sshd::start());
    let nginx = Nginx::start();
    let target = setting.sshd.target();
    let port = free_port();
    let spec = format!("{port}:127.0.0.1:{}", nginx.port);
    let page = format!("http://127.0.0.1:{port}/");
    // For longer than the line takes to be drawn again.
    let fetch = "for i in 1 2 3; do curl --silent --fail --output /dev/null --max-time 5 \"$0\" || exit 1; sleep 0.6; done";
    let shown = in_terminal(
        &setting.home,
        &["tunnel", &target, "-L", &spec],
        json!([
            { "wait": "1 forward, 0 open" },
            { "type": "\u{13}" },
            { "run": ["sh", "-c", fetch, page] },
            { "type": "\u{11}" },
            { "type": "\u{3}" },
        ]),
    );
    assert_eq!(shown.status, 0, "{}", shown.text);
}

#[test]
fn a_reason_is_told_once_for_each_loss() {
    let mut setting = Setting::new(Sshd::start());
    let tunnel = Tunnel::start(&setting, &["-D", "0", "--max-retries", "3"]);
    tunnel.port("dynamic");
    setting.sshd.stop();
    tunnel.event("STATE_CHANGE", &json!({ "to_state": "failed" }));
    let (status, said) = tunnel.end(Signal::TERM);
    assert_eq!(status, Some(255), "{said}");
    let refused = said
        .lines()
        .filter(|line| line.starts_with("warning:") && line.contains("connection refused"));
    assert_eq!(refused.count(), 1, "{said}");
}

#[test]
fn why_a_remote_forward_does_not_come_back_is_told() {
    let mut setting = Setting::new(Sshd::start());
    let port = free_port();
    let tunnel = Tunnel::start(&setting, &["-R", &format!("127.0.0.1:{port}:localhost:1")]);
    tunnel.port("remote");
    setting.sshd.stop();
    let mut taken = None;
    eventually("the port is free", || {
        taken = TcpListener::bind(("127.0.0.1", port)).ok();
        taken.is_some()
    });
    setting.sshd.start_again();
    for _ in 0..2 {
        tunnel.event("FORWARD", &json!({ "status": "replay_failed" }));
    }
    drop(taken);
    assert_eq!(tunnel.port("remote"), port);
    let (status, said) = tunnel.end(Signal::TERM);
    assert_eq!(status, Some(0), "{said}");
    let told = format!("the server does not listen on 127.0.0.1 port {port}");
    assert_eq!(said.matches(&told).count(), 1, "{said}");
}

#[test]
fn the_time_of_a_loss_is_counted_from_the_loss_and_not_from_the_last_attempt() {
    let setting = Setting::new(Sshd::start());
    let target = setting.sshd.target();
    let server = setting.sshd.pid().to_string();
    let end = "kill -STOP $0; kill -KILL $(ps -o pid= --ppid $0) $0";
    let shown = in_terminal(
        &setting.home,
        &["tunnel", &target, "-D", "0"],
        json!([
            { "wait": "1 forward, 0 open" },
            { "run": ["sh", "-c", end, server] },
            { "wait": "3 failed attempts, next in" },
            { "type": "\u{3}" },
        ]),
    );
    assert_eq!(shown.status, 0, "{}", shown.text);
    assert!(!shown.text.contains("lost 0s, 3 failed"), "{}", shown.text);
}

#[test]
fn a_socket_that_is_left_at_the_server_is_hinted_at() {
    let setting = Setting::new(Sshd::start());
    let target = setting.sshd.target();
    let spec = format!("{}:localhost:1", setting.sshd.path("left.sock").display());
    let tunnel = Tunnel::start(&setting, &["-R", &spec]);
    tunnel.event("FORWARD", &json!({ "status": "established" }));
    assert_eq!(tunnel.end(Signal::TERM).0, Some(0));
    let again = without_terminal(&setting.home, &["tunnel", &target, "-R", &spec]);
    assert_eq!(again.status, 255, "{}", again.stderr);
    assert!(again.stderr.contains("StreamLocalBindUnlink"), "{}", again.stderr);
}
