//! The settings of a connection.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sternline_proto::redact::Redactor;

use super::jump::JumpHost;
use super::proxy::{ProxyCommand, Via};
use crate::auth::{AuthConfig, MAX_QUESTIONS, Wire};
use crate::config::Env;
use crate::connection::{Connection, KeepaliveConfig, Resolve, SystemResolver};
use crate::deadline::{Deadlines, Phase, PhaseClock};
use crate::error::Result;
use crate::event::{Event, EventCollector, EventListener};
use crate::evidence::{EvidenceRecorder, RecordOutput};
use crate::host_key::{HostKeyPolicy, KnownHosts};
use crate::prompt::Prompter;
use crate::secret::{Secret, SharedSecret};
use crate::transport::algorithms::AlgorithmChoice;
use crate::transport::link::Beginning;

/// What a connection is to be made with; see [`Connection::builder`].
///
/// Defaults: the system's environment, the user's and the system's known_hosts files, strict host key checking,
/// the agent and the default key files, nobody to ask, and [`Deadlines::default`].
///
/// A target as text becomes one with these defaults, so whatever takes `impl Into<ConnectionBuilder>` takes
/// `"user@host"` too.
#[derive(Clone)]
#[must_use]
pub struct ConnectionBuilder {
    pub(super) target: String,
    pub(super) username: Option<String>,
    pub(super) port: Option<u16>,
    /// The name under which the host's key is known and which errors show, where it is not the address itself.
    pub(super) address: Option<String>,
    pub(super) host_key_alias: Option<String>,
    /// What `sternline hostkeys add` and `remove` are told of the host, where that is not its address.
    pub(super) host_key_arguments: Option<(String, String)>,
    pub(super) auth: Vec<AuthConfig>,
    pub(super) identities: Vec<PathBuf>,
    pub(super) certificate_files: Vec<PathBuf>,
    pub(super) auth_methods: Option<Vec<Wire>>,
    pub(super) password_prompts: u32,
    pub(super) identities_only: bool,
    pub(super) fallback_password: Option<SharedSecret>,
    pub(super) max_auth_attempts: Option<u32>,
    pub(super) none_probe: bool,
    /// Shared, for it may be large and the same for thousands of hosts.
    pub(super) env: Option<Arc<Env>>,
    pub(super) known_hosts_files: Option<Vec<PathBuf>>,
    pub(super) known_hosts: Option<KnownHosts>,
    pub(super) record_path: Option<PathBuf>,
    pub(super) hash_known_hosts: bool,
    pub(super) host_key_policy: HostKeyPolicy,
    pub(super) algorithms: AlgorithmChoice,
    pub(super) prompter: Option<Arc<dyn Prompter>>,
    /// Clones share it: what one connection learns to be secret the next one made with these settings masks as well.
    pub(super) redactor: Redactor,
    pub(super) collectors: Vec<EventCollector>,
    pub(super) listeners: Vec<EventListener>,
    pub(super) evidence: Option<EvidenceRecorder>,
    pub(super) event_log_path: Option<PathBuf>,
    pub(super) deadlines: Deadlines,
    pub(super) bind_address: Option<IpAddr>,
    pub(super) via: Option<Via>,
    pub(super) keepalive: Option<KeepaliveConfig>,
    pub(super) max_sessions: u32,
    /// Whether it is there to carry other connections.
    pub(super) is_jump_host: bool,
    /// Whether it is there to move files.
    pub(super) bulk_data: bool,
    /// The connection is for one command, so that none is prepared for the next.
    pub(super) single_command: bool,
    /// Whether it was made because another connection like it has enough to do.
    pub(super) is_second: bool,
    pub(super) spill_limit: u64,
    pub(super) resolver: Arc<dyn Resolve>,
    pub(super) beginning: Option<Beginning>,
}

