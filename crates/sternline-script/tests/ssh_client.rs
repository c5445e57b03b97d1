//! The ssh client of scripts, against servers of the embedded kind.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what a test does not expect ends it"
)]

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sternline::config::Env;
use sternline_script::{ErrorKind, Output, ScriptError, SessionBuilder, Source, Stop, Why, run};
use sternline_server::{Credential, Reply, Server, ServerBuilder, VirtualFiles};

#[derive(Default)]
struct Kept {
    out: Mutex<String>,
    messages: Mutex<Vec<String>>,
}

impl Output for Kept {
    fn out(&self, text: &str) {
        self.out.lock().unwrap().push_str(text);
    }
    fn message(&self, line: &str) {
        self.messages.lock().unwrap().push(line.to_owned());
    }
}

/// What became of a script.
struct Told {
    ended: Result<(), ScriptError>,
    out: String,
    messages: Vec<String>,
}

impl Told {
    /// What it printed, if all went well.
    fn out(self) -> String {
        if let Err(error) = &self.ended {
            panic!("{error}");
        }
        self.out
    }

    fn error(self) -> String {
        self.ended.unwrap_err().message().to_owned()
    }
}

/// Runs a script with nothing of this machine's: no agent, no keys, no files of known hosts.
async fn script_with(text: &str, home: &Path, adjust: impl FnOnce(SessionBuilder) -> SessionBuilder) -> Told {
    let kept = Arc::new(Kept::default());
    let mut env = Env::system();
    env.home = Some(home.to_owned());
    env.agent_socket = None;
    let session = SessionBuilder::new(env, home, kept.clone());
    let session = adjust(session).build(tokio::runtime::Handle::current());
    let source = Source {
        name: "test.star".into(),
        path: None,
        text: text.into(),
    };
    let ended = run(session, source).await.map(|_| ());
    let (out, messages) = (
        kept.out.lock().unwrap().clone(),
        kept.messages.lock().unwrap().clone(),
    );
    Told { ended, out, messages }
}

async fn script(text: &str) -> Told {
    let home = tempfile::tempdir().unwrap();
    script_with(text, home.path(), |session| session).await
}

fn server() -> ServerBuilder {
    Server::builder().user("u", Credential::password("p"))
}

/// Answers every command with itself, and with the port of the connection that it came over.
async fn echo() -> Server {
    let echo = |request: &sternline_server::ExecRequest| {
        Reply::stdout(format!("{} {}\n", request.peer.port(), request.command_text()))
    };
    server().answer_with(echo).bind().await.unwrap()
}

/// `c`, a client of these ports.
fn client(ports: &[u16], more: &str) -> String {
    let hosts: Vec<String> = ports.iter().map(|port| format!("\"127.0.0.1:{port}\"")).collect();
    format!(
        "c = ssh.config(hosts=[{}], user=\"u\", password=\"p\", host_key_check=False, max_retries=0, {more})\n",
        hosts.join(", ")
    )
}

/// A port that nobody listens on.
fn closed_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

