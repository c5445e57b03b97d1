//! What the seed about the inspectable SSH library promises of connections, authentication, events and errors: its
//! defaults and its examples, in Rust. `docs/coverage.md` refers to these tests row by row.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use sternline::auth::{AuthConfig, agent_available};
use sternline::config::Env;
use sternline::connection::Resolve;
use sternline::error::KeyLoadReason;
use sternline::event::{Event, EventCollector, EventType};
use sternline::exec::{Exit, ExitStatus, StreamData};
use sternline::{Connection, ConnectionBuilder, Deadlines, Error, ErrorKind, KeepaliveConfig};
use sternline_server::{Credential, KeyPair, Reply, Server};
use sternline_tests::sshd::Settings;
use tempfile::TempDir;

/// A server where `alice` logs in with a key or with the password `backup`, and the files of her client.
struct Fixture {
    server: Server,
    folder: TempDir,
}

impl Fixture {
    async fn start() -> Self {
        let pair = KeyPair::generate_ed25519().unwrap();
        let server = Server::builder()
            .user("alice", Credential::password("backup"))
            .user("alice", Credential::public_key(&pair.public_line()).unwrap())
            .command("whoami", Reply::stdout("alice\n"))
            .command("greet", Reply::new("out\n", "err\n", 3))
            .bind()
            .await
            .unwrap();
        let folder = TempDir::new().unwrap();
        write_private(&folder.path().join("id_ed25519"), &private_text(&pair));
        let ssh = folder.path().join(".ssh");
        std::fs::create_dir(&ssh).unwrap();
        std::fs::write(ssh.join("known_hosts"), server.known_hosts_line()).unwrap();
        Self { server, folder }
    }

    fn key(&self) -> PathBuf {
        self.folder.path().join("id_ed25519")
    }

    fn known_hosts(&self) -> PathBuf {
        self.folder.path().join(".ssh/known_hosts")
    }

    /// An environment in which alice's home directory is the fixture's folder, and no agent runs.
    fn env(&self) -> Env {
        let mut env = Env::default();
        env.home = Some(self.folder.path().to_owned());
        env.user = Some("alice".to_owned());
        env.temp_dir = self.folder.path().to_owned();
        env
    }

    /// A connection to the server, of which only the place and the environment are set.
    fn bare(&self) -> ConnectionBuilder {
        Connection::builder("127.0.0.1")
            .port(self.server.port())
            .env(self.env())
    }

    /// A connection that logs in with alice's key.
    fn builder(&self) -> ConnectionBuilder {
        self.bare().auth([AuthConfig::key(self.key())])
    }
}

fn private_text(pair: &KeyPair) -> String {
    use secrecy::ExposeSecret as _;
    pair.private_openssh().unwrap().expose_secret().to_owned()
}

