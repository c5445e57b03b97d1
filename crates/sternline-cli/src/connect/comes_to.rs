//! What single options of ssh_config come to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use sternline::auth::Wire;
use sternline::connection::AlgorithmChoice;
use sternline::proto::ssh_config::{AddressFamily, AlgorithmList, Options, Source, Sourced};
use sternline::proto::text::escape;
use sternline::{Deadlines, KeepaliveConfig};

use crate::exit;
use crate::ui::Failure;

/// The interval at which ssh asks three times before it gives up (ServerAliveCountMax in ssh_config(5)).
const ALIVE_COUNT_MAX: u32 = 3;

/// The algorithms that may be used. It is an error if none is left.
pub(super) fn algorithms(found: &Options) -> Result<AlgorithmChoice, Failure> {
    let list = |list: &Option<Sourced<AlgorithmList>>| list.as_ref().map(|list| list.value.clone());
    let choice = AlgorithmChoice {
        kex: list(&found.kex_algorithms),
        host_key: list(&found.host_key_algorithms),
        cipher: list(&found.ciphers),
        mac: list(&found.macs),
    };
    let Some((option, supported)) = choice.leaves_nothing() else {
        return Ok(choice);
    };
    let shown = found.shown().into_iter().find(|shown| shown.keyword == option);
    let (value, place) = shown
        .map(|shown| (shown.value, shown.source.to_string()))
        .unwrap_or_default();
    Err(Failure::usage(format!(
        "{place}: {option} {} leaves no algorithm that Sternline has",
        escape(&value)
    ))
    .with_status(exit::CONNECTION)
    .with_hint(format!("name one of {}", supported.join(", "))))
}

/// The methods by which to log in, in order, if not all. It is an error if none is left.
pub(super) fn methods(found: &Options) -> Result<Option<Vec<Wire>>, Failure> {
    let switches = [
        (Wire::PublicKey, &found.pubkey_authentication),
        (Wire::KeyboardInteractive, &found.kbd_interactive_authentication),
        (Wire::Password, &found.password_authentication),
    ];
    let off = |wire: &Wire| {
        let switch = switches.iter().find(|(other, _)| other == wire);
        switch.is_some_and(|(_, switch)| switch.as_ref().is_some_and(|switch| !switch.value))
    };
    let preferred = found.preferred_authentications.as_ref();
    let mut methods: Vec<Wire> = match preferred {
        None => Wire::ALL.to_vec(),
        Some(names) => {
            let named = names.value.iter();
            named
                .filter_map(|name| Wire::ALL.into_iter().find(|wire| wire.as_str() == name))
                .collect()
        }
    };
    methods.retain(|wire| !off(wire));
    if methods.is_empty() {
        let switched_off = switches
            .iter()
            .filter_map(|(_, switch)| switch.as_ref())
            .map(|switch| &switch.source);
        let places = preferred
            .map(|names| &names.source)
            .into_iter()
            .chain(switched_off);
        let mut places: Vec<String> = places.map(Source::to_string).collect();
        places.dedup();
        return Err(
            Failure::usage(format!("no way to log in is left ({})", places.join(", ")))
                .with_status(exit::CONNECTION)
                .with_hint("allow one of publickey, keyboard-interactive and password"),
        );
    }
    Ok((preferred.is_some() || methods.len() < Wire::ALL.len()).then_some(methods))
}

/// The address to connect from. One that is not specified is of the family to use.
pub(super) fn bind(found: &Options) -> Result<Option<IpAddr>, Failure> {
    let family = found
        .address_family
        .as_ref()
        .and_then(|family| match family.value {
            AddressFamily::Any => None,
            AddressFamily::Inet => Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            AddressFamily::Inet6 => Some(IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
        });
    match (&found.bind_address, family) {
        (Some(bind), Some(family)) if bind.value.is_ipv4() != family.is_ipv4() => {
            Err(Failure::usage(format!(
                "BindAddress {} ({}) is not of the AddressFamily that is set",
                bind.value, bind.source
            ))
            .with_status(exit::CONNECTION)
            .with_hint("leave out one of the two"))
        }
        (Some(bind), _) => Ok(Some(bind.value)),
        (None, family) => Ok(family),
    }
}

/// Somebody who says how long connecting may take means all of it: then no phase has a shorter limit of its own.
pub(super) fn deadlines(flag: Option<Duration>, found: &Options) -> Deadlines {
    let configured = found.connect_timeout.as_ref().map(|timeout| timeout.value);
    let mut deadlines = Deadlines::default();
    if let Some(overall) = flag.or(configured.filter(|timeout| !timeout.is_zero())) {
        deadlines.overall = overall;
        deadlines.resolve = None;
        deadlines.tcp = None;
        deadlines.banner = None;
        deadlines.kex = None;
    }
    deadlines
}

pub(super) fn keepalive(found: &Options) -> Option<KeepaliveConfig> {
    let interval = found.server_alive_interval.as_ref()?.value;
    let max_count = found
        .server_alive_count_max
        .as_ref()
        .map_or(ALIVE_COUNT_MAX, |count| count.value);
    (!interval.is_zero()).then_some(KeepaliveConfig {
        interval,
        // Zero means that the connection is never given up.
        max_count: if max_count == 0 { u32::MAX } else { max_count },
        progress_timeout: None,
    })
}