#[tokio::test(flavor = "multi_thread")]
async fn results_stand_in_the_order_of_the_hosts_and_the_command_is_sent_as_it_was_written() {
    let (first, second) = (echo().await, echo().await);
    let text = client(&[first.port(), second.port()], "")
        + "rs = c.exec(\"echo 'a  b' && $X\")\nprint([r.stdout.split(\" \", 1)[1] for r in rs])\n\
           print([(r.ok, r.code, r.stderr, r.error, r.signal, r.dry_run, r.skipped) for r in rs])\nprint(c.hosts == [r.host for r in rs], type(c), bool(c))\n";
    let out = script(&text).await.out();
    assert_eq!(
        out,
        "[\"echo 'a  b' && $X\\n\", \"echo 'a  b' && $X\\n\"]\n\
         [(True, 0, \"\", \"\", \"\", False, False), (True, 0, \"\", \"\", \"\", False, False)]\nTrue ssh.client True\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_used_again_and_made_again_when_it_was_lost() {
    let server = echo().await;
    let text = client(&[server.port()], "")
        + "a = c.exec(\"x\")[0].stdout\nb = c.exec(\"x\")[0].stdout\nc.close()\nd = c.exec(\"x\")[0].stdout\nprint(a == b, a == d)\n";
    assert_eq!(script(&text).await.out(), "True False\n");
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn variables_directory_and_user_reach_the_command_and_a_call_has_the_last_word() {
    let server = echo().await;
    let text = client(&[server.port()], "sudo=True, env={\"A\": \"1\"}")
        + "def sent(**kwargs):\n    return c.exec(\"make\", **kwargs)[0].stdout.split(\" \", 1)[1].strip()\n\
           print(sent())\nprint(sent(sudo=False, env={\"B\": \"x y\"}, cwd=\"/opt/my app\"))\nprint(sent(as_user=\"www-data\", env={}))\n";
    assert_eq!(
        script(&text).await.out(),
        "sudo -n -- sh -c 'export A=1 || exit\nmake'\n\
         cd '/opt/my app' || exit\nexport A=1 || exit\nexport B='x y' || exit\nmake\n\
         sudo -u www-data -n -- sh -c 'export A=1 || exit\nmake'\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exit_status_is_no_error_and_output_that_is_no_text_is_there_as_bytes() {
    let server = server()
        .command("fail", Reply::new("out", "why\n", 3))
        .command("raw", Reply::new(&b"a\xff"[..], "", 0))
        .bind()
        .await
        .unwrap();
    let text = client(&[server.port()], "")
        + "r = c.exec(\"fail\")[0]\nprint(r.ok, bool(r), r.code, r.stdout, r.stderr)\n\
           w = c.exec(\"raw\")[0]\nprint(len(w.stdout), len(w.stdout_bytes), w == c.exec(\"raw\")[0], w == r)\n\
           print(str(r).startswith(\"SSHResult(code = 3, dry_run = False, duration = \"))\n";
    assert_eq!(
        script(&text).await.out(),
        "False False 3 out why\n\n2 2 True False\nTrue\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_error_names_every_host_that_could_not_be_reached_and_no_result_is_lost() {
    let server = echo().await;
    let (one, two) = (closed_port(), closed_port());
    let hosts = client(&[one, server.port(), two], "");
    let error = script(&(hosts.clone() + "c.exec(\"x\")\n")).await.error();
    assert!(
        error.starts_with("exec: 2 of 3 hosts failed\n  host 127.0.0.1:"),
        "{error}"
    );
    for port in [one, two] {
        assert!(error.contains(&format!("\n  host 127.0.0.1:{port}: ")), "{error}");
    }
    let out = script(
        &(hosts.clone()
            + "r = c.try_exec(\"x\")\nprint(r.ok, r.value, [x.ok for x in r.results], [x.host for x in r.failed])\n"),
    )
    .await
    .out();
    assert_eq!(
        out,
        format!("False None [False, True, False] [\"127.0.0.1:{one}\", \"127.0.0.1:{two}\"]\n")
    );
    let out = script(
        &(hosts + "rs = c.exec(\"x\", on_error=\"continue\")\nprint([(x.ok, x.code, x.error != \"\") for x in rs])\n"),
    )
    .await
    .out();
    assert_eq!(out, "[(False, -1, True), (True, 0, False), (False, -1, True)]\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_and_the_limit_on_failures_decide_who_has_its_turn() {
    let ok = server().command("x", Reply::stdout("")).bind().await.unwrap();
    let bad = server().command("x", Reply::new("", "", 1)).bind().await.unwrap();
    let ports = [bad.port(), ok.port(), ok.port()];
    let out = script(
        &(client(&ports, "batch=1, stop_after=1, on_error=\"continue\"")
            + "print([(r.code, r.skipped) for r in c.exec(\"x\")])\n"),
    )
    .await
    .out();
    assert_eq!(out, "[(1, False), (-1, True), (-1, True)]\n");
    let out = script(
        &(client(&ports, "batch=\"40%\", max_failures=1") + "print([r.code for r in c.exec(\"x\")])\n"),
    )
    .await;
    assert_eq!(out.out(), "[1, 0, 0]\n");
    let error = script(&(client(&ports, "canary=1") + "c.exec(\"x\")\n"))
        .await
        .error();
    assert!(error.starts_with("exec: 1 of 3 hosts failed\n"), "{error}");
    assert!(
        error.contains("ended with exit status 1\n  not begun: 127.0.0.1:"),
        "{error}"
    );
    // One after another stops at a host that cannot be reached, and at no exit status.
    let ports = [bad.port(), closed_port(), ok.port()];
    let linear = client(&ports, "exec_policy=\"linear\"")
        + "print([(r.code, r.skipped) for r in c.try_exec(\"x\").results])\n";
    assert_eq!(
        script(&linear).await.out(),
        "[(1, False), (-1, False), (-1, True)]\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_moved_with_their_mode_and_named_after_their_hosts() {
    let files = VirtualFiles::new();
    files.add_file("/var/log/app.log", "line\n", 0o600).unwrap();
    files.add_dir("/etc", 0o755).unwrap();
    let server = server().files(files.clone()).bind().await.unwrap();
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("app.conf"), "hello").unwrap();
    let one = client(&[server.port()], "");
    let text = one.clone()
        + "r = c.upload(\"app.conf\", \"/etc/app.conf\", mode=\"0640\")[0]\nprint(r.ok, r.bytes, r.src, r.dst, r.changed, r.dry_run)\n\
           print(c.upload(\"app.conf\", \"/etc/app.conf\", mode=\"0640\", skip_unchanged=True)[0].changed)\n\
           d = c.download(\"/var/log/app.log\", \"one.log\")[0]\nprint(d.bytes, d.dst)\n\
           print(c.download(\"/var/log/app.log\", \"./logs/\")[0].dst)\n";
    let out = script_with(&text, home.path(), |session| session).await.out();
    assert_eq!(
        out,
        "True 5 app.conf /etc/app.conf True False\nFalse\n5 one.log\n./logs/app.log\n"
    );
    assert_eq!(files.file("/etc/app.conf").unwrap().mode & 0o777, 0o640);
    let port = server.port();
    let two = format!(
        "c = ssh.config(hosts=[\"127.0.0.1\", \"localhost\"], port={port}, user=\"u\", password=\"p\", host_key_check=False)\n\
         print([r.dst for r in c.download(\"/var/log/app.log\", \"./two/app.log\")])\nprint([r.dst for r in c.download(\"/var/log/app.log\", \"./logs\")])\n"
    );
    let out = script_with(&two, home.path(), |session| session).await.out();
    assert_eq!(
        out,
        "[\"./two/app.log.127.0.0.1\", \"./two/app.log.localhost\"]\n[\"./logs/app.log.127.0.0.1\", \"./logs/app.log.localhost\"]\n"
    );
    let missing = one + "c.upload(\"nothing\", \"/etc/x\")\n";
    let error = script_with(&missing, home.path(), |session| session)
        .await
        .error();
    assert!(
        error.starts_with("upload: failed to read local file: nothing: "),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_connects_to_nobody_and_shows_no_value_of_a_variable() {
    let text = client(&[closed_port()], "dry_run=True")
        + "r = c.exec(\"make\", sudo=True, as_user=\"www-data\", cwd=\"/opt/app\", env={\"PORT\": \"hunter2\"})[0]\n\
           print(r.ok, r.code, r.dry_run)\nprint(r.stdout)\n\
           t = c.upload(\"missing\", \"/x\")[0]\nprint(t.ok, t.bytes, t.src, t.dst, t.dry_run)\n";
    let out = script(&text).await.out();
    assert!(
        out.starts_with("True 0 True\n[DRY RUN] Would execute on 127.0.0.1:"),
        "{out}"
    );
    for part in [
        "sudo -u www-data",
        "cd /opt/app",
        "PORT=",
        "True 0 missing /x True\n",
    ] {
        assert!(out.contains(part), "{out}");
    }
    assert!(!out.contains("hunter2"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_line_is_told_to_the_script_when_it_comes() {
    let server = server()
        .command("x", Reply::new("a\nb\n", "c\n", 0))
        .bind()
        .await
        .unwrap();
    let one = client(&[server.port()], "");
    let text = one.clone()
        + "seen = []\ndef told(host, stream, line):\n    seen.append((stream, line))\n\
           r = c.exec(\"x\", on_line=told)[0]\nprint(sorted(seen), r.stdout == \"a\\nb\\n\")\n";
    assert_eq!(
        script(&text).await.out(),
        "[(\"stderr\", \"c\"), (\"stdout\", \"a\"), (\"stdout\", \"b\")] True\n"
    );
    let text = one + "def told(host, stream, line):\n    fail(\"enough\")\nc.exec(\"x\", on_line=told)\n";
    assert_eq!(script(&text).await.error(), "enough");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_reads_its_input_and_has_its_time() {
    let server = server().real_shell().bind().await.unwrap();
    let text = client(&[server.port()], "")
        + "print(c.exec(\"cat\", stdin=\"hello\")[0].stdout)\nr = c.try_exec(\"sleep 60\", timeout=\"300ms\")\nprint(r.ok, \"host 127.0.0.1\" in r.error)\n";
    let begun = Instant::now();
    assert_eq!(script(&text).await.out(), "hello\nFalse True\n");
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_has_to_stop_ends_its_command_on_the_host() {
    let home = tempfile::tempdir().unwrap();
    let mark = home.path().join("ended");
    let server = server().real_shell().bind().await.unwrap();
    // Its line, which is told when the command runs, has the script end.
    let text = client(&[server.port()], "")
        + &format!(
            "c.try_exec(\"trap 'touch {}; exit' TERM; echo runs; sleep 60 & wait\", on_line=lambda host, stream, line: print(line))\n",
            mark.display()
        );
    let stop = Stop::default();
    let output = Arc::new(Ends(stop.clone()));
    let session = SessionBuilder::new(Env::system(), home.path(), output).stop(stop);
    let source = Source {
        name: "test.star".into(),
        path: None,
        text,
    };
    let begun = Instant::now();
    let ended = run(session.build(tokio::runtime::Handle::current()), source).await;
    assert!(begun.elapsed() < Duration::from_secs(9), "{:?}", begun.elapsed());
    let error = ended.unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Stopped(Why::TimedOut(_))),
        "{error}"
    );
    assert!(mark.exists(), "the command was ended by a signal");
}

#[tokio::test(flavor = "multi_thread")]
async fn host_keys_are_checked_unless_the_script_says_no_and_then_it_is_warned_once() {
    let server = echo().await;
    let port = server.port();
    let home = tempfile::tempdir().unwrap();
    let config = |more: &str| {
        format!(
            "c = ssh.config(hosts=[\"127.0.0.1\"], port={port}, user=\"u\", password=\"p\", max_retries=0, {more})\n"
        )
    };
    let refused = script_with(&(config("") + "c.exec(\"x\")\n"), home.path(), |session| session).await;
    let error = refused.error();
    assert!(
        error.starts_with("host 127.0.0.1: ") && error.contains("is not known"),
        "{error}"
    );
    std::fs::write(home.path().join("known"), server.known_hosts_line() + "\n").unwrap();
    let known = config("known_hosts_file=\"~/known\"") + "print(c.exec(\"x\")[0].ok)\n";
    assert_eq!(
        script_with(&known, home.path(), |session| session).await.out(),
        "True\n"
    );
    let missing = config("known_hosts_file=\"/nonexistent/known\"") + "c.exec(\"x\")\n";
    let error = script_with(&missing, home.path(), |session| session)
        .await
        .error();
    assert!(error.contains("known_hosts_file: there is no file"), "{error}");
    let off =
        config("host_key_check=False") + &config("host_key_check=False") + "print(c.exec(\"x\")[0].ok)\n";
    let told = script_with(&off, home.path(), |session| session).await;
    assert_eq!(told.messages.len(), 1, "{:?}", told.messages);
    assert_eq!(told.out(), "True\n");
    let new = config("host_key_check=\"accept-new\"") + "print(c.exec(\"x\")[0].ok)\n";
    assert_eq!(
        script_with(&new, home.path(), |session| session).await.out(),
        "True\n"
    );
    let recorded = std::fs::read_to_string(home.path().join(".ssh/known_hosts")).unwrap();
    assert!(recorded.contains(&format!("[127.0.0.1]:{port}")), "{recorded}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_script_says_wrongly_is_an_error_that_says_what_is_expected() {
    for (call, expected) in [
        ("hosts=(\"a\",)", "hosts must be a list of hosts"),
        ("hosts=\"a\"", "not a string"),
        ("hosts=None", "not None"),
        ("hosts=[1]", "hosts[0] must be a string, or a dict"),
        ("hosts=[\"a b\"]", "hosts[0]: "),
        ("hosts=[{\"hots\": \"a\"}]", "\"hots\" says nothing of a host"),
        ("hosts=[{\"user\": \"a\"}]", "names no host"),
        (
            "hosts=[{\"host\": \"a\", \"port\": \"22\"}]",
            "hosts[0][\"port\"] must be a number",
        ),
        (
            "hosts=[\"a\"], env={\"PORT\": 8080}",
            "env[\"PORT\"] must be a string, such as \"8080\", not 8080",
        ),
        ("hosts=[\"a\"], env=[]", "env must be a dict of strings"),
        (
            "hosts=[\"a\"], timeout=\"x\"",
            "ssh.config: invalid timeout \"x\": time: invalid duration \"x\"",
        ),
        (
            "hosts=[\"a\"], port=0",
            "port must be a number from 1 to 65535, not 0",
        ),
        (
            "hosts=[\"a\"], exec_policy=\"parallel\"",
            "exec_policy must be \"concurrent\" or \"linear\"",
        ),
        (
            "hosts=[\"a\"], on_error=\"ignore\"",
            "on_error must be \"raise\" or \"continue\"",
        ),
        ("hosts=[\"a\"], max_retries=-1", "max_retries"),
        ("hosts=[\"a\"], batch=\"125%\"", "is no share"),
        (
            "hosts=[\"a\"], batch=0",
            "batch must be a number of hosts from 1 on",
        ),
        ("hosts=[\"a\"], host_key_check=1", "True, False or \"accept-new\""),
        ("hosts=[\"a\"], user=None", "user"),
        (
            "hosts=[\"a\"], stop_after=1, max_failures=1",
            "leave out one of them",
        ),
    ] {
        let error = script(&format!("ssh.config({call})\n")).await.error();
        assert!(error.contains(expected), "{call}: {error}");
    }
    for (call, expected) in [
        ("exec(\"\")", "exec: the command is empty"),
        ("exec(\"x\", env={\"A\": None})", "env[\"A\"] must be a string"),
        ("exec(\"x\", as_user=\"a\", sudo=False)", "needs sudo"),
        ("upload(\"a\", \"b\", mode=\"u=rw\")", "such as \"0644\""),
        ("upload(\"a\", \"b\", mode=420)", "mode"),
        ("exec(\"x\", timeout=\"soon\")", "exec: invalid timeout \"soon\""),
        ("forward_local(\"db\")", "db.internal:5432"),
    ] {
        let error = script(&format!("c = ssh.config(hosts=[\"a\"])\nc.{call}\n"))
            .await
            .error();
        assert!(error.contains(expected), "{call}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_hosts_the_client_is_false_and_every_call_returns_an_empty_list() {
    let text = "c = ssh.config()\nprint(bool(c), c.hosts, c.exec(\"x\"), c.upload(\"a\", \"b\"), c.download(\"a\", \"b\"), c)\n\
                print(\"try_exec\" in dir(c), \"exec\" in dir(c))\n";
    assert_eq!(
        script(text).await.out(),
        "False [] [] [] [] <ssh.client hosts=[]>\nTrue True\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_are_texts_ranges_and_dicts_with_settings_of_their_own() {
    let server = echo().await;
    let port = server.port();
    let text = format!(
        "c = ssh.config(hosts=[\"web-[01-02]\", \"ann@db:2222\", {{\"host\": \"::1\", \"port\": 22}}, {{\"host\": \"a\", \"name\": \"first\"}}])\nprint(c.hosts)\n\
         d = ssh.config(hosts=[{{\"host\": \"127.0.0.1\", \"port\": {port}, \"user\": \"u\", \"password\": \"p\"}}], user=\"other\", host_key_check=False)\n\
         print(d.exec(\"x\")[0].ok)\n"
    );
    assert_eq!(
        script(&text).await.out(),
        "[\"web-01\", \"web-02\", \"ann@db:2222\", \"[::1]:22\", \"first\"]\nTrue\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_script_runs_there_with_its_arguments() {
    let server = server().real_shell().bind().await.unwrap();
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("hi.sh"), "#!/bin/sh\necho \"$1:$WHO\"\n").unwrap();
    let text = client(&[server.port()], "")
        + "print(c.script(\"hi.sh\", args=[\"a b\"], env={\"WHO\": \"me\"})[0].stdout)\n";
    assert_eq!(
        script_with(&text, home.path(), |session| session).await.out(),
        "a b:me\n\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dialogue_waits_and_answers() {
    let server = server().real_shell().bind().await.unwrap();
    let text = client(&[server.port()], "")
        + "d = c.expect(\"printf 'name? '; read n; echo hello $n; exit 4\", pty=False, timeout=\"10s\")\n\
           m = d.expect(\"name? \")\nprint(repr(m.before), m.text)\nd.send_line(\"ann\")\n\
           g = d.expect([\"bye\", \"hello (\\\\w+)\\\\n\"], regex=True)\nprint(g.index, g.groups)\nprint(d.finish())\n\
           r = d.try_expect(\"more\")\nprint(r.ok)\nd.close()\n";
    assert_eq!(script(&text).await.out(), "\"\" name? \n1 [\"ann\"]\n4\nFalse\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forward_leads_through_a_host_and_so_does_a_jump_host() {
    let bastion = server().allow_forwarding().bind().await.unwrap();
    let target = echo().await;
    let text = client(&[bastion.port()], "")
        + &format!(
            "f = c.forward_local(\"127.0.0.1:{}\")\nprint(f.port > 0, f.active)\n",
            target.port()
        )
        + "t = ssh.config(hosts=[\"127.0.0.1\"], port=f.port, user=\"u\", password=\"p\", host_key_check=False)\nprint(t.exec(\"x\")[0].ok)\nt.close()\nf.close()\nprint(f.active)\n"
        + &format!(
            "j = ssh.config(hosts=[\"127.0.0.1:{}\"], jump_host=\"127.0.0.1:{}\", user=\"u\", password=\"p\", host_key_check=False)\nprint(j.exec(\"y\")[0].ok)\n",
            target.port(),
            bastion.port()
        );
    assert_eq!(script(&text).await.out(), "True True\nTrue\nFalse\nTrue\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn ssh_config_says_how_to_reach_a_host_and_the_script_comes_first() {
    let server = echo().await;
    let home = tempfile::tempdir().unwrap();
    let config = format!(
        "Host web\n  HostName 127.0.0.1\n  Port {}\n  User somebody\n",
        server.port()
    );
    std::fs::write(home.path().join("config"), config).unwrap();
    let text = "c = ssh.config(hosts=[\"web\"], ssh_config=\"config\", user=\"u\", password=\"p\", host_key_check=False)\nprint(c.exec(\"x\")[0].host)\n";
    assert_eq!(
        script_with(text, home.path(), |session| session).await.out(),
        "web\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inventory_names_the_hosts_and_what_it_knows_of_them() {
    let server = echo().await;
    let home = tempfile::tempdir().unwrap();
    let inventory = format!(
        "- name: web\n  address: 127.0.0.1\n  port: {}\n  user: u\n",
        server.port()
    );
    std::fs::write(home.path().join("hosts.yaml"), inventory).unwrap();
    let text = "c = ssh.config(hosts=inventory.file(\"hosts.yaml\"), password=\"p\", host_key_check=False)\n\
                print(c.hosts, c.exec(\"x\")[0].ok)\n";
    let out = script_with(text, home.path(), |session| session).await.out();
    assert_eq!(out, "[\"web\"] True\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn results_become_json() {
    let server = echo().await;
    let text = client(&[server.port(), closed_port()], "on_error=\"continue\"")
        + "rs = json.decode(json.encode(c.exec(\"x\")))\nprint([(r[\"ok\"], r[\"code\"]) for r in rs])\n\
           print(json.decode(json.encode(c.try_exec(\"x\")))[\"ok\"])\n";
    assert_eq!(script(&text).await.out(), "[(True, 0), (False, -1)]\nTrue\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn permissions_are_asked_before_anything_happens() {
    let server = echo().await;
    let home = tempfile::tempdir().unwrap();
    let text = client(&[server.port()], "") + "print(c.exec(\"uptime\")[0].ok)\nc.exec(\"reboot\")\n";
    let rules = "allow:ssh.connect(exec:127.0.0.1:uptime);allow:ssh.connect(config:*)";
    let permissions = sternline_script::Permissions::inline(rules).unwrap();
    let told = script_with(&text, home.path(), |session| session.permissions(permissions)).await;
    assert_eq!(told.out, "True\n");
    let error = told.error();
    assert!(error.contains("permission denied"), "{error}");
    assert!(
        server
            .log()
            .iter()
            .all(|entry| entry.command.as_deref() == Some(b"uptime"))
    );
}

/// What a script that may run `uptime` on 127.0.0.1 and nothing else is told.
async fn told_under_rules(text: &str, home: &Path) -> String {
    let rules = "allow:ssh.connect(127.0.0.1:uptime);allow:fs.read($CWD/**);allow:fs.write($CWD/**)";
    let permissions = sternline_script::Permissions::inline(rules).unwrap();
    let told = script_with(text, home, |session| session.permissions(permissions)).await;
    match told.ended {
        Ok(()) => told.out,
        Err(error) => error.message().to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_put_round_a_command_is_a_part_of_it_for_rules() {
    let server = echo().await;
    let home = tempfile::tempdir().unwrap();
    for around in [
        "sudo=True",
        "as_user=\"root\"",
        "cwd=\"/tmp\"",
        "env={\"PATH\": \"/tmp/x\"}",
    ] {
        let text = client(&[server.port()], "") + &format!("c.exec(\"uptime\", {around})\n");
        let told = told_under_rules(&text, home.path()).await;
        assert!(told.contains("permission denied"), "{around}: {told}");
    }
    let plain = client(&[server.port()], "") + "print(c.exec(\"uptime\")[0].ok)\n";
    assert_eq!(told_under_rules(&plain, home.path()).await, "True\n");
    assert!(
        server
            .log()
            .iter()
            .all(|entry| entry.command.as_deref() == Some(b"uptime"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_hold_for_the_ways_to_a_host_and_for_files_of_known_hosts() {
    let server = echo().await;
    let home = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    let touched = outside.path().join("touched");
    let proxy = format!(
        "Host *\n  ProxyCommand sh -c 'touch {}; exit 1'\n",
        touched.display()
    );
    std::fs::write(home.path().join("proxy"), proxy).unwrap();
    std::fs::write(
        home.path().join("alias"),
        "Host 127.0.0.1\n  HostName 127.0.0.9\n",
    )
    .unwrap();
    let recorded = outside.path().join("known");
    for more in [
        "ssh_config=\"proxy\"".to_owned(),
        "ssh_config=\"alias\"".to_owned(),
        format!("jump_host=\"127.0.0.2:{}\"", server.port()),
    ] {
        let text = client(&[server.port()], &more) + "c.exec(\"uptime\")\n";
        let told = told_under_rules(&text, home.path()).await;
        assert!(told.contains("permission denied"), "{more}: {told}");
    }
    let text = format!(
        "c = ssh.config(hosts=[\"127.0.0.1:{}\"], user=\"u\", password=\"p\", max_retries=0, \
         host_key_check=\"accept-new\", known_hosts_file=\"{}\")\nc.exec(\"uptime\")\n",
        server.port(),
        recorded.display()
    );
    let told = told_under_rules(&text, home.path()).await;
    assert!(told.contains("permission denied"), "{told}");
    assert!(!touched.exists() && !recorded.exists());
    assert!(server.log().is_empty(), "{:?}", server.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_is_too_large_is_an_error_and_what_was_deferred_is_done() {
    let told = script("defer(lambda: print(\"deferred\"))\nx = list(range(1000000000))\n").await;
    assert_eq!(told.out, "deferred\n");
    assert!(told.error().contains("too large"));
}

/// Has the script end as soon as it prints something.
struct Ends(Stop);

impl Output for Ends {
    fn out(&self, _: &str) {
        self.0.stop(Why::TimedOut(Duration::from_secs(1)));
    }
    fn message(&self, _: &str) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deferred_function_that_is_ended_is_no_success() {
    let stop = Stop::default();
    let output = Arc::new(Ends(stop.clone()));
    let session = SessionBuilder::new(Env::system(), "/", output).stop(stop);
    let source = Source {
        name: "test.star".into(),
        path: None,
        text: "def late():\n    print(\"late\")\n    time.sleep(\"100s\")\ndefer(late)\n".into(),
    };
    let ended = run(session.build(tokio::runtime::Handle::current()), source).await;
    assert_eq!(
        ended.unwrap_err().kind(),
        &ErrorKind::Stopped(Why::TimedOut(Duration::from_secs(1)))
    );
}
