use std::sync::LazyLock;

use super::*;
use proptest::prelude::*;

const SAMPLE: &str = "\
lonely
[web]
web-[1:4] zone=a
[db]
db-1 zone=b
db-2 zone='{{ where }}'
[canary]
web-2
db-1
[prod:children]
web
db
[empty]
[both]
both
other
[one]
one
";

static INVENTORY: LazyLock<Inventory> = LazyLock::new(|| {
    let mut inventory = Inventory::new();
    inventory.add("hosts.ini", SAMPLE).unwrap();
    let labels = "[hosts.lab-1]\nlabels = { env = 'prod', role = ['x', 'y'] }\n[hosts.lab-2]\nlabels = { env = 'test' }\n\
                  [groups.lab]\nhosts = ['lab-[1-2]']\n";
    inventory.add("hosts.toml", labels).unwrap();
    inventory.finish().unwrap();
    inventory
});

fn inventory() -> &'static Inventory {
    &INVENTORY
}

fn names(text: &str) -> Result<String, String> {
    let selection = select(inventory(), text).map_err(|error| error.to_string())?;
    let names: Vec<String> = selection
        .hosts
        .iter()
        .map(|selected| selected.target.to_string())
        .collect();
    Ok(names.join(" "))
}

#[test]
fn terms_are_put_together_cut_and_taken_away_wherever_they_stand() {
    for (text, expected) in [
        ("web", "web-1 web-2 web-3 web-4"),
        ("lonely", "lonely"),
        ("lonely,web-1", "lonely web-1"),
        ("web:&canary", "web-2"),
        ("&canary:web", "web-2"),
        ("!canary,web:db", "web-1 web-3 web-4 db-2"),
        ("prod:&canary:!db", "web-2"),
        ("!web:!lab:!bot*:!other:!one:!lonely", "db-1 db-2"),
        ("&canary", "web-2 db-1"),
        ("canary,web", "web-2 db-1 web-1 web-3 web-4"),
        ("web-[1-2]", "web-1 web-2"),
        ("web-*:!web-[2-3]", "web-1 web-4"),
        ("web-?,db*", "web-1 web-2 web-3 web-4 db-1 db-2"),
        ("ca*", "web-2 db-1"),
        ("web-[!1-3]", "web-4"),
        ("~web-[34]|lonely", "lonely web-3 web-4"),
        ("~.*:&~db", "db-1 db-2"),
        ("web[0]", "web-1"),
        ("web[-1]", "web-4"),
        ("web[1:2]", "web-2 web-3"),
        ("web[2:],db", "web-3 web-4 db-1 db-2"),
        ("web-*[0]", "web-1"),
        ("env=prod", "lab-1"),
        ("env=*:!role=y", "lab-2"),
        ("role=x", "lab-1"),
        ("ungrouped", "lonely"),
        ("one", "one"),
        ("bob@web-1,web-1:2222", "bob@web-1 web-1:2222"),
        (
            "web-1,bob@elsewhere,ssh://plain,10.0.0.5:22",
            "web-1 bob@elsewhere plain 10.0.0.5:22",
        ),
        ("web:&bob@web-2", "web-2"),
    ] {
        assert_eq!(names(text), Ok(expected.to_owned()), "{text}");
    }
    assert_eq!(
        names("all").unwrap().split(' ').count(),
        inventory().hosts().count()
    );
    assert_eq!(names("*"), names("all"));
}

