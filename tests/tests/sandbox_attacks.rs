//! Every known way out of a sandbox over SSH, tried as a plain user and as root: each fails, and the host is as it was.
//!
//! The numbers are those of the study of an older system that had all these holes.

mod sandbox_support;

use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::time::Duration;

use sandbox_support::{Bed, beds, executor, profile};
use serde_json::json;
use sternline::sandbox::{SandboxExecutor, SandboxProfile, SandboxRequest, SshExecutor};
use sternline::{ErrorKind, SendState};
use sternline_tests::left_out::left_out;
use sternline_tests::processes::{self, eventually};
use sternline_tests::sshd::Settings;
use sternline_tests::throwaway::Throwaway;
use sternline_tests::users;

#[tokio::test]
async fn attack_01_a_read_only_bind_is_not_remounted_for_writing() {
    for bed in beds() {
        let result = bed
            .script(
                "mount -o remount,bind,rw /victim; mount -o remount,rw /victim; echo changed >/victim/file; \
                 echo new >/victim/new; rm -f /victim/file; grep CapEff /proc/self/status",
            )
            .await;
        bed.assert_untouched();
        let said = result.stderr_text();
        assert!(said.contains("Read-only file system"), "as {}: {said}", bed.login);
        assert_eq!(
            result.stdout_text(),
            "CapEff:\t0000000000000000\n",
            "as {}",
            bed.login
        );
    }
}

#[tokio::test]
async fn attack_02_kernel_settings_are_not_written() {
    // The same value, so that not even a success would change anything.
    let files = ["kernel/core_pattern", "vm/overcommit_memory", "kernel/modprobe"];
    for bed in beds() {
        for name in files {
            let path = format!("/proc/sys/{name}");
            let Ok(before) = fs::read_to_string(&path) else {
                continue;
            };
            let script = format!("v=$(cat {path}) && printf '%s' \"$v\" >{path} && echo written");
            let result = bed.script(&script).await;
            assert_ne!(result.returncode, 0, "{path} as {}", bed.login);
            assert_eq!(result.stdout_text(), "", "{path} as {}", bed.login);
            assert_eq!(fs::read_to_string(&path).unwrap(), before);
        }
        let trigger = bed.script("echo h >/proc/sysrq-trigger && echo written").await;
        assert_eq!(trigger.stdout_text(), "", "as {}", bed.login);
    }
}

#[tokio::test]
async fn attack_03_what_only_root_may_read_is_not_read() {
    for bed in beds() {
        let secret = bed.host_path("../root-only");
        fs::write(&secret, "secret").unwrap();
        if users::is_root() {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
        }
        let keys = json!({ "binds": [
            { "source": "/usr", "target": "/usr" }, { "source": "/etc", "target": "/etc" },
            { "source": "/bin", "target": "/bin", "create_target": false, "optional": true },
            { "source": "/lib", "target": "/lib", "create_target": false, "optional": true },
            { "source": "/lib64", "target": "/lib64", "create_target": false, "optional": true },
            { "source": bed.server.path("").to_str().unwrap(), "target": "/server" },
        ] });
        let result = bed
            .run(
                &bed.anything(keys),
                &["sh", "-c", "cat /etc/shadow /etc/gshadow; id -u; id -G; echo end"],
            )
            .await;
        let stdout = result.stdout_text();
        assert!(
            !stdout.contains(':') && stdout.ends_with("end\n"),
            "as {}: {stdout}",
            bed.login
        );
        assert!(
            !stdout.lines().any(|line| line.split(' ').any(|id| id == "0")),
            "as {}: {stdout}",
            bed.login
        );
        assert!(
            result.stderr_text().contains("Permission denied"),
            "{}",
            result.stderr_text()
        );
    }
}

