//! `sternline history`, with runs against a real sshd: what is recorded, shown and compared, and what is not.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as a test does"
)]

mod cli_support;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use cli_support::{Setting, eventually, in_terminal, json_lines, send, without_terminal};
use rustix::process::Signal;
use serde_json::{Value, json};
use sternline_tests::cli::{Ended, Home};
use sternline_tests::left_out::left_out;
use sternline_tests::sshd::free_port;
use sternline_tests::users;

const PLACE: &str = ".local/state/sternline/history";

/// Three addresses of one server that are known, and one where nobody listens.
struct Fleet {
    setting: Setting,
    hosts: String,
    closed: String,
}

impl Fleet {
    fn new() -> Self {
        let (setting, hosts) = Setting::at_addresses(3);
        let closed = format!("{}@127.0.0.4:{}", setting.sshd.user().name, free_port());
        Self {
            setting,
            hosts,
            closed,
        }
    }

    fn home(&self) -> &Home {
        &self.setting.home
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        without_terminal(self.home(), arguments)
    }

    /// Starts a run that goes on until the file is there on its second host; on the others it ends at once.
    fn start_waiting_for(&self, file: &str) -> Child {
        let path = self.home().path().join(file);
        let command = format!(
            "case $SSH_CONNECTION in *' 127.0.0.2 '*) until [ -e '{}' ]; do sleep 0.05; done;; esac",
            path.display()
        );
        let mut program = self.home().sternline(["ssh", "-q", &self.hosts, &command]);
        program
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    fn shown(&self, run: &str) -> Value {
        object(&self.run(&["history", "show", "--json", run]))
    }
}

fn object(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
}

/// Everything that the files of a history hold.
fn raw(folder: &Path) -> Vec<u8> {
    let files = std::fs::read_dir(folder).unwrap();
    files
        .flat_map(|file| std::fs::read(file.unwrap().path()).unwrap())
        .collect()
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|part| part == text.as_bytes())
}

#[test]
fn a_run_on_several_hosts_is_listed_and_shown_with_what_became_of_each() {
    let fleet = Fleet::new();
    let hosts = format!("{},{}", fleet.hosts, fleet.closed);
    let command =
        "echo out; case $SSH_CONNECTION in *' 127.0.0.2 '*) exit 3;; *' 127.0.0.3 '*) kill -9 $$;; esac";
    assert_eq!(fleet.run(&["ssh", "--timeout", "1m", &hosts, command]).status, 1);

    let listed = json_lines(&fleet.run(&["history", "--json"]));
    assert_eq!(listed.len(), 1);
    let run = &listed[0];
    for (name, value) in [
        ("schema", "sternline.history/1"),
        ("state", "finished"),
        ("verb", "ssh"),
        ("command", command),
        ("version", env!("CARGO_PKG_VERSION")),
    ] {
        assert_eq!(run[name], value, "{name}");
    }
    assert_eq!(run["options"]["timeout_s"], 60.0);
    let counts = ["hosts", "ok", "failed", "skipped", "unknown"].map(|name| run[name].as_u64().unwrap());
    assert_eq!(counts, [4, 1, 3, 0, 0]);
    assert!(
        run["command_line"]
            .as_str()
            .unwrap()
            .starts_with("sternline ssh --timeout 1m ")
    );

    let shown = fleet.shown(&run["id"].as_str().unwrap()[..8]);
    let results = shown["results"].as_array().unwrap();
    assert_eq!(results[0]["outcome"], "ok");
    assert_eq!(results[0]["stdout"]["bytes"], 4);
    assert_eq!(results[0]["target"], fleet.setting.at("127.0.0.1"));
    assert_eq!(
        (&results[1]["outcome"], &results[1]["exit_code"]),
        (&"failed".into(), &3.into())
    );
    assert_eq!(results[2]["signal"], "KILL");
    assert_eq!(results[3]["error"]["error_type"], "ConnectionRefused");
    assert_eq!(results[3]["error"]["phase"], "tcp");
    assert_eq!(results[3]["error"]["sent"], "not_sent");

    let text = fleet.run(&["history"]).stdout;
    let row = text.lines().nth(1).unwrap();
    assert!(
        row.starts_with(run["id"].as_str().unwrap()) && row.contains("1 ok, 3 failed"),
        "{text}"
    );
    let text = fleet.run(&["history", "show", "last"]).stdout;
    for part in [
        "exit status 3",
        "signal KILL",
        "ConnectionRefused in tcp, not sent",
        "4: 1 ok, 3 failed",
    ] {
        assert!(text.contains(part), "no {part} in {text}");
    }
    let one = object(&fleet.run(&["history", "show", "--json", "--host", "127.0.0.2", "last"]));
    assert_eq!(one["results"].as_array().unwrap().len(), 1);
    assert_eq!(
        fleet.run(&["history", "show", "--host", "nobody", "last"]).status,
        2
    );
    assert_eq!(fleet.run(&["history", "show", "--output", "last"]).status, 2);
    for missing in ["last~1", "zzzz", "nonsense"] {
        assert_eq!(fleet.run(&["history", "show", missing]).status, 2, "{missing}");
    }
}

