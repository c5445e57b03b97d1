//! What scripts see of inventories.

use tempfile::TempDir;

use super::*;
use crate::scratch::run_in;

const LIST: &str = "
- {name: web-1, address: 10.0.0.1, env: prod, port: 2222, user: deploy}
- {name: web-2, address: 10.0.0.2, env: test}
- {name: db-1, address: 10.0.0.3, env: prod, tags: [a, b]}
";

const GROUPS: &str =
    r#"{"web": [{"name": "web-1", "address": "10.0.0.1"}], "db": [{"name": "db-1", "address": "10.0.0.3"}]}"#;

const TOML: &str = r#"
[defaults]
user = "deploy"
[hosts."web-[1-2]"]
labels = { role = "web" }
[hosts.db]
address = "10.0.0.3"
port = 2222
[groups.prod]
hosts = ["web-1", "db"]
"#;

const INI: &str = "[web]\nweb-1 ansible_host=10.0.0.1 ansible_port=2222 env=prod\nweb-2\n[db]\ndb-1 ansible_user=\"{{ who }}\"\n";

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("list.yaml", LIST),
        ("groups.json", GROUPS),
        ("hosts.toml", TOML),
        ("hosts.ini", INI),
        ("odd.yaml", "a: [1"),
        ("nameless.yaml", "- {env: prod}\n"),
    ] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

/// What a script prints, or why it fails.
fn run_script(script: &str) -> Result<String, String> {
    let folder = folder();
    let ran = run_in(folder.path(), &[], script, |builder| builder);
    ran.ended
        .map(|_| ran.out)
        .map_err(|error| error.message().to_owned())
}

fn prints(script: &str) -> String {
    run_script(script).unwrap()
}

#[test]
fn lists_of_hosts_are_read_from_yaml_and_json() {
    let script = r#"
inv = inventory.file("list.yaml")
print(inv, type(inv), inv.count, len(inv), bool(inv), inv.names, inv[0]["port"], inv[-1]["name"])
print(inventory.addresses(inv), inventory.addresses(inv, key = "name"), [h["env"] for h in inv])
print(inv.items[2], inventory.list(inv) == inv.items)
print([(h["name"], h["_group"]) for h in inventory.file("groups.json").items])
print(json.encode(inventory.file("groups.json"))[:20])
"#;
    assert_eq!(
        prints(script),
        concat!(
            "<inventory count=3> inventory 3 3 True [\"web-1\", \"web-2\", \"db-1\"] 2222 db-1\n",
            "[\"10.0.0.1\", \"10.0.0.2\", \"10.0.0.3\"] [\"web-1\", \"web-2\", \"db-1\"] [\"prod\", \"test\", \"prod\"]\n",
            "{\"name\": \"db-1\", \"address\": \"10.0.0.3\", \"env\": \"prod\", \"tags\": [\"a\", \"b\"]} True\n",
            "[(\"web-1\", \"web\"), (\"db-1\", \"db\")]\n",
            "[{\"_group\":\"web\",\"ad\n",
        )
    );
}

#[test]
fn hosts_are_chosen_by_functions_fields_and_selections() {
    let script = r#"
inv = inventory.file("list.yaml")
print(inventory.filter(inv, lambda h: h["name"].startswith("web")).names, inventory.filter(inv, env = "prod").names)
print(inventory.filter(inv, lambda h: True, env = "prod", port = 2222).names, inventory.filter(inv).count)
groups = inventory.group_by(inv, "env")
print({env: group.names for env, group in groups.items()}, inventory.group_by(inv, "tags").keys())
print(inv.select("web-*:!web-2").names, inventory.select(inv, "env=prod").names, inv.select("bob@db-1:22")[0]["user"])
print(inventory.file("groups.json").select("web").names, inv.try_select("nobody").ok)
print(inventory.merge(inv, inventory.file("groups.json")).count, inventory.merge().count)
"#;
    assert_eq!(
        prints(script),
        concat!(
            "[\"web-1\", \"web-2\"] [\"web-1\", \"db-1\"]\n",
            "[\"web-1\"] 3\n",
            "{\"prod\": [\"web-1\", \"db-1\"], \"test\": [\"web-2\"]} [None, \"a\", \"b\"]\n",
            "[\"web-1\"] [\"web-1\", \"db-1\"] bob\n",
            "[\"web-1\"] False\n",
            "5 0\n",
        )
    );
}

#[test]
fn inventories_of_the_whole_program_are_read_too() {
    let script = r#"
inv = inventory.file("hosts.toml")
print(inv.names, inventory.addresses(inv))
db = inventory.filter(inv, name = "db")[0]
print(db["user"], db["port"], db["groups"], inv[0]["labels"])
print(inv.select("prod:!db").names, inv.select("role=web").names, inventory.filter(inv, user = "deploy").select("prod").names)
print([(h["name"], h["address"], h.get("port"), h["groups"], h.get("env")) for h in inventory.file("hosts.ini").items][:2])
"#;
    assert_eq!(
        prints(script),
        concat!(
            "[\"web-1\", \"web-2\", \"db\"] [\"web-1\", \"web-2\", \"10.0.0.3\"]\n",
            "deploy 2222 [\"prod\"] {\"role\": \"web\"}\n",
            "[\"web-1\"] [\"web-1\", \"web-2\"] [\"web-1\", \"db\"]\n",
            "[(\"web-1\", \"10.0.0.1\", 2222, [\"web\"], \"prod\"), (\"web-2\", \"web-2\", None, [\"web\"], None)]\n",
        )
    );
}

#[test]
fn hosts_become_entries_for_connections() {
    let folder = folder();
    let read = |name: &str| {
        let read = read::read(&folder.path().join(name)).unwrap();
        Inventory::new(read.items, read.known.map(Arc::new))
    };
    let entries = read("list.yaml").entries().unwrap();
    assert_eq!(
        serde_json::to_string(&entries[..2]).unwrap(),
        r#"[{"host":"10.0.0.1","name":"web-1","user":"deploy","port":2222},{"host":"10.0.0.2","name":"web-2"}]"#
    );
    let entries = read("hosts.toml").entries().unwrap();
    assert_eq!(
        serde_json::to_string(&entries[2]).unwrap(),
        r#"{"host":"10.0.0.3","name":"db","user":"deploy","port":2222}"#
    );
    let error = read("hosts.ini").entries().unwrap_err().to_string();
    assert!(error.starts_with("db-1: "), "{error}");
    let error = read("nameless.yaml").entries().unwrap_err().to_string();
    assert_eq!(error, "item 0 of the inventory has no field \"address\"");
}

#[test]
fn what_is_wrong_is_said() {
    for (script, part) in [
        (
            "inventory.file(\"none.yaml\")",
            "none.yaml: no such file or directory",
        ),
        ("inventory.file(\"odd.yaml\")", "odd.yaml"),
        (
            "inventory.addresses(inventory.file(\"nameless.yaml\"))",
            "item 0 has no field \"address\"",
        ),
        (
            "inventory.file(\"nameless.yaml\").select(\"all\")",
            "item 0 has no name",
        ),
        ("inventory.file(\"list.yaml\").select(\"web-3\")", "web-3"),
        ("inventory.file(\"list.yaml\")[7]", "3 hosts, and none at 7"),
        ("inventory.merge(1)", ""),
    ] {
        let error = run_script(script).unwrap_err();
        assert!(error.contains(part), "{script}: {error}");
    }
}
