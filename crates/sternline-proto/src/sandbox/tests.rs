//! What comes out for whole profiles on whole hosts: the words of bubblewrap, and what is sent.
//!
//! The words are kept in `testdata/`, one line for each option. `STERNLINE_WRITE=1 cargo test -p sternline-proto sandbox` writes
//! them anew, and whoever does that reads the difference.

use std::path::PathBuf;
use std::time::Duration;

use super::*;

fn facts(host: &str) -> HostFacts {
    let text = std::fs::read_to_string(testdata(&format!("{host}.txt"))).unwrap();
    parse_probe(&text).unwrap()
}

fn testdata(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("src/sandbox/testdata")
        .join(name)
}

fn nonce() -> Nonce {
    Nonce::new([0xab; 16])
}

fn allowing(command: &str) -> SandboxProfileBuilder {
    SandboxProfile::builder("p").allow_command(command)
}

/// One line for each option with its values.
fn lines(argv: &[String]) -> String {
    let mut text = String::new();
    let mut own = true;
    for word in argv {
        if own && word.starts_with("--") && !text.is_empty() {
            text.push('\n');
        } else if !text.is_empty() {
            text.push(' ');
        }
        own &= word != "--";
        text.push_str(word);
    }
    text.push('\n');
    text
}

fn is_golden(name: &str, text: &str) {
    let path = testdata(name);
    if std::env::var_os("STERNLINE_WRITE").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        text, expected,
        "{name} is another one now; the head of this file says how to write it anew"
    );
}

#[test]
fn every_bundled_profile_has_its_words_on_every_layout() {
    for host in ["debian-12", "alpine-3.20", "fedora-42", "ubuntu-20.04"] {
        for name in BUNDLED {
            let profile = SandboxProfile::bundled(name).unwrap();
            let argv = bwrap_argv(&profile, &facts(host), &["ls", "-l", "/"]).unwrap();
            is_golden(&format!("{host}.{name}.argv"), &lines(&argv));
        }
    }
}

#[test]
fn what_is_sent_is_one_short_line_and_a_prefix() {
    let minimal = SandboxProfile::bundled("minimal").unwrap();
    for host in ["debian-12", "alpine-3.20"] {
        let command = compose(
            &minimal,
            &facts(host),
            &["ls"],
            Duration::from_secs(30),
            false,
            &nonce(),
        )
        .unwrap();
        let script = command.prefix.len() - seccomp::default_filter(&facts(host).arch).unwrap().len();
        let text = String::from_utf8(command.prefix[..script].to_vec()).unwrap();
        is_golden(
            &format!("{host}.sent"),
            &format!("{}\n\n{text}", String::from_utf8(command.line).unwrap()),
        );
    }
}

#[test]
fn nothing_of_the_callers_stands_in_the_request_nor_anything_that_a_shell_could_misread() {
    let profile = allowing("echo").build().unwrap();
    for host in ["debian-12", "alpine-3.20"] {
        let mut facts = facts(host);
        facts.programs.get_mut("/usr/bin").unwrap().insert("echo".into());
        for argument in ["plain", "it's", "a\\", "!!", "\n", "$(touch /x)", "`x`", "\u{fe}"] {
            let argv = ["echo", argument];
            let command = compose(&profile, &facts, &argv, Duration::from_secs(30), true, &nonce()).unwrap();
            let line = String::from_utf8(command.line).unwrap();
            assert!(line.chars().all(|c| c.is_ascii_graphic() || c == ' '), "{line}");
            assert!(!line.contains(['\\', '!', '`', '~', '*', '?']), "{line}");
            assert!(argument == "plain" || !line.contains(argument), "{line}");
        }
    }
}

