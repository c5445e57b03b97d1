//! `load`.

use super::Project;

const LIB: &str = "
_hidden = 1
LIST = [1, 2]

def greet(name):
    return 'hello ' + name + str(_hidden)
";

#[test]
fn a_file_gives_its_names_under_others_if_wanted_and_itself() {
    let project = Project::new().with("lib.star", LIB).with(
        "main.star",
        "
load('./lib.star', 'greet', 'lib', hi = 'greet', all = 'lib')
print(greet('a'), hi('b'), lib.greet('c'), all.LIST)
print(type(lib), str(lib), dir(lib))
",
    );
    assert_eq!(
        project.run("main.star").printed(),
        "hello a1 hello b1 hello c1 [1, 2]\nmodule <module \"lib\"> [\"LIST\", \"greet\"]\n"
    );
}

#[test]
fn a_name_of_the_file_s_own_is_not_hidden_by_the_file() {
    let project = Project::new()
        .with("port.star", "port = 22\nother = 1\n")
        .with("main.star", "load('port.star', 'port')\nprint(port)\n");
    assert_eq!(project.run("main.star").printed(), "22\n");
}

#[test]
fn private_and_missing_names_are_errors_that_help() {
    let project = Project::new()
        .with("lib.star", LIB)
        .with("private.star", "load('./lib.star', '_hidden')\n")
        .with("missing.star", "load('./lib.star', 'gret')\n")
        .with("member.star", "load('./lib.star', 'lib')\nlib.gret('x')\n")
        .with("hidden.star", "load('./lib.star', 'lib')\nlib._hidden\n");
    let message = |name: &str| project.run(name).error().message().to_owned();
    assert_eq!(message("private.star"), "_hidden is private to its file");
    assert_eq!(
        message("missing.star"),
        "the file has no gret (did you mean greet?)"
    );
    assert_eq!(
        message("member.star"),
        "undefined: gret (module lib has no .gret field or method; did you mean .greet?)"
    );
    assert!(message("hidden.star").contains("undefined: _hidden"));
}

#[test]
fn paths_begin_at_the_file_that_loads() {
    let project = Project::new()
        .with(
            "lib/a.star",
            "load('./deep/b.star', 'b')\nload('../top.star', 'top')\nA = [b.B, top.T]\n",
        )
        .with("lib/deep/b.star", "B = 'b'\n")
        .with("top.star", "T = 't'\n")
        .with(
            "scripts/main.star",
            "load('../lib/a.star', 'A')\nload('../lib/a', 'a')\nprint(A, a.A)\n",
        );
    assert_eq!(
        project.run("scripts/main.star").printed(),
        "[\"b\", \"t\"] [\"b\", \"t\"]\n"
    );
}

#[test]
fn plain_names_are_found_in_the_folders_for_modules() {
    let home = Project::new()
        .with("modules/beside.star", "X = 'beside'\n")
        .with("shared/by_variable.star", "X = 'by variable'\n")
        .with("theirs/by_other.star", "X = 'by the other'\n")
        .with("home/.starkite/modules/at_home.star", "X = 'at home'\n")
        .with(
            "main.star",
            "
load('beside', 'beside')
load('by_variable', v = 'X')
load('by_other', o = 'X')
load('at_home', 'at_home')
print(beside.X, v, o, at_home.X)
",
        )
        .var("STERNLINE_MODULE_PATH", "nowhere:shared")
        .var("STARKITE_MODULE_PATH", "theirs");
    assert_eq!(
        home.run("main.star").printed(),
        "beside by variable by the other at home\n"
    );
}

#[test]
fn a_folder_is_a_module_of_its_files() {
    let project = Project::new()
        .with(
            "deploy/main.star",
            "load('./parts.star', 'PARTS')\ndef deploy():\n    return PARTS\n",
        )
        .with(
            "deploy/parts.star",
            "PARTS = ['a']\ndef check():\n    return True\n",
        )
        .with("deploy/deploy_test.star", "fail('not a part')\n")
        .with("named-so/named-so.star", "X = 1\n")
        .with(
            "main.star",
            "
load('./deploy', 'deploy', 'check')
load('./deploy', d = 'PARTS')
load('./named-so', 'named_so')
print(deploy(), check(), d, named_so.X)
",
        );
    assert_eq!(project.run("main.star").printed(), "[\"a\"] True [\"a\"] 1\n");
}

