//! Files, processes, the environment, formatting and permissions, as scripts meet them.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what a test does not expect ends it"
)]

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sternline::config::Env;
use sternline_script::{Ended, Output, Permissions, ScriptError, SessionBuilder, Source, Stop, Why, run};

#[derive(Default)]
struct Kept {
    out: Mutex<String>,
}

impl Output for Kept {
    fn out(&self, text: &str) {
        self.out.lock().unwrap().push_str(text);
    }
    fn message(&self, _: &str) {}
}

type Outcome = (Result<Ended, ScriptError>, String);

async fn run_with(dir: &Path, text: &str, how: impl FnOnce(SessionBuilder) -> SessionBuilder) -> Outcome {
    let kept = Arc::new(Kept::default());
    let session =
        how(SessionBuilder::new(Env::system(), dir, kept.clone())).build(tokio::runtime::Handle::current());
    let source = Source {
        name: "test.star".into(),
        path: None,
        text: text.into(),
    };
    let ended = run(session, source).await;
    let out = kept.out.lock().unwrap().clone();
    (ended, out)
}

/// What a script prints in an empty directory.
async fn printed(text: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let (ended, out) = run_with(dir.path(), text, |session| session).await;
    ended.unwrap();
    out
}

/// Why a script fails in an empty directory.
async fn failure(text: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let (ended, _) = run_with(dir.path(), text, |session| session).await;
    ended.unwrap_err().message().to_owned()
}

async fn denied(rules: &str, text: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("m.star"), "x = 1\n").unwrap();
    let permissions = Permissions::inline(rules).unwrap();
    let (ended, _) = run_with(dir.path(), text, |session| session.permissions(permissions)).await;
    ended.unwrap_err().message().to_owned()
}

#[tokio::test]
async fn values_are_printed_and_formatted() {
    let out = printed(
        "print('a', 1, ['b', True], None)\nprint('a', 'b', sep='-')\nprintf('%-5s|%03d|%v\\n', 'ab', 7, [1, 'x'])\n\
         print(sprintf('%q %5.2f', 'hi', 1.5))\nprintf('100%%\\n')\nprintln('a', True, None)\n\
         print(fmt.sprintf('%v %s', {'k': 1}, struct(a = 1)))\nprint(fmt.try_sprintf(1).error)\n",
    )
    .await;
    assert_eq!(
        out,
        "a 1 [\"b\", True] None\na-b\nab   |007|[1 x]\n\"hi\"  1.50\n100%%\na true <nil>\nmap[k:1] struct(a=1)\n\
         format must be a string, and is a value of type int\n"
    );
}

#[tokio::test]
async fn text_is_written_read_and_removed_as_in_the_seed() {
    let out = printed(
        "write_text('upload_test', 'hello')\nprint(read_text('upload_test'), exists('upload_test'))\n\
         print(read_bytes('upload_test'))\nfs.path('upload_test').remove()\nprint(exists('upload_test'))\n\
         print(fs.path('upload_test').try_remove().error)\nprint(fs.try_read_text('none').error)\n",
    )
    .await;
    assert_eq!(
        out,
        "hello True\nhello\nFalse\nremove upload_test: no such file or directory\nopen none: no such file or directory\n"
    );
}

#[tokio::test]
async fn a_path_tells_its_parts_and_joins() {
    let out = printed(
        "p = path('/home/alice') / 'report.md'\nprint(p, p.name, p.stem, p.suffix, p.parent, p.parts)\n\
         print(p.with_suffix('.txt').string, p.with_name('x').string, path('a').join('b', path('c')).string)\n\
         print(p.is_absolute(), p.relative_to('/home').string, p.match('*.md'), bool(path('')), {p: 1}[path('/home/alice/report.md')])\n\
         print(p == path('/home/alice/report.md'), type(p), p.try_relative_to('/etc').ok, sorted([path('b'), path('a')]))\n",
    )
    .await;
    assert_eq!(
        out,
        "path(\"/home/alice/report.md\") report.md report .md path(\"/home/alice\") [\"/\", \"home\", \"alice\", \"report.md\"]\n\
         /home/alice/report.txt /home/alice/x a/b/c\nTrue alice/report.md True False 1\nTrue fs.path False [path(\"a\"), path(\"b\")]\n"
    );
}

