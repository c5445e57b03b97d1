use super::*;
use proptest::prelude::*;
use serde_json::json;

fn read(text: &str) -> Result<Value, String> {
    let node = parse(&"x.yml".into(), text, &mut Vec::new()).map_err(|error| error.to_string())?;
    Ok(node.map_or(Value::Null, Node::into_value))
}

#[test]
fn documents_are_read_as_ansible_reads_them() {
    for (text, expected) in [
        ("", json!(null)),
        ("---\n# nothing\n", json!(null)),
        (
            "a: 1\nb: [x, 'y', \"z\\n\"]\n",
            json!({"a": 1, "b": ["x", "y", "z\n"]}),
        ),
        (
            "a: &x {b: 1, c: 2}\nd: *x\n",
            json!({"a": {"b": 1, "c": 2}, "d": {"b": 1, "c": 2}}),
        ),
        (
            "base: &b {x: 1, y: 2}\nd:\n  y: 3\n  <<: *b\n",
            json!({"base": {"x": 1, "y": 2}, "d": {"x": 1, "y": 3}}),
        ),
        (
            "a: &a {x: 1}\nb: &b {x: 2, y: 2}\nc: {<<: [*a, *b]}\n",
            json!({"a": {"x": 1}, "b": {"x": 2, "y": 2}, "c": {"x": 1, "y": 2}}),
        ),
        (
            "a: |\n  one\n  two\nb: >-\n  one\n  two\n",
            json!({"a": "one\ntwo\n", "b": "one two"}),
        ),
        ("1: a\ntrue: b\n", json!({"1": "a", "true": "b"})),
        (
            "a: !vault |\n  $ANSIBLE_VAULT;1.1\n  6162\n",
            json!({"a": {"__ansible_vault": "$ANSIBLE_VAULT;1.1\n6162\n"}}),
        ),
        (
            "a: !unsafe '{{ x }}'\nb: !!str 5\nc: !!int 5\n",
            json!({"a": "{{ x }}", "b": "5", "c": 5}),
        ),
        (
            "{\"a\": {\"b\": null, \"c\": \"x\\/y\"}}",
            json!({"a": {"b": null, "c": "x/y"}}),
        ),
        ("\u{feff}a: 1\n", json!({"a": 1})),
    ] {
        assert_eq!(read(text), Ok(expected), "{text}");
    }
}

#[test]
fn broken_and_boundless_documents_are_refused_with_their_lines() {
    let deep = "[".repeat(70);
    let deeper = "[".repeat(100_000);
    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        laughs.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    for (text, words) in [
        ("a: [1\n", "x.yml:"),
        ("a: 1\n b: 2\n", "x.yml:2: "),
        (deep.as_str(), "at most 64 levels"),
        (deeper.as_str(), "x.yml:1: "),
        (laughs.as_str(), "at most 1000000 values that aliases repeat"),
        ("a: &a [*a]\n", "stands inside of what it repeats"),
        ("a: *b\n", "x.yml:1: "),
        ("? [a]\n: b\n", "x.yml:1: a list cannot be a key"),
        ("a: 1\n---\nb: 2\n", "x.yml:2: a second document"),
        ("a: !!python/object:os.system x\n", "x.yml:1: the tag"),
        ("a: !lookup x\n", "the tag !lookup is not known"),
        ("a: {<<: 5}\n", "<< takes mappings"),
        ("a: !!int x\n", "x is not of the type int"),
    ] {
        let error = read(text).unwrap_err();
        assert!(error.contains(words), "{text:.40}: {error}");
    }
}

#[test]
fn a_key_that_stands_twice_is_told_of() {
    let mut warnings = Vec::new();
    let node = parse(&"x.yml".into(), "a: 1\nb: 2\na: 3\n", &mut warnings)
        .unwrap()
        .unwrap();
    assert_eq!(node.into_value(), json!({"a": 3, "b": 2}));
    assert_eq!(
        warnings,
        ["x.yml:3: the key a stands twice, and the last one counts"]
    );
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "[a-c:\\[\\]{},&*!|>'\"\n -]{0,40}") {
        let _ = read(&text);
    }

    #[test]
    fn json_reads_back(keys in proptest::collection::btree_map("[a-z]{1,4}", "[ -~é]{0,8}", 0..5)) {
        let expected = json!(keys);
        let read = read(&expected.to_string());
        prop_assert_eq!(read, Ok(expected));
    }
}