#[tokio::test]
async fn attack_04_the_list_of_commands_is_kept_on_every_way_in() {
    for bed in beds() {
        let minimal = SandboxProfile::bundled("minimal").unwrap();
        let expected = ErrorKind::Sandbox(sternline::error::SandboxReason::NotAllowed);
        let refused = |error: sternline::Error| {
            assert_eq!(error.kind(), &expected, "{error}");
            assert_eq!(error.sent(), SendState::NotSent);
        };
        for argv in [
            ["sh", "-c", "id"],
            ["./ls", "-l", "/"],
            ["/tmp/ls", "-l", "/"],
            ["LS", "-l", "/"],
            [" ls", "", ""],
        ] {
            refused(bed.executor.run_command(&minimal, argv).await.unwrap_err());
            let executor: &dyn SandboxExecutor = &bed.executor;
            refused(
                executor
                    .run(&minimal, SandboxRequest::from(argv))
                    .await
                    .unwrap_err(),
            );
        }
        let only_ls = profile(&json!({ "name": "only-ls", "allowed_commands": ["ls"] }));
        refused(
            bed.executor
                .read_file(&only_ls, "/etc/hostname")
                .await
                .unwrap_err(),
        );
        let empty: [&str; 0] = [];
        let error = bed.executor.run_command(&minimal, empty).await.unwrap_err();
        assert_eq!(error.sent(), SendState::NotSent, "{error}");
        assert!(
            !bed.server.log().contains("Accepted"),
            "nothing was even connected"
        );
    }
    for keys in [
        json!({ "name": "x" }),
        json!({ "name": "x", "allowed_commands": [] }),
        json!({ "name": "x", "allowed_comands": ["ls"] }),
    ] {
        let error = SandboxProfile::from_json(&keys.to_string(), None).unwrap_err();
        assert!(error.to_string().contains("allow"), "{error}");
    }
}

#[tokio::test]
async fn attack_05_an_allowed_command_starts_no_other_one() {
    for bed in beds() {
        let lenient =
            profile(&json!({ "name": "lenient", "allowed_commands": ["find", "env", "ls", "xargs"] }));
        for argv in [
            &["find", "/etc/hostname", "-exec", "id", ";"][..],
            &["find", "/etc/hostname", "-exec", "/usr/bin/id", ";"],
            &["find", "/etc/hostname", "-exec", "sh", "-c", "id", ";"],
            &["find", "/etc/hostname", "-execdir", "/bin/sh", "-c", "id", ";"],
            &["env", "id"],
            &["env", "/usr/bin/id"],
            &[
                "env",
                "PATH=/usr/sbin:/sbin:/usr/local/bin:/opt/bin:/usr/libexec",
                "id",
            ],
            &["xargs", "id"],
        ] {
            let result = bed.run(&lenient, argv).await;
            assert!(
                !result.stdout_text().contains("uid="),
                "{argv:?}: {}",
                result.stdout_text()
            );
            // find itself ends well all the same.
            assert!(
                result.stderr_text().contains("No such file"),
                "{argv:?}: {}",
                result.stderr_text()
            );
        }
        let listed = bed.run(&lenient, &["ls", "/usr/bin", "/bin/"]).await;
        let names: Vec<String> = listed.stdout_text().lines().map(str::to_owned).collect();
        assert!(names.iter().any(|name| name == "find"), "{names:?}");
        for other in ["sh", "bash", "dash", "python3", "perl", "id", "mount", "busybox"] {
            assert!(
                !names.iter().any(|name| name == other),
                "{other} is visible: {names:?}"
            );
        }
        let deleting = SandboxProfile::bundled("minimal").unwrap();
        let outcome = bed
            .executor
            .run_command(&deleting, ["find", "/etc/hostname", "-delete"])
            .await;
        assert!(outcome.is_err() || outcome.is_ok_and(|result| !result.succeeded()));
        assert!(fs::metadata("/etc/hostname").is_ok());
    }
}

