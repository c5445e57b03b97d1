//! What the forwards of a test lead to.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

/// A listener on a free port of an IPv4 address that answers every connection with what it was sent, once the client has
/// said all. Returns the port.
///
/// # Panics
/// When it cannot listen.
pub async fn echo(address: &str) -> u16 {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{address}:0").parse().unwrap()).unwrap();
    // A thousand connections at once overflow a shorter queue, and the kernel then resets some of them.
    let listener = socket.listen(4096).unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut said = Vec::new();
                // A client that was cut off gets no answer.
                if stream.read_to_end(&mut said).await.is_ok() {
                    let _ = stream.write_all(&said).await;
                }
            });
        }
    });
    port
}