impl ConnectionBuilder {
    pub(crate) fn new(target: String) -> Self {
        Self {
            target,
            username: None,
            port: None,
            address: None,
            host_key_alias: None,
            host_key_arguments: None,
            auth: Vec::new(),
            identities: Vec::new(),
            certificate_files: Vec::new(),
            auth_methods: None,
            password_prompts: MAX_QUESTIONS,
            identities_only: false,
            fallback_password: None,
            max_auth_attempts: None,
            none_probe: false,
            env: None,
            known_hosts_files: None,
            known_hosts: None,
            record_path: None,
            hash_known_hosts: false,
            host_key_policy: HostKeyPolicy::default(),
            algorithms: AlgorithmChoice::default(),
            prompter: None,
            redactor: Redactor::new(),
            collectors: Vec::new(),
            listeners: Vec::new(),
            evidence: None,
            event_log_path: None,
            deadlines: Deadlines::default(),
            bind_address: None,
            via: None,
            keepalive: None,
            max_sessions: 10,
            is_jump_host: false,
            bulk_data: false,
            single_command: false,
            is_second: false,
            spill_limit: 4 * 1024 * 1024 * 1024,
            resolver: Arc::new(SystemResolver),
            beginning: None,
        }
    }

    /// Who logs in, unless the target says so. Default: the user who runs this program.
    pub fn username(mut self, username: impl Into<String>) -> Self {
        self.username = Some(username.into());
        self
    }

    /// The port, unless the target names one. Default 22.
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// The name or address to connect to, where it is not the host's own name (`HostName` in ssh_config). Host keys
    /// are looked up under it, as ssh does.
    pub fn address(mut self, address: impl Into<String>) -> Self {
        self.address = Some(address.into());
        self
    }

    /// The name under which the host's key is known, instead of its address and port (`HostKeyAlias`): for hosts that
    /// share an address, or change it.
    pub fn host_key_alias(mut self, alias: impl Into<String>) -> Self {
        self.host_key_alias = Some(alias.into());
        self
    }

    /// What hints have `sternline hostkeys add` and `sternline hostkeys remove` told of the host, as shell text, for programs
    /// that know it by another name: such as `-I hosts.toml web-1`. Default: its address and port, with the jump hosts on the
    /// way.
    pub fn host_key_arguments(mut self, add: impl Into<String>, remove: impl Into<String>) -> Self {
        self.host_key_arguments = Some((add.into(), remove.into()));
        self
    }

    /// What to log in with, in this order. Default: the agent, the default key files or those of
    /// [`identity_files`](Self::identity_files), then whatever the prompter answers.
    pub fn auth(mut self, auth: impl IntoIterator<Item = AuthConfig>) -> Self {
        self.auth.extend(auth);
        self
    }

    /// Logs in with this password; the same as `auth([AuthConfig::password(..)])`.
    pub fn password(self, password: impl Into<Secret>) -> Self {
        self.auth([AuthConfig::password(password)])
    }

    /// A password for servers that accept nothing else: given, once, when everything before it was refused, the default keys
    /// included, and instead of asking the prompter for one. It also answers a single question that does not echo. A [`SharedSecret`] that one host
    /// has refused is given to no other.
    pub fn fallback_password(mut self, password: impl Into<SharedSecret>) -> Self {
        self.fallback_password = Some(password.into());
        self
    }

    /// Logs in with one of these private keys; the same as `auth` with an `AuthConfig::key` each.
    pub fn client_keys(self, paths: impl IntoIterator<Item = PathBuf>) -> Self {
        self.auth(paths.into_iter().map(AuthConfig::key))
    }

    /// Private keys named by configuration (`IdentityFile`): offered first, and instead of the default key files.
    pub fn identity_files(mut self, paths: impl IntoIterator<Item = PathBuf>) -> Self {
        self.identities.extend(paths);
        self
    }

    /// Certificates for these keys, the default ones, or keys that the agent holds (`CertificateFile`). One that stands
    /// beside its key is found without being named.
    pub fn certificate_files(mut self, paths: impl IntoIterator<Item = PathBuf>) -> Self {
        self.certificate_files.extend(paths);
        self
    }

    /// The methods by which to log in, in this order, and no others (`PreferredAuthentications`). Within a method the
    /// order of the credentials stays. Default: all.
    pub fn auth_methods(mut self, methods: impl IntoIterator<Item = Wire>) -> Self {
        self.auth_methods = Some(methods.into_iter().collect());
        self
    }

