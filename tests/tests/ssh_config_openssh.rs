//! Our reading of a configuration beside that of `ssh -G`, which prints what ssh made of it.
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use sternline_proto::ssh_config::{
    ConfigFile, Env, IdentityAgent, Options, Proxy, Query, Sourced, StrictHostKeyChecking, resolve,
};
use tempfile::TempDir;

/// What ssh takes for the home directory and the name of the local user.
static HOME_AND_USER: LazyLock<(String, String)> = LazyLock::new(|| {
    let asked = Command::new("ssh")
        .args(["-G", "-F", "/dev/null", "-o", "UserKnownHostsFile=%d %u", "host"])
        .stdin(Stdio::null())
        .output()
        .expect("ssh is needed by this test: apt-get install openssh-client");
    let text = String::from_utf8(asked.stdout).unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("userknownhostsfile "))
        .unwrap();
    let (home, user) = line.split_once(' ').unwrap();
    (home.to_owned(), user.to_owned())
});

/// A configuration in a directory of its own, on this machine.
struct Place {
    root: TempDir,
    home: String,
    user: String,
}

impl Env for Place {
    fn home(&self) -> Option<String> {
        Some(self.home.clone())
    }

    fn user(&self) -> Option<String> {
        Some(self.user.clone())
    }

    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    /// Enough of glob(7) for these tests: a star at the end of a path.
    fn include(&self, pattern: &str) -> Result<Vec<(String, String)>, String> {
        let mut paths = match pattern.strip_suffix('*') {
            Some(start) => {
                let directory =
                    fs::read_dir(Path::new(start).parent().unwrap()).map_err(|e| e.to_string())?;
                directory
                    .map(|entry| entry.unwrap().path())
                    .filter(|path| path.to_str().unwrap().starts_with(start))
                    .collect()
            }
            None => vec![PathBuf::from(pattern)],
        };
        paths.retain(|path| path.exists());
        paths.sort();
        Ok(paths
            .iter()
            .map(|path| (path.display().to_string(), fs::read_to_string(path).unwrap()))
            .collect())
    }
}

impl Place {
    fn new() -> Self {
        let (home, user) = &*HOME_AND_USER;
        Self {
            root: tempfile::tempdir().unwrap(),
            home: home.clone(),
            user: user.clone(),
        }
    }

