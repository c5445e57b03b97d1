//! One server of 127.0.0.1 under many addresses of loopback, as a fleet sees many hosts.

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

/// Address number `n` of the loopback network `127.NETWORK`.
#[must_use]
pub fn loopback(network: u8, n: usize) -> String {
    format!("127.{network}.{}.{}", n / 250, n % 250 + 1)
}

/// Leads the first `count` addresses of a loopback network to 127.0.0.1, on the same port, for as long as the runtime lives.
///
/// # Panics
/// When an address cannot be listened on.
pub async fn spread(port: u16, network: u8, count: usize) -> Vec<String> {
    let mut addresses = Vec::with_capacity(count);
    for n in 0..count {
        let address = loopback(network, n);
        let listener = TcpListener::bind((address.as_str(), port)).await.unwrap();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(lead(client, port));
            }
        });
        addresses.push(address);
    }
    addresses
}

async fn lead(mut client: TcpStream, port: u16) -> std::io::Result<()> {
    let mut server = TcpStream::connect(("127.0.0.1", port)).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}
