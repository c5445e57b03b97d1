//! How a server is described.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sternline_proto::text::escape_bytes;
use thiserror::Error;

use crate::credential::{Credential, CurrentUsers, Users};
use crate::door::Door;
use crate::exec::{Commands, ExecRequest, ExitOutcome, Reply};
use crate::fault::{Faults, FileFaults, Refusals, ServerFault};
#[cfg(unix)]
use crate::files::ConfinedDirectory;
use crate::files::{Failing, FileEntry, FileLog, FileObserver, FileTree, Served, VirtualFiles};
use crate::forward::Forwarding;
use crate::log::{Log, LogEntry, Observer};
use crate::protocol::config::{Face, Limits, Protocol, config};
use crate::protocol::key::{KeyPair, KeyTextError};
use crate::replay::{self, Replay};
use crate::scp::{self, ScpCommand};
use crate::server::Server;

/// A server that is not running yet. Every setting has a default; nobody can log in until a user is added.
#[must_use]
pub struct ServerBuilder {
    addr: SocketAddr,
    users: Users,
    host_keys: Vec<KeyPair>,
    table: HashMap<Bytes, Reply>,
    others: Commands,
    limits: Limits,
    forwarding: Forwarding,
    faults: Vec<ServerFault>,
    observer: Option<Observer>,
    files: Option<Files>,
    file_observer: Option<FileObserver>,
    face: Face,
}

/// Where files come from.
enum Files {
    Virtual(VirtualFiles),
    #[cfg(unix)]
    Directory(PathBuf),
}

impl Files {
    fn open(self) -> Result<Arc<dyn FileTree>, BindError> {
        match self {
            Self::Virtual(files) => Ok(Arc::new(files)),
            #[cfg(unix)]
            Self::Directory(path) => match ConfinedDirectory::open(&path) {
                Ok(directory) => Ok(Arc::new(directory)),
                Err(source) => Err(BindError::Directory { path, source }),
            },
        }
    }
}

/// Why a server did not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BindError {
    /// The address cannot be listened on.
    #[error("cannot listen on {addr}: {source}; choose another port, or 0 for any free one")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// The directory to serve cannot be opened.
    #[error("cannot serve the directory {}: {source}", escape_bytes(.path.as_os_str().as_encoded_bytes()))]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// No host key was given and none could be made.
    #[error("cannot make a host key: {0}")]
    HostKey(#[from] KeyTextError),
}

impl Default for ServerBuilder {
    fn default() -> Self {
        Self {
            addr: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            users: Users::default(),
            host_keys: Vec::new(),
            table: HashMap::new(),
            others: Arc::new(|request| {
                Box::pin(async move { Reply::command_not_found(&request).send(request).await })
            }),
            limits: Limits::default(),
            forwarding: Forwarding::default(),
            faults: Vec::new(),
            observer: None,
            files: None,
            file_observer: None,
            face: Face::default(),
        }
    }
}

impl std::fmt::Debug for ServerBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerBuilder")
            .field("addr", &self.addr)
            .field("users", &self.users)
            .finish_non_exhaustive()
    }
}

impl ServerBuilder {
    /// Lets `name` log in with `credential`. Call it again for more credentials, any one of which suffices, and for
    /// more users.
    pub fn user(mut self, name: impl Into<String>, credential: Credential) -> Self {
        self.users.add(name.into(), credential);
        self
    }

    /// Makes `name` prove one credential of each kind that it has, in any order, before it is in: two-factor login by
    /// partial success (RFC 4252 section 5.1).
    pub fn require_all(mut self, name: impl Into<String>) -> Self {
        self.users.require_all(name.into());
        self
    }

    /// Adds a host key. Call it again for keys of other types. Without any, an ed25519 key is made in memory.
    pub fn host_key(mut self, key: KeyPair) -> Self {
        self.host_keys.push(key);
        self
    }

    /// Answers `command`, compared byte by byte, with `reply`. This goes before any handler or shell.
    pub fn command(mut self, command: impl Into<Bytes>, reply: Reply) -> Self {
        self.table.insert(command.into(), reply);
        self
    }

    /// Answers every other command with what `answer` returns. It must not block; [`ServerBuilder::on_exec`] is for
    /// that. Replaces an earlier `answer_with`, `on_exec` or `real_shell`.
    pub fn answer_with(self, answer: impl Fn(&ExecRequest) -> Reply + Send + Sync + 'static) -> Self {
        self.others(Arc::new(move |request| {
            let reply = answer(&request);
            Box::pin(reply.send(request))
        }))
    }