/// Writes a file that only its owner may read, as private keys have to be.
fn write_private(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

fn statuses(events: &[Event], event_type: EventType) -> Vec<&str> {
    events
        .iter()
        .filter(|event| event.event_type == event_type)
        .filter_map(|event| event.data.get("status")?.as_str())
        .collect()
}

async fn refused(builder: ConnectionBuilder) -> Error {
    match builder.connect().await {
        Ok(connection) => panic!("{} let us in", connection.host()),
        Err(error) => error,
    }
}

// --- the connection and its defaults -------------------------------------------------------------------------------

#[tokio::test]
async fn a_key_logs_alice_in_and_whoami_answers() {
    let fixture = Fixture::start().await;
    let auth = AuthConfig::key(fixture.key());
    let connection = fixture
        .bare()
        .username("alice")
        .auth([auth])
        .connect()
        .await
        .unwrap();
    let result = connection.exec("whoami").await.unwrap();
    assert_eq!(result.stdout_text(), "alice\n");
    connection.close().await;
}

#[tokio::test]
async fn the_result_of_a_command_has_both_streams_and_the_exit_code() {
    let fixture = Fixture::start().await;
    let connection = fixture.builder().connect().await.unwrap();
    let result = connection.exec("greet").await.unwrap();
    assert_eq!((&*result.stdout, &*result.stderr), (&b"out\n"[..], &b"err\n"[..]));
    assert_eq!(result.exit_code(), Some(3));
}

#[tokio::test]
async fn after_close_nothing_runs_and_a_disconnect_was_told() {
    let fixture = Fixture::start().await;
    let collector = EventCollector::new();
    let connection = fixture.builder().events(&collector).connect().await.unwrap();
    assert!(connection.is_connected());
    connection.close().await;
    assert!(!connection.is_connected());
    assert!(
        connection
            .exec("whoami")
            .await
            .unwrap_err()
            .kind()
            .is_connection()
    );
    assert_eq!(collector.by_type(EventType::Disconnect).len(), 1);
}

/// A resolver that knows no name, so that a connection goes no further than its settings.
struct NoNames;

impl Resolve for NoNames {
    fn resolve<'a>(
        &'a self,
        _: &'a str,
        _: u16,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

#[tokio::test]
async fn the_port_is_22_and_the_user_the_current_one_unless_told_otherwise() {
    let fixture = Fixture::start().await;
    let nowhere = |target: &str| {
        Connection::builder(target)
            .env(fixture.env())
            .resolver(Arc::new(NoNames))
    };
    let error = refused(nowhere("example.com")).await;
    assert_eq!(error.context().host.as_deref(), Some("example.com"));
    assert_eq!(error.context().port, Some(22));
    assert_eq!(error.context().username.as_deref(), Some("alice"));

    let error = refused(nowhere("example.com").port(2222).username("bob")).await;
    assert_eq!(
        (error.context().port, error.context().username.as_deref()),
        (Some(2222), Some("bob"))
    );
    let error = refused(nowhere("carol@example.com:2200").port(2222).username("bob")).await;
    assert_eq!(
        (error.context().port, error.context().username.as_deref()),
        (Some(2200), Some("carol"))
    );
}

#[tokio::test]
async fn an_empty_host_is_refused_before_anything_is_sent() {
    let error = refused(Connection::builder("")).await;
    assert_eq!(error.kind(), &ErrorKind::Invalid);
}

#[test]
fn connecting_may_take_thirty_seconds() {
    assert_eq!(Deadlines::default().overall, Duration::from_secs(30));
}

#[tokio::test]
async fn by_default_the_users_known_hosts_decides_and_strictly() {
    let fixture = Fixture::start().await;
    assert!(fixture.builder().connect().await.is_ok());
    std::fs::write(fixture.known_hosts(), "").unwrap();
    assert_eq!(
        refused(fixture.builder()).await.kind(),
        &ErrorKind::HostKeyMismatch
    );
}

#[tokio::test]
async fn a_known_hosts_file_that_is_named_is_the_one_that_counts() {
    let fixture = Fixture::start().await;
    let elsewhere = fixture.folder.path().join("hosts");
    std::fs::rename(fixture.known_hosts(), &elsewhere).unwrap();
    assert_eq!(
        refused(fixture.builder()).await.kind(),
        &ErrorKind::HostKeyMismatch
    );
    assert!(fixture.builder().known_hosts([elsewhere]).connect().await.is_ok());
}

#[tokio::test]
async fn verification_is_switched_off_only_by_the_option_named_danger() {
    let fixture = Fixture::start().await;
    std::fs::write(fixture.known_hosts(), "").unwrap();
    let connection = fixture
        .builder()
        .danger_accept_any_host_key()
        .connect()
        .await
        .unwrap();
    assert!(connection.exec("whoami").await.unwrap().ok());
}

#[tokio::test]
async fn the_legacy_parameters_log_in_with_keys_and_password() {
    let fixture = Fixture::start().await;
    let by_key = fixture
        .bare()
        .client_keys([fixture.key()])
        .connect()
        .await
        .unwrap();
    assert_eq!(by_key.auth_method(), "private_key");
    let by_password = fixture.bare().password("backup").connect().await.unwrap();
    assert_eq!(by_password.auth_method(), "password");
}

#[tokio::test]
async fn without_auth_the_default_keys_are_found() {
    let fixture = Fixture::start().await;
    let default = fixture.folder.path().join(".ssh/id_ed25519");
    assert_eq!(refused(fixture.bare()).await.kind(), &ErrorKind::AuthFailed);
    std::fs::rename(fixture.key(), default).unwrap();
    assert!(fixture.bare().connect().await.is_ok());
}

/// A server that can fall silent: forwards to another one until it is told to stop, and then keeps the sockets open.
async fn silencer(upstream: SocketAddr) -> (SocketAddr, tokio::sync::oneshot::Sender<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (silence, silenced) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut server = tokio::net::TcpStream::connect(upstream).await.unwrap();
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
            _ = silenced => std::future::pending().await,
        }
    });
    (address, silence)
}