    /// How often a person is asked for the same password, passphrase or answers before it is given up
    /// (`NumberOfPasswordPrompts`). Default 3.
    pub fn password_prompts(mut self, times: u32) -> Self {
        self.password_prompts = times;
        self
    }

    /// Offers no key that was not named (`IdentitiesOnly`).
    pub fn identities_only(mut self, only: bool) -> Self {
        self.identities_only = only;
        self
    }

    /// How many credentials the server may refuse before we stop. Default 5: sshd hangs up at the sixth.
    pub fn max_auth_attempts(mut self, attempts: u32) -> Self {
        self.max_auth_attempts = Some(attempts);
        self
    }

    /// Asks the server for its methods first (RFC 4252 section 5.2), at the cost of a round trip.
    pub fn probe_auth_methods(mut self) -> Self {
        self.none_probe = true;
        self
    }

    /// Replaces the process environment, which is looked at anew for each connection otherwise. Many connections can share
    /// one: give each a clone of the same `Arc<Env>`.
    pub fn env(mut self, env: impl Into<Arc<Env>>) -> Self {
        self.env = Some(env.into());
        self
    }

    /// The known_hosts files; the first one takes new hosts. Default: the user's and the system's.
    pub fn known_hosts(mut self, files: impl IntoIterator<Item = PathBuf>) -> Self {
        self.known_hosts_files = Some(files.into_iter().collect());
        self
    }

    /// Host keys that were read before: parsed once for any number of connections. New hosts are recorded in
    /// `record_path`, or only remembered where there is none.
    pub fn known_hosts_parsed(mut self, known_hosts: KnownHosts, record_path: Option<PathBuf>) -> Self {
        self.known_hosts = Some(known_hosts);
        self.record_path = record_path;
        self
    }

    /// Hashes the names of hosts that are recorded (`HashKnownHosts`). Default: no.
    pub fn hash_known_hosts(mut self, hash: bool) -> Self {
        self.hash_known_hosts = hash;
        self
    }

    /// What to do about a host whose key is not known. Default: refuse.
    pub fn host_key_policy(mut self, policy: HostKeyPolicy) -> Self {
        self.host_key_policy = policy;
        self
    }

    /// Accepts whatever key the server has. Anyone between here and there can then read and change everything,
    /// passwords included.
    pub fn danger_accept_any_host_key(self) -> Self {
        self.host_key_policy(HostKeyPolicy::DangerAcceptAny)
    }

    /// Restricts or reorders the algorithms that are offered (`KexAlgorithms`, `HostKeyAlgorithms`, `Ciphers`, `MACs`).
    ///
    /// ```
    /// use sternline::connection::{AlgorithmChoice, AlgorithmList};
    ///
    /// let choice = AlgorithmChoice {
    ///     cipher: AlgorithmList::parse("-*-ctr"),
    ///     ..AlgorithmChoice::default()
    /// };
    /// assert_eq!(choice.leaves_nothing(), None);
    /// let builder = sternline::Connection::builder("web").algorithms(choice);
    /// ```
    pub fn algorithms(mut self, choice: AlgorithmChoice) -> Self {
        self.algorithms = choice;
        self
    }

    /// Who answers questions. Default: nobody, and then nothing is asked.
    pub fn prompter(mut self, prompter: Arc<dyn Prompter>) -> Self {
        self.prompter = Some(prompter);
        self
    }

    /// Masks this value wherever it turns up in events, logs, errors and evidence, in encoded forms as well; may be
    /// called several times. Passwords, passphrases and answers of the prompter are masked without being named here.
    ///
    /// A value of less than six bytes is masked only where it stands by itself, one of less than four not at all; see
    /// [`Redactor`]. What a command writes reaches its caller as it is.
    pub fn secret(self, value: impl Into<Secret>) -> Self {
        self.redactor.mark(value.into().expose());
        self
    }

    /// Collects this connection's events; may be called several times.
    pub fn events(mut self, collector: &EventCollector) -> Self {
        self.collectors.push(collector.clone());
        self
    }

