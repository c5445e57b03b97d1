//! `ssh.config`: from its parameters to a client.

use std::time::Duration;

use either::Either;
use starlark::environment::GlobalsBuilder;
use starlark::eval::Evaluator;
use starlark::starlark_module;
use starlark::values::Value;
use starlark::values::list::UnpackList;
use sternline::{KeepaliveConfig, SharedSecret};

use super::arguments::{self, HostList, Name, Of, Variables, interval, length, secret, strings, text, word};
use super::client::Client;
use super::hosts::{self, Login};
use super::permit;
use super::rules::{Amount, OnError, Rules};
use super::settings::{Checking, ConfigFiles, Defaults, Settings};
use crate::context::Context;

const FUNCTION: &str = "ssh.config";

/// How many further attempts a host gets that could not be reached.
const RETRIES: i32 = 3;

/// How long connecting may take where no limit is wanted.
const FOREVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// What an unchecked host means, said once.
const UNCHECKED: &str = "warning: host keys are not checked (host_key_check=False): whoever is between here and the host can \
                         read and change everything, passwords included";

#[starlark_module]
#[allow(
    clippy::too_many_arguments,
    reason = "they are the parameters that scripts have"
)]
pub(super) fn register(builder: &mut GlobalsBuilder) {
    /// Makes a client for some hosts. It connects to nothing, and reads no file: that happens when the first command or transfer
    /// needs it. Connections are kept for further calls, and closed when the script ends.
    ///
    /// An empty string stands for "not given" in every parameter. Lengths of time are strings such as `"1m30s"`, with the units
    /// ns, us, ms, s, m and h. In paths of this machine `~` is the home directory.
    ///
    /// # Arguments
    ///
    /// * `hosts`: a list of hosts: names, addresses, `"user@host:port"`, ranges such as `"web-[01-20]"`, or dicts such as
    ///   `{"host": "web-1", "port": 2222}` with the keys `host` (or `address`), `name`, `user`, `port`, `key`, `key_passphrase`,
    ///   `password`, `identities` and `jump_host`; or an inventory. Without hosts the client is false, and its calls return `[]`.
    /// * `user`: who logs in, unless the host says so itself. Default: the current user.
    /// * `key`: the path of a private key.
    /// * `key_passphrase`: opens the key, if it is encrypted.
    /// * `password`: for servers that take one; it also answers a single hidden question.
    /// * `port`: the port, unless the host says so itself. Default 22.
    /// * `timeout`: how long connecting may take, login included. Default 30s; `"0s"` is without limit.
    /// * `max_retries`: how many further attempts a host gets that could not be reached, with growing waits between them.
    ///   Refused logins and host keys are final. Default 3; 0 is none.
    /// * `exec_policy`: `"concurrent"`, or `"linear"` for one host after another, which stops at the first host that could not be
    ///   worked on.
    /// * `jump_host`: a host to go through, or several with commas: `"ops@bastion:2222"`. User, port and login are those of the
    ///   hosts, unless it says so itself.
    /// * `known_hosts_file`: the one file of known hosts. Default: the user's and the system's.
    /// * `host_key_check`: whether host keys are checked. `False` accepts any key, and warns once; `"accept-new"` records hosts
    ///   that are new, and refuses keys that have changed.
    /// * `keep_alive_interval`: how often a silent server is asked for a sign of life. Default 30s; `"0s"` is never.
    /// * `keep_alive_max`: how many such questions may stay unanswered before the connection counts as lost. Default 3.
    /// * `sudo`: whether commands run through sudo, unless a call says otherwise.
    /// * `as_user`: the user that commands run as, through sudo.
    /// * `sudo_password`: answers sudo, if it asks.
    /// * `cwd`: the directory that commands run in.
    /// * `env`: variables for commands: a dict of strings. Those of a call are added to them.
    /// * `exec_timeout`: how long a command may take, before it is ended on its host. Default: without limit.
    /// * `dry_run`: whether commands and transfers are only told. `False` does not take back the option `--dry-run`.
    /// * `ssh_config`: `True` reads the user's and the system's ssh_config, a string is the path of another one. What is given
    ///   here comes first. Default: none is read.
    /// * `agent`: whether the keys of the SSH agent are tried. Default: where no key is named.
    /// * `identities`: paths of further private keys.
    /// * `max_parallel`: how many hosts are worked on at once. Default 64.
    /// * `batch`: works on so many hosts, or on a share of them such as `"25%"`, and begins the next ones when all of these have
    ///   ended. Default: all at once.
    /// * `canary`: works on so many hosts alone, before all others. If one of them fails, no other host is begun. Default 0.
    /// * `stop_after`: begins no further host once so many have failed, or a share of all hosts such as `"10%"`. Here an exit
    ///   status other than 0 counts as a failure.
    /// * `max_failures`: so many hosts may fail; with one more no further host is begun. Another way to say `stop_after`.
    /// * `on_error`: what becomes of hosts that could not be worked on. `"raise"`: once all hosts have ended the call fails with
    ///   an error that names each of them. `"continue"`: their results have `ok` False, `code` -1 and the reason in `error`.
    /// * `host_deadline`: how long all the work of one call on one host may take.
    /// * `deadline`: how long a call may take on all hosts together. Then what runs is cancelled.
    fn config<'v>(
        #[starlark(require = named)] hosts: Option<Of<'v, HostList>>,
        #[starlark(require = named)] user: Option<&str>,
        #[starlark(require = named)] key: Option<&str>,
        #[starlark(require = named)] key_passphrase: Option<&str>,
        #[starlark(require = named)] password: Option<&str>,
        #[starlark(require = named)] port: Option<i32>,
        #[starlark(require = named)] timeout: Option<&str>,
        #[starlark(require = named, default = RETRIES)] max_retries: i32,
        #[starlark(require = named, default = "concurrent")] exec_policy: &str,
        #[starlark(require = named)] jump_host: Option<&str>,
        #[starlark(require = named)] known_hosts_file: Option<&str>,
        #[starlark(require = named)] host_key_check: Option<Of<'v, Either<bool, String>>>,
        #[starlark(require = named)] keep_alive_interval: Option<&str>,
        #[starlark(require = named)] keep_alive_max: Option<i32>,
        #[starlark(require = named)] sudo: Option<bool>,
        #[starlark(require = named)] as_user: Option<&str>,
        #[starlark(require = named)] sudo_password: Option<&str>,
        #[starlark(require = named)] cwd: Option<&str>,
        #[starlark(require = named)] env: Option<Of<'v, Variables>>,
        #[starlark(require = named)] exec_timeout: Option<&str>,
        #[starlark(require = named, default = false)] dry_run: bool,
        #[starlark(require = named)] ssh_config: Option<Of<'v, Either<bool, String>>>,
        #[starlark(require = named)] agent: Option<bool>,
        #[starlark(require = named)] identities: Option<Of<'v, UnpackList<String>>>,
        #[starlark(require = named)] max_parallel: Option<i32>,
        #[starlark(require = named)] batch: Option<Of<'v, Either<i32, String>>>,
        #[starlark(require = named, default = 0)] canary: i32,
        #[starlark(require = named)] stop_after: Option<Of<'v, Either<i32, String>>>,
        #[starlark(require = named)] max_failures: Option<i32>,
        #[starlark(require = named, default = "raise")] on_error: &str,
        #[starlark(require = named)] host_deadline: Option<&str>,
        #[starlark(require = named)] deadline: Option<&str>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<Client> {
        let context = Context::of(eval)?;
        let session = &context.session;
        let name = |argument| Name::new(FUNCTION, argument);
        let hosts = hosts.map_or_else(|| Ok(Vec::new()), |value| hosts::read(value.get()))?;
        for host in &hosts {
            permit::connect(session, host)?;
        }
        let positive = |argument, number: Option<i32>| {
            let positive = |number: i32| usize::try_from(number).ok().filter(|number| *number > 0);
            number
                .map(|number| {
                    positive(number)
                        .ok_or_else(|| name(argument).wrong(format!("it must be at least 1, not {number}")))
                })
                .transpose()
        };
        let stop_after = match (stop_after, max_failures) {
            (Some(_), Some(_)) => {
                return Err(name("stop_after")
                    .wrong("max_failures says the same in another way: leave out one of them"));
            }
            (Some(value), None) => Some(Amount::read(name("stop_after"), value.get(), 1)?.into()),
            (None, Some(failures)) => match usize::try_from(failures) {
                Ok(failures) => Some(Amount::Hosts(failures.saturating_add(1)).into()),
                Err(_) => {
                    return Err(name("max_failures").wrong(format!("it must be at least 0, not {failures}")));
                }
            },
            (None, None) => None,
        };
        let rules = Rules {
            parallel: positive("max_parallel", max_parallel)?,
            batch: batch
                .map(|value| Amount::read(name("batch"), value.get(), 1))
                .transpose()?
                .map(Into::into),
            canary: usize::try_from(canary)
                .map_err(|_| name("canary").wrong(format!("it must be at least 0, not {canary}")))?,
            stop_after,
            linear: word(
                FUNCTION,
                "exec_policy",
                exec_policy,
                &[("concurrent", false), ("linear", true)],
            )?,
            retries: u32::try_from(max_retries).map_err(|_| {
                name("max_retries").wrong(format!("it must be at least 0, not {max_retries}"))
            })?,
            host_deadline: length(FUNCTION, "host_deadline", host_deadline)?,
            deadline: length(FUNCTION, "deadline", deadline)?,
        };
        let default = KeepaliveConfig::default();
        let alive_interval = match text(keep_alive_interval) {
            Some(text) => interval(FUNCTION, "keep_alive_interval", &text)?,
            None => default.interval,
        };
        let alive_max = positive("keep_alive_max", keep_alive_max)?;
        let checking = checking(name("host_key_check"), host_key_check.map(|value| value.get()))?;
        if checking == Checking::Off {
            session.warn_once(UNCHECKED);
        }
        for given in [key_passphrase, password, sudo_password] {
            if let Some(given) = given.filter(|given| !given.is_empty()) {
                session.secrets().mark(given);
            }
        }
        let settings = Settings {
            hosts,
            user: text(user),
            port: port.map(|port| arguments::port(FUNCTION, port)).transpose()?,
            login: Login {
                key: text(key),
                passphrase: secret(key_passphrase),
                password: secret(password),
                identities: identities
                    .map(|value| strings(name("identities"), value.get()))
                    .transpose()?
                    .unwrap_or_default(),
                jump: text(jump_host),
            },
            agent,
            checking,
            known_hosts_file: text(known_hosts_file),
            ssh_config: config_files(name("ssh_config"), ssh_config.map(|value| value.get()))?,
            timeout: length(FUNCTION, "timeout", timeout)?
                .map(|timeout| if timeout.is_zero() { FOREVER } else { timeout }),
            keepalive: (!alive_interval.is_zero()).then_some(KeepaliveConfig {
                interval: alive_interval,
                max_count: alive_max.map_or(default.max_count, |max| u32::try_from(max).unwrap_or(u32::MAX)),
                progress_timeout: None,
            }),
            keepalive_is_given: text(keep_alive_interval).is_some() || keep_alive_max.is_some(),
            rules,
            defaults: Defaults {
                sudo,
                as_user: text(as_user),
                cwd: text(cwd),
                env: env
                    .map(|value| arguments::environment(name("env"), value.get()))
                    .transpose()?
                    .unwrap_or_default(),
                timeout: length(FUNCTION, "exec_timeout", exec_timeout)?,
                sudo_password: secret(sudo_password).map(SharedSecret::new),
            },
            on_error: OnError::read(FUNCTION, on_error)?,
            dry_run: dry_run || session.dry_run(),
        };
        Ok(Client::new(settings, context))
    }
}

fn checking(name: Name, value: Option<Value>) -> anyhow::Result<Checking> {
    let Some(value) = value else {
        return Ok(Checking::Strict);
    };
    match (value.unpack_bool(), value.unpack_str()) {
        (Some(true), _) => Ok(Checking::Strict),
        (Some(false), _) => Ok(Checking::Off),
        (_, Some("accept-new")) => Ok(Checking::AcceptNew),
        _ => Err(name.not("True, False or \"accept-new\"", value)),
    }
}

fn config_files(name: Name, value: Option<Value>) -> anyhow::Result<ConfigFiles> {
    let Some(value) = value else {
        return Ok(ConfigFiles::None);
    };
    match (value.unpack_bool(), value.unpack_str()) {
        (Some(true), _) => Ok(ConfigFiles::Usual),
        (Some(false), _) | (_, Some("" | "none")) => Ok(ConfigFiles::None),
        (_, Some(path)) => Ok(ConfigFiles::This(path.to_owned())),
        _ => Err(name.not("True, False or the path of a file", value)),
    }
}