#[test]
fn what_is_not_there_is_an_error_with_what_was_meant() {
    for (text, words) in [
        ("wbe", "the inventory has no host or group wbe: did you mean web?"),
        (
            "web-7",
            "no host or group web-7: did you mean web-1 or web-2 or web-3?",
        ),
        ("web:!cnary", "no host or group cnary: did you mean canary?"),
        (
            "nothing-like-it",
            "the inventory has no host or group nothing-like-it",
        ),
        ("web-[1-9]", "no host or group web-5"),
        ("10.0.0.5", "no host or group 10.0.0.5"),
        ("evn=prod", "no label evn: did you mean env?"),
        (
            "env=prd",
            "no host with the label env=prd: did you mean env=prod?",
        ),
        ("both", "both is the name of a host and of a group"),
        ("web,!bob@web-7", "no host or group web-7: did you mean"),
        ("web,&bob@web-7", "no host or group web-7: did you mean"),
        (
            "bob@web",
            "web is a group, and only a host is named with a user or port",
        ),
        (
            "web:22",
            "web is a group, and only a host is named with a user or port",
        ),
        ("all,!bob@web", "web is a group, and only a host"),
        ("a,,b", "a term of the selection is empty"),
        ("", "a term of the selection is empty"),
        ("web:!", "a term of the selection is empty"),
        ("~(", "is no regular expression: unclosed group"),
        (
            "web-[0:2]",
            "web- is neither a group nor a pattern, so web-[0:2] has nothing to choose from: for a range of names write web-[0-2]",
        ),
        ("web;id", "the host name web;id holds"),
        ("zone=b", "hosts.ini:6: zone is a template"),
        ("-x", "begins with a dash"),
    ] {
        let error = names(text).unwrap_err();
        assert!(error.contains(words), "{text}: {error}");
    }
}

#[test]
fn an_empty_selection_says_which_term_emptied_it() {
    for (text, words) in [
        ("empty", "empty selects no host"),
        ("nosuch*", "nosuch* selects no host"),
        ("web[9]", "web[9] selects no host"),
        ("web:&db", "no host is left: &db takes away all 4"),
        ("web:!web", "no host is left: !web takes away all 4"),
        (
            "web:&canary:!web-2:!db",
            "no host is left: !web-2 takes away the only one",
        ),
        ("web:&nosuch*", "no host is left: &nosuch* takes away all 4"),
    ] {
        let error = names(text).unwrap_err();
        assert!(error.contains(words), "{text}: {error}");
    }
    let selection = select(inventory(), "web,nosuch*,!empty").unwrap();
    assert_eq!(selection.unmatched, ["nosuch*", "empty"]);
}

#[test]
fn a_host_that_is_named_itself_is_told_apart() {
    let selection = select(inventory(), "web,web-2,web-2,lonely").unwrap();
    let named: Vec<&str> = selection
        .hosts
        .iter()
        .filter(|selected| selected.by_name)
        .map(|selected| selected.target.host())
        .collect();
    assert_eq!(named, ["web-2", "lonely"]);
    assert_eq!(selection.duplicates.len(), 1);
}

/// The lists that some tests know.
fn read(name: &str) -> Result<String, String> {
    Ok(match name {
        "hosts" => "# of yesterday\n\n  web-1  \ndb-1,web-[3-4]\nbob@outside\n",
        "known" => "web-1\r\ndb-1\n",
        "patterns" => "db\nweb*:lonely",
        "empty" => "\n",
        "signed" => "web-1\n!web-2\n",
        "nested" => "@hosts\n",
        "gone" => "web-1\nweb-9\n",
        _ => return Err("no such file".to_owned()),
    }
    .to_owned())
}

#[test]
fn a_list_stands_for_its_hosts_wherever_a_term_may_stand() {
    for (text, expected) in [
        ("@hosts", "web-1 db-1 web-3 web-4 bob@outside"),
        ("@known:lonely", "web-1 db-1 lonely"),
        (
            "all:@known",
            "lonely web-2 db-1 both other one lab-1 lab-2 web-1 web-3 web-4 db-2",
        ),
        ("web:&@known", "web-1"),
        ("prod:!@known", "web-2 web-3 web-4 db-2"),
        ("&@known", "db-1 web-1"),
        ("@patterns:!@known", "db-2 web-2 web-3 web-4 lonely"),
        ("web:!@empty", "web-1 web-2 web-3 web-4"),
        ("@empty", "@empty selects no host"),
        (
            "@signed",
            "signed:2: !web-2 cannot stand in a list of hosts, which has names, groups and patterns only",
        ),
        (
            "@nested",
            "nested:1: @hosts cannot stand in a list of hosts, which has names, groups and patterns only",
        ),
        ("@nowhere", "cannot read the list of hosts nowhere: no such file"),
    ] {
        let shown = match select_with_lists(inventory(), text, &read) {
            Err(error) => error.to_string(),
            Ok(selection) => {
                let hosts = selection.hosts.iter().map(|selected| selected.target.to_string());
                hosts.collect::<Vec<_>>().join(" ")
            }
        };
        assert_eq!(shown, expected, "{text}");
    }
    let error = select_with_lists(inventory(), "@gone", &read)
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("gone:2: the inventory has no host or group web-9"),
        "{error}"
    );
    let mut selection = select(inventory(), "web").unwrap();
    selection
        .limit_with_lists(inventory(), "all:!@known", &read)
        .unwrap();
    assert_eq!(selection.hosts.len(), 3);
    assert!(
        select(inventory(), "@hosts").is_err(),
        "lists are read only where they are asked for"
    );
}

