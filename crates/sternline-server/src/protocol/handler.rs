//! The protocol crate's callbacks for one connection.
//!
//! They run on the session's loop, so none of them waits for anything but the last resort of
//! [`crate::stdin::StdinSender::push`].

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use russh::keys::{Algorithm, ssh_key};
use russh::server::{
    Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, Response, Session, VerifiedPublicKey,
};
use russh::{Channel, ChannelId, ChannelOpenFailure, Pty as Mode, Sig};
use sternline_proto::text::escape;
use tokio::sync::oneshot;
use tracing::debug;

use crate::credential::{Factor, Login, Verdict, answers_are_right};
use crate::exec::{Commands, Control, ExecRequest, Pty, WindowSize};
use crate::fault::ChannelRefusal;
use crate::lifetime::{Alive, Stop};
use crate::output::Output;
use crate::protocol::channel::Job;
use crate::protocol::config::{Protocol, methods};
use crate::protocol::forward::{Bound, Forwards, Target};
use crate::protocol::key::public_key;
use crate::protocol::session::Sessions;
use crate::sftp;

/// The code of standard error in extended data (RFC 4254 section 5.2).
const STDERR: u32 = 1;

pub(crate) struct ConnectionHandler {
    protocol: Arc<Protocol>,
    peer: SocketAddr,
    local: SocketAddr,
    login: Login,
    /// Keyboard-interactive attempts so far, which choose the questions.
    attempts: usize,
    user: String,
    authenticated: Option<oneshot::Sender<()>>,
    sessions: Sessions,
    forwards: Forwards,
    stop: Stop,
    alive: Alive,
}

impl ConnectionHandler {
    pub(crate) fn new(
        protocol: Arc<Protocol>,
        peer: SocketAddr,
        local: SocketAddr,
        authenticated: oneshot::Sender<()>,
        stop: Stop,
        alive: Alive,
    ) -> Self {
        Self {
            sessions: Sessions::new(protocol.limits.max_sessions),
            peer,
            local,
            login: Login::default(),
            attempts: 0,
            user: String::new(),
            authenticated: Some(authenticated),
            forwards: Forwards::new(protocol.forwarding.clone(), alive.clone()),
            stop,
            alive,
            protocol,
        }
    }

    fn decide(&mut self, user: &str, factor: Factor, right: bool) -> Auth {
        debug!(peer = %self.peer, user = escape(user), ?factor, right, "login attempt");
        let users = self.protocol.users.now();
        if !right || self.protocol.refusals.takes_auth() {
            return reject(&self.login.offered(&users, user), false);
        }
        match self.login.passed(&users, user, factor) {
            Verdict::Accepted => {
                user.clone_into(&mut self.user);
                Auth::Accept
            }
            Verdict::Partial(missing) => reject(&missing, true),
        }
    }

    fn key_is_listed(&self, user: &str, key: &ssh_key::PublicKey, algorithm: &Algorithm) -> bool {
        // A SHA-1 signature proves nothing any more.
        let weak = matches!(algorithm, Algorithm::Rsa { hash: None });
        !weak && public_key(key).is_some_and(|key| self.protocol.users.now().key_is_listed(user, &key))
    }

    /// Starts a command, or a shell when there is none.
    fn start(
        &mut self,
        id: ChannelId,
        command: Option<Bytes>,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        let runs = self.protocol.commands.clone();
        self.start_with(id, command, None, runs, session)
    }

    fn start_with(
        &mut self,
        id: ChannelId,
        command: Option<Bytes>,
        subsystem: Option<String>,
        runs: Commands,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        let Some(setup) = self.sessions.start(id) else {
            return session.channel_failure(id);
        };
        session.channel_success(id)?;
        let request = ExecRequest {
            user: self.user.clone(),
            peer: self.peer,
            local: self.local,
            command,
            env: setup.env,
            pty: setup.pty,
            stdin: setup.stdin,
            stdout: Output::new(setup.channel.make_writer()),
            stderr: Output::new(setup.channel.make_writer_ext(Some(STDERR))),
            control: setup.control,
            alive: self.alive.clone(),
        };
        let job = Job {
            protocol: self.protocol.clone(),
            runs,
            subsystem,
            client: session.handle(),
            channel: id,
            closed: setup.closed,
            stop: self.stop.clone(),
            slot: setup.slot,
        };
        tokio::spawn(job.run(request));
        Ok(())
    }