#[test]
fn root_becomes_somebody_else_first_and_others_stay_who_they_are() {
    let script = |profile: &SandboxProfile, facts: &HostFacts| {
        let command = compose(profile, facts, &["ls"], Duration::from_secs(30), false, &nonce())?;
        Ok::<_, Refusal>(String::from_utf8_lossy(&command.prefix).into_owned())
    };
    let root = facts("debian-12");
    let profile = allowing("ls").build().unwrap();
    let nobody = "setpriv --reuid 65534 --regid 65534 --clear-groups --no-new-privs --pdeathsig KILL";
    assert!(script(&profile, &root).unwrap().contains(nobody));
    let deploy = allowing("ls")
        .user("deploy")
        .group("adm")
        .group("none")
        .group("root")
        .build()
        .unwrap();
    let drop = "setpriv --reuid 1000 --regid 1000 --groups 4 --no-new-privs --pdeathsig KILL";
    assert!(script(&deploy, &root).unwrap().contains(drop));
    let numbers = allowing("ls").user("7:8").build().unwrap();
    assert!(script(&numbers, &root).unwrap().contains("--reuid 7 --regid 8"));

    let plain = facts("fedora-42");
    assert!(!script(&profile, &plain).unwrap().contains("--reuid"));
    assert!(!script(&deploy, &plain).unwrap().contains("--reuid"));

    let refused = |user: &str, facts: &HostFacts| {
        script(&allowing("ls").user(user).build().unwrap(), facts).unwrap_err()
    };
    assert!(matches!(refused("root", &root), Refusal::RootUser { .. }));
    assert!(matches!(refused("0:0", &root), Refusal::RootUser { .. }));
    assert!(matches!(refused("5:0", &root), Refusal::RootUser { .. }));
    assert!(matches!(refused("4294967295:1", &root), Refusal::RootUser { .. }));
    assert!(matches!(refused("nosuch", &root), Refusal::NoSuchUser { .. }));
    assert!(matches!(refused("nobody", &plain), Refusal::CannotBecome { .. }));
}

#[test]
fn a_root_login_without_setpriv_is_told_what_is_missing() {
    let mut facts = facts("debian-12");
    facts.tools.setpriv = None;
    let profile = allowing("ls").build().unwrap();
    let refusal = compose(&profile, &facts, &["ls"], Duration::from_secs(1), false, &nonce()).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "the host has no setpriv of util-linux, which is needed to become an unprivileged user before the sandbox is made"
    );
    assert!(
        refusal.hint().contains("apt-get install util-linux"),
        "{}",
        refusal.hint()
    );
    facts.uid = 1000;
    assert!(compose(&profile, &facts, &["ls"], Duration::from_secs(1), false, &nonce()).is_ok());
}

#[test]
fn a_program_that_is_not_there_is_refused_before_anything_is_sent() {
    let profile =
        SandboxProfile::builder("p").allow_commands(["nosuch", "/opt/a/b", "/bin/nosuch", "/srv/x"]);
    let profile = profile.build().unwrap();
    let facts = facts("debian-12");
    let refusal = bwrap_argv(&profile, &facts, &["nosuch"]).unwrap_err();
    assert_eq!(refusal.to_string(), "the host has no nosuch in /usr/bin");
    assert!(matches!(
        bwrap_argv(&profile, &facts, &["/bin/nosuch"]),
        Err(Refusal::NoSuchProgram { .. })
    ));
    assert!(matches!(
        bwrap_argv(&profile, &facts, &["/srv/x"]),
        Err(Refusal::NoSuchProgram { .. })
    ));
    let shown = allowing("/srv/x")
        .bind(Bind::new("/srv", "/srv"))
        .build()
        .unwrap();
    assert!(bwrap_argv(&shown, &facts, &["/srv/x"]).is_ok());
}

#[test]
fn what_linux_would_not_pass_on_is_refused() {
    let profile = allowing("ls").build().unwrap();
    let facts = facts("debian-12");
    let word = |bytes: usize| "x".repeat(bytes);
    assert!(bwrap_argv(&profile, &facts, &["ls".to_owned(), word(131_071)]).is_ok());
    let refusal = bwrap_argv(&profile, &facts, &["ls".to_owned(), word(131_072)]).unwrap_err();
    assert_eq!(
        refusal,
        Refusal::WordTooLong {
            index: 1,
            bytes: 131_072
        }
    );
    let mut many = vec!["ls".to_owned()];
    many.extend((0..9).map(|_| word(131_000)));
    assert!(matches!(
        bwrap_argv(&profile, &facts, &many),
        Err(Refusal::TooLong { .. })
    ));
}

#[test]
fn the_default_filter_stands_in_for_what_an_old_bubblewrap_lacks() {
    let old = facts("ubuntu-20.04");
    let profile = allowing("ls").build().unwrap();
    let argv = bwrap_argv(&profile, &old, &["ls"]).unwrap();
    assert!(
        !argv
            .iter()
            .any(|word| word == "--size" || word == "--disable-userns" || word == "--clearenv")
    );
    let command = compose(&profile, &old, &["ls"], Duration::from_secs(1), false, &nonce()).unwrap();
    assert!(String::from_utf8_lossy(&command.prefix).contains("env -i /usr/bin/bwrap"));
    assert_eq!(old.weaknesses().len(), 2);
    let off = allowing("ls").seccomp(Seccomp::DangerOff).build().unwrap();
    assert!(matches!(
        bwrap_argv(&off, &old, &["ls"]),
        Err(Refusal::Missing { .. })
    ));
    assert!(bwrap_argv(&off, &facts("debian-12"), &["ls"]).is_ok());
}

