//! What a client holds on to between calls: its settings, its connections, and what runs over them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sternline::fleet::Keep;
use sternline::forward::ForwardHandle;
use sternline::{AutomationEngine, Connection, Fleet};

use super::connect;
use super::result::reason;
use super::rules::OnError;
use super::settings::Settings;
use crate::session::Session;

/// A dialogue, for as long as it is not closed.
pub(super) type Engine = Arc<tokio::sync::Mutex<Option<AutomationEngine>>>;

#[derive(Debug)]
pub(super) struct Work {
    pub(super) settings: Settings,
    /// What results call the hosts.
    pub(super) labels: Arc<[String]>,
    keep: Keep,
    /// Made by the first call, which reads the files that it needs.
    fleet: Mutex<Option<Fleet>>,
    forwards: Mutex<Vec<ForwardHandle>>,
    dialogues: Mutex<Vec<Engine>>,
}

impl Work {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            labels: settings.hosts.iter().map(|host| host.label.clone()).collect(),
            settings,
            keep: Keep::new(),
            fleet: Mutex::default(),
            forwards: Mutex::default(),
            dialogues: Mutex::default(),
        }
    }

    /// The hosts, with the rules of a call.
    ///
    /// # Errors
    /// When a file that the settings name cannot be used.
    pub(super) async fn fleet(
        self: &Arc<Self>,
        session: &Session,
        on_error: OnError,
    ) -> anyhow::Result<Fleet> {
        let known = lock(&self.fleet).clone();
        let fleet = match known {
            Some(fleet) => fleet,
            None => {
                let (work, session) = (Arc::clone(self), session.clone());
                let making = move || connect::fleet(&work.settings, &session, &work.keep);
                let fleet = tokio::task::spawn_blocking(making).await??;
                *lock(&self.fleet) = Some(fleet.clone());
                fleet
            }
        };
        Ok(self.settings.rules.apply(fleet, on_error))
    }

    /// Something has failed. What was read may be the reason, and whoever tries again may have changed it.
    pub(super) fn read_again(&self) {
        lock(&self.fleet).take();
    }

    /// The connection to one host, made if need be.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) async fn connection(
        self: &Arc<Self>,
        session: &Session,
        index: usize,
    ) -> anyhow::Result<Connection> {
        let fleet = self.fleet(session, OnError::Raise).await?;
        let connection = fleet.connection(index).await;
        connection.map_err(|error| {
            self.read_again();
            let label = self.labels.get(index).map(String::as_str).unwrap_or_default();
            anyhow::anyhow!("host {label}: {}", reason(&error))
        })
    }

    pub(super) fn remember_forward(&self, forward: &ForwardHandle) {
        lock(&self.forwards).push(forward.clone());
    }

    pub(super) fn remember_dialogue(&self, dialogue: &Engine) {
        lock(&self.dialogues).push(Arc::clone(dialogue));
    }

    /// Ends everything in good order. The next call connects anew.
    pub(super) async fn close(&self) {
        let forwards = std::mem::take(&mut *lock(&self.forwards));
        for forward in forwards {
            forward.close().await;
        }
        let dialogues = std::mem::take(&mut *lock(&self.dialogues));
        for dialogue in dialogues {
            // Dropped, it ends its program. One that somebody waits on is left to him.
            if let Ok(mut dialogue) = dialogue.try_lock() {
                dialogue.take();
            }
        }
        // It holds on to the jump hosts.
        self.read_again();
        self.keep.close().await;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