#[test]
fn a_limit_keeps_what_both_mean() {
    let inventory = inventory();
    let limited = |text: &str, limit: &str| {
        let mut selection = select(inventory, text).map_err(|error| error.to_string())?;
        selection
            .limit(inventory, limit)
            .map_err(|error| error.to_string())?;
        let names: Vec<String> = selection
            .hosts
            .iter()
            .map(|selected| selected.target.to_string())
            .collect();
        Ok::<_, String>(names.join(" "))
    };
    assert_eq!(limited("web", "canary,db").unwrap(), "web-2");
    assert_eq!(limited("web", "!web-1").unwrap(), "web-2 web-3 web-4");
    assert_eq!(limited("web,bob@there:22", "there").unwrap(), "bob@there:22");
    assert_eq!(limited("web,bob@there:22", "!web").unwrap(), "bob@there:22");
    assert!(
        limited("web", "db")
            .unwrap_err()
            .contains("no host is left: the limit db takes away all 4")
    );
    assert!(limited("web", "wbe").unwrap_err().contains("did you mean web?"));
}

#[test]
fn ten_thousand_hosts_are_read_and_selected_at_once() {
    let mut text = String::from("[web]\n");
    for number in 0..10_000 {
        text.push_str(&format!(
            "web-{number:05} ansible_host=127.1.{}.{} zone=z{}\n",
            number / 250,
            number % 250,
            number % 7
        ));
    }
    text.push_str("[prod:children]\nweb\n[prod:vars]\nansible_user=deploy\n");
    let mut inventory = Inventory::new();
    inventory
        .add("hosts", &text)
        .and_then(|()| inventory.finish())
        .unwrap();
    let selection = select(&inventory, "prod:&zone=z3:!web-000*,web-[00000-09999]").unwrap();
    assert_eq!(selection.hosts.len(), 1415);
    for selected in &selection.hosts {
        assert!(
            inventory
                .ssh_settings(selected.host.unwrap())
                .unwrap()
                .address
                .is_some()
        );
    }
}

proptest! {
    #[test]
    fn any_text_selects_or_is_refused(text in "[a-c~!&,:\\[\\](){}@=*?0-9-]{0,16}") {
        if let Ok(selection) = select(inventory(), &text) {
            prop_assert!(!selection.hosts.is_empty());
        }
    }

    #[test]
    fn the_order_of_the_terms_does_not_matter(
        mut terms in proptest::collection::vec(prop_oneof![
            Just("web"), Just("db"), Just("&prod"), Just("&canary"), Just("!web-2"), Just("!db-1"), Just("lonely"), Just("env=prod"),
        ], 1..6),
        turn in 0_usize..6,
    ) {
        let inventory = inventory();
        let chosen = |terms: &[&str]| {
            let selection = select(inventory, &terms.join(",")).ok()?;
            let names: BTreeSet<String> = selection.hosts.iter().map(|selected| selected.target.to_string()).collect();
            Some(names)
        };
        let before = chosen(&terms);
        let turn = turn % terms.len();
        terms.rotate_left(turn);
        prop_assert_eq!(chosen(&terms), before);
    }
}
