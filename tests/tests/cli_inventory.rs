//! Inventories on the command line, with a real sshd at several addresses.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as a test does"
)]

mod cli_support;

use std::collections::BTreeSet;

use cli_support::{Setting, without_terminal};
use serde_json::Value;
use sternline_tests::cli::Home;
use sternline_tests::sshd::{Settings, Sshd};

const ADDRESSES: [&str; 3] = ["127.0.0.2", "127.0.0.3", "127.0.0.4"];

/// A server at four addresses that are all known, with an inventory of Ansible's that calls them by other names.
fn site() -> Setting {
    let setting = Setting::several();
    setting.trust(&ADDRESSES);
    let (user, port) = (&setting.sshd.user().name, setting.sshd.port());
    let text = format!(
        "[web]\nweb-[1:2] ansible_port={port}\n[db]\ndb-1:{port} ansible_host=127.0.0.3\n[prod:children]\nweb\ndb\n\
         [prod:vars]\nansible_user={user}\nansible_ssh_common_args='-o ConnectTimeout=20'\n[here]\nbox ansible_connection=local\n"
    );
    setting.home.write("inventory/hosts.ini", text);
    setting
        .home
        .write("inventory/host_vars/web-1", "ansible_host: 127.0.0.1\n");
    setting.home.write(
        "inventory/host_vars/web-2.yml",
        "ansible_host: 127.0.0.2\nrole: [a, b]\n",
    );
    setting
}

/// `sternline VERB -I inventory/hosts.ini ARGUMENTS`: status, sorted lines of output, standard error.
fn run(home: &Home, verb: &[&str], arguments: &[&str]) -> (i32, Vec<String>, String) {
    let ended = home.run([verb, &["-I", "inventory/hosts.ini"], arguments].concat());
    let lines: BTreeSet<String> = ended.stdout.lines().map(str::to_owned).collect();
    (ended.status, lines.into_iter().collect(), ended.stderr)
}

#[test]
fn commands_run_on_the_hosts_that_a_selection_means_under_their_names() {
    let setting = site();
    let home = &setting.home;
    let address = "set -- $SSH_CONNECTION; echo $3";
    let (status, lines, stderr) = run(home, &["ssh"], &["prod", address]);
    assert_eq!(
        (status, lines.join("; ").as_str()),
        (0, "db-1: 127.0.0.3; web-1: 127.0.0.1; web-2: 127.0.0.2"),
        "{stderr}"
    );
    for (arguments, expected) in [
        (&["prod:!web-2", address][..], "db-1: 127.0.0.3; web-1: 127.0.0.1"),
        (&["--limit", "web-*", "prod:!web-1", address], "127.0.0.2"),
        (&["role=b", address], "127.0.0.2"),
        (&["db-1", address], "127.0.0.3"),
        (
            &["--limit", "@which", "all", address],
            "db-1: 127.0.0.3; web-1: 127.0.0.1",
        ),
        (&["web:&@which", address], "127.0.0.1"),
        (&["all:!@which", address], "127.0.0.2"),
        (
            &["web:@which", address],
            "db-1: 127.0.0.3; web-1: 127.0.0.1; web-2: 127.0.0.2",
        ),
        (&["--limit", "web:&@which", "all", address], "127.0.0.1"),
    ] {
        home.write("which", "# those that failed\nweb-1\n\ndb-1\n");
        let (status, lines, stderr) = run(home, &["ssh"], arguments);
        assert_eq!(
            (status, lines.join("; ").as_str()),
            (0, expected),
            "{arguments:?}: {stderr}"
        );
    }
    let json = home.run(["ssh", "--json", "-I", "inventory/hosts.ini", "web", "true"]);
    let hosts: Vec<Value> = json
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        (&hosts[0]["host"], &hosts[1]["host"]),
        (&"web-1".into(), &"web-2".into())
    );
}

#[test]
fn a_host_that_is_not_reached_by_ssh_is_left_out_unless_it_is_named() {
    let setting = site();
    let (status, lines, stderr) = run(&setting.home, &["hosts"], &[]);
    assert_eq!((status, lines.len()), (0, 3), "{stderr}");
    assert!(
        stderr.contains("warning: left out, because it is not reached by SSH: box: ansible_connection=local"),
        "{stderr}"
    );
    let (status, _, stderr) = run(&setting.home, &["ssh"], &["box", "true"]);
    assert_eq!(status, 2);
    assert!(
        stderr.starts_with("error: this host is not reached by SSH: box"),
        "{stderr}"
    );
}

