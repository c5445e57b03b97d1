//! The examples of the page that describes the `ssh` module (seed 000), as they are printed there. Only the names of hosts are
//! replaced, by addresses of servers that write down what they were asked.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as a test does"
)]

mod cli_support;

use cli_support::Setting;
use sternline_server::{Credential, ExecRequest, Reply, Server, VirtualFiles};
use sternline_tests::cli::{Ended, Home};
use sternline_tests::sshd::{Sshd, keygen};

const COMMANDS: &str = r#"client = ssh.config(
    hosts=["app-1", "app-2"],
    user="deploy",
    key="~/.ssh/deploy_key",
)

# Run a command on all hosts
results = client.exec("uptime")
for r in results:
    print(r.host, ":", r.stdout.strip())

# Run with sudo
results = client.exec("systemctl restart myapp", sudo=True)
for r in results:
    if not r.ok:
        print("FAILED on", r.host, ":", r.stderr)

# Run in a specific directory with env vars
results = client.exec(
    "make deploy",
    cwd="/opt/myapp",
    env={"VERSION": "2.0.0"},
)
"#;

const FILES: &str = r#"client = ssh.config(
    hosts=["web-1", "web-2", "web-3"],
    user="deploy",
    key="~/.ssh/deploy_key",
)

# Upload config to all hosts
results = client.upload("nginx.conf", "/etc/nginx/nginx.conf", mode="0644")
for r in results:
    if r.ok:
        print(r.host, ": uploaded", r.bytes, "bytes")

# Download logs from all hosts
results = client.download("/var/log/app.log", "./logs/")
"#;

const CONFIGURATION: &str = r#"client = ssh.config(
    hosts=["web-1", "web-2", "web-3"],
    user="deploy",
    key="~/.ssh/id_ed25519",
    port=22,
    timeout="30s",
    keep_alive_interval="30s",
)
"#;

const TESTS: &str = r#"def test_upload():
    srv = ssh.test_server(user="u", password="p")
    srv.start()

    client = ssh.config(
        hosts=["127.0.0.1"], user="u", password="p",
        port=srv.port(), host_key_check=False,
    )

    path = "/tmp/upload_test"
    write_text(path, "hello")
    client.upload(path, "/remote/file.txt")

    uploaded = srv.uploaded("/remote/file.txt")
    assert(uploaded.content == "hello")

    fs.path(path).remove()
    srv.shutdown()

def test_pubkey_auth():
    key = ssh.test_key()
    srv = ssh.test_server(user="deploy")
    srv.start()

    client = ssh.config(
        hosts=["127.0.0.1"], user="deploy",
        key=key.path,
        port=srv.port(), host_key_check=False,
    )
    results = client.exec("echo ok")
    assert(results[0].ok)
    srv.shutdown()
"#;

/// Servers for the hosts of an example, and a home with the key that may log in and with theirs.
struct Site {
    home: Home,
    servers: Vec<Server>,
    files: Vec<VirtualFiles>,
    names: Vec<&'static str>,
}

