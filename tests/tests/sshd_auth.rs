//! Logging in to a real sshd: every kind of credential, the order they are tried in, and how refusals are told.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use sternline::auth::{AuthConfig, agent_keys};
use sternline::config::Env;
use sternline::event::{EventCollector, EventType};
use sternline::evidence::{EvidenceRecorder, explain};
use sternline::{Connection, ConnectionBuilder, Error, ErrorKind};
use sternline_tests::left_out::left_out;
use sternline_tests::sshd::{Settings, Sshd, keygen};
use sternline_tests::users;

/// Runs a tool in the server's folder.
fn run(server: &Sshd, program: &str, args: &[&str]) {
    let output = Command::new(program)
        .args(args)
        .current_dir(server.path(""))
        .env("SSH_AUTH_SOCK", server.path("agent"))
        .output()
        .unwrap_or_else(|error| panic!("{program} is missing: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {errors}");
}

/// Lets whoever holds this key log in.
fn authorize(server: &Sshd, options: &str, key: &str) {
    let keys = server.path("authorized_keys");
    let mut text = std::fs::read_to_string(&keys).unwrap();
    text.push_str(options);
    text.push_str(&std::fs::read_to_string(server.path(&format!("{key}.pub"))).unwrap());
    std::fs::write(keys, text).unwrap();
}

/// A new key in the server's folder.
fn make(server: &Sshd, name: &str, kind: &str) -> PathBuf {
    keygen(&server.path(name), kind);
    server.path(name)
}

/// A connection that has no credential yet.
fn bare(server: &Sshd) -> ConnectionBuilder {
    let mut env = Env::default();
    env.home = Some(server.path("nowhere"));
    env.agent_socket = Some(server.path("agent"));
    env.temp_dir = std::env::temp_dir();
    Connection::builder(server.target())
        .known_hosts([server.known_hosts()])
        .env(env)
}

async fn refused(builder: ConnectionBuilder) -> Error {
    builder.connect().await.map(|_| ()).unwrap_err()
}

/// An agent that ends with the test.
struct Agent(Child);

impl Agent {
    fn start(server: &Sshd) -> Self {
        let mut process = Command::new("ssh-agent")
            .args(["-D", "-a"])
            .arg(server.path("agent"))
            .stdout(Stdio::piped())
            .spawn()
            .expect("ssh-agent is missing: install openssh-client");
        // It prints where it listens once it does.
        let mut first = [0];
        std::io::Read::read_exact(process.stdout.as_mut().unwrap(), &mut first).unwrap();
        Self(process)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn logs_in(builder: ConnectionBuilder, method: &str) {
    let connection = builder.connect().await.unwrap();
    assert_eq!(connection.auth_method(), method);
    assert_eq!(&connection.exec("echo in").await.unwrap().stdout[..], b"in\n");
    connection.close().await;
}

#[tokio::test]
async fn keys_of_every_type_and_format_log_in() {
    let server = Sshd::start();
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let key = make(&server, kind, kind);
        authorize(&server, "", kind);
        logs_in(bare(&server).auth([AuthConfig::key(&key)]), "private_key").await;
        let ppk = format!("{kind}.ppk");
        std::fs::write(server.path("passphrase"), "open sesame").unwrap();
        // Little stretching: an unoptimised Argon2 takes a minute for what puttygen chooses.
        let stretch = ["--ppk-param", "memory=64,passes=1"];
        let write = [
            kind,
            "-O",
            "private",
            "-o",
            &ppk,
            "--new-passphrase",
            "passphrase",
        ];
        run(&server, "puttygen", &[&write[..], &stretch[..]].concat());
        let putty = AuthConfig::key(server.path(&ppk)).passphrase("open sesame");
        logs_in(bare(&server).auth([putty]), "private_key").await;
        if kind != "ed25519" {
            run(
                &server,
                "ssh-keygen",
                &["-q", "-p", "-m", "PKCS8", "-P", "", "-N", "", "-f", kind],
            );
            logs_in(bare(&server).auth([AuthConfig::key(&key)]), "private_key").await;
        }
    }
}

#[tokio::test]
async fn certificates_of_a_trusted_authority_log_in_wherever_the_key_is() {
    let server = Sshd::start();
    make(&server, "ca", "ed25519");
    authorize(&server, "cert-authority ", "ca");
    let user = server.user().name.clone();
    for kind in ["ed25519", "rsa"] {
        let key = make(&server, kind, kind);
        let public = format!("{kind}.pub");
        run(
            &server,
            "ssh-keygen",
            &["-q", "-s", "ca", "-I", "tester", "-n", &user, &public],
        );
        logs_in(bare(&server).auth([AuthConfig::key(&key)]), "private_key").await;
    }
    // The agent holds the key alone, its certificate stands in a file, and the private file is gone.
    let _agent = Agent::start(&server);
    std::fs::rename(server.path("rsa-cert.pub"), server.path("aside")).unwrap();
    run(&server, "ssh-add", &["-q", "rsa"]);
    std::fs::remove_file(server.path("rsa")).unwrap();
    let config = AuthConfig::key(server.path("rsa")).certificate(server.path("aside"));
    logs_in(bare(&server).auth([config]), "ssh_agent").await;
    assert!(server.log().contains("RSA-CERT"), "{}", server.log());
}

#[tokio::test]
async fn the_agent_logs_in_and_with_identities_only_offers_nothing_else() {
    let server = Sshd::start();
    let _agent = Agent::start(&server);
    for name in ["stranger", "other"] {
        make(&server, name, "ed25519");
        run(&server, "ssh-add", &["-q", name]);
    }
    run(&server, "ssh-add", &["-q", "user"]);
    let mut env = Env::default();
    env.agent_socket = Some(server.path("agent"));
    assert_eq!(agent_keys(&env).await.unwrap().len(), 3);
    for (only, attempts) in [(false, 3), (true, 1)] {
        let collector = EventCollector::new();
        let builder = bare(&server)
            .auth([AuthConfig::agent()])
            .identities_only(only)
            .events(&collector);
        // Named by its public part: the agent signs.
        let builder = if only {
            builder.identity_files([server.path("user.pub")])
        } else {
            builder
        };
        logs_in(builder, "ssh_agent").await;
        assert_eq!(
            collector.by_type(EventType::Auth).len(),
            attempts,
            "identities only: {only}"
        );
    }
}

#[tokio::test]
async fn two_keys_are_two_factors() {
    let server = Settings::default()
        .option("AuthenticationMethods publickey,publickey")
        .start();
    let second = make(&server, "second", "ecdsa");
    authorize(&server, "", "second");
    let both = [AuthConfig::key(server.key()), AuthConfig::key(second)];
    logs_in(bare(&server).auth(both), "private_key").await;
    let error = refused(bare(&server).auth([AuthConfig::key(server.key())])).await;
    assert_eq!(error.kind(), &ErrorKind::AuthFailed);
    assert!(
        error.to_string().contains("the server still wants publickey"),
        "{error}"
    );
}

#[tokio::test]
async fn we_stop_before_sshd_does_and_say_what_was_left_untried() {
    let server = Sshd::start();
    let strangers: Vec<_> = (0..7)
        .map(|n| make(&server, &format!("s{n}"), "ed25519"))
        .collect();
    let error = refused(bare(&server).client_keys(strangers)).await;
    assert_eq!(error.kind(), &ErrorKind::AuthFailed);
    let extra = error.context().extra();
    assert_eq!(extra["attempts"].as_array().unwrap().len(), 5);
    assert_eq!(extra["not_tried"].as_array().unwrap().len(), 2);
    assert!(error.hint().contains("IdentitiesOnly"), "{error:?}");
    assert!(
        !server.log().contains("Too many authentication failures"),
        "{}",
        server.log()
    );
}

#[tokio::test]
async fn a_server_that_allows_fewer_attempts_is_an_authentication_failure_not_a_lost_connection() {
    let server = Settings::default().option("MaxAuthTries 2").start();
    let strangers: Vec<_> = (0..4)
        .map(|n| make(&server, &format!("s{n}"), "ed25519"))
        .collect();
    let error = refused(bare(&server).client_keys(strangers)).await;
    assert_eq!(error.kind(), &ErrorKind::AuthFailed, "{error:?}");
    assert!(
        error.to_string().contains("Too many authentication failures"),
        "{error}"
    );
    assert!(error.hint().contains("IdentitiesOnly"), "{error:?}");
}

#[tokio::test]
async fn a_server_that_takes_no_method_at_all_refuses_and_does_not_break() {
    let mut settings = Settings::default();
    for method in ["Pubkey", "Password", "KbdInteractive"] {
        settings = settings.option(&format!("{method}Authentication no"));
    }
    let server = settings.start();
    let recorder = EvidenceRecorder::new();
    let builder = bare(&server).evidence(&recorder);
    let error = refused(builder.auth([AuthConfig::key(server.key())])).await;
    assert_eq!(error.kind(), &ErrorKind::AuthFailed, "{error:?}");
    assert!(error.to_string().contains("takes no method"), "{error}");
    let explanation = explain(&recorder.bundle(None));
    assert!(
        explanation.cause.contains("takes no method of logging in at all"),
        "{explanation:?}"
    );
    assert!(error.hint().contains("PubkeyAuthentication"), "{error:?}");
}

#[tokio::test]
async fn an_exposed_key_file_is_refused_before_it_is_offered() {
    let server = Sshd::start();
    expose(&server.key());
    let error = refused(bare(&server).auth([AuthConfig::key(server.key())])).await;
    assert_eq!(error.to_dict()["reason"], "permission_denied");
    assert!(error.hint().starts_with("run chmod 600"), "{error:?}");
}

fn expose(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
}

/// A server on which the plain account has a known password; it takes root to set that up.
fn with_password(options: &[&str]) -> Option<Sshd> {
    if !users::is_root() {
        left_out("password login to sshd", "run the tests as root");
        return None;
    }
    let settings = Settings::default().user(users::plain());
    Some(
        options
            .iter()
            .fold(settings, |settings, option| settings.option(option))
            .start(),
    )
}

#[tokio::test]
async fn a_password_logs_in_and_a_wrong_one_is_told() {
    let Some(server) = with_password(&[]) else { return };
    logs_in(bare(&server).password(users::PASSWORD), "password").await;
    let error = refused(bare(&server).password("not the password")).await;
    assert_eq!(error.kind(), &ErrorKind::AuthFailed);
    assert!(error.to_string().contains("password refused"), "{error}");
    assert!(!format!("{error:?}").contains("not the password"));
}

#[tokio::test]
async fn a_password_answers_pam_where_only_keyboard_interactive_is_allowed() {
    let options = [
        "UsePAM yes",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication yes",
    ];
    let Some(server) = with_password(&options) else {
        return;
    };
    logs_in(bare(&server).password(users::PASSWORD), "keyboard_interactive").await;
}

#[tokio::test]
async fn a_key_and_a_password_are_two_factors() {
    let Some(server) = with_password(&["AuthenticationMethods publickey,password"]) else {
        return;
    };
    let chain = [
        AuthConfig::password(users::PASSWORD),
        AuthConfig::key(server.key()),
    ];
    logs_in(bare(&server).auth(chain), "password").await;
}

/// Answers every password question with a wrong one, and counts them.
struct Guesser(std::sync::atomic::AtomicU32);

impl sternline::prompt::Prompter for Guesser {
    fn trust_host_key<'a>(
        &'a self,
        _question: &'a sternline::prompt::HostKeyQuestion,
    ) -> sternline::prompt::Answer<'a, bool> {
        Box::pin(async { false })
    }

    fn secret<'a>(
        &'a self,
        _question: &'a sternline::prompt::SecretQuestion,
    ) -> sternline::prompt::Answer<'a, Option<sternline::Secret>> {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Box::pin(async { Some("wrong".into()) })
    }
}

#[tokio::test]
async fn a_server_with_nothing_to_ask_does_not_use_up_the_persons_three_tries() {
    let server = Settings::default()
        .option("KbdInteractiveAuthentication yes")
        .start();
    let person = std::sync::Arc::new(Guesser(0.into()));
    let prompter = std::sync::Arc::clone(&person) as std::sync::Arc<dyn sternline::prompt::Prompter>;
    let mut env = Env::default();
    env.home = Some(server.path("home"));
    let error = refused(
        Connection::builder(server.target())
            .known_hosts([server.known_hosts()])
            .env(env)
            .prompter(prompter),
    )
    .await;
    assert_eq!(person.0.load(std::sync::atomic::Ordering::Relaxed), 3, "{error}");
    assert_eq!(
        error.to_string().matches("without asking anything").count(),
        1,
        "{error}"
    );
}
