//! A rolling restart over twenty hosts, two of which are broken: `examples/starlark/rolling_restart.star` against real servers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as a test does"
)]

mod cli_support;

use std::collections::HashMap;
use std::net::TcpStream;
use std::path::Path;

use cli_support::eventually;
use sternline_tests::cli::{Ended, Home};
use sternline_tests::sshd::{Settings, Sshd};

/// Nobody listens there.
const REFUSES: &str = "127.0.0.17";
/// The service does not come back there.
const FAILS: &str = "127.0.0.23";

/// Twenty hosts: addresses of two servers, for one sshd can listen on sixteen at most.
struct Site {
    home: Home,
    servers: [Sshd; 2],
    /// As a script names them, in order.
    hosts: Vec<String>,
}

/// The address of the host of this number, from 0 on.
fn address(number: usize) -> String {
    format!("127.0.0.{}", 11 + number)
}

impl Site {
    fn start() -> Self {
        let home = Home::new();
        let (mut hosts, mut known) = (Vec::new(), String::new());
        let servers = [0..10, 10..20].map(|numbers| {
            let addresses: Vec<String> = numbers.map(address).collect();
            let mut settings = Settings::default();
            for address in addresses.iter().filter(|address| *address != REFUSES) {
                settings = settings.option(&format!("ListenAddress {address}"));
            }
            let sshd = settings.start();
            for address in addresses {
                known += &sshd
                    .known_hosts_line("ed25519")
                    .replace("127.0.0.1]", &format!("{address}]"));
                if address != REFUSES {
                    eventually("the server listens", || {
                        TcpStream::connect((address.as_str(), sshd.port())).is_ok()
                    });
                }
                hosts.push(format!("{address}:{}", sshd.port()));
            }
            sshd
        });
        home.write(".ssh/known_hosts", known);
        let keys = servers.each_ref().map(Sshd::key);
        home.write(".ssh/id_ed25519", std::fs::read(&keys[0]).unwrap());
        // One key for both.
        std::fs::copy(
            servers[0].path("authorized_keys"),
            servers[1].path("authorized_keys"),
        )
        .unwrap();
        Self { home, servers, hosts }
    }

    /// Restarts the service on these hosts, and says in a file when each begins and ends.
    fn restart(&self, hosts: &[String], more: &[&str]) -> Restarted {
        let log = self.home.path().join("restarts");
        let _ = std::fs::remove_file(&log);
        let command = format!(
            "set -- $SSH_CONNECTION; echo begin $3 >>{log}; [ $3 != {FAILS} ] || {{ echo app does not start >&2; exit 7; }}; echo end $3 >>{log}",
            log = log.display()
        );
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/starlark/rolling_restart.star");
        let mut arguments = vec!["run".to_owned()];
        for variable in [
            format!("hosts={}", serde_json::to_string(hosts).unwrap()),
            format!("user={}", self.servers[0].user().name),
            format!("command={command}"),
            "sudo=false".to_owned(),
        ] {
            arguments.extend(["--var".to_owned(), variable]);
        }
        arguments.extend(more.iter().map(|argument| (*argument).to_owned()));
        arguments.push(script.to_str().unwrap().to_owned());
        let ended = self.home.run(arguments);
        Restarted {
            ended,
            log: std::fs::read_to_string(log).unwrap_or_default(),
        }
    }
}

struct Restarted {
    ended: Ended,
    log: String,
}

impl Restarted {
    /// The table: the state and the reason of each address.
    fn table(&self) -> HashMap<String, (String, String)> {
        let rows = self
            .ended
            .stdout
            .lines()
            .skip(2)
            .filter(|line| line.contains('|'));
        rows.map(|row| {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let address = cells[0].split(':').next().unwrap().to_owned();
            (address, (cells[1].to_owned(), cells[2].to_owned()))
        })
        .collect()
    }

    fn summary(&self) -> &str {
        self.ended.stdout.lines().last().unwrap_or_default()
    }

    /// Each host begins only when all those of earlier batches have ended.
    fn keeps_batches_of(&self, size: usize) {
        let batch = |address: &str| {
            (0..20)
                .position(|number| self::address(number) == address)
                .unwrap()
                / size
        };
        let lines: Vec<(&str, usize)> = self
            .log
            .lines()
            .map(|line| line.split_once(' ').unwrap())
            .map(|(what, host)| (what, batch(host)))
            .collect();
        for (place, (what, batch)) in lines.iter().enumerate() {
            if *what == "begin" {
                let early = lines[place..].iter().filter(|(_, other)| other < batch);
                assert_eq!(early.count(), 0, "{}", self.log);
            }
        }
    }
}