    /// Runs `handler` for every other command, with the streams of its channel. Its future is dropped when the client
    /// closes the channel; a panic reaches the client as exit code 255. Replaces an earlier `answer_with`, `on_exec`
    /// or `real_shell`.
    pub fn on_exec<F, R>(self, handler: F) -> Self
    where
        F: Fn(ExecRequest) -> R + Send + Sync + 'static,
        R: Future<Output = ExitOutcome> + Send + 'static,
    {
        self.others(Arc::new(move |request| Box::pin(handler(request))))
    }

    /// Runs every other command in a REAL SHELL on this machine: `$SHELL -c COMMAND` (`/bin/sh` when `SHELL` is not
    /// set), with this process's user, environment and working directory. Whoever logs in can do what this process
    /// can. Terminals, interactive shells, window changes, environment variables and signals work; the process group
    /// is killed when the channel closes or the server stops.
    ///
    /// Replaces an earlier `answer_with`, `on_exec` or `real_shell`.
    #[cfg(unix)]
    pub fn real_shell(self) -> Self {
        self.on_exec(crate::shell::run)
    }

    /// Answers every other command as it was recorded, and calls itself what the recorded server did: see [`Replay`]. Keep a
    /// clone to ask which commands were lacking. Replaces an earlier `answer_with`, `on_exec` or `real_shell`.
    pub fn replay(mut self, replay: Replay) -> Self {
        self.face = replay.face();
        self.others(Arc::new(move |request| {
            Box::pin(replay::answer(request, replay.clone()))
        }))
    }

    /// Serves this tree in memory to everybody who is logged in: over SFTP, version 3 with OpenSSH's extensions, and to
    /// the commands that `scp -O` sends, which no handler sees then. Keep a clone to see what clients uploaded, and to change it meanwhile. Without files there is no SFTP. Replaces an earlier
    /// [`ServerBuilder::directory`].
    pub fn files(mut self, files: VirtualFiles) -> Self {
        self.files = Some(Files::Virtual(files));
        self
    }

    /// Serves this directory of this machine over SFTP and SCP, to everybody who is logged in: they may do there what this process
    /// may. It is the root of their paths, and neither `..` nor a symbolic link leads out of it, whatever is renamed
    /// meanwhile. A link that begins with a slash starts at this directory. New files and directories get the mode that
    /// the client asks for, and the process's umask takes nothing from it. Replaces earlier [`ServerBuilder::files`].
    #[cfg(unix)]
    pub fn directory(mut self, path: impl Into<PathBuf>) -> Self {
        self.files = Some(Files::Directory(path.into()));
        self
    }

    /// The port to listen on. Default 0: any free one.
    pub fn port(mut self, port: u16) -> Self {
        self.addr.set_port(port);
        self
    }

    /// Listens on `::1` instead of `127.0.0.1`.
    pub fn loopback_v6(mut self) -> Self {
        self.addr.set_ip(IpAddr::V6(Ipv6Addr::LOCALHOST));
        self
    }

    /// Listens on any address, where others may reach it. This server is made for tests and demos: it does not slow
    /// down those who guess passwords, and with [`ServerBuilder::real_shell`] whoever gets in is this process's user.
    pub fn danger_bind(mut self, addr: SocketAddr) -> Self {
        self.addr = addr;
        self
    }

    /// Lets clients forward: have connections opened to any host and port and unix socket that this process can reach, and
    /// have this machine listen on loopback ports and unix sockets for them (RFC 4254 section 7, and
    /// `direct-streamlocal@openssh.com` and `streamlocal-forward@openssh.com` in OpenSSH's PROTOCOL). Without it all of
    /// that is refused.
    pub fn allow_forwarding(mut self) -> Self {
        self.forwarding.allowed = true;
        self
    }

    /// Lets clients forward, but have connections opened only to this host and port; call it again for more. Names and
    /// addresses are compared as the client writes them. As `PermitOpen` in sshd_config(5).
    pub fn permit_open(mut self, host: impl Into<String>, port: u16) -> Self {
        self.forwarding.targets.push((host.into(), port));
        self.allow_forwarding()
    }

    /// Lets clients forward, and have this machine listen on any address, where others may reach what the client offers.
    /// As `GatewayPorts clientspecified` in sshd_config(5).
    pub fn danger_gateway_ports(mut self) -> Self {
        self.forwarding.gateway_ports = true;
        self.allow_forwarding()
    }

