//! What blocking handles take is given back: threads, sockets, files. Alone in its program, because it counts them.

use std::fs;

use sternline::blocking::{Connection, Fleet, ForwardManager, Supervisor};
use sternline::host_key::KnownHosts;
use sternline::{AuthConfig, ErrorKind, RetryPolicy};
use sternline_tests::processes::{self, eventually_here};
use sternline_tests::sshd::Sshd;

fn threads() -> usize {
    fs::read_dir("/proc/self/task").unwrap().count()
}

fn open_files() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn threads_and_files_are_given_back_however_a_handle_ends() {
    let server = Sshd::start();
    let settings = || server.builder();
    let before = threads();
    // tokio opens a pair of sockets for signals with the first runtime, and keeps it.
    drop(Connection::connect(settings()).unwrap());
    eventually_here("the first thread has ended", || threads() == before);
    let files = open_files();

    let many: Vec<_> = (0..10)
        .map(|_| Connection::connect(settings()).unwrap())
        .collect();
    let closed = Connection::connect(settings()).unwrap();
    closed.close().unwrap();
    let mut streaming = many[0].stream_exec("echo up; sleep 95001").unwrap();
    assert_eq!(streaming.next().unwrap().stream(), "stdout");
    let forwards = ForwardManager::new(&many[1]).unwrap();
    let forward = forwards.forward_local(0, "127.0.0.1", server.port()).unwrap();
    let sftp = many[2].sftp().unwrap();
    let listing = sftp.list("/").unwrap();
    assert!(threads() > before + 10 && open_files() > files + 10);

    let policy = RetryPolicy::default();
    let supervisor = Supervisor::start(Supervisor::builder(settings()).retry(policy)).unwrap();
    let known = KnownHosts::from_bytes("known_hosts", server.known_hosts_line("ed25519").as_bytes());
    let key = server.key();
    let hosts = sternline::Fleet::new(vec![server.target(); 5]).configure(move |_, builder| {
        builder
            .known_hosts_parsed(known.clone(), None)
            .auth([AuthConfig::key(key.clone())])
    });
    let fleet = Fleet::new(hosts).unwrap();
    let run = fleet.start(|_| "echo up; sleep 95002".into()).unwrap();
    let refused = Connection::connect(Connection::builder("nobody@127.0.0.1:1"));
    assert_eq!(refused.unwrap_err().kind(), &ErrorKind::ConnectionRefused);

    drop((listing, sftp, forward, forwards, closed));
    drop((run, fleet, supervisor));
    drop(streaming);
    drop(many);
    assert!(processes::containing("sleep 9500").is_empty());
    eventually_here("the threads have ended", || threads() == before);
    eventually_here("the files are closed", || open_files() == files);
}