    /// Calls this for each event of this connection, where it happens: return at once, and wait for nothing. May be
    /// called several times.
    pub fn on_event(mut self, listener: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.listeners.push(Arc::new(listener));
        self
    }

    /// Records this connection's events and facts, for a bundle at any time, even when connecting has failed. Of jump hosts
    /// and second connections that are given the same recorder only the events are kept.
    pub fn evidence(mut self, recorder: &EvidenceRecorder) -> Self {
        self.evidence = Some(recorder.clone());
        self
    }

    /// Records what commands read and write too, as far as the limits allow; see [`EvidenceRecorder::record_output`].
    /// Default: no.
    pub fn record_output(mut self, limits: RecordOutput) -> Self {
        self.evidence.get_or_insert_default().record_output(limits);
        self
    }

    /// Appends this connection's events to a file, one JSON object a line.
    pub fn event_log_path(mut self, path: impl Into<PathBuf>) -> Self {
        self.event_log_path = Some(path.into());
        self
    }

    /// The time limits of all phases.
    pub fn deadlines(mut self, deadlines: Deadlines) -> Self {
        self.deadlines = deadlines;
        self
    }

    /// The limit for connecting as a whole, [`Deadlines::overall`].
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.deadlines.overall = timeout;
        self
    }

    /// Lowers [`Deadlines::overall`] to this, if it is not lower already.
    pub(crate) fn within(mut self, limit: Duration) -> Self {
        self.deadlines.overall = self.deadlines.overall.min(limit);
        self
    }

    /// The local address to connect from (`BindAddress`), and so the family to use: `0.0.0.0` and `::` say no more than that
    /// (`AddressFamily`).
    pub fn bind_address(mut self, address: IpAddr) -> Self {
        self.bind_address = Some(address);
        self
    }

    /// Goes through jump hosts, the nearest first (`ProxyJump`, `ssh -J`); none goes straight to the host. Each hop is a
    /// connection of its own, with its own user, credentials, host key check and time limits; see [`JumpHost`].
    ///
    /// A first hop may have a jump host or proxy command itself; those of the later ones are replaced. What was
    /// said by [`jump_through`](Self::jump_through) and [`proxy_command`](Self::proxy_command) no longer holds.
    ///
    /// The host's name is resolved by the last hop, and its overall limit covers all hops.
    ///
    /// ```no_run
    /// # async fn example() -> sternline::Result<()> {
    /// use sternline::{AuthConfig, Connection};
    ///
    /// let bastion = Connection::builder("ops@bastion.example.com").auth([AuthConfig::agent()]);
    /// let connection = Connection::builder("db-1.internal").jump([bastion]).connect().await?;
    /// # Ok(()) }
    /// ```
    pub fn jump<H: Into<Self>>(mut self, hops: impl IntoIterator<Item = H>) -> Self {
        self.via = hops
            .into_iter()
            .fold(None, |before: Option<JumpHost>, hop| {
                let mut hop: Self = hop.into();
                if let Some(before) = before {
                    hop = hop.jump_through(&before);
                }
                Some(JumpHost::new(hop))
            })
            .map(Via::Jump);
        self
    }

    /// Goes through a jump host whose connection is shared with others.
    pub fn jump_through(mut self, jump: &JumpHost) -> Self {
        self.via = Some(Via::Jump(jump.clone()));
        self
    }

    /// Reaches the host over a command (`ProxyCommand`), instead of jump hosts or the network. What the command writes
    /// on its standard error is a part of the error when it ends.
    ///
    /// ```no_run
    /// # use sternline::{Connection, connection::ProxyCommand};
    /// let by_shell = Connection::builder("web").proxy_command("nc -X connect -x proxy:3128 %h %p");
    /// let by_words = Connection::builder("web").proxy_command(ProxyCommand::program(["nc", "%h", "%p"]));
    /// ```
    pub fn proxy_command(mut self, command: impl Into<ProxyCommand>) -> Self {
        let command = command.into();
        self.via = (!command.is_none()).then_some(Via::Command(command));
        self
    }

    /// Sends keepalive probes, and limits how long a command may stall. Default: neither.
    pub fn keepalive(mut self, keepalive: KeepaliveConfig) -> Self {
        self.keepalive = Some(keepalive);
        self
    }

    /// How many sessions the server is believed to allow at once on a connection. Default 10, as sshd's MaxSessions.
    /// A smaller number is learned when the server refuses.
    pub fn max_sessions(mut self, sessions: u32) -> Self {
        self.max_sessions = sessions;
        self
    }

    /// The host, port and user that these settings lead to, checked as [`connect`](Self::connect) checks them.
    pub(crate) fn leads_to(&self) -> Result<(String, u16, String)> {
        let destination = super::open::destination(self, &self.environment())?;
        Ok((destination.host, destination.port, destination.username))
    }

    /// How many commands a connection made with these settings is believed to carry at once.
    pub(crate) fn command_limit(&self) -> usize {
        self.max_sessions.saturating_sub(1).max(1) as usize
    }

    /// The connection is made for one command: no session is opened ahead for the next one.
    pub(crate) fn single_command(mut self) -> Self {
        self.single_command = true;
        self
    }

    /// Says that the connection is there to move files: a transfer then takes it as it is. Elsewhere one that moves 32 MiB or
    /// more opens a second connection for that, so that commands need not wait behind it, if the login can be repeated
    /// without asking anybody.
    pub fn bulk_data(mut self) -> Self {
        self.bulk_data = true;
        self
    }

    /// How many bytes of one command's unread output may be kept on disk before the command is stopped. Default
    /// 4 GiB.
    pub fn spill_limit(mut self, bytes: u64) -> Self {
        self.spill_limit = bytes;
        self
    }

    /// Replaces the operating system's resolver.
    pub fn resolver(mut self, resolver: Arc<dyn Resolve>) -> Self {
        self.resolver = resolver;
        self
    }

    /// Calls this, once, when the server has sent something beyond its identification.
    pub(crate) fn on_beginning(mut self, tell: impl Fn() + Send + Sync + 'static) -> Self {
        self.beginning = Some(Beginning(Arc::new(tell)));
        self
    }

    /// Connects, verifies the host key and logs in. Cancel-safe: dropping the future closes what was opened.
    ///
    /// # Errors
    /// Names the phase that failed; nothing has been asked of the server yet. A host key failure or a lost
    /// connection ends the attempt at once, without offering a further credential.
    pub async fn connect(self) -> Result<Connection> {
        let clock = PhaseClock::start(self.first_phase());
        super::open::open(self, clock).await
    }

    /// The environment that was given, or else that of the process as it is now.
    pub(crate) fn environment(&self) -> Arc<Env> {
        self.env.clone().unwrap_or_else(|| Arc::new(Env::system()))
    }

    /// Whether it is there for the sake of another connection, of which evidence is about.
    pub(super) fn is_beside(&self) -> bool {
        self.is_jump_host || self.is_second
    }

    pub(super) fn first_phase(&self) -> Phase {
        match self.via {
            Some(_) => Phase::Proxy,
            None => Phase::Resolve,
        }
    }
}

impl From<&str> for ConnectionBuilder {
    fn from(target: &str) -> Self {
        Self::new(target.to_owned())
    }
}

impl From<String> for ConnectionBuilder {
    fn from(target: String) -> Self {
        Self::new(target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_as_text_is_a_builder_with_the_defaults() {
        fn target(settings: impl Into<ConnectionBuilder>) -> String {
            settings.into().target
        }
        assert_eq!(target("alice@h:2222"), "alice@h:2222");
        assert_eq!(target(String::from("h")), "h");
        assert_eq!(target(Connection::builder("h").port(2222)), "h");
    }

    #[test]
    fn keepalive_is_off_until_it_is_asked_for_and_then_gives_up_after_three_probes() {
        assert_eq!(Connection::builder("h").keepalive, None);
        let asked = Connection::builder("h").keepalive(KeepaliveConfig::default());
        let expected = KeepaliveConfig {
            interval: Duration::from_secs(30),
            max_count: 3,
            progress_timeout: None,
        };
        assert_eq!(asked.keepalive, Some(expected));
    }
}