#[tokio::test]
async fn attack_06_a_pattern_leads_out_of_no_directory() {
    for bed in beds() {
        let pattern = profile(&json!({ "name": "pattern", "allowed_commands": ["/usr/bin/*"] }));
        for program in [
            "/usr/bin/../../bin/sh",
            "/usr/bin/../sbin/useradd",
            "/usr/bin/a/b",
            "/usr/bin/",
            "/usr/bin/..",
        ] {
            let error = bed
                .executor
                .run_command(&pattern, [program, "-c", "id"])
                .await
                .unwrap_err();
            assert_eq!(error.sent(), SendState::NotSent, "{program}: {error}");
        }
        assert!(
            bed.run(&pattern, &["/usr/bin/id"])
                .await
                .stdout_text()
                .contains("uid=")
        );
    }
}

#[tokio::test]
async fn attack_07_nothing_of_the_logins_environment_is_seen() {
    let mut all = beds();
    for user in all
        .iter()
        .map(|bed| bed.server.user().clone())
        .collect::<Vec<_>>()
    {
        all.push(Bed::new(
            "with a secret",
            Settings::default()
                .option("SetEnv SECRET_TOKEN=hunter2")
                .user(user),
        ));
    }
    for bed in &all {
        let profile = bed.anything(json!({ "environment": { "PATH": "/usr/bin:/bin", "A": "it's $HOME" } }));
        let result = bed.run(&profile, &["env"]).await;
        let mut lines: Vec<String> = result.stdout_text().lines().map(str::to_owned).collect();
        lines.sort();
        assert_eq!(
            lines,
            ["A=it's $HOME", "PATH=/usr/bin:/bin", "PWD=/"],
            "as {}",
            bed.login
        );
        // Nor does any process that can be seen show it: process 1 is bubblewrap itself.
        let result = bed.script("cat /proc/[0-9]*/environ").await;
        for trace in ["SECRET_TOKEN", "SSH_CONNECTION", "LOGNAME"] {
            assert!(!result.stdout_text().contains(trace), "{trace} as {}", bed.login);
        }
        assert!(result.stdout_text().contains("HOME=/tmp"), "as {}", bed.login);
    }
    for bed in &all {
        // The fourth is that of the listing: no pipe of the sandbox's own, in which a status could be forged.
        let result = bed.script("ls /proc/self/fd").await;
        assert_eq!(result.stdout_text(), "0\n1\n2\n3\n", "as {}", bed.login);
        let unfiltered = bed.anything(json!({ "seccomp": "danger-off" }));
        let request = SandboxRequest::from(["ls", "/proc/self/fd"]).stdin("input");
        let result = bed.executor.run_command(&unfiltered, request).await.unwrap();
        assert_eq!(result.stdout_text(), "0\n1\n2\n3\n", "as {}", bed.login);
    }
}

#[tokio::test]
async fn attack_08_the_hosts_processes_are_neither_seen_nor_changed() {
    for bed in beds() {
        let own = std::process::id();
        let marker = format!("/proc/{own}");
        for name in ["diagnostics", "systemd"] {
            let profile = SandboxProfile::bundled(name).unwrap();
            let seen = bed.run(&profile, &["ps", "-ef"]).await;
            assert!(
                seen.succeeded(),
                "{name} as {}: {}",
                bed.login,
                seen.stderr_text()
            );
            assert!(
                !seen.stdout_text().contains("sshd"),
                "{name} as {}: {}",
                bed.login,
                seen.stdout_text()
            );
            let result = bed.run(&profile, &["cat", &format!("{marker}/cmdline")]).await;
            assert_ne!(result.returncode, 0);
        }
        let pid = bed.server.pid();
        let before = fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap();
        bed.script(&format!(
            "for p in {pid} {own}; do echo 500 >/proc/$p/oom_score_adj; kill -9 $p; done"
        ))
        .await;
        assert_eq!(
            fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap(),
            before
        );
        assert!(bed.script("true").await.succeeded());
    }
}

