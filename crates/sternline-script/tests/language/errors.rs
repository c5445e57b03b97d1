//! What an author is told when something is wrong.

use sternline_script::ErrorKind;

use super::{Project, message, printed};

#[test]
fn names_members_and_parameters_that_nothing_has_suggest_the_nearest() {
    for (text, expected) in [
        ("hosts = []\nprint(hots)", "undefined: hots (did you mean hosts?)"),
        (
            "ssh.confgi(hosts = [])",
            "undefined: confgi (module ssh has no .confgi field or method; did you mean .config?)",
        ),
        (
            "c = ssh.config(hosts = [])\nc.exce('x')",
            "ssh.client has no .exce field or method (did you mean .exec?)",
        ),
        (
            "getattr(struct(a = 1), 'zz')",
            "struct has no .zz field or method",
        ),
        (
            "ssh.config(hots = [])",
            "ssh.config: unknown parameter \"hots\" (did you mean \"hosts\"?)",
        ),
        (
            "ssh.config().exec(cdm = 'x')",
            "exec: missing required argument: cmd (is that what cdm means?)",
        ),
        (
            "ssh.config(hosts = [], zz = 1)",
            "ssh.config: unknown parameter \"zz\"",
        ),
        (
            "def f(host): pass\nf('a', hosts = 1)",
            "f: unknown parameter \"hosts\" (did you mean \"host\"?)",
        ),
        (
            "def f(a, *, b): pass\nf(1, 2, b = 1)",
            "f: unexpected positional argument at index 1: 2 given, at most 1 taken",
        ),
        (
            "def f(a): pass\nf(1, a = 2)",
            "f: argument a is given more than once",
        ),
    ] {
        assert_eq!(message(&format!("{text}\n")), expected, "{text}");
    }
}

#[test]
fn all_unknown_names_are_told_at_once() {
    let error = Project::new()
        .run_text("print(one)\ndef f():\n    return two + three\n")
        .error();
    assert_eq!(error.kind(), &ErrorKind::UnknownName);
    assert_eq!(error.others().len(), 2);
    let text = error.render(false);
    for place in ["script.star:1:7", "script.star:3:12", "script.star:3:18"] {
        assert!(text.contains(place), "{text}");
    }
}

#[test]
fn test_servers_are_undefined_outside_of_tests() {
    let error = Project::new()
        .run_text("srv = ssh.test_server(user = 'u')\n")
        .error();
    assert!(error.message().contains("undefined: test_server"), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("sternline test")));
}

#[test]
fn an_error_shows_its_calls_the_innermost_last() {
    let text = "def inner(x):\n    fail('no: ' + x)\n\ndef outer():\n    inner('why')\n\nouter()\n";
    let error = Project::new().run_text(text).error();
    let calls: Vec<(usize, &str)> = error
        .frames()
        .iter()
        .map(|frame| (frame.line, frame.function.as_str()))
        .collect();
    assert_eq!(calls, [(7, ""), (5, "outer"), (2, "inner")]);
    assert_eq!(error.to_string(), "script.star:2:5: no: why");
    assert!(
        error
            .render(false)
            .starts_with("error: no: why\n --> script.star:2:5\n")
    );
}

#[test]
fn what_the_language_says_badly_is_said_well() {
    for (text, expected) in [
        ("1 + 'x'", "int + string is not possible"),
        ("for x in 'abc': pass", "string cannot be iterated over"),
        ("None()", "NoneType is no function, and cannot be called"),
        ("{'a': 1}['b']", "key \"b\" not in dict"),
        ("[1][4]", "index 4 is out of range"),
        ("{[]: 1}", "list cannot be a key of a dict"),
        ("1 // 0", "Floor division by zero: 1 // 0"),
        (
            "l = [1]\nfor x in l: l.append(x)",
            "this value cannot be changed while a loop goes over it",
        ),
        (
            "def f():\n    print(x)\n    x = 1\nf()",
            "x is used before it has a value",
        ),
        (
            "ssh.config(hosts = 'web')",
            "ssh.config: hosts must be a list of hosts, such as [\"web-1\", \"deploy@web-2:2222\"], not a string",
        ),
        (
            "f(**{1: 2})\ndef f(**more): pass",
            "f is used before it has a value",
        ),
        ("while True:\n    pass", "there is no `while` in the language"),
        ("import os", "there is no `import` in the language"),
        ("x = (1", "unexpected new line, expected symbol ')'"),
    ] {
        assert_eq!(message(&format!("{text}\n")), expected, "{text}");
    }
}

#[test]
fn the_whole_chain_of_causes_is_told() {
    let message = message("load('./missing.star', 'x')\n");
    assert!(message.contains("missing.star"), "{message}");
}

#[test]
fn a_recursion_without_an_end_is_an_error_and_no_crash() {
    let error = Project::new()
        .run_text("def f(x):\n    return f(x + 1) + 1\nf(0)\n")
        .error();
    assert_eq!(error.message(), "functions call one another too deep");
    assert!(error.render(false).lines().count() < 40);
    // Through functions of ours, which take more of the stack.
    let text = "def f(x):\n    return sorted([x], key = lambda y: f(y))\nf(0)\n";
    assert_eq!(message(text), "functions call one another too deep");
}

#[test]
fn values_that_nest_deep_are_no_crash() {
    let text = "
x = []
for _ in range(100000):
    x = [x]
y = len(str(x))
print(y > 100000 or 'an error')
";
    let outcome = Project::new().run_text(text);
    assert!(outcome.ended.is_err() || outcome.out == "True\n");
}

#[test]
fn top_level_loops_rebinding_and_f_strings_work() {
    let text = "
total = 0
for x in [1, 2]:
    total = total + x
if total == 3:
    total = f'{total} is {\"three\"}'
print(total)
";
    assert_eq!(printed(text), "3 is three\n");
}

#[test]
fn exit_passes_through_try_forms() {
    let outcome = Project::new().run_text("print('before')\nexit(3)\nprint('after')\n");
    assert_eq!(outcome.ended.expect("an end").status, 3);
    assert_eq!(outcome.out, "before\n");
}