#[tokio::test]
async fn directories_are_made_listed_walked_and_searched() {
    let out = printed(
        "d = path('logs')\n(d / 'old').mkdir(parents=True)\n(d / 'a.log').write_text('1')\n(d / 'old' / 'b.log').touch()\n\
         print([p.string for p in d.listdir()])\nprint([p.string for p in d.glob('**/*.log')], glob('logs/*.log'))\n\
         print([(t[0].string, t[1], t[2]) for t in d.walk()])\n(d / 'a.log').append_text('2')\n\
         (d / 'a.log').copy_to(d / 'old')\n(d / 'a.log').rename('c.log')\nprint(path('c.log').read_text(), path('logs/old/a.log').read_text())\n\
         s = path('c.log').stat()\nprint(s['size'], s['name'], s['is_dir'], s['perm'] == 0o600)\npath('c.log').chmod('0600')\n\
         print(path('c.log').stat()['perm'] == 0o600, path('c.log').stat()['mode'])\npath('l').symlink_to('c.log')\nprint(path('l').readlink(), path('l').is_symlink(), path('l').read_text())\n\
         print(d.try_remove().ok, d.disk_usage()['total'] > 0, path('c.log').owner() == username())\n",
    )
    .await;
    assert_eq!(
        out,
        "[\"logs/a.log\", \"logs/old\"]\n[\"logs/a.log\", \"logs/old/b.log\"] [\"logs/a.log\"]\n\
         [(\"logs\", [\"old\"], [\"a.log\"]), (\"logs/old\", [], [\"b.log\"])]\n12 12\n2 c.log False False\nTrue -rw-------\n\
         path(\"c.log\") True 12\nFalse True True\n"
    );
}

#[tokio::test]
async fn a_mode_is_a_number_or_a_string() {
    let out = printed(
        "write_text('a', 'x', mode=0o600)\nwrite_text('b', 'x', mode='0640')\n\
         print([path(p).stat()['perm'] for p in ['a', 'b']] == [0o600, 0o640])\n",
    )
    .await;
    assert_eq!(out, "True\n");
    assert!(failure("write_text('a', 'x', mode='rw')").await.contains("octal"));
}

#[tokio::test]
async fn the_environment_and_the_directory_are_the_script_s_own() {
    let before = std::env::current_dir().unwrap();
    let out = printed(
        "setenv('STERNLINE_TEST_VAR', 'x')\nprint(os.env('STERNLINE_TEST_VAR'), exec('echo $STERNLINE_TEST_VAR').strip())\n\
         os.unsetenv('STERNLINE_TEST_VAR')\nprint(env('STERNLINE_TEST_VAR', 'unset'), env('STERNLINE_TEST_VAR') == '')\n\
         path('sub').mkdir()\nchdir('sub')\nprint(path(cwd()).name, path(exec('pwd').strip()).name)\n\
         print(os.try_chdir('none').error)\nprint(which('sh') != None, which('no-such-program'), user.name() == username())\n",
    )
    .await;
    assert_eq!(
        out,
        "x x\nunset True\nsub sub\nchdir none: no such file or directory\nTrue None True\n"
    );
    assert!(std::env::var_os("STERNLINE_TEST_VAR").is_none());
    assert_eq!(std::env::current_dir().unwrap(), before);
}

#[tokio::test]
async fn commands_run_on_this_machine() {
    let out = printed(
        "print(exec('echo hi').strip(), exec('echo', ['$HOME']).strip(), exec('cat', stdin='in'))\n\
         print(exec('echo $A; pwd', env={'A': '1'}, cwd='/').split())\n\
         r = try_exec('echo out; echo bad >&2; exit 3')\nprint(r.ok, bool(r), r.code, r.stdout, r.stderr, r.error)\n\
         print(os.try_exec('kill -9 $$').code, try_exec('no-such-program', []).code, repr(exec('echo a; echo b >&2')))\n",
    )
    .await;
    assert_eq!(
        out,
        "hi $HOME in\n[\"1\", \"/\"]\nFalse False 3 out\n bad\n command failed (exit code 3): bad\n137 -1 \"b\\n a\\n\"\n"
    );
    assert_eq!(
        failure("exec('echo no >&2; exit 2')").await,
        "command failed (exit code 2): no"
    );
}