    /// Writes a file; `DIR` in the text stands for the directory of these files.
    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.root.path().join(name);
        fs::write(&path, text.replace("DIR", self.root.path().to_str().unwrap())).unwrap();
        path
    }

    /// What `ssh -G` prints, or its complaint.
    fn ssh(
        &self,
        file: &Path,
        options: &[&str],
        host: &str,
    ) -> Result<BTreeMap<String, Vec<String>>, String> {
        let mut command = Command::new("ssh");
        command.arg("-G").arg("-F").arg(file).stdin(Stdio::null());
        for option in options {
            command.arg("-o").arg(option);
        }
        let output = command.arg(host).output().unwrap();
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        let mut found = BTreeMap::<String, Vec<String>>::new();
        for line in String::from_utf8(output.stdout).unwrap().lines() {
            let (key, value) = line.split_once(' ').unwrap_or((line, ""));
            found.entry(key.to_owned()).or_default().push(value.to_owned());
        }
        Ok(found)
    }

    fn ours(&self, file: &Path, options: &[&str], host: &str) -> Result<Options, String> {
        let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
        let file = ConfigFile {
            path: file.display().to_string(),
            text: fs::read_to_string(file).unwrap(),
            include_directory: format!("{}/.ssh", self.home),
        };
        let query = Query {
            host,
            user: None,
            port: None,
            options: &options,
            inventory: &[],
            files: &[file],
        };
        resolve(&query, self).map_err(|error| error.to_string())
    }

    /// Asks both and compares: the same answer, or a refusal by both.
    fn compare(&self, text: &str, options: &[&str], host: &str) {
        let file = self.write("config", text);
        let context = format!("{host} {options:?}\n{}", fs::read_to_string(&file).unwrap());
        match (self.ssh(&file, options, host), self.ours(&file, options, host)) {
            (Ok(ssh), Ok(ours)) => self.compare_options(&ssh, &ours, &context),
            (Err(_), Err(_)) => {}
            (Ok(_), Err(ours)) => panic!("ssh accepts what we refuse: {ours}\n{context}"),
            (Err(ssh), Ok(_)) => panic!("we accept what ssh refuses: {ssh}\n{context}"),
        }
    }

    fn compare_options(&self, ssh: &BTreeMap<String, Vec<String>>, ours: &Options, context: &str) {
        let yes_no = |flag: bool| if flag { "yes" } else { "no" }.to_owned();
        let checking =
            ours.strict_host_key_checking
                .as_ref()
                .map_or("ask", |checking| match checking.value {
                    StrictHostKeyChecking::Yes => "true",
                    StrictHostKeyChecking::AcceptNew => "accept-new",
                    StrictHostKeyChecking::Ask => "ask",
                    StrictHostKeyChecking::Off => "false",
                });
        let seconds = |time: &Sourced<std::time::Duration>| time.value.as_secs().to_string();
        let is_batch = ours.batch_mode.as_ref().is_some_and(|batch| batch.value);
        let interval = ours.server_alive_interval.as_ref().map(seconds);
        for (key, value) in [
            ("hostname", ours.host_name.value.clone()),
            (
                "user",
                ours.user.as_ref().map_or(&self.user, |user| &user.value).clone(),
            ),
            (
                "port",
                ours.port.as_ref().map_or(22, |port| port.value).to_string(),
            ),
            (
                "identitiesonly",
                yes_no(ours.identities_only.as_ref().is_some_and(|only| only.value)),
            ),
            ("batchmode", yes_no(is_batch)),
            ("stricthostkeychecking", checking.to_owned()),
            (
                "connecttimeout",
                ours.connect_timeout.as_ref().map_or("none".to_owned(), seconds),
            ),
            (
                "serveralivecountmax",
                ours.server_alive_count_max
                    .as_ref()
                    .map_or(3, |count| count.value)
                    .to_string(),
            ),
        ] {
            assert_eq!(ssh[key], [value], "{key}\n{context}");
        }
        // Debian's ssh has a default of its own for the interval under BatchMode.
        let default = if is_batch && ssh["serveraliveinterval"] == ["300"] {
            "300"
        } else {
            "0"
        };
        assert_eq!(
            ssh["serveraliveinterval"],
            [interval.unwrap_or(default.to_owned())],
            "{context}"
        );

        let jump = match ours.proxy.as_ref().map(|proxy| &proxy.value) {
            Some(Proxy::Jump(hops)) => {
                Some(hops.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
            }
            _ => None,
        };
        let command = match ours.proxy.as_ref().map(|proxy| &proxy.value) {
            Some(Proxy::Command(command)) => Some(command.clone()),
            _ => None,
        };
        for (key, value) in [("proxyjump", jump), ("proxycommand", command)] {
            assert_eq!(
                ssh.get(key).map(|values| values[0].clone()),
                value,
                "{key}\n{context}"
            );
        }
        if let Some(files) = &ours.identity_files {
            // ssh lists the word `none` as well, and replaces it later.
            let theirs: Vec<_> = ssh["identityfile"]
                .iter()
                .filter(|file| *file != "none")
                .collect();
            assert_eq!(
                theirs,
                files.iter().map(|file| &file.value).collect::<Vec<_>>(),
                "{context}"
            );
        } else {
            assert!(
                ssh["identityfile"]
                    .iter()
                    .all(|file| file.starts_with("~/.ssh/id_")),
                "{context}"
            );
        }
        if let Some(files) = &ours.user_known_hosts_files {
            let files = if files.value.is_empty() {
                "none".to_owned()
            } else {
                files.value.join(" ")
            };
            assert_eq!(ssh["userknownhostsfile"], [files], "{context}");
        }
        let agent = ours.identity_agent.as_ref().map(|agent| match &agent.value {
            IdentityAgent::Disabled => "none".to_owned(),
            IdentityAgent::Variable(name) if name == "SSH_AUTH_SOCK" => name.clone(),
            IdentityAgent::Variable(name) => format!("${name}"),
            IdentityAgent::Socket(path) => path.clone(),
        });
        assert_eq!(
            ssh.get("identityagent").map(|values| values[0].clone()),
            agent,
            "{context}"
        );
    }
}