    /// Lets the server fail from the start: its link for all connections that come, its files, or refusals beside it. Call it again
    /// for more; of the faults of the link the last one counts. See [`Server::set_fault`] for failing later.
    pub fn fault(mut self, fault: impl Into<ServerFault>) -> Self {
        self.faults.push(fault.into());
        self
    }

    /// How many connections are served at a time; further ones wait to be accepted until one has ended. At least 1, and no
    /// more than the process may have open files: each connection is one. Default 2048.
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.limits.max_connections = connections.max(1);
        self
    }

    /// Sessions at a time on one connection; further channels are refused as sshd does. Default 10, as `MaxSessions`
    /// in sshd_config(5).
    pub fn max_sessions(mut self, sessions: usize) -> Self {
        self.limits.max_sessions = sessions;
        self
    }

    /// Failed login requests after which the next one ends the connection, a `none` request included. Default 6, as
    /// `MaxAuthTries` in sshd_config(5).
    pub fn max_auth_tries(mut self, tries: usize) -> Self {
        self.limits.max_auth_tries = tries;
        self
    }

    /// How long a client may take from connecting to being logged in. Default 120 seconds, as `LoginGraceTime` in
    /// sshd_config(5).
    pub fn login_grace_time(mut self, time: Duration) -> Self {
        self.limits.login_grace_time = time;
        self
    }

    /// Calls `observer` when a command starts, with an entry that has no exit yet, and again when it has ended. A
    /// command that the client or a shutdown ends first gets no second call. It must not block.
    pub fn on_log(mut self, observer: impl Fn(&LogEntry) + Send + Sync + 'static) -> Self {
        self.observer = Some(Box::new(observer));
        self
    }

    /// Calls `observer` for everything that a client does to a file. It must not block.
    pub fn on_file(mut self, observer: impl Fn(&FileEntry) + Send + Sync + 'static) -> Self {
        self.file_observer = Some(Box::new(observer));
        self
    }

    /// Starts the server on the current tokio runtime.
    ///
    /// # Errors
    /// When the address cannot be listened on, or a host key cannot be made.
    ///
    /// # Panics
    /// Outside a tokio runtime, as everything of tokio does.
    pub async fn bind(mut self) -> Result<Server, BindError> {
        let host_key = match self.host_keys.first() {
            Some(given) => given.public_key().clone(),
            None => {
                let made = KeyPair::generate_ed25519()?;
                let public = made.public_key().clone();
                self.host_keys.push(made);
                public
            }
        };
        let failed = |source| BindError::Listen {
            addr: self.addr,
            source,
        };
        let faults = Faults::new(Door::open(self.addr).map_err(failed)?);
        let served = match self.files {
            Some(files) => {
                let faults = Arc::new(FileFaults::default());
                let tree = Failing {
                    tree: files.open()?,
                    faults: faults.clone(),
                };
                Some(Arc::new(Served {
                    tree: Arc::new(tree),
                    log: FileLog::new(self.file_observer),
                    faults,
                }))
            }
            None => None,
        };
        let protocol = Protocol {
            config: config(&self.users, self.limits, &self.face, &self.host_keys),
            users: Arc::new(CurrentUsers::new(self.users)),
            commands: with_table(self.table, with_scp(served.clone(), self.others)),
            limits: self.limits,
            forwarding: Arc::new(self.forwarding),
            refusals: Arc::new(Refusals::default()),
            log: Arc::new(Log::new(self.observer)),
            face: self.face,
            served,
        };
        let server = Server::start(faults, host_key, protocol);
        for fault in self.faults {
            match fault {
                // Nothing is open yet that a moment could happen to.
                ServerFault::Link(fault) => server.faults().set_next(fault),
                refusal => server.set_fault(refusal),
            }
        }
        Ok(server)
    }

    fn others(mut self, others: Commands) -> Self {
        self.others = others;
        self
    }
}

/// Scp's own commands first, where there are files, then the others.
fn with_scp(served: Option<Arc<Served>>, others: Commands) -> Commands {
    let Some(served) = served else { return others };
    Arc::new(
        move |request: ExecRequest| match request.command.as_deref().and_then(ScpCommand::parse) {
            Some(command) => Box::pin(scp::serve(command, request, served.clone())),
            None => others(request),
        },
    )
}

/// The table first, then the others.
fn with_table(table: HashMap<Bytes, Reply>, others: Commands) -> Commands {
    Arc::new(move |request: ExecRequest| {
        match request.command.as_ref().and_then(|command| table.get(command)) {
            Some(reply) => Box::pin(reply.clone().send(request)),
            None => others(request),
        }
    })
}
