//! Failures on the way to a server: before anybody asked who we are.

use super::case::Case;
use super::explanation::Finding;
use crate::event::EventType;
use crate::evidence::reading::{Facts, counted, sentence};

/// The server refused the TCP connection.
pub(super) fn refused(case: Case<'_>) -> Finding {
    let place = case.place();
    let mut finding = Finding::new(format!(
        "Nothing accepts connections at {place}: the connection was refused at once."
    ));
    addresses(case, &mut finding);
    finding.fact(
        None,
        "A refusal is an answer: the machine, or a firewall before it, was reached, so the name and the route are right.",
    );
    finding.next(match case.port() {
        Some(port) => format!(
            "On the host, check that an SSH server runs and listens on port {port}: `ss -ltn` lists what listens, `systemctl status ssh` (or `sshd`) says whether it runs."
        ),
        None => "On the host, check that an SSH server runs: `ss -ltn` lists what listens there.".to_owned(),
    });
    finding.next("Check that the port is the right one: the server may listen on another.");
    finding.next("If it does listen there, look for a firewall that rejects connections from this machine.");
    finding
}

/// A phase of connecting did not end in time.
pub(super) fn timed_out(case: Case<'_>) -> Finding {
    let (host, place) = (case.host(), case.place());
    let phase = case.phase().unwrap_or_default();
    let after = case
        .took(&phase)
        .map(|took| format!(" within {took}"))
        .unwrap_or_default();
    let (cause, steps): (String, &[&str]) = match phase.as_str() {
        "proxy" => (
            format!(
                "The way to {} was not open{after}: a jump host or the proxy command did not answer in time.",
                case.destination()
            ),
            &[
                "Connect to the jump host alone, for example with `sternline doctor`, to see which part of the way does not answer.",
                "If it is only slow, raise the time limit.",
            ],
        ),
        "resolve" => (
            format!("The name {host} was not resolved{after}: no name server answered in time."),
            &[
                "Check this machine's name servers (`resolvectl status`, /etc/resolv.conf) and whether other names resolve.",
                "Check whether a VPN is needed for this name.",
            ],
        ),
        "tcp" => (
            format!(
                "{place} did not answer{after}: what was sent to it got lost, and nothing came back, not even a refusal."
            ),
            &[
                "Check that the machine is up and that the address is right.",
                "Look for a firewall or security group that drops packets: one that rejected them would be seen as a refusal.",
                "Check whether a VPN is needed, and whether the way back from there is open.",
            ],
        ),
        "banner" if proxy(case, "proxy_command").is_some() && case.hop().is_none() => (
            format!("The proxy command runs, but no SSH server at {place} introduced itself over it{after}."),
            &[
                "Run the proxy command by itself: what it writes has to begin with `SSH-2.0-`.",
                "If it waits for something, such as a password or a connection of its own, see to that first.",
            ],
        ),
        "banner" => (
            format!(
                "Something accepts connections at {place}, but did not introduce itself as an SSH server{after}."
            ),
            &[
                "Check the port: a server of another kind waits for its client to speak first.",
                "If it is an SSH server, it is overloaded or hangs: see its log, and MaxStartups in sshd_config(5).",
                "A load balancer or proxy in front accepts connections also when no server is behind it: check that.",
            ],
        ),
        "kex" | "host_key" => (
            format!(
                "The server at {place} introduced itself and then fell silent in the middle of the handshake{after}."
            ),
            &[
                "Where only large packets get lost, the path has a smaller MTU than it says: compare `ping -M do -s 1472 HOST` with `-s 1200`, and lower the interface's MTU (VPNs and tunnels).",
                "Check the server's load and its log.",
            ],
        ),
        "auth" => (
            format!("The server at {place} did not decide about the login{after}."),
            &[
                "See the server's log: a slow PAM module, directory (LDAP) or name server (UseDNS) delays its answer.",
                "If a key has to be confirmed or touched, or a person has to answer, raise the time limit.",
            ],
        ),
        "channel" => (
            format!("The server at {place} did not open a channel{after}, although the login went well."),
            &[
                "See the server's log and load: it is stuck, or the session that it is to start is.",
                "If it is only slow, raise the time limit.",
            ],
        ),
        _ => (
            format!("Connecting to {place} did not end in time; the bundle does not say in which phase."),
            &[
                "Run it again with `--evidence`, or run `sternline doctor`, to see which phase takes the time.",
            ],
        ),
    };
    let mut finding = Finding::new(cause);
    finding.fact(case.failure.at_ms, quoted(case));
    if let Some(identification) = case.facts().text("server_identification") {
        finding.fact(
            None,
            format!("The server had introduced itself as {identification}."),
        );
    }
    addresses(case, &mut finding);
    steps.iter().for_each(|step| finding.next(*step));
    if phase == "tcp" && !knows_addresses(case) {
        finding.missing("The bundle does not say which addresses were tried.");
    }
    finding
}

