//! Many hosts on the command line, where few files may be open.

use secrecy::ExposeSecret;
use sternline_server::{Credential, KeyPair, Reply, Server};
use sternline_tests::cli::{Ended, Home, program};

/// A server, and a home in which `h001` to `h200` are all this server.
async fn hosts() -> (Server, Home) {
    let key = KeyPair::generate_ed25519().unwrap();
    let server = Server::builder()
        .user("ann", Credential::public_key(&key.public_line()).unwrap())
        .command("true", Reply::stdout(""))
        .bind()
        .await
        .unwrap();
    let home = Home::new();
    home.write(".ssh/id_ed25519", key.private_openssh().unwrap().expose_secret());
    home.write(".ssh/known_hosts", server.known_hosts_line());
    let port = server.port();
    home.write(
        ".ssh/config",
        format!("Host h*\n  HostName 127.0.0.1\n  Port {port}\n  User ann\n"),
    );
    (server, home)
}

/// Runs `true` on all of them with this limit of open files.
async fn run(home: &Home, limit: &str) -> Ended {
    let mut command = home.command("sh");
    command
        .args(["-c", &format!("ulimit {limit} 64 && exec \"$@\""), "sh"])
        .arg(program())
        .args(["ssh", "h[001-200]", "true"]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap());
    Ended::from(output.await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_many_hosts_are_worked_on_at_once_as_files_may_be_open_and_a_warning_says_what_to_do() {
    let (server, home) = hosts().await;
    let ended = run(&home, "-n").await;
    assert_eq!(ended.status, 0, "{ended:?}");
    assert_eq!(server.faults().counters().connections, 200);
    assert!(
        ended
            .stderr
            .contains("may have 64 files open, which is enough for 4 hosts at once")
            && ended.stderr.contains("ulimit -n 544"),
        "{ended:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_low_limit_that_may_be_raised_is_raised_without_a_word() {
    let (server, home) = hosts().await;
    let ended = run(&home, "-S -n").await;
    assert_eq!(ended.status, 0, "{ended:?}");
    assert_eq!(server.faults().counters().connections, 200);
    assert!(!ended.stderr.contains("files open"), "{ended:?}");
}
