//! The server of all hosts, as a process of its own.

use std::error::Error;
use std::io::{BufRead, Write};
use std::net::{Ipv4Addr, SocketAddr};

use serde_json::json;
use sternline_server::{Credential, Reply, Server};
use tokio::runtime::Builder;

use super::measure::USER;
use super::process::resident_kib;

/// The first argument of the server's process.
pub(crate) const SERVER: &str = "idle-server";

/// Says its port and host key in one line, then answers each line of its input with its memory, until the input
/// ends. Its argument is the file of the public key that logs in.
///
/// # Errors
/// When it cannot listen, or the file holds no key.
pub(crate) fn server(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let [key] = arguments else {
        return Err("the server needs a public key".into());
    };
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let server = Server::builder()
        .user(USER, Credential::public_key(&std::fs::read_to_string(key)?)?)
        .command("true", Reply::stdout(""))
        .max_connections(usize::from(u16::MAX))
        .danger_bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)));
    let server = runtime.block_on(server.bind())?;
    let before = resident_kib()?;
    let mut answers = std::io::stdout().lock();
    let host_key = server.host_key();
    writeln!(
        answers,
        "{} {} {}",
        server.port(),
        host_key.algorithm(),
        host_key.to_base64()
    )?;
    for line in std::io::stdin().lock().lines() {
        line?;
        let state = json!({
            "before_kib": before,
            "resident_kib": resident_kib()?,
        });
        writeln!(answers, "{state}")?;
    }
    Ok(())
}
