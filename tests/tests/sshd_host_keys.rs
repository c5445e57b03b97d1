//! Host keys of real servers: what is refused, what is recorded, and what the messages say.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use sternline::host_key::HostKeyTrust;
use sternline::prompt::{Answer, HostKeyQuestion, Prompter, SecretQuestion};
use sternline::{
    AuthConfig, Connection, ConnectionBuilder, Error, ErrorKind, EventCollector, EventType, HostKeyPolicy,
    Phase, Secret,
};
use sternline_tests::sshd::{Settings, Sshd, keygen};

fn builder(server: &Sshd, known_hosts: &Path) -> ConnectionBuilder {
    Connection::builder(server.target())
        .known_hosts([known_hosts.to_owned()])
        .auth([AuthConfig::key(server.key())])
}

fn write(server: &Sshd, name: &str, text: &str) -> PathBuf {
    let path = server.path(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn fingerprint(path: &Path) -> String {
    let output = Command::new("ssh-keygen").arg("-lf").arg(path).output().unwrap();
    String::from_utf8(output.stdout)
        .unwrap()
        .split(' ')
        .nth(1)
        .unwrap()
        .to_owned()
}

/// Checks that no credential was offered: the server must not even have seen the user's name.
async fn refused(server: &Sshd, builder: ConnectionBuilder) -> Error {
    let logins = |log: String| log.matches("publickey").count();
    let before = logins(server.log());
    let events = EventCollector::new();
    let error = builder.events(&events).connect().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.phase()),
        (&ErrorKind::HostKeyMismatch, Some(Phase::HostKey)),
        "{error}"
    );
    assert!(
        events.by_type(EventType::Auth).is_empty(),
        "a credential was offered"
    );
    assert_eq!(logins(server.log()), before, "{}", server.log());
    error
}

#[tokio::test]
async fn a_changed_key_is_refused_naming_file_line_and_both_fingerprints() {
    let server = Sshd::start();
    let other = server.path("other");
    keygen(&other, "ed25519");
    let public = std::fs::read_to_string(server.path("other.pub")).unwrap();
    let file = write(
        &server,
        "kh",
        &format!("# first line\n[127.0.0.1]:{} {public}", server.port()),
    );
    let message = refused(&server, builder(&server, &file)).await.to_string();
    for part in [
        format!("{}:2", file.display()),
        fingerprint(&other),
        fingerprint(&server.path("host_ed25519")),
        "has changed".into(),
    ] {
        assert!(message.contains(&part), "{part} is missing: {message}");
    }
}

#[tokio::test]
async fn a_revoked_key_is_refused_even_if_it_is_listed_as_trusted_too() {
    let server = Sshd::start();
    let line = server.known_hosts_line("ed25519");
    let key = line.split_once(' ').unwrap().1;
    for text in [
        format!("{line}@revoked * {key}"),
        format!("@revoked * {key}{line}"),
    ] {
        let file = write(&server, "kh", &text);
        let message = refused(
            &server,
            builder(&server, &file).host_key_policy(HostKeyPolicy::AcceptNew),
        )
        .await;
        assert!(message.to_string().contains("revoked"), "{message}");
    }
}