#[test]
fn runs_are_chosen_by_host_by_failure_and_by_time() {
    let fleet = Fleet::new();
    let (first, second) = fleet.hosts.split_once(',').unwrap();
    assert_eq!(fleet.run(&["ssh", "-q", second, "true"]).status, 0);
    let with_closed = format!("{first},{}", fleet.closed);
    assert_eq!(fleet.run(&["ssh", "-q", &with_closed, "true"]).status, 1);
    let found = |options: &[&str]| -> Vec<u64> {
        let runs = json_lines(&fleet.run(&[&["history", "--json"], options].concat()));
        runs.iter().map(|run| run["failed"].as_u64().unwrap()).collect()
    };
    assert_eq!(found(&[]), [1, 0]);
    assert_eq!(found(&["--limit", "1"]), [1]);
    assert_eq!(found(&["--failed"]), [1]);
    assert_eq!(found(&["--host", "127.0.0.2"]), [0]);
    assert_eq!(found(&["--host", first]), [1]);
    assert_eq!(found(&["--since", "1h"]), [1, 0]);
    assert!(found(&["--since", "2999-01-01"]).is_empty());
    assert_eq!(fleet.run(&["history", "--since", "lately"]).status, 2);
}

#[test]
fn a_comparison_says_which_hosts_came_out_differently_as_diff_does() {
    let fleet = Fleet::new();
    let script = fleet.home().write("script", "echo same");
    let command = format!(". '{}'", script.display());
    let all = format!("{},{}", fleet.hosts, fleet.closed);
    fleet.run(&["ssh", "-q", &all, &command]);
    fleet.run(&["ssh", "-q", &all, &command]);
    let same = fleet.run(&["history", "diff", "last~1", "last"]);
    assert_eq!(same.status, 0, "{same:?}");
    assert!(
        same.stdout.contains("No difference on 4 hosts."),
        "{}",
        same.stdout
    );

    let changed =
        "case $SSH_CONNECTION in *' 127.0.0.1 '*) echo other;; *' 127.0.0.2 '*) exit 3;; *) echo same;; esac";
    fleet.home().write("script", changed);
    fleet.run(&["ssh", "-q", &fleet.hosts, &command]);
    let differs = fleet.run(&["history", "diff", "--json", "last~1", "last"]);
    assert_eq!(differs.status, 1, "{differs:?}");
    let changes = object(&differs)["changes"].clone();
    let told: Vec<(&str, String)> = changes
        .as_array()
        .unwrap()
        .iter()
        .map(|change| (change["host"].as_str().unwrap(), change["what"].to_string()))
        .collect();
    assert_eq!(
        told,
        [
            ("127.0.0.1", r#"["stdout"]"#.to_owned()),
            ("127.0.0.2", r#"["outcome","exit","stdout"]"#.to_owned()),
            ("127.0.0.4", r#"["presence"]"#.to_owned()),
        ]
    );
    let text = fleet.run(&["history", "diff", "last~1", "last"]).stdout;
    for part in [
        "Succeeded before, and not any more: 1 host",
        "  exit status 0 -> exit status 3; stdout differs (5 and 0 bytes): 127.0.0.2\n",
        "  stdout differs (5 and 6 bytes): 127.0.0.1\n",
        "  ConnectionRefused in tcp, not sent: 127.0.0.4\n",
        "Only in the first run: 1 host",
        "The same on 1 host.",
    ] {
        assert!(text.contains(part), "no {part} in {text}");
    }
    assert_eq!(fleet.run(&["history", "diff", "last", "last~9"]).status, 2);
}

#[test]
fn a_run_on_the_one_host_that_a_selection_means_is_recorded_and_shown_as_ever() {
    let fleet = Fleet::new();
    let (user, port) = (&fleet.setting.sshd.user().name, fleet.setting.sshd.port());
    let inventory = format!(
        "[web]\nweb-1 ansible_host=127.0.0.1\n[gone]\ngone ansible_host=127.0.0.4\n[all:vars]\nansible_user={user}\nansible_port={port}\n"
    );
    fleet.home().write("hosts.ini", inventory);
    let run = |arguments: &[&str]| fleet.run(&[&["ssh", "-q", "-I", "hosts.ini"], arguments].concat());
    let latest = || {
        let run = fleet.shown("last");
        (run["state"].clone(), run["results"][0].clone())
    };

    let ended = run(&["--record-output", "web", "echo out; echo err >&2; exit 7"]);
    assert_eq!(
        (ended.status, ended.stdout.as_str(), ended.stderr.as_str()),
        (7, "out\n", "err\n")
    );
    let (state, host) = latest();
    assert_eq!(state, "finished");
    assert_eq!(
        (
            &host["host"],
            &host["outcome"],
            &host["exit_code"],
            &host["stdout"]["bytes"]
        ),
        (&"web-1".into(), &"failed".into(), &7.into(), &4.into()),
        "{host}"
    );
    let output = fleet.run(&["history", "show", "--output", "last"]).stdout;
    assert!(output.contains("out") && output.contains("err"), "{output}");

    assert_eq!(run(&["--json", "web-1", "true"]).status, 0);
    assert_eq!(latest().1["outcome"], "ok");
    // Nobody knows its key.
    assert_eq!(run(&["gone", "true"]).status, 255);
    let (state, host) = latest();
    assert_eq!(
        (&state, &host["error"]["error_type"]),
        (&"finished".into(), &"HostKeyMismatch".into()),
        "{host}"
    );
    assert_eq!(run(&["--timeout", "1s", "web", "exec sleep 300.171"]).status, 124);
    assert_eq!(latest().1["error"]["error_type"], "CommandTimeout");
    fleet.home().write("file", "content");
    let there = fleet.setting.sshd.path("there").display().to_string();
    let ended = fleet.run(&["cp", "-q", "-I", "hosts.ini", "file", &format!("web:{there}")]);
    assert_eq!(ended.status, 0, "{ended:?}");
    assert_eq!(
        (&fleet.shown("last")["verb"], &latest().1["outcome"]),
        (&"cp".into(), &"ok".into())
    );
    assert_eq!(json_lines(&fleet.run(&["history", "--json"])).len(), 5);
    // A host outside is no part of it, and a shell has no result.
    assert_eq!(run(&[&fleet.setting.at("127.0.0.2"), "true"]).status, 0);
    assert_eq!(run(&["web-1"]).status, 0);
    assert_eq!(json_lines(&fleet.run(&["history", "--json"])).len(), 5);
}

#[test]
fn what_is_no_fleet_run_and_what_is_not_wanted_is_not_recorded() {
    let fleet = Fleet::new();
    let place = fleet.home().path().join(PLACE);
    fleet.run(&["ssh", "-q", &fleet.setting.at("127.0.0.1"), "true"]);
    fleet.run(&["ssh", "-q", "--json", &fleet.setting.at("127.0.0.1"), "true"]);
    assert!(!place.exists());
    let with = |setting: &str, arguments: &[&str]| -> Ended {
        let mut command = fleet.home().sternline(arguments);
        Ended::from(command.env("STERNLINE_HISTORY", setting).output().unwrap())
    };
    assert_eq!(with("off", &["ssh", "-q", &fleet.hosts, "true"]).status, 0);
    assert!(!place.exists());
    let ended = with("off", &["ssh", "--record-output", &fleet.hosts, "echo ran"]);
    assert_eq!((ended.status, ended.stdout.as_str()), (2, ""), "{}", ended.stderr);
    assert_eq!(with("off", &["history"]).status, 2);
    let elsewhere = fleet.home().path().join("else/where");
    let setting = elsewhere.to_str().unwrap();
    assert_eq!(with(setting, &["ssh", "-q", &fleet.hosts, "true"]).status, 0);
    assert!(elsewhere.join("history.db").exists() && !place.exists());
    assert_eq!(json_lines(&with(setting, &["history", "--json"])).len(), 1);
    let none = fleet.run(&["history"]);
    assert_eq!(
        (none.status, none.stdout.as_str(), none.stderr.as_str()),
        (0, "", "nothing is recorded yet\n")
    );
}

#[test]
fn secrets_of_a_run_are_nowhere_in_the_history() {
    let fleet = Fleet::new();
    let ended = fleet.run(&[
        "ssh",
        "--record-output",
        "--env",
        "API_TOKEN=Zq81-in-env",
        &fleet.hosts,
        "echo \"it is $API_TOKEN\"; echo password=Zq81-in-output >&2; : --password=Zq81-in-command; printf '\\377 %s' \"$API_TOKEN\"",
    ]);
    assert_eq!(ended.status, 0, "{ended:?}");
    assert!(ended.stdout.contains("Zq81-in-env"), "the command does get it");
    let bytes = raw(&fleet.home().path().join(PLACE));
    assert!(holds(&bytes, "it is [REDACTED]"));
    assert!(!holds(&bytes, "Zq81"));
    let shown = fleet.run(&["history", "show", "--output", "--host", "127.0.0.2", "last"]);
    for part in [
        "stdout: it is [REDACTED]",
        "stdout: \\xff [REDACTED]",
        "stderr: password=[REDACTED]",
    ] {
        assert!(shown.stdout.contains(part), "no {part} in {}", shown.stdout);
    }
    let result = fleet.shown("last")["results"][0].clone();
    assert!(
        result["stdout"]["kept_base64"].is_string() && result["stderr"]["cut"] == false,
        "{result}"
    );
}

#[test]
fn a_password_in_a_target_is_nowhere_in_the_history_and_the_host_is_done_again_all_the_same() {
    let fleet = Fleet::new();
    let port = free_port();
    let hosts = format!("deploy:Zq81-typed@127.0.0.1:{port},deploy:Zq@127.0.0.2:{port}");
    assert_eq!(fleet.run(&["ssh", "-q", &hosts, "true"]).status, 1);
    let raw = raw(&fleet.home().path().join(PLACE));
    assert!(!holds(&raw, "Zq"));
    let shown = fleet.shown("last");
    assert_eq!(
        shown["results"][1]["target"],
        format!("deploy:[REDACTED]@127.0.0.2:{port}")
    );
    let again = fleet.run(&["ssh", "-q", "--retry-failed", "last", &hosts, "true"]);
    assert_eq!(again.status, 1, "{again:?}");
    assert_eq!(fleet.shown("last")["hosts"], 2);
}

#[test]
fn secrets_in_quotes_within_a_command_are_nowhere_in_the_history() {
    let fleet = Fleet::new();
    for command in [
        "PGPASSWORD='Zq82-variable' true",
        "PGPASSWORD='Zq82 two words' true",
        ": mysql -p'Zq82-attached'",
        "curl -u 'user:Zq82-user' --version; true",
        "sh -c \"PGPASSWORD='Zq82-deeper' true\"",
    ] {
        for options in [&["ssh"][..], &["ssh", "--sudo"]] {
            fleet.run(&[options, &[fleet.hosts.as_str(), command]].concat());
        }
    }
    let listed = fleet.run(&["history"]);
    assert_eq!(listed.stdout.lines().count(), 11, "{}", listed.stdout);
    let bytes = raw(&fleet.home().path().join(PLACE));
    assert!(holds(&bytes, "PGPASSWORD="));
    assert!(!holds(&bytes, "Zq82"), "{}", listed.stdout);
}

#[test]
fn a_password_that_was_typed_is_nowhere_in_the_history_either() {
    let fleet = Fleet::new();
    let typed = "correct-horse";
    let steps = json!([{ "wait": "Password on 3 hosts: " }, { "type": format!("{typed}\r") }]);
    let command = format!("echo it was {typed}");
    let arguments = ["ssh", "--ask-password", "--record-output", &fleet.hosts, &command];
    let shown = in_terminal(fleet.home(), &arguments, steps);
    assert_eq!(shown.status, 0, "{}", shown.text);
    assert!(shown.text.contains(&format!("it was {typed}")), "{}", shown.text);
    let bytes = raw(&fleet.home().path().join(PLACE));
    assert!(holds(&bytes, "echo it was [REDACTED]"));
    assert!(!holds(&bytes, typed));
}

#[test]
fn what_others_wrote_is_shown_and_not_obeyed() {
    let fleet = Fleet::new();
    let (_, hosts) = fleet.hosts.split_once(',').unwrap();
    let command = "printf '\\033]0;owned\\007\\302\\233'; : \x1b[31m\u{202e}";
    fleet.run(&["ssh", "-q", "--record-output", hosts, command]);
    fleet.run(&["ssh", "-q", hosts, "true"]);
    for arguments in [
        &["history"][..],
        &["history", "show", "last~1"],
        &["history", "show", "--output", "last~1"],
        &["history", "diff", "last~1", "last"],
    ] {
        let text = fleet.run(arguments).stdout;
        assert!(text.contains("\\x1b"), "{text}");
        let obeyed = text
            .chars()
            .find(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}');
        assert_eq!(obeyed, None, "{arguments:?}: {text:?}");
    }
}

#[test]
fn a_run_that_was_killed_is_unfinished_with_what_is_known() {
    let fleet = Fleet::new();
    let mut running = fleet.start_waiting_for("go");
    let known = || fleet.run(&["history", "--json"]);
    eventually("two hosts are recorded", || {
        json_lines(&known()).first().is_some_and(|run| run["ok"] == 2)
    });
    assert_eq!(fleet.shown("last")["state"], "running");
    let text = fleet.run(&["history", "show", "last"]).stdout;
    assert!(text.contains("still going on"), "{text}");
    running.kill().unwrap();
    running.wait().unwrap();
    fleet.home().write("go", "");
    let shown = fleet.shown("last");
    assert_eq!(
        (&shown["state"], &shown["unknown"]),
        (&"unfinished".into(), &1.into()),
        "{shown}"
    );
    assert_eq!(shown["results"][1]["outcome"], Value::Null);
    let text = fleet.run(&["history", "show", "last"]).stdout;
    assert!(
        text.contains("unfinished: it was killed, or its end could not be recorded"),
        "{text}"
    );
    assert!(text.contains("nothing is recorded"), "{text}");
    // The database is as good as before.
    assert_eq!(fleet.run(&["ssh", "-q", &fleet.hosts, "true"]).status, 0);
    assert_eq!(fleet.shown("last")["ok"], 3);
}

#[test]
fn a_run_that_was_stopped_says_so_and_which_hosts_it_had_not_come_to() {
    let fleet = Fleet::new();
    let mut running = fleet.start_waiting_for("never");
    eventually("two hosts are recorded", || {
        json_lines(&fleet.run(&["history", "--json"]))
            .first()
            .is_some_and(|run| run["ok"] == 2)
    });
    send(&running, Signal::TERM);
    assert_eq!(running.wait().unwrap().code(), Some(143));
    let shown = fleet.shown("last");
    assert_eq!(
        (&shown["state"], &shown["ok"]),
        (&"interrupted".into(), &2.into()),
        "{shown}"
    );
    assert_eq!(shown["results"][1]["error"]["error_type"], "Cancelled");
}

#[test]
fn a_copy_to_several_hosts_is_recorded_too() {
    let fleet = Fleet::new();
    fleet.home().write("file", "content");
    let there = fleet.setting.sshd.path("there").display().to_string();
    let [first, second] = ["127.0.0.1", "127.0.0.2"].map(|address| fleet.setting.account_at(address));
    let port = fleet.setting.sshd.port().to_string();
    let target = format!("{first},{second}:{there}");
    let ended = fleet.run(&["cp", "-q", "-P", &port, "file", &target]);
    assert_eq!(ended.status, 0, "{ended:?}");
    let missing = format!("{first},{second}:/no/such/file");
    assert_eq!(fleet.run(&["cp", "-q", "-P", &port, &missing, "."]).status, 1);
    let [down, up] = [fleet.shown("last"), fleet.shown("last~1")];
    assert_eq!(
        (&up["verb"], &up["ok"], &up["failed"]),
        (&"cp".into(), &2.into(), &0.into()),
        "{up}"
    );
    assert_eq!(up["command"], format!("file {target}"));
    assert_eq!(up["results"][1]["target"], second);
    assert_eq!((&down["ok"], &down["failed"]), (&0.into(), &2.into()), "{down}");
    assert_eq!(down["results"][0]["error"]["error_type"], "RemoteFileError");
    fleet.run(&["cp", "-q", "-P", &port, "file", &format!("{first}:{there}")]);
    assert_eq!(
        json_lines(&fleet.run(&["history", "--json"])).len(),
        2,
        "one host is no fleet"
    );
}

#[test]
fn a_dry_run_is_no_run_to_do_again_and_the_one_copy_that_was_left_over_is() {
    let fleet = Fleet::new();
    fleet.home().write("file", "content");
    let port = fleet.setting.sshd.port().to_string();
    let folder = fleet.setting.sshd.path("folder");
    let [first, second] = ["127.0.0.1", "127.0.0.2"].map(|address| fleet.setting.account_at(address));
    let to = folder.join("to");
    let copy = |options: &[&str], hosts: &str| {
        let target = format!("{hosts}:{}", to.display());
        let all = [
            &["cp", "-q", "-P", port.as_str()][..],
            options,
            &["file", target.as_str()],
        ]
        .concat();
        fleet.run(&all).status
    };
    let runs = || json_lines(&fleet.run(&["history", "--json"])).len();
    let both = format!("{first},{second}");
    std::fs::write(&folder, "").unwrap();
    assert_eq!(copy(&[], &both), 1, "that is no folder yet");
    std::fs::remove_file(&folder).unwrap();
    std::fs::create_dir(&folder).unwrap();
    assert_eq!(copy(&["--dry-run"], &both), 0);
    assert_eq!(runs(), 1);
    assert_eq!(copy(&["--retry-failed", "last"], &second), 0);
    assert_eq!(runs(), 2);
    assert_eq!(fleet.shown("last")["ok"], 1);
    assert_eq!(copy(&["--retry-failed", "last"], &second), 2, "nothing is left");
}

#[test]
fn trouble_with_the_history_is_one_warning_and_changes_nothing_of_the_run() {
    let fleet = Fleet::new();
    let home = fleet.home().path().to_owned();
    let elsewhere = home.join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let linked = home.join("linked");
    std::os::unix::fs::symlink(&elsewhere, &linked).unwrap();
    fleet.home().write("file", "");
    for place in [
        linked,
        home.join("file"),
        home.join("file/below"),
        PathBuf::from("/dev/null/x"),
    ] {
        let mut command = fleet.home().sternline(["ssh", &fleet.hosts, "echo ran; exit 4"]);
        let ended = Ended::from(command.env("STERNLINE_HISTORY", &place).output().unwrap());
        assert_eq!(ended.status, 1, "{ended:?}");
        assert_eq!(ended.stdout.matches("ran").count(), 3);
        let warnings: Vec<&str> = ended
            .stderr
            .lines()
            .filter(|line| line.starts_with("warning:"))
            .collect();
        assert_eq!(warnings.len(), 1, "{}", ended.stderr);
        assert!(
            warnings[0].contains("this run is not in the history"),
            "{}",
            warnings[0]
        );
    }
    assert!(std::fs::read_dir(&elsewhere).unwrap().next().is_none());
}

#[test]
fn a_damaged_history_is_moved_aside_and_a_new_one_begins() {
    let fleet = Fleet::new();
    fleet.run(&["ssh", "-q", &fleet.hosts, "true"]);
    let file = fleet.home().path().join(PLACE).join("history.db");
    std::fs::write(
        &file,
        "no database at all, and long enough to be looked at ".repeat(100),
    )
    .unwrap();
    let read = fleet.run(&["history"]);
    assert_eq!(read.status, 2);
    assert!(read.stderr.contains("is damaged"), "{}", read.stderr);
    let ended = fleet.run(&["ssh", &fleet.hosts, "true"]);
    assert_eq!(ended.status, 0);
    let warnings: Vec<&str> = ended
        .stderr
        .lines()
        .filter(|line| line.starts_with("warning:"))
        .collect();
    assert!(
        warnings.len() == 1 && warnings[0].contains("begins anew"),
        "{}",
        ended.stderr
    );
    assert_eq!(json_lines(&fleet.run(&["history", "--json"])).len(), 1);
    let aside = std::fs::read_dir(file.parent().unwrap()).unwrap();
    let aside = aside.map(|file| file.unwrap().file_name().into_string().unwrap());
    assert_eq!(aside.filter(|name| name.contains("damaged")).count(), 1);
}

#[test]
fn a_full_disk_costs_the_record_and_not_the_run() {
    let fleet = Fleet::new();
    let small = fleet.home().path().join("small");
    std::fs::create_dir(&small).unwrap();
    let mount = |arguments: &[&str]| {
        let mut command = Command::new("mount");
        command.args(arguments).arg(&small).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    if !users::is_root() || !mount(&["-t", "tmpfs", "-o", "size=100k", "tmpfs"]) {
        left_out(
            "a history on a full disk",
            "run the tests as root, where file systems may be mounted",
        );
        return;
    }
    let mut command = fleet
        .home()
        .sternline(["ssh", "--record-output", &fleet.hosts, "seq 20000"]);
    let ended = Ended::from(
        command
            .env("STERNLINE_HISTORY", small.join("history"))
            .output()
            .unwrap(),
    );
    let unmounted = Command::new("umount").arg("-l").arg(&small).status().unwrap();
    assert!(unmounted.success());
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    assert_eq!(ended.stdout.lines().count(), 60_000);
    let warnings: Vec<&str> = ended
        .stderr
        .lines()
        .filter(|line| line.starts_with("warning:"))
        .collect();
    assert!(
        warnings.len() == 1 && warnings[0].contains("full"),
        "{}",
        ended.stderr
    );
}

#[test]
fn runs_are_forgotten_without_a_trace() {
    let fleet = Fleet::new();
    for text in ["first-words", "other-words", "last-words"] {
        fleet.run(&[
            "ssh",
            "-q",
            "--record-output",
            &fleet.hosts,
            &format!("echo {text}"),
        ]);
    }
    let place = fleet.home().path().join(PLACE);
    let ended = fleet.run(&["history", "rm", "last", "last~2", "last"]);
    assert_eq!(
        (ended.status, ended.stderr.as_str()),
        (0, "2 runs forgotten\n"),
        "{ended:?}"
    );
    assert!(holds(&raw(&place), "other-words"));
    for text in ["first-words", "last-words"] {
        assert!(!holds(&raw(&place), text), "{text}");
    }
    assert_eq!(fleet.run(&["history", "rm", "last~5"]).status, 2);
    assert_eq!(fleet.run(&["history", "rm"]).status, 2);
    assert_eq!(fleet.run(&["history", "rm", "--all"]).stderr, "1 run forgotten\n");
    assert!(!holds(&raw(&place), "other-words"));
}