#[tokio::test]
async fn attack_09_no_login_shell_and_no_start_up_file_reads_the_arguments() {
    let Some(shells) = accounts(&[
        "/bin/sh",
        "/bin/bash",
        "/bin/dash",
        "/usr/bin/zsh",
        "/usr/bin/fish",
        "/usr/bin/tcsh",
    ]) else {
        return;
    };
    for (shell, account) in shells {
        let server = Settings::default().user(account.user()).start();
        let home = server.path("home");
        for file in [
            ".bashrc",
            ".profile",
            ".zshenv",
            ".cshrc",
            ".tcshrc",
            ".config/fish/config.fish",
        ] {
            let path = home.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "echo noise of $0\necho noise >&2\n").unwrap();
        }
        let executor = executor(&server);
        let profile = profile(&json!({ "name": "print", "allowed_commands": ["printf"] }));
        let planted = server.path("home/planted");
        let mut nasty: Vec<String> = [
            "\\",
            "'",
            "\"",
            "$HOME",
            "`id`",
            "$(id)",
            "!",
            "!!",
            "a\nb",
            "\n",
            "*",
            "~",
            "-n",
            "--",
            "%",
            "{a,b}",
            "[a]",
            "a;b",
            "a&b",
            "a|b",
            "#",
            "\\'",
            "'\\''",
            "\t",
            "é\u{202e}",
            "\x1b[31m",
            "",
        ]
        .map(str::to_owned)
        .into();
        nasty.push(format!("; touch {} #", planted.display()));
        nasty.push(format!("'; touch {} #", planted.display()));
        let mut argv = vec!["printf".to_owned(), "<%s>".to_owned()];
        argv.extend(nasty.iter().cloned());
        let result = executor.run_command(&profile, argv).await;
        assert!(!planted.exists(), "{shell}");
        let result = result.unwrap_or_else(|error| panic!("{shell}: {error}: {}", error.hint()));
        let expected: String = nasty.iter().map(|word| format!("<{word}>")).collect();
        assert_eq!(result.stdout_text(), expected, "{shell}");
        assert_eq!(result.stderr_text(), "", "{shell}");
    }
}

#[tokio::test]
async fn attack_10_an_end_is_never_taken_for_a_success_and_leaves_nothing() {
    for bed in beds() {
        let profile = bed.anything(json!({}));
        // Twelve time limits in a row: more than the server has sessions.
        let number = if bed.login == "root" { 74_010 } else { 74_011 };
        let sleep = format!("sleep {number}");
        for _ in 0..12 {
            let request =
                SandboxRequest::from(["sh", "-c", &format!("trap '' TERM; echo up; {sleep}; true")])
                    .timeout(Duration::from_millis(400));
            let error = bed.executor.run_command(&profile, request).await.unwrap_err();
            assert_eq!(error.kind(), &ErrorKind::CommandTimeout, "{error}");
        }
        eventually("nothing is left", || processes::containing(&sleep).is_empty()).await;
        assert_eq!(bed.script("echo usable").await.stdout_text(), "usable\n");
        let bytes = bed.script("printf 'a\\377b'; printf 'c\\376' >&2").await;
        assert_eq!(
            (&bytes.stdout[..], &bytes.stderr[..]),
            (&b"a\xffb"[..], &b"c\xfe"[..])
        );
        // The connection is cut while the command runs.
        let executor = bed.executor.clone();
        let script = format!("echo partial; {sleep}; true");
        let running = tokio::spawn({
            let profile = profile.clone();
            async move { executor.run_command(&profile, ["sh", "-c", &script]).await }
        });
        // Not the shell, whose arguments say the same before it has written anything.
        let sleeps = || {
            processes::containing(&sleep)
                .iter()
                .any(|one| one.command == sleep)
        };
        eventually("it has written and sleeps", sleeps).await;
        bed.server.break_connections();
        let error = running.await.unwrap().unwrap_err();
        assert!(error.kind().is_connection(), "{error}");
        assert_ne!(error.sent(), SendState::NotSent);
        assert_eq!(&error.partial_output().unwrap().stdout[..], b"partial\n");
        eventually("nothing is left", || processes::containing(&sleep).is_empty()).await;
        assert_eq!(bed.script("echo healed").await.stdout_text(), "healed\n");
    }
}