#[test]
fn modules_that_are_there_from_the_start_can_be_loaded_by_name() {
    let text = "load('ssh', 'ssh', 'config', s = 'ssh')\nprint(s == ssh, type(ssh), len(config(hosts = ['a']).hosts))\n";
    let outcome = Project::new().run_text(text);
    assert!(outcome.printed().ends_with("module 1\n"));
    let error = Project::new().run_text("load('shh', 'ssh')\n").error();
    assert!(error.message().contains("did you mean \"ssh\"?"), "{error}");
}

#[test]
fn a_file_is_evaluated_once() {
    let project = Project::new()
        .with("once.star", "print('evaluated')\nX = []\n")
        .with("a.star", "load('./once.star', 'X')\nA = X\n")
        .with(
            "main.star",
            "load('./a.star', 'A')\nload('./once.star', 'once', 'X')\nprint(A == X)\n",
        );
    assert_eq!(project.run("main.star").printed(), "evaluated\nTrue\n");
}

#[test]
fn a_circle_is_an_error_that_shows_it() {
    let project = Project::new()
        .with("a.star", "load('./b.star', 'b')\n")
        .with("b.star", "load('./c.star', 'c')\n")
        .with("c.star", "load('./a.star', 'a')\n");
    let error = project.run("a.star").error();
    assert!(
        error
            .message()
            .contains("a.star loads b.star loads c.star loads a.star"),
        "{error}"
    );
}

#[test]
fn an_error_in_a_loaded_file_shows_both_places() {
    let project = Project::new()
        .with("lib.star", "def f():\n    return nothing_has_this\n")
        .with("fails.star", "def g():\n    fail('in here')\ng()\n")
        .with("main.star", "load('./lib.star', 'f')\n")
        .with("other.star", "load('./fails.star', 'g')\n");
    let error = project.run("main.star").error();
    assert_eq!(error.message(), "undefined: nothing_has_this");
    let text = project.run("other.star").error().render(false);
    for part in [
        "error: in here\n --> fails.star:2:5",
        "other.star:1:1, at the top level",
        "fails.star:3:1",
    ] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn values_of_a_loaded_file_cannot_be_changed() {
    let project = Project::new()
        .with("lib.star", "LIST = [1]\n")
        .with("main.star", "load('./lib.star', 'LIST')\nLIST.append(2)\n");
    let error = project.run("main.star").error();
    assert!(
        error.message().starts_with("this value cannot be changed"),
        "{error}"
    );
    assert!(error.hint().is_some());
}

#[test]
fn functions_of_a_loaded_file_can_be_deferred_and_called_later() {
    let project = Project::new()
        .with(
            "lib.star",
            "def later():\n    print('deferred')\ndefer(later)\ndef arrange():\n    defer(later)\n",
        )
        .with(
            "main.star",
            "load('./lib.star', 'arrange')\narrange()\nprint('end')\n",
        );
    assert_eq!(project.run("main.star").printed(), "end\ndeferred\ndeferred\n");
}

#[test]
fn files_outside_of_what_may_be_read_are_not_loaded() {
    let outside = Project::new().with("lib.star", "fail('evaluated')\n");
    let outside = outside.path("lib.star").display().to_string();
    let project = Project::new()
        .with("lib.star", "X = 1\n")
        .with("inside.star", "load('./lib.star', 'X')\nprint(X)\n")
        .with("outside.star", &format!("load('{outside}', 'X')\n"))
        .allowing("allow:fs.read($CWD/**)");
    assert_eq!(project.run("inside.star").printed(), "1\n");
    let error = project.run("outside.star").error();
    assert!(error.message().contains("permission denied: fs.load"), "{error}");
}

#[test]
fn what_is_no_script_is_an_error_that_names_it() {
    let project = Project::new().with("main.star", "load('./bin.star', 'x')\n");
    std::fs::write(project.path("bin.star"), b"x = '\xff'\n").expect("a file");
    let error = project.run("main.star").error();
    assert!(error.message().contains("not UTF-8"), "{error}");
    let missing = Project::new().run_text("load('./none.star', 'x')\n").error();
    assert!(missing.message().contains("no such file"), "{missing}");
}
