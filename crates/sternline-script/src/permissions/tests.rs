use std::path::Path;

use proptest::prelude::*;

use super::*;

fn roots() -> Roots {
    Roots {
        cwd: "/srv/app".into(),
        home: Some("/home/me".into()),
    }
}

fn check(rules: &str, operation: &Operation) -> Result<(), String> {
    Permissions::inline(rules)
        .unwrap()
        .at(&roots())
        .check(operation)
        .map_err(|denied| denied.to_string())
}

fn read(path: &str) -> Operation {
    Operation::file(Access::Read, "read_text", Path::new(path), Path::new(path))
}

/// `rules | operation | whether it is allowed`
fn table(cases: &[(&str, Operation, bool)]) {
    for (rules, operation, allowed) in cases {
        assert_eq!(check(rules, operation).is_ok(), *allowed, "{rules}: {operation}");
    }
}

#[test]
fn commands_are_allowed_by_host_and_text() {
    let exec = |host: &str, command: &str| Operation::command("exec", host, command);
    table(&[
        ("allow:ssh.connect", exec("web1", "uptime"), true),
        ("allow:ssh.*", exec("web1", "uptime"), true),
        ("allow:*.*", exec("web1", "uptime"), true),
        ("allow:*", exec("web1", "uptime"), true),
        ("allow:fs.*", exec("web1", "uptime"), false),
        (
            "allow:ssh.connect(exec:web1:**)",
            exec("web1", "cat /etc/passwd"),
            true,
        ),
        (
            "allow:ssh.connect(exec:web1:*)",
            exec("web1", "cat /etc/passwd"),
            false,
        ),
        ("allow:ssh.connect(web1:*)", exec("web1", "rm -rf /"), false),
        ("allow:ssh.connect(web1:*)", exec("web1", "uptime -p"), true),
        ("allow:ssh.connect(web1)", exec("web1", "rm -rf /"), true),
        ("allow:ssh.connect(web1:**)", exec("web1", "rm -rf /"), true),
        ("allow:ssh.connect(web1:uptime)", exec("web1", "uptime"), true),
        ("allow:ssh.connect(web1:uptime)", exec("web1", "uptime -p"), false),
        ("allow:ssh.connect(web1)", exec("web2", "uptime"), false),
        ("allow:ssh.connect(web-*)", exec("web-2", "uptime"), true),
        ("allow:ssh.connect(WEB-2)", exec("web-2", "uptime"), true),
        ("allow:ssh.connect(web-2)", exec("WEB-2", "uptime"), true),
        ("allow:ssh.connect(*:uptime)", exec("10.0.0.1", "uptime"), true),
        ("allow:ssh.connect([::1]:uptime)", exec("::1", "uptime"), true),
        ("allow:ssh.connect([::1])", exec("::1", "uptime"), true),
        ("allow:ssh.connect(script:web1)", exec("web1", "uptime"), false),
        (
            "allow:ssh.connect(exec, script:web1:**)",
            exec("web1", "a/b"),
            true,
        ),
        ("allow:ssh.connect(exec)", exec("web1", "uptime"), true),
        (
            "allow:ssh.connect(web1:echo \\(a\\, b\\))",
            exec("web1", "echo (a, b)"),
            true,
        ),
        (
            "allow:ssh.connect(web1:echo a, b; c)",
            exec("web1", "echo a, b; c"),
            true,
        ),
    ]);
}

#[test]
fn what_allows_a_command_allows_no_second_one_behind_it() {
    let exec = |command: &str| Operation::command("exec", "web1", command);
    let rules = "allow:ssh.connect(web1:systemctl status *)";
    assert_eq!(check(rules, &exec("systemctl status nginx")), Ok(()));
    for command in [
        "systemctl status x; reboot",
        "systemctl status $(reboot)",
        "systemctl status x\nreboot",
        "systemctl status >x",
    ] {
        assert!(check(rules, &exec(command)).is_err(), "{command}");
    }
}

#[test]
fn what_denies_a_command_denies_it_with_any_words() {
    let exec = |command: &str| Operation::command("exec", "web1", command);
    let rules = "default:allow;deny:ssh.connect(*:rm *)";
    assert!(check(rules, &exec("rm -rf /etc; true")).is_err());
    assert_eq!(check(rules, &exec("ls /etc")), Ok(()));
}

