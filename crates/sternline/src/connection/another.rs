//! A second connection to the same server.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use super::builder::ConnectionBuilder;
use super::handle::Connection;
use super::proxy::Via;
use crate::auth::AuthMethod;
use crate::connection::Resolve;
use crate::error::Result;

impl Connection {
    /// One more connection like this one, to the same address and to a server with the same key, where making it asks
    /// nobody anything: for much data that others' commands are not to wait behind. `None` where it cannot be had: a login
    /// that needed a person, a dialogue whose answers may be good for once, a proxy command, which may ask by itself, and
    /// a connection that is there for data already.
    ///
    /// # Errors
    /// As [`ConnectionBuilder::connect`]. The server may allow no more connections.
    pub(crate) async fn another(&self) -> Result<Option<Self>> {
        let Some(settings) = self.settings_of_another() else {
            return Ok(None);
        };
        // Opening a connection may open another one first, that of a jump host. The box is where that ends for the compiler.
        let connecting: Pin<Box<dyn Future<Output = Result<Self>> + Send>> = Box::pin(settings.connect());
        let other = connecting.await?;
        if other.host_key().key() == self.host_key().key() {
            return Ok(Some(other));
        }
        tracing::debug!("the second connection leads to another server");
        other.close().await;
        Ok(None)
    }

    fn settings_of_another(&self) -> Option<ConnectionBuilder> {
        let mut settings = self.inner.settings().builder()?.clone();
        let dialogue = AuthMethod::KeyboardInteractive.as_str();
        let asks = self.login_needed_person()
            || self.auth_method() == dialogue
            || matches!(settings.via, Some(Via::Command(_)));
        if asks || settings.bulk_data || settings.is_jump_host {
            return None;
        }
        settings.prompter = None;
        settings.is_second = true;
        // A name may lead elsewhere the next time.
        if let Some(peer) = self.peer_address() {
            settings.resolver = Arc::new(Found(peer));
        }
        Some(settings.bulk_data())
    }
}

/// An address that was found before.
struct Found(SocketAddr);

impl Resolve for Found {
    fn resolve<'a>(
        &'a self,
        _host: &'a str,
        _port: u16,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>> {
        Box::pin(std::future::ready(Ok(vec![self.0])))
    }
}