#[tokio::test]
async fn an_unknown_host_is_refused_and_nothing_is_written_or_recorded_when_asked_to() {
    let server = Sshd::start();
    let file = server.path("new/known_hosts");
    let error = refused(&server, builder(&server, &file)).await;
    assert!(error.to_string().contains("not known"), "{error}");
    assert!(error.hint().contains("sternline hostkeys add"), "{error:?}");
    assert!(!file.exists());

    let connection = builder(&server, &file)
        .host_key_policy(HostKeyPolicy::AcceptNew)
        .connect()
        .await
        .unwrap();
    assert!(matches!(connection.host_key().trust(), HostKeyTrust::Recorded(_)));
    let recorded = std::fs::read_to_string(&file).unwrap();
    assert!(
        recorded.starts_with(&format!("[127.0.0.1]:{} ssh-ed25519 ", server.port())),
        "{recorded}"
    );
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(
        std::fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );

    // What was recorded is what ssh itself reads, and what a strict connection accepts.
    builder(&server, &file).connect().await.unwrap();
    let ssh = Command::new("ssh")
        .args([
            "-F",
            "none",
            "-o",
            "BatchMode=yes",
            "-o",
            "StrictHostKeyChecking=yes",
            "-i",
        ])
        .arg(server.key())
        .arg("-o")
        .arg(format!("UserKnownHostsFile={}", file.display()))
        .args([
            "-p",
            &server.port().to_string(),
            &format!("{}@127.0.0.1", server.user().name),
            "echo fine",
        ])
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&ssh.stdout),
        "fine\n",
        "{}",
        String::from_utf8_lossy(&ssh.stderr)
    );
}

#[tokio::test]
async fn a_host_known_by_its_rsa_key_does_not_look_changed_because_it_has_others_too() {
    let server = Settings::default()
        .host_key("ed25519")
        .host_key("ecdsa")
        .host_key("rsa")
        .start();
    for (kind, algorithm) in [
        ("rsa", "rsa-sha2-512"),
        ("ecdsa", "ecdsa-sha2-nistp256"),
        ("ed25519", "ssh-ed25519"),
    ] {
        let file = write(&server, kind, &server.known_hosts_line(kind));
        let connection = builder(&server, &file).connect().await.unwrap();
        assert_eq!(connection.algorithms().unwrap().host_key, algorithm);
    }
}

#[tokio::test]
async fn hashed_and_wildcard_lines_are_found() {
    let server = Sshd::start();
    let file = server.known_hosts();
    let status = Command::new("ssh-keygen")
        .args(["-q", "-H", "-f"])
        .arg(&file)
        .output()
        .unwrap()
        .status;
    assert!(status.success());
    assert!(std::fs::read_to_string(&file).unwrap().starts_with("|1|"));
    builder(&server, &file).connect().await.unwrap();

    let key = server
        .known_hosts_line("ed25519")
        .split_once(' ')
        .unwrap()
        .1
        .to_owned();
    let file = write(
        &server,
        "wild",
        &format!("garbage line\n[127.0.0.?]:{} {key}", server.port()),
    );
    builder(&server, &file).connect().await.unwrap();
    let file = write(
        &server,
        "negated",
        &format!("[127.0.0.?]:{p},![127.0.0.1]:{p} {key}", p = server.port()),
    );
    refused(&server, builder(&server, &file)).await;
}

/// A server whose host key is certified: for these names, for this time, by a key named `ca`.
fn certified(principals: &str, validity: &str, user_certificate: bool) -> (Sshd, PathBuf) {
    let keys = tempfile::tempdir().unwrap().keep();
    keygen(&keys.join("ca"), "ed25519");
    keygen(&keys.join("host"), "ed25519");
    let mut sign = Command::new("ssh-keygen");
    sign.args(["-q", "-s"])
        .arg(keys.join("ca"))
        .args(["-I", "the-host", "-n", principals, "-V", validity]);
    if !user_certificate {
        sign.arg("-h");
    }
    assert!(sign.arg(keys.join("host.pub")).status().unwrap().success());
    let server = Settings::default()
        .option(&format!("HostKey {}", keys.join("host").display()))
        .option(&format!(
            "HostCertificate {}",
            keys.join("host-cert.pub").display()
        ))
        .start();
    (server, keys)
}

fn authority_line(server: &Sshd, keys: &Path, name: &str) -> PathBuf {
    let key = std::fs::read_to_string(keys.join(format!("{name}.pub"))).unwrap();
    write(
        server,
        "ca_known_hosts",
        &format!("@cert-authority [127.0.0.1]:{} {key}", server.port()),
    )
}

