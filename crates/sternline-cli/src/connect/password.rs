//! `--ask-password`: one password, asked for once.

use sternline::proto::text::escape;
use sternline::{HostKeyPolicy, SharedSecret};

use super::host::HostSettings;
use super::options::ConnectOptions;
use crate::ui::prompter::{can_ask, password};
use crate::ui::{Failure, Signals};

/// Asks for the password if the options say so, and has the hosts use it for logins that no key opens.
///
/// `sudo` says whether it is for sudo as well.
pub(crate) async fn ask_password(
    options: &ConnectOptions,
    hosts: &mut [HostSettings],
    sudo: bool,
    signals: &mut Signals,
) -> Result<Option<SharedSecret>, Failure> {
    if !options.ask_password {
        return Ok(None);
    }
    if let Some(host) = hosts
        .iter()
        .find(|host| host.policy == HostKeyPolicy::DangerAcceptAny)
    {
        return Err(Failure::usage(format!(
            "no password is given to {}, because its host key would not be checked (StrictHostKeyChecking no)",
            escape(&host.target.to_string())
        ))
        .with_hint("have host keys checked, and record them with `sternline hostkeys add`"));
    }
    if !can_ask() {
        return Err(Failure::usage("there is no terminal on which to ask for the password")
            .with_hint("run it from a terminal; without one, log in with a key and let sudoers(5) do without a password"));
    }
    let question = question(hosts, sudo);
    let answer = tokio::select! {
        signal = signals.next() => return Err(Failure::interrupted(signal)),
        answer = password(question) => answer,
    };
    let password = answer.filter(|password| !password.expose().is_empty());
    let Some(password) = password else {
        return Err(Failure::usage("no password was given").with_hint("type it when it is asked for"));
    };
    // Of all hosts, and of login and sudo, the first that asks is told it, and the others only once it was right there.
    let password = SharedSecret::new(password);
    for host in hosts {
        host.password = Some(password.clone());
    }
    Ok(Some(password))
}

fn question(hosts: &[HostSettings], sudo: bool) -> String {
    let use_of = if sudo { " (login and sudo)" } else { "" };
    match hosts {
        [host] => format!("Password of {}{use_of}: ", escape(&host.target.to_string())),
        hosts => format!("Password on {} hosts{use_of}: ", hosts.len()),
    }
}
