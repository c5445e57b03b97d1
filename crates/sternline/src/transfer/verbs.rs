//! Transfers on a connection, and on a supervised one.

use sternline_proto::files::{Direction, NoWay, Way};

use super::engine::{run_scp, run_transfer};
use super::place::{LocalFiles, Origin, Place};
use super::reach::{Reached, reach};
use super::request::{Source, Target, Transfer};
use super::result::TransferResult;
use crate::connection::{Connection, Supervisor};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Emitter;

impl Connection {
    /// Moves files. What has become of them is in the result: it has an error of its own only for what concerns all.
    ///
    /// Cancel-safe in that nothing half-written takes a file's place: incomplete files are removed in the background.
    pub async fn transfer(&self, transfer: Transfer) -> TransferResult {
        self.transfer_with(LocalFiles::default(), transfer).await
    }

    /// As [`Connection::transfer`], with files of this machine that other hosts may be sent as well.
    pub(crate) async fn transfer_with(&self, local: LocalFiles, transfer: Transfer) -> TransferResult {
        let origin = Origin::Connection(self.clone());
        Box::pin(carry(
            origin,
            local,
            self.host(),
            self.emitter().clone(),
            transfer,
        ))
        .await
    }

    /// Copies a file of this machine to the server, with the defaults of [`Transfer::upload`].
    ///
    /// # Errors
    /// What [`TransferResult::success`] gives.
    ///
    /// ```no_run
    /// # async fn example(connection: &sternline::Connection) -> sternline::Result<()> {
    /// connection.upload("nginx.conf", "/etc/nginx/nginx.conf").await?;
    /// # Ok(()) }
    /// ```
    pub async fn upload(
        &self,
        source: impl Into<Source>,
        target: impl Into<Target>,
    ) -> Result<TransferResult> {
        self.transfer(Transfer::upload(source, target)).await.success()
    }

    /// Copies a file of the server to this machine, with the defaults of [`Transfer::download`].
    ///
    /// # Errors
    /// What [`TransferResult::success`] gives.
    ///
    /// ```no_run
    /// # async fn example(connection: &sternline::Connection) -> sternline::Result<()> {
    /// use sternline::transfer::Target;
    ///
    /// connection.download("/var/log/app.log", "logs/").await?;
    /// let motd = connection.download("/etc/motd", Target::Memory).await?.content;
    /// # Ok(()) }
    /// ```
    pub async fn download(
        &self,
        source: impl Into<Source>,
        target: impl Into<Target>,
    ) -> Result<TransferResult> {
        self.transfer(Transfer::download(source, target)).await.success()
    }

    /// Copies files of this server to another one, through this machine; the sources of the request are here, its target
    /// there. The result names the other host.
    pub async fn transfer_to(&self, other: &Self, transfer: Transfer) -> TransferResult {
        let (from, to) = tokio::join!(
            reach(Origin::Connection(self.clone()), &transfer.options),
            reach(Origin::Connection(other.clone()), &transfer.options),
        );
        let host = other.host();
        match (from, to) {
            (Ok(Reached::Place(from)), Ok(Reached::Place(to))) => {
                run_transfer(from, to, host, other.emitter().clone(), transfer).await
            }
            (Ok(_), Ok(_)) => {
                let refusal = NoWay::Unable {
                    way: Way::Scp,
                    what: "copying from one server to another needs SFTP or a shell on both",
                };
                let error = Error::new(ErrorKind::Invalid, refusal.to_string());
                TransferResult::failed(host, &transfer, error)
            }
            (Err(error), _) | (_, Err(error)) => TransferResult::failed(host, &transfer, error),
        }
    }
}

impl Supervisor {
    /// Moves files, as [`Connection::transfer`] does. When the connection is lost it waits for the next one and goes on
    /// where it was, as often as the supervisor connects again; [`Transfer::progress_timeout`] sets a limit to that.
    ///
    /// A large file that was on its way to a server without SFTP, through its shell, is begun anew. The loss ends the
    /// transfer where there is nothing but scp, and where a stream was being sent through a shell, or a file written in
    /// place.
    pub async fn transfer(&self, transfer: Transfer) -> TransferResult {
        let origin = Origin::Supervisor(self.clone());
        let host = self.connection().map(|connection| connection.host().to_owned());
        Box::pin(carry(
            origin,
            LocalFiles::default(),
            &host.unwrap_or_default(),
            self.emitter().clone(),
            transfer,
        ))
        .await
    }
}

/// Between this machine and a server.
async fn carry(
    origin: Origin,
    local: LocalFiles,
    host: &str,
    emitter: Emitter,
    transfer: Transfer,
) -> TransferResult {
    if transfer.direction == Direction::Upload && !matches!(transfer.target, Target::Path(_)) {
        let error = Error::new(ErrorKind::Invalid, "an upload needs a path as its target");
        return TransferResult::failed(host, &transfer, error);
    }
    let local = Place::Local(local);
    let remote = match reach(origin, &transfer.options).await {
        Ok(Reached::Place(remote)) => remote,
        Ok(Reached::Scp(server)) => return run_scp(local, &server, emitter, transfer).await,
        Err(error) => return TransferResult::failed(host, &transfer, error),
    };
    let host = remote.host().unwrap_or(host).to_owned();
    let (from, to) = match transfer.direction {
        Direction::Upload => (local, remote),
        Direction::Download => (remote, local),
    };
    run_transfer(from, to, &host, emitter, transfer).await
}
