//! Files to and from several hosts.

use sternline_proto::files::host_names;
use sternline_proto::target::Target;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use super::run::Fleet;
use crate::config::Env;
use crate::connection::ConnectionBuilder;
use crate::error::{Error, ErrorKind};
use crate::transfer::{LocalFiles, Transfer, TransferResult};

impl Fleet {
    /// Moves files to or from all hosts, and waits for the last one. The results stand in the order of the hosts.
    ///
    /// What is sent to several hosts is read once, as far as they keep up with each other. What comes from several hosts
    /// gets names that end in `.HOST`: `app.log.web-1`, or an entry per host where the target is a directory.
    ///
    /// ```no_run
    /// # async fn example() {
    /// use sternline::{Fleet, Transfer};
    ///
    /// let fleet = Fleet::new(["web-1", "web-2"]);
    /// for result in fleet.transfer(Transfer::upload("nginx.conf", "/etc/nginx/nginx.conf").mode(0o644)).await {
    ///     println!("{}: {} bytes", result.host, result.bytes);
    /// }
    /// # }
    /// ```
    pub async fn transfer(&self, transfer: Transfer) -> Vec<TransferResult> {
        let mut results: Vec<Option<TransferResult>> = self.targets.iter().map(|_| None).collect();
        let request = transfer.clone();
        let mut run = self.start_transfer(move |_| request.clone());
        while let Some((index, result)) = run.next().await {
            if let Some(slot) = results.get_mut(index) {
                *slot = Some(result);
            }
        }
        let lost = || Error::new(ErrorKind::Local, "the work on this host was interrupted");
        let results = results.into_iter().zip(&self.targets);
        results
            .map(|(result, host)| result.unwrap_or_else(|| TransferResult::failed(host, &transfer, lost())))
            .collect()
    }

    /// Starts moving files to or from all hosts, and gives each host's result when it is there. `request` is called with
    /// each host once its turn has come; its sources are the same for all.
    ///
    /// Must be called in a tokio runtime.
    #[must_use]
    pub fn start_transfer(&self, request: impl Fn(usize) -> Transfer + Send + 'static) -> FleetTransfer {
        let (results, receiver) = mpsc::channel(self.targets.len().max(1));
        let fleet = self.clone();
        let driver = tokio::spawn(async move {
            let several = fleet.targets.len() > 1;
            let names = several.then(|| names(&fleet.targets));
            let local =
                LocalFiles::default().shared(fleet.targets.len().min(fleet.parallel), Env::system().temp_dir);
            let mut running = JoinSet::new();
            for (index, target) in fleet.targets.iter().enumerate() {
                while running.len() >= fleet.parallel {
                    running.join_next().await;
                }
                let mut transfer = request(index);
                if let Some(name) = names.as_ref().and_then(|names| names.get(index)?.as_ref()) {
                    transfer = transfer.named_after(name);
                }
                let builder = (fleet.configure)(target, ConnectionBuilder::new(target.clone()));
                let (host, local, results) = (target.clone(), local.clone(), results.clone());
                running.spawn(async move {
                    let result = one(&host, builder, local, transfer).await;
                    // Nobody listens any more: then nobody wants to know.
                    let _ = results.send((index, result)).await;
                });
            }
            drop(results);
            while running.join_next().await.is_some() {}
        });
        FleetTransfer {
            results: receiver,
            driver,
        }
    }
}

/// Connects, moves the files, and says what became of it.
async fn one(
    host: &str,
    builder: ConnectionBuilder,
    local: LocalFiles,
    transfer: Transfer,
) -> TransferResult {
    let begun = Instant::now();
    let connection = tokio::select! {
        biased;
        error = transfer.until_cancelled() => Err(error),
        // It is made for this alone.
        connection = builder.bulk_data().connect() => connection,
    };
    let connection = match connection {
        Ok(connection) => connection,
        Err(error) => {
            let mut result = TransferResult::failed(host, &transfer, error);
            result.duration = begun.elapsed();
            return result;
        }
    };
    let mut result = connection.transfer_with(local, transfer).await;
    connection.close().await;
    host.clone_into(&mut result.host);
    result.duration = begun.elapsed();
    result
}

/// A name for each host, for files. One that makes no sense needs none: it cannot be connected to.
fn names(targets: &[String]) -> Vec<Option<String>> {
    let parsed: Vec<Option<Target>> = targets.iter().map(|target| target.parse().ok()).collect();
    let known: Vec<Target> = parsed.iter().flatten().cloned().collect();
    let mut names = host_names(&known).into_iter();
    parsed
        .iter()
        .map(|target| target.as_ref().and_then(|_| names.next()))
        .collect()
}

/// Transfers that were started. Dropping it ends them; what is incomplete is removed in the background.
#[derive(Debug)]
pub struct FleetTransfer {
    results: mpsc::Receiver<(usize, TransferResult)>,
    driver: JoinHandle<()>,
}

impl FleetTransfer {
    /// The next result, with the host's place in the list; `None` after the last one. Cancel-safe.
    pub async fn next(&mut self) -> Option<(usize, TransferResult)> {
        self.results.recv().await
    }
}

impl Drop for FleetTransfer {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
