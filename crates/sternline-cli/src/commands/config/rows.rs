//! Every setting of a connection as a row: what was configured, and the default where nothing was.

use std::path::{Path, PathBuf};

use sternline::auth::Wire;
use sternline::config::{Env, paths};
use sternline::connection::AlgorithmChoice;
use sternline::proto::ssh_config::{Options, Source};
use sternline::proto::text::escape;
use sternline::{Deadlines, KeepaliveConfig};

use crate::connect::{ConnectOptions, shown_value};

/// A setting.
pub(super) struct Row {
    pub(super) option: &'static str,
    /// Escaped.
    pub(super) value: String,
    /// `None` for a default.
    pub(super) source: Option<Source>,
}

/// What one has to know beside what was configured.
pub(super) struct Beside<'a> {
    pub(super) options: &'a ConnectOptions,
    pub(super) env: &'a Env,
    pub(super) algorithms: &'a AlgorithmChoice,
}

/// All settings, in the order of ssh_config's subjects: the host, the way, who logs in, host keys, algorithms, times.
pub(super) fn rows(found: &Options, beside: &Beside<'_>) -> Vec<Row> {
    let given = given(beside.options);
    let shown = found.shown();
    let mut rows = Vec::new();
    for (option, default) in defaults(beside) {
        let before = rows.len();
        let own = given.iter().filter(|(name, _)| *name == option);
        rows.extend(own.map(|(_, value)| Row {
            option,
            value: escape(value),
            source: Some(Source::CommandLine),
        }));
        // Keys add up; anything else on the command line is the only value.
        if rows.len() == before || option == "IdentityFile" {
            let configured = shown.iter().filter(|shown| shown.keyword == option);
            rows.extend(configured.map(|shown| Row {
                option,
                value: shown_value(shown),
                source: Some(shown.source.clone()),
            }));
        }
        if rows.len() == before {
            // An empty list was configured by the word `none`.
            let values = match (option, &found.identity_files) {
                ("IdentityFile", Some(_)) => Vec::new(),
                _ => default,
            };
            let none = values.is_empty().then(|| "none".to_owned());
            rows.extend(values.into_iter().chain(none).map(|value| Row {
                option,
                value: escape(&value),
                source: None,
            }));
        }
    }
    for (option, names) in beside.algorithms.offered() {
        let row = rows.iter_mut().find(|row| row.option == option);
        if let Some(row) = row {
            row.value = names.join(",");
        }
    }
    rows
}

/// What options of our own say beside `-o`, `-l`, `-p` and `-J`.
fn given(options: &ConnectOptions) -> Vec<(&'static str, String)> {
    let path = |path: &Path| path.to_string_lossy().into_owned();
    let mut given: Vec<_> = options
        .identities
        .iter()
        .map(|file| ("IdentityFile", path(file)))
        .collect();
    if let Some(file) = &options.known_hosts {
        given.push(("UserKnownHostsFile", path(file)));
        given.push(("GlobalKnownHostsFile", "none".to_owned()));
    }
    if let Some(timeout) = options.connect_timeout {
        given.push(("ConnectTimeout", timeout.as_secs_f64().to_string()));
    }
    given
}

