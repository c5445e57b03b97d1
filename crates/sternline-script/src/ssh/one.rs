//! What needs one host of a client: forwards and dialogues.

use sternline::proto::text::escape;

use super::hosts::Host;

/// The place of a host that a script names: by what results call it, by its name, or not at all where there is only one.
///
/// # Errors
/// When it is not clear which one is meant.
pub(super) fn index(function: &str, hosts: &[Host], wanted: Option<&str>) -> anyhow::Result<usize> {
    let labels = || {
        hosts
            .iter()
            .map(|host| escape(&host.label))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let Some(wanted) = wanted else {
        return match hosts {
            [] => Err(anyhow::anyhow!("{function}: the client has no hosts")),
            [_] => Ok(0),
            _ => Err(anyhow::anyhow!(
                "{function}: say which host is meant, with host=: {}",
                labels()
            )),
        };
    };
    let exact = hosts.iter().position(|host| host.label == wanted);
    let mut named = hosts
        .iter()
        .enumerate()
        .filter(|(_, host)| host.target.host() == wanted);
    match (exact, named.next(), named.next()) {
        (Some(index), ..) | (None, Some((index, _)), None) => Ok(index),
        (None, Some(_), Some(_)) => Err(anyhow::anyhow!(
            "{function}: several hosts are called {}: name one of {}",
            escape(wanted),
            labels()
        )),
        (None, None, _) => Err(anyhow::anyhow!(
            "{function}: the client has no host {}, only {}",
            escape(wanted),
            labels()
        )),
    }
}
