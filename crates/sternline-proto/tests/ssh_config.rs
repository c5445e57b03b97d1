//! What a configuration says about a host, and where it says so.
#![allow(clippy::unwrap_used, clippy::panic)] // clippy knows only `#[test]` functions as tests

use std::sync::Arc;
use std::time::Duration;

use sternline_proto::ssh_config::{
    ConfigError, ConfigFile, Env, IdentityAgent, Options, Proxy, Query, RootFile, Source, Sourced,
    StrictHostKeyChecking, resolve,
};

/// A machine with a home, a user, one variable, and files to include.
struct Machine(&'static [(&'static str, &'static str)]);

impl Env for Machine {
    fn home(&self) -> Option<String> {
        Some("/home/me".to_owned())
    }

    fn user(&self) -> Option<String> {
        Some("me".to_owned())
    }

    fn variable(&self, name: &str) -> Option<String> {
        (name == "KEYS").then(|| "/keys".to_owned())
    }

    fn user_id(&self) -> Option<u32> {
        Some(1000)
    }

    fn local_host(&self) -> Option<String> {
        Some("here.example".to_owned())
    }

    fn include(&self, pattern: &str) -> Result<Arc<[ConfigFile]>, String> {
        if pattern == "/secret" {
            return Err("permission denied".to_owned());
        }
        let wanted = |path: &str| match pattern.strip_suffix('*') {
            Some(prefix) => path.starts_with(prefix),
            None => path == pattern,
        };
        let found = self.0.iter().filter(|(path, _)| wanted(path));
        Ok(found.map(|(path, text)| ConfigFile::parse(path, text)).collect())
    }
}

fn look_up(host: &str, options: &[&str], text: &str, machine: &Machine) -> Result<Options, ConfigError> {
    let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
    let file = RootFile {
        file: ConfigFile::parse("config", text),
        include_directory: "/home/me/.ssh".to_owned(),
    };
    resolve(
        &Query {
            host,
            user: None,
            port: None,
            options: &options,
            inventory: &[],
            files: &[file],
        },
        machine,
    )
}

fn config(host: &str, text: &str) -> Options {
    look_up(host, &[], text, &Machine(&[])).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn problem(text: &str) -> String {
    look_up("web", &[], text, &Machine(&[("/loop", "Include /loop\n")]))
        .unwrap_err()
        .to_string()
}

fn at(line: usize) -> Source {
    Source::File {
        path: "config".into(),
        line,
    }
}

fn paths(files: &Option<Vec<Sourced<String>>>) -> Vec<&str> {
    files.iter().flatten().map(|file| file.value.as_str()).collect()
}

#[test]
fn an_empty_configuration_leaves_every_choice_to_the_caller() {
    let options = config("Web", "# nothing\n\n");
    assert_eq!(
        options.host_name,
        Sourced {
            value: "web".to_owned(),
            source: Source::CommandLine
        }
    );
    assert_eq!(
        (options.user, options.port, options.identity_files),
        (None, None, None)
    );
}

#[test]
fn the_first_value_wins_and_knows_its_line() {
    let options = config(
        "web",
        "Host db\n  Port 1\nHost w*\n  Port 2\n  User a\nHost *\n  Port 3\n  user=b\n",
    );
    assert_eq!(
        options.port,
        Some(Sourced {
            value: 2,
            source: at(4)
        })
    );
    assert_eq!(
        options.user,
        Some(Sourced {
            value: "a".to_owned(),
            source: at(5)
        })
    );
}

#[test]
fn the_target_comes_before_options_and_both_before_files() {
    let file = RootFile {
        file: ConfigFile::parse("config", "User c\nPort 3\nBatchMode no"),
        include_directory: String::new(),
    };
    let options = ["User=a".to_owned(), "BatchMode yes".to_owned()];
    let query = Query {
        host: "web",
        user: Some("b"),
        port: Some(2),
        options: &options,
        inventory: &[],
        files: &[file],
    };
    let found = resolve(&query, &Machine(&[])).unwrap();
    assert_eq!(
        found.user,
        Some(Sourced {
            value: "b".to_owned(),
            source: Source::CommandLine
        })
    );
    assert_eq!(
        found.port,
        Some(Sourced {
            value: 2,
            source: Source::CommandLine
        })
    );
    assert_eq!(
        found.batch_mode,
        Some(Sourced {
            value: true,
            source: Source::CommandLine
        })
    );
}

#[test]
fn every_supported_option_is_read() {
    let options = config(
        "web",
        "HostName %h.Example.com\nUser alice\nPort 2222\nIdentitiesOnly yes\nIdentityAgent ~/agent\n\
         UserKnownHostsFile ~/.ssh/a \"/b c\"\nStrictHostKeyChecking accept-new\nBatchMode true\nConnectTimeout 1m30s\n\
         ServerAliveInterval 15\nServerAliveCountMax 4\n",
    );
    let value = |line| at(line);
    assert_eq!(
        options.host_name,
        Sourced {
            value: "web.example.com".to_owned(),
            source: value(1)
        }
    );
    assert_eq!(
        options.user,
        Some(Sourced {
            value: "alice".to_owned(),
            source: value(2)
        })
    );
    assert_eq!(
        options.port,
        Some(Sourced {
            value: 2222,
            source: value(3)
        })
    );
    assert_eq!(
        options.identities_only,
        Some(Sourced {
            value: true,
            source: value(4)
        })
    );
    let agent = IdentityAgent::Socket("/home/me/agent".to_owned());
    assert_eq!(
        options.identity_agent,
        Some(Sourced {
            value: agent,
            source: value(5)
        })
    );
    let known_hosts = vec!["/home/me/.ssh/a".to_owned(), "/b c".to_owned()];
    assert_eq!(
        options.user_known_hosts_files,
        Some(Sourced {
            value: known_hosts,
            source: value(6)
        })
    );
    let checking = StrictHostKeyChecking::AcceptNew;
    assert_eq!(
        options.strict_host_key_checking,
        Some(Sourced {
            value: checking,
            source: value(7)
        })
    );
    assert_eq!(
        options.batch_mode,
        Some(Sourced {
            value: true,
            source: value(8)
        })
    );
    assert_eq!(
        options.connect_timeout,
        Some(Sourced {
            value: Duration::from_secs(90),
            source: value(9)
        })
    );
    assert_eq!(
        options.server_alive_interval,
        Some(Sourced {
            value: Duration::from_secs(15),
            source: value(10)
        })
    );
    assert_eq!(
        options.server_alive_count_max,
        Some(Sourced {
            value: 4,
            source: value(11)
        })
    );
}

#[test]
fn identity_files_add_up_and_are_expanded() {
    let options = config(
        "web",
        "Host web\nIdentityFile ~/a_%h_%n_%p_%r_%u_%%\nUser alice\nHostName 10.0.0.1\n\
         Host *\nIdentityFile %d/b\nIdentityFile ${KEYS}/c\nIdentityFile %d/b\n",
    );
    assert_eq!(
        paths(&options.identity_files),
        ["/home/me/a_10.0.0.1_web_22_alice_me_%", "/home/me/b", "/keys/c"]
    );
    assert_eq!(options.identity_files.unwrap()[2].source, at(7));
}

#[test]
fn no_identity_file_at_all_is_not_the_same_as_none_named() {
    assert_eq!(
        config("web", "IdentityFile none\n").identity_files,
        Some(Vec::new())
    );
    assert_eq!(
        paths(&config("web", "IdentityFile none\nIdentityFile /a\n").identity_files),
        ["/a"]
    );
    assert_eq!(
        config("web", "UserKnownHostsFile none\n")
            .user_known_hosts_files
            .unwrap()
            .value,
        Vec::<String>::new()
    );
}

#[test]
fn the_agent_can_be_a_socket_a_variable_or_none() {
    for (text, agent) in [
        ("none", IdentityAgent::Disabled),
        (
            "SSH_AUTH_SOCK",
            IdentityAgent::Variable("SSH_AUTH_SOCK".to_owned()),
        ),
        ("$MY_AGENT", IdentityAgent::Variable("MY_AGENT".to_owned())),
        ("${KEYS}/%r", IdentityAgent::Socket("/keys/me".to_owned())),
    ] {
        assert_eq!(
            config("web", &format!("IdentityAgent {text}\n"))
                .identity_agent
                .unwrap()
                .value,
            agent
        );
    }
}

#[test]
fn an_include_in_a_block_that_does_not_apply_sets_nothing() {
    let machine = Machine(&[
        (
            "/home/me/.ssh/inc",
            "User included\nHost web\nPort 7\nMatch exec true\nHost *\nInclude deep\n",
        ),
        ("/home/me/.ssh/deep", "BatchMode yes\nHost *\nBatchMode yes\n"),
    ]);
    let options = look_up("web", &[], "Host db\nInclude inc\nHost *\nUser outer\n", &machine).unwrap();
    assert_eq!(
        options.user,
        Some(Sourced {
            value: "outer".to_owned(),
            source: at(4)
        })
    );
    assert_eq!((options.port, options.batch_mode), (None, None));
}

#[test]
fn a_host_line_in_an_include_ends_with_the_file() {
    let machine = Machine(&[
        ("/home/me/.ssh/conf.d/a", "User included\nHost db\nPort 7\n"),
        ("/home/me/.ssh/conf.d/b", "Host web\nBatchMode yes\n"),
    ]);
    let text = "Host web\nInclude conf.d/* ~/.ssh/missing\nPort 8\nHost db\nUser db\n";
    let options = look_up("web", &[], text, &machine).unwrap();
    assert_eq!(
        options.port,
        Some(Sourced {
            value: 8,
            source: at(3)
        })
    );
    let source = Source::File {
        path: "/home/me/.ssh/conf.d/a".into(),
        line: 1,
    };
    assert_eq!(source.to_string(), "/home/me/.ssh/conf.d/a:1");
    assert_eq!(
        options.user,
        Some(Sourced {
            value: "included".to_owned(),
            source
        })
    );
    assert_eq!(
        options.batch_mode.unwrap().source.to_string(),
        "/home/me/.ssh/conf.d/b:2"
    );
}

#[test]
fn match_all_ends_a_host_block() {
    let options = config("web", "Host db\nPort 1\nMatch all\nPort 2\n");
    assert_eq!(
        options.port,
        Some(Sourced {
            value: 2,
            source: at(4)
        })
    );
}

#[test]
fn what_is_not_obeyed_is_listed_or_refused_never_passed_over() {
    let options = config(
        "web",
        "Compression yes\nHost db\nTunnel yes\nHost web\nsendenv LANG LC_*\nVerifyHostKeyDNS ask\nCompression no\n",
    );
    let ignored: Vec<_> = options
        .ignored
        .iter()
        .map(|ignored| {
            let value = &ignored.value;
            format!(
                "{} {} {} {}",
                ignored.source,
                value.keyword,
                value.value,
                value.instead.is_some()
            )
        })
        .collect();
    assert_eq!(
        ignored,
        [
            "config:1 Compression yes false",
            "config:5 sendenv LANG LC_* false",
            "config:6 VerifyHostKeyDNS ask true"
        ]
    );

    for (text, line, keyword) in [
        (
            "Host web\nCASignatureAlgorithms ssh-rsa\n",
            2,
            "CASignatureAlgorithms",
        ),
        ("Host *\n\nproxyusefdpass yes\n", 3, "proxyusefdpass"),
        ("CanonicalizeHostname yes\n", 1, "CanonicalizeHostname"),
        ("KnownHostsCommand /bin/x %H\n", 1, "KnownHostsCommand"),
        (
            "PubkeyAcceptedKeyTypes ssh-ed25519\n",
            1,
            "PubkeyAcceptedKeyTypes",
        ),
    ] {
        let error = look_up("web", &[], text, &Machine(&[])).unwrap_err();
        assert_eq!(error.place, at(line), "{text}");
        let message = error.to_string();
        assert!(
            message.starts_with(&format!("config:{line}: {keyword} is not supported: ")),
            "{message}"
        );
    }
}

#[test]
fn the_options_about_keys_methods_and_algorithms_are_read() {
    let options = config(
        "web",
        "CertificateFile ~/a-cert.pub\nCertificateFile none\nCertificateFile %d/a-cert.pub\nGlobalKnownHostsFile ~/g /%h\n\
         RevokedHostKeys /r/%h\nHostKeyAlias Web-Alias\nHashKnownHosts yes\nPubkeyAuthentication host-bound\n\
         PasswordAuthentication no\nChallengeResponseAuthentication no\nPreferredAuthentications password,publickey\n\
         NumberOfPasswordPrompts 1\nAddressFamily inet6\nBindAddress ::1\nCiphers -*-ctr\nMACs a,b\nKexAlgorithms ^a\n\
         HostKeyAlgorithms +ssh-rsa\nIdentityFile /%k\n",
    );
    let shown: Vec<String> = options
        .shown()
        .into_iter()
        .map(|shown| {
            format!(
                "{}: {} {}",
                shown.source.to_string().replace("config:", ""),
                shown.keyword,
                shown.value
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            "command line: HostName web",
            "13: AddressFamily inet6",
            "14: BindAddress ::1",
            "19: IdentityFile /web-alias",
            "1: CertificateFile /home/me/a-cert.pub",
            "3: CertificateFile /home/me/a-cert.pub",
            "8: PubkeyAuthentication yes",
            "9: PasswordAuthentication no",
            "10: KbdInteractiveAuthentication no",
            "11: PreferredAuthentications password,publickey",
            "12: NumberOfPasswordPrompts 1",
            "4: GlobalKnownHostsFile /home/me/g /%h",
            "5: RevokedHostKeys /r/web",
            "6: HostKeyAlias web-alias",
            "7: HashKnownHosts yes",
            "17: KexAlgorithms ^a",
            "18: HostKeyAlgorithms +ssh-rsa",
            "15: Ciphers -*-ctr",
            "16: MACs a,b",
        ]
    );
    assert_eq!(
        config("web", "RevokedHostKeys none\nRevokedHostKeys /x\n").revoked_host_keys,
        None
    );
}

#[test]
fn tokens_of_paths_are_replaced_as_ssh_does() {
    let options = config(
        "web",
        "HostName 10.0.0.1\nUser ann\nPort 5\nIdentityFile /%i/%l/%L/%C\n",
    );
    // The last part is the SHA-1 of `here.example10.0.0.15ann`.
    assert_eq!(
        paths(&options.identity_files),
        ["/1000/here.example/here/1112cbddb6266be1716120994569102a8721783e"]
    );
}

#[test]
fn a_match_block_applies_where_all_its_criteria_hold() {
    for (text, expected) in [
        ("Match host web\nPort 2\n", Some(2)),
        ("Match host db\nPort 2\n", None),
        (
            "HostName Other\nMatch host other originalhost web\nPort 2\n",
            Some(2),
        ),
        ("User ann\nMatch user ann localuser me\nPort 2\n", Some(2)),
        ("Match user me\nPort 2\n", Some(2)),
        ("Match !host w*\nPort 2\nMatch all\nPort 3\n", Some(3)),
        ("Match exec \"false\" host db\nPort 2\n", None),
        ("Host db\nMatch all\nPort 2\n", Some(2)),
    ] {
        let port = config("web", text).port.map(|port| port.value);
        assert_eq!(port, expected, "{text}");
    }
}

#[test]
fn final_has_the_files_read_again_with_the_name_that_is_connected_to() {
    let text = "Host other\nPort 99\nUser late\nHost web\nHostName Other\nUser early\nMatch final host other\nBatchMode yes\n\
                HostName third\n";
    let options = config("web", text);
    assert_eq!(options.host_name.value, "other");
    assert_eq!(options.port.unwrap().source, at(2));
    assert_eq!(options.user.unwrap().value, "early");
    assert!(options.batch_mode.unwrap().value);
    // Without it, neither counts.
    let options = config("web", &text.replace("Match final", "Match canonical"));
    assert_eq!((options.port, options.batch_mode), (None, None));
}

#[test]
fn jump_hosts_are_named_the_nearest_first_with_their_own_users_and_ports() {
    let options = config(
        "web",
        "HostName 10.0.0.5\nHost web\nProxyJump ann@a:2222,b-%h,ssh://c@[::1]:7 # x\n",
    );
    let proxy = options.proxy.unwrap();
    assert_eq!(proxy.source, at(3));
    let Proxy::Jump(hops) = proxy.value else {
        panic!("{proxy:?}")
    };
    let hops: Vec<String> = hops.iter().map(ToString::to_string).collect();
    assert_eq!(hops, ["ann@a:2222", "b-10.0.0.5", "c@[::1]:7"]);
}

#[test]
fn a_proxy_command_is_kept_as_written_for_a_shell() {
    let options = config("web", "ProxyCommand = nc -X \"connect\" %h %p  # %%\n");
    let expected = Proxy::Command("nc -X \"connect\" %h %p  # %%".to_owned());
    assert_eq!(options.proxy.unwrap().value, expected);
}

#[test]
fn what_cannot_be_a_proxy_is_refused_with_its_line() {
    for text in [
        "ProxyJump a b\n",
        "ProxyJump a,\n",
        "ProxyJump a;b\n",
        "ProxyJump -oProxyCommand=x\n",
        "ProxyJump $(id)@a\n",
        "ProxyCommand nc %x\n",
        "ProxyCommand nc '%h\n",
        "User CORP\\ann\nProxyCommand nc %r\n",
    ] {
        let error = look_up("web", &[], text, &Machine(&[])).unwrap_err();
        assert_eq!(error.place, at(text.matches('\n').count()), "{text}");
    }
    // Where a command would put a name into a shell's hands, and only there.
    config("web", "User CORP\\ann\nProxyCommand nc %h %p\n");
}

#[test]
fn a_value_that_asks_for_nothing_is_harmless_and_wins() {
    config(
        "web",
        "Host web\nKnownHostsCommand none\nHost *\nKnownHostsCommand /bin/x\n",
    );
    config("web", "CanonicalizeHostname no\nVerifyHostKeyDNS no\n");
}

#[test]
fn options_of_the_command_line_are_judged_as_those_of_files_are() {
    let options = look_up("web", &["LogLevel=DEBUG", "ForwardAgent yes"], "", &Machine(&[])).unwrap();
    let ignored: Vec<_> = options
        .ignored
        .iter()
        .map(|ignored| (&*ignored.value.keyword, &ignored.source))
        .collect();
    assert_eq!(
        ignored,
        [
            ("LogLevel", &Source::CommandLine),
            ("ForwardAgent", &Source::CommandLine)
        ]
    );
    let error = look_up("web", &["ProxyUseFdpass=yes"], "", &Machine(&[]))
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("command line: ProxyUseFdpass is not supported: "),
        "{error}"
    );
    for (option, expected) in [
        ("Foo=bar", "command line: unknown option Foo"),
        ("Host=x", "command line: Host cannot be given with -o"),
        ("Port", "command line: Port needs a value"),
        ("Port=x", "command line: x is no value for Port: write a number"),
    ] {
        let error = look_up("web", &[option], "", &Machine(&[]))
            .unwrap_err()
            .to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn a_broken_line_is_named_with_its_place() {
    for (text, expected) in [
        ("\nFoo bar\n", "config:2: unknown option Foo"),
        ("Host db\nFoo bar\n", "config:2: unknown option Foo"),
        (
            "Host db\nBatchMode maybe\n",
            "config:2: maybe is no value for BatchMode: write yes or no",
        ),
        ("User \"a\n", "config:1: a quote is not closed"),
        ("User a b\n", "config:1: User takes one value"),
        ("User\n", "config:1: User needs a value"),
        ("Host \"\"\n", "config:1: Host needs a value"),
        ("Port 0\n", "config:1: 0 is no value for Port"),
        (
            "ConnectTimeout 5x\n",
            "config:1: 5x is no value for ConnectTimeout",
        ),
        (
            "Match exec true\n",
            "config:1: Match exec is not supported, and so it is not known",
        ),
        ("Match tagged x\n", "config:1: Match tagged is not supported"),
        (
            "Host db\nMatch foo x\n",
            "config:2: foo is no criterion for Match",
        ),
        ("Match host\n", "config:1: Match host needs a pattern"),
        ("Match all host x\n", "config:1: Match all cannot be combined"),
        (
            "BindAddress localhost\n",
            "config:1: localhost is no value for BindAddress: write an address",
        ),
        (
            "HostKeyAlias a*\n",
            "config:1: the host name a* holds the character '*'",
        ),
        (
            "IdentityAgent $A/x\n",
            "config:1: $A/x is no value for IdentityAgent",
        ),
        ("Ciphers a,,b\n", "config:1: a,,b is no value for Ciphers"),
        ("HostName -x\n", "config:1: the host name -x begins with a dash"),
        (
            "HostName \"a;b\"\n",
            "config:1: the host name a;b holds the character ';'",
        ),
        (
            "HostName %x\n",
            "config:1: the token %x in %x is not supported here",
        ),
        (
            "\nUser $(id)\n",
            "config:2: the user name $(id) holds the character '$'",
        ),
        ("IdentityFile %j\n", "config:1: the token %j in %j"),
        (
            "IdentityFile ${NOPE}\n",
            "config:1: the environment variable NOPE is not set",
        ),
        (
            "IdentityFile ~bob/x\n",
            "config:1: cannot tell which directory ~bob/x means",
        ),
        (
            "UserKnownHostsFile none x\n",
            "config:1: none is no value for UserKnownHostsFile",
        ),
        (
            "Include /secret\n",
            "config:1: cannot include /secret: permission denied",
        ),
        (
            "Include /loop\n",
            "/loop:1: includes are nested more than 16 deep",
        ),
        ("Fo\x1bo bar\n", "config:1: unknown option Fo\\x1bo"),
    ] {
        let message = problem(text);
        assert!(message.starts_with(expected), "{text}: {message}");
    }
}

#[test]
fn unknown_words_can_be_ignored_by_name() {
    config("web", "IgnoreUnknown Use*,foo\nUseKeychain yes\nFOO bar baz\n");
    assert!(problem("Host db\nIgnoreUnknown Foo\nHost *\nFoo bar\n").starts_with("config:4"));
    let options = look_up("web", &["IgnoreUnknown=Foo"], "Foo bar\nPort 5\n", &Machine(&[])).unwrap();
    assert_eq!(options.port.unwrap().value, 5);
}