#[test]
fn each_of_these_files_means_to_us_what_it_means_to_ssh() {
    let place = Place::new();
    place.write(
        "included",
        "User included\nHost web\n  Port 77\nHost db\n  Port 78\n",
    );
    place.write("nested", "Host *\nInclude DIR/included\nBatchMode yes\n");
    place.write("loop", "Include DIR/loop\n");
    for text in [
        "",
        "# only a comment\n\n\t# another\n",
        "Host web\nUser a\nHost *\nUser b\n",
        "User b\nHost web\nUser a\n",
        "Host w?b !web\nUser a\n",
        "Host !db *\nUser a\n",
        "Host !db\nUser a\n",
        "Host WEB\nUser a\n",
        "Host web,db\nUser a\n",
        "Host \"web\" 'x y'\nUser a\n",
        "HostName %h.Example.COM\n",
        "HostName fe80::1%%Eth0\n",
        "HostName ::1\n",
        "HostName %n\n",
        "HostName %\n",
        "user = a\nPORT=2222\n batchmode\tyes\n",
        "=User a\n",
        "\"User\" a\n",
        "User \"a\n",
        "User a b\n",
        "User\n",
        "User \"\"\n",
        "User a # b\n",
        "User a#b\n",
        "User #a\n",
        "User a\r\nPort 5\r\n",
        "Port 0\n",
        "Port 65536\n",
        "Port 022\n",
        "Port 22x\n",
        "Host db\nPort x\n",
        "Host db\nNonsense x\n",
        "Nonsense x\n",
        "IgnoreUnknown Non*,FOO\nNonsense x y\nfoo x\nPort 5\n",
        "Host db\nIgnoreUnknown Nonsense\nHost *\nNonsense x\n",
        "ConnectTimeout none\nConnectTimeout 5\n",
        "ConnectTimeout 1h30m5\nServerAliveInterval 1M\n",
        "ConnectTimeout 5x\n",
        "ConnectTimeout 0\nServerAliveInterval 0\nServerAliveCountMax 0\n",
        "ServerAliveInterval -1\n",
        "ServerAliveCountMax 1.5\n",
        "ServerAliveCountMax 2147483647\n",
        "ServerAliveCountMax 2147483648\n",
        "StrictHostKeyChecking off\n",
        "StrictHostKeyChecking Accept-New\n",
        "StrictHostKeyChecking maybe\n",
        "BatchMode TRUE\nIdentitiesOnly False\n",
        "BatchMode 1\n",
        "IdentityFile /a\nIdentityFile \"/b c\"\nIdentityFile /a\nHost db\nIdentityFile /d\n",
        "IdentityFile none\n",
        "IdentityFile none\nIdentityFile /a\n",
        "IdentityFile\n",
        "IdentityAgent none\n",
        "IdentityAgent SSH_AUTH_SOCK\n",
        "IdentityAgent $SOMEWHERE\n",
        "IdentityAgent /agent\n",
        "UserKnownHostsFile ~/a %d/b /%h/%n/%p/%r/%u/%%\nUser bob\nPort 5\nHostName x\n",
        "UserKnownHostsFile ${HOME}/a\n",
        "UserKnownHostsFile none\n",
        "UserKnownHostsFile none /a\n",
        "UserKnownHostsFile \"\"\n",
        "UserKnownHostsFile /a #b\nUserKnownHostsFile /c\n",
        "Include DIR/included\nUser outer\n",
        "Host db\nInclude DIR/included\nUser outer\nHost *\nUser last\n",
        "Host web\nInclude DIR/included\nPort 9\nHost db\nUser x\n",
        "Include DIR/nested\nHost db\nPort 3\n",
        "Host db\nInclude DIR/nested\n",
        "Include DIR/inc* DIR/missing\n",
        "Include DIR/missing\nPort 5\n",
        "Include DIR/loop\n",
        "Include\n",
        "Host db\nUser a\nMatch all\nPort 5\n",
        "Match ALL\nPort 5\nHost db\nPort 6\n",
        "Match all x\n",
        "Match\n",
        "Host\n",
        "ProxyJump a\nProxyCommand nc\n",
        "ProxyCommand nc %h\nProxyJump a\n",
        "ProxyJump none\nProxyJump a\nProxyCommand nc\n",
        "ProxyCommand none\nProxyJump a\nProxyCommand nc\n",
        "ProxyJump none\nProxyCommand nc\nProxyJump a\n",
        "ProxyJump NONE\nProxyCommand NONE\n",
        "Host db\nProxyJump a\nHost *\nProxyCommand nc\n",
        "ProxyJump u@a:2200,[::1]:5,ssh://b@c:7 # x\n",
        "ProxyJump = x@y@a:2200\n",
        "Host db\nProxyJump a:x\n",
        "ProxyJump a,\n",
        "ProxyJump a:0\n",
        "ProxyJump @a\n",
        "ProxyJump #x\n",
        "ProxyJump\n",
        "ProxyCommand = = \"nc\" 'x y'  # %p \n",
        "ProxyCommand nc 'x\n",
        "ProxyCommand\n",
        "Host web\nSendEnv LANG\nCompression yes\nHashKnownHosts yes\nTCPKeepAlive no\n",
    ] {
        for host in ["web", "Web", "db"] {
            place.compare(text, &[], host);
        }
    }
}