/// Whether a process has this text in its arguments.
fn runs(text: &str) -> bool {
    let all = std::process::Command::new("ps")
        .args(["-eo", "args"])
        .output()
        .unwrap();
    String::from_utf8_lossy(&all.stdout)
        .lines()
        .any(|line| line.contains(text) && !line.contains("ps -eo"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_ends_with_its_time_and_with_the_script() {
    let begun = Instant::now();
    let out = printed("print(try_exec('sleep 301.7 & sleep 301.7', timeout='200ms').error)\n").await;
    assert_eq!(out, "command timed out after 200ms\n");
    assert!(begun.elapsed() < Duration::from_secs(30) && !runs("sleep 301.7"));

    let stop = Stop::default();
    let stopper = stop.clone();
    let dir = tempfile::tempdir().unwrap();
    let begins = dir.path().join("begun");
    let watcher = std::thread::spawn(move || {
        while !begins.exists() {
            std::thread::yield_now();
        }
        stopper.stop(Why::Interrupted);
    });
    let text = "try_exec('touch begun; sleep 302.7')\nprint('never')\n";
    let (ended, out) = run_with(dir.path(), text, |session| session.stop(stop)).await;
    watcher.join().unwrap();
    assert_eq!((ended.unwrap_err().message(), out.as_str()), ("interrupted", ""));
    assert!(!runs("sleep 302.7"));
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("kept"), "old").unwrap();
    let text = "write_text('kept', 'new')\nwrite_text('made', 'x')\npath('kept').remove()\npath('d').mkdir()\npath('kept').rename('moved')\n\
                print(exec('rm kept'), try_exec('rm kept').ok, read_text('kept'))\n";
    let (ended, out) = run_with(dir.path(), text, |session| session.dry_run(true)).await;
    ended.unwrap();
    assert_eq!(out, "[DRY RUN] Would execute: rm kept True old\n");
    assert_eq!(dir.path().read_dir().unwrap().count(), 1);
}

#[tokio::test]
async fn what_is_not_allowed_is_denied_before_anything_happens() {
    let none = "deny:os.env";
    for (rules, text, message) in [
        (
            none,
            "exec('touch x')",
            "permission denied: os.exec(\"touch x\") - no matching allow rule",
        ),
        (
            none,
            "try_exec('touch x')",
            "permission denied: os.exec(\"touch x\") - no matching allow rule",
        ),
        (
            none,
            "read_text('/etc/passwd')",
            "permission denied: fs.read_text(\"/etc/passwd\") - no matching allow rule",
        ),
        (
            none,
            "env('HOME')",
            "permission denied: os.env(\"HOME\") - blocked by deny rule: os.env",
        ),
        (
            none,
            "os.exit(0)",
            "permission denied: os.exit - no matching allow rule",
        ),
        (
            "allow:fs.*($CWD/**)",
            "read_text('../../etc/../etc/passwd')",
            "permission denied: fs.read_text",
        ),
        (
            "allow:fs.*($CWD/**)",
            "path('l').symlink_to('/etc')\nread_text('l/passwd')",
            "fs.read_text(\"/etc/passwd\")",
        ),
        (
            "allow:fs.*($CWD/**)",
            "chdir('/')\nread_text('etc/passwd')",
            "fs.chdir(\"/\")",
        ),
        (
            "allow:fs.*($CWD/**)",
            "write_text('a', 'x')\npath('a').rename('/tmp/b')",
            "fs.rename(\"/tmp/b\")",
        ),
        (
            "allow:os.process(echo *)",
            "exec('echo a', shell='/tmp/sh')",
            "os.exec(\"/tmp/sh\")",
        ),
        (
            "allow:os.process(echo *)",
            "exec('echo a', env={'PATH': '/tmp'})",
            "os.setenv(\"PATH\")",
        ),
        (
            "allow:os.process(echo *)",
            "exec('echo a', cwd='/tmp')",
            "fs.chdir(\"/tmp\")",
        ),
        (
            "allow:os.process(echo *)",
            "exec('echo a', [])",
            "os.exec(\"'echo a'\")",
        ),
        (
            "allow:os.process(echo *)",
            "exec('echo', ['a;b'])",
            "os.exec(\"echo 'a;b'\")",
        ),
        ("allow:fs.*($CWD/**)", "glob('/etc/pass*')", "fs.glob(\"/etc/pass"),
        (
            "allow:fs.*($CWD/**)",
            "json.file('/etc/passwd').decode()",
            "fs.file(\"/etc/passwd\")",
        ),
        (
            "allow:fs.*($CWD/**)",
            "json.source(1).write_file('/tmp/x')",
            "fs.write_file(\"/tmp/x\")",
        ),
        (
            "deny:fs.read(load:**)",
            "write_text('m.star', 'x = 1')\nload('m.star', 'x')",
            "fs.write_text",
        ),
        (
            "default:allow;deny:fs.read(load:**)",
            "load('m.star', 'x')",
            "fs.load",
        ),
        (
            "allow:fs.*($CWD/**)",
            "path('a').hardlink_to('/etc/passwd')",
            "fs.hardlink_to(\"/etc/passwd\")",
        ),
    ] {
        let said = denied(rules, text).await;
        assert!(said.contains(message), "{text}: {said}");
    }
}

#[tokio::test]
async fn what_is_allowed_works_as_ever() {
    let dir = tempfile::tempdir().unwrap();
    let permissions = Permissions::inline("allow:fs.*($CWD/**),os.process(echo *)").unwrap();
    let text = "write_text('a', 'x')\npath('d').mkdir()\npath('a').move_to('d')\nprint(glob('**'), exec('echo ok').strip())\n\
                path('d/a').remove()\nprint(path('d').listdir(), fs.try_read_text('/etc/passwd').ok)\n";
    let (ended, out) = run_with(dir.path(), text, |session| session.permissions(permissions)).await;
    ended.unwrap();
    assert_eq!(out, "[\"d\", \"d/a\"] ok\n[] False\n");
}

#[tokio::test]
async fn small_modules_do_what_their_names_say() {
    let out = printed(
        "print(base64.text('Hello, world!').encode(), base64.text('SGVsbG8').decode(), base64.text('!').try_decode().ok)\n\
         print(base64.bytes(b'\\xff\\xfe\\xfd').encode_url(), hash.text('hello').sha256()[:16], hash.text('').sha1()[:8], hash.text('hello').md5()[:8])\n\
         write_text('f', 'hello')\nprint(hash.file('f').sha256()[:16], hash.file('none').try_sha512().error, base64.file('f').path)\n\
         m = regexp.find(r'(?P<user>\\w+)@(\\w+)', 'mail ünï@example now')\n\
         print(m, m.start, m.end, m.groups[1], len(m.groups), m.group(2), m.group(name='user'), 'mail ünï@example now'[m.start:m.end])\n\
         print(regexp.replace(r'(\\d+)', 'a1b22', '<$1>'), regexp.split(r'[,;\\s]+', 'a, b; c  d'), regexp.split(',', 'a,b,c', n=2))\n\
         print(regexp.match('HELLO', 'hello', flags='i'), regexp.find('x', 'y'), len(regexp.find_all('a', 'aaa', n=2)))\n\
         print(regexp.compile('b+').find('abbc').text, regexp.try_compile('(').ok, regexp.find('a(b)?', 'a').groups, regexp.compile('(?P<y>a)(b)').group_names)\n\
         csv.source([{'name': 'a,b', 'age': 1}, {'name': None, 'age': 2}]).write_file('t.csv')\n\
         print(read_text('t.csv'), csv.file('t.csv').read(header=True), csv.file('t.csv').read(skip=2))\n\
         print(strings.center('hi', 7, '-'), strings.cut('a=b', '='), strings.equal('Ab', 'aB'), strings.quote('a\\tb'), strings.ljust('a', 3) + '|')\n\
         print(len(uuid.v4()), uuid.v7() < uuid.v7() or True, runtime.uname()['system'] != '', runtime.cpu_count() > 0)\n",
    )
    .await;
    assert_eq!(
        out,
        "SGVsbG8sIHdvcmxkIQ== Hello False\n__79 2cf24dba5fb0a30e da39a3ee 5d41402a\n\
         2cf24dba5fb0a30e open none: no such file or directory f\n\
         ünï@example 5 16 ünï 3 example ünï ünï@example\n\
         a<1>b<22> [\"a\", \"b\", \"c\", \"d\"] [\"a\", \"b,c\"]\nTrue None 2\nbb False (\"a\", None) [\"y\"]\n\
         name,age\n\"a,b\",1\n,2\n [{\"name\": \"a,b\", \"age\": \"1\"}, {\"name\": \"\", \"age\": \"2\"}] [[\"\", \"2\"]]\n--hi--- (\"a\", \"b\", True) True \"a\\tb\" a  |\n36 True True True\n"
    );
}

/// Runs a script in a directory, and tells it to end once it has made the file `begun`.
async fn ended_by(why: Why, text: &str) -> Outcome {
    let stop = Stop::default();
    let stopper = stop.clone();
    let dir = tempfile::tempdir().unwrap();
    let begins = dir.path().join("begun");
    let watcher = std::thread::spawn(move || {
        while !begins.exists() {
            std::thread::yield_now();
        }
        stopper.stop(why);
    });
    let outcome = run_with(dir.path(), text, |session| session.stop(stop.clone())).await;
    watcher.join().unwrap();
    assert_eq!(stop.why(), Some(why));
    outcome
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_for_the_end_is_done_after_a_signal_too() {
    let text = "on_signal('SIGINT', lambda: print('interrupted'))\non_signal('terminated', lambda: print('terminated'))\n\
                defer(lambda: print(exec('echo cleaned up').strip()))\ntry_exec('touch begun; sleep 303.7')\nprint('never')\n";
    for (why, said) in [(Why::Interrupted, "interrupted"), (Why::Terminated, "terminated")] {
        let (ended, out) = ended_by(why, text).await;
        assert_eq!(ended.unwrap_err().message(), said);
        assert_eq!(out, format!("{said}\ncleaned up\n"));
    }
    assert!(
        failure("on_signal('SIGHUP', print)")
            .await
            .contains("\"SIGHUP\" cannot be handled")
    );
}
