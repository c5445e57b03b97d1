//! Which connections a transfer runs on: much data gets one of its own where that needs nobody. And servers that do not keep
//! to what others do.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use sternline::config::Env;
use sternline::prompt::{Answer, HostKeyQuestion, Prompter, SecretQuestion};
use sternline::secret::Secret;
use sternline::transfer::{Source, Target};
use sternline::{AuthConfig, Connection, ConnectionBuilder, EventCollector, EventType, Transfer};
use sternline_server::fault::{Fault, FaultProxy, ServerFault};
use sternline_server::{Credential, Server, VirtualFiles};
use sternline_tests::processes::eventually;
use sternline_tests::sshd::{Settings, Sshd};

const LARGE: usize = 33 << 20;

/// A server behind a link, and a directory with a large file.
struct Ends {
    server: Sshd,
    link: FaultProxy,
    folder: PathBuf,
    events: EventCollector,
}

impl Ends {
    async fn new() -> Self {
        let server = Settings::default().option("Subsystem sftp internal-sftp").start();
        let link = FaultProxy::start(SocketAddr::from((Ipv4Addr::LOCALHOST, server.port())));
        let folder = server.path("files");
        fs::create_dir(&folder).unwrap();
        let content: Vec<u8> = (0..LARGE).map(|at| (at / 251) as u8).collect();
        fs::write(folder.join("large"), content).unwrap();
        Self {
            link: link.await.unwrap(),
            server,
            folder,
            events: EventCollector::new(),
        }
    }

    fn builder(&self) -> ConnectionBuilder {
        ConnectionBuilder::from(format!("{}@{}", self.server.user().name, self.link.addr()))
            .auth([AuthConfig::key(self.server.key())])
            .danger_accept_any_host_key()
            .events(&self.events)
    }

    /// Uploads the large file, downloads it again, and looks whether it is the same.
    async fn both_ways(&self, connection: &Connection) {
        let path = |name| self.folder.join(name);
        let up = Transfer::upload(path("large"), path("there"));
        connection.transfer(up).await.success().unwrap();
        let down = Transfer::download(path("there"), path("back"));
        connection.transfer(down).await.success().unwrap();
        assert!(fs::read(path("back")).unwrap() == fs::read(path("large")).unwrap());
        let names = fs::read_dir(&self.folder).unwrap();
        assert_eq!(names.count(), 3);
    }

    /// How many logins there were.
    fn logins(&self) -> usize {
        let connects = self.events.by_type(EventType::Connect);
        let connected = connects
            .iter()
            .filter(|event| event.data["status"] == "connected");
        connected.count()
    }
}

#[tokio::test]
async fn much_data_goes_over_a_connection_of_its_own_which_ends_with_the_transfer() {
    let ends = Ends::new().await;
    let connection = ends.builder().connect().await.unwrap();
    let small = Transfer::upload("/etc/hostname", ends.folder.join("small"));
    connection.transfer(small).await.success().unwrap();
    assert_eq!(ends.logins(), 1);
    fs::remove_file(ends.folder.join("small")).unwrap();

    ends.both_ways(&connection).await;
    assert_eq!(ends.logins(), 3);
    eventually("the ends of the two further connections", || {
        ends.link.faults().counters().open == 1
    })
    .await;
    assert!(connection.exec("true").await.unwrap().ok());
    connection.close().await;
}

#[tokio::test]
async fn a_connection_that_is_there_for_data_is_used_itself() {
    let ends = Ends::new().await;
    let connection = ends.builder().bulk_data().connect().await.unwrap();
    ends.both_ways(&connection).await;
    assert_eq!(ends.logins(), 1);
}

#[tokio::test]
async fn where_a_second_login_is_refused_the_first_connection_carries_everything() {
    let ends = Ends::new().await;
    let connection = ends.builder().connect().await.unwrap();
    ends.link.faults().set_next(Fault::Refuse);
    ends.both_ways(&connection).await;
    assert_eq!(ends.logins(), 1);
}

