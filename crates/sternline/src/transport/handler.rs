//! What the protocol crate calls back. Runs on its session loop: nothing here waits, but for the host key check.

use std::sync::Arc;

use russh::client::{Handler, Msg, Session};
use russh::keys::{Algorithm, Certificate, PublicKey, PublicKeyOrCertificate, ssh_key};
use russh::{Channel, ChannelId, ChannelOpenFailure, Disconnect, Names, client};
use sternline_proto::key::{CertificateKind, HostCertificate};
use sternline_proto::known_hosts::HostKeyOffer;
use sternline_proto::text::escape;

use super::handshake::HostKeyCheck;
use super::link::{Algorithms, Link, LostReason};
use super::listener::{Bind, Listeners, Offer};
use crate::deadline::Phase;
use crate::error::{DisconnectReason, Error, ErrorKind};

pub(super) struct ClientHandler {
    pub(super) link: Arc<Link>,
    pub(super) listeners: Arc<Listeners>,
    /// `None` once it has been asked.
    pub(super) check: Option<HostKeyCheck>,
}

/// The crate does not report every end (a failing shutdown hides it), but it always drops its handler.
impl Drop for ClientHandler {
    fn drop(&mut self) {
        self.link.set_lost(to_lost(&russh::Error::HUP));
    }
}

impl Handler for ClientHandler {
    type Error = russh::Error;

    async fn check_server_key(&mut self, offered: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        self.link.clock.enter(Phase::HostKey);
        let verdict = match (to_offer(offered), self.check.take()) {
            (Ok(offer), Some(check)) => check(offer).await,
            (Ok(_), None) => Err(Error::new(
                ErrorKind::HostKeyMismatch,
                "the server showed a second host key",
            )),
            (Err(error), _) => Err(error),
        };
        match verdict {
            Ok(()) => Ok(true),
            // The crate only learns "no": the reason travels through the link.
            Err(error) => {
                self.link.refuse(error.in_phase(Phase::HostKey));
                Ok(false)
            }
        }
    }

    async fn kex_done(
        &mut self,
        _shared_secret: Option<&[u8]>,
        names: &Names,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.link.set_algorithms(to_algorithms(names));
        Ok(())
    }

    async fn auth_banner(&mut self, banner: &str, _session: &mut Session) -> Result<(), Self::Error> {
        self.link.add_auth_banner(banner);
        Ok(())
    }

    async fn disconnected(
        &mut self,
        reason: client::DisconnectReason<Self::Error>,
    ) -> Result<(), Self::Error> {
        self.link.set_lost(match reason {
            client::DisconnectReason::ReceivedDisconnect(info) => {
                let locked_out =
                    self.link.clock.phase() == Phase::Auth && ends_authentication(info.reason_code);
                let kind = if locked_out {
                    ErrorKind::AuthFailed
                } else {
                    ErrorKind::Connection
                };
                LostReason {
                    hint: locked_out.then(|| {
                        "the server allows fewer attempts: name the right key, and set IdentitiesOnly"
                            .to_owned()
                    }),
                    disconnect: if locked_out {
                        DisconnectReason::AuthFailure
                    } else {
                        DisconnectReason::NetworkError
                    },
                    ..LostReason::of(
                        kind,
                        format!("the server ended the connection: {}", escape(&info.message)),
                    )
                }
            }
            client::DisconnectReason::Error(error) => to_lost(&error),
        });
        Ok(())
    }