#[test]
fn a_client_can_be_made_for_a_host_on_which_anything_is_allowed() {
    let web1 = Operation::connect("web1");
    table(&[
        ("allow:ssh.connect(exec:web1:uptime)", web1.clone(), true),
        ("allow:ssh.connect(web1:*)", web1.clone(), true),
        ("allow:ssh.transfer(upload:web1:**)", web1.clone(), true),
        ("allow:ssh.connect(config:*)", web1.clone(), true),
        ("allow:ssh.connect(web2:*)", web1.clone(), false),
        (
            "allow:ssh.connect;deny:ssh.connect(web1:reboot)",
            web1.clone(),
            true,
        ),
        ("allow:ssh.connect;deny:ssh.connect(web1:**)", web1.clone(), false),
        ("allow:ssh.connect;deny:ssh.connect(web1)", web1, false),
    ]);
}

#[test]
fn transfers_are_allowed_by_host_and_by_either_side() {
    let upload = Operation::upload("web1", "app.conf", "/etc/app/./app.conf");
    let climbing = Operation::upload("web1", "app.conf", "/etc/app/../passwd");
    let download = Operation::download("web1", "/var/log/app.log", "logs");
    table(&[
        ("allow:ssh.transfer(web1)", upload.clone(), true),
        ("allow:ssh.transfer(web1:**)", climbing.clone(), true),
        ("allow:ssh.transfer(web1:/etc/app/**)", upload.clone(), true),
        ("allow:ssh.transfer(web1:/etc/app/*)", climbing.clone(), false),
        ("allow:ssh.transfer(web1:/etc/app/**)", climbing.clone(), false),
        (
            "allow:ssh.transfer(web1:*.conf->/etc/app/*)",
            upload.clone(),
            true,
        ),
        (
            "allow:ssh.transfer(web1:*.txt->/etc/app/*)",
            upload.clone(),
            false,
        ),
        (
            "allow:ssh.transfer(download:web1:/var/**)",
            download.clone(),
            true,
        ),
        ("allow:ssh.transfer(download:web1:/var/**)", upload.clone(), false),
        ("default:allow;deny:ssh.transfer(*:/etc/passwd)", climbing, false),
        ("default:allow;deny:ssh.transfer(*:/var/**)", download, false),
        ("default:allow;deny:ssh.transfer(*:/var/**)", upload, true),
    ]);
}

#[test]
fn files_are_allowed_by_their_whole_names() {
    table(&[
        ("allow:fs.read(/etc/*)", read("/etc/hosts"), true),
        ("allow:fs.read(/etc/*)", read("/etc/ssh/config"), false),
        ("allow:fs.read(/etc/**)", read("/etc/ssh/config"), true),
        ("allow:fs.read(/etc/**)", read("/etc"), true),
        ("allow:fs.read(/etc/**)", read("/etcetera"), false),
        ("allow:fs.read(data/*.txt)", read("/srv/app/data/a.txt"), true),
        ("allow:fs.read($CWD/**)", read("/srv/app/x"), true),
        ("allow:fs.read($CWD/../**)", read("/srv/x"), true),
        ("allow:fs.read(~/.ssh/*)", read("/home/me/.ssh/id"), true),
        ("allow:fs.read($HOME/**)", read("/home/you"), false),
        ("allow:fs.read(**.pem)", read("/a/b/c.pem"), true),
        ("allow:fs.read(read_text:/a)", read("/a"), true),
        ("allow:fs.read(read_bytes:/a)", read("/a"), false),
        ("allow:fs.write(/a)", read("/a"), false),
        ("allow:fs.*(/a)", read("/a"), true),
        (
            "default:allow;deny:fs.read(/etc/shadow)",
            read("/etc/shadow"),
            false,
        ),
        (
            "allow:fs.read(**);deny:fs.*(**/.ssh/**)",
            read("/home/me/.ssh/id"),
            false,
        ),
    ]);
}

#[test]
fn a_rule_that_denies_sees_a_name_before_and_after_its_links() {
    let operation = Operation::file(
        Access::Read,
        "read_text",
        Path::new("/srv/app/link"),
        Path::new("/etc/shadow"),
    );
    assert!(check("default:allow;deny:fs.read(/etc/*)", &operation).is_err());
    assert!(check("default:allow;deny:fs.read(link)", &operation).is_err());
    assert!(check("allow:fs.read($CWD/**)", &operation).is_err());
}

#[test]
fn what_is_denied_does_not_move_with_the_directory_around_it() {
    let rename = |path: &str| Operation::file(Access::Delete, "rename", Path::new(path), Path::new(path));
    let rules = "default:allow;deny:fs.read(/srv/app/secret/**)";
    assert!(check(rules, &rename("/srv")).is_err());
    assert!(check(rules, &rename("/srv/app")).is_err());
    assert_eq!(check(rules, &rename("/srv/application")), Ok(()));
}