#[tokio::test]
async fn keepalive_notices_a_server_that_fell_silent() {
    let fixture = Fixture::start().await;
    let (address, silence) = silencer(fixture.server.addr()).await;
    let collector = EventCollector::new();
    let keepalive = KeepaliveConfig {
        interval: Duration::from_millis(50),
        max_count: 2,
        ..KeepaliveConfig::default()
    };
    let connection = fixture
        .builder()
        .port(address.port())
        .danger_accept_any_host_key()
        .keepalive(keepalive)
        .events(&collector)
        .connect()
        .await
        .unwrap();
    silence.send(()).unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(30), connection.ended())
        .await
        .unwrap();
    assert!(ended.kind().is_connection(), "{ended}");
    assert!(!connection.is_connected());
    assert_eq!(
        collector.by_type(EventType::Disconnect)[0].data["reason"],
        "keepalive_timeout"
    );
}

#[test]
fn keepalive_asks_after_thirty_seconds_and_gives_up_after_three() {
    let default = KeepaliveConfig::default();
    assert_eq!(
        (default.interval, default.max_count),
        (Duration::from_secs(30), 3)
    );
}

// --- authentication ------------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_password_logs_in() {
    let fixture = Fixture::start().await;
    let connection = fixture
        .bare()
        .auth([AuthConfig::password("backup")])
        .connect()
        .await
        .unwrap();
    assert_eq!(connection.auth_method(), "password");
}

#[tokio::test]
async fn a_key_with_a_passphrase_logs_in() {
    let folder = TempDir::new().unwrap();
    let key = folder.path().join("id_rsa");
    let status = std::process::Command::new("ssh-keygen")
        .args(["-q", "-t", "rsa", "-b", "2048", "-N", "key-secret", "-f"])
        .arg(&key)
        .status()
        .expect("ssh-keygen is missing: install openssh-client");
    assert!(status.success());
    let line = std::fs::read_to_string(key.with_extension("pub")).unwrap();
    let server = Server::builder()
        .user("alice", Credential::public_key(&line).unwrap())
        .bind()
        .await
        .unwrap();
    let known_hosts = folder.path().join("known_hosts");
    std::fs::write(&known_hosts, server.known_hosts_line()).unwrap();

    let connect = |auth| {
        let target = format!("alice@{}", server.addr());
        Connection::builder(target)
            .known_hosts([known_hosts.clone()])
            .auth([auth])
            .connect()
    };
    assert!(
        connect(AuthConfig::key(&key).passphrase("key-secret"))
            .await
            .is_ok()
    );
    let error = connect(AuthConfig::key(&key).passphrase("wrong"))
        .await
        .map(|_| ())
        .unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::KeyLoad(KeyLoadReason::WrongPassphrase));
}

#[tokio::test]
async fn a_chain_falls_back_from_agent_and_key_to_the_password() {
    let fixture = Fixture::start().await;
    let stranger = fixture.folder.path().join("stranger");
    write_private(&stranger, &private_text(&KeyPair::generate_ed25519().unwrap()));
    assert!(!agent_available(&fixture.env()));

    let collector = EventCollector::new();
    let chain = [
        AuthConfig::agent(),
        AuthConfig::key(stranger),
        AuthConfig::password("backup"),
    ];
    let connection = fixture
        .bare()
        .auth(chain)
        .events(&collector)
        .connect()
        .await
        .unwrap();
    assert_eq!(connection.auth_method(), "password");
    let auth = collector.by_type(EventType::Auth);
    assert_eq!(statuses(&auth, EventType::Auth).last(), Some(&"success"));
    assert!(statuses(&auth, EventType::Auth).contains(&"failed"));
}

