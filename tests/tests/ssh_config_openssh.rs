//! Our reading of a configuration beside that of `ssh -G`, which prints what ssh made of it.
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use sternline::config::{Env, SshConfig};
use sternline_proto::ssh_config::{AlgorithmList, Options, Sourced};
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

/// What `ssh -G` prints where nothing is configured.
static DEFAULTS: LazyLock<BTreeMap<String, Vec<String>>> =
    LazyLock::new(|| Place::new().ssh(Path::new("none"), &[], "host").unwrap());

/// A configuration in a directory of its own, on this machine.
struct Place {
    root: TempDir,
    env: Env,
}

impl Place {
    fn new() -> Self {
        let (home, user) = &*HOME_AND_USER;
        let mut env = Env::system();
        env.home = Some(home.into());
        env.user = Some(user.clone());
        Self {
            root: tempfile::tempdir().unwrap(),
            env,
        }
    }

    /// Writes a file; `DIR` in the text stands for the directory of these files.
    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
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
        SshConfig::load_file(&self.env, file)
            .map_err(|error| error.to_string())?
            .resolve(host, None, None, &options)
            .map_err(|error| error.to_string())
    }

    /// Asks both and compares: the same answer, or a refusal by both.
    fn compare(&self, text: &str, options: &[&str], host: &str) {
        let file = self.write("config", text);
        let context = format!("{host} {options:?}\n{}", fs::read_to_string(&file).unwrap());
        match (self.ssh(&file, options, host), self.ours(&file, options, host)) {
            (Ok(ssh), Ok(ours)) => compare_options(&ssh, &ours, &context),
            (Err(_), Err(_)) => {}
            (Ok(_), Err(ours)) => panic!("ssh accepts what we refuse: {ours}\n{context}"),
            (Err(ssh), Ok(_)) => panic!("we accept what ssh refuses: {ssh}\n{context}"),
        }
    }
}

/// Every option that we resolve has the value that ssh has for it: where none was set, its default.
fn compare_options(ssh: &BTreeMap<String, Vec<String>>, ours: &Options, context: &str) {
    let mut found = BTreeMap::<&str, Vec<String>>::new();
    for shown in ours.shown() {
        found.entry(shown.keyword).or_default().push(shown.value);
    }
    for keyword in COMPARED {
        let key = keyword.to_ascii_lowercase();
        let theirs = ssh.get(&key).cloned().unwrap_or_default();
        let Some(values) = found.remove(keyword) else {
            let default = match *keyword {
                // With no file named at all ssh has a word of its own for that.
                "CertificateFile" | "IdentityFile" if theirs.iter().all(|file| file == "none") => continue,
                // Debian's ssh has a default of its own under BatchMode.
                "ServerAliveInterval" if theirs == ["300"] => continue,
                // They follow the host's name, or are not said twice.
                "ProxyJump" | "ProxyCommand" => None,
                _ => DEFAULTS.get(&key),
            };
            assert_eq!(
                theirs,
                default.cloned().unwrap_or_default(),
                "{keyword}\n{context}"
            );
            continue;
        };
        let flag = |yes: &str, no: &str| vec![if values == ["yes"] { yes } else { no }.to_owned()];
        let expected = match *keyword {
            "PubkeyAuthentication" if theirs != ["unbound"] && theirs != ["host-bound"] => {
                flag("true", "false")
            }
            "PubkeyAuthentication" => flag(&theirs[0], "false"),
            "StrictHostKeyChecking" if matches!(values[0].as_str(), "yes" | "no") => flag("true", "false"),
            _ => values,
        };
        // ssh lists the word `none` as well, and replaces it later.
        let theirs: Vec<_> = match *keyword {
            "IdentityFile" | "CertificateFile" => theirs.into_iter().filter(|file| file != "none").collect(),
            _ => theirs,
        };
        assert_eq!(theirs, expected, "{keyword}\n{context}");
    }
    for (key, list) in [
        ("kexalgorithms", &ours.kex_algorithms),
        ("hostkeyalgorithms", &ours.host_key_algorithms),
        ("ciphers", &ours.ciphers),
        ("macs", &ours.macs),
    ] {
        let default: Vec<&str> = DEFAULTS[key][0].split(',').collect();
        let list: Option<&Sourced<AlgorithmList>> = list.as_ref();
        let expected = list.map_or(default.clone(), |list| list.value.choose(&default));
        assert_eq!(ssh[key], [expected.join(",")], "{key}\n{context}");
    }
}