#[tokio::test]
async fn attack_11_nothing_of_the_host_is_used_up() {
    for bed in beds() {
        let limits = json!({
            "limits": { "cpu_seconds": 1, "memory_bytes": 256 << 20, "file_size_bytes": 1 << 20, "wall_clock_seconds": 20, "output_bytes": 100_000 },
            "tmpfs_paths": [{ "path": "/tmp", "size": 2 << 20 }],
        });
        let profile = bed.anything(limits);
        let full = bed
            .run(
                &profile,
                &[
                    "sh",
                    "-c",
                    "for i in 1 2 3 4; do head -c 1000000 /dev/zero >/tmp/$i || echo full; done",
                ],
            )
            .await;
        assert!(
            full.stdout_text().contains("full"),
            "as {}: {}",
            bed.login,
            full.stderr_text()
        );
        for place in ["/", "/dev", "/dev/shm", "/proc", "/usr", "/etc", "/bin"] {
            let written = bed
                .run(
                    &profile,
                    &[
                        "sh",
                        "-c",
                        &format!("echo x >{place}/new-file && wc -c <{place}/new-file"),
                    ],
                )
                .await;
            assert!(
                !written.succeeded() || place == "/dev/shm",
                "{place} can be written as {}",
                bed.login
            );
        }
        let shared = bed
            .run(
                &profile,
                &["sh", "-c", "head -c 2000000 /dev/zero >/dev/shm/x && echo kept"],
            )
            .await;
        assert_eq!(
            shared.stdout_text(),
            "",
            "a large file in /dev/shm as {}",
            bed.login
        );
        let spun = bed.run(&profile, &["sh", "-c", "while :; do :; done"]).await;
        assert!(
            !spun.succeeded() && matches!(spun.signal, Some("KILL" | "XCPU")),
            "{spun:?}"
        );
        let memory = bed
            .run(
                &profile,
                &[
                    "sh",
                    "-c",
                    "x=$(head -c 600000000 /dev/zero | tr '\\0' a); echo ${#x}",
                ],
            )
            .await;
        assert_ne!(memory.stdout_text(), "600000000\n", "as {}", bed.login);
        let error = bed
            .executor
            .run_command(&profile, ["sh", "-c", "yes"])
            .await
            .unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::OutputOverflow, "{error}");
        assert_eq!(error.partial_output().unwrap().stdout.len(), 100_000);
        eventually("the writer is gone", || {
            processes::containing("yes")
                .iter()
                .all(|one| one.command != "yes")
        })
        .await;
    }
}

#[tokio::test]
async fn attack_12_no_further_user_namespace_is_made() {
    for bed in beds() {
        for script in [
            "unshare -U true",
            "unshare -Ur id -u",
            "bwrap --unshare-user --ro-bind / / true",
        ] {
            let result = bed.script(&format!("{script} && echo made")).await;
            assert!(
                !result.stdout_text().contains("made"),
                "{script} as {}",
                bed.login
            );
            assert!(
                !result.stderr_text().contains("not found"),
                "{script}: {}",
                result.stderr_text()
            );
        }
    }
}

#[tokio::test]
async fn attack_13_nothing_is_typed_into_somebody_elses_terminal() {
    for bed in beds() {
        let result = bed.script("cut -d' ' -f5-8 /proc/self/stat; perl -e 'ioctl(STDIN, 0x5412, my $c = \"x\") or print \"$!\\n\"'").await;
        let text = result.stdout_text().into_owned();
        let mut lines = text.lines();
        let stat = lines.next().unwrap();
        let terminal = stat.split(' ').nth(2).unwrap();
        assert_eq!(terminal, "0", "a terminal controls it: {stat}");
        assert_eq!(
            lines.next(),
            Some("Operation not permitted"),
            "as {}: the filter refuses TIOCSTI",
            bed.login
        );
    }
}

