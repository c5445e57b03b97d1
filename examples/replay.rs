//! A bug report becomes a test: the bundle that came with it answers as the host did.
//!
//!     cargo run --example replay

#![allow(clippy::print_stdout, reason = "an example talks to a person")]

use sternline::exec::Command;
use sternline::host_key::KnownHosts;
use sternline::{Connection, ErrorKind};
use sternline_server::replay::Replay;
use sternline_server::{Credential, Server};

/// What `sternline ssh --evidence bug_report.json --record-output files.example "df -P '/srv/old backups'"` wrote on the
/// reporter's machine, and then a second one like it.
const BUG_REPORT: &str = include_str!("bug_report.json");

/// The code under test: how full the file system with this directory is, in per cent.
async fn fullness(connection: &Connection, directory: &str) -> sternline::Result<Option<u8>> {
    let df = Command::program("df").args(["-P", directory]);
    let output = connection.exec(df).await?.success()?;
    // The report was about this line: the last word is not the whole directory where that has a blank in its name.
    let text = output.stdout_text();
    let line = text.lines().nth(1).unwrap_or_default();
    let capacity = line.split_whitespace().find_map(|word| word.strip_suffix('%'));
    Ok(capacity.and_then(|number| number.parse().ok()))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The recorded host, on a free port of loopback. Who may log in is up to the test.
    let replay = Replay::from_text(BUG_REPORT)?;
    let server = Server::builder()
        .user("deploy", Credential::password("test"))
        .replay(replay.clone())
        .bind()
        .await?;
    let known_hosts = KnownHosts::from_bytes("the server's own line", server.known_hosts_line().as_bytes());
    let connection = Connection::builder(format!("deploy@{}", server.addr()))
        .known_hosts_parsed(known_hosts, None)
        .password("test")
        .connect()
        .await?;

    // What the reporter saw, and what is expected of it.
    assert_eq!(fullness(&connection, "/srv/old backups").await?, Some(97));
    let error = fullness(&connection, "/srv/nothing").await.err();
    assert_eq!(
        error.map(|error| error.kind().clone()),
        Some(ErrorKind::CommandFailed)
    );
    println!("as recorded: {} commands", replay.answered());

    // Code that asks for something else is told so, and the test can say what the report does not hold.
    fullness(&connection, "/srv").await.err();
    for command in replay.missing() {
        println!("not in the recording: {command}");
    }
    connection.close().await;
    server.shutdown().await;
    Ok(())
}