#[test]
fn mistakes_are_told_before_anything_is_connected() {
    let setting = site();
    let home = &setting.home;
    home.write(
        "template.yml",
        "web: {hosts: {a: {ansible_host: '{{ x }}'}, b: }}\n",
    );
    home.write("program", "#!/bin/sh\n");
    home.write("plugin.yml", "plugin: amazon.aws.aws_ec2\n");
    home.write("args", "a ansible_ssh_common_args='-A'\n");
    home.write("unsafe", "a ansible_ssh_common_args='-o Nonsense=1'\n");
    home.write("port", "[web]\na ansible_port=99999\n");
    home.write("name", "[web]\na\nb;ad\n");
    home.write("name.yml", "all:\n  hosts:\n    a:\n    'b ad':\n");
    for (inventory, hosts, words) in [
        (
            "inventory/hosts.ini",
            "wbe",
            "the inventory has no host or group wbe: did you mean web?",
        ),
        (
            "inventory/hosts.ini",
            "web:!prod",
            "no host is left: !prod takes away all 2",
        ),
        ("template.yml", "a", "template.yml:1: ansible_host is a template"),
        ("program", "a", "program: it is a program, and none is run"),
        (
            "plugin.yml",
            "all",
            "plugin.yml:1: this is the configuration of the inventory plugin amazon.aws.aws_ec2",
        ),
        (
            "args",
            "a",
            "args:1: ansible_ssh_common_args has the argument -A, which is not supported",
        ),
        ("unsafe", "a", "unsafe:1: unknown option Nonsense"),
        ("port", "a", "port:2: 99999 is no value for Port"),
        (
            "name",
            "web",
            "name:3: the host name b;ad holds the character ';'",
        ),
        (
            "name.yml",
            "all",
            "name.yml:4: the host name b ad holds the character ' '",
        ),
        ("missing", "a", "cannot use the inventory missing: "),
    ] {
        let ended = home.run(["ssh", "-F", "none", "-I", inventory, hosts, "true"]);
        assert!(
            ended.stderr.starts_with("error: ") && ended.stderr.contains(words),
            "{inventory}: {}",
            ended.stderr
        );
        assert!(ended.stderr.contains("\nhint: "), "{}", ended.stderr);
        assert_eq!(ended.status, 2, "{}", ended.stderr);
    }
    // A value that is not used may be whatever it likes.
    let ended = home.run(["hosts", "-I", "template.yml", "b"]);
    assert_eq!(ended.stdout, "b  b:22  web\n", "{}", ended.stderr);
}

#[test]
fn an_inventory_that_others_may_write_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let setting = site();
    let path = setting.home.path().join("inventory/host_vars/web-1");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
    let (status, _, stderr) = run(&setting.home, &["hosts"], &[]);
    assert_eq!(status, 2);
    assert!(
        stderr.contains("host_vars/web-1: anybody may write to it (mode 666)"),
        "{stderr}"
    );
}

#[test]
fn hosts_lists_what_is_selected_and_where_each_setting_comes_from() {
    let setting = site();
    let port = setting.sshd.port();
    let user = &setting.sshd.user().name;
    let (status, lines, stderr) = run(&setting.home, &["hosts", "-v"], &["web-2"]);
    assert_eq!(status, 0, "{stderr}");
    let text = lines.join("\n");
    for line in [
        format!("web-2  {user}@127.0.0.2:{port}  prod,web"),
        "    address 127.0.0.2 (inventory/host_vars/web-2.yml:1)".to_owned(),
        format!("    Port {port} (inventory/hosts.ini:2)"),
        format!("    User {user} (inventory/hosts.ini:9)"),
        "    ConnectTimeout 20 (inventory/hosts.ini:10)".to_owned(),
    ] {
        assert!(text.contains(&line), "{line} is not in:\n{text}");
    }
    // The command line counts more than the inventory, and the inventory more than ssh_config.
    setting
        .home
        .write(".ssh/config", "User nobody\nServerAliveInterval 7\n");
    let ended = setting.home.run([
        "hosts",
        "--json",
        "-I",
        "inventory/hosts.ini",
        "-l",
        "ann",
        "-p",
        "1",
        "web",
    ]);
    for line in ended.stdout.lines() {
        let host: Value = serde_json::from_str(line).unwrap();
        assert_eq!(
            (&host["user"], &host["port"]),
            (&"ann".into(), &1.into()),
            "{host}"
        );
        assert_eq!(host["sources"]["username"], "command line");
        assert_eq!(host["groups"], serde_json::json!(["prod", "web"]));
    }
    let ended = setting
        .home
        .run(["hosts", "--json", "-I", "inventory/hosts.ini", "db-1"]);
    let host: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(host["user"], user.as_str(), "{host}");
    assert_eq!(
        host["sources"]["keepalive"],
        format!("{}/.ssh/config:2", setting.home.path().display())
    );
}

