//! Why a client is not served.

use thiserror::Error;

use super::handshake::MAX_NAME;
use crate::target::TargetError;

/// A request that is not served: why, and what the client is told.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{error}")]
pub struct Refusal {
    /// What is wrong.
    pub error: SocksError,
    /// What to send before the connection is closed. Empty for a peer that does not speak SOCKS.
    pub reply: Vec<u8>,
}

/// Why a client is not served.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SocksError {
    /// The first byte is no SOCKS version.
    #[error("the client does not speak SOCKS: {}", describe_first(*.first))]
    NotSocks {
        /// The first byte.
        first: u8,
    },
    /// A SOCKS 5 client did not offer to go without authentication, the only method there is here.
    #[error(
        "the SOCKS client insists on authentication, but this proxy has none: switch it off in the client"
    )]
    NoAcceptableMethod,
    /// The message after the choice of a method does not begin with version 5.
    #[error("the SOCKS 5 client went on with version {version}")]
    Version {
        /// The version byte.
        version: u8,
    },
    /// A command other than CONNECT.
    #[error("the SOCKS client asked for {}, but only CONNECT is served", describe_command(*.command))]
    Command {
        /// The command byte.
        command: u8,
    },
    /// An address type other than IPv4, IPv6 and domain name.
    #[error("the SOCKS client sent an address of the unknown type {address_type}")]
    AddressType {
        /// The type byte.
        address_type: u8,
    },
    /// A host name that no host can have.
    #[error("the SOCKS client asked for a host that cannot exist: {0}")]
    Host(TargetError),
    /// A host name that is not UTF-8, as SSH requires it (RFC 4254 section 7.2 with RFC 4251 section 5).
    #[error("the SOCKS client asked for a host whose name is not UTF-8")]
    HostEncoding,
    /// Port 0.
    #[error("the SOCKS client asked for port 0")]
    Port,
    /// A SOCKS 4 user name or host name without an end.
    #[error("the SOCKS 4 client sent a name of more than {MAX_NAME} bytes")]
    NameTooLong,
}

fn describe_first(first: u8) -> String {
    match first {
        // GET, POST, CONNECT and so on.
        b'A'..=b'Z' => format!(
            "it begins with the letter {}, as an HTTP request does; set this port as a SOCKS proxy, not as an HTTP proxy",
            char::from(first)
        ),
        0x16 => "it begins with a TLS handshake; set this port as a SOCKS proxy, not as an HTTPS server"
            .to_owned(),
        _ => format!("its first byte is 0x{first:02x}, where 0x04 or 0x05 belongs"),
    }
}

fn describe_command(command: u8) -> String {
    match command {
        2 => "BIND".to_owned(),
        3 => "UDP ASSOCIATE".to_owned(),
        _ => format!("the unknown command {command}"),
    }
}
