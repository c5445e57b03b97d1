//! What a configuration says about a host, and where it says so.
#![allow(clippy::unwrap_used, clippy::panic)] // clippy knows only `#[test]` functions as tests

use std::time::Duration;

use sternline_proto::ssh_config::{
    ConfigError, ConfigFile, Env, IdentityAgent, Options, Problem, Proxy, Query, Source, Sourced,
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

    fn include(&self, pattern: &str) -> Result<Vec<(String, String)>, String> {
        if pattern == "/secret" {
            return Err("permission denied".to_owned());
        }
        let wanted = |path: &str| match pattern.strip_suffix('*') {
            Some(prefix) => path.starts_with(prefix),
            None => path == pattern,
        };
        let found = self.0.iter().filter(|(path, _)| wanted(path));
        Ok(found
            .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
            .collect())
    }
}

fn look_up(host: &str, options: &[&str], text: &str, machine: &Machine) -> Result<Options, ConfigError> {
    let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
    let file = ConfigFile {
        path: "config".to_owned(),
        text: text.to_owned(),
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
fn options_come_before_the_target_and_both_before_files() {
    let file = ConfigFile {
        path: "config".to_owned(),
        text: "User c\nPort 3\nBatchMode no".to_owned(),
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
            value: "a".to_owned(),
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
        "Compression yes\nHost db\nProxyJump x\nTunnel yes\nHost web\nsendenv LANG LC_*\n",
    );
    let ignored: Vec<_> = options
        .ignored
        .iter()
        .map(|ignored| format!("{} {}", ignored.source, ignored.value))
        .collect();
    assert_eq!(ignored, ["config:1 Compression", "config:6 sendenv"]);

    for (text, line, keyword) in [
        ("Host web\nHostKeyAlgorithms ssh-rsa\n", 2, "HostKeyAlgorithms"),
        ("Host *\n\nproxyusefdpass yes\n", 3, "proxyusefdpass"),
        ("Ciphers aes128-ctr\n", 1, "Ciphers"),
        ("CertificateFile a\n", 1, "CertificateFile"),
        ("PasswordAuthentication no\n", 1, "PasswordAuthentication"),
        ("GlobalKnownHostsFile /dev/null\n", 1, "GlobalKnownHostsFile"),
        ("VerifyHostKeyDNS yes\n", 1, "VerifyHostKeyDNS"),
        ("HostKeyAlias x\n", 1, "HostKeyAlias"),
    ] {
        let error = look_up("web", &[], text, &Machine(&[])).unwrap_err();
        assert_eq!(error.place, at(line), "{text}");
        assert_eq!(
            error.problem,
            Problem::NotSupported {
                keyword: keyword.to_owned()
            },
            "{text}"
        );
    }
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
    config("web", "PasswordAuthentication yes\nVerifyHostKeyDNS no\n");
}

#[test]
fn on_the_command_line_every_option_has_to_be_supported() {
    for option in [
        "LogLevel=DEBUG",
        "ProxyUseFdpass=yes",
        "Compression=yes",
        "SendEnv=A",
    ] {
        let error = look_up("web", &[option], "", &Machine(&[])).unwrap_err();
        assert_eq!(error.place, Source::CommandLine);
        let keyword = option.split_once('=').unwrap().0;
        assert!(
            error
                .to_string()
                .starts_with(&format!("command line: {keyword} is not supported")),
            "{error}"
        );
    }
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
            "Match host web\nUser a\n",
            "config:1: Match host web is not supported yet",
        ),
        ("Match !all\n", "config:1: Match !all is not supported yet"),
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
        ("IdentityFile %C\n", "config:1: the token %C in %C"),
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