#[test]
fn options_of_the_command_line_come_first_for_both() {
    let place = Place::new();
    let text = "User file\nPort 1\nIdentityFile /file\nStrictHostKeyChecking no\nProxyJump file\n";
    for options in [
        &["User=a"][..],
        &["User a", "User=b"],
        &[" port = 5 ", "HostName=%h.x"],
        &["IdentityFile=/a", "IdentityFile=/b"],
        &["StrictHostKeyChecking=accept-new", "UserKnownHostsFile=/a /b"],
        &["IgnoreUnknown=Nonsense", "Nonsense=1"],
        &["Nonsense=1"],
        &["Port=x"],
        &["Port"],
        &["Host=web"],
        &["Match=all"],
        &["Include=/dev/null"],
        &["ProxyJump=a"],
        &["ProxyCommand=nc %h %p"],
        &["ProxyJump=none", "ProxyCommand=nc"],
        &["ProxyCommand=none", "ProxyJump=a"],
        &["User=\"a"],
    ] {
        place.compare(text, options, "web");
    }
}

#[test]
fn paths_of_keys_are_expanded_as_ssh_does() {
    let place = Place::new();
    let file = place.write(
        "config",
        "HostName 127.0.0.1\nUser bob\nPort 5\nIdentityFile ~/k\nIdentityFile %d/d\nIdentityFile /%h-%n-%p-%r-%u-%%\n\
         IdentityFile ${HOME}/v\nIdentityFile \"/with space\"\n",
    );
    // A proxy that ends at once, so that ssh says which keys it would try and connects to nothing.
    let output = Command::new("ssh")
        .args(["-v", "-o", "BatchMode=yes", "-o", "ProxyCommand=false", "-F"])
        .arg(&file)
        .arg("web")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let theirs: Vec<&str> = text
        .lines()
        .filter_map(|line| line.split_once("identity file ")?.1.split_once(" type "))
        .map(|(path, _)| path)
        .filter(|path| !path.ends_with("-cert"))
        .collect();
    let ours = place.ours(&file, &[], "web").unwrap().identity_files.unwrap();
    assert_eq!(
        ours.iter().map(|file| file.value.as_str()).collect::<Vec<_>>(),
        theirs,
        "{text}"
    );
}

