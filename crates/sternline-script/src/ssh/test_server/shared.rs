//! What a test server is, behind its value: settings that may change at any time, and the server while it runs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sternline::Secret;
use sternline_server::fault::ServerFault;
use sternline_server::{BindError, Credential, KeyPair, LogEntry, Server, ServerBuilder, VirtualFiles};

use super::exec::{Exec, is_our_own};
use super::uploads::Uploads;
use crate::ssh::RunKeys;

/// One test server. It stops when the last one who knows it has gone.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(super) files: VirtualFiles,
    pub(super) uploads: Arc<Uploads>,
    pub(super) exec: Arc<Exec>,
    pub(super) host_key: KeyPair,
    keys: Arc<RunKeys>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    users: Vec<User>,
    /// What is to fail from the start on.
    faults: Vec<ServerFault>,
    running: Option<Server>,
    /// The last one that ran, for what is asked of it later.
    last: Option<Server>,
}

/// Somebody who may log in.
#[derive(Debug)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) password: Option<Secret>,
    /// Lines of `.pub` files. Without any, all keys of the run are let in.
    pub(super) keys: Vec<String>,
}

impl Shared {
    pub(super) fn new(user: User, host_key: KeyPair, files: VirtualFiles, keys: &Arc<RunKeys>) -> Arc<Self> {
        let shared = Arc::new(Self {
            exec: Arc::new(Exec::new(files.clone())),
            files,
            uploads: Arc::default(),
            host_key,
            keys: keys.clone(),
            state: Mutex::new(State {
                users: vec![user],
                faults: Vec::new(),
                running: None,
                last: None,
            }),
        });
        keys.serve(&shared);
        shared
    }

    /// Starts it, unless it runs: on the port that it had before, where that is still free.
    pub(super) async fn start(&self) -> Result<(), BindError> {
        if self.lock().running.is_some() {
            return Ok(());
        }
        let port = self.port();
        let server = match self.builder(port).bind().await {
            Err(BindError::Listen { .. }) if port != 0 => self.builder(0).bind().await?,
            bound => bound?,
        };
        let mut state = self.lock();
        state.running = Some(server.clone());
        state.last = Some(server);
        Ok(())
    }

    /// Stops it, and with it all its connections.
    pub(super) async fn stop(&self) {
        let running = self.lock().running.take();
        if let Some(server) = running {
            server.shutdown().await;
        }
    }

    fn builder(&self, port: u16) -> ServerBuilder {
        let (uploads, exec) = (self.uploads.clone(), self.exec.clone());
        let mut builder = Server::builder()
            .port(port)
            .host_key(self.host_key.clone())
            .files(self.files.clone())
            .on_file(move |entry| uploads.note(entry))
            .on_exec(move |request| exec.clone().run(request));
        for (name, credential) in self.credentials() {
            builder = builder.user(name, credential);
        }
        for fault in std::mem::take(&mut self.lock().faults) {
            builder = builder.fault(fault);
        }
        builder
    }

    /// Who may log in now, and with what.
    fn credentials(&self) -> Vec<(String, Credential)> {
        let of_the_run = self.keys.lines();
        let state = self.lock();
        let mut credentials = Vec::new();
        for user in &state.users {
            if let Some(password) = &user.password {
                credentials.push((user.name.clone(), Credential::password(password.expose())));
            }
            let keys = if user.keys.is_empty() {
                &of_the_run
            } else {
                &user.keys
            };
            // They were read before they got here.
            let keys = keys.iter().filter_map(|line| Credential::public_key(line).ok());
            credentials.extend(keys.map(|key| (user.name.clone(), key)));
        }
        credentials
    }

    /// Tells the running server who may log in now.
    pub(crate) fn users_changed(&self) {
        let credentials = self.credentials();
        if let Some(server) = self.running() {
            server.set_users(credentials);
        }
    }

    /// Changes a user, who is added when there is none of the name. An empty name is the first user.
    pub(super) fn with_user(&self, name: &str, change: impl FnOnce(&mut User)) {
        let mut state = self.lock();
        let known = state
            .users
            .iter_mut()
            .find(|user| name.is_empty() || user.name == name);
        match known {
            Some(user) => change(user),
            None => {
                let mut user = User {
                    name: name.to_owned(),
                    password: None,
                    keys: Vec::new(),
                };
                change(&mut user);
                state.users.push(user);
            }
        }
        drop(state);
        self.users_changed();
    }

    pub(super) fn fail(&self, fault: ServerFault) {
        let mut state = self.lock();
        match &state.running {
            Some(server) => server.set_fault(fault),
            None => state.faults.push(fault),
        }
    }

    pub(super) fn heal(&self) {
        let mut state = self.lock();
        state.faults.clear();
        if let Some(server) = &state.running {
            server.heal();
        }
    }

    /// 0 before the first start.
    pub(super) fn port(&self) -> u16 {
        self.lock().last.as_ref().map_or(0, Server::port)
    }

    pub(super) fn known_hosts_line(&self) -> Option<String> {
        self.lock().last.as_ref().map(Server::known_hosts_line)
    }

    /// Connections that are open.
    pub(super) fn connections(&self) -> u64 {
        self.running().map_or(0, |server| server.faults().counters().open)
    }

    /// The commands that clients have asked for since the last start.
    pub(super) fn log(&self) -> Vec<LogEntry> {
        let last = self.lock().last.clone();
        let mut log = last.map(|server| server.log()).unwrap_or_default();
        log.retain(|entry| entry.command.as_ref().is_some_and(|command| !is_our_own(command)));
        log
    }

    pub(super) fn running(&self) -> Option<Server> {
        self.lock().running.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
