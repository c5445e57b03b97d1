use super::*;
use proptest::prelude::*;
use serde_json::json;

fn inventory(text: &str) -> Result<Inventory, String> {
    let mut inventory = Inventory::new();
    read(&mut inventory, &"hosts.toml".into(), text)
        .and_then(|()| inventory.finish())
        .map_err(|error| error.to_string())?;
    Ok(inventory)
}

const SAMPLE: &str = r#"
[defaults]
user = "deploy"
labels = { env = "prod" }

[hosts.bastion]
address = "::1"
port = 2222
user = "jump"

[hosts."web-[01-03]"]
address = "10.0.1.[1-3]"
labels = { role = ["web", "api"] }

[groups.web]
hosts = ["web-[01-03]", "extra"]
jump = "bastion"
identity = ["~/.ssh/a", "~/.ssh/b"]

[groups.all-of-it]
children = ["web"]
options = ["ConnectTimeout=5"]
labels = { env = "all" }
"#;

#[test]
fn hosts_groups_defaults_and_labels_are_read() {
    let inventory = inventory(SAMPLE).unwrap();
    let names: Vec<&str> = inventory.hosts().map(|host| inventory.host_name(host)).collect();
    assert_eq!(names, ["bastion", "web-01", "web-02", "web-03", "extra"]);
    let web = inventory.host("web-02").unwrap();
    let vars: Vec<String> = inventory
        .vars(web)
        .iter()
        .map(|(name, value)| format!("{name}={} {}", value.value, value.source))
        .collect();
    assert_eq!(
        vars,
        [
            "ansible_host=\"10.0.1.2\" hosts.toml:12",
            "ansible_ssh_private_key_file=[\"~/.ssh/a\",\"~/.ssh/b\"] hosts.toml:18",
            "ansible_user=\"deploy\" hosts.toml:3",
            "sternline_jump=\"bastion\" hosts.toml:17",
            "sternline_options=[\"ConnectTimeout=5\"] hosts.toml:22",
        ]
    );
    let label = |host: &str, key: &str| {
        inventory
            .label(inventory.host(host).unwrap(), key)
            .unwrap()
            .value
            .join(",")
    };
    assert_eq!(label("web-02", "role"), "web,api");
    assert_eq!(label("web-02", "env"), "all");
    assert_eq!(label("bastion", "env"), "prod");
    assert_eq!(
        inventory
            .var(inventory.host("bastion").unwrap(), "ansible_host")
            .unwrap()
            .value,
        json!("::1")
    );
    assert_eq!(inventory.groups_of(web), ["all-of-it", "web"]);
}

#[test]
fn mistakes_are_told_with_their_line_and_what_was_meant() {
    for (text, words) in [
        (
            "[host.web]\n",
            "hosts.toml:1: host does not belong here: did you mean hosts?",
        ),
        (
            "x = 1\n",
            "x does not belong here: did you mean defaults or hosts or groups?",
        ),
        (
            "[hosts.web]\nadress = 'x'\n",
            "hosts.toml:2: adress does not belong here: did you mean address?",
        ),
        (
            "[defaults]\naddress = 'x'\n",
            "hosts.toml:2: address does not belong here",
        ),
        (
            "[groups.web]\nhost = []\n",
            "hosts.toml:2: host does not belong here: did you mean hosts?",
        ),
        (
            "[hosts.web]\nport = 'x'\n",
            "hosts.toml:2: \"x\" is no value for port: write a number",
        ),
        ("[hosts.web]\nport = 0\n", "0 is no value for port"),
        ("[hosts.web]\nuser = 5\n", "5 is no value for user: write a text"),
        ("[hosts]\nweb = 5\n", "5 is no value for web: write a table"),
        (
            "[groups.web]\nhosts = 'a'\n",
            "\"a\" is no value for hosts: write a list",
        ),
        (
            "[groups.web]\nchildren = ['x']\n",
            "hosts.toml:2: the group x is declared nowhere",
        ),
        (
            "[groups.a]\nchildren = ['a']\n",
            "hosts.toml:2: the group a is a child of its own children",
        ),
        ("[groups.all]\n", "write [defaults]"),
        ("[hosts.'web;id']\n", "hosts.toml:1: the host name web;id holds"),
        (
            "[hosts.'web-[1-3]']\naddress = '10.0.0.[1-2]'\n",
            "hosts.toml:2: 10.0.0.[1-2] is 2 addresses, and web-[1-3] is 3 hosts",
        ),
        ("[hosts.'web-[3-1]']\n", "runs backwards"),
        (
            "[hosts.web]\nlabels = { a = 'b c' }\n",
            "the label b c has other characters",
        ),
        ("[hosts.web\n", "hosts.toml:1: "),
        ("[hosts.web]\n[hosts.web]\n", "hosts.toml:2: "),
    ] {
        let error = inventory(text).unwrap_err();
        assert!(error.contains(words), "{text:?}: {error}");
    }
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "(\\[(hosts|groups|defaults)\\.?[a-c]?\\]\n|[a-z]{1,8} = ([0-9]{1,3}|'[a-c\\[\\]-]{0,8}'|\\[\\])\n){0,8}") {
        let _ = inventory(&text);
    }
}
