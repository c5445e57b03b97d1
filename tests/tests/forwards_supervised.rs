//! Forwards that survive the loss of their connection, on a real sshd.

use std::time::Duration;

use sternline::{ConnectionState, EventCollector, EventType, RetryPolicy, Supervisor};
use sternline_tests::processes::eventually;
use sternline_tests::sshd::Sshd;
use sternline_tests::targets::echo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

const LONG: Duration = Duration::from_secs(30);

async fn supervise(server: &Sshd, events: &EventCollector) -> Supervisor {
    let policy = RetryPolicy {
        max_retries: 20,
        base_delay: Duration::from_millis(50),
        max_delay: Duration::from_millis(500),
        ..RetryPolicy::default()
    };
    Supervisor::builder(server.builder().events(events))
        .retry(policy)
        .start()
        .await
        .unwrap()
}

async fn says(port: u16, text: &str) -> std::io::Result<String> {
    let exchange = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.write_all(text.as_bytes()).await?;
        stream.shutdown().await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    };
    timeout(LONG, exchange).await.unwrap()
}

/// Ends the server's process of the current connection, which nobody announces.
async fn cut(supervisor: &Supervisor) {
    let connection = supervisor.connection().unwrap();
    let _ = connection.exec("kill -9 $PPID").await;
    timeout(LONG, connection.ended()).await.unwrap();
}

#[tokio::test]
async fn after_a_loss_every_forward_is_back_on_its_port_under_its_handle() {
    let server = Sshd::start();
    let events = EventCollector::new();
    let supervisor = supervise(&server, &events).await;
    let target = echo("127.0.0.1").await;
    let local = supervisor.forward_local(0, "127.0.0.1", target).await.unwrap();
    let remote = supervisor.forward_remote(0, "127.0.0.1", target).await.unwrap();
    let dynamic = supervisor.forward_dynamic(0).await.unwrap();
    let closed = supervisor.forward_local(0, "127.0.0.1", target).await.unwrap();
    let ports = [&local, &remote, &dynamic, &closed].map(|forward| forward.local_port());
    closed.close().await;
    for round in 0..3_u32 {
        assert_eq!(says(ports[0], "there").await.unwrap(), "there");
        assert_eq!(says(ports[1], "back").await.unwrap(), "back");
        let mut open = TcpStream::connect(("127.0.0.1", ports[0])).await.unwrap();
        open.write_all(b"half a question").await.unwrap();
        while local.open_connections() == 0 {
            tokio::task::yield_now().await;
        }

        cut(&supervisor).await;
        // What was under way is reset; what comes now waits for the connection.
        let mut rest = Vec::new();
        assert!(timeout(LONG, open.read_to_end(&mut rest)).await.unwrap().is_err());
        assert_eq!(says(ports[0], "meanwhile").await.unwrap(), "meanwhile");
        assert_eq!(supervisor.reconnection_count(), round + 1);
        timeout(LONG, async {
            while !remote.is_active() {
                supervisor.forward_manager().replay_all().await;
            }
        })
        .await
        .unwrap();
        let now = [&local, &remote, &dynamic].map(|forward| forward.local_port());
        assert_eq!(now, ports[..3]);
    }
    assert!(!closed.is_active());
    assert!(TcpStream::connect(("127.0.0.1", ports[3])).await.is_err());
    assert_eq!(supervisor.forward_manager().active_forwards().len(), 3);

    supervisor.close().await;
    assert_eq!(supervisor.state(), ConnectionState::Disconnected);
    for port in [ports[0], ports[2]] {
        assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err());
    }
    assert!(!local.is_active() && !remote.is_active() && !dynamic.is_active());
    let closed = events.by_type(EventType::Forward);
    let closed = closed.iter().filter(|event| event.data["status"] == "closed");
    assert_eq!(closed.count(), 4);
}

#[tokio::test]
async fn a_supervisor_that_gives_up_closes_its_forwards() {
    let server = Sshd::start();
    let events = EventCollector::new();
    let policy = RetryPolicy {
        max_retries: 1,
        base_delay: Duration::from_millis(10),
        max_delay: Duration::from_millis(10),
        ..RetryPolicy::default()
    };
    let supervisor = Supervisor::builder(server.builder().events(&events))
        .retry(policy)
        .start()
        .await
        .unwrap();
    let target = echo("127.0.0.1").await;
    let local = supervisor.forward_local(0, "127.0.0.1", target).await.unwrap();
    let connection = supervisor.connection().unwrap();
    drop(server);
    timeout(LONG, connection.ended()).await.unwrap();
    let waiting = says(local.local_port(), "anybody?");
    assert!(waiting.await.is_err());
    assert!(!supervisor.wait_connected(Some(LONG)).await);
    assert_eq!(supervisor.state(), ConnectionState::Failed);
    timeout(LONG, async {
        while local.is_active() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    assert!(supervisor.forward_local(0, "127.0.0.1", target).await.is_err());
    supervisor.close().await;
}

#[tokio::test]
async fn a_client_that_has_gone_during_an_outage_is_not_taken_to_its_target() {
    let mut server = Sshd::start();
    let events = EventCollector::new();
    let supervisor = supervise(&server, &events).await;
    let target = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = target.local_addr().unwrap().port();
    let local = supervisor.forward_local(0, "127.0.0.1", port).await.unwrap();
    let connection = supervisor.connection().unwrap();
    server.stop();
    timeout(LONG, connection.ended()).await.unwrap();
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(
            TcpStream::connect(("127.0.0.1", local.local_port()))
                .await
                .unwrap(),
        );
    }
    eventually("all are waiting", || local.open_connections() == 20).await;
    for client in clients {
        client.set_zero_linger().unwrap();
    }
    eventually("all are let go", || local.open_connections() == 0).await;
    server.start_again();
    assert!(supervisor.wait_connected(Some(LONG)).await);
    let mut stays = TcpStream::connect(("127.0.0.1", local.local_port()))
        .await
        .unwrap();
    stays.write_all(b"x").await.unwrap();
    let (mut first, _) = timeout(LONG, target.accept()).await.unwrap().unwrap();
    let mut byte = [0];
    first.read_exact(&mut byte).await.unwrap();
    assert_eq!(&byte, b"x");
    supervisor.close().await;
}

#[tokio::test]
async fn nothing_goes_on_connecting_for_a_connection_that_has_ended() {
    let server = Sshd::start();
    let events = EventCollector::new();
    let supervisor = supervise(&server, &events).await;
    // A listener whose queue is full answers nobody.
    let silent = tokio::net::TcpSocket::new_v4().unwrap();
    silent.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let silent = silent.listen(1).unwrap();
    let port = silent.local_addr().unwrap().port();
    let mut filling = Vec::new();
    while let Ok(Ok(stream)) = timeout(
        Duration::from_millis(300),
        TcpStream::connect(("127.0.0.1", port)),
    )
    .await
    {
        filling.push(stream);
    }
    let remote = supervisor.forward_remote(0, "127.0.0.1", port).await.unwrap();
    let _client = TcpStream::connect(("127.0.0.1", remote.local_port()))
        .await
        .unwrap();
    eventually("it is being connected", || remote.open_connections() == 1).await;
    supervisor.close().await;
    eventually("it is given up", || remote.open_connections() == 0).await;
}