/// The options that both show in the same words.
const COMPARED: &[&str] = &[
    "HostName",
    "User",
    "Port",
    "AddressFamily",
    "BindAddress",
    "ProxyJump",
    "ProxyCommand",
    "IdentityFile",
    "CertificateFile",
    "IdentitiesOnly",
    "IdentityAgent",
    "PubkeyAuthentication",
    "PasswordAuthentication",
    "KbdInteractiveAuthentication",
    "PreferredAuthentications",
    "NumberOfPasswordPrompts",
    "UserKnownHostsFile",
    "GlobalKnownHostsFile",
    "RevokedHostKeys",
    "HostKeyAlias",
    "HashKnownHosts",
    "StrictHostKeyChecking",
    "BatchMode",
    "ConnectTimeout",
    "ServerAliveInterval",
    "ServerAliveCountMax",
];

#[test]
fn each_of_these_files_means_to_us_what_it_means_to_ssh() {
    let place = Place::new();
    place.write(
        "included",
        "User included\nHost web\n  Port 77\nHost db\n  Port 78\n",
    );
    place.write("nested", "Host *\nInclude DIR/included\nBatchMode yes\n");
    place.write("matching", "Match host web\nUser m\nMatch final\nBatchMode yes\n");
    fs::create_dir(place.root.path().join("directory")).unwrap();
    place.write("loop.d/loop", "Include DIR/loop.d/loop\n");
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
        "Include DIR/loop.d/loop\n",
        "Include\n",
        "Host web\nVerifyHostKeyDNS ask\nForwardAgent yes\nUpdateHostKeys yes\n",
        "AddressFamily inet\nAddressFamily inet6\n",
        "AddressFamily INET6\n",
        "AddressFamily x\n",
        "BindAddress 127.0.0.1\n",
        "BindAddress \"\"\n",
        "CertificateFile /a\nCertificateFile /b\nCertificateFile /a\nHost db\nCertificateFile none\n",
        "PreferredAuthentications publickey,foo\n",
        "PreferredAuthentications \"\"\n",
        "RevokedHostKeys /a\n",
        "RevokedHostKeys NONE\nRevokedHostKeys /a\n",
        "NumberOfPasswordPrompts 0\n",
        "NumberOfPasswordPrompts -1\n",
        "PasswordAuthentication NO\nPubkeyAuthentication no\nKbdInteractiveAuthentication no\n",
        "ChallengeResponseAuthentication no\nKbdInteractiveAuthentication yes\n",
        "SkeyAuthentication no\nDSAAuthentication no\n",
        "PubkeyAuthentication unbound\n",
        "PubkeyAuthentication host-bound\n",
        "PubkeyAuthentication x\n",
        "GlobalKnownHostsFile /a \"/b c\" %h\n",
        "GlobalKnownHostsFile none\n",
        "GlobalKnownHostsFile none /a\n",
        "HostKeyAlias Foo\nUserKnownHostsFile /%k\n",
        "HostKeyAlias \"\"\n",
        "HostKeyAlias a b\n",
        "HashKnownHosts yes\n",
        "UserKnownHostsFile /%k/%i/%l/%L/%C/%u\nUser bob\nPort 5\nHostName x\n",
        "UserKnownHostsFile /%j\n",
        "UserKnownHostsFile ${NOT_SET}/a\n",
        "IdentityAgent ~/x-%h-${HOME}\n",
        "IdentityAgent $HOME/x\n",
        "IdentityAgent \"\"\n",
        "Ciphers aes256-ctr,chacha20-poly1305@openssh.com\n",
        "Ciphers -aes*\nMACs -hmac-sha1*,umac-64*\n",
        "Ciphers ^aes256-ctr\nKexAlgorithms ^ecdh-sha2-nistp384\n",
        "HostKeyAlgorithms -*cert*,*sk-*\n",
        "Ciphers aes*\n",
        "Ciphers +\n",
        "Ciphers aes128-ctr , aes256-ctr\n",
        "Ciphers \"\"\n",
        "User 'a'b\"c\"\n",
        "User a\\b\n",
        "User %h\n",
        "Include \"DIR/inc*\"\n",
        "Include DIR/[h-j]ncluded\n",
        "Include DIR/{included,nested}\n",
        "Include DIR\nPort 5\n",
        "Include DIR/*\nPort 5\n",
        "Match host web\nUser a\n",
        "Match host WEB user *\nUser a\n",
        "Match originalhost=web\nUser a\n",
        "Match host \"web,db\"\nUser a\n",
        "Match host \"web, db\"\nUser a\n",
        "Match host 'web'\nUser a\n",
        "Match=host web\nUser a\n",
        "Match host !web,*\nUser a\n",
        "Match !host web\nUser a\n",
        "Match !host x !user nobody\nPort 5\n",
        "Match !originalhost web # x\nPort 5\n",
        "Match host web #x y\nUser a\n",
        "User ann\nMatch user ann,bob\nPort 5\nMatch user Ann\nBatchMode yes\n",
        "Match localuser !nobody,*\nUser a\nMatch user a\nPort 4\n",
        "HostName Other.X\nMatch host other.x\nUser a\nHost other.x\nPort 99\n",
        "HostName Other.X\nMatch originalhost other.x\nUser a\nMatch originalhost web\nPort 99\n",
        "HostName %h.x\nMatch final host *.x\nUser a\nHost *.x\nPort 99\nHostName y\n",
        "HostName o.x\nMatch final\nIdentityFile /a\nHost web\nPort 98\nHost o.x\nPort 99\nUser z\nIdentityFile /b\n",
        "Host nobody\nMatch final\nHost web\nPort 98\n",
        "Match canonical\nUser a\nMatch !canonical\nUser b\n",
        "Match !final\nUser a\nMatch final !canonical\nUser b\n",
        "Match canonical all\nUser a\n",
        "Match host web all\nUser a\n",
        "Match all canonical\nUser a\n",
        "Match all host web\nUser a\n",
        "Match canonical final all\nUser a\n",
        "Match !all\nUser a\n",
        "Match host\nUser a\n",
        "Match host #web\nUser a\n",
        "Match foo x\nUser a\n",
        "Match \"\"\nUser a\n",
        "Match host nobody exec false\nUser a\n",
        "Host db\nInclude DIR/matching\nPort 5\n",
        "Include DIR/matching\nPort 5\n",
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

#[test]
fn the_page_says_which_options_are_refused_and_which_are_named() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/design/ssh-config.md");
    let page = fs::read_to_string(page).unwrap();
    let place = Place::new();
    let file = place.write("none", "");
    let mut seen = BTreeMap::<&str, usize>::new();
    for section in page.split("\n## ") {
        let title = section.lines().next().unwrap();
        for option in section
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        {
            *seen.entry(title).or_default() += 1;
            let found = place.ours(&file, &[option], "web");
            match title {
                "Refused" => assert!(found.unwrap_err().contains(" is not supported: "), "{option}"),
                _ => assert!(found.unwrap().ignored[0].value.instead.is_some(), "{option}"),
            }
            // Debian's ssh knows all of them but the newest one.
            if !option.starts_with("RefuseConnection") && !option.starts_with("GSSAPIKeyExchange") {
                place.ssh(&file, &[option], "web").unwrap();
            }
        }
    }
    assert!(seen["Refused"] > 5 && seen["Named"] > 10, "{seen:?}");
    let obeyed = page
        .split("\n## Obeyed")
        .nth(1)
        .unwrap()
        .split("and the\nolder names")
        .next()
        .unwrap();
    for keyword in COMPARED
        .iter()
        .chain(&["KexAlgorithms", "HostKeyAlgorithms", "Ciphers", "MACs"])
    {
        assert!(obeyed.contains(&format!("`{keyword}`")), "{keyword}");
    }
}