#[tokio::test]
async fn a_certificate_of_a_trusted_authority_is_accepted_and_others_are_refused_precisely() {
    let (server, keys) = certified("127.0.0.1", "-1d:+1d", false);
    let connection = builder(&server, &authority_line(&server, &keys, "ca"))
        .connect()
        .await
        .unwrap();
    assert!(matches!(
        connection.host_key().trust(),
        HostKeyTrust::Authority { .. }
    ));
    assert_eq!(
        connection.host_key().fingerprint(),
        fingerprint(&keys.join("host"))
    );

    keygen(&keys.join("stranger"), "ed25519");
    let error = refused_certificate(&server, &authority_line(&server, &keys, "stranger")).await;
    assert!(
        error.contains(&fingerprint(&keys.join("ca"))),
        "the unknown authority is not named: {error}"
    );
    std::fs::remove_dir_all(keys).unwrap();

    let (server, keys) = certified("db-1.example.com", "-1d:+1d", false);
    let error = refused_certificate(&server, &authority_line(&server, &keys, "ca")).await;
    assert!(
        error.contains("db-1.example.com"),
        "the certificate's names are not shown: {error}"
    );
    std::fs::remove_dir_all(keys).unwrap();

    let (server, keys) = certified("127.0.0.1", "-2d:-1d", false);
    let error = refused_certificate(&server, &authority_line(&server, &keys, "ca")).await;
    assert!(error.contains("expired"), "{error}");
    std::fs::remove_dir_all(keys).unwrap();
}

async fn refused_certificate(server: &Sshd, known_hosts: &Path) -> String {
    refused(server, builder(server, known_hosts)).await.to_string()
}

/// Answers every question about a host key in the same way, and remembers them.
struct Person {
    trusts: bool,
    asked: Mutex<Vec<HostKeyQuestion>>,
}

impl Prompter for Person {
    fn trust_host_key<'a>(&'a self, question: &'a HostKeyQuestion) -> Answer<'a, bool> {
        self.asked.lock().unwrap().push(question.clone());
        Box::pin(async { self.trusts })
    }

    fn secret<'a>(&'a self, _question: &'a SecretQuestion) -> Answer<'a, Option<Secret>> {
        Box::pin(async { None })
    }
}

#[tokio::test]
async fn a_person_is_asked_once_with_the_fingerprint_and_a_yes_is_recorded() {
    let server = Sshd::start();
    let file = server.path("kh");
    for (trusts, expected) in [(false, false), (true, true)] {
        let person = Arc::new(Person {
            trusts,
            asked: Mutex::default(),
        });
        let outcome = builder(&server, &file)
            .host_key_policy(HostKeyPolicy::Ask)
            .prompter(Arc::clone(&person) as Arc<dyn Prompter>)
            .connect()
            .await;
        assert_eq!(outcome.is_ok(), expected);
        let asked = person.asked.lock().unwrap();
        assert_eq!(asked.len(), 1);
        assert_eq!(asked[0].fingerprint, fingerprint(&server.path("host_ed25519")));
        assert_eq!(file.exists(), expected);
    }
    // Known now: nobody is asked again.
    let silent = Arc::new(Person {
        trusts: false,
        asked: Mutex::default(),
    });
    builder(&server, &file)
        .host_key_policy(HostKeyPolicy::Ask)
        .prompter(Arc::clone(&silent) as Arc<dyn Prompter>)
        .connect()
        .await
        .unwrap();
    assert!(silent.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn checking_can_be_switched_off_only_by_a_name_that_warns() {
    let server = Sshd::start();
    let file = write(&server, "empty", "");
    let connection = builder(&server, &file)
        .danger_accept_any_host_key()
        .connect()
        .await
        .unwrap();
    assert_eq!(connection.host_key().trust(), &HostKeyTrust::Unchecked);
    assert_eq!(
        std::fs::read_to_string(&file).unwrap(),
        "",
        "an unchecked key is never recorded"
    );
}