    // A server may open channels to us for what it was asked to listen on, and for nothing else. Dropping the reply
    // turns a channel away, where the trait's defaults would accept.

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        channel: Channel<Msg>,
        connected_address: &str,
        connected_port: u32,
        _originator_address: &str,
        _originator_port: u32,
        reply: client::ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        if let Ok(port) = u16::try_from(connected_port) {
            let address = connected_address.to_owned();
            let at = Bind::Tcp { address, port };
            self.listeners.offer(Offer { at, channel, reply });
        }
        Ok(())
    }

    async fn server_channel_open_forwarded_streamlocal(
        &mut self,
        channel: Channel<Msg>,
        socket_path: &str,
        reply: client::ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        let at = Bind::Unix {
            path: socket_path.to_owned(),
        };
        self.listeners.offer(Offer { at, channel, reply });
        Ok(())
    }

    async fn server_channel_open_agent_forward(
        &mut self,
        _channel: Channel<Msg>,
        _reply: client::ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_session(
        &mut self,
        _channel: Channel<Msg>,
        _reply: client::ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_direct_tcpip(
        &mut self,
        _channel: Channel<Msg>,
        _host_to_connect: &str,
        _port_to_connect: u32,
        _originator_address: &str,
        _originator_port: u32,
        _reply: client::ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_direct_streamlocal(
        &mut self,
        _channel: Channel<Msg>,
        _socket_path: &str,
        _reply: client::ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_x11(
        &mut self,
        _channel: Channel<Msg>,
        _originator_address: &str,
        _originator_port: u32,
        _reply: client::ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    /// Where this says no, the crate refuses the channel itself, and once more when it drops the reply.
    async fn should_accept_unknown_server_channel(&mut self, _id: ChannelId, _channel_type: &str) -> bool {
        true
    }

    async fn server_channel_open_unknown(
        &mut self,
        _channel: Channel<Msg>,
        reply: client::ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        reply.reject(ChannelOpenFailure::UnknownChannelType).await;
        Ok(())
    }
}

/// What a server presents, in our types. A certificate's own signature is verified here, where its bytes are.
fn to_offer(offered: &PublicKeyOrCertificate) -> Result<HostKeyOffer, Error> {
    match offered {
        PublicKeyOrCertificate::PublicKey { key, .. } => Ok(HostKeyOffer::Key(to_key(key)?)),
        PublicKeyOrCertificate::Certificate(certificate) => {
            certificate.verify_signature().map_err(|error| {
                Error::new(
                    ErrorKind::HostKeyMismatch,
                    "the host certificate is not signed by the authority it names",
                )
                .with_source_text(&error)
            })?;
            Ok(HostKeyOffer::Certificate(to_certificate(certificate)?))
        }
    }
}

pub(super) fn to_key(key: &PublicKey) -> Result<sternline_proto::key::PublicKey, Error> {
    let unreadable = |error: &dyn std::fmt::Display| {
        Error::new(ErrorKind::HostKeyMismatch, "the key cannot be read").with_source_text(error)
    };
    let blob = key.to_bytes().map_err(|error| unreadable(&error))?;
    sternline_proto::key::PublicKey::from_blob(blob).map_err(|error| unreadable(&error))
}

fn to_certificate(certificate: &Certificate) -> Result<HostCertificate, Error> {
    let key = |data: &ssh_key::public::KeyData| to_key(&PublicKey::new(data.clone(), ""));
    Ok(HostCertificate {
        key: key(certificate.public_key())?,
        authority: key(certificate.signature_key())?,
        kind: match certificate.cert_type() {
            ssh_key::certificate::CertType::Host => CertificateKind::Host,
            _ => CertificateKind::User,
        },
        key_id: certificate.key_id().to_owned(),
        signature_algorithm: algorithm_text(&certificate.signature().algorithm()).to_owned(),
        serial: certificate.serial(),
        principals: certificate.valid_principals().to_vec(),
        valid_after: certificate.valid_after(),
        valid_before: certificate.valid_before(),
        critical_options: certificate.critical_options().keys().cloned().collect(),
    })
}

/// The name of a signature algorithm on the wire, which says which hash signs; an RSA key's own type does not.
fn algorithm_text(algorithm: &Algorithm) -> &str {
    match algorithm {
        Algorithm::Rsa {
            hash: Some(ssh_key::HashAlg::Sha512),
        } => "rsa-sha2-512",
        Algorithm::Rsa {
            hash: Some(ssh_key::HashAlg::Sha256),
        } => "rsa-sha2-256",
        other => other.as_str(),
    }
}

fn to_algorithms(names: &Names) -> Algorithms {
    let compression = |compression: &russh::compression::Compression| {
        if matches!(compression, russh::compression::Compression::None) {
            "none"
        } else {
            "zlib"
        }
        .to_owned()
    };
    // An AEAD cipher authenticates by itself; the negotiated MAC is not used.
    let aead = ["gcm", "poly1305"]
        .iter()
        .any(|kind| names.cipher.as_ref().contains(kind));
    let mac = |mac: &russh::mac::Name| if aead { "implicit" } else { mac.as_ref() }.to_owned();
    Algorithms {
        kex: names.kex.as_ref().to_owned(),
        host_key: algorithm_text(&names.key).to_owned(),
        cipher: names.cipher.as_ref().to_owned(),
        mac_cs: mac(&names.client_mac),
        mac_sc: mac(&names.server_mac),
        compression_cs: compression(&names.client_compression),
        compression_sc: compression(&names.server_compression),
        strict_kex: names.strict_kex(),
    }
}

/// Whether a server that disconnects with this reason during authentication will have no more of us, so that trying
/// again with the same credentials cannot help. OpenSSH sends PROTOCOL_ERROR when it has refused too often.
fn ends_authentication(reason: Disconnect) -> bool {
    matches!(
        reason,
        Disconnect::ProtocolError | Disconnect::NoMoreAuthMethodsAvailable | Disconnect::IllegalUserName
    )
}

/// Why an established connection ended, by the crate's error.
fn to_lost(error: &russh::Error) -> LostReason {
    // The crate gives up by itself where a refusal names no method that could continue.
    if matches!(error, russh::Error::NoAuthMethod) {
        let message = "the server refused the login and takes no method of logging in at all";
        return LostReason {
            hint: Some("see on the server which methods are switched off (PubkeyAuthentication, PasswordAuthentication and KbdInteractiveAuthentication in sshd_config(5))".to_owned()),
            disconnect: DisconnectReason::AuthFailure,
            ..LostReason::of(ErrorKind::AuthFailed, message)
        };
    }
    let message = match error {
        russh::Error::IO(error) => match error.kind() {
            std::io::ErrorKind::ConnectionReset => "the connection was reset by the other side".to_owned(),
            std::io::ErrorKind::UnexpectedEof => "the server closed the connection".to_owned(),
            _ => format!("the connection was lost: {error}"),
        },
        russh::Error::HUP | russh::Error::Disconnect => "the server closed the connection".to_owned(),
        other => format!("the connection broke: {}", escape(&other.to_string())),
    };
    LostReason::of(ErrorKind::Connection, message)
}
