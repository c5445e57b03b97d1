use proptest::prelude::*;

use super::validate;

/// What is found, as `line:column: message`.
fn found(text: &str) -> Vec<String> {
    let findings = validate("a.star", text);
    let line = |finding: &super::Finding| {
        format!(
            "{}:{}: {}",
            finding.place.line, finding.place.column, finding.message
        )
    };
    findings.iter().map(line).collect()
}

#[test]
fn a_script_that_is_right_has_no_findings() {
    let text = r#"
load("./lib.star", "helper", other = "thing")

client = ssh.config(hosts = ["a", "b"])
results = client.exec("uptime")
for r in results:
    print(r, helper(other))

def each(items, *more, key = None, **rest):
    inner = [x + y for x in items for y in more if x]
    return sorted(inner, key = key or (lambda v: -v)), rest

def later():
    return defined_below

defined_below = {k: v for k, v in {}.items()}
each([1], 2, 3, key = len, other = 1)
name = "x"
print(f"{name} {[n for n in name.elems()]}")
assert(results)
test.assert(len(results) == 2, "two, not %d", len(results))
try_it = ssh.try_config(hosts = [])
"#;
    assert_eq!(found(text), Vec::<String>::new());
}

#[test]
fn wrong_syntax_is_one_finding_at_its_place() {
    assert_eq!(
        found("x = 1\nwhile x:\n  pass\n"),
        ["2:1: there is no `while` in the language"]
    );
    assert_eq!(found("f(\n").len(), 1);
    assert_eq!(found("def f():\n\tpass\n").len(), 1);
}

#[test]
fn all_unknown_names_are_found_and_the_nearest_is_named() {
    assert_eq!(
        found("hosts = []\nprint(hots)\ndef f(arg):\n    return agr + zzz\nfor x in hosts: y(x)\n"),
        [
            "2:7: undefined: hots (did you mean hosts?)",
            "4:12: undefined: agr (did you mean arg?)",
            "4:18: undefined: zzz",
            "5:17: undefined: y",
        ]
    );
}

#[test]
fn a_name_is_known_only_in_its_part_of_the_script() {
    assert_eq!(
        found(
            "def f(in_parameter):\n    in_body = in_parameter\n[in_loop for in_loop in []]\nprint(in_parameter)\nprint(in_body, in_loop)\n"
        ),
        [
            "4:7: undefined: in_parameter",
            "5:7: undefined: in_body",
            "5:16: undefined: in_loop"
        ]
    );
}

#[test]
fn members_of_modules_are_looked_at() {
    assert_eq!(
        found("ssh.confgi(hosts = [])\n"),
        ["1:4: undefined: confgi (module ssh has no .confgi field or method; did you mean .config?)"]
    );
    assert_eq!(
        found("ssh = struct(own = 1)\nprint(ssh.own)\n"),
        Vec::<String>::new()
    );
}

#[test]
fn arguments_of_functions_are_looked_at() {
    assert_eq!(
        found("ssh.config(hots = [])\n"),
        ["1:12: ssh.config: unknown parameter \"hots\" (did you mean \"hosts\"?)"]
    );
    assert_eq!(
        found("c = ssh.config()\nc.exec()\n"),
        ["2:1: c.exec: missing required argument: cmd"]
    );
    assert_eq!(
        found("ssh.config([\"a\"], hosts = [])\n"),
        ["1:12: ssh.config: unexpected positional argument at index 0: 1 given, none taken"]
    );
    assert_eq!(found("ssh.try_config(hosts = [], zz = 1)\n").len(), 1);
    assert_eq!(
        found("ssh.config(**{})\nssh.config(hosts = [], **{})\n"),
        Vec::<String>::new()
    );
}

#[test]
fn values_that_stand_there_must_be_of_the_parameter_s_type() {
    assert_eq!(
        found("ssh.config(hosts = \"web-1\")\n"),
        ["1:20: ssh.config: parameter hosts must be list[str | dict[str, typing.Any]], not str"]
    );
    assert_eq!(
        found("c = ssh.config(hosts = [])\nc.exec([\"uptime\"])\nc.exec(None)\nc.exec(c)\n").len(),
        2
    );
    assert_eq!(
        found("ssh.config(hosts = [x for x in []])\n"),
        Vec::<String>::new()
    );
}

#[test]
fn methods_of_a_client_are_looked_at_where_it_is_known_to_be_one() {
    let text = "
c = ssh.config(hosts = [])
c.exce('uptime')
c.exec()
c.exec('uptime', sduo = True)
c.try_exec('uptime', 2)
print(c.hosts)
def f():
    ssh.config(hosts = []).uplaod('a', 'b')
    d = ssh.config(hosts = [])
    d.exec('a', 2, 3)
";
    assert_eq!(
        found(text)
            .iter()
            .map(|line| line.split(": ").next().unwrap_or_default())
            .collect::<Vec<_>>(),
        ["3:2", "4:1", "5:18", "6:22", "9:27", "11:17"]
    );
}

