//! Files of a guest, and its environment variables.

mod guest_support;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use guest_support::{client, guest};
use sternline::guest::{EnvValue, GuestClient, GuestCommand, ShellKind};
use sternline::{ErrorKind, Secret};
use sternline_tests::left_out::left_out;
use sternline_tests::sshd::{Settings, Sshd};
use sternline_tests::users;

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn a_file_goes_to_the_guest_with_its_mode_and_comes_back() {
    let server = Sshd::start();
    let guest = guest(&server);
    let here = tempfile::tempdir().unwrap();
    let local = here.path().join("tool");
    std::fs::write(&local, b"#!/bin/sh\necho \xff\0\n").unwrap();
    set_mode(&local, 0o750);
    let remote = server.path("deep/er/tool");
    guest.put_file(&local, remote.to_str().unwrap()).await.unwrap();
    assert_eq!(std::fs::read(&remote).unwrap(), std::fs::read(&local).unwrap());
    assert_eq!(mode(&remote), 0o750);
    // Over one that has another mode; into a directory; and into the home directory, where a relative path begins.
    set_mode(&remote, 0o600);
    guest.put_file(&local, remote.to_str().unwrap()).await.unwrap();
    assert_eq!(mode(&remote), 0o750);
    let directory = server.path("deep");
    guest.put_file(&local, directory.to_str().unwrap()).await.unwrap();
    assert!(directory.join("tool").exists());
    // Back, below directories that are not there yet, and into one that is.
    let back = here.path().join("a/b/back");
    assert_eq!(
        guest.get_file(remote.to_str().unwrap(), &back).await.unwrap(),
        back
    );
    assert_eq!(std::fs::read(&back).unwrap(), std::fs::read(&local).unwrap());
    assert_eq!(mode(&back), 0o750);
    let placed = guest
        .get_file(remote.to_str().unwrap(), here.path())
        .await
        .unwrap();
    assert_eq!(placed, here.path().join("tool"));
    // A directory that is not there yet, where the name says that it is one.
    let new = format!("{}/new/", here.path().display());
    let placed = guest.get_file(remote.to_str().unwrap(), &new).await.unwrap();
    assert_eq!(placed, here.path().join("new/tool"));
    assert!(placed.is_file());
    assert!(
        !std::fs::read_dir(remote.parent().unwrap())
            .unwrap()
            .any(|entry| entry.unwrap().file_name() != "tool"),
        "nothing else is left there"
    );
}

#[tokio::test]
async fn a_file_that_lends_rights_does_not_do_so_here() {
    let server = Sshd::start();
    let remote = server.path("setuid");
    std::fs::write(&remote, "x").unwrap();
    set_mode(&remote, 0o4755);
    let here = tempfile::tempdir().unwrap();
    let local = here.path().join("setuid");
    guest(&server)
        .get_file(remote.to_str().unwrap(), &local)
        .await
        .unwrap();
    assert_eq!(mode(&local) & 0o7000, 0);
}

#[tokio::test]
async fn a_remote_file_that_is_missing_leaves_the_local_one_as_it_was() {
    let server = Sshd::start();
    let guest = guest(&server);
    let here = tempfile::tempdir().unwrap();
    let local = here.path().join("kept");
    std::fs::write(&local, "precious").unwrap();
    let missing = server.path("missing");
    let error = guest
        .get_file(missing.to_str().unwrap(), &local)
        .await
        .unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::RemoteFile(_)), "{error}");
    assert_eq!(std::fs::read_to_string(&local).unwrap(), "precious");
    let new = here.path().join("new");
    guest.get_file(missing.to_str().unwrap(), &new).await.unwrap_err();
    assert!(!new.exists());
}

#[tokio::test]
async fn paths_that_make_no_sense_are_refused_before_anything_is_connected() {
    let guest = GuestClient::builder("127.0.0.1")
        .port(sternline_tests::sshd::free_port())
        .build()
        .unwrap();
    for error in [
        guest.put_file("/etc/hostname", "").await.unwrap_err(),
        guest.get_file(" ", "/tmp/never").await.unwrap_err(),
    ] {
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (&ErrorKind::Invalid, "remote_path cannot be empty")
        );
    }
    let error = guest.put_file("/no/such/file", "/tmp/x").await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Invalid);
    assert_eq!(error.to_string(), "local_path does not exist: /no/such/file");
}

/// A server whose login shells read the files of a directory, as Debian's `/etc/profile` has them do.
fn with_profile(server: &Sshd) -> String {
    let directory = server.path("profile.d");
    std::fs::create_dir(&directory).unwrap();
    set_mode(&directory, 0o777);
    let directory = directory.to_str().unwrap().to_owned();
    let text = format!("for i in {directory}/*.sh; do if [ -r $i ]; then . $i; fi; done; unset i\n");
    std::fs::write(server.path("home/.profile"), text).unwrap();
    directory
}