impl Site {
    async fn start(names: &[&'static str]) -> Self {
        let home = Home::new();
        std::fs::create_dir(home.path().join(".ssh")).unwrap();
        let key = home.path().join(".ssh/deploy_key");
        keygen(&key, "ed25519");
        let public = std::fs::read_to_string(key.with_extension("pub")).unwrap();
        let (mut servers, mut trees, mut known) = (Vec::new(), Vec::new(), String::new());
        for name in names.iter().copied() {
            let files = VirtualFiles::new();
            trees.push(files.clone());
            files
                .add_file("/var/log/app.log", format!("of {name}\n"), 0o644)
                .unwrap();
            let answer = move |request: &ExecRequest| match request.command_text() {
                text if text.contains("uptime") => Reply::stdout(format!("up 3 days, {name}\n")),
                text if text.contains("systemctl") && name == "app-2" => Reply::new("", "no such unit", 5),
                _ => Reply::new("", "", 0),
            };
            let server = Server::builder()
                .user("deploy", Credential::public_key(public.trim_end()).unwrap())
                .files(files)
                .answer_with(answer)
                .bind()
                .await
                .unwrap();
            known += &format!("{}\n", server.known_hosts_line().trim_end());
            servers.push(server);
        }
        home.write(".ssh/known_hosts", known);
        Self {
            home,
            servers,
            files: trees,
            names: names.to_vec(),
        }
    }

    fn address(&self, index: usize) -> String {
        format!("127.0.0.1:{}", self.servers[index].port())
    }

    /// Runs an example whose hosts are these servers.
    async fn run(&self, example: &str) -> Ended {
        let mut text = example.to_owned();
        for (index, name) in self.names.iter().enumerate() {
            text = text.replace(&format!("\"{name}\""), &format!("\"{}\"", self.address(index)));
        }
        self.home.write("example.star", text);
        let mut process = self.home.sternline(["run", "example.star"]);
        tokio::task::spawn_blocking(move || Ended::from(process.output().unwrap()))
            .await
            .unwrap()
    }

    /// What a server was asked to run.
    fn commands(&self, index: usize) -> Vec<String> {
        let log = self.servers[index].log();
        let commands = log.iter().filter_map(|entry| entry.command.as_deref());
        commands
            .map(|command| String::from_utf8_lossy(command).into_owned())
            .collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_of_configuration_makes_a_client_and_touches_nothing() {
    let home = Home::new();
    home.write("example.star", format!("{CONFIGURATION}print(client)\n"));
    let ended = home.run(["run", "example.star"]);
    assert_eq!(
        (ended.stdout.as_str(), ended.stderr.as_str(), ended.status),
        ("<ssh.client hosts=[web-1 web-2 web-3]>\n", "", 0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_of_commands_runs_as_printed() {
    let site = Site::start(&["app-1", "app-2"]).await;
    let ended = site.run(COMMANDS).await;
    let expected = format!(
        "{0} : up 3 days, app-1\n{1} : up 3 days, app-2\nFAILED on {1} : no such unit\n",
        site.address(0),
        site.address(1)
    );
    assert_eq!(
        (ended.stdout, ended.stderr.as_str(), ended.status),
        (expected, "", 0)
    );
    for index in [0, 1] {
        let commands = site.commands(index);
        assert_eq!(commands[0], "uptime");
        assert!(
            commands[1].starts_with("sudo ") && commands[1].contains("systemctl restart myapp"),
            "{commands:?}"
        );
        // The command sees both: it runs in the directory, and with the variable.
        let last = commands[2].as_str();
        assert!(
            last.contains("/opt/myapp") && last.contains("VERSION=2.0.0") && last.ends_with("make deploy"),
            "{last}"
        );
        assert_eq!(commands.len(), 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_of_files_runs_as_printed() {
    let site = Site::start(&["web-1", "web-2", "web-3"]).await;
    site.home.write("nginx.conf", "worker_processes auto;\n");
    let ended = site.run(FILES).await;
    let expected: String = (0..3)
        .map(|index| format!("{} : uploaded 23 bytes\n", site.address(index)))
        .collect();
    assert_eq!(
        (ended.stdout, ended.stderr.as_str(), ended.status),
        (expected, "", 0)
    );
    // What comes from several hosts carries their names.
    let mut logs: Vec<(String, String)> = std::fs::read_dir(site.home.path().join("logs"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| {
            (
                entry.file_name().into_string().unwrap(),
                std::fs::read_to_string(entry.path()).unwrap(),
            )
        })
        .collect();
    logs.sort_by(|one, other| one.1.cmp(&other.1));
    assert_eq!(logs.len(), 3, "{logs:?}");
    for (index, (file, content)) in logs.iter().enumerate() {
        assert!(file.starts_with("app.log.127.0.0.1"), "{file}");
        assert_eq!(*content, format!("of web-{}\n", index + 1));
    }
}

#[test]
fn the_two_examples_of_testing_run_as_printed_in_tests_and_nowhere_else() {
    let home = Home::new();
    home.write("seed_test.star", TESTS);
    let ended = home.run(["test", "seed_test.star"]);
    assert_eq!(ended.status, 0, "{}{}", ended.stdout, ended.stderr);
    home.write("outside.star", format!("{TESTS}\ntest_upload()\n"));
    let ended = home.run(["run", "outside.star"]);
    assert_eq!(ended.status, 1);
    assert!(
        ended.stderr.contains("undefined: test_server"),
        "{}",
        ended.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_cannot_be_reached_is_an_error_that_try_exec_returns() {
    let site = Site::start(&["app-1", "app-2"]).await;
    site.servers[1].shutdown().await;
    let config = "client = ssh.config(hosts=[\"app-1\", \"app-2\"], user=\"deploy\", key=\"~/.ssh/deploy_key\", max_retries=0)\n";
    let ended = site
        .run(&format!(
            "{config}r = client.try_exec(\"uptime\")\nprint(r.ok, r.value)\nprint(r.error)\n"
        ))
        .await;
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    assert!(ended.stdout.starts_with("False "), "{}", ended.stdout);
    assert!(
        ended.stdout.contains(&format!("host {}", site.address(1))),
        "{}",
        ended.stdout
    );
    let ended = site.run(&format!("{config}client.exec(\"uptime\")\n")).await;
    assert_eq!(ended.status, 1);
    assert!(
        ended.stderr.contains(&site.address(1)) && ended.stderr.contains("refused"),
        "{}",
        ended.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mode_of_an_upload_is_0644_unless_it_is_named() {
    let site = Site::start(&["web-1"]).await;
    site.home.write("a", "a");
    let config = "client = ssh.config(hosts=[\"web-1\"], user=\"deploy\", key=\"~/.ssh/deploy_key\")\n";
    let calls = "client.upload(\"a\", \"/usual\")\nclient.upload(\"a\", \"/named\", mode=\"0600\")\n";
    let ended = site.run(&format!("{config}{calls}")).await;
    assert_eq!((ended.stderr.as_str(), ended.status), ("", 0));
    let mode = |path: &str| site.files[0].file(path).unwrap().mode & 0o7777;
    assert_eq!((mode("/usual"), mode("/named")), (0o644, 0o600));
}

#[tokio::test(flavor = "multi_thread")]
async fn transfers_raise_on_connection_errors_and_their_try_forms_return_them() {
    let site = Site::start(&["web-1", "web-2"]).await;
    site.home.write("a", "a");
    site.servers[1].shutdown().await;
    let config = "client = ssh.config(hosts=[\"web-1\", \"web-2\"], user=\"deploy\", key=\"~/.ssh/deploy_key\", max_retries=0)\n";
    for (method, arguments) in [
        ("upload", "\"a\", \"/a\""),
        ("download", "\"/var/log/app.log\", \"logs/\""),
    ] {
        let ended = site.run(&format!("{config}client.{method}({arguments})\n")).await;
        assert_eq!(ended.status, 1);
        assert!(
            ended.stderr.contains(&format!("host {}", site.address(1))),
            "{}",
            ended.stderr
        );
        let ended = site
            .run(&format!(
                "{config}r = client.try_{method}({arguments})\nprint(r.ok)\nprint(r.error)\n"
            ))
            .await;
        assert_eq!(ended.status, 0, "{}", ended.stderr);
        assert!(
            ended.stdout.starts_with("False\n") && ended.stdout.contains(&site.address(1)),
            "{}",
            ended.stdout
        );
    }
    // What could be done was done.
    assert!(site.files[0].file("/a").is_some());
}

#[test]
fn what_is_required_is_missed_by_its_name() {
    let home = Home::new();
    for (call, missing) in [
        ("exec()", "cmd"),
        ("upload(\"a\")", "dst"),
        ("upload(dst=\"a\")", "src"),
        ("download(\"a\")", "dst"),
        ("download(dst=\"a\")", "src"),
    ] {
        let ended = home.run(["eval", &format!("ssh.config(hosts=[\"web-1\"]).{call}")]);
        assert_eq!(ended.status, 1, "{call}: {}", ended.stderr);
        assert!(ended.stderr.contains(missing), "{call}: {}", ended.stderr);
    }
}

#[test]
fn a_script_that_says_nothing_else_is_the_current_user_with_the_usual_keys() {
    let setting = Setting::new(Sshd::start());
    let port = setting.sshd.port();
    setting.home.write(
        "who.star",
        format!("print(ssh.config(hosts=[\"127.0.0.1\"], port={port}).exec(\"id -un\")[0].stdout.strip())\n"),
    );
    let ended = setting.home.run(["run", "who.star"]);
    assert_eq!(
        (ended.stdout.trim_end(), ended.status),
        (setting.sshd.user().name.as_str(), 0),
        "{}",
        ended.stderr
    );
}