    /// Opens a connection for a client, if channels are opened at all.
    async fn open(&mut self, target: Target<'_>, channel: Channel<Msg>, reply: ChannelOpenHandle) {
        match self.protocol.refusals.takes_channel() {
            Some(reason) => reply.reject(failure(reason)).await,
            None => self.forwards.open(target, channel, reply).await,
        }
    }
}

impl Handler for ConnectionHandler {
    type Error = russh::Error;

    async fn authentication_banner(&mut self) -> Result<Option<String>, russh::Error> {
        Ok(self.protocol.face.banner.clone())
    }

    async fn auth_none(&mut self, user: &str) -> Result<Auth, russh::Error> {
        Ok(reject(
            &self.login.offered(&self.protocol.users.now(), user),
            false,
        ))
    }

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, russh::Error> {
        let right = self.protocol.users.now().password_is_right(user, password);
        Ok(self.decide(user, Factor::Password, right))
    }

    async fn auth_publickey_offered(
        &mut self,
        user: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, russh::Error> {
        let listed = self.key_is_listed(user, offer.public_key, offer.algorithm);
        if listed && !self.protocol.refusals.takes_auth() {
            return Ok(Auth::Accept);
        }
        Ok(self.decide(user, Factor::PublicKey, false))
    }

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, russh::Error> {
        let right = self.key_is_listed(user, key.public_key, key.algorithm);
        Ok(self.decide(user, Factor::PublicKey, right))
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        user: &str,
        _submethods: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, russh::Error> {
        let users = self.protocol.users.now();
        let Some(prompts) = users.prompts(user, self.attempts) else {
            return Ok(self.decide(user, Factor::KeyboardInteractive, false));
        };
        let Some(response) = response else {
            return Ok(Auth::Partial {
                name: "".into(),
                instructions: "".into(),
                prompts: prompts
                    .iter()
                    .map(|prompt| (prompt.text.clone().into(), prompt.echo))
                    .collect(),
            });
        };
        self.attempts += 1;
        let answers: Vec<Bytes> = response.collect();
        let right = answers_are_right(prompts, answers.iter().map(Bytes::as_ref));
        Ok(self.decide(user, Factor::KeyboardInteractive, right))
    }

    async fn auth_succeeded(&mut self, _session: &mut Session) -> Result<(), russh::Error> {
        debug!(peer = %self.peer, user = escape(&self.user), "logged in");
        if let Some(authenticated) = self.authenticated.take() {
            let _ = authenticated.send(());
        }
        Ok(())
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        if let Some(reason) = self.protocol.refusals.takes_channel() {
            reply.reject(failure(reason)).await;
            return Ok(());
        }
        if self.sessions.open(channel) {
            reply.accept().await;
        } else {
            debug!(peer = %self.peer, max = self.protocol.limits.max_sessions, "session refused: too many");
            reply.reject(ChannelOpenFailure::ConnectFailed).await;
        }
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host: &str,
        port: u32,
        _originator_address: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        self.open(Target::Port(host, port), channel, reply).await;
        Ok(())
    }

    async fn channel_open_direct_streamlocal(
        &mut self,
        channel: Channel<Msg>,
        path: &str,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        self.open(Target::Socket(path), channel, reply).await;
        Ok(())
    }

    async fn tcpip_forward(
        &mut self,
        address: &str,
        port: &mut u32,
        session: &mut Session,
    ) -> Result<bool, russh::Error> {
        let chosen = self.forwards.listen(address, *port, &session.handle());
        *port = chosen.unwrap_or(*port);
        Ok(chosen.is_some())
    }

    async fn cancel_tcpip_forward(
        &mut self,
        address: &str,
        port: u32,
        _session: &mut Session,
    ) -> Result<bool, russh::Error> {
        Ok(self.forwards.cancel(&Bound::Port(address.to_owned(), port)))
    }

    #[cfg(unix)]
    async fn streamlocal_forward(&mut self, path: &str, session: &mut Session) -> Result<bool, russh::Error> {
        Ok(self.forwards.listen_socket(path, &session.handle()))
    }

    #[cfg(unix)]
    async fn cancel_streamlocal_forward(
        &mut self,
        path: &str,
        _session: &mut Session,
    ) -> Result<bool, russh::Error> {
        Ok(self.forwards.cancel(&Bound::Socket(path.to_owned())))
    }

    async fn channel_close(&mut self, id: ChannelId, _session: &mut Session) -> Result<(), russh::Error> {
        self.sessions.close(id);
        Ok(())
    }

    async fn channel_eof(&mut self, id: ChannelId, _session: &mut Session) -> Result<(), russh::Error> {
        if let Some(stdin) = self.sessions.stdin(id) {
            stdin.end();
        }
        Ok(())
    }

    async fn data(&mut self, id: ChannelId, data: &[u8], _session: &mut Session) -> Result<(), russh::Error> {
        if let Some(stdin) = self.sessions.stdin(id) {
            stdin.push(data).await;
        }
        Ok(())
    }

    async fn pty_request(
        &mut self,
        id: ChannelId,
        term: &str,
        columns: u32,
        rows: u32,
        width_px: u32,
        height_px: u32,
        modes: &[(Mode, u32)],
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        let pty = Pty {
            term: term.to_owned(),
            size: WindowSize {
                columns,
                rows,
                width_px,
                height_px,
            },
            modes: modes.iter().map(|(mode, value)| (*mode as u8, *value)).collect(),
        };
        answer(session, id, self.sessions.set_pty(id, pty))
    }

    async fn env_request(
        &mut self,
        id: ChannelId,
        name: &str,
        value: &str,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        answer(session, id, self.sessions.add_env(id, name, value))
    }

    async fn exec_request(
        &mut self,
        id: ChannelId,
        command: &[u8],
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        self.start(id, Some(Bytes::copy_from_slice(command)), session)
    }

    async fn shell_request(&mut self, id: ChannelId, session: &mut Session) -> Result<(), russh::Error> {
        self.start(id, None, session)
    }

    async fn window_change_request(
        &mut self,
        id: ChannelId,
        columns: u32,
        rows: u32,
        width_px: u32,
        height_px: u32,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        let size = WindowSize {
            columns,
            rows,
            width_px,
            height_px,
        };
        self.sessions.resize(id, size);
        Ok(())
    }

    async fn signal(
        &mut self,
        id: ChannelId,
        signal: Sig,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        let name = match signal {
            Sig::Custom(name) => name,
            known => format!("{known:?}"),
        };
        self.sessions.control(id, Control::Signal(name));
        Ok(())
    }

    // The protocol crate leaves these two unanswered by default, and the client waits.

    async fn x11_request(
        &mut self,
        id: ChannelId,
        _single_connection: bool,
        _protocol: &str,
        _cookie: &str,
        _screen: u32,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        session.channel_failure(id)
    }

    async fn subsystem_request(
        &mut self,
        id: ChannelId,
        name: &str,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        match &self.protocol.served {
            Some(served) if name == "sftp" && !served.faults.hides_sftp() => {
                let served = served.clone();
                let runs: Commands = Arc::new(move |request| Box::pin(sftp::serve(request, served.clone())));
                self.start_with(id, None, Some(name.to_owned()), runs, session)
            }
            _ => session.channel_failure(id),
        }
    }
}

/// Answers a request on a channel.
fn answer(session: &mut Session, id: ChannelId, granted: bool) -> Result<(), russh::Error> {
    if granted {
        session.channel_success(id)
    } else {
        session.channel_failure(id)
    }
}

fn failure(reason: ChannelRefusal) -> ChannelOpenFailure {
    match reason {
        ChannelRefusal::AdministrativelyProhibited => ChannelOpenFailure::AdministrativelyProhibited,
        ChannelRefusal::ConnectFailed => ChannelOpenFailure::ConnectFailed,
        ChannelRefusal::UnknownChannelType => ChannelOpenFailure::UnknownChannelType,
        ChannelRefusal::ResourceShortage => ChannelOpenFailure::ResourceShortage,
    }
}

/// A refusal that names `factors` as what may be tried.
fn reject(factors: &[Factor], partial_success: bool) -> Auth {
    Auth::Reject {
        proceed_with_methods: Some(methods(factors)),
        partial_success,
    }
}