fn texts(values: &BTreeMap<String, EnvValue>) -> Vec<(&str, &str)> {
    values
        .iter()
        .map(|(name, value)| (name.as_str(), value.expose()))
        .collect()
}

#[tokio::test]
async fn variables_with_line_ends_and_quotes_reach_login_shells_and_are_read_back() {
    let server = Sshd::start();
    let directory = with_profile(&server);
    let guest = guest(&server);
    let environment = guest.environment().in_directory(directory.as_str());
    let odd = "it's\n\"two\" lines\nexport GHOST=boo\n$(id) `id` \\ end";
    let names = environment
        .inject([("B_PLAIN", "x"), ("A_ODD", odd), ("EMPTY", "")])
        .await
        .unwrap();
    assert_eq!(names, ["A_ODD", "B_PLAIN", "EMPTY"]);
    let seen = guest
        .run("printf %s \"$A_ODD\"; printf '|%s|%s' \"$B_PLAIN\" \"${GHOST-none}\"")
        .await
        .unwrap();
    assert_eq!(seen.stdout_text(), format!("{odd}|x|none"));
    assert_eq!(
        texts(&environment.read().await.unwrap()),
        [("A_ODD", odd), ("B_PLAIN", "x"), ("EMPTY", "")]
    );
    // A merge loses none of them.
    assert_eq!(environment.inject([("C", "new")]).await.unwrap(), ["C"]);
    assert_eq!(environment.read().await.unwrap()["A_ODD"].expose(), odd);
    assert!(
        environment
            .inject([] as [(&str, &str); 0])
            .await
            .unwrap()
            .is_empty()
    );
    // What is removed comes back with its value; what is unknown is passed over.
    let removed = environment.remove(["A_ODD", "UNKNOWN"]).await.unwrap();
    assert_eq!(texts(&removed), [("A_ODD", odd)]);
    assert_eq!(environment.replace([("ONLY", "1")]).await.unwrap(), ["ONLY"]);
    assert_eq!(texts(&environment.read().await.unwrap()), [("ONLY", "1")]);
    assert_eq!(
        guest.run("echo \"$ONLY|$B_PLAIN|$C\"").await.unwrap().output(),
        "1||"
    );
    environment.replace([] as [(&str, &str); 0]).await.unwrap();
    assert!(environment.read().await.unwrap().is_empty());
    // Raw commands do not see them.
    environment.inject([("ONLY", "1")]).await.unwrap();
    let raw = guest
        .run(GuestCommand::new("echo \"[$ONLY]\"").raw())
        .await
        .unwrap();
    assert_eq!(raw.output(), "[]");
}

#[tokio::test]
async fn secrets_stand_in_a_file_of_mode_0600_and_move_with_what_they_become() {
    let server = Sshd::start();
    let directory = with_profile(&server);
    let guest = guest(&server);
    let environment = guest.environment().in_directory(directory.as_str());
    environment
        .inject([("TOKEN", Secret::from("s3cret'\nline"))])
        .await
        .unwrap();
    environment.inject([("SHOWN", "yes")]).await.unwrap();
    let (plain, secret) = (
        Path::new(&directory).join("sternline-env.sh"),
        Path::new(&directory).join("sternline-env-secret.sh"),
    );
    assert_eq!((mode(&plain), mode(&secret)), (0o644, 0o600));
    assert!(!std::fs::read_to_string(&plain).unwrap().contains("s3cret"));
    assert_eq!(
        guest
            .run("printf '%s|%s' \"$TOKEN\" \"$SHOWN\"")
            .await
            .unwrap()
            .stdout_text(),
        "s3cret'\nline|yes"
    );
    let read = environment.read().await.unwrap();
    assert!(read["TOKEN"].is_secret() && !read["SHOWN"].is_secret());
    assert!(!format!("{read:?}").contains("s3cret"));
    // What was plain becomes secret, and is gone from where all can read it.
    environment
        .inject([("SHOWN", Secret::from("no more"))])
        .await
        .unwrap();
    assert!(!std::fs::read_to_string(&plain).unwrap().contains("SHOWN"));
    assert_eq!(environment.read().await.unwrap()["SHOWN"].expose(), "no more");
    let removed = environment.remove(["TOKEN"]).await.unwrap();
    assert!(removed["TOKEN"].is_secret());
    assert_eq!(mode(&secret), 0o600);
    let left: Vec<_> = std::fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[tokio::test]
async fn a_login_shell_of_another_user_passes_over_the_secrets_and_sees_the_rest() {
    if !users::is_root() {
        left_out("secrets of a guest and its other users", "run the tests as root");
        return;
    }
    let server = Sshd::start();
    let directory = with_profile(&server);
    let root = guest(&server);
    let environment = root.environment().in_directory(directory.as_str());
    environment
        .inject([("TOKEN", Secret::from("s3cret"))])
        .await
        .unwrap();
    environment.inject([("SHOWN", "yes")]).await.unwrap();
    // Their shells read the same files.
    let other = Settings::default().user(users::plain()).start();
    std::fs::copy(server.path("home/.profile"), other.path("home/.profile")).unwrap();
    set_mode(&other.path("home/.profile"), 0o644);
    let result = guest(&other).run("echo \"[$TOKEN|$SHOWN]\"").await.unwrap();
    assert_eq!((result.output().as_str(), result.exit_code), ("[|yes]", Some(0)));
    assert_eq!(result.stderr_text(), "");
}

#[tokio::test]
async fn variables_with_which_no_program_starts_are_refused_and_a_file_without_end_is_not_read_to_it() {
    let server = Sshd::start();
    let directory = with_profile(&server);
    let guest = guest(&server);
    let environment = guest.environment().in_directory(directory.as_str());
    // Linux has 128 KiB for one of them.
    let long = |length| "x".repeat(length);
    environment.inject([("LONG", long(131_066))]).await.unwrap();
    assert_eq!(
        guest.run("printenv LONG | wc -c").await.unwrap().output(),
        "131067"
    );
    let error = environment.inject([("LONG", long(131_067))]).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Invalid, "{error}");
    let many = (0..20).map(|n| (format!("LONG_{n}"), long(120_000)));
    let error = environment.replace(many).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Invalid, "{error}");
    assert_eq!(environment.read().await.unwrap().len(), 1);

    let file = Path::new(&directory).join("sternline-env.sh");
    std::fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &file).unwrap();
    let error = environment.read().await.unwrap_err();
    assert!(error.to_string().contains("2 MiB"), "{error}");
}