/// Options that are not obeyed, with values of which ssh takes some.
const LISTED: &[(&str, &[&str])] = &[
    (
        "AddKeysToAgent",
        &[
            "yes",
            "ASK",
            "confirm",
            "confirm 5m",
            "1h",
            "5x",
            "yes 5m",
            "maybe",
            "",
        ],
    ),
    ("BindInterface", &["", "a b"]),
    (
        "CanonicalDomains",
        &["a.example b_c.example", "none", "-x", "a..b", "a/b", ""],
    ),
    ("CanonicalizeFallbackLocal", &["yes", "maybe"]),
    ("CanonicalizeHostname", &["no", "false", "maybe", ""]),
    ("CanonicalizeMaxDots", &["0", "3", "-1", "x", "1x", ""]),
    (
        "CanonicalizePermittedCNAMEs",
        &["*.a:b,c", "none", "a", "a: ", ":b", ""],
    ),
    ("CheckHostIP", &["TRUE", "maybe", "1", "yes no"]),
    ("ClearAllForwardings", &["yes", "0"]),
    ("Cipher", &["3des", "", "a b"]),
    (
        "Compression",
        &["yes", "NO", "true", "maybe", "delayed", "", "\"\"", "yes yes"],
    ),
    ("CompressionLevel", &["6", "x", ""]),
    ("ConnectionAttempts", &["1", "-1", "x", "99999999999"]),
    ("ControlMaster", &["auto", "AutoAsk", "ask", "true", "off", ""]),
    ("ControlPath", &["/a", "none", "", "/a /b", "\"/a b\""]),
    (
        "ControlPersist",
        &["yes", "False", "10m", "0", "none", "x", "-1", ""],
    ),
    ("DynamicForward", &["1080", "*:1080", "", "1080 x"]),
    ("EnableEscapeCommandline", &["yes", "maybe"]),
    ("EnableSSHKeysign", &["no", "maybe"]),
    ("EscapeChar", &["~", "none", "^A", "^?", "^1", "ab", "~~", ""]),
    ("ExitOnForwardFailure", &["yes", "maybe"]),
    ("FingerprintHash", &["md5", "SHA256", "sha512", "crc32", ""]),
    ("ForkAfterAuthentication", &["no", "maybe"]),
    ("ForwardAgent", &["yes", "/a", "$A", "maybe", "", "a b"]),
    ("ForwardX11", &["no", "maybe"]),
    ("ForwardX11Timeout", &["0", "1h", "5x", ""]),
    ("ForwardX11Trusted", &["no", "maybe"]),
    ("GatewayPorts", &["yes", "clientspecified"]),
    ("GSSAPIAuthentication", &["no", "maybe"]),
    ("HostbasedAuthentication", &["no", "maybe"]),
    (
        "IPQoS",
        &[
            "af21 cs1",
            "EF",
            "none",
            "lowdelay throughput",
            "0x10",
            "255",
            "256",
            "af14",
            "x",
            "af11 af12 af13",
            "",
        ],
    ),
    ("KbdInteractiveDevices", &["pam", "", "a b"]),
    ("LocalCommand", &["echo %h", "", "a 'b"]),
    (
        "LocalForward",
        &[
            "8080 a:80",
            "*:8080 [::1]:80",
            "/s a:80",
            "8080 /s",
            "8080",
            "8080 a",
            "8080 a:80 c",
            "",
        ],
    ),
    (
        "LogLevel",
        &["verbose", "DEBUG3", "DEBUG4", "loud", "", "info info"],
    ),
    ("LogVerbose", &["a", "a b", ""]),
    ("NoHostAuthenticationForLocalhost", &["no", "maybe"]),
    ("PermitLocalCommand", &["no", "maybe"]),
    ("PermitRemoteOpen", &["any", "none", "a:80 [::1]:*", "a", ""]),
    ("PKCS11Provider", &["none", "", "a b"]),
    ("Protocol", &["2", "x", ""]),
    (
        "RekeyLimit",
        &[
            "default",
            "1G",
            "500M 1h",
            "16",
            "15",
            "0",
            "1G none",
            "default none",
            "x",
            "1X",
            "1G x",
            "1G 1h x",
            "",
        ],
    ),
    ("RemoteCommand", &["none", ""]),
    (
        "RemoteForward",
        &["8080", "8080 a:80", "/s", "8080 a", "8080 a:80 c", ""],
    ),
    ("RequestTTY", &["force", "AUTO", "true", "maybe", ""]),
    ("RSAAuthentication", &["x", ""]),
    ("SecurityKeyProvider", &["internal", "", "a b"]),
    ("SendEnv", &["LANG LC_*", "-LANG", "A=b", ""]),
    ("SessionType", &["none", "Default", "subsystem", "shell", ""]),
    ("SetEnv", &["A=b", "A=b C=", "A=b C", "A", ""]),
    ("StdinNull", &["no", "maybe"]),
    (
        "StreamLocalBindMask",
        &["0177", "777", "1777", "8", "x", "0178", ""],
    ),
    ("StreamLocalBindUnlink", &["no", "maybe"]),
    ("SyslogFacility", &["USER", "local7", "LOCAL8", "x", ""]),
    ("TCPKeepAlive", &["no", "maybe"]),
    ("KeepAlive", &["no", "maybe"]),
    ("Tunnel", &["Ethernet", "point-to-point", "true", "tap", ""]),
    ("TunnelDevice", &["any", "any:any", "0:1", "3", "x", "1:x", ""]),
    ("UpdateHostKeys", &["ask", "maybe", ""]),
    ("UseRoaming", &["x", ""]),
    ("VerifyHostKeyDNS", &["ask", "maybe", ""]),
    ("VisualHostKey", &["no", "maybe", "yes yes"]),
    ("XAuthLocation", &["/a", "", "/a /b"]),
    ("RequiredRSASize", &["0", "1024", "-1", "x"]),
    ("ProxyUseFdpass", &["no", "maybe"]),
    (
        "ObscureKeystrokeTiming",
        &["yes", "interval:80", "interval:0", "maybe"],
    ),
    ("ChannelTimeout", &["session:*=5m"]),
    ("Tag", &["a", "", "a b"]),
];