#[test]
fn the_environment_names_an_inventory_where_the_command_line_does_not() {
    let setting = site();
    let with = |arguments: &[&str]| {
        let mut command = setting.home.sternline(arguments);
        let output = command
            .env("STERNLINE_INVENTORY", "inventory/hosts.ini")
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    assert_eq!(with(&["ssh", "web-1", "echo hi"]), (Some(0), "hi\n".to_owned()));
    assert_eq!(
        with(&["hosts", "-I", "none", "plain"]),
        (Some(0), "plain  plain:22\n".to_owned())
    );
    assert_eq!(with(&["hosts", "nosuch"]).0, Some(2));
}

#[test]
fn our_own_format_reaches_hosts_through_one_that_it_names() {
    let setting = Setting::several();
    setting.trust(&ADDRESSES);
    let text = format!(
        "[defaults]\nuser = '{}'\nport = {}\njump = 'bastion'\n[hosts.bastion]\naddress = '127.0.0.1'\n\
         [hosts.'web-[1-2]']\naddress = '127.0.0.[2-3]'\nlabels = {{ role = 'web' }}\n",
        setting.sshd.user().name,
        setting.sshd.port()
    );
    setting.home.write("hosts.toml", text);
    let command = "set -- $SSH_CONNECTION; echo $1 $3";
    let ended = setting.home.run(["ssh", "-I", "hosts.toml", "role=web", command]);
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    let lines: BTreeSet<&str> = ended.stdout.lines().collect();
    // What comes through the bastion comes from this machine too, by the address of the way it took.
    assert_eq!(lines.len(), 2, "{}", ended.stdout);
    assert!(
        lines.iter().all(|line| line.starts_with("web-")),
        "{}",
        ended.stdout
    );
    let shown = setting.home.run(["hosts", "-v", "-I", "hosts.toml", "web-1"]);
    assert!(
        shown.stdout.contains("ProxyJump bastion (hosts.toml:4)"),
        "{}",
        shown.stdout
    );
    // The bastion is reached directly, although the defaults hold for it too.
    let ended = setting
        .home
        .run(["ssh", "-I", "hosts.toml", "bastion", "echo in"]);
    assert_eq!(
        (ended.status, ended.stdout.as_str()),
        (0, "in\n"),
        "{}",
        ended.stderr
    );
}

#[test]
fn files_go_to_and_come_from_the_hosts_of_a_group() {
    let setting = site();
    let home = &setting.home;
    home.write("file", "content");
    let there = setting.sshd.path("there");
    std::fs::create_dir(&there).unwrap();
    std::fs::set_permissions(&there, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let to = format!("db,&prod:{}/", there.display());
    let ended = home.run(["cp", "-I", "inventory/hosts.ini", "file", &to]);
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    let from = format!("web:{}/file", there.display());
    let ended = home.run(["cp", "-I", "inventory/hosts.ini", &from, "."]);
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    for name in ["file.web-1", "file.web-2"] {
        assert_eq!(
            std::fs::read_to_string(home.path().join(name)).unwrap(),
            "content"
        );
    }
}

#[test]
fn the_command_that_records_a_host_finds_it_in_the_inventory_again() {
    let setting = Setting::several();
    let home = &setting.home;
    let text = format!(
        "[defaults]\nuser = '{}'\nport = {}\n[hosts.bastion]\naddress = '127.0.0.1'\n[hosts.'web-[1-2]']\n\
         address = '127.0.0.[2-3]'\njump = 'bastion'\noptions = ['HostKeyAlias=cluster']\n",
        setting.sshd.user().name,
        setting.sshd.port()
    );
    home.write("hosts.toml", text);
    home.write("none yet", "");
    // The bastion first, then the host behind it: each command that is told does what it promises.
    for (hosts, command) in [
        (
            "web-1",
            "sternline hostkeys add -I hosts.toml --known-hosts 'none yet' bastion",
        ),
        (
            "web-1",
            "sternline hostkeys add -I hosts.toml --known-hosts 'none yet' web-1",
        ),
        ("all", ""),
    ] {
        let arguments = [
            "ssh",
            "-I",
            "hosts.toml",
            "--known-hosts",
            "none yet",
            hosts,
            "true",
        ];
        let ended = without_terminal(home, &arguments);
        if command.is_empty() {
            assert_eq!(ended.status, 0, "{}", ended.stderr);
            continue;
        }
        assert!(ended.stderr.contains(&format!("`{command}`")), "{}", ended.stderr);
        let host = command.rsplit(' ').next().unwrap();
        let add = [
            "hostkeys",
            "add",
            "--yes",
            "-I",
            "hosts.toml",
            "--known-hosts",
            "none yet",
            host,
        ];
        let recorded = without_terminal(home, &add);
        assert_eq!(recorded.status, 0, "{}", recorded.stderr);
    }
    // Several at once, from an inventory that the environment names.
    home.write("none yet", setting.sshd.known_hosts_line("ed25519"));
    let mut several = home.sternline(["ssh", "--known-hosts", "none yet", "web-*", "true"]);
    let output = several.env("STERNLINE_INVENTORY", "hosts.toml").output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.contains("`sternline hostkeys add --known-hosts 'none yet' web-[1-2]`\n"),
        "{stderr}"
    );
}

#[test]
fn a_selection_without_an_inventory_is_told_what_it_lacks() {
    let setting = site();
    setting.home.write("empty.toml", "");
    for (arguments, words, hint) in [
        (
            &["ssh", "web:!canary", "true"][..],
            "the port !canary is not a number",
            "choose from an inventory: name its file with -I",
        ),
        (
            &["ssh", "env=prod", "true"],
            "the host name env=prod holds",
            "choose from an inventory: name its file with -I",
        ),
        (
            &["hosts", "--limit", "web-4", "web-[1-3]"],
            "error: HOSTS has no host or group web-4: did you mean web-1",
            "without an inventory (-I), --limit chooses by name or pattern",
        ),
        (
            &[
                "hostkeys",
                "add",
                "--from-ca",
                "ca.pub",
                "-I",
                "inventory/hosts.ini",
                "web",
            ],
            "--from-ca takes HOSTS as they are to stand in known_hosts",
            "leave out -I and --limit",
        ),
        (
            &["hosts", "-I", "empty.toml"],
            "error: the inventory has no hosts\n",
            "check which files -I",
        ),
    ] {
        let ended = setting.home.run(arguments.iter().copied());
        assert_eq!(ended.status, 2, "{arguments:?}: {}", ended.stderr);
        assert!(
            ended.stderr.contains(words) && ended.stderr.contains(hint),
            "{arguments:?}: {}",
            ended.stderr
        );
    }
}

#[test]
fn keys_are_recorded_for_the_address_and_passwords_in_files_are_not_used() {
    let setting = Setting::new(Sshd::start());
    let home = &setting.home;
    home.write(".ssh/known_hosts", "");
    let text = format!(
        "web ansible_host=127.0.0.1 ansible_port={} ansible_password=hunter2\n",
        setting.sshd.port()
    );
    home.write("hosts", text);
    let plain = "HashKnownHosts=no";
    let ended = home.run(["hostkeys", "add", "--yes", "-o", plain, "-I", "hosts", "web"]);
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    let known = std::fs::read_to_string(home.path().join(".ssh/known_hosts")).unwrap();
    assert!(known.starts_with("[127.0.0.1]:"), "{known}");
    assert!(
        ended
            .stderr
            .contains("passwords in an inventory are not used (hosts:1)"),
        "{}",
        ended.stderr
    );
    let ended = home.run(["hosts", "--json", "-I", "hosts"]);
    assert!(
        !ended.stdout.contains("hunter2") && ended.stdout.contains("[REDACTED]"),
        "{}",
        ended.stdout
    );
    let listed = home.run(["hostkeys", "list", "-I", "hosts", "web"]);
    assert!(listed.stdout.contains("ed25519"), "{}", listed.stderr);
}

#[test]
fn a_limit_narrows_a_list_without_an_inventory_too() {
    let setting = Setting::new(Settings::default().start());
    let target = setting.sshd.target();
    let ended = setting.home.run([
        "ssh",
        "--limit",
        "127.*",
        &format!("nowhere.invalid,{target}"),
        "echo in",
    ]);
    assert_eq!(
        (ended.status, ended.stdout.as_str()),
        (0, "in\n"),
        "{}",
        ended.stderr
    );
    let ended = setting
        .home
        .run(["ssh", "--limit", "!127.0.0.1", &target, "echo in"]);
    assert_eq!(ended.status, 2);
    assert!(ended.stderr.contains("no host is left"), "{}", ended.stderr);
}
