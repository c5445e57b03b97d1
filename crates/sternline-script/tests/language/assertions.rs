//! `assert` and its family.

use super::{Project, message, printed};

#[test]
fn assert_is_called_as_a_function() {
    let text = r#"
def check(x):
    assert(x == 1)
    test.assert(x != 2, "two")
    return "held"
print(check(1), f"{assert(True)}", "assert(False)")
"#;
    assert_eq!(printed(text), "held None assert(False)\n");
}

#[test]
fn a_failed_assertion_shows_what_was_asserted() {
    assert_eq!(
        message("x = 3\nassert(x == 1 + 1)\n"),
        "assertion failed: x == 1 + 1"
    );
    assert_eq!(message("assert(\n  1 ==\n    2\n)\n"), "assertion failed: 1 == 2");
    assert_eq!(
        message("assert(not assert(True) == None)\n"),
        "assertion failed: not assert(True) == None"
    );
    assert_eq!(message("assert([], 'no hosts')\n"), "assertion failed: no hosts");
    assert_eq!(
        message("assert(0, 'got %s of %d', 'a', 2)\n"),
        "assertion failed: got a of 2"
    );
    assert_eq!(message("test.assert('')\n"), "assertion failed: ''");
}

#[test]
fn the_place_of_a_failed_assertion_is_that_in_the_author_s_text() {
    let error = Project::new()
        .run_text("def f():\n    if True: assert(False)\n\nf()\n")
        .error();
    let place = error.frames().last().expect("a place");
    assert_eq!((place.line, place.column, place.function.as_str()), (2, 14, "f"));
    assert_eq!(place.text, "    if True: assert(False)");
    assert_eq!(place.width, "assert(False)".len());
    assert!(!error.render(true).contains("asser7"), "{}", error.render(false));
}

#[test]
fn nothing_shows_the_other_name() {
    assert_eq!(
        printed("print('asser7' in dir(test), 'assert' in dir(test))\n"),
        "False True\n"
    );
    assert!(printed("print(assert)\n").contains("assert"));
    assert!(printed("print(test)\n").contains("test"));
    assert!(printed("print(getattr(test, 'assert') == assert or True)\n").contains("True"));
    assert_eq!(
        message("assert()\n"),
        "assert: missing required argument: condition"
    );
    assert!(message("assert(1, x = 2)\n").starts_with("assert: unknown parameter \"x\""));
    assert_eq!(
        message("assert(0, 2)\n"),
        "assert: message must be a string, not 2"
    );
}

#[test]
fn the_word_cannot_be_a_name_of_the_script_s_own() {
    for text in [
        "assert = 1\n",
        "def f(assert = 1):\n    pass\n",
        "print(dict(assert = 1))\n",
    ] {
        assert_eq!(
            message(text),
            "`assert` is a function here, and cannot be a name of the script's own"
        );
    }
}

#[test]
fn the_family_says_what_there_is_and_what_was_wanted() {
    for (text, expected) in [
        ("assert_equal(1 + 1, 3)", "assert_equal: got 2, want 3"),
        ("assert_equal('a', 'b', 'of %s', 'x')", "assert_equal: of x"),
        (
            "assert_not_equal([1], [1])",
            "assert_not_equal: values are equal: [1]",
        ),
        (
            "assert_contains('abc', 'x')",
            "assert_contains: \"abc\" does not contain \"x\"",
        ),
        (
            "assert_contains({'a': 1}, 'b')",
            "assert_contains: {\"a\": 1} does not contain \"b\"",
        ),
        ("assert_true([])", "assert_true: got [] (falsy)"),
        ("assert_false('x', 'why')", "assert_false: why"),
        ("assert_fails(lambda: 1)", "assert_fails: it returned 1"),
        ("test.fail('why')", "test failed: why"),
        ("test.fail()", "test failed"),
        ("skip('not here')", "test skipped: not here"),
        ("skip()", "test skipped"),
    ] {
        assert_eq!(message(&format!("{text}\n")), expected, "{text}");
        if !text.contains("test.") {
            assert_eq!(message(&format!("test.{text}\n")), expected, "test.{text}");
        }
    }
    let text = "
assert_equal([1], [1])
assert_not_equal(1, 2)
assert_contains([1, 2], 2)
assert_true('x')
assert_false(None)
print(assert_fails(lambda: fail('it is broken'), 'broken'))
";
    assert_eq!(printed(text), "it is broken\n");
}