#[test]
fn a_value_that_ssh_refuses_for_its_form_is_refused_though_nobody_obeys_it() {
    let place = Place::new();
    let mut wrong = Vec::new();
    for (keyword, values) in LISTED {
        for value in *values {
            for block in ["", "Host db\n"] {
                let text = format!("{block}{keyword} {value}\n");
                let file = place.write("config", &text);
                let theirs = place.ssh(&file, &[], "web");
                // Older ones do not know all options, and with some the name is looked up at once.
                let other = ["Bad configuration option", "Could not resolve hostname"];
                if theirs
                    .as_ref()
                    .is_err_and(|error| other.iter().any(|part| error.contains(part)))
                {
                    continue;
                }
                let ours = place.ours(&file, &[], "web");
                if theirs.is_ok() != ours.is_ok() {
                    wrong.push(format!("{text}{:?}\n{:?}", theirs.err(), ours.err()));
                }
                if let Err(error) = place.ours(&file, &[], "web") {
                    let line = text.lines().count();
                    assert!(error.contains(&format!("config:{line}: ")), "{error}");
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Options with values, most of them good.
const SETTINGS: &[(&str, &[&str])] = &[
    ("User", &["a", "b", "\"c\"", "a b", "\"\""]),
    ("Port", &["1", "2222", "65535", "0", "x"]),
    ("HostName", &["a", "%h.b", "C.example.com", "::1"]),
    ("AddressFamily", &["inet", "inet6", "any", "ipx"]),
    ("BindAddress", &["127.0.0.1", "::1", "127.0.0.2", "\"\""]),
    ("IdentityFile", &["/a", "/b", "\"/c d\"", "none"]),
    ("CertificateFile", &["/a", "/b", "\"/c d\"", "none"]),
    ("IdentitiesOnly", &["yes", "no", "True", "maybe"]),
    ("BatchMode", &["yes", "no"]),
    ("PubkeyAuthentication", &["yes", "no", "unbound", "host", "\"\""]),
    ("PasswordAuthentication", &["yes", "no", "FALSE", "maybe"]),
    ("KbdInteractiveAuthentication", &["yes", "no", "true", "maybe"]),
    (
        "PreferredAuthentications",
        &["publickey", "password,publickey", "x"],
    ),
    ("NumberOfPasswordPrompts", &["0", "1", "7", "-1"]),
    ("ConnectTimeout", &["none", "5", "1m30s", "2h", "5x"]),
    ("ServerAliveInterval", &["0", "15", "1m"]),
    ("ServerAliveCountMax", &["0", "5", "-1"]),
    (
        "StrictHostKeyChecking",
        &["yes", "no", "ask", "off", "accept-new"],
    ),
    (
        "UserKnownHostsFile",
        &["/a", "/a /b", "none", "~/%h-%n-%p-%r", "%d/%k \"/%L x\""],
    ),
    ("GlobalKnownHostsFile", &["/a", "/a /b", "none", "/%h"]),
    ("RevokedHostKeys", &["/a", "none", "/b"]),
    ("HostKeyAlias", &["a", "B", "c.example.com"]),
    ("HashKnownHosts", &["yes", "no", "maybe"]),
    (
        "Ciphers",
        &["aes128-ctr", "-aes*", "^aes256-ctr,aes192-ctr", "aes*"],
    ),
    ("MACs", &["hmac-sha2-256", "-umac*", "^hmac-sha2-512", "-"]),
    (
        "KexAlgorithms",
        &[
            "curve25519-sha256,ecdh-sha2-nistp256",
            "-*sha1",
            "^ecdh-sha2-nistp256",
            "a,,b",
        ],
    ),
    (
        "HostKeyAlgorithms",
        &["ssh-ed25519,rsa-sha2-512", "-*cert*", "^rsa-sha2-512", "^"],
    ),
    (
        "IdentityAgent",
        &["none", "/a", "SSH_AUTH_SOCK", "~/%h", "$X", "$/"],
    ),
    // Not `none`: ssh takes the word for a host when a comment follows.
    ("ProxyJump", &["j", "u@k:5,l", "m:22", "j:x"]),
    ("ProxyCommand", &["nc %h %p", "none", "\"nc\" 'x y'", "nc \"x"]),
    ("SendEnv", &["LANG", "A B", "A=b"]),
    ("Compression", &["yes", "no", "maybe"]),
    ("LocalForward", &["80 a:80", "80"]),
    ("ForwardAgent", &["yes", "no"]),
    ("VerifyHostKeyDNS", &["ask", "no"]),
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
    let criterion = select(vec![
        "host web",
        "host a",
        "host *.b,w*",
        "!host db",
        "host \"!web,*\"",
        "originalhost web",
        "originalhost=d*",
        "!originalhost web",
        "user a,b",
        "!user root",
        "localuser root",
        "canonical",
        "final",
        "!canonical",
    ]);
    let matching = vec(criterion, 1..3).prop_map(|criteria| format!("Match {}", criteria.join(" ")));
    let other = select(vec![
        "Match all",
        "Match !all",
        "# x",
        "",
        "Include DIR/included",
        "Include DIR/inc*",
        "IgnoreUnknown Foo",
    ]);
    let rare = select(vec!["Foo bar", "Host", "User \"x", "Match host", "Match x y"]);
    prop_oneof![
        24 => setting(3),
        1 => setting(5),
        8 => host,
        6 => matching,
        4 => other.prop_map(str::to_owned),
        1 => rare.prop_map(str::to_owned),
    ]
}

proptest! {
    // Each case starts one ssh.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn any_configuration_means_to_us_what_it_means_to_ssh(
        lines in vec(line(), 0..12), included in vec(line(), 0..5), deep in vec(line(), 0..5),
        host in select(vec!["web", "db", "WEB"]),
    ) {
        let place = Place::new();
        place.write("included", &included.join("\n").replace("DIR/inc", "DIR/deep/inc"));
        place.write("deep/included", &deep.join("\n").replace("Include", "#"));
        place.compare(&lines.join("\n"), &[], host);
    }
}
