//! A test with an SSH server inside: no daemon, no files, no fixed port.
//!
//!     cargo run --example embedded_server

#![allow(clippy::print_stdout, reason = "an example talks to a person")]

use sternline::auth::PrivateKey;
use sternline::host_key::KnownHosts;
use sternline::{AuthConfig, Connection, EventCollector, EventType};
use sternline_server::{Credential, Reply, Server};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A server that knows one user and two commands. It listens on loopback, on any free port.
    let key = PrivateKey::generate()?;
    let public_line = format!("{} {}", key.public().algorithm(), key.public().to_base64());
    let server = Server::builder()
        .user("deploy", Credential::public_key(&public_line)?)
        .command("systemctl restart app", Reply::stdout("restarted\n"))
        .command("systemctl restart db", Reply::new("", "no such unit\n", 5))
        .bind()
        .await?;

    // A real connection: its host key is verified like any other.
    let known_hosts = KnownHosts::from_bytes("the server's own line", server.known_hosts_line().as_bytes());
    let events = EventCollector::new();
    let connection = Connection::builder(format!("deploy@{}", server.addr()))
        .auth([AuthConfig::key_data(key)])
        .known_hosts_parsed(known_hosts, None)
        .events(&events)
        .connect()
        .await?;

    // The code under test would stand here.
    assert_eq!(
        connection.exec("systemctl restart app").await?.stdout_text(),
        "restarted\n"
    );
    if let Err(error) = connection.exec("systemctl restart db").await?.success() {
        println!("{error}");
    }
    connection.close().await;

    // What the server was asked, and what the client noted.
    for entry in server.log() {
        println!(
            "{} ran {:?}: {:?}",
            entry.user,
            entry.command.unwrap_or_default(),
            entry.exit
        );
    }
    println!("{} AUTH event(s)", events.by_type(EventType::Auth).len());
    server.shutdown().await;
    Ok(())
}