/// No address for the host, or none that can be reached.
pub(super) fn unreachable(case: Case<'_>) -> Finding {
    let host = case.host();
    let reason = case.facts().text("original_error");
    let mut finding = if case.is_in("resolve") {
        let mut finding = Finding::new(match &reason {
            Some(reason) => format!("The name {host} does not lead to an address: {reason}."),
            None => format!("The name {host} does not lead to an address that can be used."),
        });
        finding.fact(case.failure.at_ms, quoted(case));
        finding.next("Check the spelling of the name, and HostName in ssh_config if it is an alias.");
        finding.next(format!(
            "Ask the resolver that programs use: `getent ahosts {}`.",
            bare(&case)
        ));
        finding.next("Check whether the name is known only inside a VPN or another network.");
        finding
    } else {
        let mut finding = Finding::new(format!(
            "There is no way from this machine to {host}: no address of it can be reached."
        ));
        finding.fact(case.failure.at_ms, quoted(case));
        addresses(case, &mut finding);
        finding.next("Check this machine's routes: `ip route get ADDRESS` says which way it would take.");
        finding.next("Check whether the network or a VPN is down.");
        finding.next("If only an IPv6 address was tried, check that this network has IPv6.");
        finding
    };
    if reason.is_none() && !knows_addresses(case) {
        finding.missing("The bundle does not say what the operating system gave as the reason.");
    }
    finding
}

/// The connection was made and broke before the login had succeeded, for a reason that has no kind of its own.
pub(super) fn broken(case: Case<'_>) -> Finding {
    let place = case.place();
    let phase = case.phase().unwrap_or_default();
    let message = case.message();
    // Where a proxy command carries the connection, nothing else may have answered.
    let command = proxy(case, "proxy_command").filter(|_| case.hop().is_none());
    let what = match phase.as_str() {
        "banner" if command.is_some() => {
            format!("Over the proxy command, no SSH server at {place} introduced itself")
        }
        "proxy" => format!("The way to {} could not be opened", case.destination()),
        "resolve" | "tcp" => format!("The connection to {place} could not be made"),
        "banner" => format!("What answers at {place} did not introduce itself as an SSH server"),
        "kex" | "host_key" => format!("The handshake with {place} was broken off"),
        "auth" => format!("The server at {place} broke off the login"),
        _ => format!("The connection to {place} failed"),
    };
    let mut finding = Finding::new(match message.is_empty() {
        true => format!("{what}; the bundle does not say why."),
        false => sentence(&format!("{what}: {message}")),
    });
    if let Some(reason) = case.facts().text("original_error") {
        finding.fact(case.failure.at_ms, format!("The reason given was: {reason}."));
    }
    if let Some(identification) = case.facts().text("server_identification") {
        finding.fact(
            None,
            format!("The server had introduced itself as {identification}."),
        );
    }
    addresses(case, &mut finding);
    let refused = case
        .attempt()
        .iter()
        .filter(|event| event.event_type == EventType::Auth && Facts(&event.data).is("status", "failed"))
        .count();
    if phase == "auth" && refused > 0 {
        super::login::attempts(case, &mut finding);
        finding.next(format!(
            "The server may end the connection after {} (MaxAuthTries in sshd_config(5)): name the right key with `-i` and set IdentitiesOnly, so that no other is offered.",
            counted(refused, "refusal", "refusals")
        ));
    }
    finding.next(case.hint());
    match phase.as_str() {
        "banner" if command.is_some() => {
            let command = command.unwrap_or_default();
            finding.fact(None, format!("The way leads over the proxy command `{command}`."));
            finding.next("Run the proxy command by itself: what it writes has to begin with `SSH-2.0-`.");
        }
        "banner" => {
            finding.next("Check the port, and what listens there: `nc HOST PORT` shows what it says.")
        }
        "proxy" => {
            if let Some(command) = proxy(case, "proxy_command") {
                finding.fact(None, format!("The way leads over the proxy command {command}."));
                finding.next("Run the proxy command by itself to see what it says.");
            }
            if let Some(jump) = proxy(case, "proxy_jump") {
                finding.fact(None, format!("The way leads through {jump}."));
                finding.next("Connect to the jump host alone, for example with `sternline doctor`.");
            }
        }
        _ => finding.next(
            "See the server's log of that moment (`journalctl -u ssh` or `-u sshd`, /var/log/auth.log).",
        ),
    }
    finding
}

