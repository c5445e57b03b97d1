//! A server with files in memory, and OpenSSH's programs and our own client for them.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::process::Output;

use sternline::{AuthConfig, Connection};
use sternline_server::{Server, VirtualFiles};

use super::{Fixture, answer, run};

/// The user and the host for a command line.
pub(crate) const HERE: &str = "deploy@127.0.0.1";

pub(crate) struct Served {
    pub(crate) fixture: Fixture,
    pub(crate) files: VirtualFiles,
}

impl Served {
    pub(crate) async fn start() -> Self {
        let files = VirtualFiles::new();
        let fixture = Fixture::start(Server::builder().files(files.clone())).await;
        Self { fixture, files }
    }

    /// A path of the client's.
    pub(crate) fn local(&self, name: &str) -> PathBuf {
        self.fixture.dir.path().join(name)
    }

    pub(crate) async fn scp(&self, arguments: &[&OsStr]) {
        let mut scp = self.fixture.openssh("scp");
        scp.args(arguments);
        let output = answer(scp).await;
        assert!(output.status.success(), "{output:?}");
    }

    pub(crate) async fn sftp(&self, batch: &str) -> Output {
        let mut sftp = self.fixture.openssh("sftp");
        sftp.args(["-b", "-", HERE]);
        run(sftp, batch.as_bytes().to_vec()).await
    }

    pub(crate) async fn connect(&self) -> Connection {
        Connection::builder(HERE)
            .port(self.fixture.server.port())
            .auth([AuthConfig::key(&self.fixture.key)])
            .known_hosts([self.fixture.known_hosts.clone()])
            .connect()
            .await
            .unwrap()
    }
}

pub(crate) fn remote(path: &[u8]) -> OsString {
    OsStr::from_bytes(&[HERE.as_bytes(), b":", path].concat()).to_owned()
}
