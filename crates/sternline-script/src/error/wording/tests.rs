use anyhow::anyhow;

use super::*;
use crate::validate::Parameter;

fn of_value(text: &str, code: &str) -> String {
    reword(&ErrorKind::Value(anyhow!("")), text, Some(code), &|_| None).message
}

fn of_call(text: &str, code: &str) -> String {
    let takes = |path: &str| {
        let parameter = |name: &str| Parameter {
            name: name.to_owned(),
            required: true,
            kind: None,
        };
        (path != "f").then(|| Parameters {
            positional: vec![parameter("cmd")],
            named_only: vec![parameter("hosts")],
            ..Parameters::default()
        })
    };
    reword(&ErrorKind::Function(anyhow!("")), text, Some(code), &takes).message
}

#[test]
fn arguments_that_do_not_fit_name_the_function_and_what_was_meant() {
    assert_eq!(
        of_call(
            "Found `hots` extra named parameter(s) for call to config",
            "ssh.config(hots = [])"
        ),
        "ssh.config: unknown parameter \"hots\" (did you mean \"hosts\"?)"
    );
    assert_eq!(
        of_call(
            "Found `a` `zz` extra named parameter(s) for call to f",
            "(g or f)(a=1, zz=2)"
        ),
        "f: unknown parameters \"a\", \"zz\""
    );
    assert_eq!(
        of_call(
            "Found 2 extra positional argument(s) for call to exec",
            "c.exec(1, 2, 3)"
        ),
        "c.exec: unexpected positional argument at index 1: 3 given, at most 1 taken"
    );
    assert_eq!(
        of_call(
            "Missing named-only parameter `hosts` for call to `config`",
            "ssh.config(host = [\"a\"])"
        ),
        "ssh.config: missing required argument: hosts (is that what host means?)"
    );
}

#[test]
fn what_a_value_lacks_is_said_with_its_type() {
    assert_eq!(
        of_value(
            "Object of type `ssh.client` has no attribute `exce`, did you mean `exec`?",
            "c.exce"
        ),
        "ssh.client has no .exce field or method (did you mean .exec?)"
    );
    assert_eq!(
        of_value(
            "Object of type `module` has no attribute `test_server`",
            "ssh.test_server"
        ),
        "undefined: test_server (module ssh has no .test_server field or method)"
    );
}

#[test]
fn types_are_named_with_the_value() {
    assert_eq!(
        of_value(
            "Type of parameter `port` doesn't match, expected `int`, actual `string (repr: \"22\")`",
            "ssh.config(port = \"22\")"
        ),
        "ssh.config: parameter port must be int, not \"22\" (string)"
    );
    assert_eq!(
        of_value(
            "Operation `+` not supported for types `int` and `string`",
            "1 + x"
        ),
        "int + string is not possible"
    );
}

#[test]
fn what_other_languages_have_gets_a_hint() {
    let worded = reword(
        &ErrorKind::Parser(anyhow!("")),
        "Parse error: cannot use reserved keyword `while`",
        None,
        &|_| None,
    );
    assert_eq!(worded.message, "there is no `while` in the language");
    assert!(worded.hint.is_some());
}

#[test]
fn a_text_that_is_not_known_stays() {
    assert_eq!(of_value("something else", "x"), "something else");
}