#[cfg(unix)]
#[test]
fn links_in_the_beginning_of_a_rule_are_followed() {
    let dir = tempfile::tempdir().unwrap();
    let root = resolve(dir.path());
    std::fs::create_dir(root.join("real")).unwrap();
    std::os::unix::fs::symlink("real", root.join("link")).unwrap();
    let roots = Roots {
        cwd: root.clone(),
        home: None,
    };
    let guard = Permissions::inline("allow:fs.read(link/**)").unwrap().at(&roots);
    let named = root.join("link/x");
    let operation = Operation::file(Access::Read, "read_text", &named, &resolve(&named));
    assert_eq!(guard.check(&operation), Ok(()));
}

#[test]
fn processes_and_variables_have_rules_too() {
    table(&[
        (
            "allow:os.process(git *)",
            Operation::process("exec", "git status"),
            true,
        ),
        (
            "allow:os.process(git *)",
            Operation::process("exec", "git status && reboot"),
            false,
        ),
        (
            "allow:os.process(exec:ls)",
            Operation::process("exec", "ls"),
            true,
        ),
        ("allow:os.process", Operation::exit(), true),
        ("allow:os.process(ls)", Operation::exit(), false),
        ("allow:os.env(env:HOME)", Operation::variable("env", "HOME"), true),
        (
            "allow:os.env(env:HOME)",
            Operation::variable("setenv", "HOME"),
            false,
        ),
        (
            "allow:os.env(APP_*)",
            Operation::variable("env", "APP_TOKEN"),
            true,
        ),
    ]);
}

#[test]
fn the_built_in_sets_are_what_they_are_called() {
    let find = |name: &str| Permissions::find(name, &roots(), &[]).unwrap().at(&roots());
    assert_eq!(find("allow-all").check(&read("/etc/shadow")), Ok(()));
    assert!(find("allow-all").allows_all());
    assert!(find("deny-all").check(&read("/srv/app/x")).is_err());
    assert_eq!(find("strict").check(&read("/srv/app/x")), Ok(()));
    assert!(find("strict").check(&read("/srv/x")).is_err());
    assert!(find("strict").check(&Operation::connect("web1")).is_err());
}

#[test]
fn a_denial_says_what_was_refused_and_by_which_rule() {
    let exec = Operation::command("exec", "h", "cmd");
    assert_eq!(
        check("deny:os.env", &exec).unwrap_err(),
        "permission denied: ssh.exec(\"h:cmd\") - no matching allow rule"
    );
    assert_eq!(
        check("allow:ssh.*;deny:ssh.connect(h:*)", &exec).unwrap_err(),
        "permission denied: ssh.exec(\"h:cmd\") - blocked by deny rule: ssh.connect(h:*)"
    );
    assert_eq!(
        check("deny:os.env", &Operation::exit()).unwrap_err(),
        "permission denied: os.exit - no matching allow rule"
    );
}

#[test]
fn a_mistake_in_a_rule_is_an_error_and_not_a_rule_about_something_else() {
    for (rules, part) in [
        ("allow:ssh", "MODULE.CATEGORY"),
        ("allow:ssh.conect", "nothing is called that"),
        ("allow:ssh.connect(web1", "not closed"),
        ("deny:fs.read(red_text:/etc/shadow)", "no function \"red_text\""),
        ("deny:ssh.connect(exec,scrpt:web1:x)", "no function \"scrpt\""),
        ("deny:*.*(/etc/**)", "name the category"),
        ("deny:ssh.connect(**reboot)", "HOST:COMMAND"),
        ("deny:ssh.connect(/usr/bin/reboot)", "HOST:COMMAND"),
        ("deny:fs.read(/a[b)", "without its `]`"),
        ("allow:fs.read;maybe:fs.write", "`maybe` begins nothing"),
        ("default:perhaps", "`allow` or `deny`"),
        ("allow-all;", "begins nothing"),
    ] {
        let error = Permissions::inline(rules).unwrap_err().to_string();
        assert!(
            error.starts_with("permissions: ") && error.contains(part),
            "{rules}: {error}"
        );
    }
}