#[tokio::test]
async fn a_pipe_is_no_file_to_copy() {
    let server = Sshd::start();
    let guest = guest(&server);
    let pipe = server.path("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let error = guest.put_file(&pipe, "x").await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Invalid, "{error}");
}

#[tokio::test]
async fn what_somebody_else_wrote_is_not_overwritten_and_bad_names_change_nothing() {
    let server = Sshd::start();
    let directory = with_profile(&server);
    let guest = guest(&server);
    let environment = guest.environment().in_directory(directory.as_str());
    let file = Path::new(&directory).join("sternline-env.sh");
    let theirs = "export A=1\nexport PATH=$PATH:/opt\n";
    std::fs::write(&file, theirs).unwrap();
    for error in [
        environment.inject([("B", "2")]).await.unwrap_err(),
        environment.remove(["A"]).await.unwrap_err(),
        environment.read().await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), &ErrorKind::Invalid);
        assert!(error.to_string().contains("line 2"), "{error}");
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), theirs);
    for name in ["A B", "A\n", "1A", "", "UID"] {
        let error = environment
            .inject([("FINE", "x"), (name, "y")])
            .await
            .unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Invalid, "{name:?}");
    }
    environment.replace([("A", "1")]).await.unwrap();
    assert_eq!(texts(&environment.read().await.unwrap()), [("A", "1")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn changes_by_many_tasks_at_once_are_all_kept() {
    let server = Sshd::start();
    let directory = with_profile(&server);
    let guest = guest(&server);
    let running: Vec<_> = (0..8)
        .map(|n| {
            let (guest, directory) = (guest.clone(), directory.clone());
            tokio::spawn(async move {
                let environment = guest.environment().in_directory(directory);
                environment.inject([(format!("V{n}"), n.to_string())]).await
            })
        })
        .collect();
    for task in running {
        task.await.unwrap().unwrap();
    }
    let all = guest.environment().in_directory(directory).read().await.unwrap();
    assert_eq!(all.len(), 8, "{all:?}");
}

#[tokio::test]
async fn the_usual_place_is_the_directory_that_login_shells_read() {
    if !users::is_root() {
        left_out(
            "the variables of a guest in /etc/profile.d",
            "run the tests as root",
        );
        return;
    }
    // In a mount namespace of its own, so that this machine's directory stays as it is.
    let directory = tempfile::tempdir().unwrap();
    let before: Vec<_> = std::fs::read_dir("/etc/profile.d")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    let force = format!(
        "ForceCommand exec bwrap --dev-bind / / --bind {} /etc/profile.d -- sh -c \"$SSH_ORIGINAL_COMMAND\"",
        directory.path().display()
    );
    let server = Settings::default()
        .option(&force)
        .option("Subsystem sftp /usr/lib/openssh/sftp-server")
        .start();
    let guest = guest(&server);
    guest
        .environment()
        .inject([("STERNLINE_PROOF", "a\nb")])
        .await
        .unwrap();
    assert!(directory.path().join("sternline-env.sh").exists());
    assert_eq!(
        guest.run("echo \"$STERNLINE_PROOF\"").await.unwrap().output(),
        "a\nb"
    );
    let after: Vec<_> = std::fs::read_dir("/etc/profile.d")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(before, after);
}

/// A stand-in for PowerShell with a registry: it decodes what it gets as PowerShell would, and understands no more than the two
/// scripts that Sternline sends.
const POWERSHELL: &str = r#"#!/usr/bin/env python3
import base64, json, os, re, sys
registry_path = os.path.join(os.path.dirname(sys.argv[0]), "registry.json")
try:
    registry = json.load(open(registry_path))
except FileNotFoundError:
    registry = {}
assert sys.argv[1:3] == ["-NoProfile", "-EncodedCommand"], sys.argv
bootstrap = base64.b64decode(sys.argv[3]).decode("utf-16-le")
assert "[Console]::In.ReadToEnd()" in bootstrap, bootstrap
script = base64.b64decode(sys.stdin.read()).decode("utf-8")
books = "STERNLINE_ENV_MANAGED_KEYS"
sys.stderr.write('#< CLIXML\r\n<Objs Version="1.1.0.1"><Obj S="progress" RefId="0"><AV>x</AV></Obj></Objs>')
if "fail-here" in registry:
    sys.stderr.write('<Objs Version="1.1.0.1"><S S="Error">no access_x000D__x000A_</S></Objs>')
    sys.exit(1)
before = [name for name in registry.get(books, "").split(",") if name]
if "ConvertTo-Json" in script:
    found = {name: registry[name] for name in before if name in registry}
    sys.stdout.write(base64.b64encode(json.dumps(found).encode()).decode())
else:
    names = re.search(r"^\$n=@\((.*)\)$", script, re.M).group(1)
    names = [name.strip("'") for name in names.split(",") if name]
    values = re.findall(r"SetEnvironmentVariable\('(\w+)',\(\[Text.Encoding\]::UTF8.GetString\(\[Convert\]::FromBase64String\('([^']*)'\)\)\),\$e\)", script)
    assert [name for name, _ in values] == names, script
    for name, value in values:
        registry[name] = base64.b64decode(value).decode()
    for name in before:
        if name not in names:
            registry.pop(name, None)
    registry[books] = ",".join(names)
    json.dump(registry, open(registry_path, "w"))
"#;

#[tokio::test]
async fn a_windows_guest_keeps_them_in_its_registry_by_scripts_on_standard_input() {
    let bin = tempfile::tempdir().unwrap();
    set_mode(bin.path(), 0o755);
    let powershell = bin.path().join("powershell.exe");
    std::fs::write(&powershell, POWERSHELL).unwrap();
    set_mode(&powershell, 0o755);
    let option = format!(
        "SetEnv PATH={}:/usr/local/bin:/usr/bin:/bin HOME=/",
        bin.path().display()
    );
    let server = Settings::default().option(&option).start();
    let registry = || -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(bin.path().join("registry.json")).unwrap()).unwrap()
    };
    std::fs::write(bin.path().join("registry.json"), r#"{"Path":"C:\\Windows"}"#).unwrap();
    for kind in [ShellKind::PowerShell, ShellKind::Cmd] {
        let guest = client(&server).shell_kind(kind).build().unwrap();
        let environment = guest.environment();
        let odd = "it's\r\n“two” ‘lines’ $env:PATH; exit";
        environment.inject([("B", odd), ("A", "x")]).await.unwrap();
        environment.inject([("C", Secret::from("s3cret"))]).await.unwrap();
        assert_eq!(registry()["B"], odd);
        assert_eq!(registry()["STERNLINE_ENV_MANAGED_KEYS"], "A,B,C");
        assert_eq!(
            texts(&environment.read().await.unwrap()),
            [("A", "x"), ("B", odd), ("C", "s3cret")]
        );
        assert_eq!(
            texts(&environment.remove(["A", "Path"]).await.unwrap()),
            [("A", "x")]
        );
        environment.replace([("D", "only")]).await.unwrap();
        assert_eq!(
            registry(),
            serde_json::json!({"Path": "C:\\Windows", "D": "only", "STERNLINE_ENV_MANAGED_KEYS": "D"})
        );
        for wrong in ["", "\0"] {
            let error = environment.inject([("E", wrong)]).await.unwrap_err();
            assert_eq!(error.kind(), &ErrorKind::Invalid);
        }
        environment.replace([] as [(&str, &str); 0]).await.unwrap();
    }
    std::fs::write(bin.path().join("registry.json"), r#"{"fail-here":"1"}"#).unwrap();
    let guest = client(&server).shell_kind(ShellKind::PowerShell).build().unwrap();
    let error = guest.environment().inject([("A", "x")]).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::CommandFailed);
    assert!(error.to_string().ends_with("exit status 1: no access"), "{error}");
}