#[test]
fn results_are_known_by_the_list_that_they_are_in() {
    let text = "
c = ssh.config(hosts = [])
results = c.exec('uptime')
for r in results:
    print(r.host, r.stdout, r.output)
print(results[0].sdtout, [t.byets for t in c.upload('a', 'b')])
";
    assert_eq!(
        found(text),
        [
            "5:30: SSHResult has no .output field or method",
            "6:17: SSHResult has no .sdtout field or method (did you mean .stdout?)",
            "6:28: SSHTransferResult has no .byets field or method (did you mean .bytes?)",
        ]
    );
}

#[test]
fn scripts_as_the_documented_module_shows_them_are_right() {
    let text = "
client = ssh.config(
    hosts=['app-1', 'app-2'],
    user='deploy',
    key='~/.ssh/deploy_key',
    port=22,
    timeout='30s',
    keep_alive_interval='30s',
)
results = client.exec('systemctl restart myapp', sudo=True)
for r in results:
    if not r.ok:
        print('FAILED on', r.host, ':', r.stderr)
results = client.exec('make deploy', cwd='/opt/myapp', env={'VERSION': '2.0.0'})
results = client.upload('nginx.conf', '/etc/nginx/nginx.conf', mode='0644')
for r in results:
    if r.ok:
        print(r.host, ': uploaded', r.bytes, 'bytes')
client.download('/var/log/app.log', './logs/')

def test_upload():
    srv = ssh.test_server(user='u', password='p')
    srv.start()
    client = ssh.config(hosts=['127.0.0.1'], user='u', password='p', port=srv.port(), host_key_check=False)
    path = '/tmp/upload_test'
    write_text(path, 'hello')
    client.upload(path, '/remote/file.txt')
    uploaded = srv.uploaded('/remote/file.txt')
    assert(uploaded.content == 'hello')
    fs.path(path).remove()
    srv.shutdown()

def test_pubkey_auth():
    key = ssh.test_key()
    srv = ssh.test_server(user='deploy')
    srv.handle_exec(lambda cmd: ('', '', 0))
    client = ssh.config(hosts=['127.0.0.1'], user='deploy', key=key.path, port=srv.port(), host_key_check=False)
    results = client.exec('echo ok')
    assert(results[0].ok)
";
    assert_eq!(found(text), Vec::<String>::new());
}

#[test]
fn a_name_with_several_values_is_not_guessed_at() {
    let text = "
c = ssh.config(hosts = [])
c = struct(exce = 1)
c.exce
for d in []:
    d.anything(1)
";
    assert_eq!(found(text), Vec::<String>::new());
}

#[test]
fn functions_of_the_script_are_looked_at_too() {
    let text = "
def deploy(host, *, force = False):
    pass

deploy('a', force = True)
deploy('a', foce = True)
deploy()
deploy('a', 'b')
deploy('a', host = 'b')
deploy(*[], **{})
";
    assert_eq!(
        found(text),
        [
            "6:13: deploy: unknown parameter \"foce\" (did you mean \"force\"?)",
            "7:1: deploy: missing required argument: host",
            "8:13: deploy: unexpected positional argument at index 1: 2 given, at most 1 taken",
            "9:13: deploy: argument host is given more than once",
        ]
    );
}

#[test]
fn test_servers_are_known_to_tests_only() {
    let use_it = "ssh.test_server(user = 'u')\n";
    assert_eq!(found(use_it).len(), 1);
    assert!(found(use_it)[0].contains("undefined: test_server"));
}

#[test]
fn deep_nesting_is_a_finding_and_no_crash() {
    assert_eq!(found(&"(".repeat(100_000)).len(), 1);
    assert_eq!(found(&format!("x = {}1\n", "-".repeat(100_000))).len(), 1);
    assert_eq!(found(&format!("x = {}1\n", "1 + ".repeat(100_000))).len(), 1);
    assert_eq!(found(&format!("x = {}1\n", "not ".repeat(100_000))).len(), 1);
    assert_eq!(
        found(&format!("x = {}1\n", "1 + ".repeat(15_000))),
        Vec::<String>::new()
    );
    let elifs = "elif x:\n  pass\n".repeat(15_000);
    assert_eq!(
        found(&format!("x = 1\nif x:\n  pass\n{elifs}")),
        Vec::<String>::new()
    );
}

#[test]
fn columns_are_those_of_the_author_s_text() {
    assert_eq!(found("assert(assert, zzz)\n"), ["1:16: undefined: zzz"]);
    assert_eq!(found("print(\"ä\", zzz)\n"), ["1:12: undefined: zzz"]);
}

/// Texts that look a little like scripts.
fn texts() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "def f(a, *b, c = 1, **d):\n    ",
        "return ",
        "x",
        " = ",
        "ssh",
        ".config",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ":",
        ",",
        "\n",
        "\n    ",
        "for x in ",
        "if x:\n    ",
        "else:\n",
        "lambda x: ",
        "load('a', 'b')",
        "f'{x}'",
        "'text'",
        "1",
        "1.5",
        " + ",
        "not ",
        " in ",
        "*",
        "**",
        "assert",
        "pass",
        "\t",
        "\\",
        "\"",
        "#",
        "ä",
        "0x",
        "!r}",
        "=",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_text_is_looked_at_without_a_panic(text in texts()) {
        for finding in validate("a.star", &text) {
            prop_assert!(!finding.message.contains("report this"), "{text}");
            prop_assert!(finding.place.line >= 1, "{text}: {}", finding.message);
        }
    }
}