#[tokio::test]
async fn attack_14_additional_arguments_undo_nothing() {
    for bad in [
        &["--bind", "/", "/"][..],
        &["--share-net"],
        &["--dev-bind", "/", "/"],
        &["--cap-add", "ALL"],
        &["--setenv", "A", "b"],
        &["--", "sh"],
        &["--args", "0"],
        &["--proc", "/proc"],
        &["--hostname", "x", "--bind", "/", "/mnt"],
    ] {
        let keys = json!({ "name": "x", "allowed_commands": ["ls"], "additional_args": bad });
        let error = SandboxProfile::from_json(&keys.to_string(), None).unwrap_err();
        assert!(error.to_string().contains("additional_args"), "{bad:?}: {error}");
    }
    for bed in beds() {
        let harmless = bed.anything(json!({ "additional_args": ["--hostname", "box", "--chdir", "/tmp"] }));
        let result = bed.run(&harmless, &["sh", "-c", "uname -n; pwd"]).await;
        assert_eq!(result.stdout_text(), "box\n/tmp\n", "as {}", bed.login);
    }
}

/// The number of keyctl(2), whose success without a filter shows that it is the filter that refuses it.
const KEYCTL: u32 = if cfg!(target_arch = "x86_64") { 250 } else { 219 };

#[tokio::test]
async fn attack_15_the_filter_of_system_calls_is_at_work() {
    for bed in beds() {
        let script = format!(
            "grep Seccomp: /proc/self/status; perl -e 'print syscall({KEYCTL}, 0, -3, 0) < 0 ? \"$!\\n\" : \"keyctl\\n\"'"
        );
        let with = bed.script(&script).await;
        assert_eq!(
            with.stdout_text(),
            "Seccomp:\t2\nOperation not permitted\n",
            "as {}",
            bed.login
        );
        let off = bed.anything(json!({ "seccomp": "danger-off" }));
        let without = bed.run(&off, &["sh", "-c", &script]).await;
        assert!(
            without.stdout_text().ends_with("\nkeyctl\n"),
            "the test sees a difference: {}",
            without.stdout_text()
        );
    }
}

#[tokio::test]
async fn attack_16_the_hosts_network_is_out_of_reach_unless_it_is_shared() {
    for bed in beds() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let connect = format!("exec 3<>/dev/tcp/127.0.0.1/{port} && echo connected");
        let result = bed.run(&bed.anything(json!({})), &["bash", "-c", &connect]).await;
        assert_eq!(result.stdout_text(), "", "as {}", bed.login);
        let devices = bed.script("cat /proc/net/dev | tail -n +3 | cut -d: -f1").await;
        assert_eq!(devices.stdout_text().trim(), "lo", "as {}", bed.login);
        listener.set_nonblocking(true).unwrap();
        assert!(listener.accept().is_err(), "nobody came");
        let shared = bed.anything(json!({ "network_isolation": false }));
        let result = bed.run(&shared, &["bash", "-c", &connect]).await;
        assert_eq!(
            result.stdout_text(),
            "connected\n",
            "the test sees a difference: {}",
            result.stderr_text()
        );
        let mut byte = [0];
        assert_eq!(listener.accept().unwrap().0.read(&mut byte).unwrap(), 0);
    }
}