#[test]
fn it_stops_behind_the_batch_with_a_broken_host() {
    let site = Site::start();
    let restarted = site.restart(&site.hosts, &[]);
    let said = format!("{}{}", restarted.ended.stdout, restarted.ended.stderr);
    assert_eq!(restarted.ended.status, 1, "{said}");
    assert_eq!(
        restarted.summary(),
        "20 hosts: 9 ok, 1 failed, 10 not begun",
        "{said}"
    );
    let table = restarted.table();
    for number in 0..20 {
        let address = address(number);
        let expected = match number {
            _ if address == REFUSES => "failed",
            0..10 => "ok",
            _ => "not begun",
        };
        assert_eq!(table[&address].0, expected, "{address}\n{said}");
        assert_eq!(
            restarted.log.contains(&format!("end {address}\n")),
            expected == "ok",
            "{}",
            restarted.log
        );
    }
    assert!(table[REFUSES].1.contains("refused"), "{said}");
    restarted.keeps_batches_of(5);
}

#[test]
fn it_goes_on_as_it_was_told() {
    let site = Site::start();
    let restarted = site.restart(&site.hosts, &["--var", "keep_going=true"]);
    let said = format!("{}{}", restarted.ended.stdout, restarted.ended.stderr);
    assert_eq!(restarted.ended.status, 1, "{said}");
    assert_eq!(
        restarted.summary(),
        "20 hosts: 18 ok, 2 failed, 0 not begun",
        "{said}"
    );
    let table = restarted.table();
    assert_eq!(
        table[FAILS],
        ("failed".to_owned(), "app does not start".to_owned()),
        "{said}"
    );
    assert!(table[REFUSES].1.contains("refused"), "{said}");
    restarted.keeps_batches_of(5);

    // One failure is taken, with the second it stops.
    let restarted = site.restart(&site.hosts, &["--var", "max_failures=1"]);
    assert_eq!(restarted.ended.status, 1);
    assert_eq!(
        restarted.summary(),
        "20 hosts: 13 ok, 2 failed, 5 not begun",
        "{}",
        restarted.ended.stdout
    );
}

#[test]
fn it_succeeds_where_all_hosts_are_well_and_a_canary_comes_first() {
    let site = Site::start();
    let well: Vec<String> = site
        .hosts
        .iter()
        .filter(|host| !host.starts_with(REFUSES) && !host.starts_with(FAILS))
        .cloned()
        .collect();
    let restarted = site.restart(&well, &["--var", "batch=50%", "--var", "canary=1"]);
    assert_eq!(
        restarted.ended.status, 0,
        "{}{}",
        restarted.ended.stdout, restarted.ended.stderr
    );
    assert_eq!(restarted.summary(), "18 hosts: 18 ok, 0 failed, 0 not begun");
    assert!(
        restarted.log.starts_with("begin 127.0.0.11\nend 127.0.0.11\n"),
        "{}",
        restarted.log
    );

    // A canary that fails keeps all others as they are.
    let mut broken_first = well;
    broken_first.insert(
        0,
        site.hosts
            .iter()
            .find(|host| host.starts_with(FAILS))
            .unwrap()
            .clone(),
    );
    let restarted = site.restart(&broken_first, &["--var", "canary=1"]);
    assert_eq!(restarted.ended.status, 1);
    assert_eq!(
        restarted.summary(),
        "19 hosts: 0 ok, 1 failed, 18 not begun",
        "{}",
        restarted.ended.stdout
    );
    assert_eq!(restarted.log, format!("begin {FAILS}\n"));
}

#[test]
fn a_dry_run_of_it_tells_the_hosts_and_touches_none() {
    let site = Site::start();
    let restarted = site.restart(&site.hosts, &["--dry-run"]);
    assert_eq!(restarted.ended.status, 0, "{}", restarted.ended.stderr);
    assert_eq!(restarted.summary(), "20 hosts: 20 ok, 0 failed, 0 not begun");
    assert_eq!(restarted.log, "");
}
