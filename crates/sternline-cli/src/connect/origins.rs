//! Where the settings of a host come from, for people who wonder.

use std::collections::BTreeMap;

use sternline::proto::redact::redact_string;
use sternline::proto::ssh_config::{Options, Proxy, Shown, Source, Sourced};
use sternline::proto::text::escape;

/// The settings that files made, each with its value and its place: `Port 2222 (/home/ann/.ssh/config:7)`. What stands
/// on the command line its user has just typed. `address` is what an inventory says is connected to.
pub(crate) fn origins(found: &Options, address: Option<&Sourced<String>>) -> Vec<String> {
    let address = address.map(|address| format!("address {} ({})", escape(&address.value), address.source));
    let shown = found.shown().into_iter();
    let of_files = shown.filter(|shown| matches!(shown.source, Source::File { .. }));
    let of_files = of_files.map(|shown| format!("{} {} ({})", shown.keyword, value(&shown), shown.source));
    address.into_iter().chain(of_files).collect()
}

/// A value as it may be shown to anybody.
pub(crate) fn value(shown: &Shown<'_>) -> String {
    match shown.keyword {
        // A command may hold a password.
        "ProxyCommand" => escape(&redact_string(&shown.value)),
        _ => escape(&shown.value),
    }
}

/// Where each setting comes from that was made, by the names that evidence has for them.
pub(super) fn sources(found: &Options, address: Option<&Sourced<String>>) -> BTreeMap<&'static str, String> {
    let mut sources = BTreeMap::new();
    let mut add = |name: &'static str, source: Option<&Source>| {
        if let Some(source) = source {
            sources.insert(name, source.to_string());
        }
    };
    add("address", address.map(|address| &address.source));
    if let source @ Source::File { .. } = &found.host_name.source {
        add("address", Some(source));
    }
    add("username", found.user.as_ref().map(|found| &found.source));
    add("port", found.port.as_ref().map(|found| &found.source));
    add(
        "host_key_policy",
        found.strict_host_key_checking.as_ref().map(|found| &found.source),
    );
    add(
        "known_hosts_files",
        found.user_known_hosts_files.as_ref().map(|found| &found.source),
    );
    add(
        "identities_only",
        found.identities_only.as_ref().map(|found| &found.source),
    );
    add(
        "agent_socket",
        found.identity_agent.as_ref().map(|found| &found.source),
    );
    add(
        "deadlines",
        found.connect_timeout.as_ref().map(|found| &found.source),
    );
    add(
        "keepalive",
        found.server_alive_interval.as_ref().map(|found| &found.source),
    );
    let identity = found.identity_files.iter().flatten().next();
    add("auth", identity.map(|found| &found.source));
    if let Some(proxy) = &found.proxy {
        let name = match proxy.value {
            Proxy::Jump(_) => "proxy_jump",
            Proxy::Command(_) => "proxy_command",
        };
        add(name, Some(&proxy.source));
    }
    sources
}

#[cfg(test)]
mod tests {
    use super::*;
    use sternline::config::{Env, SshConfig};

    #[test]
    fn settings_of_files_are_named_with_their_place_and_those_of_the_command_line_are_not() {
        let folder = std::env::temp_dir().join(format!("sternline-origins-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("config");
        std::fs::write(
            &path,
            "Host web\n  HostName 127.0.0.1\n  Port 2222\n  IdentitiesOnly yes\n",
        )
        .unwrap();
        let config = SshConfig::load_file(&Env::default(), &path).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();

        let found = config
            .resolve("web", Some("ann"), None, &["ConnectTimeout=5".to_owned()])
            .unwrap();
        let place = path.display();
        assert_eq!(
            origins(&found, None),
            [
                format!("HostName 127.0.0.1 ({place}:2)"),
                format!("Port 2222 ({place}:3)"),
                format!("IdentitiesOnly yes ({place}:4)"),
            ]
        );
        let sources = sources(&found, None);
        assert_eq!(sources.get("port"), Some(&format!("{place}:3")));
        assert_eq!(sources.get("deadlines").map(String::as_str), Some("command line"));
        assert_eq!(sources.get("keepalive"), None);
    }
}