#[tokio::test]
async fn when_the_second_connection_is_lost_the_first_one_goes_on_with_the_file() {
    let ends = Ends::new().await;
    let connection = ends.builder().connect().await.unwrap();
    ends.link.faults().set_next(Fault::DropAfter(9_000_000));
    ends.both_ways(&connection).await;
    assert_eq!((ends.logins(), ends.link.faults().counters().fired), (3, 2));
    assert!(connection.is_connected());
}

/// Knows the password, and counts how often it is asked for.
struct Person(AtomicU32);

impl Prompter for Person {
    fn trust_host_key<'a>(&'a self, _question: &'a HostKeyQuestion) -> Answer<'a, bool> {
        Box::pin(async { true })
    }

    fn secret<'a>(&'a self, _question: &'a SecretQuestion) -> Answer<'a, Option<Secret>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Box::pin(async { Some("secret".into()) })
    }
}

#[tokio::test]
async fn nobody_is_asked_a_second_time_for_the_sake_of_speed() {
    let files = VirtualFiles::new();
    files.add_file("/large", vec![7; LARGE], 0o644).unwrap();
    let server = Server::builder().user("ann", Credential::password("secret"));
    let server = server.files(files).bind().await.unwrap();
    let person = Arc::new(Person(AtomicU32::new(0)));
    let settings = |auth: Option<AuthConfig>| {
        Connection::builder(format!("ann@{}", server.addr()))
            .danger_accept_any_host_key()
            .auth(auth)
            .env(Env::default())
            .prompter(Arc::clone(&person) as Arc<dyn Prompter>)
    };
    for (auth, logins, asked) in [(None, 1, 1), (Some(AuthConfig::password("secret")), 2, 1)] {
        let events = EventCollector::new();
        let connection = settings(auth).events(&events).connect().await.unwrap();
        let down = Transfer::download("/large", Target::Memory);
        let result = connection.transfer(down).await.success().unwrap();
        assert_eq!(result.content.unwrap().len(), LARGE);
        let connects = events.by_type(EventType::Connect);
        let connected = connects
            .iter()
            .filter(|event| event.data["status"] == "connected");
        assert_eq!(
            (connected.count(), person.0.load(Ordering::Relaxed)),
            (logins, asked)
        );
    }
}

#[tokio::test]
async fn on_a_server_that_replaces_nothing_the_old_file_makes_way_and_nothing_else_is_left() {
    let files = VirtualFiles::new();
    files.add_file("/file", "old", 0o644).unwrap();
    let server = Server::builder().user("ann", Credential::password("secret"));
    let server = server.files(files.clone()).bind().await.unwrap();
    server.set_fault("no-extensions".parse::<ServerFault>().unwrap());
    let connection = Connection::builder(format!("ann@{}", server.addr()))
        .danger_accept_any_host_key()
        .password("secret")
        .connect()
        .await
        .unwrap();
    for content in ["new", "newer"] {
        let up = Transfer::upload(Source::bytes("file", content), "/file");
        connection.transfer(up).await.success().unwrap();
        assert_eq!(files.file("/file").unwrap().content, content.as_bytes());
        assert_eq!(files.paths().len(), 1, "{:?}", files.paths());
    }
}

#[tokio::test]
async fn a_name_that_is_listed_twice_is_told_and_copied_once() {
    let folder = tempfile::tempdir().unwrap();
    let files = VirtualFiles::new();
    files.add_file("/dir/one", "1", 0o644).unwrap();
    files.add_file("/dir/two", "2", 0o644).unwrap();
    let server = Server::builder().user("ann", Credential::password("secret"));
    let server = server.files(files).bind().await.unwrap();
    server.set_fault("list-name:one".parse::<ServerFault>().unwrap());
    let connection = Connection::builder(format!("ann@{}", server.addr()))
        .danger_accept_any_host_key()
        .password("secret")
        .connect()
        .await
        .unwrap();
    let down = Transfer::download("/dir", folder.path().join("dir")).recursive(true);
    let result = connection.transfer(down).await;
    assert_eq!((result.copied, result.failed), (2, 1), "{result:?}");
    let error = result.success().unwrap_err();
    assert!(
        error.to_string().contains("lists an entry of /dir twice: one"),
        "{error}"
    );
    assert_eq!(fs::read(folder.path().join("dir/one")).unwrap(), b"1");
}