/// The two sides have no algorithm in common.
pub(super) fn no_common_algorithm(case: Case<'_>) -> Finding {
    let facts = case.facts();
    let kind = ["algorithm_kind", "kind"]
        .into_iter()
        .find_map(|name| facts.text(name));
    let offered = |names: [&str; 3]| {
        names
            .into_iter()
            .map(|name| facts.texts(name))
            .find(|list| !list.is_empty())
            .unwrap_or_default()
            .into_iter()
            .filter(|name| !is_signal(name))
            .collect::<Vec<_>>()
    };
    let ours = offered(["algorithms_ours", "client_offers", "ours"]);
    let theirs = offered(["algorithms_theirs", "server_offers", "theirs"]);
    let place = case.place();
    let mut finding = Finding::new(match (&kind, theirs.is_empty()) {
        (Some(kind), false) => format!(
            "This side and {place} have no {kind} algorithm in common: the server offers only {}.",
            theirs.join(", ")
        ),
        (Some(kind), true) => format!("This side and {place} have no {kind} algorithm in common."),
        (None, _) if !case.message().is_empty() => sentence(&format!(
            "This side and {place} cannot agree on algorithms: {}",
            case.message()
        )),
        (None, _) => format!("This side and {place} cannot agree on algorithms."),
    });
    if let Some(identification) = facts.text("server_identification") {
        finding.fact(None, format!("The server introduced itself as {identification}."));
    }
    if !ours.is_empty() {
        finding.fact(None, format!("This side offers {}.", ours.join(", ")));
    }
    if !theirs.is_empty() {
        finding.fact(None, format!("The server offers {}.", theirs.join(", ")));
    }
    if ours.is_empty() && theirs.is_empty() {
        finding.fact(case.failure.at_ms, quoted(case));
    }
    finding.next(
        "Update the SSH server. What only old algorithms can reach is refused on purpose: they can be broken.",
    );
    finding.next(
        "If the server is new, its configuration is too narrow: see KexAlgorithms, Ciphers, MACs and HostKeyAlgorithms in sshd_config(5), and `sshd -T` on the host.",
    );
    finding.next("If it cannot be updated, reach it through a jump host that still speaks to it, and give it a network of its own.");
    if theirs.is_empty() && case.message().is_empty() {
        finding.missing("The bundle does not say which algorithms the server offers.");
    }
    finding
}

/// Whether a name in a list of key exchanges only says what its side can do (RFC 8308, and OpenSSH's strict key exchange).
fn is_signal(name: &str) -> bool {
    name.starts_with("kex-strict-") || name.starts_with("ext-info-")
}

/// The failure in the program's own words.
pub(super) fn quoted(case: Case<'_>) -> String {
    match case.message() {
        message if message.is_empty() => String::new(),
        message => format!("The program said: {message}."),
    }
}

/// Each address that was tried, and what came of it.
fn addresses(case: Case<'_>, finding: &mut Finding) {
    let tried = case.facts().texts("addresses");
    for address in &tried {
        finding.fact(case.failure.at_ms, format!("Tried {address}."));
    }
    if tried.is_empty() && case.hop().is_none() {
        let found = found(case);
        if !found.is_empty() {
            finding.fact(None, format!("The name leads to {}.", found.join(", ")));
        } else if case.is_in("tcp") {
            finding.missing("The bundle does not say which addresses were tried.");
        }
    }
}

/// The addresses that the name was found to have.
fn found(case: Case<'_>) -> Vec<String> {
    let events = case.attempt().iter().rev();
    let mut lists = events
        .map(|event| Facts(&event.data))
        .flat_map(|facts| ["addresses", "resolved", "resolved_addresses"].map(|name| facts.texts(name)));
    lists.find(|list| !list.is_empty()).unwrap_or_default()
}

fn knows_addresses(case: Case<'_>) -> bool {
    !case.facts().texts("addresses").is_empty() || !found(case).is_empty()
}

/// What leads to the host, where something does.
pub(super) fn proxy(case: Case<'_>, name: &str) -> Option<String> {
    let told = case.facts().text(name);
    told.or_else(|| {
        let mut events = case.attempt().iter();
        events.find_map(|event| Facts(&event.data).text(name))
    })
    .or_else(|| case.setting(name))
}

/// The name of the host, as a command takes it.
fn bare(case: &Case<'_>) -> String {
    let hop = case.hop();
    let name = hop
        .as_deref()
        .map(|hop| hop.rsplit_once('@').map_or(hop, |(_, host)| host));
    let name = name.map(|host| host.rsplit_once(':').map_or(host, |(host, _)| host).to_owned());
    let name = name.unwrap_or_else(|| case.destination());
    sternline_proto::quoting::quote_str(&name).unwrap_or(name)
}