#[test]
fn a_profile_is_found_in_its_file() {
    let yaml = "permissions:\n  deploy:\n    default: deny\n    allow: [\"ssh.connect(web1:**)\"]\n  open:\n    default: allow\n    deny:\n      - fs.delete\n";
    let toml = "[permissions.deploy]\ndefault = \"deny\"\nallow = [\"ssh.connect(web1:**)\"]\n\n[permissions.open]\ndefault = \"allow\"\ndeny = [\"fs.delete\"]\n";
    let dir = tempfile::tempdir().unwrap();
    let roots = Roots {
        cwd: dir.path().to_owned(),
        home: None,
    };
    for (file, text) in [("p.yaml", yaml), ("p.toml", toml)] {
        std::fs::write(dir.path().join(file), text).unwrap();
        let find = |value: &str| Permissions::find(value, &roots, &[]);
        let deploy = find(&format!("{file}#deploy")).unwrap();
        assert_eq!(deploy, Permissions::inline("allow:ssh.connect(web1:**)").unwrap());
        let open = find(&format!("{file}#open")).unwrap();
        assert_eq!(open, Permissions::inline("default:allow;deny:fs.delete").unwrap());
        assert!(find(file).unwrap_err().to_string().contains("deploy, open"));
        assert!(
            find(&format!("{file}#other"))
                .unwrap_err()
                .to_string()
                .contains("unknown profile \"other\"")
        );
        let user_file = dir.path().join(file);
        let by_name = Permissions::find("open", &roots, &["/nowhere/p.toml".into(), user_file]).unwrap();
        assert_eq!(by_name, open);
    }
    let unknown = Permissions::find("other", &roots, &["/nowhere/p.toml".into()]).unwrap_err();
    assert_eq!(
        unknown.to_string(),
        "permissions: unknown profile \"other\" (built-ins: allow-all, strict, deny-all; /nowhere/p.toml does not exist)"
    );
}

#[test]
fn a_profile_with_words_that_nobody_knows_is_refused() {
    for (text, part) in [
        ("permissions:\n  a:\n    alow: []\n", "alow is not understood"),
        ("permissions:\n  a:\n    allow: fs.read\n", "allow is a list"),
        ("permissions:\n  a:\n    default: yes\n", "`allow` or `deny`"),
        ("permissions:\n  a: {}\n  a: {}\n", "a twice"),
        ("rules: {}\n", "rules does not belong here"),
        ("permissions:\n  a:\n    allow: [fs.reed]\n", "fs.reed"),
        ("- a\n", "no mapping"),
        ("", "nothing in it"),
    ] {
        let error = profile::parse(text, false).unwrap_err();
        assert!(error.contains(part), "{text}: {error}");
    }
}

#[test]
fn a_script_names_its_permissions_in_its_first_comment() {
    for (text, value) in [
        ("# permissions: strict\nprint(1)", Some("strict")),
        (
            "#!/usr/bin/env -S sternline run\n\n#permissions: allow:fs.read;deny:fs.write\n",
            Some("allow:fs.read;deny:fs.write"),
        ),
        ("# Permissions : strict\n", Some("strict")),
        ("print(1)\n# permissions: strict", None),
        ("# permissions:\n", None),
        ("", None),
    ] {
        assert_eq!(Permissions::of_script(text), value, "{text}");
    }
    let late = format!("{}# permissions: strict", "#\n".repeat(32));
    assert_eq!(Permissions::of_script(&late), None);
}

proptest! {
    #[test]
    fn no_text_brings_the_reader_down(text in "(allow|deny):[a-z.*(){},;:\\\\\\[\\]/ >-]{0,30}") {
        let _ = Permissions::inline(&text);
    }

    #[test]
    fn no_profile_brings_the_reader_down(text in "[a-z:\\- \n\\[\\]{}&*\"#]{0,60}") {
        let _ = profile::parse(&text, false);
        let _ = profile::parse(&text, true);
    }

    #[test]
    fn what_is_denied_is_denied_whatever_else_is_allowed(host in "[a-z]{1,4}", command in "[a-z/;* ]{0,8}") {
        let rules = format!("default:allow;allow:*;deny:ssh.connect({host}:**)");
        prop_assert!(check(&rules, &Operation::command("exec", &host, &command)).is_err());
    }

    #[test]
    fn names_outside_of_a_directory_are_never_in_it(parts in prop::collection::vec("[a.]{1,2}", 0..6)) {
        let path = Path::new("/srv/app").join(parts.join("/"));
        let resolved = lexical(&path);
        let operation = Operation::file(Access::Read, "read_text", &path, &resolved);
        let inside = resolved.starts_with("/srv/app");
        prop_assert_eq!(check("allow:fs.read($CWD/**)", &operation).is_ok(), inside);
    }
}
