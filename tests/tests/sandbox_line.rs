//! What is composed for a sandbox, run by the real shells and the real bubblewrap of this machine: what arrives, what comes
//! back, what is out of reach, and that nothing is left. Over a real server see `sandbox_ssh`.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use proptest::prelude::*;
use sternline_proto::sandbox::{
    Arch, Bind, End, HostFacts, Limits, Nonce, ReadExactly, RemoteCommand, SandboxProfile,
    SandboxProfileBuilder, Seccomp, Tmpfs, compose, parse_probe, probe_command, read_output, read_status,
};
use sternline_tests::processes::{containing, eventually};
use sternline_tests::users::{self, User};
use tempfile::TempDir;

/// Every shell that an account may have, as the words that start it.
const SHELLS: [&[&str]; 9] = [
    &["sh"],
    &["bash"],
    &["dash"],
    &["zsh"],
    &["mksh"],
    &["busybox", "sh"],
    &["fish"],
    &["tcsh"],
    &["csh"],
];

/// Whom the tests run as: this user, and a plain one if this is root.
fn accounts() -> Vec<User> {
    match users::is_root() {
        true => vec![users::current(), users::plain()],
        false => vec![users::current()],
    }
}

/// The numbers of the plain user, asked once.
fn plain_ids() -> &'static (String, String) {
    static IDS: OnceLock<(String, String)> = OnceLock::new();
    IDS.get_or_init(|| {
        let number = |option: &str| {
            let output = Command::new("id")
                .args([option, &users::plain().name])
                .output()
                .unwrap();
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        (number("-u"), number("-g"))
    })
}