#[tokio::test]
async fn attack_17_a_missing_source_means_the_same_everywhere() {
    for bed in beds() {
        let with = |optional: bool| {
            profile(&json!({
                "name": "missing", "allowed_commands": ["ls"],
                "binds": [
                    { "source": "/usr", "target": "/usr" },
                    { "source": "/bin", "target": "/bin", "create_target": false, "optional": true },
                    { "source": "/lib", "target": "/lib", "create_target": false, "optional": true },
                    { "source": "/lib64", "target": "/lib64", "create_target": false, "optional": true },
                    { "source": "/no/such/directory", "target": "/mnt", "optional": optional },
                ],
            }))
        };
        let local = sternline::sandbox::LocalExecutor::new();
        let (over_ssh, here) = (
            bed.executor.run_command(&with(false), ["ls", "/"]).await,
            local.run_command(&with(false), ["ls", "/"]).await,
        );
        for outcome in [over_ssh, here] {
            let said = match outcome {
                Err(error) => error.to_string(),
                Ok(result) => {
                    assert!(!result.succeeded());
                    assert_eq!(result.side, sternline::sandbox::Side::Bubblewrap);
                    result.stderr_text().into_owned()
                }
            };
            assert!(said.contains("/no/such/directory"), "{said}");
        }
        let (over_ssh, here) = (
            bed.executor.run_command(&with(true), ["ls", "/"]).await.unwrap(),
            local.run_command(&with(true), ["ls", "/"]).await.unwrap(),
        );
        assert!(
            over_ssh.succeeded() && here.succeeded(),
            "{}{}",
            over_ssh.stderr_text(),
            here.stderr_text()
        );
    }
}

#[tokio::test]
async fn attack_18_a_forced_command_gets_no_text_to_split_and_is_told_of() {
    for bed in beds() {
        // What a word is stays what it is: nothing splits it, nothing expands it.
        let words = [
            "*",
            "/usr/*",
            "a  b",
            "$SSH_ORIGINAL_COMMAND",
            "$IFS",
            "-c",
            "id;id",
        ];
        let mut argv = vec!["printf", "%s\\n"];
        argv.extend(words);
        let result = bed.run(&bed.anything(json!({})), &argv).await;
        assert_eq!(result.stdout_text().lines().collect::<Vec<_>>(), words);
        let user = bed.server.user().clone();
        for forced in ["/bin/echo only this", "/bin/false", "/bin/cat"] {
            let server = Settings::default()
                .user(user.clone())
                .option(&format!("ForceCommand {forced}"))
                .start();
            let request = SandboxRequest::from(["id"]).timeout(Duration::from_secs(10));
            let error = executor(&server)
                .run_command(&bed.anything(json!({})), request)
                .await
                .unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Sandbox(_)), "{forced}: {error}");
            assert_eq!(error.sent(), SendState::NotSent, "{forced}: {error}");
        }
    }
}

#[test]
fn attack_19_names_are_checked_before_anything_is_done_with_them() {
    for host in ["", " ", "-oProxyCommand=id", "a\nb", "a b", "host\0", "\x1b[31m"] {
        let outcome = SshExecutor::builder(host).username("user").build();
        assert_eq!(outcome.err().unwrap().kind(), &ErrorKind::Invalid, "{host:?}");
    }
    for user in ["", "-u", "a b", "a\n", "root;id", "\0"] {
        let outcome = SshExecutor::builder("host").username(user).build();
        assert_eq!(outcome.err().unwrap().kind(), &ErrorKind::Invalid, "{user:?}");
    }
    for size in [0, 101] {
        let error = SshExecutor::builder("host")
            .connection_pool_size(size)
            .build()
            .err()
            .unwrap();
        assert!(error.to_string().contains("between 1 and 100"), "{error}");
    }
    assert!(SshExecutor::builder("host").port(0).build().is_err());
}

/// An account with each of these shells; `None` where none can be made.
fn accounts(shells: &[&'static str]) -> Option<Vec<(&'static str, Throwaway)>> {
    if !users::is_root() {
        left_out("sandboxes behind other login shells", "run the tests as root");
        return None;
    }
    Some(
        shells
            .iter()
            .map(|shell| (*shell, Throwaway::new("unused").with_shell(shell)))
            .collect(),
    )
}
