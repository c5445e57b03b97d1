//! What a connection was made with, for another one like it and for evidence.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::builder::ConnectionBuilder;
use super::evidence::configuration;
use super::open::destination;
use crate::config::Env;

/// The settings of a connection. What evidence has of them is only put together when somebody asks: most connections end
/// without, and of many open ones each would keep it.
pub(super) enum Settings {
    /// While the connection is open.
    Kept {
        builder: Box<ConnectionBuilder>,
        env: Arc<Env>,
    },
    /// Afterwards, as evidence has them: the settings themselves keep jump hosts and secrets.
    Told(Map<String, Value>),
}

impl Settings {
    pub(super) fn new(builder: ConnectionBuilder, env: Arc<Env>) -> Self {
        Self::Kept {
            builder: Box::new(builder),
            env,
        }
    }

    /// What another connection like it can be made with.
    pub(super) fn builder(&self) -> Option<&ConnectionBuilder> {
        match self {
            Self::Kept { builder, .. } => Some(builder),
            Self::Told(_) => None,
        }
    }

    /// The settings as evidence has them.
    pub(super) fn configuration(&self) -> Map<String, Value> {
        match self {
            // It was connected to, so that there is a destination.
            Self::Kept { builder, env } => destination(builder, env)
                .map(|destination| configuration(builder, env, &destination))
                .unwrap_or_default(),
            Self::Told(configuration) => configuration.clone(),
        }
    }

    /// Keeps no more than what evidence has.
    pub(super) fn let_go(&mut self) {
        if let Self::Kept { .. } = self {
            *self = Self::Told(self.configuration());
        }
    }
}