/// A program as this user, in a process group of its own as sshd starts it.
fn program(words: &[&str], user: &User) -> Command {
    let mut command = match users::is_root() && !user.root {
        true => {
            let (uid, gid) = plain_ids();
            let mut command = Command::new("setpriv");
            command.args(["--reuid", uid, "--regid", gid, "--clear-groups"]);
            command.args(words);
            command
        }
        false => {
            let mut command = Command::new(words[0]);
            command.args(&words[1..]);
            command
        }
    };
    command.process_group(0).current_dir("/");
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// A request as a server would run it: by the account's shell, with the prefix and what follows on standard input.
fn run(shell: &[&str], user: &User, command: &RemoteCommand, stdin: &[u8]) -> Output {
    let line = String::from_utf8(command.line.clone()).unwrap();
    let words = [shell, &["-c", &line]].concat();
    let mut child = program(&words, user).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let bytes = [command.prefix.as_slice(), stdin].concat();
    let writer = std::thread::spawn(move || {
        // A command need not read its input.
        let _ = input.write_all(&bytes);
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

/// What the probe finds here, asked once for each user.
fn facts(user: &User) -> HostFacts {
    static FACTS: OnceLock<Mutex<BTreeMap<String, HostFacts>>> = OnceLock::new();
    let mut known = FACTS.get_or_init(Mutex::default).lock().unwrap();
    let probed = || {
        let output = run(&["sh"], user, &probe_command(), b"");
        parse_probe(&String::from_utf8_lossy(&output.stdout)).unwrap()
    };
    known.entry(user.name.clone()).or_insert_with(probed).clone()
}

/// Each test has one of its own, as runs at the same time have.
fn nonce() -> Nonce {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    thread_local!(static OWN: u8 = NEXT.fetch_add(1, Ordering::Relaxed));
    let [a, b, c, d] = std::process::id().to_le_bytes();
    let own = OWN.with(|own| *own);
    Nonce::new([own, a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
}

#[derive(Debug)]
struct Ran {
    end: End,
    stdout: Vec<u8>,
    stderr: String,
    status: Option<i32>,
}

impl Ran {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

const LONG: Duration = Duration::from_secs(60);

fn ran(shell: &[&str], user: &User, command: &RemoteCommand, stdin: &[u8]) -> Ran {
    let output = run(shell, user, command, stdin);
    let status = read_status(&output.stderr, &nonce());
    Ran {
        end: status.end,
        stdout: read_output(&output.stdout, &nonce()).unwrap_or_default().to_vec(),
        stderr: String::from_utf8_lossy(&status.stderr).into_owned(),
        status: output.status.code(),
    }
}

fn sandboxed(user: &User, profile: &SandboxProfile, argv: &[&str], stdin: Option<&[u8]>) -> Ran {
    let command = compose(profile, &facts(user), argv, LONG, stdin.is_some(), &nonce()).unwrap();
    ran(&["sh"], user, &command, stdin.unwrap_or_default())
}

/// A shell in a sandbox that hides no program: whatever it is told to try, it can try.
fn attacker() -> SandboxProfileBuilder {
    SandboxProfile::builder("attacker")
        .allow_any_command(true)
        .tmpfs(Tmpfs::new("/tmp").size(1 << 20))
}

fn attack(user: &User, script: &str) -> Ran {
    let profile = attacker().build().unwrap();
    sandboxed(user, &profile, &["sh", "-c", script], None)
}

#[test]
fn arguments_and_input_arrive_byte_by_byte_whatever_the_accounts_shell_is() {
    let words = [
        "",
        " ",
        "it's",
        "\\",
        "; touch /tmp/x #",
        "a\nb",
        "!!",
        "$(id)",
        "`id`",
        "*",
        "~",
        "-n",
        "%s",
        "\u{202e}ü",
        "\"q\"",
        "&&",
        "a\\'b",
    ];
    let profile = SandboxProfile::builder("p")
        .allow_commands(["printf", "cat"])
        .build()
        .unwrap();
    let input: Vec<u8> = (0..300_000_u32).map(|i| (i * 7 % 251) as u8).collect();
    for user in accounts() {
        for shell in SHELLS {
            let argv = [&["printf", "%s\\0"], words.as_slice()].concat();
            let command = compose(&profile, &facts(&user), &argv, LONG, false, &nonce()).unwrap();
            let printed = ran(shell, &user, &command, b"");
            let expected: String = words.iter().map(|word| format!("{word}\0")).collect();
            assert_eq!(printed.text(), expected, "{shell:?} {printed:?}");
            assert_eq!(
                (printed.end, printed.status),
                (End::Exited { code: 0 }, Some(0)),
                "{shell:?}"
            );
            let command = compose(&profile, &facts(&user), &["cat"], LONG, true, &nonce()).unwrap();
            let copied = ran(shell, &user, &command, &input);
            assert!(copied.stdout == input, "{shell:?} {:?}", copied.stderr);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_argument_arrives_through_the_composed_script(words in proptest::collection::vec("[^\0]{0,12}", 1..4)) {
        let user = users::current();
        let profile = SandboxProfile::builder("p").allow_command("printf").build().unwrap();
        let mut argv = vec!["printf", "%s\\0"];
        argv.extend(words.iter().map(String::as_str));
        let printed = sandboxed(&user, &profile, &argv, None);
        let expected: String = words.iter().map(|word| format!("{word}\0")).collect();
        prop_assert_eq!(printed.text(), expected);
    }
}

#[test]
fn whichever_shell_is_the_hosts_sh_the_probe_and_the_script_do_the_same() {
    let user = users::plain();
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let profile = attacker()
        .limits(Limits {
            file_size_bytes: 4096,
            ..Limits::default()
        })
        .build()
        .unwrap();
    let script = "cat >/tmp/in; wc -c </tmp/in; ulimit -t; ulimit -v; ulimit -p; head -c 9999 /dev/zero >/tmp/x; wc -c </tmp/x; exit 7";
    let expected = "5\n300\n4194304\n4096\n4096\n";
    for shell in ["/bin/dash", "/bin/bash", "/bin/mksh", "/bin/zsh", "/bin/busybox"] {
        // Under the name sh, as which each of them behaves.
        let sh = folder.path().join(shell.trim_start_matches("/bin/")).join("sh");
        std::fs::create_dir(sh.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(shell, &sh).unwrap();
        let sh = sh.to_str().unwrap();
        let read_by = |command: RemoteCommand| {
            let line = String::from_utf8(command.line).unwrap().replace("/bin/sh", sh);
            RemoteCommand {
                line: line.into_bytes(),
                ..command
            }
        };
        let output = run(&["sh"], &user, &read_by(probe_command()), b"");
        let found = parse_probe(&String::from_utf8_lossy(&output.stdout)).unwrap();
        assert_eq!(found, facts(&user), "{shell}");
        let mut smallest = found.clone();
        (
            smallest.tools.setpriv,
            smallest.tools.timeout,
            smallest.tools.read_exactly,
        ) = (None, None, ReadExactly::Dd);
        for facts in [found, smallest] {
            let command = compose(&profile, &facts, &["sh", "-c", script], LONG, true, &nonce()).unwrap();
            let done = ran(&["sh"], &user, &read_by(command), b"input");
            assert_eq!(
                (done.text().as_str(), &done.end),
                (expected, &End::Exited { code: 7 }),
                "{shell} {done:?}"
            );
        }
    }
}

#[test]
fn nothing_that_is_open_outside_is_open_inside() {
    for user in accounts() {
        for seccomp in [Seccomp::Default, Seccomp::DangerOff] {
            let profile = attacker().seccomp(seccomp).build().unwrap();
            let command = compose(
                &profile,
                &facts(&user),
                &["ls", "/proc/self/fd"],
                LONG,
                true,
                &nonce(),
            )
            .unwrap();
            // Who runs the tests may have opened more; the last one is the directory that ls reads.
            let outside = program(&["sh", "-c", "ls /proc/self/fd"], &user)
                .output()
                .unwrap();
            let outside = String::from_utf8(outside.stdout).unwrap();
            assert_eq!(ran(&["sh"], &user, &command, b"").text(), outside);
        }
    }
}

#[test]
fn a_request_whose_input_breaks_off_runs_nothing() {
    let profile = attacker().build().unwrap();
    let user = users::current();
    let argv = ["sh", "-c", "echo ran"];
    let whole = compose(&profile, &facts(&user), &argv, LONG, false, &nonce()).unwrap();
    let length = whole.prefix.len();
    let script = whole
        .prefix
        .windows(9)
        .rposition(|window| window == b"exit \"$r\"")
        .unwrap()
        + 10;
    let cuts = [
        0,
        1,
        60,
        script / 2,
        script - 40,
        script - 1,
        script,
        script + 8,
        script + 16,
        script + 24,
        length - 8,
        length - 1,
    ];
    for cut in cuts {
        let command = RemoteCommand {
            prefix: whole.prefix[..cut].to_vec(),
            ..whole.clone()
        };
        let broken = ran(&["sh"], &user, &command, b"");
        assert!(
            !broken.text().contains("ran"),
            "cut at {cut} of {length}: {broken:?}"
        );
    }
    assert_eq!(ran(&["sh"], &user, &whole, b"").text(), "ran\n");
}

#[test]
fn without_input_of_the_callers_there_is_none() {
    let profile = SandboxProfile::bundled("minimal").unwrap();
    for user in accounts() {
        let read = sandboxed(&user, &profile, &["cat"], None);
        assert_eq!((read.text().as_str(), read.end), ("", End::Exited { code: 0 }));
    }
}

#[test]
fn every_end_is_told_from_every_other() {
    let any = attacker().build().unwrap();
    for user in accounts() {
        let end = |argv: &[&str]| sandboxed(&user, &any, argv, None).end;
        assert_eq!(end(&["sh", "-c", "exit 7"]), End::Exited { code: 7 });
        assert_eq!(end(&["sh", "-c", "exit 124"]), End::Exited { code: 124 });
        assert_eq!(end(&["sh", "-c", "kill -9 $$"]), End::Exited { code: 137 });
        // The marks have a number that the command does not know.
        let forged =
            "echo 'sternline-00 end 0 { \"exit-code\": 0 }' >&2; echo '{ \"exit-code\": 0 }' >&2; exit 3";
        assert_eq!(end(&["sh", "-c", forged]), End::Exited { code: 3 });
        let End::Failed { message, .. } = end(&["/etc/passwd"]) else {
            panic!()
        };
        assert!(
            message.contains("execvp /etc/passwd: Permission denied"),
            "{message}"
        );

        let missing = SandboxProfile::builder("p")
            .allow_command("ls")
            .bind(Bind::new("/no/such", "/x"));
        let missing = missing.bind(Bind::new("/usr", "/usr")).build().unwrap();
        let End::Failed { message, .. } = sandboxed(&user, &missing, &["ls"], None).end else {
            panic!()
        };
        assert!(message.contains("Can't find source path /no/such"), "{message}");

        let argv = [
            "sh",
            "-c",
            "trap '' TERM; echo begun; sleep 3101 & wait; sleep 3102",
        ];
        let command = compose(
            &any,
            &facts(&user),
            &argv,
            Duration::from_millis(700),
            false,
            &nonce(),
        )
        .unwrap();
        let timed_out = ran(&["sh"], &user, &command, b"");
        assert_eq!(
            (timed_out.end, timed_out.stdout.as_slice()),
            (End::TimedOut, b"begun\n".as_slice())
        );
        assert_eq!(timed_out.status, Some(124));
        let nologin = ran(&["/usr/sbin/nologin"], &user, &command, b"");
        assert_eq!(nologin.end, End::NotRun);
    }
}

#[test]
fn every_bundled_profile_does_its_job() {
    for user in accounts() {
        for (name, argv, expected) in [
            ("minimal", &["ls", "/etc/hostname"][..], "/etc/hostname\n"),
            ("minimal", &["/bin/ls", "/usr/bin"], "cat\nfind\ngrep\nls\n"),
            ("minimal", &["grep", "-c", "^root:", "/etc/passwd"], "1\n"),
            (
                "minimal",
                &["find", "/home", "-maxdepth", "1"],
                "/home\n/home/sandbox\n",
            ),
            ("readonly", &["stat", "-c", "%F", "/etc"], "directory\n"),
            ("readonly", &["env"], "HOME=/home/agent\n"),
            ("readonly", &["tail", "-c", "1", "/etc/passwd"], "\n"),
            ("diagnostics", &["uptime"], "load average"),
            ("diagnostics", &["free"], "Mem:"),
            ("diagnostics", &["ps", "ax"], "ps ax"),
            ("diagnostics", &["df", "/tmp"], "/tmp\n"),
            ("systemd", &["systemd-cgls", "--version"], "systemd"),
            ("systemd", &["journalctl", "--version"], "systemd"),
        ] {
            let profile = SandboxProfile::bundled(name).unwrap();
            let done = sandboxed(&user, &profile, argv, None);
            assert_eq!(done.end, End::Exited { code: 0 }, "{name} {argv:?} {done:?}");
            assert!(done.text().contains(expected), "{name} {argv:?} {done:?}");
        }
    }
}

#[test]
fn only_allowed_programs_can_be_run_by_those_that_are_allowed() {
    let profile = SandboxProfile::builder("p").allow_commands(["find", "env", "/usr/bin/xargs", "id"]);
    let profile = profile.tmpfs(Tmpfs::new("/tmp")).build().unwrap();
    for user in accounts() {
        for argv in [
            &["env", "sh", "-c", "echo escaped"][..],
            &["env", "/bin/sh", "-c", "echo escaped"],
            &["env", "/usr/bin/../bin/sh", "-c", "echo escaped"],
            &["find", "/etc/hostname", "-exec", "sh", "-c", "echo escaped", ";"],
            &["find", "/etc/hostname", "-exec", "/usr/bin/touch", "/tmp/x", ";"],
            &["/usr/bin/xargs", "-a", "/etc/hostname", "echo", "escaped"],
            &["env", "busybox", "sh", "-c", "echo escaped"],
            &["env", "perl", "-e", "print 'escaped'"],
            &["env", "bwrap", "--version"],
            &["env", "/usr/lib/klibc/bin/sh", "-c", "echo escaped"],
            &["env", "/proc/self/root/usr/bin/sh", "-c", "echo escaped"],
        ] {
            let tried = sandboxed(&user, &profile, argv, None);
            assert!(!tried.text().contains("escaped"), "{argv:?} {tried:?}");
            // find itself ends well.
            assert!(
                argv[0] == "find" || tried.end != End::Exited { code: 0 },
                "{argv:?} {tried:?}"
            );
        }
        assert_eq!(
            sandboxed(&user, &profile, &["env", "id", "-u"], None).end,
            End::Exited { code: 0 }
        );
    }
}

#[test]
fn a_sandbox_has_no_rights_and_shows_nothing_of_the_login() {
    for user in accounts() {
        let status = attack(
            &user,
            "grep -E '^(Cap(Eff|Prm|Bnd|Amb|Inh)|NoNewPrivs|Seccomp):' /proc/self/status; id -u; env",
        );
        let text = status.text();
        for line in [
            "CapEff:\t0000000000000000",
            "CapBnd:\t0000000000000000",
            "NoNewPrivs:\t1",
            "Seccomp:\t2",
        ] {
            assert!(text.contains(line), "{line} is not in {text}");
        }
        let names: Vec<&str> = text
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(name, _)| name)
            .collect();
        assert!(
            names
                .iter()
                .all(|name| ["PATH", "PWD", "SHLVL", "_", "OLDPWD"].contains(name)),
            "{names:?}"
        );
        assert!(!text.lines().any(|line| line == "0"), "{text}");
    }
}

#[test]
fn what_root_could_do_in_other_sandboxes_fails_in_this_one() {
    let before = std::fs::read("/proc/sys/kernel/core_pattern").unwrap();
    let victim = tempfile::tempdir_in("/var/tmp").unwrap();
    std::fs::write(victim.path().join("file"), "untouched").unwrap();
    let path = victim.path().to_str().unwrap();
    for user in accounts() {
        for script in [
            "cat /etc/shadow",
            "mount -o remount,bind,rw /victim && echo gone >/victim/file",
            "echo gone >/victim/file",
            "rm /victim/file",
            "echo core >/proc/sys/kernel/core_pattern",
            "mount -t tmpfs none /tmp",
            "mount -t proc none /tmp",
            "umount /usr",
            "unshare -U true",
            "unshare -r sh -c true",
            "bwrap --ro-bind / / true",
            "chroot / true",
            "touch /x",
            "touch /usr/bin/x",
            "touch /dev/x",
            "touch /etc/x",
            "mknod /tmp/x c 1 3",
            "hostname x",
            "date -s 2001-01-01",
            "ls /root",
        ] {
            let profile = attacker()
                .bind(Bind::new("/usr", "/usr"))
                .bind(Bind::new("/bin", "/bin"));
            let profile = profile
                .bind(Bind::new("/lib", "/lib"))
                .bind(Bind::new("/lib64", "/lib64").optional());
            let profile = profile
                .bind(Bind::new("/etc", "/etc"))
                .bind(Bind::new(path, "/victim"))
                .build()
                .unwrap();
            let tried = sandboxed(&user, &profile, &["bash", "-c", script], None);
            assert!(
                matches!(tried.end, End::Exited { code: 1.. }),
                "{script}: {tried:?}"
            );
        }
    }
    assert_eq!(std::fs::read("/proc/sys/kernel/core_pattern").unwrap(), before);
    assert_eq!(
        std::fs::read_to_string(victim.path().join("file")).unwrap(),
        "untouched"
    );
}

#[test]
fn the_filter_is_what_refuses_calls_that_users_may_make() {
    let call = |number: u32, arguments: &str| {
        format!("import ctypes; exit(0 if ctypes.CDLL(None).syscall({number}, {arguments}) >= 0 else 1)")
    };
    for user in accounts() {
        // keyctl, ptrace(PTRACE_TRACEME), personality(ADDR_NO_RANDOMIZE) and userfaultfd, by their numbers on x86_64.
        for script in [
            call(250, "0, -3, 0"),
            call(101, "0, 0, 0, 0"),
            call(135, "0x40000"),
            call(323, "1"),
        ] {
            if facts(&user).arch != Arch::X86_64 {
                continue;
            }
            let argv = ["python3", "-c", &script];
            let filtered = sandboxed(&user, &attacker().build().unwrap(), &argv, None);
            assert_eq!(filtered.end, End::Exited { code: 1 }, "{script} {filtered:?}");
            let open = attacker().seccomp(Seccomp::DangerOff).build().unwrap();
            let open = sandboxed(&user, &open, &argv, None);
            assert_eq!(open.end, End::Exited { code: 0 }, "{script} {open:?}");
        }
    }
}

#[test]
fn the_hosts_network_is_reached_only_where_a_profile_shares_it() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let script = format!(
        "exec 4<>/dev/tcp/127.0.0.1/{} && echo reached",
        listener.local_addr().unwrap().port()
    );
    for user in accounts() {
        let tried = attack(&user, &format!("bash -c '{script}'"));
        assert_eq!((tried.text().as_str(), tried.end), ("", End::Exited { code: 1 }));
        let shared = attacker().network_isolation(false).build().unwrap();
        assert_eq!(
            sandboxed(&user, &shared, &["bash", "-c", &script], None).text(),
            "reached\n"
        );
    }
}

#[test]
fn processes_of_the_host_are_neither_seen_nor_reached() {
    for user in accounts() {
        let seen = attack(
            &user,
            "ls -d /proc/[0-9]* | wc -l; cat /proc/1/cmdline; ls /sys /run /root /home 2>/dev/null",
        );
        let count: u32 = seen.text().lines().next().unwrap().trim().parse().unwrap();
        assert!(count < 8, "{seen:?}");
        assert!(
            !seen.text().contains("init") && !seen.text().contains("systemd"),
            "{seen:?}"
        );
    }
}

#[test]
fn limits_are_kept() {
    let limited = |limits: Limits| attacker().limits(limits).build().unwrap();
    let none = Limits::default();
    for user in accounts() {
        let end = |profile: &SandboxProfile, script: &str| {
            let ran = sandboxed(&user, profile, &["bash", "-c", script], None);
            (ran.end.clone(), ran.text(), ran.stderr)
        };
        let cpu = limited(Limits {
            cpu_seconds: 1,
            ..none
        });
        assert_eq!(end(&cpu, "while :; do :; done").0, End::Exited { code: 137 });
        let memory = limited(Limits {
            memory_bytes: 200 << 20,
            ..none
        });
        assert_ne!(
            end(&memory, "head -c 500m /dev/zero | tail -c 400m | wc -c")
                .1
                .trim(),
            "419430400"
        );
        let file = limited(Limits {
            file_size_bytes: 4096,
            ..none
        });
        assert_eq!(
            end(&file, "head -c 8192 /dev/zero >/tmp/x; wc -c </tmp/x").1,
            "4096\n"
        );
        let size = limited(none);
        assert_eq!(
            end(&size, "head -c 9m /dev/zero >/tmp/x; wc -c </tmp/x").1,
            "1048576\n"
        );
        assert_eq!(
            end(&size, "head -c 90m /dev/zero >/dev/shm/x; wc -c </dev/shm/x").1,
            "16777216\n"
        );
    }
    // Counted for all processes of the account, so for one that has no others.
    if users::is_root() {
        let few = attacker()
            .user("54321:54321")
            .limits(Limits {
                processes: 12,
                ..none
            })
            .build()
            .unwrap();
        let script =
            "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do sleep 5 & done; echo all";
        let ran = sandboxed(&users::current(), &few, &["bash", "-c", script], None);
        assert!(ran.stderr.contains("Resource temporarily unavailable"), "{ran:?}");
    }
}

/// Starts a request below a process of its own, which stands for the connection's process on a server.
fn below(user: &User, command: &RemoteCommand) -> Child {
    let line = String::from_utf8(command.line.clone()).unwrap();
    // setsid gives the command a process group of its own, as sshd does.
    let script = "exec 3<&0; setsid sh -c \"$0\" <&3 3<&- & wait";
    let mut child = program(&["sh", "-c", script, &line], user).spawn().unwrap();
    child.stdin.as_mut().unwrap().write_all(&command.prefix).unwrap();
    child
}

#[tokio::test]
async fn nothing_outlives_the_connection() {
    let any = attacker().build().unwrap();
    for (number, user) in accounts().iter().enumerate() {
        for with_setpriv in [true, false] {
            let mut facts = facts(user);
            if !with_setpriv {
                if user.root {
                    continue;
                }
                facts.tools.setpriv = None;
                facts.tools.timeout = None;
                facts.tools.read_exactly = ReadExactly::Dd;
            }
            let mark = format!("{}", 3_110_000 + number * 10 + usize::from(with_setpriv));
            let script = format!("trap '' TERM HUP; setsid sleep {mark} & sleep {mark}");
            let command = compose(&any, &facts, &["sh", "-c", &script], LONG, false, &nonce()).unwrap();
            let mut connection = below(user, &command);
            // Two of them, and whatever shows them among its arguments.
            let sleeping = || {
                containing(&mark)
                    .iter()
                    .filter(|one| one.command == format!("sleep {mark}"))
                    .count()
            };
            eventually("both sleep", || sleeping() == 2).await;
            connection.kill().unwrap();
            connection.wait().unwrap();
            eventually("nothing is left", || containing(&mark).is_empty()).await;
        }
    }
}

#[tokio::test]
async fn nothing_outlives_a_connection_that_is_lost_while_the_sandbox_is_made() {
    let any = attacker().build().unwrap();
    for (number, user) in accounts().iter().enumerate() {
        for round in 0..12 {
            let mark = format!("{}", 3_140_000 + number * 100 + round);
            let argv = ["sh", "-c", &format!("trap '' TERM HUP; sleep {mark}; true")];
            let command = compose(&any, &facts(user), &argv, LONG, false, &nonce()).unwrap();
            let mut connection = below(user, &command);
            // As soon as there is anything of it, bubblewrap or what starts it.
            eventually("it begins", || !containing(&mark).is_empty()).await;
            connection.kill().unwrap();
            connection.wait().unwrap();
            eventually("nothing is left", || containing(&mark).is_empty()).await;
        }
    }
}

/// A tree with busybox, bubblewrap and the libraries of both, and nothing else.
fn busybox_only() -> TempDir {
    let tree = tempfile::tempdir_in("/var/tmp").unwrap();
    let inside = |path: &str| tree.path().join(path.trim_start_matches('/'));
    for directory in ["bin", "usr/bin", "etc", "proc", "dev", "tmp", "lib", "lib64"] {
        std::fs::create_dir_all(inside(directory)).unwrap();
    }
    let mut copied = vec!["/usr/bin/bwrap".to_owned()];
    std::fs::copy("/usr/bin/busybox", inside("/bin/busybox")).unwrap();
    for program in ["/usr/bin/bwrap", "/usr/bin/busybox"] {
        let output = Command::new("ldd").arg(program).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        copied.extend(
            text.split_whitespace()
                .filter(|word| word.starts_with('/'))
                .map(str::to_owned),
        );
    }
    for path in copied {
        let target = inside(&path);
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(&path, target).unwrap();
    }
    let list = Command::new("busybox").arg("--list").output().unwrap();
    for applet in String::from_utf8_lossy(&list.stdout)
        .lines()
        .filter(|name| *name != "busybox")
    {
        std::os::unix::fs::symlink("busybox", inside("/bin").join(applet)).unwrap();
    }
    std::fs::write(inside("/etc/passwd"), "root:x:0:0::/:/bin/sh\n").unwrap();
    // The plain user has to get in.
    std::fs::set_permissions(tree.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    tree
}

#[test]
fn where_busybox_is_the_only_userland_commands_run_and_root_is_told_what_is_missing() {
    let tree = busybox_only();
    let path = tree.path().to_str().unwrap();
    let user = users::plain();
    let enter = ["bwrap", "--bind", path, "/", "--proc", "/proc", "--dev", "/dev"];
    let shell = [enter.as_slice(), &["/bin/sh"]].concat();
    let output = run(&shell, &user, &probe_command(), b"");
    let mut facts = parse_probe(&String::from_utf8_lossy(&output.stdout)).unwrap();
    assert_eq!(
        (
            &facts.tools.setpriv,
            &facts.tools.timeout,
            facts.tools.read_exactly
        ),
        (&None, &None, ReadExactly::Dd)
    );

    let profile = SandboxProfile::bundled("minimal").unwrap();
    for (argv, stdin, expected) in [
        (&["ls", "/bin"][..], None, "cat\nfind\ngrep\nls\n"),
        (&["cat"], Some(b"it's binary".as_slice()), "it's binary"),
        (&["grep", "-c", "root", "/etc/passwd"], None, "1\n"),
    ] {
        let command = compose(&profile, &facts, argv, LONG, stdin.is_some(), &nonce()).unwrap();
        let done = ran(&shell, &user, &command, stdin.unwrap_or_default());
        assert_eq!(
            (done.text().as_str(), &done.end),
            (expected, &End::Exited { code: 0 }),
            "{argv:?} {done:?}"
        );
    }
    let sleep = SandboxProfile::builder("p")
        .allow_command("sleep")
        .build()
        .unwrap();
    let command = compose(
        &sleep,
        &facts,
        &["sleep", "3120"],
        Duration::from_secs(1),
        false,
        &nonce(),
    )
    .unwrap();
    assert_eq!(ran(&shell, &user, &command, b"").end, End::TimedOut);

    facts.uid = 0;
    let refusal = compose(&profile, &facts, &["ls"], LONG, false, &nonce()).unwrap_err();
    assert!(
        refusal
            .to_string()
            .starts_with("the host has no setpriv of util-linux"),
        "{refusal}"
    );
}
