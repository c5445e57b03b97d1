//! Forwards of a supervised connection: they come back with it.

use std::pin::Pin;

use super::handle::ForwardHandle;
use super::manager::ForwardManager;
use crate::connection::{Attached, Supervisor};
use crate::error::Result;

impl Attached for ForwardManager {
    fn close(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.close_all())
    }
}

impl Supervisor {
    /// The forwards of this connection. They come back with it after a loss: on the same ports, under the same handles.
    #[must_use]
    pub fn forward_manager(&self) -> ForwardManager {
        let made = || ForwardManager::over(self.connections(), self.emitter().clone());
        ForwardManager::clone(&self.attachment(made))
    }

    /// As [`ForwardManager::forward_local`].
    ///
    /// # Errors
    /// When the port cannot be listened on, or the supervisor was closed.
    pub async fn forward_local(
        &self,
        local_port: u16,
        remote_host: &str,
        remote_port: u16,
    ) -> Result<ForwardHandle> {
        self.forward_manager()
            .forward_local(local_port, remote_host, remote_port)
            .await
    }

    /// As [`ForwardManager::forward_remote`].
    ///
    /// # Errors
    /// When there is no connection in time, the server refuses, or the supervisor was closed.
    pub async fn forward_remote(
        &self,
        remote_port: u16,
        local_host: &str,
        local_port: u16,
    ) -> Result<ForwardHandle> {
        self.forward_manager()
            .forward_remote(remote_port, local_host, local_port)
            .await
    }

    /// As [`ForwardManager::forward_dynamic`].
    ///
    /// # Errors
    /// When the port cannot be listened on, or the supervisor was closed.
    pub async fn forward_dynamic(&self, local_port: u16) -> Result<ForwardHandle> {
        self.forward_manager().forward_dynamic(local_port).await
    }
}
