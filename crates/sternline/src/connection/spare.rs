//! The session that is opened ahead of its use.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::transport::channel::Channel;

/// How often the spare session may be refused before no further one is tried.
const REFUSALS: u32 = 3;

/// At most one session, open or on its way. Somebody may wait for the one on its way instead of opening another.
#[derive(Default)]
pub(super) struct Spare {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    refusals: u32,
    /// No further one is wanted.
    is_last: bool,
    session: Session,
}

#[derive(Default)]
enum Session {
    #[default]
    None,
    Opening {
        claim: Option<oneshot::Sender<Channel>>,
        held: Option<Box<dyn Send>>,
    },
    Ready(Channel),
}

impl Spare {
    /// Whether the caller is to open one now. If so, it has to say how that ended.
    pub(super) fn begin(&self) -> bool {
        let mut state = self.lock();
        let missing = match &state.session {
            Session::None => true,
            Session::Opening { .. } => false,
            Session::Ready(channel) => channel.sender().has_ended(),
        };
        if !missing || state.is_last || state.refusals >= REFUSALS {
            return false;
        }
        state.session = Session::Opening {
            claim: None,
            held: None,
        };
        true
    }

    /// The one that is open or on its way is the last.
    pub(super) fn is_last(&self) {
        self.lock().is_last = true;
    }

    /// What [`Spare::begin`] asked for is there: it goes to whoever waits for it.
    pub(super) fn opened(&self, channel: Channel) {
        let mut state = self.lock();
        state.refusals = 0;
        let claim = match std::mem::take(&mut state.session) {
            Session::Opening { claim, .. } => claim,
            Session::None | Session::Ready(_) => None,
        };
        let left = match claim {
            Some(claim) => claim.send(channel).err(),
            None => Some(channel),
        };
        if let Some(channel) = left {
            state.session = Session::Ready(channel);
        }
    }

    /// What [`Spare::begin`] asked for could not be had. Whoever waits for it is told by its end.
    pub(super) fn failed(&self, refused: bool) {
        let mut state = self.lock();
        state.refusals += u32::from(refused);
        state.session = Session::None;
    }

    /// Keeps something until the one that is on its way is there or cannot be had; if none is, it is dropped at once.
    pub(super) fn hold(&self, thing: Box<dyn Send>) {
        if let Session::Opening { held, .. } = &mut self.lock().session {
            *held = Some(thing);
        }
    }

    /// The session, if it is open now.
    pub(super) fn take(&self) -> Option<Channel> {
        let mut state = self.lock();
        match std::mem::take(&mut state.session) {
            Session::Ready(channel) => Some(channel).filter(|channel| !channel.sender().has_ended()),
            other => {
                state.session = other;
                None
            }
        }
    }

    /// A place to wait for the session that is on its way, unless somebody has it. Giving the place up is harmless.
    pub(super) fn claim(&self) -> Option<oneshot::Receiver<Channel>> {
        match &mut self.lock().session {
            Session::Opening { claim, .. } if claim.as_ref().is_none_or(oneshot::Sender::is_closed) => {
                let (sender, receiver) = oneshot::channel();
                *claim = Some(sender);
                Some(receiver)
            }
            _ => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
