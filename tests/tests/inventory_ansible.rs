//! Inventories as Ansible itself reads them: variables, groups and selections, of samples and of drawn ones.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as a test does"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Map, Value, json};
use sternline::config::read_inventory;
use sternline_proto::inventory::{Inventory, select};
use sternline_tests::left_out::left_out;

/// What Ansible says of each case; nothing where it is not installed.
fn ansible(cases: &[(PathBuf, Vec<&str>)]) -> Option<Vec<Value>> {
    let python = std::env::var_os("STERNLINE_TEST_PYTHON").unwrap_or_else(|| "python3".into());
    let installed = Command::new(&python)
        .args(["-c", "import ansible.inventory.manager"])
        .stderr(Stdio::null())
        .status();
    if !installed.is_ok_and(|status| status.success()) {
        let how = "pip install -r scripts/test-requirements.txt, then STERNLINE_TEST_PYTHON=python cargo test --test inventory_ansible";
        left_out("inventories beside Ansible, which is not installed", how);
        return None;
    }
    let requests: Vec<Value> = cases
        .iter()
        .map(|(path, patterns)| json!({ "path": path, "patterns": patterns }))
        .collect();
    let home = tempfile::tempdir().unwrap();
    let mut child = Command::new(python)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("python/ansible_inventory.py"))
        .env("ANSIBLE_LOCALHOST_WARNING", "false")
        .env("ANSIBLE_HOME", home.path())
        .current_dir(home.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    serde_json::to_writer(child.stdin.take().unwrap(), &requests).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "the script failed");
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

/// What we say of a case, in the same form. Hosts stand sorted, for the order of groups below groups is chance with Ansible.
fn ours(path: &Path, patterns: &[&str]) -> Value {
    let inventory = match read_inventory(&[path.to_owned()]) {
        Ok(inventory) => inventory,
        Err(error) => return json!({ "error": error.to_string() }),
    };
    let name = |host| inventory.host_name(host).to_owned();
    let mut hosts = Map::new();
    for host in inventory.hosts() {
        let vars = inventory.vars(host).into_iter();
        let vars: Map<String, Value> = vars.map(|(name, var)| (name, var.value)).collect();
        hosts.insert(name(host), Value::Object(vars));
    }
    let mut groups = Map::new();
    for group in inventory.groups() {
        let group = inventory.group_name(group);
        groups.insert(group.to_owned(), names(&inventory, group));
    }
    let selected: Map<String, Value> = patterns
        .iter()
        .map(|pattern| ((*pattern).to_owned(), names(&inventory, pattern)))
        .collect();
    json!({ "hosts": hosts, "groups": groups, "selected": selected })
}

fn names(inventory: &Inventory, pattern: &str) -> Value {
    let names: BTreeSet<String> = match select(inventory, pattern) {
        Ok(selection) => selection
            .hosts
            .iter()
            .map(|selected| selected.target.host().to_owned())
            .collect(),
        Err(_) => BTreeSet::new(),
    };
    json!(names)
}

fn sorted(mut answer: Value) -> Value {
    for part in ["groups", "selected"] {
        if let Some(lists) = answer[part].as_object_mut() {
            for (_, list) in lists.iter_mut() {
                let names: BTreeSet<&str> = list
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|name| name.as_str().unwrap())
                    .collect();
                *list = json!(names);
            }
        }
    }
    // Whole numbers may be written with a fraction.
    answer
}

struct Files(tempfile::TempDir);

impl Files {
    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }
}

fn compare(cases: &[(PathBuf, Vec<&str>)]) {
    let Some(answers) = ansible(cases) else { return };
    assert_eq!(answers.len(), cases.len());
    for ((path, patterns), theirs) in cases.iter().zip(answers) {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let ours = ours(path, patterns);
        if theirs.get("error").is_some() || ours.get("error").is_some() {
            let both = theirs.get("error").is_some() && ours.get("error").is_some();
            assert!(
                both,
                "{}:\n{text}\nours: {ours}\ntheirs: {theirs}",
                path.display()
            );
            continue;
        }
        let theirs = sorted(theirs);
        for part in ["hosts", "groups", "selected"] {
            let map = |value: &Value| -> BTreeMap<String, Value> {
                serde_json::from_value(value[part].clone()).unwrap()
            };
            assert_eq!(map(&ours), map(&theirs), "{part} of {}:\n{text}", path.display());
        }
    }
}

const INI: &str = "\
lonely ansible_host=127.0.0.9 note='a b' # comment
; another comment

[web]
web[01:03] ansible_port=2200 list=\"['a', 'b']\" yes=True none=None
web02:2222 color=blue path=\"C:\\\\x\" hash=a#b
[web:vars]
color=red
port = 8080
quoted = \"a # b\"
commented = 5 # five
text = five # six
pair = 1, 2
octal=022
[db]
db-[a:c] mixed=\"{'a': {'b': 1}}\"
127.0.0.[1:2]:2200
[::1]:22
[prod:children]
web
db # both
[prod:vars]
color=green
stage=prod
[all:vars]
stage=none
[first]
web01
[second]
web01
[first:vars]
x=1
ansible_group_priority=5
[second:vars]
x=2
[empty]
";

const YAML: &str = "\
all:
  vars: {stage: none, truth: yes, oct: 010, time: 1:30, float: 1.5, nothing: ~, text: '5', date: '2024-01-01'}
  hosts:
    lonely:
      ansible_host: 127.0.0.9
  children:
    prod:
      vars: &shared
        stage: prod
        nested: {a: [1, 2], b: {c: d}}
      children:
        web:
          hosts:
            web[01:03]:
              ansible_port: 2200
              <<: *shared
              stage: web
        db:
          hosts: db-a
    canary:
      hosts:
        web01:
        lonely:
      vars:
        multi: |
          one
          two
        folded: >-
          one
          two
