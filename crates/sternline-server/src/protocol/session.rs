//! The session channels of one connection, and what each has until something is started on it.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;

use russh::server::Msg;
use russh::{Channel, ChannelId};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::exec::{Control, ControlEvents, Pty, WindowSize};
use crate::protocol::channel::Closed;
use crate::stdin::{Stdin, StdinSender, stdin};

/// Environment variables kept per channel; more are refused.
const MAX_ENV: usize = 256;
/// Bytes of one environment variable; longer ones are refused.
const MAX_ENV_BYTES: usize = 32 * 1024;
/// Control messages kept for a handler that does not read them.
const MAX_CONTROL: usize = 64;

pub(super) struct Sessions {
    slots: Arc<Semaphore>,
    channels: HashMap<ChannelId, OpenChannel>,
}

/// A session channel. Dropping it ends what runs there.
struct OpenChannel {
    stdin: StdinSender,
    control: mpsc::Sender<Control>,
    /// Its receiver is with the running command, which ends when this is dropped.
    open: oneshot::Sender<Infallible>,
    /// What the channel has until something is started on it.
    setup: Option<Setup>,
}

/// What is asked for on a channel before something is started on it.
pub(super) struct Setup {
    pub(super) channel: Channel<Msg>,
    pub(super) stdin: Stdin,
    pub(super) control: ControlEvents,
    pub(super) closed: Closed,
    pub(super) env: Vec<(String, String)>,
    pub(super) pty: Option<Pty>,
    pub(super) slot: OwnedSemaphorePermit,
}

impl Sessions {
    pub(super) fn new(max: usize) -> Self {
        Self {
            slots: Arc::new(Semaphore::new(max)),
            channels: HashMap::new(),
        }
    }

    /// Takes a new channel in; false when there are too many already.
    pub(super) fn open(&mut self, channel: Channel<Msg>) -> bool {
        // No callback tells of a channel that we closed ourselves.
        self.channels.retain(|_, channel| !channel.open.is_closed());
        let Ok(slot) = self.slots.clone().try_acquire_owned() else {
            return false;
        };
        let (stdin_sender, stdin) = stdin();
        let (control_sender, control) = mpsc::channel(MAX_CONTROL);
        let (open, closed) = oneshot::channel();
        let id = channel.id();
        let setup = Setup {
            channel,
            stdin,
            control: ControlEvents(control),
            closed,
            env: Vec::new(),
            pty: None,
            slot,
        };
        let channel = OpenChannel {
            stdin: stdin_sender,
            control: control_sender,
            open,
            setup: Some(setup),
        };
        self.channels.insert(id, channel);
        true
    }

    pub(super) fn close(&mut self, id: ChannelId) {
        self.channels.remove(&id);
    }

    /// What was asked for on the channel, once: only one request per channel can start something (RFC 4254 section 6.5).
    pub(super) fn start(&mut self, id: ChannelId) -> Option<Setup> {
        self.channels.get_mut(&id)?.setup.take()
    }

    /// Where the channel's input goes.
    pub(super) fn stdin(&self, id: ChannelId) -> Option<&StdinSender> {
        self.channels.get(&id).map(|channel| &channel.stdin)
    }

    /// False when it is too late for a terminal.
    pub(super) fn set_pty(&mut self, id: ChannelId, pty: Pty) -> bool {
        let setup = self.setup(id);
        setup.map(|setup| setup.pty = Some(pty)).is_some()
    }

    /// False when the variable is not sound, one too many, or too late.
    pub(super) fn add_env(&mut self, id: ChannelId, name: &str, value: &str) -> bool {
        let sound = !name.is_empty()
            && !name.contains(['=', '\0'])
            && !value.contains('\0')
            && name.len() + value.len() <= MAX_ENV_BYTES;
        match self.setup(id) {
            Some(setup) if sound && setup.env.len() < MAX_ENV => {
                setup.env.push((name.to_owned(), value.to_owned()));
                true
            }
            _ => false,
        }
    }

    pub(super) fn resize(&mut self, id: ChannelId, size: WindowSize) {
        match self.setup(id) {
            Some(Setup { pty: Some(pty), .. }) => pty.size = size,
            _ => self.control(id, Control::Resize(size)),
        }
    }

    pub(super) fn control(&self, id: ChannelId, message: Control) {
        if let Some(channel) = self.channels.get(&id) {
            // A handler that reads none of them must not hold up the connection.
            let _ = channel.control.try_send(message);
        }
    }

    /// The channel's settings, as long as nothing has been started on it.
    fn setup(&mut self, id: ChannelId) -> Option<&mut Setup> {
        self.channels.get_mut(&id)?.setup.as_mut()
    }
}
