//! What the tests of the guest client share.

use sternline::guest::{GuestClient, GuestClientBuilder};
use sternline_tests::sshd::Sshd;

/// A client for the server's account, with its key; the host key is kept in memory.
pub(crate) fn client(server: &Sshd) -> GuestClientBuilder {
    GuestClient::builder("127.0.0.1")
        .port(server.port())
        .user(server.user().name.clone())
        .key_path(server.key())
}

pub(crate) fn guest(server: &Sshd) -> GuestClient {
    client(server).build().unwrap()
}