#[test]
fn a_filter_of_the_profiles_own_is_sent_once_it_is_loaded() {
    let file = Seccomp::File {
        path: "/x.bpf".into(),
        program: None,
    };
    let profile = allowing("ls").seccomp(file).build().unwrap();
    let facts = facts("debian-12");
    let send =
        |profile: &SandboxProfile| compose(profile, &facts, &["ls"], Duration::from_secs(1), false, &nonce());
    assert_eq!(
        send(&profile),
        Err(Refusal::FilterNotLoaded {
            path: "/x.bpf".into()
        })
    );
    assert!(profile.clone().with_seccomp_program(vec![0; 7]).is_err());
    assert!(profile.clone().with_seccomp_program(vec![]).is_err());
    let loaded = profile.with_seccomp_program(b"12345678".to_vec()).unwrap();
    assert!(send(&loaded).unwrap().prefix.ends_with(b"12345678"));
}

#[test]
fn only_allowed_programs_are_seen_in_directories_of_programs() {
    let facts = facts("debian-12");
    let seen = |profile: SandboxProfileBuilder| {
        let profile = profile.build().unwrap();
        let argv = bwrap_argv(&profile, &facts, &["ls"]).unwrap();
        lines(&argv)
    };
    let words = seen(
        allowing("ls")
            .allow_command("/usr/bin/systemd-*")
            .allow_command("/bin/cat"),
    );
    for program in ["ls", "systemd-cgls", "systemd-cgtop", "cat"] {
        assert!(
            words.contains(&format!("--ro-bind-try /usr/bin/{program} /usr/bin/{program}\n")),
            "{program}"
        );
    }
    assert_eq!(words.matches("--ro-bind-try /usr/bin/").count(), 4);
    for hidden in [
        "/usr/bin",
        "/usr/sbin",
        "/usr/libexec",
        "/usr/lib/git-core",
        "/usr/lib/klibc/bin",
    ] {
        assert!(words.contains(&format!("--tmpfs {hidden}\n")), "{hidden}");
        assert!(words.contains(&format!("--remount-ro {hidden}\n")), "{hidden}");
    }
    // What is not shown needs not be hidden.
    assert!(!words.contains("/opt"));

    // A whole directory may be allowed, and all of them.
    let whole = seen(allowing("ls").allow_command("/usr/bin/*"));
    assert!(!whole.contains("--tmpfs /usr/bin\n") && whole.contains("--tmpfs /usr/sbin\n"));
    assert!(!seen(allowing("x").allow_any_command(true)).contains("--tmpfs /usr/"));

    // Under another name as well, and when everything is shown.
    let elsewhere = seen(
        allowing("ls")
            .bind(Bind::new("/usr", "/usr"))
            .bind(Bind::new("/usr", "/mnt")),
    );
    assert!(elsewhere.contains("--tmpfs /mnt/bin\n"));
    let root = seen(allowing("ls").bind(Bind::new("/", "/")));
    assert!(root.contains("--tmpfs /usr/bin\n") && root.contains("--tmpfs /opt\n"));

    // A bind of the profile's own within is its author's word.
    let own = seen(
        allowing("ls")
            .bind(Bind::new("/usr", "/usr"))
            .bind(Bind::new("/usr/sbin/mkfs", "/usr/sbin/mkfs")),
    );
    let (hidden, shown) = (
        own.find("--tmpfs /usr/sbin\n").unwrap(),
        own.find("--ro-bind /usr/sbin/mkfs").unwrap(),
    );
    assert!(hidden < shown && shown < own.find("--remount-ro /usr/sbin\n").unwrap());
}

#[test]
fn whatever_a_mount_stands_in_comes_before_it() {
    let profile = allowing("ls")
        .bind(Bind::new("/a", "/etc-x/deep"))
        .bind(Bind::new("/b", "/etc/ssl"))
        .bind(Bind::new("/c", "/etc"))
        .bind(Bind::new("/usr", "/usr"))
        .tmpfs(Tmpfs::new("/etc/ssl/own").size(4096))
        .build()
        .unwrap();
    let argv = bwrap_argv(&profile, &facts("debian-12"), &["ls"]).unwrap();
    let text = lines(&argv);
    let at = |line: &str| {
        text.find(line)
            .unwrap_or_else(|| panic!("{line} is not in {text}"))
    };
    assert!(at("--ro-bind /c /etc\n") < at("--ro-bind /b /etc/ssl\n"));
    assert!(at("--ro-bind /b /etc/ssl\n") < at("--size 4096\n--tmpfs /etc/ssl/own\n"));
    assert!(text.contains("--remount-ro /\n"));
}