/// Options with values, most of them good.
const SETTINGS: &[(&str, &[&str])] = &[
    ("User", &["a", "b", "\"c\"", "a b", "\"\""]),
    ("Port", &["1", "2222", "65535", "0", "x"]),
    ("HostName", &["a", "%h.b", "C.example.com", "::1"]),
    ("IdentityFile", &["/a", "/b", "\"/c d\"", "none"]),
    ("IdentitiesOnly", &["yes", "no", "True", "maybe"]),
    ("BatchMode", &["yes", "no"]),
    ("ConnectTimeout", &["none", "5", "1m30s", "2h", "5x"]),
    ("ServerAliveInterval", &["0", "15", "1m"]),
    ("ServerAliveCountMax", &["0", "5", "-1"]),
    (
        "StrictHostKeyChecking",
        &["yes", "no", "ask", "off", "accept-new"],
    ),
    ("UserKnownHostsFile", &["/a", "/a /b", "none"]),
    ("IdentityAgent", &["none", "/a", "SSH_AUTH_SOCK"]),
    // Not `none`: ssh takes the word for a host when a comment follows.
    ("ProxyJump", &["j", "u@k:5,l", "m:22", "j:x"]),
    ("ProxyCommand", &["nc %h %p", "none", "\"nc\" 'x y'", "nc \"x"]),
    ("SendEnv", &["LANG"]),
];

/// A line of a configuration. Every fortieth or so is one that ssh refuses.
fn line() -> impl Strategy<Value = String> {
    let good = |count: usize| move |values: &&[&'static str]| values[..count.min(values.len())].to_vec();
    let setting = |most: usize| {
        select(SETTINGS)
            .prop_flat_map(move |(keyword, values)| (Just(keyword), select(good(most)(&values))))
            .prop_flat_map(|(keyword, value)| {
                let keyword = select(vec![
                    keyword.to_owned(),
                    keyword.to_lowercase(),
                    keyword.to_uppercase(),
                ]);
                (
                    keyword,
                    select(vec![" ", "=", " = ", "\t"]),
                    Just(value),
                    select(vec!["", " ", " # x", "\r"]),
                )
            })
            .prop_map(|(keyword, separator, value, end)| format!("{keyword}{separator}{value}{end}"))
    };
    let host = vec(
        select(vec!["web", "w*", "*", "db", "?b", "!web", "!d*", "\"web\""]),
        1..4,
    )
    .prop_map(|patterns| format!("Host {}", patterns.join(" ")));
    let other = select(vec![
        "Match all",
        "# x",
        "",
        "Include DIR/included",
        "Include DIR/inc*",
        "IgnoreUnknown Foo",
    ]);
    let rare = select(vec!["Foo bar", "Host", "User \"x"]);
    prop_oneof![
        24 => setting(3),
        1 => setting(5),
        10 => host,
        4 => other.prop_map(str::to_owned),
        1 => rare.prop_map(str::to_owned),
    ]
}

proptest! {
    // Each case starts one ssh.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(150) })]

    #[test]
    fn any_configuration_means_to_us_what_it_means_to_ssh(
        lines in vec(line(), 0..12), included in vec(line(), 0..5), host in select(vec!["web", "db"]),
    ) {
        let place = Place::new();
        let included = included.join("\n").replace("Include", "#");
        place.write("included", &included);
        place.compare(&lines.join("\n"), &[], host);
    }
}