";

const PATTERNS: [&str; 16] = [
    "all",
    "*",
    "web",
    "prod:!web",
    "prod:&canary",
    "web*",
    "web0?",
    "~web0[12]",
    "~.*-",
    "web[0]",
    "web[-1]",
    "web[0:1]",
    "lonely,web01",
    "!web,prod",
    "&first,prod",
    "db-[ab]",
];

#[test]
fn samples_mean_what_they_mean_to_ansible() {
    let files = Files(tempfile::tempdir().unwrap());
    let all = PATTERNS.to_vec();
    let mut cases = vec![
        (files.write("ini/hosts.ini", INI), all.clone()),
        (files.write("plain/hosts", INI), all.clone()),
        (files.write("yaml/hosts.yml", YAML), all.clone()),
        (files.write("bare/hosts", "a\nb x=1\n"), vec!["all", "a"]),
        (
            files.write(
                "json/hosts.json",
                "{\"web\": {\"hosts\": {\"a\": {\"x\": 1}, \"b\": null}}}",
            ),
            vec!["web"],
        ),
    ];
    files.write("beside/group_vars/all.yml", "where: all\nonly_all: 1\n");
    files.write("beside/group_vars/web/a.yml", "where: a\na: 1\n");
    files.write("beside/group_vars/web/b", "where: b\n");
    files.write("beside/group_vars/web/c.txt", "where: c\n");
    files.write("beside/group_vars/prod.yaml", "where: prod\nprod: 1\n");
    files.write("beside/host_vars/web01.json", "{\"where\": \"host\"}");
    files.write("beside/host_vars/web02", "color: of the host\n");
    cases.push((files.write("beside/hosts", INI), all.clone()));
    files.write("many/10-a.ini", "[web]\na x=1\n[web:vars]\ny=1\n");
    files.write("many/20-b.yml", "web: {hosts: {a: {x: 2}, b: }, vars: {y: 2}}\n");
    files.write("many/sub/c", "[db]\nc\n");
    files.write("many/README.md", "nothing\n");
    files.write("many/group_vars/web.yml", "z: beside\n");
    cases.push((files.0.path().join("many"), vec!["all", "web", "db"]));
    for (index, broken) in [
        "[web:x]\na\n",
        "[web ]\na\n",
        "a b\n",
        "a x='\n",
        "[a:vars]\nx=1\n",
        "[a:children]\nb\n",
        "web[1-3]\n",
        "web[03:1]\n",
        "[a:children]\nb\n[b:children]\na\n",
    ]
    .into_iter()
    .enumerate()
    {
        cases.push((files.write(&format!("broken/{index}.ini"), broken), vec![]));
    }
    for (index, broken) in [
        "[a, b]\n",
        "web: {hosts: [a]}\n",
        "web: {hosts: {a: 5}}\n",
        "plugin: x\n",
    ]
    .into_iter()
    .enumerate()
    {
        cases.push((files.write(&format!("broken/{index}.yml"), broken), vec![]));
    }
    compare(&cases);
}

/// Numbers without end, the same for the same seed.
struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }

    fn of<'a>(&mut self, items: &[&'a str]) -> &'a str {
        items[self.below(items.len())]
    }
}

/// An inventory of a few groups, nested at random, with the same variables at many places.
fn drawn(draw: &mut Draw) -> String {
    const VALUES: [&str; 14] = [
        "1",
        "-1",
        "1.5",
        "True",
        "None",
        "word",
        "'a b'",
        "\"'x'\"",
        "[1,2]",
        "\"{'a': 1}\"",
        "0x1f",
        "007",
        "a=b",
        "1_0",
    ];
    let groups = 2 + draw.below(5);
    let mut text = String::new();
    for group in 0..groups {
        text.push_str(&format!("[g{group}]\n"));
        for _ in 0..draw.below(4) {
            text.push_str(draw.of(&["a", "b", "c[1:3]", "d:22", "e-[x:z]", "c2"]));
            for _ in 0..draw.below(3) {
                text.push_str(&format!(" v{}={}", draw.below(4), draw.of(&VALUES)));
            }
            text.push('\n');
        }
        if draw.below(2) == 0 {
            text.push_str(&format!("[g{group}:vars]\n"));
            for _ in 0..draw.below(4) {
                text.push_str(&format!("v{} = {}\n", draw.below(4), draw.of(&VALUES)));
            }
            if draw.below(4) == 0 {
                text.push_str(&format!("ansible_group_priority={}\n", draw.below(20)));
            }
        }
        // Only groups that come later, so that nothing goes round.
        if group + 1 < groups && draw.below(2) == 0 {
            text.push_str(&format!("[g{group}:children]\n"));
            for _ in 0..=draw.below(2) {
                text.push_str(&format!("g{}\n", group + 1 + draw.below(groups - group - 1)));
            }
        }
    }
    if draw.below(2) == 0 {
        text.push_str("[all:vars]\nv0=all\nv3=all\n");
    }
    if draw.below(3) == 0 {
        text = format!("loose v0={}\n{text}", draw.of(&VALUES));
    }
    text
}

#[test]
fn drawn_inventories_mean_what_they_mean_to_ansible() {
    let files = Files(tempfile::tempdir().unwrap());
    let mut draw = Draw(20);
    let mut cases = Vec::new();
    for number in 0..60 {
        let text = drawn(&mut draw);
        let path = files.write(&format!("{number}/hosts.ini"), &text);
        cases.push((
            path,
            vec![
                "all",
                "g0",
                "g1:!g0",
                "g0:&g1",
                "c*",
                "~[ab]$",
                "!g1",
                "c*,g1",
                "ungrouped",
            ],
        ));
    }
    compare(&cases);
}