// --- streams and events --------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_stream_gives_output_and_then_one_exit() {
    let fixture = Fixture::start().await;
    let connection = fixture.builder().connect().await.unwrap();
    let mut stream = connection.stream_exec("greet").await.unwrap();
    let (mut out, mut err, mut exits) = (Vec::new(), Vec::new(), Vec::new());
    while let Some(event) = stream.next().await {
        assert!(
            event.timestamp > 1.6e12,
            "milliseconds since 1970: {}",
            event.timestamp
        );
        assert_eq!(event.exit_code().is_some(), event.stream() == "exit");
        match event.data {
            StreamData::Stdout(bytes) => out.extend_from_slice(&bytes),
            StreamData::Stderr(bytes) => err.extend_from_slice(&bytes),
            StreamData::Exit(exit) => exits.push(exit),
        }
    }
    assert_eq!((&*out, &*err), (&b"out\n"[..], &b"err\n"[..]));
    assert!(
        matches!(exits.as_slice(), [Exit::Status(ExitStatus::Code(3))]),
        "{exits:?}"
    );
}

#[tokio::test]
async fn a_collector_gets_the_events_of_a_connection_in_order() {
    let fixture = Fixture::start().await;
    let collector = EventCollector::new();
    let connection = fixture.builder().events(&collector).connect().await.unwrap();
    connection.exec("whoami").await.unwrap();
    connection.close().await;

    let types: Vec<_> = collector
        .events()
        .iter()
        .map(|event| event.event_type.as_str())
        .collect();
    assert_eq!(types, ["CONNECT", "AUTH", "CONNECT", "EXEC", "DISCONNECT"]);
    let auth = collector.by_type(EventType::Auth);
    assert_eq!(auth[0].data["method"], "private_key");
    assert_eq!(collector.by_type(EventType::Exec)[0].data["command"], "whoami");
    assert_eq!(
        statuses(&collector.events(), EventType::Connect),
        ["initiating", "connected"]
    );
}

#[tokio::test]
async fn the_event_log_holds_the_same_events_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let fixture = Fixture::start().await;
    let path = fixture.folder.path().join("logs/events.jsonl");
    let collector = EventCollector::new();
    let builder = fixture
        .bare()
        .password("backup")
        .events(&collector)
        .event_log_path(&path);
    let connection = builder.connect().await.unwrap();
    connection.exec("whoami").await.unwrap();
    connection.close().await;

    let text = std::fs::read_to_string(&path).unwrap();
    let logged: Vec<_> = text.lines().map(|line| Event::from_json(line).unwrap()).collect();
    assert_eq!(logged, collector.events());
    assert!(!text.contains("backup"), "{text}");
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

// --- errors --------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn each_failure_has_its_kind_and_its_context() {
    let fixture = Fixture::start().await;
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent_port = silent.local_addr().unwrap().port();
    let missing = fixture.folder.path().join("missing");
    let in_time = Duration::from_millis(300);

    for (builder, kind) in [
        (fixture.builder().port(closed), ErrorKind::ConnectionRefused),
        (
            fixture.builder().port(silent_port).connect_timeout(in_time),
            ErrorKind::ConnectionTimeout,
        ),
        (
            fixture
                .builder()
                .resolver(Arc::new(NoNames))
                .address("nowhere.invalid"),
            ErrorKind::HostUnreachable,
        ),
        (fixture.bare().password("wrong"), ErrorKind::AuthFailed),
        (
            fixture.bare().client_keys([missing.clone()]),
            ErrorKind::KeyLoad(KeyLoadReason::FileNotFound),
        ),
    ] {
        let error = refused(builder).await;
        assert_eq!(error.kind(), &kind, "{error}");
        assert_eq!(error.context().host.as_deref(), Some("127.0.0.1"));
        assert_eq!(error.to_dict()["error_type"], error.error_type());
        assert!(
            !error.hint().is_empty(),
            "{error} leaves its reader without a next step"
        );
        match kind {
            ErrorKind::KeyLoad(_) => assert_eq!(error.context().key_path.as_deref(), Some(&*missing)),
            ErrorKind::AuthFailed => assert_eq!(error.context().auth_method.as_deref(), Some("password")),
            ErrorKind::ConnectionRefused => assert!(error.context().original_error.is_some()),
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_server_with_old_algorithms_only_is_no_mutual_kex() {
    let server = Settings::default()
        .option("KexAlgorithms diffie-hellman-group14-sha1")
        .start();
    let error = refused(server.builder()).await;
    assert_eq!(error.kind(), &ErrorKind::NoMutualKex, "{error}");
}