/// Each option with its default; several values for keys, and none where the default is that there is none.
fn defaults(beside: &Beside<'_>) -> Vec<(&'static str, Vec<String>)> {
    let env = beside.env;
    let text = |text: &str| vec![text.to_owned()];
    let path = |path: PathBuf| path.to_string_lossy().into_owned();
    let keepalive = KeepaliveConfig::default();
    let methods = Wire::ALL.map(Wire::as_str).join(",");
    vec![
        ("HostName", Vec::new()),
        ("User", env.user.clone().into_iter().collect()),
        ("Port", text("22")),
        ("AddressFamily", text("any")),
        ("BindAddress", Vec::new()),
        ("ProxyJump", Vec::new()),
        ("ProxyCommand", Vec::new()),
        (
            "IdentityFile",
            paths::default_key_paths(env).into_iter().map(path).collect(),
        ),
        ("CertificateFile", Vec::new()),
        ("IdentitiesOnly", text("no")),
        ("IdentityAgent", text("SSH_AUTH_SOCK")),
        ("PubkeyAuthentication", text("yes")),
        ("PasswordAuthentication", text("yes")),
        ("KbdInteractiveAuthentication", text("yes")),
        ("PreferredAuthentications", text(&methods)),
        ("NumberOfPasswordPrompts", text("3")),
        (
            "UserKnownHostsFile",
            paths::known_hosts_path(env).into_iter().map(path).collect(),
        ),
        (
            "GlobalKnownHostsFile",
            vec![path(paths::system_known_hosts_path(env))],
        ),
        ("RevokedHostKeys", Vec::new()),
        ("HostKeyAlias", Vec::new()),
        ("HashKnownHosts", text("no")),
        ("StrictHostKeyChecking", text("ask")),
        ("BatchMode", text("no")),
        ("KexAlgorithms", Vec::new()),
        ("HostKeyAlgorithms", Vec::new()),
        ("Ciphers", Vec::new()),
        ("MACs", Vec::new()),
        (
            "ConnectTimeout",
            text(&Deadlines::default().overall.as_secs().to_string()),
        ),
        ("ServerAliveInterval", text("0")),
        ("ServerAliveCountMax", text(&keepalive.max_count.to_string())),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use sternline::config::SshConfig;

    fn shown(options: &ConnectOptions, given: &[&str]) -> Vec<String> {
        let mut env = Env::default();
        env.home = Some("/home/ann".into());
        env.user = Some("ann".into());
        let given: Vec<String> = given.iter().map(ToString::to_string).collect();
        let found = SshConfig::empty(&env)
            .resolve("web", None, options.port, &given)
            .unwrap();
        let beside = Beside {
            options,
            env: &env,
            algorithms: &AlgorithmChoice {
                mac: found.macs.as_ref().map(|list| list.value.clone()),
                ..AlgorithmChoice::default()
            },
        };
        rows(&found, &beside)
            .into_iter()
            .map(|row| {
                let source = row
                    .source
                    .map_or("default".to_owned(), |source| source.to_string());
                format!("{} {} ({source})", row.option, row.value)
            })
            .collect()
    }

    #[test]
    fn every_option_has_a_row_and_what_is_not_set_its_default() {
        let rows = shown(&ConnectOptions::default(), &[]);
        for expected in [
            "HostName web (command line)",
            "User ann (default)",
            "Port 22 (default)",
            "ProxyJump none (default)",
            "IdentityFile /home/ann/.ssh/id_ed25519 (default)",
            "PreferredAuthentications publickey,keyboard-interactive,password (default)",
            "ConnectTimeout 30 (default)",
            "ServerAliveCountMax 3 (default)",
            "MACs hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,hmac-sha2-256,hmac-sha2-512 (default)",
        ] {
            assert!(rows.contains(&expected.to_owned()), "{expected}: {rows:#?}");
        }
        let env = Env::default();
        let beside = Beside {
            options: &ConnectOptions::default(),
            env: &env,
            algorithms: &AlgorithmChoice::default(),
        };
        let names: Vec<_> = defaults(&beside).into_iter().map(|(option, _)| option).collect();
        // Whatever can be configured has a row.
        let everything = SshConfig::empty(&env)
            .resolve("web", Some("x"), Some(1), &EVERYTHING.map(str::to_owned))
            .unwrap();
        for shown in everything.shown() {
            assert!(names.contains(&shown.keyword), "{}", shown.keyword);
        }
        assert_eq!(
            everything.shown().len(),
            names.len() - 1,
            "of the two proxies there is one"
        );
    }

    const EVERYTHING: [&str; 26] = [
        "AddressFamily=inet",
        "BindAddress=127.0.0.1",
        "ProxyJump=a",
        "IdentityFile=/a",
        "CertificateFile=/b",
        "IdentitiesOnly=yes",
        "IdentityAgent=/a",
        "PubkeyAuthentication=yes",
        "PasswordAuthentication=yes",
        "KbdInteractiveAuthentication=yes",
        "PreferredAuthentications=password",
        "NumberOfPasswordPrompts=1",
        "UserKnownHostsFile=/k",
        "GlobalKnownHostsFile=/g",
        "RevokedHostKeys=/r",
        "HostKeyAlias=x",
        "HashKnownHosts=yes",
        "StrictHostKeyChecking=yes",
        "BatchMode=yes",
        "KexAlgorithms=a",
        "HostKeyAlgorithms=a",
        "Ciphers=a",
        "MACs=a",
        "ConnectTimeout=1",
        "ServerAliveInterval=1",
        "ServerAliveCountMax=1",
    ];

    #[test]
    fn what_the_command_line_says_comes_first_and_keys_add_up() {
        let options = ConnectOptions {
            identities: vec!["/i".into()],
            known_hosts: Some("/k".into()),
            port: Some(5),
            ..ConnectOptions::default()
        };
        let rows = shown(
            &options,
            &[
                "IdentityFile=/o",
                "UserKnownHostsFile=/u",
                "MACs=hmac-sha2-512",
                "ProxyCommand=x \u{1b}",
            ],
        );
        for expected in [
            "Port 5 (command line)",
            "IdentityFile /i (command line)",
            "IdentityFile /o (command line)",
            "UserKnownHostsFile /k (command line)",
            "GlobalKnownHostsFile none (command line)",
            "MACs hmac-sha2-512 (command line)",
            "ProxyCommand x \\x1b (command line)",
        ] {
            assert!(rows.contains(&expected.to_owned()), "{expected}: {rows:#?}");
        }
        assert!(
            !rows
                .iter()
                .any(|row| row.contains("/u") || row.contains("id_rsa"))
        );
        let rows = shown(&ConnectOptions::default(), &["IdentityFile=none"]);
        assert!(
            rows.contains(&"IdentityFile none (default)".to_owned()),
            "{rows:#?}"
        );
    }
}
